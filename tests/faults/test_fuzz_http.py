"""Whatever is asked, with whatever method, address, query, headers and body, is answered properly.

Every example is a request on a connection of its own to a real server, which holds an agent and a
command that the addresses hit now and then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cameleer_registry import Settings
from cameleer_registry.web.routes import PAGES, ROUTES

from ..support import Answer, Served
from .hostile import ask, assert_proper, assert_sound, attacked
from .scale import IS_LONG, SCALE

SETTINGS: Final = Settings(
    max_agents=40, max_pending_per_agent=3, max_feeds=2, body_timeout=0.1, max_body=50_000
)
EXAMPLES: Final = settings(
    max_examples=SCALE.examples,
    derandomize=not IS_LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
pytestmark = pytest.mark.timeout(600 if IS_LONG else 120)

METHODS: Final = ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "QUERY")
TEMPLATES: Final = sorted({path for _, path, *_ in ROUTES + PAGES})

Ask = Callable[..., Answer]


@pytest.fixture
def answered(caplog: pytest.LogCaptureFixture) -> Iterator[Ask]:
    """Ask a server that is the same for all examples of a test, and hold its answer to account."""

    async def prepare() -> str:
        await served.register("known")
        command_id: str = (await served.issue("/agents/known")).json()["commandId"]
        await served.ack("known", command_id)
        return command_id

    def answered(method: str, target: str, *headers: bytes, body: bytes = b"") -> Answer:
        head = [
            f"{method} {target.replace('COMMAND', command_id)} HTTP/1.1".encode(),
            *(b"Host: x", b"Connection: close", b"Content-Length: %d" % len(body), *headers),
        ]
        answer = runner.run(ask(served, b"\r\n".join([*head, b"", body])))
        assert_proper(answer, body_expected=method != "HEAD")
        assert_sound(served)
        return answer

    with asyncio.Runner() as runner:
        # A loop that looks on is not one that is served: examples run it when they ask.
        attack = attacked(caplog, SETTINGS)
        served: Served = runner.run(attack.__aenter__())
        command_id = runner.run(prepare())
        try:
            yield answered
        finally:
            runner.run(attack.__aexit__(None, None, None))


# Bodies

NAMES: Final = (
    *("agentId", "group", "name", "version", "routeIds", "capabilities", "instanceId"),
    *("type", "payload", "status", "message", "data"),
)
SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["known", "g", "replay", "SUCCESS", "\x00", "\u2028", "register", "a" * 300])
)
JSON: Final = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner)
    ),
    max_leaves=10,
)
VALID: Final = st.fixed_dictionaries(
    {
        "agentId": st.from_regex(r"[a-z0-9][A-Za-z0-9._:@-]{0,3}", fullmatch=True),
        "group": st.sampled_from(["g", "h"]),
        "type": st.sampled_from(["config-update", "deep-trace", "replay"]),
        "payload": st.dictionaries(st.text(), JSON, max_size=3),
    }
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A body that was right, but for a few bytes or a member of it."""
    body: dict[str, Any] = draw(VALID)
    if draw(st.booleans()):
        body[draw(st.sampled_from(NAMES))] = draw(JSON)
        return encoded(body)
    raw = bytearray(encoded(body))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(raw)


def encoded(value: Any) -> bytes:
    """Return JSON as Python writes it, with NaN and lone surrogates."""
    return json.dumps(value).encode()


BODIES: Final = VALID.map(encoded) | broken() | JSON.map(encoded) | st.binary(max_size=200)
POSTS: Final = (
    "/agents/register",
    "/agents/known/heartbeat",
    "/agents/known/commands",
    "/agents/groups/g/commands",
    "/agents/commands",
    "/agents/known/commands/COMMAND/ack",
)


@pytest.mark.parametrize("path", POSTS)
def test_any_body(answered: Ask, path: str) -> None:
    """It is taken or refused, and every refusal of its contents says where."""

    @EXAMPLES
    @given(BODIES)
    def attack(body: bytes) -> None:
        answer = answered("POST", f"/api/v1{path}", body=body)
        assert answer.status in (200, 201, 202, 204, 400, 429, 503)
        if answer.status == 400:
            assert answer.code in ("malformed-json", "invalid-request")
            assert answer.code == "malformed-json" or answer.json()["errors"]

    attack()


# Addresses

