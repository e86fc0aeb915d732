"""``serve``: a flag for every setting, and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click

from ..errors import CannotJoin, CannotListen, CannotOpenDatabase, SettingsError
from ..logs import LogFormat, LogLevel, configure, flush, get_logger
from ..serving import serve
from ..setting_values import duration_or_off
from ..settings import Settings, environment_variable_of, flag_of
from ..sources import load
from . import exits
from .help import examples

F = TypeVar("F", bound=Callable[..., Any])

log = get_logger(__name__)

_METAVARS: Final = {float: "DURATION", int: "NUMBER"}


def _setting_options(command: F) -> F:
    """Give a command a flag for every setting."""
    for setting in reversed(attrs.fields(Settings)):
        default = _shown(setting.default)
        # A switch may be said without its value, which then is "true".
        metavar = _METAVARS.get(type(setting.default), "TEXT")
        if setting.metadata["read"] is duration_or_off:
            metavar = "DURATION"
        kind: dict[str, Any] = {"metavar": metavar}
        if isinstance(setting.default, bool):
            kind = {"metavar": "[true|false]", "is_flag": False, "flag_value": "true"}
        option = click.option(
            flag_of(setting.name),
            **kind,
            default=None,
            help=f"{setting.metadata['help']}  "
            f"[env: {environment_variable_of(setting.name)}; default: {default}]",
        )
        command = option(command)
    return command


def _shown(default: object) -> str:
    match default:
        case None | ():
            return "none"
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case tuple():
            return ",".join(default)
        case _:
            return str(default)


@click.command(
    "serve",
    epilog=examples("serve --port 9000 --stale-after 45s", "serve --config registry.toml"),
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="CAMELEER_CONFIG",
    metavar="FILE",
    help="TOML file of settings, named like their variables, in lower case and without "
    "CAMELEER_. Flags take precedence over the environment, and that over this file.  "
    "[env: CAMELEER_CONFIG]",
)
@_setting_options
@click.option(
    "--log-format",
    type=click.Choice([str(member) for member in LogFormat]),
    envvar="CAMELEER_LOG_FORMAT",
    default=str(LogFormat.CONSOLE),
    help="Form of the log on standard error: lines for people, or JSON objects.  "
    "[env: CAMELEER_LOG_FORMAT; default: console]",
)
@click.option(
    "--log-level",
    type=click.Choice([str(member) for member in LogLevel]),
    envvar="CAMELEER_LOG_LEVEL",
    default=str(LogLevel.INFO),
    help="Log messages of this level and above.  [env: CAMELEER_LOG_LEVEL; default: info]",
)
def serve_command(config: Path | None, log_format: str, log_level: str, **flags: Any) -> None:
    """Run the server until SIGTERM or SIGINT.

    Durations are seconds, decimals allowed, or 90s, 5m.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    remarks: list[tuple[str, Mapping[str, str]]] = []
    try:
        settings = load(given, config, remark=lambda *remark: remarks.append(remark))
    except SettingsError as error:
        exits.fail(str(error), exits.USED_WRONGLY)
    configure(LogFormat(log_format), LogLevel(log_level))
    for sentence, details in remarks:
        log.bind(**details).warning(sentence)
    try:
        asyncio.run(serve(settings))
    except CannotListen as error:
        flush()  # so that the reason is the last line
        exits.fail(str(error), exits.NOT_DONE)
    except SettingsError as error:  # of a file that is named, or of one that would be needed
        flush()  # so that the reason is the last line
        exits.fail(str(error), exits.USED_WRONGLY)
    except (CannotJoin, CannotOpenDatabase) as error:
        exits.fail_at_once(str(error), exits.USED_WRONGLY)
