"""What is outside of a token's groups does not exist for its holder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from cameleer_registry.core.feed import FeedType
from cameleer_registry.core.instant import Instant
from cameleer_registry.core.model import Registration
from cameleer_registry.core.queries import TARGETS_AT_ONCE
from cameleer_registry.core.registry import Registry
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.core.scoping import MANY, agents_within
from cameleer_registry.core.selection import CommandSelection
from cameleer_registry.core.targets import Targets
from cameleer_registry.node.feed.narrowing import Narrowing
from cameleer_registry.node.feed.news import News
from cameleer_registry.node.resumption import Resumption
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import Use
from cameleer_registry.security.store import LONGEST_LIFE_MS

from ..closed import RING, Closed, closed
from ..core.conversations import limits, registration
from ..support import connected, within


@asynccontextmanager
async def two_groups() -> AsyncIterator[tuple[Closed, dict[str, str]]]:
    """Serve ``a`` of ``g`` and ``b`` of ``other``, with commands to each, their groups and all."""
    async with closed() as served:
        ids = {}
        for name, path in {
            "a": "/agents/a",
            "b": "/agents/b",
            "g": "/agents/groups/g",
            "other": "/agents/groups/other",
            "all": "/agents",
        }.items():
            answer = await served.ask("admin", "POST", f"{path}/commands", {"type": "replay"})
            assert 202 == answer.status, name
            ids[name] = answer.json()["commandId"]
        for agent_id, status in {"a": "SUCCESS", "b": "FAILURE"}.items():
            body = {"status": status, "message": f"of {agent_id}"}
            path = f"/agents/{agent_id}/commands/{ids['all']}/ack"
            assert 200 == (await served.ask(agent_id, "POST", path, body)).status
        yield served, ids


async def seen(served: Closed, path: str) -> Any:
    answer = await served.ask("viewer of g", "GET", path)
    assert 200 == answer.status, path
    return answer.json()


async def test_lists_and_counts() -> None:
    """Agents, groups and commands."""
    async with two_groups() as (served, ids):
        assert ["a"] == [one["agentId"] for one in await seen(served, "/agents")]
        assert [] == await seen(served, "/agents?group=other")
        assert ["a"] == [one["agentId"] for one in await seen(served, "/agents?limit=5&group=g")]
        assert ["g"] == [one["group"] for one in await seen(served, "/agents/groups")]
        commands = await seen(served, "/commands")
        assert [ids["all"], ids["g"], ids["a"]] == [one["commandId"] for one in commands]
        assert 1 == commands[0]["targetCount"]
        assert [] == await seen(served, "/commands?agentId=b")
        assert [] == await seen(served, "/commands?group=other")
        # To whom sees b it is acknowledged, too; but the counts are of what is seen.
        assert {"SUCCESS": 1, "FAILURE": 0} == commands[0]["outcomes"]


async def test_by_id() -> None:
    """404, as if there were no such thing."""
    async with two_groups() as (served, ids):
        for kind in ("viewer of g", "operator of g"):
            for path, code in {
                "/agents/b": "agent-not-registered",
                "/agents/b/commands": "agent-not-registered",
                f"/commands/{ids['b']}": "command-not-found",
                f"/commands/{ids['other']}": "command-not-found",
                f"/commands/{ids['b']}?wait=1": "command-not-found",
                f"/commands/{ids['b']}/deliveries": "command-not-found",
            }.items():
                assert code == (await served.ask(kind, "GET", path)).code, path
            nobody = (await served.ask(kind, "GET", "/agents/nobody")).json()
            other = (await served.ask(kind, "GET", "/agents/b")).json()
            assert nobody == {**other, "detail": other["detail"].replace("'b'", "'nobody'")}


async def test_what_is_shown_of_a_command_to_all() -> None:
    """As far as it went to agents that are seen."""
    async with two_groups() as (served, ids):
        command = await seen(served, f"/commands/{ids['all']}")
        assert {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 0} == command["counts"]
        assert {"SUCCESS": 1, "FAILURE": 0} == command["outcomes"]
        assert [] == command["skipped"]
        deliveries = await seen(served, f"/commands/{ids['all']}/deliveries")
        assert ["a"] == [one["agentId"] for one in deliveries]


async def test_broadcasts_to_many_are_looked_at_in_turns() -> None:
    """Of each a part is looked for among all targets, so a turn has fewer of them."""
    many = 2 * MANY
    agents = {f"a{number:04}": "g" if number % 100 == 0 else "other" for number in range(many)}
    async with closed(agents={}) as served:
        for agent_id, group in agents.items():
            await served.node.register(
                Registration(agent_id=AgentId(agent_id), group=GroupName(group))
            )
        first = "/agents/a0000"
        assert 204 == (await served.ask("admin", "DELETE", first)).status
        issued = []
        for _ in range(5):
            answer = await served.ask("admin", "POST", "/agents/commands", {"type": "replay"})
            issued.append(answer.json()["commandId"])
        listed = await seen(served, "/commands")
        assert issued[::-1] == [one["commandId"] for one in listed]
        assert {many // 100 - 1} == {one["targetCount"] for one in listed}
        assert {many // 100 - 1} == {one["counts"]["PENDING"] for one in listed}

        within = ("g",).__contains__
        queries, now = served.node.registry, served.node.clock.now()
        found, before = queries.commands(
            CommandSelection(), now=now, limit=5, look_at=2 * many // TARGETS_AT_ONCE, within=within
        )
        assert 2 == len(found)
        found, _ = queries.commands(
            CommandSelection(), now=now, limit=5, before=before, within=within
        )
        assert 3 == len(found)


async def test_commands_and_deletions() -> None:
    """To what does not exist nothing is sent, and all needs the scope of everything."""
    async with two_groups() as (served, _):
        body = {"type": "replay"}
        for path, code in {
            "/agents/b/commands": "agent-not-registered",
            "/agents/groups/other/commands": "group-not-found",
            "/agents/commands": "insufficient-role",
        }.items():
            assert code == (await served.ask("operator of g", "POST", path, body)).code
        for path in ("/agents/a/commands", "/agents/groups/g/commands"):
            assert 202 == (await served.ask("operator of g", "POST", path, body)).status
        for path in ("/agents/b", "/agents/b/token", "/agents/nobody/token"):
            answer = await served.ask("operator of g", "DELETE", path)
            assert "agent-not-registered" == answer.code
        assert "insufficient-role" == (await served.ask("viewer of g", "GET", "//metrics")).code


async def test_enrolment() -> None:
    """Neither into another group, nor out of one."""
    async with two_groups() as (served, _):
        served.tokens["narrow"] = served.tokens["enrol of g"]
        assert "group-not-allowed" == (await served.enrol("n", "other", kind="narrow")).code
        assert "group-not-allowed" == (await served.enrol("b", "g", kind="narrow")).code
        assert "group-not-allowed" == (await served.enrol("a", "other", kind="a")).code
        assert "not-your-agent" == (await served.enrol("n", "g", kind="a")).code
        assert 200 == (await served.enrol("a", "g", kind="narrow")).status


async def test_the_feed() -> None:
    """Nothing of agents, commands or credentials of other groups is told."""
    async with two_groups() as (served, ids):
        first = served.node.feed._ring.first_id - 1
        async with connected(served) as feed:
            head = [
                *("GET /api/v1/events HTTP/1.1", f"Host: {served.host}", f"Last-Event-ID: {first}"),
                f"Authorization: Bearer {served.tokens['viewer of g']}",
            ]
            feed.writer.write("\r\n".join([*head, "", ""]).encode())
            await feed.head()
            await served.ask("admin", "POST", "/agents/a/commands", {"type": "deep-trace"})
            told: list[dict[str, Any]] = []
            while not told or told[-1]["data"].get("type") != "deep-trace":
                event = await within(feed.event())
                told.append(event)
        text = json.dumps(told)
        for secret in ('"b"', '"other"', ids["b"], ids["other"], "of b"):
            assert secret not in text
        issued = [one["data"] for one in told if one["event"] == "command-issued"]
        assert {"a": 1, "g": 1, "all": 1} == {
            name: one["targetCount"]
            for name in ids
            for one in issued
            if one["commandId"] == ids[name]
        }
        [acknowledged] = [one["data"] for one in told if one["event"] == "delivery-acknowledged"]
        assert ["a"] == acknowledged["agentIds"]
        assert [] == acknowledged["failures"]


async def test_an_event_is_narrowed_once_for_all_who_see_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many follow, a look at all targets of a broadcast is taken once for a scope."""
    narrowed: Counter[tuple[Narrowing, FeedType]] = Counter()
    of = Narrowing.of

    def counted(self: Narrowing, news: News) -> News | None:
        narrowed[self, news.type] += 1
        return of(self, news)

    monkeypatch.setattr(Narrowing, "of", counted)
    async with two_groups() as (served, _), AsyncExitStack() as stack:
        kinds = ["viewer of g", "operator of g", "viewer of g"]
        feeds = [await stack.enter_async_context(connected(served)) for _ in kinds]
        for feed, kind in zip(feeds, kinds, strict=True):
            head = ["GET /api/v1/events HTTP/1.1", f"Host: {served.host}"]
            head += [f"Authorization: Bearer {served.tokens[kind]}", "", ""]
            feed.writer.write("\r\n".join(head).encode())
            await feed.head()
            assert "position" == (await within(feed.event()))["event"]
        await served.ask("admin", "POST", "/agents/commands", {"type": "deep-trace"})
        told = [await within(feed.event()) for feed in feeds]
        assert [1, 1, 1] == [one["data"]["targetCount"] for one in told]
        assert told[0] == told[1] == told[2]
        assert [1] == list(narrowed.values())


