"""An event loop on which a test decides who goes next, and the search through all it can decide.

What a program with one event loop can do is settled by the order in which its tasks take their
steps: between two steps of one, any other may take one of its own. :class:`ScheduledLoop` asks at
each step which of the tasks that are ready takes it; :func:`explore` runs something again and
again until every answer to every question has been given. Callbacks keep their order, as asyncio
promises, and so do the tasks that are not asked about. Time is virtual, and passes only when there
is nothing else to do.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import Handle
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from attrs import define, field, frozen

OP: Final = "op "
"""What the names of tasks begin with that may overtake each other."""

MOST_STEPS: Final = 10_000
"""Steps after which something goes round in circles."""


class NothingMore(AssertionError):
    """Somebody waits for something that will never happen."""


class Ready(deque[Handle]):
    """The handles of a loop that are ready, in the order that is chosen."""

    def __init__(self, choose: Callable[[list[str]], int], free: frozenset[str]) -> None:
        super().__init__()
        self._choose = choose
        self._free = free

    def popleft(self) -> Handle:
        """Take the first callback, or where there is none, one step of those that may be taken."""
        names = []
        for place, handle in enumerate(self):
            if (name := self._name_of(handle)) is None:
                return self._take(place)
            names.append(name)
        return self._take(self._choose(names) if len(names) > 1 else 0)

    def _take(self, place: int) -> Handle:
        handle = self[place]
        del self[place]
        return handle

    def _name_of(self, handle: Handle) -> str | None:
        """Return the name of the task whose step this is, where it may overtake others."""
        task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
        if not isinstance(task, asyncio.Task):
            return None
        name = task.get_name()
        return name if name.startswith(OP) or name in self._free else None


class ScheduledLoop(asyncio.SelectorEventLoop):
    """A loop whose order of steps is chosen, on virtual time. It waits for no sockets."""

    def __init__(self, choose: Callable[[list[str]], int], free: frozenset[str]) -> None:
        super().__init__()
        self._ready = Ready(choose, free)
        self._clock_resolution = 1e-12
        self._moment = 1000.0
        self._steps = 0

    def time(self) -> float:
        return self._moment

    def _run_once(self) -> None:
        self._steps += 1
        assert self._steps < MOST_STEPS, "it goes round in circles"
        if not self._ready:
            scheduled = [timer for timer in self._scheduled if not timer._cancelled]  # type: ignore[attr-defined]
            if not scheduled:
                raise NothingMore("nothing will ever happen")
            self._moment = max(self._moment, min(timer._when for timer in scheduled))
        super()._run_once()  # type: ignore[misc]


@frozen
class Explored:
    """What was tried."""

    schedules: int
    """How many orders of steps."""
    all: bool
    """Whether there are no others."""


@define
class _Schedule:
    """One sequence of answers: some that are given, and 0 from there on."""

    given: list[int] = field(factory=list)
    by_chance: random.Random | None = None
    # What was answered, to how many choices.
    taken: list[tuple[int, int]] = field(factory=list)
    steps: list[str] = field(factory=list)

    def choose(self, names: list[str]) -> int:
        if len(self.taken) < len(self.given):
            choice = self.given[len(self.taken)]
        else:
            choice = self.by_chance.randrange(len(names)) if self.by_chance else 0
        self.taken.append((choice, len(names)))
        self.steps.append(names[choice])
        return choice

    def next(self) -> list[int]:
        """Return the answers of the next one, none of which is left where it is empty."""
        taken = list(self.taken)
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        return [choice for choice, _ in taken[:-1]] + [choice + 1 for choice, _ in taken[-1:]]


def explore(
    scenario: Callable[[], Coroutine[Any, Any, None]],
    *,
    limit: int,
    free: frozenset[str] = frozenset(),
) -> Explored:
    """Run a scenario in every order of steps of its tasks; tell how many there were.

    Where there are more than ``limit``, so many are tried in order, and as many by chance, which
    is the same chance each time. ``free`` names tasks that may be overtaken besides :data:`OP`.
    """
    given: list[int] = []
    for count in range(1, limit + 1):
        schedule = _Schedule(given)
        _run(scenario, schedule, free)
        given = schedule.next()
        if not given:
            return Explored(count, True)
    chance = random.Random(limit)
    for _ in range(limit):
        _run(scenario, _Schedule(by_chance=chance), free)
    return Explored(2 * limit, False)


def _run(
    scenario: Callable[[], Coroutine[Any, Any, None]], schedule: _Schedule, free: frozenset[str]
) -> None:
    loop = ScheduledLoop(schedule.choose, free)
    try:
        loop.run_until_complete(scenario())
    except BaseException as error:
        error.add_note(f"in this order: {' → '.join(schedule.steps)}")
        raise
    finally:
        _close(loop)


def _close(loop: ScheduledLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
