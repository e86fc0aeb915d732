"""The command line: ``serve``, which is also what happens where no command is named."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import attrs
import click

from .errors import CannotListen, SettingsError
from .logs import LogFormat, LogLevel, configure
from .serving import serve
from .settings import Settings, environment_variable_of, flag_of, load
from .version import __version__

F = TypeVar("F", bound=Callable[..., Any])

_METAVARS: Final = {float: "DURATION", int: "NUMBER"}

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


class _ServeByDefault(click.Group):
    """A group of commands in which ``serve`` need not be said."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own_options = {name for param in self.get_params(ctx) for name in param.opts}
        if not args or (args[0] not in self.commands and args[0] not in own_options):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Options of serve"):
            serve_context = click.Context(self.commands["serve"], parent=ctx)
            records = (param.get_help_record(serve_context) for param in serve_command.params)
            formatter.write_dl([record for record in records if record])


def _setting_options(command: F) -> F:
    """Give a command a flag for every setting."""
    for setting in reversed(attrs.fields(Settings)):
        default = "none" if setting.default is None else _shown(setting.default)
        # A switch may be said without its value, which then is "true".
        metavar = _METAVARS.get(type(setting.default), "TEXT")
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
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


@click.group(cls=_ServeByDefault, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cameleer-registry")
def cli() -> None:
    """Agent registry and command-push server for Apache Camel observability agents.

    Without a command, it serves. Durations are seconds, decimals allowed, or 90s, 5m.
    """


@cli.command("serve")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="CAMELEER_CONFIG",
    metavar="FILE",
    help="TOML file of settings, named as in CAMELEER_… but in lower case and without that. "
    "Flags come before the environment, and that before this file.  [env: CAMELEER_CONFIG]",
)
@_setting_options
@click.option(
    "--log-format",
    type=click.Choice([str(member) for member in LogFormat]),
    envvar="CAMELEER_LOG_FORMAT",
    default=str(LogFormat.CONSOLE),
    help="Log lines on standard error for people, or one JSON object each.  "
    "[env: CAMELEER_LOG_FORMAT; default: console]",
)
@click.option(
    "--log-level",
    type=click.Choice([str(member) for member in LogLevel]),
    envvar="CAMELEER_LOG_LEVEL",
    default=str(LogLevel.INFO),
    help="Log that and everything above.  [env: CAMELEER_LOG_LEVEL; default: info]",
)
def serve_command(config: Path | None, log_format: str, log_level: str, **flags: Any) -> None:
    """Run the server until SIGTERM or SIGINT.

    Durations are seconds, decimals allowed, or 90s, 5m.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = load(given, config)
    except SettingsError as error:
        _fail(str(error), EXIT_USAGE)
    configure(LogFormat(log_format), LogLevel(log_level))
    try:
        asyncio.run(serve(settings))
    except CannotListen as error:
        _fail(str(error), EXIT_FAILED)


def _fail(message: str, status: int) -> NoReturn:
    print(f"cameleer-registry: {message}", file=sys.stderr)
    sys.exit(status)


def main() -> None:
    """Run the command line; exits the process."""
    try:
        sys.exit(cli.main(prog_name="cameleer-registry", standalone_mode=False))
    except click.UsageError as error:
        _fail(f"{error.format_message()} (--help explains)", EXIT_USAGE)
