"""A whole agent: it is registered, LIVE and connected while it runs, and carries out commands.

    python examples/01_minimal_agent.py http://127.0.0.1:8081 order-service-1 order-service-prod

Then, from elsewhere:

    cameleer-registry send config-update --agent order-service-1 --payload '{"revision": 7}'

It carries on when the server restarts, or forgets it, or the connection breaks.
"""

import asyncio
import logging
import sys

from cameleer_registry.client import Agent, CommandEvent

if len(sys.argv) != 4:
    sys.exit("usage: python 01_minimal_agent.py ADDRESS AGENT_ID GROUP")
url, agent_id, group = sys.argv[1:]
agent = Agent(url, agent_id=agent_id, group=group, version="1.0.0", route_ids=["orders-in"])


@agent.on("config-update")
async def apply(command: CommandEvent) -> dict[str, object]:
    """What it returns is the acknowledgement's data; what it raises would make it a FAILURE."""
    print("told to take", dict(command.payload), flush=True)
    return {"applied": command.payload["revision"]}


logging.basicConfig(level=logging.INFO, format="%(message)s")
asyncio.run(agent.run())
