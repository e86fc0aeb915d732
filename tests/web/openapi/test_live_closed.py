"""schemathesis asks a server that wants credentials, as everybody who has one."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path
from typing import Final

import pytest

from cameleer_registry.security.principals import CREATABLE, Role

from ...processes import environment, server
from ...support import within
from .contract import Contract

HERE: Final = Path(__file__).parent
SECONDS: Final = 200
"""It takes 7 where nothing else runs."""

ADMIN: Final = "a" * 40

OF_CLOSED: Final = """
[[operations]]
include-operation-id = "signIn"
# One of token and code, and not both.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = "createToken"
# uses and reclaim are for enrolment tokens.
checks.positive_data_acceptance.enabled = false
"""


def configuration(folder: Path) -> Path:
    """Write what holds for all servers, and whether credentials are ignored for this one."""
    shared = (HERE / "schemathesis.toml").read_text()
    before, heading, rest = shared.partition("[checks.ignored_auth]\n")
    assert heading
    assert "\nenabled = false\n" in rest
    path = folder / "schemathesis.toml"
    rest = rest.replace("\nenabled = false\n", "\nenabled = true\n", 1)
    path.write_text(before + heading + rest + OF_CLOSED)
    return path


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize("role", [*sorted(CREATABLE), Role.AGENT])
async def test_schemathesis_finds_nothing(role: Role, tmp_path: Path) -> None:
    """Nothing is served without a credential either that a good one is needed for."""
    tmp_path.joinpath("admin").write_text(ADMIN)
    args = ("--admin-token-file", str(tmp_path / "admin"), "--command-ttl", "0.3")
    async with server("--port", "0", *args, stderr=DEVNULL) as served:
        async with served.client(headers={"Authorization": f"Bearer {ADMIN}"}) as admin:
            asked = Role.ENROL if role is Role.AGENT else role
            token = (await admin.post("/auth/tokens", json={"role": asked})).json()["token"]
        async with served.client(headers={"Authorization": f"Bearer {token}"}) as client:
            if role is Role.AGENT:
                body = {"agentId": "a", "group": "g"}
                answer = await client.post("/agents/register", json=body)
                token = answer.json()["credential"]["accessToken"]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", configuration(tmp_path)),
            *("run", f"{served.api}/openapi.json", "--no-color", "--phases", "coverage"),
            *("--header", f"Authorization: Bearer {token}"),
            cwd=tmp_path,  # it leaves a cache behind
            env=environment(SCHEMATHESIS_HOOKS=str(HERE / "hooks.py")),
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            out, _ = await within(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
    said = out.decode()
    assert 0 == process.returncode, said
    operations = len(Contract.of().operations()) - 1
    assert f"{operations} selected / {operations} total" in said
