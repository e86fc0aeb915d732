"""Secrets are shown once, to whoever they are for: not in logs, refusals, lists or metrics."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from ..processes import run, server


def altered(secret: str) -> str:
    """Return a token that is nearly that one: as a slip of the hand has it, and as secret."""
    at = len(secret) // 2
    return secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :]


def private_keys(path: Path) -> list[str]:
    """Return the private halves of the keys in a file."""
    document = json.loads(path.read_text())
    return [key["d"] for key in (document["root"], *document["keys"])]


def told(answer: httpx.Response) -> str:
    """Return all that an answer says."""
    return f"{answer.status_code} {answer.headers.multi_items()!r} {answer.text}"


async def test_no_secret_gets_out(tmp_path: Path) -> None:
    """Whoever has them uses them well, wrongly, and in the wrong places; all is logged."""
    database, log = tmp_path / "r.db", tmp_path / "log"
    status, out, err = await run("auth", "init", "--database", str(database))
    assert 0 == status, err
    made = {line[:17].strip(): line[17:] for line in out.splitlines()}
    admin, enrol = made["admin token"], made["enrolment token"]
    said: list[str] = [err]
    with log.open("wb") as stderr:
        async with (
            server(
                *("--port", "0", "--database", str(database), "--log-level", "debug"),
                stderr=stderr,
            ) as served,
            served.client() as client,
        ):

            async def ask(method: str, path: str, token: str | None, **more: Any) -> Any:
                headers = [("Authorization", f"Bearer {token}")] if token is not None else []
                headers += more.pop("headers", [])
                return await client.request(method, path, headers=headers, **more)

            registration = {"agentId": "a", "group": "g"}
            answer = await ask("POST", "/agents/register", enrol, json=registration)
            agent = answer.json()["credential"]["accessToken"]
            answer = await ask("POST", "/agents/a/token", agent)
            renewed = answer.json()["credential"]["accessToken"]
            answer = await ask("POST", "/auth/tokens", admin, json={"role": "viewer", "note": "n"})
            viewer = answer.json()["token"]
            answer = await ask("POST", "/auth/session", None, json={"token": admin})
            name, _, cookie = answer.headers["set-cookie"].partition(";")[0].partition("=")

            shown = [admin, enrol, agent, renewed, viewer]
            secrets = [*shown, cookie, *map(altered, shown), altered(cookie)]
            secrets += [token.rpartition(".")[2] for token in (agent, renewed)]
            for token in [*shown, *map(altered, shown)]:
                for path in ("/agents", "/auth", "/auth/tokens", "/keys", "/commands", "/agents/a"):
                    said.append(told(await ask("GET", path, token)))
                for member in ("token", "access_token"):
                    said.append(told(await ask("GET", f"/agents?{member}={token}", None)))
                    said.append(told(await ask("GET", f"/agents?{member}={token}", token)))
                said.append(
                    told(await ask("GET", "/agents", None, headers=[("Authorization", token)]))
                )
                twice = [("Authorization", f"Bearer {token}")]
                said.append(told(await ask("GET", "/agents", token, headers=twice)))
                body = {"type": "replay"}
                said.append(told(await ask("POST", "/agents/commands", token, json=body)))
                said.append(told(await ask("POST", "/auth/tokens", token, json={"role": 7})))
            for token in (altered(admin), agent, altered(viewer)):
                said.append(told(await ask("POST", "/auth/session", None, json={"token": token})))
            for value in (cookie, altered(cookie)):
                headers = [("Cookie", f"{name}={value}")]
                answer = await ask("GET", "/agents", None, headers=headers)
                assert (200 if value == cookie else 401) == answer.status_code
                said.append(told(answer))
            for use in ("command", "token"):
                said.append(told(await ask("POST", f"/keys/{use}/rotate", admin)))
            said.append(told(await ask("GET", f"{served.url}/metrics", admin)))
            async with client.stream(
                "GET", "/events", headers={"Authorization": f"Bearer {admin}"}
            ) as feed:
                async with asyncio.timeout(20):
                    async for line in feed.aiter_lines():
                        said.append(line)
                        if "event: position" in line:
                            answer = await ask("DELETE", "/agents/a/token", admin)
                            assert 204 == answer.status_code
                        if "credential-revoked" in line:
                            break
            said.append(told(await ask("GET", "/agents/a", agent)))
            secrets += private_keys(tmp_path / "keys.json")
            assert 0 == await served.terminate()
    said.append(log.read_text())
    assert "credential-revoked" in "".join(said)
    assert "cameleer_" in "".join(said)
    assert 15 < len(secrets) == len([one for one in secrets if len(one) >= 22])
    found = [(secret, text) for secret in secrets for text in said if secret in text]
    assert [] == found
