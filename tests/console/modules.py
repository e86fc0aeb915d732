"""The modules of the console, each on its own."""

from __future__ import annotations

from typing import Any

from .browser import Console


async def evaluate(console: Console, module: str, code: str, argument: Any = None) -> Any:
    """Run code of the page with what a module exports, as ``m``."""
    await console.open()
    loading = f"async (a) => {{ const m = await import('./console/{module}'); return {code}; }}"
    return await console.page.evaluate(loading, argument)
