"""Every answer that the document names is given, and every one that is given is as it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from attrs import frozen

from cameleer_registry import NODE, AgentStatus, DeliveryState, Settings
from cameleer_registry.core.feed import FeedType
from cameleer_registry.errors import NodeBehind, NotInContact, OutcomeUnknown, RegistryError
from cameleer_registry.node.auth.authority import Authority
from cameleer_registry.node.journal.sqlite import condition
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal
from cameleer_registry.security.attempts import BURST
from cameleer_registry.security.facts import CredentialConflict
from cameleer_registry.security.keys import Use
from cameleer_registry.security.principals import Reclaim, Role
from cameleer_registry.web import answers
from cameleer_registry.web.app import make_app
from cameleer_registry.web.gate import Gate
from cameleer_registry.web.inline import InlineRunner

from ...closed import Closed, bearer, closed
from ...support import (
    Answer,
    Served,
    begin_stream,
    connected,
    eventually,
    following,
    open_stream,
    running,
    serving,
    streaming,
)
from .contract import Contract

CONTRACT: Final = Contract.of()

BODIES: Final[Mapping[str, Any]] = {
    "registerAgent": {"agentId": "new", "group": "g"},
    "issueToAgent": {"type": "replay"},
    "issueToGroup": {"type": "replay"},
    "issueToAll": {"type": "replay"},
    "acknowledgeCommand": {"message": "done", "data": [1, None]},
    "createToken": {"role": "viewer"},
    "signIn": {"token": "camo_x"},
}

PARTS: Final[Mapping[str, str]] = {"tokenId": "none", "keyId": "none", "use": "command"}

KINDS: Final[Mapping[str, str]] = {
    "registerAgent": "enrol",
    "sendHeartbeat": "a",
    "streamEvents": "a",
    "acknowledgeCommand": "a",
    "renewToken": "a",
}
"""The kind of credential that an operation takes, where it is not an administrator's."""

CREDENTIALS: Final = frozenset(
    {
        *("unauthenticated", "invalid-token", "token-expired", "credential-revoked"),
        *("insufficient-role", "not-your-agent", "group-not-allowed", "agent-id-in-use"),
        *("credential-in-url", "too-many-attempts"),
    }
)
"""Refusals of a server that asks for credentials."""


@frozen
class Exchange:
    """An operation, and a server with an agent ``a`` of group ``g`` and a command for it.

    It asks for credentials, but where a refusal is for servers that ask for none.
    """

    served: Served
    method: str
    path: str
    command_id: str

    @property
    def body(self) -> Any:
        return BODIES.get(CONTRACT.operation(self.method, self.path)["operationId"])

    def address(self, **ids: str) -> str:
        filled = {"agentId": "a", "group": "g", "commandId": self.command_id, **PARTS, **ids}
        if isinstance(self.served, Closed):
            authority = self.served.node.authority
            assert authority.ring is not None
            key = authority.ring.keys.active(Use.COMMAND)
            assert key is not None
            known = {"tokenId": authority.credentials.tokens()[0].token_id, "keyId": key.key_id}
            filled |= {name: value for name, value in known.items() if name not in ids}
        return f"/{self.path.format_map(filled)}"

    async def ask(self, query: str = "", body: Any = None, **more: Any) -> Answer:
        """Send what is right but for what is given here."""
        return await self.request(self.address() + query, body or self.body, **more)

    async def request(self, address: str, body: Any = None, **more: Any) -> Answer:
        """Send a request to an address, with the credential that is right for it."""
        headers = {**self.credential, **more.pop("headers", {})}
        method = more.pop("method", self.method)
        return await self.served.request(method, address, body, headers=headers, **more)

    @property
    def credential(self) -> dict[str, str]:
        """What has to be shown, if anything."""
        if not isinstance(self.served, Closed) or not self.needs:
            return {}
        return bearer(self.served.tokens[self.kind])

    @property
    def needs(self) -> bool:
        """Whether a credential is needed."""
        return {} not in CONTRACT.operation(self.method, self.path)["security"]

    @property
    def kind(self) -> str:
        """The kind of credential that is right."""
        return KINDS.get(CONTRACT.operation(self.method, self.path)["operationId"], "admin")


@asynccontextmanager
async def closed_exchange(
    method: str, path: str, settings: Settings | None = None, *, database: Path | None = None
) -> AsyncIterator[Exchange]:
    """Have a server that asks for credentials."""
    if database is not None:
        settings = attrs.evolve(settings or Settings(), database=str(database))
    async with closed(settings=settings or Settings()) as served:
        command = await served.ask("operator", "POST", "/agents/a/commands", {"type": "replay"})
        yield Exchange(served, method, path, command.json()["commandId"])