def test_a_part_of_many_agents_is_in_their_order() -> None:
    """Whether it is put in order or searched for."""
    ids = [f"a{number * 7919 % 3001}" for number in range(3 * MANY)]
    registry = Registry(limits())
    roster = registry._roster
    for number, agent_id in enumerate(sorted(ids)):
        entered = registration(agent_id, "few" if number % 100 == 0 else "most")
        registry.register(entered, now=Instant(0, 0, 0))
    for group in ("few", "most"):
        for agent_ids in (Targets(ids), tuple(ids)):
            found = agents_within(agent_ids, roster, group.__eq__)
            assert [one for one in ids if roster.agents[one].registration.group == group] == found


async def test_a_scoped_viewer_walks_every_address() -> None:
    """And sees nothing of another group, whatever is filled in."""
    async with two_groups() as (served, ids):
        document = (await served.ask(None, "GET", "/openapi.json")).json()
        texts = []
        for path, operations in document["paths"].items():
            if "get" not in operations or path.endswith("/events"):
                continue
            for agent_id, command_id in (("a", ids["all"]), ("b", ids["b"]), ("b", ids["all"])):
                filled = path.format(agentId=agent_id, commandId=command_id, group="other")
                texts.append((await served.ask("viewer of g", "GET", f"/{filled}")).body)
        for text in texts:
            body = json.loads(text) if text[:1] in (b"{", b"[") else None
            if isinstance(body, dict) and "detail" in body:
                continue  # what was asked for is quoted
            for secret in (b'"b"', b'"other"', b"of b"):
                assert secret not in text or b'"openapi"' in text


