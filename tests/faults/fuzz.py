"""A fuzzer that is led by what the code does with its inputs: ``python -m tests.faults.fuzz``.

::

    python -m tests.faults.fuzz TARGET FOLDER [-runs=N] [-seed=N] [-max_total_time=SECONDS]

The folder gets the inputs that reach something new; with it, another run goes on where this one has
ended. What breaks a target is written there, too, and can be given in place of the folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import atheris
import attrs

with atheris.instrument_imports(include=["cameleer_registry", "ld_eventsource"]):
    from cameleer_registry import settings, sources, wire
    from cameleer_registry.client import problems, stream
    from cameleer_registry.core.feed import FeedType
    from cameleer_registry.core.model import (
        Ack,
        Agent,
        AgentStatus,
        Command,
        CommandEvent,
        Order,
        Registration,
        Welcome,
    )
    from cameleer_registry.errors import (
        InvalidRequest,
        MalformedJson,
        RegistryError,
        ServerUnreachable,
        SettingsError,
        UnexpectedAnswer,
    )
    from cameleer_registry.node.feed import ring
    from cameleer_registry.web import query

from yarl import URL

REQUESTS: Final = (Registration, Order, Ack)
ANSWERS: Final[tuple[Any, ...]] = (Welcome, Agent, list[Agent], Command, CommandEvent)
CONFIG: Final = Path(tempfile.gettempdir())
AT: Final = '"2026-11-23T08:15:30.123Z"'


def body(raw: bytes) -> None:
    """A request's body is refused in words, or kept: what is passed on says the same."""
    for shape in REQUESTS:
        try:
            value: Any = wire.decode(raw, shape)
        except (InvalidRequest, MalformedJson) as error:
            assert "Traceback" not in error.detail
            assert isinstance(error, MalformedJson) or error.errors
            continue
        assert value == wire.decode(wire.encode_request(value), shape)
        kept = {Registration: "capabilities", Order: "payload", Ack: "data"}[shape]
        sent, line = json.loads(raw).get(kept), wire.encode_line(value)
        if isinstance(sent, list) and shape is Registration:
            sent = dict.fromkeys(sent, True)
        default: Any = None if shape is Ack else {}
        passed_on = json.loads(line)[kept]
        # Not ==, to which 1, 1.0 and True are the same.
        assert repr(default if sent is None else sent) == repr(passed_on)
        assert len(line.decode().splitlines()) == 1


class Request(NamedTuple):
    """What is looked at of a request."""

    query: Any


def address(raw: bytes) -> None:
    """A query is refused in words, or means something; what was seen last is a position or none."""
    text = raw.decode("latin-1")
    request: Any = Request(URL(f"/?{text}", encoded=True).query)
    for read in (
        lambda: query.members(request, "status", AgentStatus),
        lambda: query.members(request, "types", FeedType),
        lambda: query.group_names(request, "group"),
    ):
        try:
            assert isinstance(read(), frozenset)
        except InvalidRequest as error:
            assert error.errors
    try:
        limit = query.positive(request, "limit")
        assert limit is None or 0 < limit <= query.LARGEST_NUMBER
        seconds = query.wait_seconds(request)
        assert seconds is None or 0 <= seconds <= query.LONGEST_WAIT
    except InvalidRequest as error:
        assert error.errors
    events = ring.Ring(7, limit=3, limit_bytes=100)
    found = events.find(request.query.get("lastEventId", text))
    assert not isinstance(found, int) or events.oldest - 1 <= found <= events.newest


def configuration(raw: bytes) -> None:
    """A file of settings is refused in one line, or all of them make sense."""
    path = CONFIG / f"fuzzed-{os.getpid()}.toml"
    path.write_bytes(raw)
    assert_settings(partial(sources.load, {}, path))
    path.unlink()


def setting(raw: bytes) -> None:
    """So is what stands on the command line or in the environment."""
    text = raw.decode("utf-8", "surrogateescape")
    for name in ("stale_after", "max_body", "public_url", "require_protocol_version", "host"):
        given: Any = {name: text}
        assert_settings(partial(settings.Settings, **given))


def assert_settings(make: Callable[[], settings.Settings]) -> None:
    try:
        made = make()
    except SettingsError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert made == settings.Settings(**{name: getattr(made, name) for name in NAMES})


NAMES: Final = [setting.name for setting in attrs.fields(settings.Settings)]


class Response:
    """What the client looks at of an answer."""

    method, url, reason, status = "GET", "http://registry", "Bad", 400

    def __init__(self, raw: bytes) -> None:
        first, _, self.raw = raw.partition(b"\n")
        self.headers = {"Retry-After": first.decode("latin-1"), "Location": str(first)}
        self.content = self

    async def iter_any(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.raw), 7):
            yield self.raw[start : start + 7]

    def close(self) -> None:
        """Do nothing."""


