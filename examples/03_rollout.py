"""A careful rollout: one canary of a group first, then the rest in waves, and stop on a failure.

    python examples/03_rollout.py http://127.0.0.1:8081 order-service-prod '{"revision": 8}'

Exit status 0: every agent has it; 1: it was stopped, and it says who has it and who has not.
"""

import asyncio
import json
import sys
from typing import Any

from cameleer_registry import AgentStatus, DeliveryState, Outcome, RegistryError, ServerUnreachable
from cameleer_registry.client import Operator, Target

WAVE = 10  # agents that are updated side by side, once the canary is well
PATIENCE = 60  # seconds for an agent to say how it went; after command_ttl it expires anyway


async def roll_out(url: str, group: str, config: Any) -> int:
    async with Operator(url) as operator:
        agents = await operator.agents(statuses=[AgentStatus.LIVE], groups=[group])
        ids = [agent.agent_id for agent in agents if agent.connected]
        if not ids:
            print(f"nobody in {group} is live and connected")
            return 1
        canary, *rest = ids
        updated: list[str] = []
        waves = [[canary], *(rest[start : start + WAVE] for start in range(0, len(rest), WAVE))]
        for wave in waves:
            failures = await asyncio.gather(*(update(operator, name, config) for name in wave))
            outcomes = list(zip(wave, failures, strict=True))
            updated += [name for name, failure in outcomes if failure is None]
            if any(failures):
                print("stopped:", *(f"{name}: {failure}" for name, failure in outcomes if failure))
                break
            print("updated:", *wave)
        print(f"{len(updated)} of {len(ids)} agents have it")
        return 0 if len(updated) == len(ids) else 1


async def update(operator: Operator, agent_id: str, config: Any) -> str | None:
    """Return what went wrong, or None."""
    try:
        command = await operator.send("config-update", Target.agent(agent_id), config)
        await operator.wait(command.command_id, PATIENCE)
        [delivery] = await operator.deliveries(command.command_id)
    except (RegistryError, ServerUnreachable) as error:  # deleted meanwhile, for one
        return str(error)
    if delivery.status is not DeliveryState.ACKNOWLEDGED or delivery.result is None:
        return f"no answer ({delivery.status})"
    if delivery.result.status is Outcome.FAILURE:
        return delivery.result.message or "it failed"
    return None


def main() -> int | str:
    """Return the exit status, or what went wrong before anything was sent."""
    if len(sys.argv) != 4:
        return "usage: python 03_rollout.py ADDRESS GROUP CONFIGURATION"
    url, group, config = sys.argv[1:]
    try:
        return asyncio.run(roll_out(url, group, json.loads(config)))
    except json.JSONDecodeError as error:
        return f"the configuration is no JSON: {error}"
    except (RegistryError, ServerUnreachable, ValueError) as error:  # ValueError: no address
        return str(error)


if __name__ == "__main__":
    sys.exit(main())
