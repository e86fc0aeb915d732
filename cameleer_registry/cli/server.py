"""Where a command's server is, and what is said to whoever stands before it.

A secret is given by the environment or in a file, and never on the command line, where everybody on
the machine could read it; and it is shown nowhere.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp
import click
from aiohttp import hdrs
from attrs import frozen

from ..client import Operator
from ..setting_values import UNIX
from .help import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE

_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")  # RFC 9110, 5.6.2
_TOKEN: Final = re.compile(r"[!-~]+")

# Greedy: a password that was not escaped may hold an @.
_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s'\"]*@")

# RFC 6874 writes the zone of an IPv6 address behind %25; sockets want it behind %.
_ZONE: Final = re.compile(r"(\[[^]%]*)%25([^]]*\])")


def without_secrets(text: str) -> str:
    """Return a text in which an address may stand, without the name and password in it."""
    return _CREDENTIALS.sub("", text)


@frozen
class Server:
    """A server, and how it is spoken to; raises click.BadParameter where that makes no sense."""

    given: str
    """Its address as it was given. A password may stand in it: to be shown to nobody."""
    cacert: Path | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    def __attrs_post_init__(self) -> None:
        try:
            Operator(self.url)
        except ValueError as error:
            raise click.BadParameter(without_secrets(str(error))) from None

    @property
    def url(self) -> str:
        """The address for a client."""
        if self.given.startswith(UNIX):
            return "http://localhost"
        return _ZONE.sub(r"\1%\2", self.given)

    def __str__(self) -> str:
        """Return the address for people."""
        return without_secrets(self.given)

    @property
    def is_plain(self) -> bool:
        """Whether a client needs no more than its address."""
        return not (
            self.headers
            or self.cacert
            or self.given.startswith(UNIX)
            or token_of_environment() is not None
        )

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Operator]:
        """Open an operator's client of it."""
        if self.is_plain:
            async with Operator(self.url) as operator:
                yield operator
        else:
            async with self.session() as session, Operator(self.url, session=session) as operator:
                yield operator

    def session(self, *traces: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        """Return a session for clients of it, as many connections as they need, to be closed."""
        connector: aiohttp.BaseConnector
        if self.given.startswith(UNIX):
            connector = aiohttp.UnixConnector(path=self.given.removeprefix(UNIX), limit=0)
        else:
            trusts = True if self.cacert is None else _trusting(self.cacert)
            connector = aiohttp.TCPConnector(limit=0, ssl=trusts)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**self.headers, **self._authorization()},
            trace_configs=list(traces),
            trust_env=not self.given.startswith(UNIX),
        )

    def _authorization(self) -> dict[str, str]:
        """Return the header with the token from the environment, where there is one."""
        if any(name.lower() == "authorization" for name in self.headers):
            return {}
        if (token := token_of_environment()) is None:
            return {}
        if _CREDENTIALS.search(self.given):
            raise click.UsageError(
                f"only one of them can be sent: the name and password in the address of {self}, or "
                f"the token in {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}"
            )
        return {hdrs.AUTHORIZATION: f"Bearer {token}"}


def token_of_environment() -> str | None:
    """Return the token that the environment holds, or names the file of; None where there is none.

    Raises click.UsageError, which shows none of it, where it is no token.
    """
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        where = TOKEN_VARIABLE
    elif name := os.environ.get(TOKEN_FILE_VARIABLE, ""):
        where = f"{TOKEN_FILE_VARIABLE}, {name},"
        try:
            token = Path(name).read_text("utf-8-sig").strip()
        except (OSError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or "it is not text"
            raise click.UsageError(f"cannot read {TOKEN_FILE_VARIABLE}, {name}: {reason}") from None
    else:
        return None
    if not _TOKEN.fullmatch(token):
        raise click.UsageError(f"{where} contains no token: expected one word of ASCII characters")
    return token


def read_headers(texts: Sequence[str]) -> dict[str, str]:
    """Read headers, ``Name: value`` each, or ``@FILE`` with one a line; raises ValueError."""
    found: dict[str, str] = {}
    for line in _lines(texts):
        header = _HEADER.fullmatch(line)
        if header is None or not header[2].isprintable() or not header[2].isascii():
            raise ValueError(f"expected 'Name: value', got {line.partition(':')[0][:40]!r}")
        if header[1].lower() in {name.lower() for name in found}:
            raise ValueError(f"{header[1]} is given twice")
        found[header[1]] = header[2]
    return found


def _lines(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if not text.startswith("@"):
            yield text
            continue
        try:
            content = Path(text[1:]).read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or "it is not text"
            raise ValueError(f"cannot read {text[1:]}: {reason}") from None
        yield from (line for line in content.splitlines() if line.strip())


def _trusting(cacert: Path) -> ssl.SSLContext:
    """Return what trusts the certificates in a file and no others; raises click.UsageError."""
    try:
        return ssl.create_default_context(cafile=cacert)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "it contains no certificate in PEM"
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
            reason = error.strerror or str(error)
        raise click.UsageError(f"cannot use --cacert {cacert}: {reason}") from None