@asynccontextmanager
async def exchange(
    method: str, path: str, settings: Settings | None = None, *, database: Path | None = None
) -> AsyncIterator[Exchange]:
    if database is not None:
        settings = attrs.evolve(settings or Settings(), database=str(database))
    async with serving(settings) as served:
        await served.register("a")
        command_id = (await served.issue("/agents/a", "replay")).json()["commandId"]
        yield Exchange(served, method, path, command_id)


# How each refusal is brought about


async def with_token(asked: Exchange, token: str, **more: Any) -> Answer:
    return await asked.ask(headers=bearer(token), **more)


async def expired(asked: Exchange) -> Answer:
    assert isinstance(asked.served, Closed)
    token = asked.served.create(Role.ADMIN, expires_in_ms=1)
    await asyncio.sleep(0.01)
    return await with_token(asked, token)


async def revoked(asked: Exchange) -> Answer:
    assert isinstance(asked.served, Closed)
    token, node = asked.served.create(Role.ADMIN), asked.served.node
    credentials = node.authority.credentials
    token_id = credentials.tokens()[-1].token_id
    node.carry_out(credentials.revoke_token(token_id, now=node.clock.now()))
    return await with_token(asked, token)


async def unfit(asked: Exchange) -> Answer:
    """Show a credential for something else."""
    assert isinstance(asked.served, Closed)
    if asked.path.endswith("/auth/session"):  # there a token is shown in the body
        return await asked.ask(body={"token": asked.served.tokens["enrol"]})
    kind = "metrics" if asked.kind != "metrics" and asked.path != "/metrics" else "enrol"
    return await with_token(asked, asked.served.tokens[kind])


async def not_yours(asked: Exchange) -> Answer:
    """Show another agent's."""
    assert isinstance(asked.served, Closed)
    return await with_token(asked, asked.served.tokens["b"])


async def other_group(asked: Exchange) -> Answer:
    """Show that of the agent's former group, or enrol into another than the token is for."""
    assert isinstance(asked.served, Closed)
    if asked.kind == "enrol":
        return await with_token(asked, asked.served.tokens["enrol of g"], body=OF_ANOTHER_GROUP)
    old = asked.served.tokens["a"]
    await asked.served.enrol("a", "other")
    return await with_token(asked, old)


OF_ANOTHER_GROUP: Final = {"agentId": "new", "group": "other"}


async def in_use(asked: Exchange) -> Answer:
    assert isinstance(asked.served, Closed)
    token = asked.served.create(Role.ENROL, reclaim=Reclaim.LAPSED)
    return await with_token(asked, token, body={"agentId": "a", "group": "g"})


async def too_many_attempts(asked: Exchange) -> Answer:
    for _ in range(BURST):
        assert "invalid-token" == (await asked.ask()).code
    return await asked.ask()


async def proxied(asked: Exchange) -> Answer:
    """Ask a server that is open because nobody has said otherwise."""
    app = make_app(Settings(), alone=True, authority=Authority(by_default=True))
    async with running(app, runs=InlineRunner) as (host, port):
        served = Served(app[NODE], host, port)
        other = Exchange(served, asked.method, asked.path, asked.command_id)
        return await other.ask(headers={"X-Forwarded-For": "192.0.2.1"})


async def invalid_request(asked: Exchange) -> Answer:
    """By a body, a query, or bytes that are no request."""
    if asked.body:
        return await asked.request(asked.address(), {"status": 1})
    for parameter in CONTRACT.operation(asked.method, asked.path).get("parameters", ()):
        if parameter.get("name") in ("status", "types", "wait"):
            return await asked.ask(f"?{parameter['name']}=x")
    async with connected(asked.served) as connection:
        target = asked.address().removeprefix("/")
        connection.writer.write(f"{asked.method} {target} HTTP/1.1\r\nno header\r\n\r\n".encode())
        return await connection.answer(asked.method)


async def request_timeout(asked: Exchange) -> Answer:
    return await asked.ask(headers={"Content-Length": "1000"})


async def method_not_allowed(asked: Exchange) -> Answer:
    return await asked.request(asked.address(), method="PATCH")


async def internal_error(asked: Exchange) -> Answer:
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gate, "admit", fail)
        return await asked.ask()


