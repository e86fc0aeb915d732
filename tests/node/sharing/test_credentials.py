"""Credentials over many nodes: what one has given out, or taken away, the others know."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from cameleer_registry.core.inputs import Mark
from cameleer_registry.errors import CannotJoin, SettingsError
from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.security import lines
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import KeySet, Use
from cameleer_registry.security.lines import Kind
from cameleer_registry.security.principals import Reclaim, Role

from ...closed import RING
from ...support import eventually, following, streaming, within
from .closed import Guarded, guarded, shows
from .world import Member

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


async def test_a_token_made_at_one_is_good_at_the_other_at_once() -> None:
    """A 401 is never said for mere lag, however soon it is shown elsewhere."""
    async with guarded("a", "b") as of:
        a, b = of.members
        for _ in range(20):
            made = await of.ask(a, "admin", "POST", "/auth/tokens", {"role": "viewer"})
            assert 201 == made.status
            assert "x-cameleer-position" in made.headers
            shown = await of.ask(b, made.json()["token"], "GET", "/agents")
            assert 200 == shown.status
        assert 200 == (await of.ask(b, "metrics", "GET", "//metrics")).status
        await of.level()


async def test_a_node_that_is_behind_looks_before_it_says_401_or_404() -> None:
    """For a token, a session, and an agent that has come into somebody's scope."""
    async with guarded("a", "b") as of:
        a, b = of.members
        of.tokens["viewer of h"] = await of.create(a, Role.VIEWER, groups=("h",))
        await of.enrol(a, "x", "g")
        await of.level()
        b.log.cut = True
        made = await of.create(a, Role.VIEWER)
        cookie = {"Cookie": await sign_in(of, a, token=made)}
        await of.enrol(a, "x", "h")
        asking = [
            asyncio.create_task(each)
            for each in (
                of.ask(b, made, "GET", "/agents"),
                b.request("GET", "/agents", headers=cookie),
                of.ask(b, "viewer of h", "GET", "/agents/x"),
                b.request("POST", "/auth/session", {"token": made}, headers=SAME_ORIGIN),
                b.request("DELETE", "/auth/session", headers=cookie | SAME_ORIGIN),
            )
        ]
        await asyncio.sleep(0.2)
        assert not any(each.done() for each in asking)
        b.log.heal()
        answers = await within(asyncio.gather(*asking))
        assert [200, 200, 200, 204, 204] == [answer.status for answer in answers]
        await of.level()


async def test_what_is_no_token_is_refused_everywhere() -> None:
    """Garbage costs no look at the log; what has the form of a token costs a share of one."""
    async with guarded("a") as of:
        [a] = of.members
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        before = of.engine.last
        for text in ("x", "camo_x", f"{of.tokens['admin']}!", "camo_" + "a" * 36):
            answer = await of.ask(a, text, "GET", "/agents")
            assert (401, "invalid-token") == (answer.status, answer.code)
        assert of.engine.last - before < 5
        began = loop.time()
        unknown = await asyncio.gather(
            *(of.ask(a, f"eyJ{number}.x.y", "GET", "/agents") for number in range(100))
        )
        assert {(401, "invalid-token")} == {(each.status, each.code) for each in unknown}
        assert of.engine.last - before < 60 * max(1, loop.time() - began)


async def test_a_node_that_is_cut_off_says_nothing_of_a_token_that_it_does_not_know() -> None:
    """It may be good elsewhere."""
    async with guarded("a", "b") as of:
        a, b = of.members
        await of.level()
        loop = asyncio.get_running_loop()
        b.shared.part.contact.clock = lambda: loop.time() + 20
        b.log.cut = True
        made = await of.create(a, Role.VIEWER)
        answer = await of.ask(b, made, "GET", "/agents")
        assert (503, "not-in-contact") == (answer.status, answer.code)
        assert 200 == (await of.ask(b, "viewer", "GET", "/agents")).status


