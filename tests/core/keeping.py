"""A journal without a file: facts are encoded, rows folded now and then, and a crash comes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import attrs
import orjson

from cameleer_registry.core import kept
from cameleer_registry.core.encoding import Decoder, Encoder
from cameleer_registry.core.events import CloseReason, Event, HeartbeatReceived, StreamClosed
from cameleer_registry.core.instant import Instant
from cameleer_registry.core.kept import Entity, RowMaker
from cameleer_registry.core.loader import Loader
from cameleer_registry.core.registry import Registry
from cameleer_registry.core.targets import Targets
from cameleer_registry.core.touched import Touched

from .invariants import check, snapshot


class Keeping:
    """What a journal has kept of facts by the time of a crash, as text."""

    def __init__(self, registry: Registry) -> None:
        self.registry = Registry(registry.limits)
        self.encoder = Encoder(self._targets_of)
        self.maker = RowMaker(self.registry, self.encoder)
        self.log: list[tuple[int, bytes]] = []
        self.rows: dict[Entity, tuple[int, bytes]] = {}
        self.touched = Touched()
        self.seq = 0

    def _targets_of(self, command_id: str) -> Targets | None:
        command = self.registry._ledger.commands.get(command_id)
        return None if command is None else command.targets

    def take(self, facts: Sequence[Event]) -> None:
        """Keep facts that happen together."""
        for fact in facts:
            self.registry.apply((fact,))
        for fact in facts:
            if isinstance(fact, HeartbeatReceived):
                continue
            self.seq += 1
            self.log.append((self.seq, orjson.dumps(self.encoder.encode(fact))))
            self.touched.note(fact, self.seq)
            for number in self.encoder.lists.take_new():
                self.touched.add(Entity(kept.TARGETS, str(number)), self.seq)

    def fold(self, most: int) -> None:
        """Make rows of what was touched first, and drop the facts that nobody needs any more."""
        for entity in self.touched.take(most):
            self._write(self.maker.row(entity))
        for row in self.maker.new_lists():
            self._write(row)
        folded = self.touched.folded(self.seq)
        self.log = [(seq, fact) for seq, fact in self.log if seq > folded]

    def _write(self, row: kept.Row) -> None:
        if row.value is None:
            self.rows.pop(row.entity, None)
            if row.entity.table == kept.COMMAND:  # its deliveries go with it
                for entity in [each for each in self.rows if each.key == row.entity.key]:
                    if entity.table == kept.DELIVERY:
                        del self.rows[entity]
        else:
            self.rows[row.entity] = self.seq, orjson.dumps(row.value)

    def load(self) -> Registry:
        """Make a registry of what was kept, in which nobody has a stream."""
        registry = Registry(self.registry.limits)
        ledger = registry._ledger

        def targets_of(command_id: str) -> Targets | None:
            command = ledger.commands.get(command_id)
            return None if command is None else command.targets

        decoder = Decoder(targets_of)
        loader = Loader(registry, decoder.lists)
        order = [kept.TARGETS, kept.COMMAND, kept.DELIVERY]
        for entity, (seq, raw) in sorted(
            self.rows.items(),
            key=lambda row: order.index(row[0].table) if row[0].table in order else 9,
        ):
            loader.take(entity, seq, orjson.loads(raw))
        loader.index(issued=0)
        for seq, raw in self.log:
            loader.fact(seq, decoder.decode(orjson.loads(raw)))
        loader.finish()
        for record in registry._roster.agents.values():
            record.heard = self.registry._roster.agents[record.agent_id].heard
        registry._roster.sort()
        close_all(registry, self.log_end())
        return registry

    def log_end(self) -> Instant:
        return Instant(0, 0, 0)


def close_all(registry: Registry, at: Instant) -> None:
    """End every stream, as a crash does."""
    registry.apply(
        StreamClosed(
            at=at,
            agent_id=record.agent_id,
            group=record.registration.group,
            stream_id=record.stream_id,
            reason=CloseReason.SHUTDOWN,
        )
        for record in list(registry._roster.agents.values())
        if record.stream_id is not None
    )


def check_keeping(registry: Registry, facts: Sequence[Event], now: Instant) -> None:
    """Fail if what a journal keeps of these facts does not make a registry like this one.

    However many facts happen together, and whenever rows are folded.
    """
    other = Registry(registry.limits)
    other.apply(facts)
    close_all(other, Instant(0, 0, 0))
    expected = comparable(other, now)
    for seed in range(3):
        chance, keeping, rest = random.Random(seed), Keeping(registry), list(facts)
        while rest:
            count = chance.randint(1, 6)
            keeping.take(rest[:count])
            rest = rest[count:]
            if seed and chance.random() < 0.5:
                keeping.fold(chance.choice((1, 3, 1000)))
        loaded = keeping.load()
        check(loaded, now)
        assert expected == comparable(loaded, now)


def comparable(registry: Registry, now: Instant) -> dict[str, Any]:
    """Return what has to be alike: what is in order of a moment may stand otherwise within it."""
    seen = snapshot(registry, now)
    agents = registry._roster.agents
    ledger = registry._ledger
    oldest = min((command.number for command in ledger.commands.values()), default=ledger.issued)

    def removed(agent_id: str) -> int:
        """Before which command an agent was deleted, if there is one that was issued before."""
        number = ledger.removed_at(agent_id)
        return number if number >= oldest else 0

    return {
        **seen,
        "told": {status: sorted(ids) for status, ids in seen["told"].items()},
        "vacated": sorted(seen["vacated"]),
        "finished": sorted(seen["finished"]),
        "removed": {agent_id: removed(agent_id) for agent_id in agents},
        "records": [attrs.asdict(record, recurse=False) for record in agents.values()],
    }
