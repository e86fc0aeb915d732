"""Operations on agents: registering, heartbeats, and what operators read about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...core.model import Agent, GroupSummary, Registration, Removed, Welcome
from ...errors import (
    AgentIdInUse,
    AgentNotRegistered,
    AtCapacity,
    GroupNotAllowed,
    NotYourAgent,
)
from . import examples, parameters
from .terms import Answer, Link, Operation, no_content, one_answer, page_of

_SAME_AGENT: Final = {"agentId": "$response.body#/agentId"}
_AFTER_REGISTRATION: Final = tuple(
    Link(operation_id=operation_id, parameters=_SAME_AGENT)
    for operation_id in ("sendHeartbeat", "showAgent", "issueToAgent", "listCommandsOfAgent")
)
OPERATIONS: Final[Mapping[str, Operation]] = {
    "POST /api/v1/agents/register": Operation(
        operation_id="registerAgent",
        tag="Agents",
        summary="Register an agent, or resume it",
        description="Everything in the body replaces what was declared before. The agent is LIVE "
        "from now on, and its pending commands stay pending. With a `challenge`, 1 to 256 "
        "printable characters of ASCII that the agent has made up, the answer is a signed "
        "line, if the registry has keys.",
        body=Registration,
        body_example=examples.REGISTRATION,
        answers=(
            Answer(
                status=201,
                description="A new agent.",
                shape=Welcome,
                example=examples.WELCOME,
                links=_AFTER_REGISTRATION,
            ),
            Answer(
                status=200,
                description="A known agent: `resumed` is true.",
                shape=Welcome,
                example=examples.WELCOME_BACK,
                links=_AFTER_REGISTRATION,
            ),
        ),
        problems=(AtCapacity, AgentIdInUse, GroupNotAllowed, NotYourAgent),
    ),
    "POST /api/v1/agents/{agentId}/heartbeat": Operation(
        operation_id="sendHeartbeat",
        tag="Agents",
        summary="Renew an agent's lease",
        description="A STALE or DEAD agent is LIVE again. Any body is ignored.",
        answers=no_content("The lease is renewed."),
        problems=(AgentNotRegistered,),
    ),
    "GET /api/v1/agents": Operation(
        operation_id="listAgents",
        tag="Agents",
        summary="List agents",
        description="In order of `agentId`. Without `limit`, a list of more than 500 is written "
        "in slices; each slice is exact when it is written.",
        parameters=(
            parameters.AGENT_STATUSES,
            parameters.GROUPS,
            parameters.LIMIT,
            parameters.AFTER,
        ),
        answers=(page_of("agents", Agent, examples.AGENT),),
    ),
    "DELETE /api/v1/agents": Operation(
        operation_id="removeAgents",
        tag="Agents",
        summary="Delete many agents",
        description="All agents that are STALE or DEAD, or those of a group. Each agent's status "
        "is checked at the moment at which it is deleted. `status` is required, and "
        "parameters other than these two are refused.",
        parameters=(parameters.LAPSED_STATUSES, parameters.GROUPS_TO_FORGET),
        answers=one_answer("The number of deleted agents.", Removed, Removed(removed=12)),
    ),
    "GET /api/v1/agents/groups": Operation(
        operation_id="listGroups",
        tag="Agents",
        summary="List groups",
        description="The groups that have agents, in order of their names.",
        answers=one_answer(
            "The groups, with the numbers of their agents.", list[GroupSummary], [examples.GROUP]
        ),
    ),
    "GET /api/v1/agents/{agentId}": Operation(
        operation_id="showAgent",
        tag="Agents",
        summary="Show an agent",
        answers=one_answer("The agent, as it is now.", Agent, examples.AGENT),
        problems=(AgentNotRegistered,),
    ),
    "DELETE /api/v1/agents/{agentId}": Operation(
        operation_id="removeAgent",
        tag="Agents",
        summary="Delete an agent",
        description="Its stream ends, and its pending commands expire at once. If the agent is "
        "still running, its next heartbeat is answered 404, and it registers again as a new "
        "agent.",
        answers=no_content("The agent is deleted."),
        problems=(AgentNotRegistered,),
    ),
}
