"""The physical limit in Python: an asyncio loop that writes ready bytes to every transport.

GET is answered with the head of a stream, which is kept. What is posted is framed as one chunk and
written to all of them; then comes the answer, with the seconds that took as its body.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"c\r\n: connected\n\r\n"
)

streams: dict[asyncio.Transport, None] = {}


class Connection(asyncio.Protocol):
    """One that is either a stream, or says what to write to all streams."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a request, which always comes whole."""
        if data.startswith(b"GET"):
            self.transport.write(HEAD)
            streams[self.transport] = None
            return
        event = data.partition(b"\r\n\r\n")[2]
        chunk = b"%x\r\n%b\r\n" % (len(event), event)
        began = time.perf_counter()
        for transport in streams:
            transport.write(chunk)
        took = b"%.6f" % (time.perf_counter() - began)
        self.transport.write(
            b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(took), took)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        streams.pop(self.transport, None)


async def main() -> None:
    """Serve until SIGTERM."""
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    print(f"bare loop listening on http://127.0.0.1:{port}", flush=True)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
