"""A whole agent: it registers, sends heartbeats, holds its stream, and acknowledges commands.

    python examples/01_minimal_agent.py http://127.0.0.1:8081 order-service-1 order-service-prod

Then, from elsewhere:

    curl -d '{"type": "config-update", "payload": {"revision": 7}}' \
        http://127.0.0.1:8081/api/v1/agents/order-service-1/commands

It carries on when the server restarts, or forgets it, or the connection breaks.
"""

import asyncio
import contextlib
import json
import random
import sys
import uuid
from typing import Any

import aiohttp

INSTANCE = str(uuid.uuid4())  # tells this process from another one under the same id


class NotRegistered(Exception):
    """The server does not know this agent (any more)."""


async def run(server: str, agent_id: str, group: str) -> None:
    # Payloads may be large, and a line of the stream holds a whole one.
    async with aiohttp.ClientSession(f"{server}/", read_bufsize=2**22) as session:
        while True:
            try:
                registered = await register(session, agent_id, group)
                config = registered["config"]
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(send_heartbeats(session, agent_id, config))
                    tasks.create_task(listen(session, agent_id, registered["sseEndpoint"], config))
            except* (NotRegistered, aiohttp.ClientError, TimeoutError) as reasons:
                print("starting over:", *reasons.exceptions, flush=True)
            # At random, so that a fleet which lost its server does not return in one instant.
            await asyncio.sleep(random.uniform(0.5, 3))


async def register(session: aiohttp.ClientSession, agent_id: str, group: str) -> Any:
    declaration = {
        "agentId": agent_id,
        "group": group,
        "version": "1.0.0",
        "routeIds": ["orders-in", "orders-out"],
        "capabilities": ["config-update", "deep-trace", "replay"],
        "instanceId": INSTANCE,
    }
    async with session.post("api/v1/agents/register", json=declaration) as answer:
        answer.raise_for_status()
        registered = await answer.json()
    print("resumed" if registered["resumed"] else "registered", "as", agent_id, flush=True)
    return registered


async def send_heartbeats(session: aiohttp.ClientSession, agent_id: str, config: Any) -> None:
    while True:
        await asyncio.sleep(config["heartbeatIntervalMs"] / 1000 * random.uniform(0.9, 1))
        async with session.post(f"api/v1/agents/{agent_id}/heartbeat") as answer:
            if answer.status == 404:
                raise NotRegistered("the server has forgotten us")


async def listen(session: aiohttp.ClientSession, agent_id: str, endpoint: str, config: Any) -> None:
    retry = 3.0
    while True:
        # Three keepalives missing: the connection is open on paper only.
        silence = 3 * config["keepaliveIntervalMs"] / 1000
        timeout = aiohttp.ClientTimeout(total=None, sock_read=silence)
        async with session.get(endpoint, timeout=timeout) as stream:
            if stream.status == 404:
                raise NotRegistered("no stream for us")
            stream.raise_for_status()
            print("listening", flush=True)
            async for line in stream.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "retry":
                    retry = int(value) / 1000
                elif name == "data":  # an event's data is one line, and says all
                    await obey(session, agent_id, json.loads(value))
        print("the stream has ended", flush=True)
        await asyncio.sleep(retry)


async def obey(session: aiohttp.ClientSession, agent_id: str, command: Any) -> None:
    print("told to", command["type"], json.dumps(command["payload"]), flush=True)
    result = {"status": "SUCCESS", "data": {"applied": command["payload"]}}
    address = f"api/v1/agents/{agent_id}/commands/{command['commandId']}/ack"
    async with session.post(address, json=result) as answer:
        print("acknowledged:", answer.status, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(*sys.argv[1:]))
