"""Commands as signed lines: on the stream, in the list, and in the answer to a registration."""

from __future__ import annotations

import json

from cameleer_registry.security import lines
from cameleer_registry.security.ed25519 import from_spki
from cameleer_registry.security.keys import KeySet, Use
from cameleer_registry.security.lines import Kind

from ..closed import RING, Closed, closed
from ..support import Connection, connected


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
        served.node.signer._key = None
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