async def test_what_stands_on_a_revoked_token_ends_at_every_node() -> None:
    """Streams, feeds and sessions, within a second; and the token is refused everywhere."""
    async with guarded("a", "b") as of, AsyncExitStack() as stack:
        a, b = of.members
        made = await of.ask(a, "admin", "POST", "/auth/tokens", {"role": "operator"})
        token_id, token = made.json()["tokenId"], made.json()["token"]
        cookie = await sign_in(of, b, token=token)
        followers = [
            await stack.enter_async_context(following(at, headers=shows(token))) for at in (a, b)
        ]
        by_session = {"Cookie": cookie}
        assert 200 == (await a.request("GET", "/agents", headers=by_session)).status
        revoked = await of.ask(b, "admin", "DELETE", f"/auth/tokens/{token_id}")
        assert 204 == revoked.status
        for follower in followers:
            await within(follower.closed())
        position = {"X-Cameleer-Position": revoked.headers["x-cameleer-position"]}
        for at in (a, b):
            refused = await of.ask(at, token, "GET", "/agents", headers=position)
            assert (401, "credential-revoked") == (refused.status, refused.code)
            refused = await at.request("GET", "/agents", headers=by_session | position)
            assert (401, "credential-revoked") == (refused.status, refused.code)
        await of.level()


async def test_an_agents_token_is_good_everywhere_until_it_is_revoked_anywhere() -> None:
    """Its stream ends at whichever node; it may enrol again at once."""
    async with guarded("a", "b") as of:
        a, b = of.members
        assert 201 == (await of.enrol(a, "x")).status
        token = of.tokens["x"]
        assert 204 == (await of.ask(b, "x", "POST", "/agents/x/heartbeat")).status
        async with streaming(b, "x", headers=shows(token)) as stream:
            assert 204 == (await of.ask(a, "admin", "DELETE", "/agents/x/token")).status
            await within(stream.closed())
        refused = await of.ask(b, token, "POST", "/agents/x/heartbeat")
        assert (401, "credential-revoked") == (refused.status, refused.code)
        assert 200 == (await of.enrol(b, "x")).status
        assert 204 == (await of.ask(a, "x", "POST", "/agents/x/heartbeat")).status
        await of.level()


async def test_a_renewal_at_one_extends_the_stream_at_the_other() -> None:
    """The stream stands on the new token from then on."""
    async with guarded("a", "b") as of:
        a, b = of.members
        await of.enrol(a, "x")
        async with streaming(b, "x", headers=shows(of.tokens["x"])):
            stream = b.node.streams.of("x")
            assert stream is not None
            before = stream.principal
            renewed = await of.ask(a, "x", "POST", "/agents/x/token")
            assert 200 == renewed.status
            assert "x-cameleer-position" in renewed.headers
            await eventually(lambda: stream.principal is not before)
            assert stream.principal is not None
            b.node.authority.verifier.recheck(stream.principal, now=b.node.clock.now())
            token = renewed.json()["credential"]["accessToken"]
            assert 204 == (await of.ask(b, token, "POST", "/agents/x/heartbeat")).status
        await of.level()


async def test_uses_are_counted_in_the_order_of_the_log() -> None:
    """Two nodes at once do not let one more in; who is known counts no more."""
    async with guarded("a", "b") as of:
        a, b = of.members
        of.tokens["few"] = await of.create(a, Role.ENROL, uses=3)
        await of.level()
        answers = await asyncio.gather(
            *(of.enrol((a, b)[n % 2], f"x-{n}", kind="few") for n in range(8))
        )
        assert [201] * 3 + [401] * 5 == sorted(answer.status for answer in answers)
        assert {"token-expired"} == {each.code for each in answers if each.status == 401}
        known = next(n for n, answer in enumerate(answers) if answer.status == 201)
        assert 200 == (await of.enrol(b, f"x-{known}", kind="few")).status
        listed = (await of.ask(b, "admin", "GET", "/auth/tokens")).json()
        assert [3] == [each["used"] for each in listed if each["uses"] == 3]
        await of.level()