async def test_an_admin_of_some_groups() -> None:
    """Makes no token for others, nor for what is counted of all; sees and revokes none of them."""
    async with closed() as served:
        kind, path = "admin of g", "/auth/tokens"
        before = len(served.node.authority.credentials.tokens())
        for body in (
            {"role": "viewer"},
            {"role": "admin", "groups": ["*"]},
            {"role": "enrol", "groups": ["g", "other"]},
            {"role": "operator", "groups": ["g*"]},
            {"role": "metrics", "groups": ["g"]},
        ):
            assert "insufficient-role" == (await served.ask(kind, "POST", path, body)).code, body
        assert before == len(served.node.authority.credentials.tokens())
        made = await served.ask(kind, "POST", path, {"role": "operator", "groups": ["g"]})
        assert (201, ["g"]) == (made.status, made.json()["groups"])
        listed = (await served.ask(kind, "GET", path)).json()
        assert made.json()["tokenId"] in {one["tokenId"] for one in listed}
        assert [["g"]] * len(listed) == [one["groups"] for one in listed]
        every = (await served.ask("admin", "GET", path)).json()
        for one in every:
            if one["groups"] != ["g"]:
                answer = await served.ask(kind, "DELETE", f"{path}/{one['tokenId']}")
                nobody = await served.ask(kind, "DELETE", f"{path}/nobody")
                assert "not-found" == answer.code
                assert nobody.json() == {
                    **answer.json(),
                    "detail": answer.json()["detail"].replace(one["tokenId"], "nobody"),
                }
        assert every == (await served.ask("admin", "GET", path)).json(), "none was revoked"
        answer = await served.ask(kind, "DELETE", f"{path}/{made.json()['tokenId']}")
        assert 204 == answer.status
        for method, keys in (("POST", "/keys/command/rotate"), ("DELETE", "/keys/none")):
            assert "insufficient-role" == (await served.ask(kind, method, keys)).code


