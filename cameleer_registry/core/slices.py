"""Work that may be long, in slices: a generator that yields after each, and returns the result.

Whoever has other work lets that have its turn between two slices; the core itself waits for
nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

T = TypeVar("T")

Slices = Generator[None, None, T]

SLICE: Final = 500
"""Things that are made in one slice: about 3 ms."""


def at_once(slices: Slices[T]) -> T:
    """Do all of it, and return the result."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            result: T = end.value
            return result
