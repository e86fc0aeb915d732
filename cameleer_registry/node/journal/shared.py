"""What many wait for together: that the facts of one commit are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Shared(asyncio.Future[None]):
    """A future that some are told of without a turn of the loop for each.

    Whoever awaits it goes on as with any other future. Whoever is put on its list is called in the
    moment in which it is done, before those: what a callback of a future costs, to be wrapped,
    queued and run in a context of its own, is more than the answer that waits for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._to_call: list[Callable[[Shared], None]] = []

    def call(self, go_on: Callable[[Shared], None]) -> None:
        """Have somebody called when it is done, which it is not yet."""
        self._to_call.append(go_on)

    def finish(self, error: Exception | None = None) -> None:
        """Be done, or fail; nothing happens if it is done already."""
        if self.done():
            return
        if error is None:
            self.set_result(None)
        else:
            self.set_exception(error)
            self.exception()  # who waited may have gone
        to_call, self._to_call = self._to_call, []
        for go_on in to_call:
            try:
                go_on(self)
            except Exception as failure:  # of one of them, which is nothing to the others
                self.get_loop().call_exception_handler(
                    {"message": "whoever waited has failed", "exception": failure, "future": self}
                )
