"""A registry inside another aiohttp application, which issues a command from its own handler.

    python examples/02_embedded.py 8082

The registry answers below /registry/, and an agent is pointed there:

    python examples/01_minimal_agent.py http://127.0.0.1:8082/registry my-agent my-group

The host application's own address tells every live agent of a group to trace:

    curl -X POST http://127.0.0.1:8082/incidents/my-group
"""

import sys

from aiohttp import web

from cameleer_registry import NODE, GroupNotFound, Order, Settings, Target, create_app


async def report_incident(request: web.Request) -> web.Response:
    """Have everybody concerned trace deeply, and wait a moment for their answers."""
    node = request.app[NODE]
    order = Order(type="deep-trace", payload={"minutes": 5})
    try:
        command = await node.issue(order, Target.of_group(request.match_info["group"]))
    except GroupNotFound as error:
        raise web.HTTPNotFound(text=str(error)) from None
    command = await node.wait(command.command_id, timeout=2)
    return web.json_response({"asked": command.target_count, "answers": dict(command.counts)})


async def overview(request: web.Request) -> web.Response:
    """Show the fleet in the host application's own words."""
    agents = request.app[NODE].agents()
    return web.json_response({agent.agent_id: agent.status for agent in agents})


def main(port: int) -> None:
    registry = create_app(Settings(stale_after=45))
    host = web.Application()
    host[NODE] = registry[NODE]
    host.add_subapp("/registry/", registry)
    host.router.add_get("/", overview)
    host.router.add_post("/incidents/{group}", report_incident)
    web.run_app(host, host="127.0.0.1", port=port, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8082)
