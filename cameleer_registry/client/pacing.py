"""How long to wait before a stream that has lasted is opened again.

After an end that may be that of the server, as long as the server has said: a fleet that lost its
server shall not come back in one instant. But balancers end every response after 15 or 30 seconds,
and an agent that then waits for 5 is not connected a quarter of its time. So the wait is in
proportion to how long the stream had lasted, and the whole of it where that is minutes.
"""

from __future__ import annotations

from typing import Final

from . import backoff

LASTING: Final = 10.0
"""Seconds for which a stream must last for its end to be none to worry about. Balancers end them
after 15 s or more. One that ended sooner may have been taken over by another process under the same
id: it is opened ever more rarely."""

AGED: Final = 150.0
"""Seconds after which a stream was worth the whole wait. With a wait of 2 to 5 s, and up to as much
in addition, an agent is connected for more than 95 % of the time."""

SHORTEST: Final = 0.1
"""Seconds in which a server notices the end of a stream: a new one shall be no takeover."""


class Pacing:
    """The waits of one agent."""

    def __init__(self) -> None:
        # Seconds for which the stream before the last had lasted; None before there was one.
        self._before: float | None = None

    def after(self, lasted: float, *, cleanly: bool, retry: float) -> float:
        """Return seconds to wait after a stream that lasted so long, and ended cleanly, or broke.

        ``retry`` is what the server has said. Where a stream breaks, so may have all others: the
        wait is short if the one before had lasted as long, for then it is their age.
        """
        before, self._before = self._before, lasted
        is_age = before is not None and abs(lasted - before) <= max(1.0, before / 10)
        share = min(1.0, lasted / AGED) if cleanly or is_age else 1.0
        return max(SHORTEST, share * backoff.spread(retry))
