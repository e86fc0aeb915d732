"""Agents' credentials: renewing one, and taking all of them away."""

from __future__ import annotations

from ..core import rules
from ..core.model import AgentCredential
from ..errors import AgentNotRegistered, Unauthenticated
from ..security.jwt import Credential
from ..security.model import CredentialShown
from ..security.principals import Role
from .answers import Answer, json
from .calls import Call, CallHandler


@CallHandler
async def renew(call: Call) -> Answer:
    """``POST /agents/{id}/token``: another token for the agent that shows one."""
    call.node.authority.check_on()
    principal = call.principal
    if principal is None or principal.role is not Role.AGENT:  # nobody asks, in the mode "accept"
        raise Unauthenticated("an agent's token is renewed by whoever shows one")
    made = await call.node.office.renew(call.address["agent_id"], principal)
    return json(CredentialShown(credential=shown(made)))


@CallHandler
async def revoke(call: Call) -> Answer:
    """``DELETE /agents/{id}/token``: 204, and every credential of the agent is void."""
    call.node.authority.check_on()
    agent_id, principal = call.address["agent_id"], call.principal
    assert principal is not None
    if not principal.scope.is_everything and call.node.registry.group_of(agent_id) is None:
        raise AgentNotRegistered(agent_id)  # it may have been in a group that does not exist here
    try:
        rules.agent_id(agent_id)
    except ValueError:  # nobody can have been called that, so there is nothing to remember
        raise AgentNotRegistered(agent_id) from None
    await call.node.revoke_agent(agent_id, by=principal.issuer)
    return Answer(status=204)


def shown(made: Credential) -> AgentCredential:
    """Show an agent its credential."""
    return AgentCredential(
        access_token=made.access_token,
        expires_in_ms=made.expires_in_ms,
        renew_after_ms=made.renew_after_ms,
        renewable_for_ms=made.renewable_for_ms,
    )
