"""Doing work in slices on the event loop, so that others have their turn in between."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from ...core.slices import Slices

T = TypeVar("T")


async def in_turns(slices: Slices[T]) -> T:
    """Do a slice in each turn of the loop; return the result."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