async def test_who_may_take_an_id_over_is_judged_in_the_order_of_the_log() -> None:
    """And of what was refused the feed tells at both."""
    async with guarded("a", "b") as of:
        a, b = of.members
        of.tokens["lapsed"] = await of.create(a, Role.ENROL, reclaim=Reclaim.LAPSED)
        async with following(b, headers=shows(of.tokens["viewer"])) as feed:
            first, second = await asyncio.gather(
                of.enrol(a, "x", kind="lapsed"), of.enrol(b, "x", kind="lapsed")
            )
            assert [201, 409] == sorted((first.status, second.status))
            told = [(await feed.event())["event"] for _ in range(3)]
            assert {"agent-registered", "credential-issued", "credential-conflict"} == set(told)
        await of.level()


async def test_sessions_are_good_everywhere() -> None:
    """By a token or by a one-time code, made at one and spent at the other; and they end so."""
    async with guarded("a", "b") as of:
        a, b = of.members
        cookie = {"Cookie": await sign_in(of, a, token=of.tokens["viewer"])}
        assert 200 == (await b.request("GET", "/agents", headers=cookie)).status
        made = await of.ask(a, "admin", "POST", "/auth/session/code")
        assert 201 == made.status
        code = made.json()["code"]
        by_code = {"Cookie": await sign_in(of, b, code=code)}
        assert 200 == (await a.request("GET", "/auth/tokens", headers=by_code)).status
        again = await a.request("POST", "/auth/session", {"code": code}, headers=SAME_ORIGIN)
        assert (401, "invalid-token") == (again.status, again.code)
        out = await b.request("DELETE", "/auth/session", headers=cookie | SAME_ORIGIN)
        assert 204 == out.status
        position = {"X-Cameleer-Position": out.headers["x-cameleer-position"]}
        over = await a.request("GET", "/agents", headers=cookie | position)
        assert (401, "credential-revoked") == (over.status, over.code)
        await of.level()


async def sign_in(of: Guarded, at: Member, **shown: str) -> str:
    """Open a session at a node; return the cookie."""
    answer = await at.request("POST", "/auth/session", shown, headers=SAME_ORIGIN)
    assert 204 == answer.status, answer.body
    return answer.headers["set-cookie"].partition(";")[0]


async def test_one_of_two_spends_a_code() -> None:
    """Where both nodes are shown it at once."""
    async with guarded("a", "b") as of:
        code = (await of.ask(of.members[0], "admin", "POST", "/auth/session/code")).json()["code"]
        answers = await asyncio.gather(
            *(
                at.request("POST", "/auth/session", {"code": code}, headers=SAME_ORIGIN)
                for at in of.members
            )
        )
        assert [204, 401] == sorted(answer.status for answer in answers)


async def test_idempotency_keys_are_each_principals_own() -> None:
    """At whichever node they are used."""
    async with guarded("a", "b") as of:
        a, b = of.members
        await of.enrol(a, "x")
        key = {"Idempotency-Key": '"k"'}
        path, order = "/agents/x/commands", {"type": "replay"}
        ids = [
            (await of.ask(at, kind, "POST", path, order, headers=key)).json()["commandId"]
            for at, kind in ((a, "operator"), (b, "operator"), (b, "admin"), (a, "admin"))
        ]
        assert ids[0] == ids[1] != ids[2] == ids[3]


async def test_commands_are_signed_in_one_order() -> None:
    """The line is the same at every node, and its order grows as the log does."""
    async with guarded("a", "b") as of:
        a, b = of.members
        await of.enrol(a, "x")
        await of.enrol(b, "y")
        async with (
            streaming(a, "x", headers=shows(of.tokens["x"])) as at_a,
            streaming(b, "y", headers=shows(of.tokens["y"])) as at_b,
        ):
            await asyncio.gather(
                *(
                    of.ask(at, "admin", "POST", "/agents/commands", {"type": "replay"})
                    for at in (a, b) * 10
                )
            )
            told_a = [(await at_a.event())["data"] for _ in range(20)]
            told_b = [(await at_b.event())["data"] for _ in range(20)]
        assert told_a == told_b
        orders = [line["order"] for line in told_a]
        assert orders == sorted(set(orders))
        fetched = (await of.ask(b, "x", "GET", "/agents/x/commands?status=PENDING")).json()
        assert told_a == [orjson.loads(each["signed"]) for each in reversed(fetched)]
        for each in fetched:
            check(each["signed"])
        await of.level()


