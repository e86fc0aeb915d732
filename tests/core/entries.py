"""Entries of a log for replicas: made at random, or by hand; and programs that print digests.

Run as a program it prints the digests of replicas that were given many entries, drawn by a seed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from cameleer_registry.core import inputs
from cameleer_registry.core.digest import digest_of_replica
from cameleer_registry.core.events import CloseReason
from cameleer_registry.core.idempotency import Idempotency
from cameleer_registry.core.inputs import Entry, Input
from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.core.log_time import LogTime
from cameleer_registry.core.members import Members
from cameleer_registry.core.model import (
    Ack,
    AgentStatus,
    CommandType,
    Order,
    Outcome,
    Target,
)
from cameleer_registry.core.registry import Registry
from cameleer_registry.core.replica import Applied, Replica
from cameleer_registry.core.selection import LapsedAgents

from .conversations import START, limits, registration

STAMP: Final = START.wall
NODES: Final = ("a", "b", "c")
AGENTS: Final = [f"agent-{number}" for number in range(12)]
GROUPS: Final = ["g", "h"]


def replica(**counts: Any) -> Replica:
    """Return a replica in which nothing has happened."""
    return Replica(Registry(limits(**counts), in_order=True), Members(), LogTime(START))


class Log:
    """A log in memory, and replicas that follow it."""

    def __init__(self, *replicas: Replica) -> None:
        self.replicas = list(replicas) or [replica()]
        self.stamp = STAMP
        self.position = 0
        self._numbers: dict[str, int] = {}

    def put(self, boot: str, *given: Input, after: float = 0.0, no: int | None = None) -> Applied:
        """Append an entry so many seconds after the last one; return what has come of it."""
        if no is None:
            no = self._numbers[boot] = self._numbers.get(boot, 0) + 1
        self.stamp += round(after * NANOSECONDS)
        self.position += 1
        value = orjson.dumps(inputs.entry(Entry(boot=boot, no=no, inputs=given)))
        applied = [
            each.apply(self.position, self.stamp, inputs.to_entry(orjson.loads(value)))
            for each in self.replicas
        ]
        return applied[0]

    def join(self, boot: str, name: str | None = None, after: float = 0.0) -> Applied:
        """Have a node join."""
        return self.put(boot, inputs.Join(name=name or boot, version="1"), after=after)


def drawn(draw: random.Random) -> Iterator[tuple[str, float, Sequence[Input]]]:
    """Return entries without end: by whom, how long after the last one, and with which inputs."""
    number = 0
    commands: list[str] = ["none"]
    while True:
        boot = draw.choice(NODES)
        after = draw.choice([0.0, 0.01, 0.3, 1.0, 3.0, 30.0, -5.0, 61.0])
        given: list[Input] = []
        for _ in range(draw.randint(1, 6)):
            number += 1
            given.append(_input(draw, number, boot, commands))
        yield boot, after, given


def _input(draw: random.Random, number: int, boot: str, commands: list[str]) -> Input:
    agent_id, command_id = draw.choice(AGENTS), draw.choice(commands[-6:])
    match draw.randint(0, 11):
        case 0 | 1:
            group = draw.choice(GROUPS)
            return inputs.Register(
                registration=registration(agent_id, group, capabilities={"n": number}), by="x"
            )
        case 2 | 3:
            return inputs.Hear(agent_ids=tuple(draw.sample([*AGENTS, "nobody"], 6)))
        case 4:
            stream_id = (1 + NODES.index(boot) << 32) + number
            return inputs.OpenStream(agent_id=agent_id, stream_id=stream_id)
        case 5:
            return inputs.CloseStream(
                agent_id=agent_id, stream_id=number, reason=CloseReason.CLIENT_GONE
            )
        case 6 | 7:
            commands.append(f"c-{number:06}")
            key = draw.choice([None, "k-1", "k-2", f"k-{number}"])
            return inputs.Issue(
                command_id=commands[-1],
                order=Order(type=CommandType.REPLAY, payload={"number": number}),
                target=draw.choice(
                    [Target.agent(agent_id), Target.of_group(draw.choice(GROUPS)), Target.all()]
                ),
                size=10,
                payload_size=13,
                idempotency=None if key is None else Idempotency(key, b"f"),
            )
        case 8:
            return inputs.NotePushed(command_id=command_id, bits=1)
        case 9 | 10:
            ack = draw.choice([Ack(), Ack(status=Outcome.FAILURE, message="no", data=[1])])
            return inputs.Acknowledge(agent_id=agent_id, command_id=command_id, ack=ack, size=3)
        case _:
            return draw.choice(
                [
                    inputs.Remove(agent_id=agent_id),
                    inputs.RemoveLapsed(
                        agent_ids=tuple(AGENTS),
                        agents=LapsedAgents(statuses=frozenset({AgentStatus.DEAD})),
                    ),
                    inputs.Barrier(),
                    inputs.Mark(),
                ]
            )


def run(seed: int, count: int, *replicas: Replica) -> Log:
    """Give replicas so many entries that a seed draws."""
    log = Log(*replicas)
    alive = dict.fromkeys(NODES, 0)
    for place, (node, after, given) in enumerate(drawn(random.Random(seed))):
        if place == count:
            return log
        boot = f"{node}-{alive[node]}"
        if boot not in log.replicas[0].members.live:
            alive[node] += 1
            boot = f"{node}-{alive[node]}"
            log.join(boot, node)
        log.put(boot, *given, after=after)
    return log


if __name__ == "__main__":
    for number in range(3):
        small = replica(max_agents=10, max_pending_per_agent=2, command_history=6)
        print(digest_of_replica(run(number, int(sys.argv[1]), small).replicas[0]))
