"""A flood of requests by people whom the server does not know, while agents send heartbeats."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import Any, Final
from unittest.mock import patch

import pytest
from aiohttp import web

from cameleer_registry.security import ed25519
from cameleer_registry.security.ed25519 import SigningKey
from cameleer_registry.web import body
from cameleer_registry.web.inline import InlineRunner

from ..closed import Closed, closed
from ..support import connected, within

ATTACKERS: Final = 40
EACH: Final = 50
HEARTBEATS: Final = 300
MEGABYTE: Final = 1 << 20


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def garbage(served: Closed) -> Iterator[str]:
    """Return what they show: nothing, and tokens that look like ours from far away."""
    head, claims, signature = served.tokens["a"].split(".")
    other = {"alg": "EdDSA", "typ": "at+jwt", "kid": "x" * 43}
    none = {"alg": "none", "typ": "at+jwt"}
    return cycle(
        (
            "",
            "camo_" + "x" * 36,
            "came_" + "x" * 36 + "." + "x" * 43,
            f"{segment(other)}.{claims}.{signature}",
            f"{segment(none)}.{claims}.",
            "eyJ" + "A" * 4000 + ".A.A",
            f"{head}.{claims}.{signature}x",
        )
    )


def asks(served: Closed) -> Iterator[bytes]:
    """Return heads of requests, each with the next of these."""
    targets = cycle(
        (
            ("POST", "/agents/register", MEGABYTE),
            ("POST", "/agents/commands", MEGABYTE),
            ("GET", "/events", 0),
            ("POST", "/agents/a/heartbeat", 0),
            ("GET", "/agents/a/events", 0),
            ("POST", "/auth/tokens", MEGABYTE),
            ("GET", "/agents?status=LIVE", 0),
            ("GET", "//metrics", 0),
        )
    )
    for token, (method, path, length) in zip(garbage(served), targets, strict=False):
        full = path[1:] if path.startswith("//") else f"/api/v1{path}"
        head = [f"{method} {full} HTTP/1.1", f"Host: {served.host}"]
        head += [f"Authorization: Bearer {token}"] if token else []
        head += [f"Content-Length: {length}"] if method == "POST" else []
        yield "\r\n".join([*head, "", ""]).encode()


@pytest.mark.parametrize("runs", [InlineRunner, web.AppRunner], ids=["inline", "aiohttp's"])
async def test_who_is_not_known_costs_little_and_holds_nothing(runs: type[web.AppRunner]) -> None:
    """Each is refused before a body is read; only what names our key costs a signature.

    Meanwhile every heartbeat is answered, and nobody's stream ends.
    """
    async with closed(runs=runs) as served:
        answered: Counter[int] = Counter()
        requests = asks(served)

        async def attack() -> None:
            for _ in range(EACH):
                async with connected(served) as connection:
                    connection.writer.write(next(requests))
                    # The body is promised, and never comes.
                    answered[(await connection.head()).status] += 1

        async def beat() -> None:
            async with connected(served) as connection:
                for _ in range(HEARTBEATS):
                    connection.writer.write(
                        f"POST /api/v1/agents/a/heartbeat HTTP/1.1\r\nHost: {served.host}\r\n"
                        f"Authorization: Bearer {served.tokens['a']}\r\n"
                        "Content-Length: 0\r\n\r\n".encode()
                    )
                    assert 204 == (await connection.answer()).status
                    await asyncio.sleep(0)

        heard = served.node.meters.heartbeats
        signed = Counter[str]()
        sign = SigningKey.sign

        def count(self: SigningKey, message: bytes) -> bytes:
            signed["sign"] += 1
            return sign(self, message)

        with (
            patch.object(body, "read", side_effect=AssertionError("a body is read")),
            patch.object(SigningKey, "sign", count),
            patch.object(ed25519, "verifies", side_effect=AssertionError),
        ):
            attackers = [asyncio.create_task(attack()) for _ in range(ATTACKERS)]
            await within(asyncio.gather(beat(), *attackers), 120)
        assert {401: ATTACKERS * EACH} == answered
        assert HEARTBEATS == served.node.meters.heartbeats - heard
        assert 0 == len(served.node.feed.streams)
        assert 0 == len(served.node.streams)
        assert signed["sign"] <= ATTACKERS * EACH / 7 + 1
        assert ATTACKERS * EACH == sum(served.node.meters.refusals.values())
        assert len(served.node.authority.verifier._verified) <= 2, "garbage is not remembered"
