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
from collections.abc import Callable, MutableMapping
from enum import StrEnum
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TextIO

from .log_writer import LogWriter

if TYPE_CHECKING:
    from structlog.typing import Processor

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


class Logger(logging.LoggerAdapter[logging.Logger]):
    """Logs events with fields: ``log.info("agent registered", agent_id="a")``."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Make extra attributes of all that ``logging`` does not know."""
        known = {name: kwargs.pop(name) for name in _OF_LOGGING & kwargs.keys()}
        fields = {**(self.extra or {}), **kwargs}
        for name in _OF_RECORDS & fields.keys():  # which ``logging`` would refuse with a KeyError
            fields[f"{name}_"] = fields.pop(name)
        return msg, {**known, "extra": fields}

    def bind(self, **fields: Any) -> Logger:
        """Return a logger that adds these fields to every event."""
        return Logger(self.logger, {**(self.extra or {}), **fields})


_OF_LOGGING: Final = {"exc_info", "stack_info", "stacklevel"}

_OF_RECORDS: Final = {*vars(logging.makeLogRecord({})), "message", "asctime"}
"""What records have by themselves; a field of that name gets a low line behind it."""


def get_logger(name: str) -> Logger:
    """Return the logger of a module; pass ``__name__``."""
    return Logger(logging.getLogger(name))


log = get_logger(__name__)


def configure(log_format: LogFormat, level: LogLevel, *, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to ``stream`` (standard error).

    No logging call waits for the reader of the log: see :mod:`~cameleer_registry.log_writer`.
    """
    structlog = _import_structlog()
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
            structlog.dev.ConsoleRenderer(
                colors=colours,
                exception_formatter=partial(_traceback, structlog.dev.plain_traceback),
            ),
        ]
    handler = LogWriter(stream)
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
    # No line says where in the code it comes from, or from which thread; to find that out is a
    # sixth of what a line costs (Python's logging HOWTO, "Optimization").
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Python would write these itself, and wait.
    logging.captureWarnings(True)
    sys.unraisablehook = _log_unraisable


def flush() -> None:
    """Have what was logged written before this returns, or half a second is over."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _log_unraisable(raised: sys.UnraisableHookArgs) -> None:
    """Log an exception that had nowhere to go, such as one of a finalizer."""
    log.error(
        raised.err_msg or "an exception was ignored",
        where=repr(raised.object),
        exc_info=raised.exc_value,
    )


def _import_structlog() -> ModuleType:
    """Import structlog without rich, whose tracebacks are not shown here.

    That is a tenth of the time in which the server starts. The process is ours where this is
    called; a host application that has imported them already keeps what it has.
    """
    hides = "rich" not in sys.modules
    if hides:
        sys.modules["rich"] = None  # type: ignore[assignment]  # so that importing it fails
    try:
        import structlog
    finally:
        if hides:
            del sys.modules["rich"]
    return structlog


def _traceback(plain: Callable[[TextIO, Any], None], stream: TextIO, exc_info: Any) -> None:
    written = io.StringIO()
    plain(written, exc_info)
    lines = written.getvalue().split("\n")
    stream.write("\n".join(line if line.isprintable() else repr(line)[1:-1] for line in lines))


def _escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Make it impossible to forge a line, or to steer a terminal, with what a client sent."""
    return {
        key: value if key == "exc_info" or not _is_risky(value) else repr(str(value))
        for key, value in event.items()
    }


def _is_risky(value: Any) -> bool:
    return isinstance(value, str) and not value.isprintable()
