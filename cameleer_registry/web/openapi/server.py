"""What is said of the server itself: its probes and metrics, and the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..health import NotReady, Ready, Up
from ..metrics import FORMATS
from .terms import Answer, Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /api/v1/openapi.json": Operation(
        operation_id="showDocument",
        tag="Server",
        summary="Show this document",
        answers=(
            Answer(
                status=200,
                description="An OpenAPI 3.1 document.",
                shape={
                    "type": "object",
                    "properties": {"openapi": {"type": "string", "pattern": r"^3\.1\.\d+$"}},
                    "required": ["openapi", "info", "paths"],
                },
            ),
        ),
    ),
    "GET /metrics": Operation(
        operation_id="showMetrics",
        tag="Server",
        summary="Show the metrics, for Prometheus",
        description="In the text format, or as OpenMetrics where `Accept` names "
        "`application/openmetrics-text`. It answers while the server shuts down, too.",
        answers=(
            Answer(
                status=200,
                description="All metrics, as they are now.",
                shape={"type": "string"},
                media_types=FORMATS,
                # To the text format, the last line is a comment.
                example="# HELP cameleer_agents Agents by status.\n"
                "# TYPE cameleer_agents gauge\n"
                'cameleer_agents{status="LIVE"} 1.0\n'
                "# EOF\n",
            ),
        ),
    ),
    "GET /healthz": Operation(
        operation_id="isUp",
        tag="Server",
        summary="Is the process up",
        answers=(Answer(status=200, description="It answers.", shape=Up, example=Up()),),
    ),
    "GET /readyz": Operation(
        operation_id="isReady",
        tag="Server",
        summary="Does the server take work",
        answers=(
            Answer(status=200, description="It does.", shape=Ready, example=Ready()),
            Answer(
                status=503,
                description="It is shutting down, or one of its tasks keeps failing.",
                shape=NotReady,
                example=NotReady(reasons=["shutting down"]),
            ),
        ),
    ),
}
