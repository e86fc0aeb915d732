"""Streams, feeds and sessions end with the credentials that they stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve

from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.errors import StorageUnavailable
from cameleer_registry.node.auth import standing
from cameleer_registry.security.attempts import BURST
from cameleer_registry.security.jwt import Lifetimes
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.principals import Role

from ..closed import RING, Closed, closed
from ..support import Connection, EndOfStream, connected, within


@asynccontextmanager
async def opened(served: Closed, path: str, *headers: str) -> AsyncIterator[Connection]:
    """Open a stream or a feed, and read what it begins with."""
    async with connected(served) as connection:
        head = [f"GET /api/v1{path} HTTP/1.1", f"Host: {served.host}", *headers]
        connection.writer.write("\r\n".join([*head, "", ""]).encode())
        assert 200 == (await connection.head()).status
        assert (await connection.line()).startswith(b"retry: ")
        assert (await connection.line()).startswith(b":")
        yield connection


def shown(served: Closed, kind: str) -> str:
    return f"Authorization: Bearer {served.tokens[kind]}"


async def ended(connection: Connection) -> None:
    """Wait until a stream has ended as it should, or fail within a few seconds."""
    async with asyncio.timeout(10):
        try:
            while True:
                await connection.line()
        except EndOfStream:
            return


async def test_a_stream_ends_when_its_agent_is_revoked() -> None:
    """And the agent cannot open another with what it has."""
    async with closed() as served, opened(served, "/agents/a/events", shown(served, "a")) as stream:
        assert 204 == (await served.ask("operator", "DELETE", "/agents/a/token")).status
        await ended(stream)
        answer = await served.ask("a", "GET", "/agents/a/events")
        assert "credential-revoked" == answer.code


async def test_who_waits_is_not_answered_when_the_token_is_revoked() -> None:
    """What has become of the command is no longer theirs to know."""
    async with closed() as served:
        issued = await served.ask("operator", "POST", "/agents/a/commands", {"type": "replay"})
        path = f"/commands/{issued.json()['commandId']}?wait=60"
        waiting = asyncio.create_task(served.ask("viewer", "GET", path))
        other = asyncio.create_task(served.ask("operator", "GET", path))
        await asyncio.sleep(0.1)
        for one in (await served.ask("admin", "GET", "/auth/tokens")).json():
            if one["role"] == "viewer":
                await served.ask("admin", "DELETE", f"/auth/tokens/{one['tokenId']}")
        assert "credential-revoked" == (await within(waiting)).code
        assert not other.done()
        other.cancel()


async def test_a_stream_of_another_agent_goes_on() -> None:
    """A revocation is one agent's."""
    async with closed() as served, opened(served, "/agents/b/events", shown(served, "b")) as stream:
        await served.ask("operator", "DELETE", "/agents/a/token")
        await served.node.standing.look()
        await served.ask("operator", "POST", "/agents/b/commands", {"type": "replay"})
        assert "replay" == (await stream.event())["event"]


async def test_a_feed_and_a_session_end_with_their_token() -> None:
    """Whoever signed in with it is signed out, too."""
    async with closed() as served:
        answer = await served.ask(None, "POST", "/auth/session", {"token": served.tokens["viewer"]})
        cookie = f"Cookie: {answer.headers['set-cookie'].partition(';')[0]}"
        async with (
            opened(served, "/events", shown(served, "viewer")) as feed,
            opened(served, "/events", cookie) as of_session,
        ):
            listed = (await served.ask("admin", "GET", "/auth/tokens")).json()
            [token_id] = [
                one["tokenId"]
                for one in listed
                if one["role"] == "viewer" and one["groups"] == ["*"]
            ]
            assert 204 == (await served.ask("admin", "DELETE", f"/auth/tokens/{token_id}")).status
            await ended(feed)
            await ended(of_session)


async def test_a_stream_ends_with_its_token_unless_that_is_renewed() -> None:
    """A renewal extends the stream that is open."""
    lifetimes = Lifetimes(token=2, renewable=60)
    async with closed(lifetimes=lifetimes) as served:
        async with (
            opened(served, "/agents/a/events", shown(served, "a")) as renewed,
            opened(served, "/agents/b/events", shown(served, "b")) as forgotten,
        ):
            answer = await served.ask("a", "POST", "/agents/a/token")
            credential = answer.json()["credential"]
            assert 1800 <= credential["expiresInMs"] <= 2200
            stream = served.node.streams.of("a")
            assert stream is not None
            assert stream.principal is not None
            first = served.node.streams.of("b")
            assert first is not None
            assert first.principal is not None
            # As if the renewed one lived longer, which it does when it is renewed before its end.
            later = served.node.clock.now().after(60 * NANOSECONDS)
            served.node.standing.opened(stream, evolve(stream.principal, expires=later))
            await ended(forgotten)
            await served.ask("operator", "POST", "/agents/a/commands", {"type": "replay"})
            assert "replay" == (await renewed.event())["event"]
        assert "token-expired" == (await served.ask("b", "POST", "/agents/b/heartbeat")).code
        assert 200 == (await served.ask("b", "POST", "/agents/b/token")).status


