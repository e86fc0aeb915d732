"""Many agents that enrol at once, and two processes that enrol as one agent."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import Any, Final

from cameleer_registry.security.principals import Reclaim, Role

from ..closed import Closed, closed
from ..support import connected, within
from .test_standing import event, opened, shown

HOUR: Final = 3_600_000
WEEK: Final = 7 * 24 * HOUR
FLEET: Final = 1000


def claims(token: str) -> dict[str, Any]:
    """Return what a token says, as whoever holds it can read it."""
    body = token.split(".")[1]
    said: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return said


async def enrol_all(served: Closed, names: list[str]) -> list[Any]:
    """Enrol agents on one connection; return their credentials."""
    given = []
    async with connected(served) as connection:
        for name in names:
            body = json.dumps({"agentId": name, "group": "g"}).encode()
            head = (
                f"POST /api/v1/agents/register HTTP/1.1\r\nHost: {served.host}\r\n"
                f"{shown(served, 'enrol')}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.writer.write(head.encode() + body)
            answer = await connection.answer()
            assert 201 == answer.status
            given.append(answer.json()["credential"])
    return given


async def test_a_fleet_that_enrols_at_once_does_not_renew_at_once() -> None:
    """Its tokens end at moments that are spread evenly over a fifth of their lifetime."""
    names = [f"n-{number}" for number in range(FLEET)]
    async with closed(agents={}) as served:
        given = await enrol_all(served, names)
        lives = [one["expiresInMs"] for one in given]
        assert 0.9 * HOUR <= min(lives) <= max(lives) <= 1.1 * HOUR
        tenths = Counter(int((life / HOUR - 0.9) / 0.02) for life in lives)
        # A hundred are expected in each: nobody sees fewer than fifty by chance.
        assert all(tenths[tenth] > FLEET / 20 for tenth in range(10)), tenths
        assert len(set(lives)) > 300, "seconds, in which so many tokens end"
        for one in given:
            said = claims(one["accessToken"])
            assert one["expiresInMs"] == 1000 * (said["exp"] - said["iat"])
            assert abs(one["renewAfterMs"] - one["expiresInMs"] * 2 / 3) <= 1
            assert WEEK == one["renewableForMs"]
        # Nor do they when they have been renewed.
        again = []
        for name, one in zip(names[:100], given, strict=False):
            served.tokens[name] = one["accessToken"]
            answer = await served.ask(name, "POST", f"/agents/{name}/token")
            again.append(answer.json()["credential"]["expiresInMs"])
        assert len(set(again)) > 50
        assert max(again) - min(again) > 0.1 * HOUR


async def test_two_processes_with_the_id_of_one_agent() -> None:
    """Whoever follows the feed is told, also of an attempt that was refused, and by whose token."""
    async with closed(agents={}) as served:
        served.tokens["lapsed"] = served.create(Role.ENROL, reclaim=Reclaim.LAPSED)
        assert 201 == (await served.enrol("n", instanceId="first")).status
        listed = (await served.ask("admin", "GET", "/auth/tokens")).json()
        ids = {one["reclaim"]: one["tokenId"] for one in listed if one["role"] == "enrol"}
        async with opened(served, "/events", shown(served, "viewer")) as feed:
            assert "position" == (await event(feed))["event"]
            # Nobody is there who could be another: it may have been started anew.
            assert 200 == (await served.enrol("n", instanceId="second")).status
            assert ["agent-registered", "credential-issued"] == await told(feed, 2)
            async with opened(served, "/agents/n/events", shown(served, "n")):
                assert ["stream-opened"] == await told(feed, 1)
                assert 200 == (await served.enrol("n", instanceId="second")).status
                assert ["agent-registered", "credential-issued"] == await told(feed, 2)
                answer = await served.enrol("n", kind="lapsed", instanceId="third")
                assert (409, "agent-id-in-use") == (answer.status, answer.code)
                conflict = await within(feed.event())
                assert "credential-conflict" == conflict["event"]
                said = conflict["data"]
                assert ("n", "g", True) == (said["agentId"], said["group"], said["refused"])
                assert ids["lapsed"] == said["by"]
                assert served.node.agent("n").connected, "the other one stays"
                assert 200 == (await served.enrol("n", instanceId="third")).status
                conflict = await within(feed.event())
                assert "credential-conflict" == conflict["event"]
                assert not conflict["data"]["refused"]
                assert {"stream-closed", "agent-registered"} <= set(await told(feed, 3))
        metrics = (await served.ask("metrics", "GET", "//metrics")).body.decode()
        [refused] = [
            line
            for line in metrics.splitlines()
            if "cameleer_refusals_total" in line and "agent-id-in-use" in line
        ]
        assert refused.endswith(" 1.0")


async def told(feed: Any, count: int) -> list[str]:
    """Return what the next events are called."""
    return [(await within(feed.event()))["event"] for _ in range(count)]