async def nobody(asked: Exchange) -> Answer:
    operation = CONTRACT.operation(asked.method, asked.path)["operationId"]
    if isinstance(asked.served, Closed) and operation == "renewToken":
        await asked.served.ask("a", "DELETE", "/agents/a")
        return await asked.ask()
    address = asked.address(agentId="nobody", group="nobody")
    if isinstance(asked.served, Closed):  # to others than these it makes no difference
        return await asked.request(address, headers=bearer(asked.served.tokens["operator of g"]))
    return await asked.request(address, asked.body)


async def no_command(asked: Exchange) -> Answer:
    return await asked.served.request(asked.method, asked.address(commandId="none"), asked.body)


async def nothing(asked: Exchange) -> Answer:
    """An address in which what is to be filled in is nothing."""
    if asked.path == "/api/v1/keys":
        return await asked.ask()
    empty = dict.fromkeys(("agentId", "group", "commandId", "tokenId", "keyId", "use"), "")
    if "{tokenId}" in asked.path or "{keyId}" in asked.path:
        empty = {"tokenId": "none", "keyId": "none"}
    return await asked.request(asked.address(**empty), asked.body)


async def too_late(asked: Exchange) -> Answer:
    node = asked.served.node
    await eventually(lambda: node.deliveries(asked.command_id, states=[DeliveryState.EXPIRED]))
    return await asked.ask()


async def reused(asked: Exchange) -> Answer:
    """Under a key under which something else was asked for."""
    key = {"Idempotency-Key": "k"}
    body = {"type": "deep-trace"}
    await asked.served.request("POST", "/agents/commands", body, headers=key)
    return await asked.ask(headers=key)


async def nothing_can_be_kept(asked: Exchange) -> Answer:
    """The storage has failed: changes are refused, and what is read could be taken back."""
    journal = asked.served.node.journal
    assert isinstance(journal, SqliteJournal)
    journal.fail(OSError("Input/output error"))
    return await asked.ask()


