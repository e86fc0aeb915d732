"""Operations on commands: issuing, acknowledging, and results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...core.model import Ack, AgentDelivery, Command, Delivery, ListedCommand, Order
from ...errors import (
    AgentNotRegistered,
    CommandExpired,
    CommandNotFound,
    GroupNotFound,
    IdempotencyKeyReused,
    RegistryError,
    TooManyPending,
)
from . import examples, parameters
from .terms import Link, Operation, one_answer, page_of

_SAME_COMMAND: Final = {"commandId": "$response.body#/commandId"}
_AFTER_ISSUE: Final = tuple(
    Link(operation_id=operation_id, parameters=_SAME_COMMAND)
    for operation_id in ("showCommand", "listDeliveries")
)
_ACK_OF_AGENT: Final = Link(
    operation_id="acknowledgeCommand",
    parameters={"agentId": "$response.body#/target/agentId", **_SAME_COMMAND},
)


def _to_many(
    operation_id: str, target: str, agents: str, example: Any, *problems: type[RegistryError]
) -> Operation:
    return Operation(
        operation_id=operation_id,
        tag="Commands",
        summary=f"Command {target}",
        description=f"The targets are the {agents} that are LIVE at this moment. Agents with too "
        "many pending commands are left out and named in `skipped`.",
        parameters=(parameters.IDEMPOTENCY_KEY,),
        body=Order,
        body_example=examples.ORDER,
        answers=one_answer(
            "The command is issued, even if it has no targets.",
            Command,
            example,
            status=202,
            links=_AFTER_ISSUE,
        ),
        problems=(*problems, IdempotencyKeyReused),
    )


OPERATIONS: Final[Mapping[str, Operation]] = {
    "POST /api/v1/agents/{agentId}/commands": Operation(
        operation_id="issueToAgent",
        tag="Commands",
        summary="Command one agent",
        description="The agent may have any status. The command is written to its open stream at "
        "once, and not again when it reconnects.",
        parameters=(parameters.IDEMPOTENCY_KEY,),
        body=Order,
        body_example=examples.ORDER,
        answers=one_answer(
            "The command is issued.",
            Command,
            examples.TO_AGENT,
            status=202,
            links=(*_AFTER_ISSUE, _ACK_OF_AGENT),
        ),
        problems=(AgentNotRegistered, TooManyPending, IdempotencyKeyReused),
    ),
    "POST /api/v1/agents/groups/{group}/commands": _to_many(
        "issueToGroup", "a group", "agents of the group", examples.TO_GROUP, GroupNotFound
    ),
    "POST /api/v1/agents/commands": _to_many("issueToAll", "all agents", "agents", examples.TO_ALL),
    "GET /api/v1/agents/{agentId}/commands": Operation(
        operation_id="listCommandsOfAgent",
        tag="Commands",
        summary="Show what was sent to an agent",
        description="The remembered commands, newest first. With `?status=PENDING` an agent that "
        "reconnects finds the commands that it missed.",
        parameters=(parameters.DELIVERY_STATES,),
        answers=one_answer(
            "The commands, with their results.", list[AgentDelivery], [examples.AGENT_DELIVERY]
        ),
        problems=(AgentNotRegistered,),
    ),
    "POST /api/v1/agents/{agentId}/commands/{commandId}/ack": Operation(
        operation_id="acknowledgeCommand",
        tag="Commands",
        summary="Acknowledge a command",
        description="A missing body means success. The first acknowledgement stands; another one "
        "gets the same answer.",
        body=Ack,
        body_required=False,
        body_example=examples.ACK,
        answers=one_answer("The delivery, acknowledged.", Delivery, examples.DELIVERY),
        problems=(AgentNotRegistered, CommandNotFound, CommandExpired),
    ),
    "GET /api/v1/commands": Operation(
        operation_id="listCommands",
        tag="Commands",
        summary="List commands",
        description="The remembered commands, newest first. A payload of more than 4 KiB is left "
        "out: `payloadTruncated` is true, and `GET` of the command shows the payload. Without "
        "`limit` the list is written in slices; each slice is exact when it is written.",
        parameters=(
            parameters.COMMAND_STATUSES,
            parameters.COMMAND_TYPES,
            parameters.COMMAND_TARGETS,
            parameters.COMMAND_GROUPS,
            parameters.LIMIT,
            parameters.BEFORE,
        ),
        answers=(page_of("commands", ListedCommand, examples.LISTED),),
    ),
    "GET /api/v1/commands/{commandId}": Operation(
        operation_id="showCommand",
        tag="Commands",
        summary="Show a command",
        description="The answer comes at once, or with `wait` when no delivery is PENDING any "
        "more.",
        parameters=(parameters.WAIT,),
        answers=one_answer("The command, as it is now.", Command, examples.TO_GROUP),
        problems=(CommandNotFound,),
    ),
    "GET /api/v1/commands/{commandId}/deliveries": Operation(
        operation_id="listDeliveries",
        tag="Commands",
        summary="Show what became of a command, agent by agent",
        description="One delivery for each target, in order of `agentId`.",
        parameters=(parameters.DELIVERY_STATES,),
        answers=one_answer("The deliveries.", list[Delivery], [examples.DELIVERY]),
        problems=(CommandNotFound,),
    ),
}
