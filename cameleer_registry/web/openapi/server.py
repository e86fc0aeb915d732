"""Operations of the server itself: probes, metrics, and the document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from ...core.model import ClusterNode, NodeStatus, Resumed, Server
from ...version import __version__
from ..health import NotReady, Ready, Up
from ..metrics import FORMATS
from .terms import Answer, Operation, one_answer

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /api/v1/server": Operation(
        operation_id="showServer",
        tag="Server",
        summary="Show which server this is",
        description="Two processes behind one address are two registries, which differ in their "
        "`instance`. `resumed` describes what the process took over from the one before it, "
        "and how many agents have not come back since.",
        answers=one_answer(
            "The server that answers.",
            Server,
            Server(
                name="Production",
                color="red",
                version=__version__,
                instance="5f0c1a9e",
                started_at=datetime(2026, 11, 23, 8, 15, 30, 123_000, UTC),
                uptime_ms=4_512_345,
                resumed=Resumed(
                    away_from=datetime(2026, 11, 23, 8, 14, 2, 517_000, UTC),
                    away_until=datetime(2026, 11, 23, 8, 15, 30, 311_000, UTC),
                    agents=1_203,
                    not_back=2,
                ),
            ),
        ),
    ),
    "GET /api/v1/nodes": Operation(
        operation_id="listNodes",
        tag="Server",
        summary="List the nodes that share this registry",
        description="One where it is not shared. Those that have ended are there for a day.",
        answers=(
            Answer(
                status=200,
                description="Those that take part first, in the order in which they joined.",
                shape=list[ClusterNode],
                example=[
                    ClusterNode(
                        name="registry-1",
                        version=__version__,
                        address="http://10.0.0.1:8081",
                        status=NodeStatus.LIVE,
                        own=True,
                        position=48_211,
                        streams=1204,
                        joined_at=datetime(2026, 11, 23, 8, 15, 30, 123_000, UTC),
                        last_seen_at=datetime(2026, 11, 23, 9, 30, 2, 518_000, UTC),
                        ended_at=None,
                    ),
                ],
            ),
        ),
    ),
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
        description="In the text format, or as OpenMetrics if `Accept` names "
        "`application/openmetrics-text`. The address also answers while the server shuts "
        "down.",
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
        answers=(Answer(status=200, description="The process answers.", shape=Up, example=Up()),),
    ),
    "GET /readyz": Operation(
        operation_id="isReady",
        tag="Server",
        summary="Does the server take work",
        answers=(
            Answer(status=200, description="It takes work.", shape=Ready, example=Ready()),
            Answer(
                status=503,
                description="It does not: it is shutting down, one of its tasks keeps failing, or "
                "nothing can be stored.",
                shape=NotReady,
                example=NotReady(reasons=["storage: the disk is full: 7 MiB are free"]),
            ),
        ),
    ),
}
