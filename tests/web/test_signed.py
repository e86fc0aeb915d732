"""Commands as signed lines: on the stream, in the list, and in the answer to a registration."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from cameleer_registry.security import lines
from cameleer_registry.security.ed25519 import from_spki
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import KeySet, Status, Use
from cameleer_registry.security.lines import Kind

from ..closed import RING, Closed, closed
from ..support import Connection, connected, eventually


async def stream_of(served: Closed, agent_id: str, connection: Connection) -> None:
    connection.writer.write(
        f"GET /api/v1/agents/{agent_id}/events HTTP/1.1\r\nHost: {served.host}\r\n"
        f"Authorization: Bearer {served.tokens[agent_id]}\r\n\r\n".encode()
    )
    await connection.head()
    await connection.line()
    await connection.line()


async def data_line(connection: Connection) -> bytes:
    """Return the data of the next event, as its bytes are."""
    while not (line := await connection.line()).startswith(b"data: "):
        pass
    return line.removeprefix(b"data: ")


async def test_one_line_for_all() -> None:
    """With target, order, registry and what it is; and with nothing changed on its way."""
    payload = {"n": 2**63, "text": 'ä\u2028,"signature":"x"}', ',"signature":"': 1, "f": 1e300}
    async with closed() as served, connected(served) as one, connected(served) as other:
        await stream_of(served, "a", one)
        await stream_of(served, "b", other)
        body = {"type": "config-update", "payload": payload}
        answer = (await served.ask("operator", "POST", "/agents/commands", body)).json()
        line = await data_line(one)
        assert line == await data_line(other)
        keys = KeySet.read((await served.ask(None, "GET", "/keys")).body, root=RING.root_id)
        members = lines.verify(line, Kind.COMMAND, lambda key: keys.verifying(key, Use.COMMAND))
        assert payload == members["payload"]
        assert {"level": "all"} == members["target"] == answer["target"]
        assert RING.registry == members["registry"]
        assert answer["commandId"] == members["commandId"]
        assert answer["expiresAt"] == members["expiresAt"]
        assert "signature" == list(json.loads(line))[-1]
        again = (await served.ask("operator", "POST", "/agents/commands", body)).json()
        assert members["order"] < json.loads(await data_line(one))["order"]
        # Who was away fetches the same line.
        listed = (await served.ask("a", "GET", "/agents/a/commands")).json()
        assert [again["commandId"], answer["commandId"]] == [one["commandId"] for one in listed]
        assert line.decode() == listed[1]["signed"]
        await served.ask("a", "POST", f"/agents/a/commands/{answer['commandId']}/ack")
        listed = (await served.ask("a", "GET", "/agents/a/commands?status=ACKNOWLEDGED")).json()
        assert "signed" not in listed[0]


async def test_the_answer_to_a_registration() -> None:
    """It names the key, and with a challenge it is a signed line with the server's time."""
    async with closed(agents={}) as served:
        answer = await served.enrol("a")
        assert "signature" not in answer.json()
        public = from_spki(answer.json()["serverPublicKey"])
        answer = await served.enrol("a", challenge="nonce 1")
        members = lines.verify(answer.body, Kind.REGISTRATION, lambda _: public)
        assert "nonce 1" == members["challenge"]
        assert RING.registry == members["registry"]
        assert RING.keys.version == members["keysVersion"]
        assert members["serverTime"].endswith("Z")
        assert members["credential"]["accessToken"]
        for challenge in ("", "x" * 257, "ä", 1, None):
            answer = await served.enrol("a", challenge=challenge)
            assert "invalid-request" == answer.code
            assert "$.challenge" == answer.json()["errors"][0]["path"]


async def test_without_keys_nothing_is_signed() -> None:
    """The answers are those of before."""
    async with closed() as served:
        served.node.signer._key = served.node.signer.public_key = None
        answer = (await served.enrol("a", challenge="x")).json()
        assert answer["serverPublicKey"] is None
        assert "signature" not in answer


async def test_a_key_is_rotated_and_revoked_under_way() -> None:
    """Agents go on with the tokens that they have; new lines are signed by the new key."""
    async with closed() as served, connected(served) as stream:
        await stream_of(served, "a", stream)
        body = {"type": "replay"}
        await served.ask("operator", "POST", "/agents/a/commands", body)
        first = json.loads(await data_line(stream))["keyId"]
        for version in (2, 3):
            answer = await served.ask("admin", "POST", "/keys/command/rotate")
            assert version == answer.json()["version"]
        await served.ask("operator", "POST", "/agents/a/commands", body)
        second = json.loads(await data_line(stream))["keyId"]
        assert first != second
        answer = await served.ask("admin", "DELETE", f"/keys/{second}")
        statuses = {key["kid"]: key["status"] for key in answer.json()["keys"]}
        assert ("retired", "revoked") == (statuses[first], statuses[second])
        await served.ask("operator", "POST", "/agents/a/commands", body)
        assert json.loads(await data_line(stream))["keyId"] not in (first, second)
        assert 204 == (await served.ask("a", "POST", "/agents/a/heartbeat")).status


async def test_a_token_key_that_is_revoked_ends_what_it_has_signed() -> None:
    """The agent enrols again; one that was given its token since goes on."""
    async with closed() as served:
        keys = (await served.ask(None, "GET", "/keys")).json()["keys"]
        [token_key] = [one["kid"] for one in keys if one["for"] == "token"]
        assert 200 == (await served.ask("admin", "DELETE", f"/keys/{token_key}")).status
        assert "credential-revoked" == (await served.ask("a", "POST", "/agents/a/heartbeat")).code
        assert 200 == (await served.enrol("a")).status
        assert 204 == (await served.ask("a", "POST", "/agents/a/heartbeat")).status


def with_a_key_that_is_outdated() -> KeyRing:
    """Return keys of which one has signed nothing for years."""
    made = datetime(2020, 1, 1, tzinfo=UTC)
    ring = KeyRing.generate(at=made).announced(Use.COMMAND, at=made)
    return ring.activated(Use.COMMAND, at=made + timedelta(days=1))


async def test_an_outdated_key_is_dropped_while_nobody_changes_any() -> None:
    """From the set that everybody is shown, and from what signs."""
    ring = with_a_key_that_is_outdated()
    async with closed(ring=ring) as served:
        await eventually(lambda: served.node.authority.ring is not ring)
        line = (await served.ask(None, "GET", "/keys")).body
        keys = KeySet.read(line, root=ring.root_id)
        assert ring.keys.version + 1 == keys.version
        assert {Status.ACTIVE} == {key.status for key in keys.keys}
        published = served.node.authority.credentials.key_set
        assert published is not None
        assert keys.version == published.version


async def test_an_outdated_key_stays_while_the_root_is_elsewhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log says so once, and commands are signed as before."""
    ring = evolve(with_a_key_that_is_outdated(), root=None)
    async with closed(ring=ring) as served:
        await eventually(lambda: "outdated keys stay" in caplog.text)
        keys = KeySet.read((await served.ask(None, "GET", "/keys")).body, root=ring.root_id)
        assert ring.keys.version == keys.version
        assert 0 == served.node.task_restarts["key keeper"]
