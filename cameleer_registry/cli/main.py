"""The commands, the one that is meant where none is named, and how each of them ends."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from ..errors import RegistryError, ServerUnreachable
from ..version import __version__
from . import exits
from .help import DEFAULT_URL, URL_VARIABLE

PROGRAM: Final = "cameleer-registry"

COMMANDS: Final = {
    "serve": "serve",
    "agents": "agents",
    "agent": "agents",
    "groups": "agents",
    "nodes": "nodes",
    "forget": "agents",
    "send": "commands",
    "commands": "commands",
    "command": "commands",
    "simulate": "simulate",
    "backup": "backup",
    "restore": "backup",
    "auth": "auth",
    "console": "console",
}
"""Each command with its module, imported when it is asked for: a server needs no tables."""


class _Imported(MutableMapping[str, click.Command]):
    """The commands by their names, each imported when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        module = importlib.import_module(f".{COMMANDS[name]}", __package__)
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __setitem__(self, name: str, command: click.Command) -> None:
        raise TypeError(f"commands stand in COMMANDS, where {name!r} should be")

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"commands stand in COMMANDS, from which {name!r} should go")


class _Commands(click.Group):
    """A group of commands in which ``serve`` need not be said."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def main(self, args: Any = None, prog_name: str | None = None, *more: Any, **extra: Any) -> Any:
        """Run the command line and exit with its status, after one line that says what is wrong."""
        _complete_streams()
        extra["standalone_mode"] = False
        try:
            sys.exit(super().main(args, prog_name or PROGRAM, *more, **extra))
        except click.UsageError as error:
            message = " ".join(error.format_message().split())  # it may list choices in lines
            exits.fail(f"{message} (--help explains)", exits.USED_WRONGLY)
        except RegistryError as error:
            exits.fail(exits.reason(error), exits.REFUSED)
        except ServerUnreachable as error:
            exits.fail(exits.no_answer(error), exits.REFUSED)
        except click.Abort:
            sys.exit(exits.INTERRUPTED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by its name; one that is misspelt is told what may have been meant."""
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            meant = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" (Did you mean {meant[0]!r}?)" if meant else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands; and options, of which serve's are meant where none is named."""
        found = super().shell_complete(ctx, incomplete)
        serve = self.get_command(ctx, "serve")
        if incomplete.startswith("-") and serve is not None:
            known = {item.value for item in found}
            of_serve = serve.shell_complete(click.Context(serve, parent=ctx), incomplete)
            found += [item for item in of_serve if item.value not in known]
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own_options = {name for param in self.get_params(ctx) for name in param.opts}
        if ctx.resilient_parsing and not args:
            return super().parse_args(ctx, args)  # a shell asks what could stand here
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


@click.group(
    cls=_Commands, commands=_Imported(), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.option(
    "--url",
    metavar="ADDRESS",
    envvar=URL_VARIABLE,
    multiple=True,
    default=(DEFAULT_URL,),
    help="Address of the server; may also stand after the command's name.  "
    f"[env: {URL_VARIABLE}; default: {DEFAULT_URL}]",
)
def cli(url: tuple[str, ...]) -> None:
    """Agent registry and command-push server for Apache Camel observability agents.

    Without a command, it runs the server. Durations are seconds, decimals allowed, or 90s, 5m.
    """


main = cli
"""The entry point: a command of click's, as what makes man pages expects it."""


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
