"""What every command that asks a server has in common."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from ..client import Operator
from . import exits, views
from .help import CACERT_VARIABLE, DEFAULT_URL, URL_VARIABLE
from .server import Server, read_headers

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def _address(context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> str:
    """Take the addresses from this command, or from where they stood before its name."""
    return Server(",".join(given or context.find_root().params["url"])).given


def _headers(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    try:
        return read_headers(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def server_options(command: F) -> F:
    """Give a command ``--url``, ``--cacert`` and ``--header``, and what they name as ``server``."""

    @wraps(command)
    def with_server(*args: Any, url: str, cacert: Path | None, headers: Any, **kwargs: Any) -> Any:
        return command(*args, server=Server(url, cacert, headers), **kwargs)

    options = (
        click.option(
            "--url",
            metavar="ADDRESS",
            multiple=True,
            callback=_address,
            help="Where the server is. Several addresses of one registry, with commas between "
            "them or each with its own --url, are asked in turn until one answers.  "
            f"[env: {URL_VARIABLE}; default: {DEFAULT_URL}]",
        ),
        click.option(
            "--cacert",
            type=click.Path(path_type=Path),
            metavar="FILE",
            envvar=CACERT_VARIABLE,
            help="Trust the certificates in this file (PEM), and no others.  "
            f"[env: {CACERT_VARIABLE}]",
        ),
        click.option(
            "--header",
            "headers",
            multiple=True,
            metavar="TEXT",
            callback=_headers,
            help="Send this header, 'Name: value', along; @FILE reads some from a file, a line "
            "each. May be given more than once.",
        ),
    )
    decorated: Any = with_server
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def json_option(command: F) -> F:
    """Give a command ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON, with the names of the HTTP API."
    )(command)


def ask(server: Server, question: Callable[[Operator], Awaitable[T]]) -> T:
    """Return what an operator's client of that server is answered."""

    async def asking() -> T:
        async with server.operator() as operator:
            views.go_by(operator.now)
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
