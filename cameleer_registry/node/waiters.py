"""Those who wait until nothing of a command is pending."""

from __future__ import annotations

import asyncio

from ..core.events import CommandFinished


class Waiters:
    """Futures of those who wait, by the command that they wait for."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Return how many wait, for whichever command."""
        return sum(map(len, self._waiting.values()))

    async def wait(self, command_id: str, timeout: float) -> None:
        """Wait until a command has finished, everybody is woken, or ``timeout`` s have passed."""
        finished = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(command_id, set()).add(finished)
        try:
            await asyncio.wait([finished], timeout=timeout)
        finally:
            waiting = self._waiting.get(command_id, set())
            waiting.discard(finished)
            if not waiting:
                self._waiting.pop(command_id, None)

    def finished(self, fact: CommandFinished) -> None:
        """Wake those who wait for a command that has finished."""
        self._wake(fact.command_id)

    def wake_all(self) -> None:
        """Wake everybody."""
        for command_id in list(self._waiting):
            self._wake(command_id)

    def _wake(self, command_id: str) -> None:
        for waiter in self._waiting.pop(command_id, ()):
            if not waiter.done():
                waiter.set_result(None)
