"""What credentials have come to, as rows beside the journal, and a store made of these.

A row holds the facts that are left of one thing: of a token that it was made, what it was used for
and that it was revoked. A store takes them again in any order of the rows, and again with the
facts behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from ..core.events import Event
from ..core.instant import Instant
from ..core.kept import Entity
from ..core.plain import Value
from . import facts
from .encoding import DECODERS, ENCODERS
from .store import Credentials
from .tokens import is_outside

CREDENTIAL: Final = "credential"
"""The table of these rows."""

KEYS: Final = "keys"
"""The key of the row that has the key set."""


def key_of(fact: Event) -> str | None:
    """Return what a fact is about, as the key of its row; None if it is about nothing that is kept.

    In the order of these keys a store takes rows.
    """
    match fact:
        case facts.AuthBegan():
            return "began"
        case facts.KeySetPublished():
            return KEYS
        case facts.AgentCredentialsRevoked(agent_id=agent_id):
            return f"agent:{agent_id}"
        case facts.AllCredentialsRevoked():
            return "all"
        case (
            facts.SessionOpened(session_id=session_id) | facts.SessionClosed(session_id=session_id)
        ):
            return f"session:{session_id}"
        case (
            facts.TokenCreated(token_id=token_id)
            | facts.TokenUsed(token_id=token_id)
            | facts.TokenRevoked(token_id=token_id)
        ):
            return f"{'outside' if is_outside(token_id) else 'token'}:{token_id}"
        case _:
            return None


def _touched(fact: Event) -> Iterator[Entity]:
    """Return the entity that a fact is about, whose row has to be written anew.

    After all credentials were revoked every row is still correct, because the fact that revoked
    them is applied along with them.
    """
    if (key := key_of(fact)) is not None:
        yield Entity(CREDENTIAL, key)


TOUCHED: Final[Mapping[type[Event], Callable[[Event], Iterator[Entity]]]] = dict.fromkeys(
    facts.KEPT, _touched
)
"""What says what a fact was about, by its kind."""


def maker(credentials: Credentials) -> Callable[[Entity], Value]:
    """Return what makes the value of a row, as a store is by now; None for what is gone."""

    def row(entity: Entity) -> Value:
        left = credentials.facts_of(entity.key)
        return [ENCODERS[type(fact)](fact) for fact in left] or None

    return row


def load(credentials: Credentials, value: Iterable[Value]) -> None:
    """Take a row."""
    for name, wall, steady, lease, *fields in value:
        credentials.apply((DECODERS[name](Instant(wall, steady, lease), fields),))