async def test_a_stream_of_a_former_group_ends() -> None:
    """Its holder shall not hear what is sent to the group into which the agent was enrolled."""
    async with closed() as served, opened(served, "/agents/a/events", shown(served, "a")) as stream:
        assert 200 == (await served.enrol("a", "other")).status
        await ended(stream)


async def test_signing_in_and_out() -> None:
    """A cookie that no script reads; changes have to say where they come from."""
    async with closed() as served:
        token = served.tokens["operator"]
        assert (
            "invalid-token"
            == (await served.ask(None, "POST", "/auth/session", {"token": "camo_x"})).code
        )
        answer = await served.ask(None, "POST", "/auth/session", {"token": token})
        assert 204 == answer.status
        set_cookie = answer.headers["set-cookie"]
        assert token not in set_cookie
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            assert part in set_cookie
        cookie = {"Cookie": set_cookie.partition(";")[0]}
        told = (await served.ask(None, "GET", "/auth", headers=cookie)).json()
        assert "operator" == told["principal"]["role"]
        command = {"type": "replay"}
        path = "/agents/a/commands"
        answer = await served.ask(None, "POST", path, command, headers=cookie)
        assert "cross-site-request" == answer.code
        for said in ("none", "", "anything"):
            site = {"Sec-Fetch-Site": said}
            answer = await served.ask(None, "POST", path, command, headers={**cookie, **site})
            assert "cross-site-request" == answer.code, said
        site = {"Sec-Fetch-Site": "same-origin"}
        answer = await served.ask(None, "POST", path, command, headers={**cookie, **site})
        assert 202 == answer.status
        issued_by = answer.json()["issuedBy"]
        assert issued_by
        assert issued_by != told["principal"]["tokenId"], "it is the session's"
        # The header counts before the cookie.
        answer = await served.ask("viewer", "POST", path, command, headers={**cookie, **site})
        assert "insufficient-role" == answer.code
        answer = await served.ask(None, "DELETE", "/auth/session", headers=cookie)
        assert "cross-site-request" == answer.code
        answer = await served.ask(None, "DELETE", "/auth/session", headers={**cookie, **site})
        assert 204 == answer.status
        assert "Max-Age=0" in answer.headers["set-cookie"]
        answer = await served.ask(None, "GET", "/agents", headers=cookie)
        assert "credential-revoked" == answer.code
        answer = await served.ask(None, "GET", "/auth", headers=cookie)
        assert 401 == answer.status, "nobody falls back to being nobody"


async def test_registries_on_one_host_have_cookies_of_their_own() -> None:
    """Browsers send both to both, whatever their ports; nodes of one registry share one."""
    names = []
    for ring in (RING, RING, KeyRing.generate(at=RING.keys.issued_at)):
        async with closed(ring=ring) as served:
            token = served.tokens["viewer"]
            answer = await served.ask(None, "POST", "/auth/session", {"token": token})
            names.append(answer.headers["set-cookie"].partition("=")[0])
    assert names[0] == names[1] != names[2]


async def test_a_code_signs_in_as_its_token_does() -> None:
    """Which a session cannot make, and which is worth nothing when the token is not."""
    async with closed() as served:
        answer = await served.ask("viewer", "POST", "/auth/session/code")
        assert (201, 60_000) == (answer.status, answer.json()["expiresInMs"])
        answer = await served.ask(None, "POST", "/auth/session", {"code": answer.json()["code"]})
        assert 204 == answer.status
        cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
        site = {"Sec-Fetch-Site": "same-origin"}
        path = "/auth/session/code"
        answer = await served.ask(None, "POST", path, headers={**cookie, **site})
        assert "unauthenticated" == answer.code
        code = (await served.ask("viewer", "POST", path)).json()["code"]
        listed = (await served.ask("admin", "GET", "/auth/tokens")).json()
        for one in listed:
            if one["role"] == "viewer":
                await served.ask("admin", "DELETE", f"/auth/tokens/{one['tokenId']}")
        answer = await served.ask(None, "POST", "/auth/session", {"code": code})
        assert "credential-revoked" == answer.code


@pytest.mark.parametrize(
    "body", [{}, {"token": "camo_x", "code": "x"}, {"code": None}, {"code": 1}]
)
async def test_a_sign_in_has_a_token_or_a_code(body: dict[str, object]) -> None:
    async with closed() as served:
        answer = await served.ask(None, "POST", "/auth/session", body)
        assert "invalid-request" == answer.code