def check(line: str) -> dict[str, Any]:
    """Verify a command as an agent does; return what it says."""
    key = RING.signing(Use.COMMAND)
    assert key is not None
    return lines.verify(line.encode(), Kind.COMMAND, lambda _: key.public)


async def test_a_joiner_knows_all_of_it_from_a_snapshot() -> None:
    """Tokens, what they were used for, sessions, codes, revocations, and where the order is."""
    async with guarded("a") as of:
        [a] = of.members
        of.tokens["few"] = await of.create(a, Role.ENROL, uses=1)
        await of.enrol(a, "x", kind="few")
        gone = await of.create(a, Role.VIEWER)
        listed = (await of.ask(a, "admin", "GET", "/auth/tokens")).json()
        await of.ask(a, "admin", "DELETE", f"/auth/tokens/{listed[-1]['tokenId']}")
        cookie = {"Cookie": await sign_in(of, a, token=of.tokens["viewer"])}
        code = (await of.ask(a, "admin", "POST", "/auth/session/code")).json()["code"]
        await of.ask(a, "admin", "POST", "/agents/x/commands", {"type": "replay"})
        a.shared.tell(Mark())
        await eventually(lambda: a.shared.copying.snapshot_position > 0)
        b = await of.enter("b")
        await of.level()
        assert "credential-revoked" == (await of.ask(b, gone, "GET", "/agents")).code
        assert "token-expired" == (await of.enrol(b, "y", kind="few")).code
        assert 204 == (await of.ask(b, "x", "POST", "/agents/x/heartbeat")).status
        assert 200 == (await b.request("GET", "/agents", headers=cookie)).status
        await sign_in(of, b, code=code)
        await of.ask(b, "admin", "POST", "/agents/x/commands", {"type": "replay"})
        pending = (await of.ask(b, "x", "GET", "/agents/x/commands?status=PENDING")).json()
        newer, older = (check(each["signed"])["order"] for each in pending)
        assert newer > older
        await of.level()


async def test_a_node_with_other_keys_does_not_take_part() -> None:
    """It is told why, in one line; and so is one without keys."""
    async with guarded("a") as of:
        other = KeyRing.generate(at=RING.keys.issued_at)
        with pytest.raises(Exception, match="the keys are those of the registry") as refused:
            await of.enter("b", other)
        assert "\n" not in str(refused.value)
        with pytest.raises(Exception, match="keys_file"):
            await of.enter("c", None, mode=Mode.OFF)
        assert ["a"] == [each.name for each in of.members[0].node.nodes()]


async def test_keys_are_compared_wherever_the_log_has_published_them() -> None:
    """In its snapshot, or behind it; and where a command was signed with them since."""
    async with guarded("a") as of:
        [a] = of.members
        await of.enrol(a, "x")
        await of.ask(a, "admin", "POST", "/agents/x/commands", {"type": "replay"})
        for marked in (False, True):
            if marked:
                a.shared.tell(Mark())
                await eventually(lambda: a.shared.copying.snapshot_position > 0)
            for ring in (KeyRing.generate(at=RING.keys.issued_at), None):
                with pytest.raises((CannotJoin, SettingsError), match="keys"):
                    await of.enter("b", ring, mode=Mode.OFF)
        b = await of.enter("b")
        assert 204 == (await of.ask(b, "x", "POST", "/agents/x/heartbeat")).status
        await of.level(a, b)


