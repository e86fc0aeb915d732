"""What happened, told as log lines: one for each fact that an operator would want to find again.

Heartbeats are not told. Deliveries are told as sums, and the failures one by one. What happens to
thousands of agents in the same second is told of some of them, and of the others as a sum: when a
fleet comes back, a line for each would take longer than its registration, and drown all others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from ...core import events
from ...core.events import Event
from ...core.instant import NANOSECONDS
from ...core.model import Outcome
from ...logs import get_logger
from ...security import facts

log = get_logger(__name__)

MOST_LINES: Final = 20
"""Lines about facts of one kind within a second; what is beyond them is counted."""

_IDS_NAMED: Final = 20
"""Agents named in one line; of more, only the number is told."""


class Narrator:
    """Tells the facts of one node."""

    def __init__(self) -> None:
        self.tellers: Mapping[type[Event], Callable[[Any], None]] = {
            **dict.fromkeys(_BY_ONE, self._by_one),
            **dict.fromkeys(_ALIKE, self._alike),
            events.DeliveryAcknowledged: self._acknowledged,
        }
        # Of each kind of fact: the second in which one happened last, and how many in it so far.
        self._seen: dict[str, tuple[int, int]] = {}
        # How many of each kind have not been told yet.
        self._suppressed: Counter[str] = Counter()
        # Set while there are some.
        self._waiting = asyncio.Event()

    async def sum_up(self) -> None:
        """Tell how many facts were not told one by one, second by second. Never ends."""
        while True:
            await self._waiting.wait()
            await asyncio.sleep(1)
            suppressed, self._suppressed = self._suppressed, Counter()
            self._waiting.clear()
            for kind, count in suppressed.items():
                log.log(_LEVELS[kind], f"{kind}: more than are logged one by one", more=count)

    def _by_one(self, fact: Event) -> None:
        _BY_ONE[type(fact)](fact)

    def _alike(self, fact: Event) -> None:
        kind, tell = _ALIKE[type(fact)]
        if self._has_room(kind, fact):
            tell(kind, fact)

    def _acknowledged(self, fact: events.DeliveryAcknowledged) -> None:
        # Most are of no interest to anybody, and there are many.
        failed = fact.result.status is Outcome.FAILURE
        if failed and not self._has_room(ACKNOWLEDGED, fact):
            return
        if failed or log.isEnabledFor(logging.DEBUG):
            log.log(
                logging.WARNING if failed else logging.DEBUG,
                ACKNOWLEDGED,
                command_id=fact.command_id,
                agent_id=fact.agent_id,
                outcome=str(fact.result.status),
                outcome_message=fact.result.message,
            )

    def _has_room(self, kind: str, fact: Event) -> bool:
        """Tell whether one more fact of a kind may have a line of its own; else count it."""
        second = fact.at.steady // NANOSECONDS
        last, count = self._seen.get(kind, (second, 0))
        count = count + 1 if last == second else 1
        self._seen[kind] = second, count
        if count <= MOST_LINES:
            return True
        self._suppressed[kind] += 1
        self._waiting.set()
        return False


ACKNOWLEDGED: Final = "command acknowledged"
REGISTERED: Final = "agent registered"
REVIVED: Final = "agent is LIVE again"
STALE: Final = "agent went STALE"
DEAD: Final = "agent went DEAD"
REMOVED: Final = "agent removed"
LATE: Final = "late acknowledgement"

_LEVELS: Final = {
    REGISTERED: logging.INFO,
    REVIVED: logging.INFO,
    STALE: logging.WARNING,
    DEAD: logging.WARNING,
    REMOVED: logging.INFO,
    LATE: logging.WARNING,
    ACKNOWLEDGED: logging.WARNING,
}
"""The kinds of facts that may happen to many agents at once."""


def _registered(kind: str, fact: events.AgentRegistered) -> None:
    log.log(
        _LEVELS[kind],
        kind,
        agent_id=fact.agent_id,
        group=fact.registration.group,
        version=fact.registration.version,
        instance_id=fact.registration.instance_id,
        resumed=fact.resumed,
    )


def _revived(kind: str, fact: events.AgentRevived) -> None:
    log.log(_LEVELS[kind], kind, agent_id=fact.agent_id, previous=str(fact.previous))


def _of_agent(kind: str, fact: events.AgentEvent) -> None:
    log.log(_LEVELS[kind], kind, agent_id=fact.agent_id)


def _late(kind: str, fact: events.LateAckReceived) -> None:
    log.log(_LEVELS[kind], kind, command_id=fact.command_id, agent_id=fact.agent_id)


_ALIKE: Final[Mapping[type[Event], tuple[str, Callable[[str, Any], None]]]] = {
    events.AgentRegistered: (REGISTERED, _registered),
    events.AgentRevived: (REVIVED, _revived),
    events.AgentWentStale: (STALE, _of_agent),
    events.AgentWentDead: (DEAD, _of_agent),
    events.AgentRemoved: (REMOVED, _of_agent),
    events.LateAckReceived: (LATE, _late),
}


def _stream_opened(fact: events.StreamOpened) -> None:
    log.debug("stream opened", agent_id=fact.agent_id, stream_id=fact.stream_id)


def _stream_closed(fact: events.StreamClosed) -> None:
    # Taken over by a newer one is as usual as the rest: too often is a conflict, which is told.
    ids: dict[str, Any] = {"agent_id": fact.agent_id, "stream_id": fact.stream_id}
    match fact.reason:
        case events.CloseReason.SLOW_CONSUMER:
            log.warning("stream aborted, its reader does not keep up", **ids)
        case reason:
            log.debug("stream closed", reason=str(reason), **ids)


def _conflict(fact: events.StreamConflict) -> None:
    log.warning("stream conflict: two processes seem to use one id", agent_id=fact.agent_id)


def _issued(fact: events.CommandIssued) -> None:
    named: dict[str, Any] = attrs.asdict(fact.target)  # the agent or the group, if it is for one
    if fact.by is not None:
        named["issued_by"] = fact.by
    log.info(
        "command issued",
        command_id=fact.command_id,
        command_type=str(fact.order.type),
        target_level=str(fact.target.level),
        **named,
        targets=len(fact.agent_ids),
        connected=fact.connected_count,
        skipped=len(fact.skipped),
    )


def _expired(fact: events.DeliveriesExpired) -> None:
    ids: dict[str, Any] = {"command_id": fact.command_id, "expired": len(fact.agent_ids)}
    if len(fact.agent_ids) <= _IDS_NAMED:
        ids["agent_ids"] = list(fact.agent_ids)
    log.warning("command expired", reason=str(fact.reason), **ids)


def _finished(fact: events.CommandFinished) -> None:
    log.info("command finished", command_id=fact.command_id, status=str(fact.status))


def _credential_issued(fact: facts.CredentialIssued) -> None:
    if log.isEnabledFor(logging.DEBUG):  # a fleet that comes back is given many
        log.debug("credential issued", agent_id=fact.agent_id, token_id=fact.token_id, by=fact.by)


def _credential_conflict(fact: facts.CredentialConflict) -> None:
    log.warning(
        "two processes use one agent id",
        agent_id=fact.agent_id,
        refused=fact.refused,
        by=fact.by,
    )


def _auth_began(_fact: facts.AuthBegan) -> None:
    log.info("a credential is stored: with auth = auto requests always need one from now on")


def _token_created(fact: facts.TokenCreated) -> None:
    log.info(
        "token created",
        token_id=fact.token_id,
        role=str(fact.role),
        groups=list(fact.groups),
        by=fact.by,
    )


def _token_used(fact: facts.TokenUsed) -> None:
    log.debug("token used", token_id=fact.token_id, agent_id=fact.agent_id)


def _token_revoked(fact: facts.TokenRevoked) -> None:
    log.warning("token revoked", token_id=fact.token_id, by=fact.by)


def _agent_revoked(fact: facts.AgentCredentialsRevoked) -> None:
    log.warning("credentials of an agent revoked", agent_id=fact.agent_id, by=fact.by)


def _all_revoked(fact: facts.AllCredentialsRevoked) -> None:
    log.warning("all credentials revoked", by=fact.by)


def _session_opened(fact: facts.SessionOpened) -> None:
    log.info("signed in", session_id=fact.session_id, token_id=fact.token_id)


def _session_closed(fact: facts.SessionClosed) -> None:
    log.info("signed out", session_id=fact.session_id)


def _key_set(fact: facts.KeySetPublished) -> None:
    log.info("keys changed", version=fact.version)


_BY_ONE: Final[Mapping[type[Event], Callable[[Any], None]]] = {
    events.StreamOpened: _stream_opened,
    events.StreamClosed: _stream_closed,
    events.StreamConflict: _conflict,
    events.CommandIssued: _issued,
    events.DeliveriesExpired: _expired,
    events.CommandFinished: _finished,
    facts.CredentialIssued: _credential_issued,
    facts.CredentialConflict: _credential_conflict,
    facts.AuthBegan: _auth_began,
    facts.TokenCreated: _token_created,
    facts.TokenUsed: _token_used,
    facts.TokenRevoked: _token_revoked,
    facts.AgentCredentialsRevoked: _agent_revoked,
    facts.AllCredentialsRevoked: _all_revoked,
    facts.SessionOpened: _session_opened,
    facts.SessionClosed: _session_closed,
    facts.KeySetPublished: _key_set,
}
