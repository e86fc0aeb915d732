"""What happened, told as events of the operators' feed: what each fact is called, and what it says.

Heartbeats and pushes are not told; deliveries are, in shares: see :mod:`~.shares`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from ...core import events, feed
from ...core.events import Event
from ...core.feed import FeedEvent, FeedType
from ...core.ledger import CommandRecord
from ...core.model import AgentStatus, GroupTarget
from ...core.unchanging import unchanging
from ...core.views import time_of_day
from ...security import facts


@unchanging
class News:
    """What an event of the feed says, before it has an id."""

    type: FeedType
    groups: Collection[str]
    """The groups that it is about."""
    data: FeedEvent


def of(fact: Event) -> News | None:
    """Return what the feed tells of a fact, or None if it tells nothing, or not by itself."""
    reporter = REPORTERS.get(type(fact))
    return None if reporter is None else reporter(fact)


def groups_of(fact: events.CommandIssued | CommandRecord) -> Collection[str]:
    """Return the groups that a command is about: its targets', and the one it was meant for."""
    match fact.target:
        case GroupTarget(group):
            return fact.groups | {group}
        case _:
            return fact.groups


def _of_agent(type: FeedType, fact: events.MemberEvent) -> News:
    data = feed.AgentFeedEvent(at=time_of_day(fact.at), agent_id=fact.agent_id, group=fact.group)
    return News(type, (fact.group,), data)


def _registered(fact: events.AgentRegistered) -> News:
    declared = fact.registration
    data = feed.AgentRegisteredEvent(
        at=time_of_day(fact.at),
        agent_id=fact.agent_id,
        group=declared.group,
        name=declared.name or fact.agent_id,
        version=declared.version,
        instance_id=declared.instance_id,
        resumed=fact.resumed,
    )
    return News(FeedType.AGENT_REGISTERED, (declared.group,), data)


def _status(fact: events.MemberEvent, before: AgentStatus, after: AgentStatus) -> News:
    data = feed.AgentStatusEvent(
        at=time_of_day(fact.at),
        agent_id=fact.agent_id,
        group=fact.group,
        before=before,
        after=after,
    )
    return News(FeedType.AGENT_STATUS, (fact.group,), data)


def _revived(fact: events.AgentRevived) -> News:
    return _status(fact, fact.previous, AgentStatus.LIVE)


def _went_stale(fact: events.AgentWentStale) -> News:
    return _status(fact, AgentStatus.LIVE, AgentStatus.STALE)


def _went_dead(fact: events.AgentWentDead) -> News:
    return _status(fact, AgentStatus.STALE, AgentStatus.DEAD)


def _removed(fact: events.AgentRemoved) -> News:
    return _of_agent(FeedType.AGENT_REMOVED, fact)


def _stream_opened(fact: events.StreamOpened) -> News:
    return _of_agent(FeedType.STREAM_OPENED, fact)


def _stream_closed(fact: events.StreamClosed) -> News:
    data = feed.StreamClosedEvent(
        at=time_of_day(fact.at), agent_id=fact.agent_id, group=fact.group, reason=fact.reason
    )
    return News(FeedType.STREAM_CLOSED, (fact.group,), data)


def _conflict(fact: events.StreamConflict) -> News:
    return _of_agent(FeedType.STREAM_CONFLICT, fact)


def _issued(fact: events.CommandIssued) -> News:
    data = feed.CommandIssuedEvent(
        at=time_of_day(fact.at),
        command_id=fact.command_id,
        type=fact.order.type,
        target=fact.target,
        target_count=len(fact.agent_ids),
        connected_count=fact.connected_count,
        skipped_count=len(fact.skipped),
        issued_by=fact.by,
        created_at=time_of_day(fact.at),
        expires_at=time_of_day(fact.expires),
    )
    return News(FeedType.COMMAND_ISSUED, groups_of(fact), data)


def _credential(type: FeedType, fact: Any, *, of_agent: bool) -> News:
    group = getattr(fact, "group", None) if of_agent else None
    data = feed.CredentialFeedEvent(
        at=time_of_day(fact.at),
        agent_id=fact.agent_id if of_agent else None,
        group=group,
        token_id=getattr(fact, "token_id", None),
        by=fact.by,
    )
    return News(type, () if group is None else (group,), data)


def _credential_issued(fact: facts.CredentialIssued) -> News:
    return _credential(FeedType.CREDENTIAL_ISSUED, fact, of_agent=True)


def _token_created(fact: facts.TokenCreated) -> News:
    return _credential(FeedType.CREDENTIAL_ISSUED, fact, of_agent=False)


def _agent_revoked(fact: facts.AgentCredentialsRevoked) -> News:
    return _credential(FeedType.CREDENTIAL_REVOKED, fact, of_agent=True)


def _revoked(fact: facts.TokenRevoked | facts.AllCredentialsRevoked) -> News:
    return _credential(FeedType.CREDENTIAL_REVOKED, fact, of_agent=False)


def _credential_conflict(fact: facts.CredentialConflict) -> News:
    data = feed.CredentialConflictEvent(
        at=time_of_day(fact.at),
        agent_id=fact.agent_id,
        group=fact.group,
        by=fact.by,
        refused=fact.refused,
    )
    return News(FeedType.CREDENTIAL_CONFLICT, (fact.group,), data)


REPORTERS: Final[Mapping[type[Event], Callable[[Any], News]]] = {
    events.AgentRegistered: _registered,
    events.AgentRevived: _revived,
    events.AgentWentStale: _went_stale,
    events.AgentWentDead: _went_dead,
    events.AgentRemoved: _removed,
    events.StreamOpened: _stream_opened,
    events.StreamClosed: _stream_closed,
    events.StreamConflict: _conflict,
    events.CommandIssued: _issued,
    facts.CredentialIssued: _credential_issued,
    facts.TokenCreated: _token_created,
    facts.AgentCredentialsRevoked: _agent_revoked,
    facts.TokenRevoked: _revoked,
    facts.AllCredentialsRevoked: _revoked,
    facts.CredentialConflict: _credential_conflict,
}
