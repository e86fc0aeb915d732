"""Taking turns: one side, then the other, again and again, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from .figures import Figures
from .servers import Server


@frozen
class Side:
    """One that takes part: its server, and what it does in a turn."""

    name: str
    server: Server
    act: Callable[[], float]
    """Returns the figure of the turn."""
    settle: Callable[[], None] = lambda: None
    """Waits until what a turn has left to be done is done: it counts as CPU time of the turn, and
    not as that of the side whose turn is next."""
    after: Callable[[], None] = lambda: None
    """What has to be done after a turn, and is no part of it."""


@frozen
class Outcome:
    """What a side came to."""

    figures: Figures
    cpu: Figures
    """CPU seconds of its server for each turn. These see less of who else uses the machine."""


def take_turns(sides: Sequence[Side], turns: int) -> dict[str, Outcome]:
    """Let each side have its turn after the others, so many times, and once before it counts."""
    figures: dict[str, list[float]] = {side.name: [] for side in sides}
    cpu: dict[str, list[float]] = {side.name: [] for side in sides}
    for turn in range(turns + 1):
        for side in sides:
            before = side.server.cpu()
            figure = side.act()
            side.settle()
            used = side.server.cpu() - before
            side.after()
            if turn:
                figures[side.name].append(figure)
                cpu[side.name].append(used)
    return {
        side.name: Outcome(Figures(figures[side.name]), Figures(cpu[side.name])) for side in sides
    }