async def test_codes_cannot_be_tried_for_ever() -> None:
    """They count as tokens do."""
    async with closed() as served:
        codes = [
            (await served.ask(None, "POST", "/auth/session", {"code": "x"})).code for _ in range(11)
        ]
        assert "too-many-attempts" == codes[-1]


async def test_an_agent_does_not_sign_in() -> None:
    """Its token would outlive its revocation there."""
    async with closed() as served:
        answer = await served.ask(None, "POST", "/auth/session", {"token": served.tokens["a"]})
        assert "invalid-token" == answer.code


async def test_an_enrolment_token_does_not_sign_in() -> None:
    """It is there for agents, which have no browser; by a code neither."""
    async with closed() as served:
        token = served.tokens["enrol"]
        answer = await served.ask(None, "POST", "/auth/session", {"token": token})
        assert (403, "insufficient-role") == (answer.status, answer.code)
        assert "set-cookie" not in answer.headers
        answer = await served.ask("enrol", "POST", "/auth/session/code")
        assert (403, "insufficient-role") == (answer.status, answer.code)
        for role in ("metrics", "viewer", "operator", "admin"):
            answer = await served.ask(None, "POST", "/auth/session", {"token": served.tokens[role]})
            assert 204 == answer.status


async def test_who_has_issued_a_command() -> None:
    """In the command, in the feed, and by the id of the token."""
    async with closed() as served, opened(served, "/events", shown(served, "viewer")) as feed:
        assert "position" == (await event(feed))["event"]
        who = (await served.ask("operator", "GET", "/auth")).json()["principal"]["tokenId"]
        command = await served.ask("operator", "POST", "/agents/commands", {"type": "replay"})
        assert who == command.json()["issuedBy"]
        told = await event(feed)
        assert ("command-issued", who) == (told["event"], told["data"]["issuedBy"])


async def test_keys_of_two_principals_are_two_keys() -> None:
    """Otherwise one would be shown the other's command."""
    async with closed() as served:
        key = {"Idempotency-Key": "k"}
        ids = [
            (
                await served.ask(
                    kind, "POST", "/agents/a/commands", {"type": "replay"}, headers=key
                )
            ).json()["commandId"]
            for kind in ("operator", "admin", "operator")
        ]
        assert ids[0] != ids[1]
        assert ids[0] == ids[2]
        reused = await served.ask(
            "operator", "POST", "/agents/a/commands", {"type": "deep-trace"}, headers=key
        )
        assert "idempotency-key-reused" == reused.code
        assert "'k'" in reused.json()["detail"]


async def event(feed: Connection) -> dict[str, Any]:
    found: dict[str, Any] = await within(feed.event())
    return found


async def test_uses_count_new_agents_only() -> None:
    """A token for one agent registers that again and again, and no other."""
    async with closed(agents={}) as served:
        served.tokens["one"] = served.create(Role.ENROL, uses=1)
        assert 201 == (await served.enrol("n", kind="one")).status
        assert 200 == (await served.enrol("n", kind="one")).status
        assert "token-expired" == (await served.enrol("m", kind="one")).code
        assert "n" in served.node.registry
        assert "m" not in served.node.registry


def test_what_was_revoked_is_looked_for_within_a_second() -> None:
    """In tokens of files, too, which are looked at less often."""
    assert standing.PACE + standing.FILES_EVERY / NANOSECONDS < 1


@pytest.mark.parametrize("theirs", ['prefs={"a":1}', "[x]=1", "novalue", 'q="a', "ü=1", "=", ""])
async def test_cookies_of_others_keep_nobody_from_being_signed_in(theirs: str) -> None:
    """Browsers send those of every program on the host, on whichever port, and in any form."""
    async with closed() as served:
        token = {"token": served.tokens["operator"]}
        answer = await served.ask(None, "POST", "/auth/session", token)
        own = answer.headers["set-cookie"].partition(";")[0]
        for cookies in (f"{theirs}; {own}", f"{own}; {theirs}"):
            headers = {"Cookie": cookies}
            assert 200 == (await served.ask(None, "GET", "/agents", headers=headers)).status


async def test_a_sign_in_that_cannot_be_stored_is_no_failed_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says nothing of the token, whose holder may sign in as soon as there is room."""

    async def kept() -> None:
        raise StorageUnavailable("storage: the disk is full")

    async with closed() as served:
        token = {"token": served.tokens["operator"]}
        with monkeypatch.context() as full:
            full.setattr(served.node, "kept", kept)
            for _ in range(BURST + 1):
                answer = await served.ask(None, "POST", "/auth/session", token)
                assert "storage-unavailable" == answer.code
        assert 204 == (await served.ask(None, "POST", "/auth/session", token)).status
