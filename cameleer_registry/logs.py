"""Logging: events with fields, through the standard library, so that a host application decides.

Modules call :func:`get_logger` and log an event with its ids as fields. These become records of
the standard ``logging`` tree under ``cameleer_registry``, with the fields as extra attributes: an
embedding application sees them through its own handlers and nothing is printed behind its back.
The command line calls :func:`configure`, which renders them with structlog.
"""

from __future__ import annotations

import io
import logging
import sys
from enum import StrEnum
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import Processor

Logger = structlog.stdlib.BoundLogger

ROOT: Final = "cameleer_registry"


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    """For people, aligned, with colours on a terminal."""
    JSON = "json"
    """One JSON object a line, for machines."""


class LogLevel(StrEnum):
    """What is logged: that level and everything above it."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def get_logger(name: str) -> Logger:
    """Return the logger of a module; pass ``__name__``."""
    return cast(
        Logger,
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[
                structlog.stdlib.filter_by_level,
                _add_stack_level,
                structlog.stdlib.render_to_log_kwargs,
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=dict,
        ).bind(),
    )


def configure(log_format: LogFormat, level: LogLevel, *, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to ``stream`` (standard error)."""
    stream = stream or sys.stderr
    colours = stream.isatty()
    renderers: list[Processor]
    if log_format is LogFormat.JSON:
        renderers = [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ]
    else:
        renderers = [
            _escape,
            structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=_traceback),
        ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _add_stack_level(_logger: Any, method: str, event: structlog.typing.EventDict) -> Any:
    """Have the record say who logged it, and not where structlog did."""
    return {**event, "stacklevel": 5 if "exc_info" in event else 4}


def _traceback(stream: TextIO, exc_info: Any) -> None:
    written = io.StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    lines = written.getvalue().split("\n")
    stream.write("\n".join(line if line.isprintable() else repr(line)[1:-1] for line in lines))


def _escape(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
    """Make it impossible to forge a line, or to steer a terminal, with what a client sent."""
    return {
        key: value if key == "exc_info" or not _is_risky(value) else repr(str(value))
        for key, value in event.items()
    }


def _is_risky(value: Any) -> bool:
    return isinstance(value, str) and not value.isprintable()
