"""Connections without sockets: what a server writes is kept."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from cameleer_registry.node.streams.frames import END


class Wire(asyncio.Transport):
    """A connection whose other end takes everything that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self._closing = False
        self._protocol: asyncio.BaseProtocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing, "something was written to a stream that has ended"
        self.written += bytes(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.get_protocol().connection_lost, None)

    def abort(self) -> None:
        self.close()

    # What can happen, and be seen, at the other end

    def hang_up(self) -> None:
        """Go away, as a client does that sends no more."""
        if not self._closing:
            cast(asyncio.Protocol, self.get_protocol()).eof_received()
            self.close()

    @property
    def ended(self) -> bool:
        """Whether it has ended as a stream should: with its last chunk, and closed."""
        return self._closing and self.written.endswith(END.chunked)

    def events(self) -> list[dict[str, Any]]:
        """Return the events that have arrived: their fields, with ``data`` parsed."""
        chunks, rest = b"", self.written
        while rest and rest != END.chunked:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            assert rest[length : length + 2] == b"\r\n"
            chunks, rest = chunks + rest[:length], rest[length + 2 :]
        found = []
        for block in chunks.decode().split("\n\n"):
            lines = [line.partition(": ") for line in block.splitlines() if line[:1] != ":"]
            fields: dict[str, Any] = {name: value for name, _, value in lines}
            if "data" in fields:
                found.append({**fields, "data": json.loads(fields["data"])})
        return found
