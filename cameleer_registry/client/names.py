"""Looking up the names of hosts, in threads of our own.

asyncio looks them up in the threads of the loop's default executor, of which there are a handful
and which the program uses as well. When all of them are busy, no heartbeat would be sent.
"""

from __future__ import annotations

import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from .threads import in_thread


class Resolver(AbstractResolver):
    """Asks the system, as aiohttp's ThreadedResolver does, but for where it waits."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raises OSError where it has none."""
        return await in_thread(_look_up, host, port, family)

    async def close(self) -> None:
        """Do nothing: there is nothing to be closed."""


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
    )
    return [
        ResolveResult(
            hostname=host,
            host=_numeric(address),
            port=int(address[1]),
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in found
    ]


def _numeric(address: Any) -> str:
    """Return the address in figures; a link-local one (RFC 4007) needs its zone."""
    if len(address) == 4 and address[3]:
        numeric, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        return numeric
    return str(address[0])
