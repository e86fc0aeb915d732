"""Lists of many targets, each of which is kept once and referred to after that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import define, field

from .plain import UnknownFact
from .targets import Targets

MANY: Final = 100
"""Targets from which on a list of them is kept once."""


@define
class TargetLists:
    """Lists of many targets that commands share, each kept once, under a number."""

    # By the identity of the list, which is held on to: the number under which it is kept, with
    # the groups that its agents were in.
    _numbers: dict[int, tuple[int, Targets, frozenset[str]]] = field(factory=dict)
    _lists: dict[int, tuple[Targets, frozenset[str]]] = field(factory=dict)
    _next: int = 1
    # Those that have come since somebody asked.
    _new: list[int] = field(factory=list)

    def number_of(self, targets: Targets, groups: frozenset[str]) -> int | None:
        """Return the number under which a list is kept, or None where it is not."""
        known = self._numbers.get(id(targets))
        return known[0] if known is not None and known[2] == groups else None

    def add(self, targets: Targets, groups: frozenset[str], number: int | None = None) -> int:
        """Keep a list, under a number of its own; return that."""
        number = self._next if number is None else number
        self._next = max(self._next, number + 1)
        self._numbers[id(targets)] = number, targets, groups
        self._lists[number] = targets, groups
        self._new.append(number)
        return number

    @property
    def has_new(self) -> bool:
        """Whether lists have come since :meth:`take_new`."""
        return bool(self._new)

    def take_new(self) -> list[int]:
        """Return the numbers of lists that have come since the last time."""
        new, self._new = self._new, []
        return new

    def find(self, number: int) -> tuple[Targets, frozenset[str]]:
        """Return the list that is kept under a number; raises UnknownFact."""
        try:
            return self._lists[number]
        except KeyError:
            raise UnknownFact(f"a list of targets {number}, which is not there") from None

    def forget(self, number: int) -> None:
        """Forget a list that nothing refers to any more."""
        targets, _ = self._lists.pop(number)
        if self._numbers.get(id(targets), (0,))[0] == number:
            del self._numbers[id(targets)]

    def __contains__(self, number: object) -> bool:
        return number in self._lists

    def __iter__(self) -> Iterator[int]:
        return iter(self._lists)