ODD: Final = (
    "",
    *(
        ".",
        "..",
        "%2e%2e",
        "%2E%2e%2f",
        "%2F",
        "%5C",
        "%00",
        "%0d%0aX-Evil:1",
        "%",
        "%zz",
        "%c0%ae",
    ),
    *(
        "%ed%a0%80",
        "%ff",
        "%E2%80%A8",
        "known%2Fcommands",
        "known;x=1",
        "known%00",
        "*",
        "~",
        "a" * 500,
    ),
)
SEGMENTS: Final = (
    st.sampled_from(["known", "COMMAND", "g", "register", "commands", "groups", *ODD])
    | st.binary(max_size=8).map(lambda raw: quote_from_bytes(raw, safe=""))
    | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#?"))
)
VALUES: Final = (
    st.sampled_from(
        [
            *("", "LIVE", "live,DEAD", "PENDING", "g", "g,h", ",", "agent-registered", "known"),
            *(
                "0",
                "1",
                "-1",
                "+1",
                "1.5",
                "1e1",
                ".",
                "1e",
                "nan",
                "inf",
                "0x1",
                "9" * 30,
                "%D9%A1",
            ),
        ]
    )
    | st.integers(-1, 100).map(str)
    | SEGMENTS
)
PARAMETERS: Final = ("status", "group", "limit", "after", "wait", "types", "lastEventId")
QUERIES: Final = st.lists(
    st.tuples(st.sampled_from(PARAMETERS) | SEGMENTS, VALUES).map("=".join) | SEGMENTS, max_size=4
).map("&".join)


@st.composite
def targets(draw: st.DrawFn) -> str:
    """One of the addresses there are, with anything in place of its parts and behind it."""
    path = draw(st.sampled_from(TEMPLATES) | st.just("/{file}/{file}"))
    parts = [
        draw(SEGMENTS) if part.startswith("{") else part for part in path.lstrip("/").split("/")
    ]
    if draw(st.integers(0, 9)) == 0:
        parts.insert(draw(st.integers(0, len(parts))), draw(SEGMENTS))
    query = draw(QUERIES)
    return "/" + "/".join(parts) + (f"?{query}" if query else "")


@pytest.mark.parametrize("method", METHODS)
def test_any_address(answered: Ask, method: str) -> None:
    """With any query, by any method."""

    @EXAMPLES
    @given(targets())
    def attack(target: str) -> None:
        answer = answered(method, target)
        assert "x-evil" not in answer.headers
        assert b"\r\nX-Evil" not in answer.head

    attack()


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/agents", ("status", "group", "limit", "after")),
        ("/agents/known/commands", ("status",)),
        ("/commands/COMMAND", ("wait",)),
        ("/commands/COMMAND/deliveries", ("status",)),
        ("/events", ("types", "group", "lastEventId")),
    ],
)
def test_any_query(answered: Ask, path: str, parameters: tuple[str, ...]) -> None:
    """With any value of what an address takes, it is answered, or refused by the name of that."""

    @EXAMPLES
    @given(st.lists(st.tuples(st.sampled_from(parameters), VALUES).map("=".join), max_size=3))
    def attack(pairs: list[str]) -> None:
        answer = answered("GET", f"/api/v1{path}?{'&'.join(pairs)}")
        assert answer.status in (200, 400, 503)
        if answer.status == 400 and answer.code == "invalid-request":
            names = {fault["path"] for fault in answer.json()["errors"]}
            assert names <= {"request", *(f"?{name}" for name in parameters)}

    attack()


# Headers

TOKENS: Final = st.text(
    st.sampled_from(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
    ),
    min_size=1,
    max_size=20,
)
KNOWN: Final = st.sampled_from(
    [
        *("X-Cameleer-Protocol-Version", "Last-Event-ID", "Origin", "Sec-Fetch-Site", "Expect"),
        *("Accept", "Accept-Encoding", "Content-Encoding", "Content-Type", "Range", "TE"),
        *("If-None-Match", "If-Modified-Since", "Cookie", "Authorization", "X-Forwarded-For"),
        *("X-Forwarded-Host", "Forwarded", "Via", "Upgrade", "Trailer"),
    ]
)
CONTENTS: Final = (
    st.sampled_from(
        ["1", "2", "", "null", "gzip", "cross-site", "100-continue", "http://[", "text/html", "h2c"]
    ).map(str.encode)
    | st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\0\r\n"))
    | st.text(max_size=20).map(
        lambda text: text.encode("utf-8", "replace").translate(None, b"\0\r\n")
    )
)


@st.composite
def headers(draw: st.DrawFn) -> list[bytes]:
    """Some lines, the names of which do not say where the request ends."""
    names = draw(st.lists(KNOWN | TOKENS, max_size=5))
    framing = {"content-length", "transfer-encoding", "connection", "host"}
    return [
        b"%b: %b" % (name.encode(), draw(CONTENTS)) for name in names if name.lower() not in framing
    ]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/agents/register", b'{"agentId":"known","group":"g"}'),
        ("GET", "/events?types=agent-registered", b""),
        ("GET", "/agents/known/events", b""),
        ("GET", "/agents", b""),
        ("GET", "/../../metrics", b""),
        ("GET", "/../../", b""),
    ],
)
def test_any_headers(answered: Ask, method: str, path: str, body: bytes) -> None:
    """Those that mean something here, and others, with any bytes in them."""
    target = path.removeprefix("/../..") if path.startswith("/../..") else f"/api/v1{path}"

    @EXAMPLES
    @given(headers())
    def attack(lines: list[bytes]) -> None:
        answered(method, target, *lines, body=body)

    attack()
