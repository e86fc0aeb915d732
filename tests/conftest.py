from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .support import Served, serving


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A registry with default settings on a real socket."""
    async with serving() as served:
        yield served