def answer(raw: bytes) -> None:
    """What a server says is read, or refused as the client's documentation says."""
    response: Any = Response(raw)
    for shape in ANSWERS:
        try:
            value = wire.decode_answer(response.raw, shape)
        except ValueError as error:
            assert str(error)
        else:
            # Not the value: times are written to the millisecond, and may be read with more.
            written = wire.encode(value)
            assert written == wire.encode(wire.decode_answer(written, shape))
    told = problems.told(response, response.raw)
    assert isinstance(told, RegistryError | UnexpectedAnswer)
    assert str(told) is not None
    if isinstance(told, RegistryError):
        assert told.retry_after is None or 0 <= told.retry_after < float("inf")
    LOOP.run_until_complete(read_events(response))


async def read_events(response: Any) -> None:
    opened = stream.EventStream(response)
    try:
        async for event in opened.events():
            assert isinstance(event.data, str)
    except ServerUnreachable as error:
        assert re.search(r"\S", str(error))
    assert opened.retry is None or 0 <= opened.retry < 100_000


LOOP: Final = asyncio.new_event_loop()

AGENT: Final = (
    f'{{"agentId":"a","name":"n","group":"g","version":null,"routeIds":["r"],"capabilities":{{}},'
    f'"instanceId":null,"status":"LIVE","connected":true,"registeredAt":{AT},'
    f'"lastHeartbeatAt":{AT},"statusChangedAt":{AT}}}'
)
TARGETS: Final[dict[str, tuple[Callable[[bytes], None], list[str]]]] = {
    "body": (
        body,
        [
            '{"agentId":"a","group":"g","name":"n","version":"1","routeIds":["r","s"]}',
            '{"agentId":"a","group":"g","capabilities":["trace"],"instanceId":"i"}',
            '{"agentId":"a","group":"g","capabilities":{"x":[1,2.5,null,true,{"y":"z"}]}}',
            '{"type":"replay","payload":{"n":18446744073709551615,"m":-9223372036854775808}}',
            '{"type":"config-update","payload":{"a":1.0,"a":[[[[]]]],"\\u2028":"\\r\\n\\u0000"}}',
            '{"status":"FAILURE","message":"m","data":{"x":1e300}}',
            '{"data":[1,[2,[3,[]]]],"data":"\\ud83d\\ude00"}',
        ],
    ),
    "address": (
        address,
        [
            "status=LIVE,stale&status=dead&group=g&limit=10&wait=1.5&after=a",
            "types=agent-registered&lastEventId=12&wait=1e-05&group=a,b",
            "limit=0&wait=.&status=%4c%49VE&group=%00&x=%zz",
        ],
    ),
    "configuration": (
        configuration,
        [
            'stale_after = "90s"\nheartbeat_interval = 30\nport = 8081\n',
            'public_url = "https://registry.example/x"\nrequire_protocol_version = true\n',
            "max_body = 1_000\ncommand_ttl = 1.5\n[other]\nx = [1, {y = 2}]\n",
        ],
    ),
    "setting": (
        setting,
        ["5m", "1.5 h", "500ms", "true", "1048576", "https://registry.example:8081/x", "::1"],
    ),
    "answer": (
        answer,
        [
            f"\n{AGENT}",
            f"\n[{AGENT}]",
            '\n{"agentId":"a","status":"LIVE","resumed":false,"sseEndpoint":"/x",'
            '"serverPublicKey":null,"config":{"heartbeatIntervalMs":1,"staleAfterMs":2,'
            '"deadAfterMs":3,"keepaliveIntervalMs":4,"commandTtlMs":5}}',
            '5\n{"type":"urn:cameleer:problem:invalid-request","title":"t","status":400,'
            '"detail":"d","errors":[{"path":"$","message":"m"}]}',
            f'\nretry: 3000\n: connected\n:\nid: 1\nevent: replay\ndata: {{"commandId":"c",'
            f'"type":"replay","payload":{{}},"createdAt":{AT},"expiresAt":{AT}}}\n\n',
        ],
    ),
}
"""What is fuzzed, and what is known to reach far into it."""


def main(name: str, folder: str, *options: str) -> None:
    """Fuzz a target; ends with status 0 where nothing was found."""
    target, seeds = TARGETS[name]
    where = Path(folder)
    if where.is_dir():
        for number, seed in enumerate(seeds):
            (where / f"seed-{number}").write_text(seed)
        words = set(re.findall(r"[\w-]+", "".join(seeds)))
        dictionary = where.parent / f"{where.name}.words"
        dictionary.write_text("\n".join(f'"{word}"' for word in sorted(words) if word.isascii()))
        options = (f"-dict={dictionary}", f"-artifact_prefix={where.parent}/", *options)
    atheris.Setup([sys.argv[0], folder, "-max_len=4096", "-timeout=20", *options], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
