"""From the file to a registry: rows, then the facts behind them, then when agents were heard."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
from attrs import define

from .... import interning
from ....core import kept, plain
from ....core.encoding import Decoder
from ....core.events import Event
from ....core.instant import NANOSECONDS, Instant
from ....core.kept import Entity
from ....core.loader import Loader
from ....core.model import Registration
from ....core.plain import UnknownFact
from ....core.registry import Registry
from ....core.target_lists import TargetLists
from ....core.touched import Touched
from ....errors import CannotOpenDatabase
from ....security import kept as of_credentials
from ....security.encoding import DECODERS, TOLD_ONE_BY_ONE
from ....security.facts import KEPT, PASSING
from ....security.store import Credentials
from ....system import boot_id, no_collections
from ...clock import Clock
from ...feed.past import KeptEvent, Past
from . import errors
from .file import File

AFTER_A_CRASH: Final = 1_000_000
"""Positions that are left out after a process that did not end as it should: events of the feed
may have been told of facts that were not durable, and no other event may get their ids."""

TOLD_AGAIN: Final = frozenset(
    {
        "agent-registered",
        "agent-revived",
        "agent-went-stale",
        "agent-went-dead",
        "agent-removed",
        "stream-opened",
        "stream-closed",
        "stream-conflict",
        "command-issued",
    }
    | TOLD_ONE_BY_ONE
)
"""Facts of which the feed tells one by one, so that its events can be made of them again."""


@define(kw_only=True)
class Loaded:
    """What was found in the file."""

    path: Path
    registry_id: str
    first_event: int
    # None for a file that is new.
    last_alive: Instant | None
    now: Instant
    position: int
    """That of the newest fact; more after a crash, since more may have been told."""
    last_position: int
    """That of the newest fact."""
    runs: list[tuple[int, int]]
    """Where facts without a gap are in the log: the positions before the first and of the last."""
    clean: bool
    """Whether the process before has ended as it should."""
    agents: int
    commands: int
    past: Past
    lists: TargetLists
    touched: Touched
    """What has happened to something since its row was made."""
    written: list[Entity]
    """Rows of what the registry forgets without a fact."""

    def told(self) -> dict[str, Any]:
        """Return what the log says of it."""
        about = {"database": str(self.path)}
        if self.last_alive is None:
            return {**about, "found": "nothing: it is new"}
        return {
            **about,
            "agents": self.agents,
            "commands": self.commands,
            "away_seconds": round((self.now.steady - self.last_alive.steady) / NANOSECONDS, 1),
            "ended_before": "cleanly" if self.clean else "without closing it",
        }


def alive(clock: Clock, now: Instant) -> str:
    """Return the text of a moment, from which a clock can go on."""
    return orjson.dumps([now.wall, now.steady, now.lease, clock.system, boot_id()]).decode()


def load(
    file: File, registry: Registry, clock: Clock, credentials: Credentials | None = None
) -> Loaded:
    """Make a registry, which is empty, of what is in a file, and have the clock go on.

    Raises CannotOpenDatabase where the file cannot be read.
    """
    try:
        with attrs.validators.disabled(), no_collections(for_good=True):
            return _load(file, registry, clock, credentials or Credentials())
    except sqlite3.Error as error:
        raise errors.unreadable(file.path, error) from None
    except (UnknownFact, KeyError, IndexError, TypeError, ValueError) as error:
        raise CannotOpenDatabase(
            f"{file.path} contains something that this version does not understand: {error}; it is "
            "left unchanged"
        ) from error


def _load(file: File, registry: Registry, clock: Clock, credentials: Credentials) -> Loaded:
    ask = file.connection.execute
    registry_id, first_event, ended, closed, fed, folded = ask(
        "SELECT registry, first_event, alive, closed, fed, folded FROM state"
    ).fetchone()
    decoder = Decoder(registry.targets_of, to_registration=_to_registration)
    decoder.extend(DECODERS)
    loader = Loader(registry, decoder.lists, _to_registration)
    written: list[Entity] = []
    position = _take_rows(ask, loader, written)
    position = max(position, _take_credentials(ask, credentials, written))
    loader.index(issued=0)
    decoder.lists.take_new()
    facts: list[tuple[int, Event]] = []
    touched = Touched()
    touched.extend(of_credentials.TOUCHED)
    runs: list[tuple[int, int]] = []
    last = ended
    for seq, last_of_row, text in ask("SELECT seq, alive, facts FROM log ORDER BY seq"):
        values = orjson.loads(text)
        last = _later(last, last_of_row)
        before_row = seq - len(values)
        if runs and runs[-1][1] == before_row:
            runs[-1] = runs[-1][0], seq
        else:
            runs.append((before_row, seq))
        for number, value in enumerate(values, start=before_row + 1):
            fact = decoder.decode(value)
            if number > folded:  # the others are there for the feed
                if isinstance(fact, KEPT):
                    credentials.apply((fact,))
                elif not isinstance(fact, PASSING):
                    loader.fact(number, fact)
                touched.note(fact, number)
            if number > fed or value[0] in TOLD_AGAIN:
                facts.append((number, fact))
        position = max(position, seq)
    loader.finish()
    begins = runs[0][0] if runs else None
    for list_number in decoder.lists.take_new():
        touched.add(Entity(kept.TARGETS, str(list_number)), begins or 0)
    before, system = _moment(last)
    now = clock.now() if before is None else clock.resume(before, system)
    _take_heard(ask, registry)
    rows = [
        KeptEvent(id=row[0], after=row[1], type=row[2], groups=row[3], at=row[4], data=row[5])
        for row in ask("SELECT id, after, type, groups, at, data FROM feed ORDER BY id")
    ]
    # A process that could not write that it had begun may have written facts all the same.
    clean = before is None or (bool(closed) and last == ended)
    last_position, position = position, position if clean else position + AFTER_A_CRASH
    return Loaded(
        path=file.path,
        registry_id=registry_id,
        first_event=first_event,
        last_alive=before,
        now=now,
        position=position,
        last_position=last_position,
        runs=runs,
        clean=clean,
        agents=len(registry),
        commands=registry.count_commands(),
        past=Past(
            first_id=first_event,
            position=position,
            complete_after=position if begins is None else begins,
            fed=fed,
            facts=facts,
            rows=rows,
        ),
        lists=decoder.lists,
        touched=touched,
        written=written,
    )


def _take_rows(ask: Any, loader: Loader, written: list[Entity]) -> int:
    """Give all rows to the loader; return the position up to which the newest is true."""
    newest = 0
    for kind in (kept.TARGETS, kept.COMMAND, kept.DELIVERY, kept.AGENT, kept.KEY, kept.GROUP):
        newest = max(newest, _take_kind(ask, loader, kind, written))
    return max(newest, _take_kind(ask, loader, kept.DELETED, written))


def _take_kind(ask: Any, loader: Loader, kind: str, written: list[Entity]) -> int:
    newest, take = 0, loader.taker(kind)
    is_forgotten_silently = kind in kept.FORGOTTEN_SILENTLY
    rows = ask("SELECT key, part, seq, body FROM rows WHERE kind = ? ORDER BY key, part", (kind,))
    for key, part, seq, body in rows:
        take(key, part, seq, orjson.loads(body))
        if is_forgotten_silently:
            written.append(Entity(kind, key, part))
        if seq > newest:
            newest = seq
    return newest


def _take_credentials(ask: Any, credentials: Credentials, written: list[Entity]) -> int:
    newest = 0
    kind = of_credentials.CREDENTIAL
    rows = ask("SELECT key, seq, body FROM rows WHERE kind = ? ORDER BY key", (kind,))
    for key, seq, body in rows:
        of_credentials.load(credentials, orjson.loads(body))
        written.append(Entity(kind, key))
        newest = max(newest, seq)
    return newest


def _take_heard(ask: Any, registry: Registry) -> None:
    for ids, moments in ask("SELECT ids, moments FROM heard"):
        times = array("q")
        times.frombytes(moments)
        agent_ids = orjson.loads(ids)
        count = len(agent_ids)
        for agent_id, wall, steady, lease in zip(
            agent_ids, times[:count], times[count : 2 * count], times[2 * count :], strict=True
        ):
            registry.heard_at(agent_id, Instant(wall, steady, lease))


def _moment(text: str) -> tuple[Instant | None, int | None]:
    """Return a moment, and the system's steady time then, if that goes on since."""
    if not text:
        return None, None
    wall, steady, lease, system, boot = orjson.loads(text)
    return Instant(wall, steady, lease), system if boot == boot_id() else None


def _later(one: str, other: str) -> str:
    if not one or not other:
        return one or other
    return max(one, other, key=lambda text: orjson.loads(text)[1])


def _to_registration(values: Sequence[Any]) -> Registration:
    """Return a registration in which what many agents declare alike is kept once."""
    agent_id, group, name, version, route_ids, capabilities, instance_id = values
    return plain.to_registration(
        (
            agent_id,
            interning.text(group),
            name,
            interning.text(version),
            interning.labels(route_ids),
            interning.json_object(capabilities),
            instance_id,
        )
    )
