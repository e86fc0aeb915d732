"""Whether somebody may register an agent, and be it.

The scope of an enrolment token bounds the groups that may be declared. It also bounds the agents
that may be taken over, by the group that they are in: otherwise the holder of a token for one group
could take an agent out of another group, or listen to what is sent there.
"""

from __future__ import annotations

from ..core.unchanging import unchanging
from ..errors import AgentIdInUse, GroupNotAllowed, NotYourAgent
from .principals import Permission, Principal, Reclaim, Role


@unchanging
class Present:
    """An agent as the registry knows it before the registration."""

    group: str
    is_live: bool


def check_registration(
    principal: Principal, agent_id: str, group: str, present: Present | None
) -> None:
    """Let a registration pass; ``present`` is None if the registry does not know the agent.

    Raises InsufficientRole, NotYourAgent, GroupNotAllowed, and AgentIdInUse if the token takes
    over only what has lapsed and the agent is LIVE.
    """
    principal.require(Permission.REGISTER, agent_id=agent_id)
    if principal.agent_id not in (None, agent_id):
        raise NotYourAgent(agent_id)
    groups = (group,) if present is None else (group, present.group)
    if not all(map(principal.scope.covers, groups)):
        raise GroupNotAllowed(agent_id)
    if present is not None and present.is_live and principal.reclaim is Reclaim.LAPSED:
        raise AgentIdInUse(agent_id)


def check_membership(principal: Principal, agent_id: str, group: str) -> None:
    """Let an agent continue that is now in this group; raises GroupNotAllowed.

    A token may have been issued in another group, from which the agent has been enrolled since: its
    holder must not receive what is sent to the new group.
    """
    if principal.role is Role.AGENT and not principal.scope.covers(group):
        raise GroupNotAllowed(agent_id)
