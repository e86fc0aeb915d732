"""A NATS server that asks for credentials, which nsc would make: an operator's, signed by nkeys."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path
from typing import Any

import nkeys
import orjson
import pytest

from cameleer_registry.errors import CannotJoin
from cameleer_registry.node.log.jetstream.connection import Access
from cameleer_registry.node.log.jetstream.log import JetStreamLog

from ...nats import nats_servers

NO_LIMITS = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1),
    "wildcards": True,
}
JETSTREAM = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)


class Key:
    """A key of NATS: of an operator, an account or a user."""

    def __init__(self, prefix: int) -> None:
        make: Any = nkeys  # which has no types
        self.seed = bytes(make.encode_seed(os.urandom(32), prefix))
        self._pair = make.from_seed(bytearray(self.seed))
        self.name = bytes(self._pair.public_key).decode()

    def signs(self, subject: str, kind: str, **more: Any) -> str:
        """Return the token of a subject."""
        claims = {
            "jti": os.urandom(16).hex(),
            "iat": int(time.time()),
            "iss": self.name,
            "name": kind,
            "sub": subject,
            "nats": {"type": kind, "version": 2, **more},
        }
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, claims)
        text = ".".join(encoded(orjson.dumps(part)) for part in parts)
        return f"{text}.{encoded(self._pair.sign(text.encode()))}"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def test_a_node_shows_the_credentials_that_it_is_given(tmp_path: Path) -> None:
    """Without them it is refused, in one line."""
    operator, system, account, user = (
        Key(prefix)
        for prefix in (
            nkeys.PREFIX_BYTE_OPERATOR,
            nkeys.PREFIX_BYTE_ACCOUNT,
            nkeys.PREFIX_BYTE_ACCOUNT,
            nkeys.PREFIX_BYTE_USER,
        )
    )
    accounts = {
        each.name: operator.signs(each.name, "account", limits=limits)
        for each, limits in ((system, NO_LIMITS), (account, NO_LIMITS | JETSTREAM))
    }
    preloaded = "\n".join(f"{name}: {token}" for name, token in accounts.items())
    settings = (
        f"operator: {operator.signs(operator.name, 'operator')}\n"
        f"system_account: {system.name}\nresolver: MEMORY\n"
        f"resolver_preload: {{\n{preloaded}\n}}"
    )
    file = tmp_path / "node.creds"
    token = account.signs(user.name, "user", subs=-1, data=-1, payload=-1)
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    async with nats_servers(tmp_path / "nats", settings=settings) as servers:
        log = JetStreamLog(Access(servers=servers.urls, credentials=str(file)), "test")
        try:
            await log.open()
            await log.append(b"0", "x.0")
            assert (1, 1) == await log.bounds()
        finally:
            await log.close()
        stranger = JetStreamLog(Access(servers=servers.urls), "test")
        with pytest.raises(CannotJoin, match="refused this node"):
            await stranger.open()
        await stranger.close()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
async def test_a_file_that_has_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    """In one line; and what has not begun can be closed."""
    file = tmp_path / "node.creds"
    if content is not None:
        file.write_bytes(content)
    for access in (
        Access(servers=["nats://127.0.0.1:1"], credentials=str(file)),
        Access(servers=["nats://127.0.0.1:1"], ca=str(file)),
    ):
        log = JetStreamLog(access, "test")
        with pytest.raises(CannotJoin, match=r"node\.creds"):
            await log.open()
        await log.close()
