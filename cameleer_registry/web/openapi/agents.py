"""What is said of agents: registering, heartbeats, and what operators read of them."""

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
from .terms import Answer, Link, Operation

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
        "from now on, and commands that are pending for it stay so. With a `challenge`, 1 to 256 "
        "printable characters of ASCII that the agent has made up, the answer is a signed line, if "
        "the registry has keys.",
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
                description="An agent that was known: `resumed` is true.",
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
        answers=(Answer(status=204, description="The lease is renewed."),),
        problems=(AgentNotRegistered,),
    ),
    "GET /api/v1/agents": Operation(
        operation_id="listAgents",
        tag="Agents",
        summary="List agents",
        description="In order of `agentId`. Without `limit`, more than 500 are written in slices, "
        "each of which is exact when it is written.",
        parameters=(
            parameters.AGENT_STATUSES,
            parameters.GROUPS,
            parameters.LIMIT,
            parameters.AFTER,
        ),
        answers=(
            Answer(
                status=200,
                description="The agents, or a page of them.",
                shape=list[Agent],
                example=[examples.AGENT],
                headers=("Link",),
            ),
        ),
    ),
    "DELETE /api/v1/agents": Operation(
        operation_id="removeAgents",
        tag="Agents",
        summary="Forget many agents",
        description="All that are STALE or DEAD, or those of a group. Each is judged in the moment "
        "in which it is forgotten, as if it were deleted alone. `status` has to be given, and no "
        "other parameter than these two.",
        parameters=(parameters.LAPSED_STATUSES, parameters.GROUPS_TO_FORGET),
        answers=(
            Answer(
                status=200,
                description="How many were forgotten.",
                shape=Removed,
                example=Removed(removed=12),
            ),
        ),
    ),
    "GET /api/v1/agents/groups": Operation(
        operation_id="listGroups",
        tag="Agents",
        summary="List groups",
        description="Those that have agents, in order of their names.",
        answers=(
            Answer(
                status=200,
                description="The groups, with their agents counted.",
                shape=list[GroupSummary],
                example=[examples.GROUP],
            ),
        ),
    ),
    "GET /api/v1/agents/{agentId}": Operation(
        operation_id="showAgent",
        tag="Agents",
        summary="Show an agent",
        answers=(
            Answer(
                status=200,
                description="The agent, as it is now.",
                shape=Agent,
                example=examples.AGENT,
            ),
        ),
        problems=(AgentNotRegistered,),
    ),
    "DELETE /api/v1/agents/{agentId}": Operation(
        operation_id="removeAgent",
        tag="Agents",
        summary="Forget an agent",
        description="Its stream is ended and its pending commands expire at once. Where it is "
        "still running, its next heartbeat is answered 404 and it registers again, as a new one.",
        answers=(Answer(status=204, description="The agent is forgotten."),),
        problems=(AgentNotRegistered,),
    ),
}
