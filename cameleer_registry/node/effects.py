"""The one place for effects: what is done about facts, when, and in which order.

A fact goes through four stations. It is *appended* to the journal at once. What it means for a
stream that ends is done *at once*, too: nobody is told anything by that. When the journal says
that the fact is durable, its *effect* is carried out, such as writing a command to its targets'
streams. Then it is *told*: to meters, the feed, the log, and whoever listens. Facts are carried
out and told in the order in which they came about, and all that is durable together is carried
out before any of it is told: first a command is written to whom it is for.

In memory all of that is a few calls in a row.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..core.events import Event
from ..logs import get_logger
from .journal.kinds import NEVER_KEPT
from .journal.port import Journal

log = get_logger(__name__)

Listener = Callable[[Any], None]
"""Is told a fact. What it raises is logged, and changes nothing."""


class Effects:
    """Carries out and tells the facts of one node."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._keeps = journal.keeps
        self._at_once: Mapping[type[Event], Listener] = {}
        self._effects: Mapping[type[Event], Listener] = {}
        # Those who tell of what has happened, each in its way, by what they tell of.
        self._tellers: dict[type[Event], tuple[Listener, ...]] = {}
        # Facts that wait to be durable, with the position that has to be, and that before them.
        self._waiting: deque[tuple[int, int, Sequence[Event]]] = deque()
        # Facts that are carried out, and have yet to be told, with their positions.
        self._carried_out: deque[tuple[int, Event]] = deque()
        # The position of the fact that is being told, or was told last; 0 if none is kept.
        self.position = 0
        # Whether what is carried out has come in at this node; elsewhere many nodes share it.
        self.own = True
        # True while facts are carried out or told: what that causes is put behind them.
        self._busy = False

    def do(self, effects: Mapping[type[Event], Listener]) -> None:
        """Say what is done about facts when they are durable, by their kinds."""
        self._effects = {**self._effects, **effects}

    def do_at_once(self, effects: Mapping[type[Event], Listener]) -> None:
        """Say what is done about facts before they are durable, by their kinds."""
        self._at_once = {**self._at_once, **effects}

    def tell(self, listener: Listener, kinds: Iterable[type[Event]]) -> Callable[[], None]:
        """Have a listener told of facts of these kinds; return what ends that."""
        kinds = tuple(kinds)
        for kind in kinds:
            self._tellers[kind] = (*self._tellers.get(kind, ()), listener)

        def end() -> None:
            for kind in kinds:
                tellers = list(self._tellers[kind])
                with contextlib.suppress(ValueError):  # it was ended before
                    tellers.remove(listener)
                self._tellers[kind] = tuple(tellers)

        return end

    def tell_of(self, fact: Event) -> None:
        """Tell of a fact; of one that is neither kept nor has an effect, such as a heartbeat."""
        for tell in self._tellers.get(type(fact), ()):
            try:
                tell(fact)
            except Exception:
                self._complain("a fact was not reported", fact)

    def carry_out(self, facts: Sequence[Event]) -> None:
        """Keep facts, and carry them out and tell them as soon as they are durable."""
        if not facts:
            return
        if not (self._keeps or self._busy):
            self._carry_out_at_once(facts)
            return
        journal, at_once = self._journal, self._at_once
        before = journal.position
        awaited = journal.append(facts)
        self._waiting.append((awaited, before, facts))
        for fact in facts:
            if type(fact) in at_once:
                self._do(at_once[type(fact)], fact)
        if awaited <= journal.durable:
            self.proceed()

    def _carry_out_at_once(self, facts: Sequence[Event]) -> None:
        """Do the same if nothing is kept: then nothing waits, and it is a few calls in a row."""
        self._busy = True
        at_once, effects = self._at_once, self._effects
        try:
            for fact in facts:
                kind = type(fact)
                if kind in at_once:
                    self._do(at_once[kind], fact)
                if kind in effects:
                    self._do(effects[kind], fact)
            for fact in facts:
                self.tell_of(fact)
        finally:
            self._busy = False
        if self._waiting:
            self.proceed()

    def proceed(self) -> None:
        """Carry out what is durable by now, and then tell it."""
        if self._busy:
            return
        self._busy = True
        waiting, carried_out, effects = self._waiting, self._carried_out, self._effects
        try:
            while True:
                if waiting and waiting[0][0] <= self._journal.durable:
                    _, position, facts = waiting.popleft()
                    for fact in facts:
                        kind = type(fact)
                        if self._keeps and kind not in NEVER_KEPT:
                            position += 1
                        if kind in effects:
                            self._do(effects[kind], fact)
                        carried_out.append((position, fact))
                elif carried_out:
                    self.position, fact = carried_out.popleft()
                    self.tell_of(fact)
                else:
                    return
        finally:
            self._busy = False

    def _do(self, effect: Listener, fact: Event) -> None:
        try:
            effect(fact)
        except Exception:
            # It is a fact, and so is what follows, whether or not this could be done about it.
            self._complain("an effect has failed", fact)

    def _complain(self, what: str, fact: Event) -> None:
        with contextlib.suppress(Exception):
            log.exception(what, fact=type(fact).__name__)
