"""The operation of the operators' event feed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...core.feed import DATA
from ...errors import TooManyFeeds
from . import examples, parameters
from .schemas import Events
from .terms import Answer, Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /api/v1/events": Operation(
        operation_id="followEvents",
        tag="Events",
        summary="Follow what happens",
        description="The feed stays open until either side closes it. It begins like an agent's "
        "stream. With the id of the last event that was seen it goes on after that event, or "
        "begins with `reset` if it cannot; without an id it begins with its `position`. `curl "
        "-N` shows it as it arrives, and so does the page at `/docs`.",
        parameters=(
            parameters.EVENT_TYPES,
            parameters.EVENT_GROUPS,
            parameters.LAST_EVENT_ID_IN_QUERY,
            parameters.LAST_EVENT_ID,
        ),
        answers=(
            Answer(
                status=200,
                description="The feed, at once.",
                shape=Events({"type": "string", "pattern": "^[0-9]+$"}, DATA),
                media_types=("text/event-stream",),
                example=examples.FEED,
                headers=("X-Accel-Buffering",),
            ),
        ),
        problems=(TooManyFeeds,),
    ),
}