async def more_waits_than_may(asked: Exchange) -> Answer:
    """When somebody is DEAD, so that all of those can be forgotten."""
    node, many = asked.served.node, asked.path == "/api/v1/agents"
    await eventually(lambda: node.agents(statuses=[AgentStatus.DEAD]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(condition, "MOST_WAITING", -1)
        return await asked.ask("?status=DEAD" if many else "")


class CutOff:
    """A node's part in a cluster that fails; tests/node/sharing has real ones."""

    as_of = None
    ailments: Sequence[str] = ()

    def __init__(self, error: RegistryError) -> None:
        self._error = error
        self.shown = self

    def check_level(self) -> None:
        """It has all that it needs to answer."""

    async def level(self) -> None:
        raise self._error  # where only that can be the reason

    async def reached(self, _token: str) -> None:
        raise self._error


def cut_off(error: RegistryError) -> Callable[[Exchange], Awaitable[Answer]]:
    async def ask(asked: Exchange) -> Answer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asked.served.node, "shared", CutOff(error))
            return await asked.ask(headers={"X-Cameleer-Position": "x-1"})

    return ask


async def one_too_many(asked: Exchange) -> Answer:
    async with following(asked.served):
        return await asked.ask()


REFUSALS: Final[Mapping[str, Callable[[Exchange], Awaitable[Answer]]]] = {
    "malformed-json": lambda asked: asked.ask(raw=b"{"),
    "invalid-request": invalid_request,
    "unsupported-protocol-version": lambda asked: asked.ask(headers={answers.VERSION_HEADER: "2"}),
    "cross-site-request": lambda asked: asked.ask(headers={"Sec-Fetch-Site": "cross-site"}),
    "not-found": nothing,
    "agent-not-registered": nobody,
    "group-not-found": nobody,
    "command-not-found": no_command,
    "method-not-allowed": method_not_allowed,
    "request-timeout": request_timeout,
    "command-expired": too_late,
    "body-too-large": lambda asked: asked.ask(body={"message": "x" * 1000}),
    "unsupported-content-encoding": lambda asked: asked.ask(headers={"Content-Encoding": "gzip"}),
    "idempotency-key-reused": reused,
    "too-many-pending": lambda asked: asked.ask(),
    "internal-error": internal_error,
    "at-capacity": lambda asked: asked.ask(),
    "too-many-feeds": one_too_many,
    "unauthenticated": lambda asked: asked.served.request(
        asked.method, asked.address(), asked.body
    ),
    "invalid-token": lambda asked: with_token(asked, "x"),
    "token-expired": expired,
    "credential-revoked": revoked,
    "insufficient-role": unfit,
    "not-your-agent": not_yours,
    "group-not-allowed": other_group,
    "agent-id-in-use": in_use,
    "credential-in-url": lambda asked: asked.ask("?token=x"),
    "too-many-attempts": too_many_attempts,
    "proxied-without-auth": proxied,
    "auth-off": lambda asked: asked.ask(),
    "storage-unavailable": nothing_can_be_kept,
    "storage-slow": more_waits_than_may,
    "not-in-contact": cut_off(NotInContact("cut off")),
    "node-behind": cut_off(NodeBehind("behind")),
    "outcome-unknown": cut_off(OutcomeUnknown("unknown")),
    "unknown-host": lambda asked: asked.ask(headers={"Host": "evil.example"}),
}

SETTINGS: Final[Mapping[str, Settings]] = {
    "request-timeout": Settings(body_timeout=0.01),
    "command-expired": Settings(command_ttl=0.01),
    "body-too-large": Settings(max_body=500),
    "too-many-pending": Settings(max_pending_per_agent=1),
    "at-capacity": Settings(max_agents=1),
    "too-many-feeds": Settings(max_feeds=1),
    "storage-slow": Settings(heartbeat_interval=0.01, stale_after=0.01, dead_after=0.01),
    "unknown-host": Settings(allowed_hosts="registry.example"),  # type: ignore[arg-type]
}


def documented(*, refusals: bool) -> list[tuple[str, str, str]]:
    """Return the codes of every operation's refusals, or the statuses of its other answers."""
    found = []
    for method, path, content in CONTRACT.operations():
        # HEAD has the answers of GET, but for their bodies, from which codes are read.
        seen = CONTRACT.operation("GET" if method == "HEAD" else method, path)["responses"]
        assert seen.keys() == content["responses"].keys()
        for status, response in seen.items():
            content = CONTRACT.resolve(response).get("content", {})
            codes = content.get("application/problem+json", {}).get("examples", ())
            found += [(method, path, code) for code in codes if refusals]
            found += [] if refusals or codes else [(method, path, status)]
    # Who asks with another method than these sees no HEAD.
    return [row for row in found if row[::2] != ("HEAD", "method-not-allowed")]


@pytest.mark.parametrize(("method", "path", "code"), documented(refusals=True))
async def test_every_refusal_is_given(tmp_path: Path, method: str, path: str, code: str) -> None:
    """With its status, its headers and its body."""
    database = tmp_path / "registry.db" if code.startswith("storage-") else None
    without_keys = (path, code) == ("/api/v1/keys", "not-found")
    if code in CREDENTIALS or (code != "auth-off" and not without_keys and is_of_auth(path)):
        made = closed_exchange(method, path, SETTINGS.get(code), database=database)
    else:
        made = exchange(method, path, SETTINGS.get(code), database=database)
    async with made as asked:
        answer = await REFUSALS[code](asked)
    CONTRACT.check(method, path, answer)
    if method == "HEAD":
        assert "application/problem+json" == answer.headers["content-type"]
    else:
        assert code == answer.code


def is_of_auth(path: str) -> bool:
    """Tell whether there is something at an address only if credentials are asked for."""
    return path.startswith(("/api/v1/auth/", "/api/v1/keys")) or path.endswith("/token")


STREAM: Final = "/api/v1/agents/{agentId}/events"
FEED: Final = "/api/v1/events"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [row for row in documented(refusals=False) if row[1] not in (STREAM, FEED)],
)
async def test_every_answer_is_given(method: str, path: str, status: str) -> None:
    """Where everything is right: nothing is missing, and nothing besides."""
    async with (closed_exchange if is_of_auth(path) else exchange)(method, path) as asked:
        body, query = None, ""
        match path, status:
            case "/api/v1/auth/session", _ if method == "POST":
                assert isinstance(asked.served, Closed)
                body = {"token": asked.served.tokens["viewer"]}
            case "/api/v1/agents", _ if method == "DELETE":
                query = "?status=DEAD"
            case "/api/v1/agents/register", "200":
                body = {"agentId": "a", "group": "g"}
            case "/readyz", "503":
                await asked.served.node.shut_down()
        answer = await asked.ask(query, body=body)
    assert int(status) == answer.status
    CONTRACT.check(method, path, answer)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/v1/agents", "?status=Live,dead&status=STALE&group=g&limit=1&after=0"),
        ("/api/v1/agents/{agentId}/commands", "?status=pending,EXPIRED"),
        ("/api/v1/commands", "?status=PENDING&type=Replay,replay&agentId=a&group=g&limit=1"),
        ("/api/v1/commands/{commandId}", "?wait=1e-05"),
        ("/api/v1/commands/{commandId}/deliveries", "?status=pending"),
    ],
)
async def test_answers_to_queries(path: str, query: str) -> None:
    """A page that is not the last one has a link."""
    async with exchange("GET", path) as asked:
        await asked.served.register("b")
        await asked.served.issue("/agents/a", "replay")
        answer = await asked.ask(query)
    assert 200 == answer.status
    CONTRACT.check("GET", path, answer)
    assert ("link" in answer.headers) == ("limit" in query)


