"""The operation of an agent's event stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...core.model import CommandEvent, CommandType
from ...errors import AgentNotRegistered
from . import examples, parameters
from .schemas import COMMAND_ID, Events
from .terms import Answer, Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /api/v1/agents/{agentId}/events": Operation(
        operation_id="streamEvents",
        tag="Stream",
        summary="Open an agent's event stream",
        description="The stream stays open until the agent opens a newer one, the agent is "
        "deleted, or either side closes it. It begins with `retry:` and a comment; `:` and a "
        "line end are keepalives. `curl -N` shows it as it arrives, and so does the page at "
        "`/docs`.",
        parameters=(parameters.LAST_EVENT_ID,),
        answers=(
            Answer(
                status=200,
                description="The stream, at once.",
                shape=Events(COMMAND_ID, dict.fromkeys(CommandType, CommandEvent)),
                media_types=("text/event-stream",),
                example=examples.STREAM,
                headers=("X-Accel-Buffering",),
            ),
        ),
        problems=(AgentNotRegistered,),
    ),
}
