"""What aiohttp itself costs: handlers on the same addresses that answer, and do nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from typing import Any

from aiohttp import web

API = "/api/v1"

streams: dict[str, web.StreamResponse] = {}


async def heartbeat(_request: web.Request) -> web.Response:
    """Answer."""
    return web.Response(status=204)


async def take_json(request: web.Request) -> web.Response:
    """Read a body, and answer with one that is about as long as the product's."""
    body: Any = await request.json()
    return web.json_response({"read": len(body), "filler": "." * 200}, status=200)


async def stream(request: web.Request) -> web.StreamResponse:
    """Hold a stream open."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b": connected\n")
    streams[request.match_info["agent_id"]] = response
    await asyncio.get_running_loop().create_future()
    return response


async def push(request: web.Request) -> web.Response:
    """Write what came to one stream."""
    body = await request.read()
    response = streams[request.match_info["agent_id"]]
    await response.write(b"event: config-update\ndata: %b\n\n" % body)
    return web.Response(status=202)


async def main() -> None:
    """Serve until SIGTERM."""
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    app = web.Application()
    app.router.add_post(f"{API}/agents/register", take_json)
    app.router.add_post(f"{API}/agents/{{agent_id}}/heartbeat", heartbeat)
    app.router.add_get(f"{API}/agents/{{agent_id}}/events", stream)
    app.router.add_post(f"{API}/agents/{{agent_id}}/commands", push)
    app.router.add_post(f"{API}/agents/{{agent_id}}/commands/{{command_id}}/ack", take_json)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(f"bare aiohttp listening on http://127.0.0.1:{site.port}", flush=True)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main())
