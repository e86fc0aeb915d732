"""The commands, the one that is meant where none is named, and how each of them ends."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any, Final

import click

from ..errors import RegistryError, ServerUnreachable
from ..version import __version__
from . import exits
from .help import DEFAULT_URL, URL_VARIABLE

COMMANDS: Final = {
    "serve": "serve",
    "agents": "agents",
    "agent": "agents",
    "groups": "agents",
    "forget": "agents",
    "send": "commands",
    "command": "commands",
    "simulate": "simulate",
}
"""Each command with its module, imported when it is asked for: a server needs no tables."""


class _Commands(click.Group):
    """A group of commands in which ``serve`` need not be said."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[cmd_name]}", __package__)
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own_options = {name for param in self.get_params(ctx) for name in param.opts}
        # A word that is no command is none of serve's arguments either, but misspelt.
        if not args or (args[0].startswith("-") and args[0].split("=")[0] not in own_options):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        serve = self.get_command(ctx, "serve")
        assert serve is not None
        with formatter.section("Options of serve"):
            serve_context = click.Context(serve, parent=ctx)
            records = (param.get_help_record(serve_context) for param in serve.params)
            formatter.write_dl([record for record in records if record])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except OSError as error:
            # What could not be written, Python would try to write once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):  # whoever was to read it has read enough
                sys.exit(exits.PIPE_BROKEN)
            exits.fail(error.strerror or str(error), exits.NOT_DONE)
        return status


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cameleer-registry")
@click.option(
    "--url",
    metavar="ADDRESS",
    envvar=URL_VARIABLE,
    default=DEFAULT_URL,
    help="Where the server is that a command asks; may also stand behind the command's name.  "
    f"[env: {URL_VARIABLE}; default: {DEFAULT_URL}]",
)
def cli(url: str) -> None:
    """Agent registry and command-push server for Apache Camel observability agents.

    Without a command, it serves. Durations are seconds, decimals allowed, or 90s, 5m.
    """


def main() -> None:
    """Run the command line; exits the process."""
    _complete_streams()
    try:
        sys.exit(cli.main(prog_name="cameleer-registry", standalone_mode=False))
    except click.UsageError as error:
        message = " ".join(error.format_message().split())  # it may list choices in lines
        exits.fail(f"{message} (--help explains)", exits.USED_WRONGLY)
    except RegistryError as error:
        exits.fail(exits.reason(error), exits.REFUSED)
    except ServerUnreachable as error:
        exits.fail(str(error), exits.REFUSED)
    except click.Abort:
        sys.exit(exits.INTERRUPTED)


def _complete_streams() -> None:
    """Have all standard streams there, and have them take every character.

    Python leaves out those that are closed. What an encoding does not have is escaped, rather than
    all that was to be printed lost.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 - it stays open
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - likewise
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