async def test_a_delivery_that_is_acknowledged() -> None:
    """Its result is there, in both lists."""
    async with exchange("GET", "/healthz") as asked:
        await asked.served.ack("a", asked.command_id, {"data": 1e300})
        for path in (
            "/api/v1/commands/{commandId}/deliveries",
            "/api/v1/agents/{agentId}/commands",
        ):
            answer = await Exchange(asked.served, "GET", path, asked.command_id).ask()
            assert 1e300 == answer.json()[0]["result"]["data"]
            CONTRACT.check("GET", path, answer)


async def test_the_stream_and_its_events() -> None:
    """Its head, and each event with the data in it."""
    async with exchange("GET", STREAM) as asked, connected(asked.served) as stream:
        CONTRACT.check_head("GET", STREAM, await open_stream(asked.served, stream, "a"))
        await asked.served.issue("/agents/a", payload={"line": "\u2028"})
        event = await stream.event()
    response = CONTRACT.operation("GET", STREAM)["responses"]["200"]
    described = response["content"]["text/event-stream"]["schema"]["contentSchema"]["items"]
    data = described["properties"]["data"].pop("contentSchema")
    assert [] == CONTRACT.faults(data, event["data"])
    assert [] == CONTRACT.faults(described, {**event, "data": ""})
    assert ["id", "event", "data"] == list(event)


async def test_the_feed_and_its_events() -> None:
    """Of every type, with the data in it."""
    # The first command is answered before its deadline, and the second never.
    settings = Settings(command_ttl=2, heartbeat_interval=0.1, stale_after=0.1, dead_after=0.1)
    response = CONTRACT.operation("GET", FEED)["responses"]["200"]
    items = response["content"]["text/event-stream"]["schema"]["contentSchema"]["items"]["oneOf"]
    described = {kind: item for item in items for kind in item["properties"]["event"]["enum"]}
    assert list(FeedType) == sorted(described, key=list(FeedType).index)
    async with exchange("GET", FEED, settings) as asked:
        first = asked.served.node.feed._ring.first_id
        async with AsyncExitStack() as streams:
            for _ in range(4):  # which is a conflict
                await streams.enter_async_context(streaming(asked.served, "a"))
        await asked.served.ack("a", asked.command_id, {"status": "FAILURE", "message": "no"})
        await asked.served.issue("/agents/a")
        node = asked.served.node
        moment, credentials = node.clock.now(), node.authority.credentials
        about: Any = {"at": moment, "agent_id": "a", "group": "g"}
        node.carry_out((CredentialConflict(**about, refused=True),))
        node.carry_out(credentials.create_token("t", "d", Role.VIEWER, now=moment))
        node.carry_out(credentials.revoke_token("t", now=moment))
        node.carry_out(credentials.revoke_agent("a", group="g", now=moment))
        seen: set[str] = set()
        async with following(asked.served, last_event_id="0") as feed:
            seen.add(check(described, await feed.event()))
        async with connected(asked.served) as feed:
            await begin_stream(asked.served, feed, "/events", version="1.1", headers="")
            seen.add(check(described, await feed.event()))
        async with asyncio.timeout(20), following(asked.served, last_event_id=first - 1) as feed:
            while seen != {*FeedType} - {FeedType.AGENT_REMOVED}:
                seen.add(check(described, await feed.event()))
            await asked.served.node.remove("a")
            while FeedType.AGENT_REMOVED not in seen:
                seen.add(check(described, await feed.event()))


def check(described: dict[str, Any], event: dict[str, Any]) -> str:
    """Hold an event against what is said of its type; return that."""
    kind = described[event["event"]]
    data = kind["properties"]["data"]["contentSchema"]
    assert [] == CONTRACT.faults(data, event["data"])
    without = {name: value for name, value in kind["properties"].items() if name != "data"}
    assert [] == CONTRACT.faults({**kind, "properties": without}, event)
    return str(event["event"])