async def test_a_node_that_joins_before_keys_are_published_is_compared_with_the_others() -> None:
    """Also while another one, without keys, keeps them from being published."""
    of = Guarded()
    try:
        open_one = await of.enter("a", None, mode=Mode.OFF)
        b = await of.enter("b")
        with pytest.raises(CannotJoin, match="has those of"):
            await of.enter("c", KeyRing.generate(at=RING.keys.issued_at))
        assert b.node.authority.credentials.key_set is None
        assert 404 == (await b.request("GET", "/keys")).status
        await open_one.end()
        await eventually(lambda: b.node.authority.credentials.key_set is not None)
        assert b.node.signer.public_key is not None
        assert 200 == (await b.request("GET", "/keys")).status
    finally:
        await of.end()


async def test_a_key_signs_when_every_node_holds_it() -> None:
    """Announced at one, given to the other, and then active at both; their lines verify."""
    async with guarded("a", "b") as of:
        a, b = of.members
        await of.enrol(a, "x")
        announced = await of.ask(a, "admin", "POST", "/keys/command/rotate")
        assert 200 == announced.status
        keys = KeySet.read(announced.body, root=RING.root_id)
        new = keys.next(Use.COMMAND)
        assert new is not None
        refused = await of.ask(a, "admin", "POST", "/keys/command/rotate")
        assert (400, "invalid-request") == (refused.status, refused.code)
        assert b"b does not" in refused.body
        held = a.node.authority.holding
        assert held is not None
        assert b.node.authority.holding is not None
        b.node.authority.holding._private |= held._private  # as if the file had been copied
        await eventually(lambda: new.key_id in b.shared.holds)
        await of.level()
        activated = await of.ask(a, "admin", "POST", "/keys/command/rotate")
        assert 200 == activated.status, activated.body
        issued = await of.ask(b, "admin", "POST", "/agents/x/commands", {"type": "replay"})
        assert 202 == issued.status
        [pending] = (await of.ask(a, "x", "GET", "/agents/x/commands?status=PENDING")).json()
        assert new.key_id == orjson.loads(pending["signed"])["keyId"]
        shown = [(await of.ask(at, None, "GET", "/keys")).body for at in (a, b)]
        assert shown[0] == shown[1] == activated.body
        await of.level()


async def test_a_revoked_key_ends_what_it_has_signed_at_every_node() -> None:
    """Agents whose token it has signed enrol again; if it was to sign next it is only gone."""
    async with guarded("a", "b") as of:
        a, b = of.members
        await of.enrol(a, "x")
        old = of.tokens["x"]
        key = RING.keys.active(Use.TOKEN)
        assert key is not None
        refused = await of.ask(a, "admin", "DELETE", f"/keys/{key.key_id}")
        assert 400 == refused.status
        await of.ask(a, "admin", "POST", "/keys/token/rotate")
        assert a.node.authority.holding is not None
        assert b.node.authority.holding is not None
        b.node.authority.holding._private |= a.node.authority.holding._private
        await eventually(lambda: len(b.shared.holds) == 3)
        async with streaming(b, "x", headers=shows(old)) as stream:
            revoked = await of.ask(a, "admin", "DELETE", f"/keys/{key.key_id}")
            assert 200 == revoked.status, revoked.body
            await within(stream.closed())
        over = await of.ask(b, old, "POST", "/agents/x/heartbeat")
        assert (401, "credential-revoked") == (over.status, over.code)
        assert 200 == (await of.enrol(b, "x")).status
        assert 204 == (await of.ask(a, "x", "POST", "/agents/x/heartbeat")).status
        await of.level()


async def test_the_feed_tells_of_credentials_with_the_same_ids() -> None:
    """At whichever node they were given out."""
    async with guarded("a", "b") as of:
        a, b = of.members
        shown = shows(of.tokens["viewer"])
        async with following(a, headers=shown) as at_a, following(b, headers=shown) as at_b:
            await of.enrol(a, "x")
            await of.ask(b, "admin", "DELETE", "/agents/x/token")
            await of.enrol(b, "x")
            told: tuple[list[Any], list[Any]] = ([], [])
            for events, feed in zip(told, (at_a, at_b), strict=True):
                while [each["event"] for each in events].count("credential-issued") < 2:
                    events.append(await feed.event())
            assert told[0] == told[1]
            assert "credential-revoked" in [each["event"] for each in told[0]]
