"""schemathesis asks a server that wants credentials, as everybody who has one."""

from __future__ import annotations

import json
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Final

import pytest

from cameleer_registry import create_app
from cameleer_registry.security.principals import CREATABLE, GRANTS, OWN, Role
from cameleer_registry.web.openapi import document

from ...processes import server
from .asking import CONFIGURATION, LIMIT, nothing_is_found

ADMIN: Final = "a" * 40

OF_CLOSED: Final = """
[phases.examples]
# An example of every operation, also of one that takes nothing.
fill-missing = true

[[operations]]
include-operation-id = "signIn"
# One of token and code, and not both.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = "createToken"
# uses and reclaim are for enrolment tokens.
checks.positive_data_acceptance.enabled = false
"""

OF_A_ROLE: Final = """
[phases.coverage]
# Which methods there are is the same for all.
unexpected-methods = []

[[operations]]
include-name = {barred}
# Whatever is asked there, the role is refused first: tests/web/test_order.py. One example shows it.
phases.coverage.enabled = false
"""


def configuration_for(role: Role) -> str:
    """Return what holds for all servers, with whatever a role has to do with.

    Here credentials are looked at, so that it counts if one is ignored.
    """
    before, heading, rest = CONFIGURATION.partition("[checks.ignored_auth]\n")
    assert heading
    assert "\nenabled = false\n" in rest
    rest = rest.replace("\nenabled = false\n", "\nenabled = true\n", 1)
    of_all = before + heading + rest + OF_CLOSED
    return of_all if role is Role.ADMIN else of_all + OF_A_ROLE.format(barred=barred_to(role))


def barred_to(role: Role) -> str:
    """Return the operations that a role may not use, as TOML; and HEAD, where it may use GET."""
    granted = OWN if role is Role.AGENT else GRANTS[role]
    operations = document.operations_of(create_app().router, "")
    return json.dumps(
        [
            f"{method} {path}"
            for path, methods in operations.items()
            for method, operation in methods.items()
            if method == "HEAD" or operation.access.needs not in {None, *granted}
        ]
    )


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("role", [*sorted(CREATABLE), Role.AGENT])
async def test_schemathesis_finds_nothing(role: Role, tmp_path: Path) -> None:
    """Nothing is served without a credential either that a good one is needed for.

    An admin asks everything in every way; the others so what they may, and the rest once.
    """
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
        await nothing_is_found(
            served,
            tmp_path,
            configuration_for(role),
            *("--phases", "examples,coverage"),
            header=f"Authorization: Bearer {token}",
        )
