"""What every command that asks a server has in common."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import click

from ..client import Operator
from . import exits
from .help import DEFAULT_URL, URL_VARIABLE

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def _address(context: click.Context, _parameter: click.Parameter, given: str | None) -> str:
    """Take the address from this command, or from where it stood before its name."""
    url: str = given or context.find_root().params["url"]
    try:
        Operator(url)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return url


def url_option(command: F) -> F:
    """Give a command ``--url``."""
    return click.option(
        "--url",
        metavar="ADDRESS",
        callback=_address,
        help=f"Where the server is.  [env: {URL_VARIABLE}; default: {DEFAULT_URL}]",
    )(command)


def json_option(command: F) -> F:
    """Give a command ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, with the names of the HTTP API."
    )(command)


def ask(url: str, question: Callable[[Operator], Awaitable[T]]) -> T:
    """Return what an operator's client of that server is answered."""

    async def asking() -> T:
        async with Operator(url) as operator:
            return await question(operator)

    return run(asking())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run that to its end, or until a signal; then what is shown live is tidied up, too."""

    async def until_told() -> T:
        this = asyncio.current_task()
        assert this is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
        return await work

    try:
        return asyncio.run(until_told())
    except asyncio.CancelledError:
        sys.exit(exits.TERMINATED)