async def test_what_a_server_found_is_of_all_groups() -> None:
    """So whoever does not see all of them is not told how many there are."""
    async with closed() as served:
        now = served.node.clock.now()
        served.node.life.resumption = Resumption(
            served.node._effects, ["a", "b"], agents=2, since=now, now=now
        )
        for kind, shown in (("viewer", True), ("viewer of g", False)):
            resumed = (await served.ask(kind, "GET", "/server")).json()["resumed"]
            assert shown == (resumed is not None)


async def test_what_cannot_be_an_agent_is_not_revoked() -> None:
    """Nothing would ever be remembered for; who is not known, and could be, is revoked."""
    async with closed() as served:
        before = served.node.authority.credentials.revocations
        for agent_id in ("%C3%97", "a%20b", "-a", "a" * 129):
            answer = await served.ask("admin", "DELETE", f"/agents/{agent_id}/token")
            assert "agent-not-registered" == answer.code, agent_id
        assert before == served.node.authority.credentials.revocations
        assert 204 == (await served.ask("admin", "DELETE", "/agents/nobody/token")).status


async def test_what_is_wrong_about_a_token_is_named_as_it_was_sent() -> None:
    """Not as it is called in this program."""
    async with closed() as served:
        for member in ("expiresInMs", "uses"):
            answer = await served.ask("admin", "POST", "/auth/tokens", {"role": "enrol", member: 0})
            [error] = answer.json()["errors"]
            assert f"$.{member}" == error["path"]


async def test_a_token_for_centuries_is_refused_and_the_others_are_still_listed() -> None:
    """Its end could neither be stored nor shown, and no list would be answered any more."""
    asked = {"role": "viewer", "expiresInMs": 0}
    async with closed() as served:
        for milliseconds in (LONGEST_LIFE_MS + 1, 10**15, 2**63, 2**64 - 1):
            asked["expiresInMs"] = milliseconds
            answer = await served.ask("admin", "POST", "/auth/tokens", asked)
            assert (400, "invalid-request") == (answer.status, answer.code), milliseconds
        asked["expiresInMs"] = LONGEST_LIFE_MS
        assert 201 == (await served.ask("admin", "POST", "/auth/tokens", asked)).status
        assert 200 == (await served.ask("admin", "GET", "/auth/tokens")).status


async def test_a_use_without_a_key_is_not_rotated() -> None:
    """As in memory, where nothing signs commands."""
    ring = KeyRing.generate(at=RING.keys.issued_at, uses=[Use.TOKEN])
    async with closed(ring=ring) as served:
        assert "not-found" == (await served.ask("admin", "POST", "/keys/command/rotate")).code
        assert 200 == (await served.ask("admin", "POST", "/keys/token/rotate")).status
