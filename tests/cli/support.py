"""What tests of the command line need."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator

import click
import pytest

from cameleer_registry.cli.help import DEFAULT_URL
from cameleer_registry.cli.main import COMMANDS, cli, main

from ..processes import PROGRAM, environment
from ..support import within


def command(name: str) -> click.Command:
    """Return a command by its name."""
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def names() -> Iterator[str]:
    """Yield the name of every command, and of those below it: ``auth-token-create``."""

    def below(name: str, found: click.Command) -> Iterator[str]:
        yield name
        if isinstance(found, click.Group):
            for inner, one in found.commands.items():
                yield from below(f"{name}-{inner}", one)

    for name in COMMANDS:
        yield from below(name, command(name))


def parent_context() -> click.Context:
    """Return the context in which commands are called that are given no more than their own."""
    context = click.Context(cli)
    context.params["url"] = (DEFAULT_URL,)
    return context


def called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str
) -> tuple[int, str, str]:
    """Call the command line in this process: exit status, standard output, standard error.

    For what ends before a server is asked; everything else is run as a process of its own.
    """
    monkeypatch.setattr(sys, "argv", ["cameleer-registry", *args])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def complaint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str
) -> str:
    """Call the command line wrongly: it ends with status 2, and the one line that says why."""
    status, out, err = called(capsys, monkeypatch, *args)
    assert (2, "") == (status, out)
    assert err.startswith("cameleer-registry: ")
    assert 1 == err.count("\n")
    return err


async def read_by_one_who_leaves(*args: str) -> tuple[bytes, int | None, bytes]:
    """Run the command line, read some of what it prints, and close the pipe.

    Returns what was read, the exit status, and standard error.
    """
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *args, env=environment(), stdout=write, stderr=PIPE
    )
    os.close(write)
    try:
        begun = await within(asyncio.to_thread(os.read, read, 20))
        os.close(read)
        _, err = await within(process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
    return begun, process.returncode, err
