"""Any conversation at all, beside a simple model of what it should come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cameleer_registry.core import ledger
from cameleer_registry.core.events import CloseReason, CommandIssued, StreamClosed, StreamOpened
from cameleer_registry.core.instant import Instant
from cameleer_registry.core.model import (
    Ack,
    AgentStatus,
    AgentTarget,
    Command,
    DeliveryState,
    GroupTarget,
    Order,
    Outcome,
    Target,
)
from cameleer_registry.core.registry import Registry
from cameleer_registry.core.views import time_of_day
from cameleer_registry.errors import (
    AgentNotRegistered,
    AtCapacity,
    CommandNotFound,
    GroupNotFound,
    IdempotencyKeyReused,
    TooManyPending,
)

from . import invariants
from .conversations import DEAD, HOUR, NS, ORDER, STALE, TTL, Talk, limits
from .invariants import check, check_facts, check_replay
from .simple_model import ModelAgent, ModelCommand, ModelKey

MAX_AGENTS, MAX_PENDING, HISTORY, MAX_KEYS = 3, 2, 5, 2

# One agent more than there is room for, and few enough of all that they meet.
AGENTS = st.sampled_from("abcd")
BACK = st.integers(0, 3)
GROUPS = st.sampled_from(["g", "h"])
TARGETS = st.one_of(
    AGENTS.map(Target.agent),
    st.sampled_from(["g", "h", "never"]).map(Target.of_group),
    st.just(Target.all()),
)
# To the boundaries lead rules of their own; these are for all that lies between.
SPANS = st.sampled_from([0, NS, 1, 10, 29, 30, TTL - NS, TTL, STALE - NS, STALE, DEAD - NS, DEAD])


class Conversations(RuleBasedStateMachine):
    """Everything that can be said to a registry, at every kind of moment."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        own = limits(
            max_agents=MAX_AGENTS,
            max_pending_per_agent=MAX_PENDING,
            command_history=HISTORY,
            idempotency_keys=MAX_KEYS,
        )
        self.talk = Talk(Registry(own))
        self.agents: dict[str, ModelAgent] = {}
        self.commands: dict[str, ModelCommand] = {}
        self.keys: dict[str, ModelKey] = {}
        self.groups: set[str] = set()
        self.streams = 0

    @property
    def now(self) -> Instant:
        return self.talk.now

    @initialize(group=GROUPS, many=st.sampled_from([1, 2, ledger.MANY]))
    def begin_with_somebody(self, group: str, many: int) -> None:
        """An empty registry is soon understood. Commands to many are kept in a way of their own."""
        self.patch.setattr(ledger, "MANY", many)
        self.patch.setattr(invariants, "MANY", many)
        self.register("a", "g")
        self.register("b", group)

    # Time

    @rule(seconds=SPANS)
    def time_passes(self, seconds: float) -> None:
        self.talk.elapsed += round(seconds * 1e9)

    @rule(seconds=SPANS)
    def the_process_is_held_up(self, seconds: float) -> None:
        self.talk.pause(seconds)

    @rule(seconds=st.sampled_from([-1e6, -1, 1, 1e6]))
    def the_wall_clock_is_set(self, seconds: float) -> None:
        self.talk.set_wall_clock(seconds)

    @rule(off=st.sampled_from([-1, 0, 1]))
    def the_next_lease_is_about_to_end(self, off: int) -> None:
        due = self.talk.registry.next_lease_end()
        if due is not None:
            self.talk.elapsed += max(0, due + off - self.now.lease)

    @rule(off=st.sampled_from([-1, 0, 1]))
    def the_next_deadline_is_about_to_pass(self, off: int) -> None:
        due = self.talk.registry.next_deadline()
        if due is not None:
            self.talk.elapsed += max(0, due + off - self.now.steady)

    @precondition(lambda self: self.keys)
    @rule(off=st.sampled_from([-1, 0, 1]))
    def the_oldest_key_is_about_to_be_forgotten(self, off: int) -> None:
        due = next(iter(self.keys.values())).issued.steady + round(HOUR * 1e9)
        self.talk.elapsed += max(0, due + off - self.now.steady)

    @rule(limit=st.sampled_from([1, 2, 500]))
    def sweep_leases(self, limit: int) -> None:
        self.talk.sweep_leases(limit)

    @rule(limit=st.sampled_from([1, 2, 500, None]))
    def sweep_commands(self, limit: int | None) -> None:
        self.talk.sweep_commands(limit)

    # Agents

    @rule(agent_id=AGENTS, group=GROUPS)
    def register(self, agent_id: str, group: str) -> None:
        known = self.agents.get(agent_id)
        if known is None and len(self.agents) == MAX_AGENTS:
            with pytest.raises(AtCapacity):
                self.talk.register(agent_id, group)
            return
        self.groups.add(group)
        if known is None:
            self.agents[agent_id] = ModelAgent(group, self.now, self.now, self.now)
        else:
            known.group = group
            self._hear(known)
        self.talk.register(agent_id, group)

    @rule(agent_id=AGENTS)
    def heartbeat(self, agent_id: str) -> None:
        known = self.agents.get(agent_id)
        if known is None:
            with pytest.raises(AgentNotRegistered):
                self.talk.heartbeat(agent_id)
            return
        self._hear(known)
        self.talk.heartbeat(agent_id)

    def _hear(self, agent: ModelAgent) -> None:
        if agent.status(self.now) is not AgentStatus.LIVE:
            agent.live_since = self.now
        agent.heard = self.now

    @rule(agent_id=AGENTS)
    def remove(self, agent_id: str) -> None:
        gone = self.agents.pop(agent_id, None)
        if gone is None:
            with pytest.raises(AgentNotRegistered):
                self.talk.remove(agent_id)
            return
        for command in self.commands.values():
            if agent_id in command.targets:
                command.removed.add(agent_id)
        facts = self.talk.remove(agent_id)
        closed = [fact.stream_id for fact in facts if isinstance(fact, StreamClosed)]
        assert ([] if gone.stream_id is None else [gone.stream_id]) == closed

    # Streams

    @rule(agent_id=AGENTS)
    def open(self, agent_id: str) -> None:
        self.streams += 1
        if agent_id not in self.agents:
            with pytest.raises(AgentNotRegistered):
                self.talk.open(agent_id, self.streams)
            return
        facts = self.talk.open(agent_id, self.streams)
        older, self.agents[agent_id].stream_id = self.agents[agent_id].stream_id, self.streams
        assert ([] if older is None else [older]) == [
            fact.stream_id for fact in facts if isinstance(fact, StreamClosed)
        ]
        assert [self.streams] == [f.stream_id for f in facts if isinstance(f, StreamOpened)]

    @precondition(lambda self: self.streams)
    @rule(agent_id=AGENTS, back=st.integers(0, 3), reason=st.sampled_from(CloseReason))
    def close(self, agent_id: str, back: int, reason: CloseReason) -> None:
        stream_id = max(1, self.streams - back)
        agent = self.agents.get(agent_id)
        facts = self.talk.close(agent_id, stream_id, reason)
        if agent is not None and agent.stream_id == stream_id:
            agent.stream_id = None
            assert 1 == len(facts)
        else:
            assert [] == facts

    # Commands

    @rule(whom=TARGETS)  # `target` is a word of hypothesis
    def issue(self, whom: Target) -> None:
        command_id = f"c{len(self.commands):03}"
        if refusal := self._refusal(whom):
            with pytest.raises(refusal):
                self.talk.issue(command_id, whom)
            return
        meant, skipped = self._issued(command_id, whom)
        facts = self.talk.issue(command_id, whom)
        (issued,) = (fact for fact in facts if isinstance(fact, CommandIssued))
        assert meant - skipped == set(issued.agent_ids)
        assert tuple(sorted(skipped)) == issued.skipped
        connected = [a for a in issued.agent_ids if self.agents[a].stream_id is not None]
        assert len(connected) == issued.connected_count

    def _issued(self, command_id: str, whom: Target) -> tuple[set[str], set[str]]:
        """Have the model take in a command; return whom it meant, and who was left out."""
        meant = self._meant(whom)
        skipped = self._full(meant)
        self.commands[command_id] = ModelCommand(self.now, frozenset(meant - skipped))
        return meant, skipped

    @rule(whom=TARGETS, key=st.sampled_from("xyz"), number=st.integers(0, 1))
    def issue_once(self, whom: Target, key: str, number: int) -> None:
        self._issue_once(whom, key, evolve(ORDER, payload={"number": number}))

    @precondition(lambda self: self.keys)
    @rule(back=st.integers(0, MAX_KEYS - 1))
    def the_same_is_asked_for_again(self, back: int) -> None:
        key, model = list(self.keys.items())[-1 - min(back, len(self.keys) - 1)]
        self._issue_once(model.whom, key, model.order)

    def _issue_once(self, whom: Target, key: str, order: Order) -> None:
        command_id, before = f"c{len(self.commands):03}", self.keys.get(key)
        if before is not None and not before.is_over(self.now):
            if (before.whom, before.order) != (whom, order):
                with pytest.raises(IdempotencyKeyReused):
                    self.talk.issue_once(command_id, whom, key, order)
                return
            again, facts = self.talk.issue_once(command_id, whom, key, order)
            assert [] == facts
            assert (before.command_id, whom, order.payload) == (
                again.command_id,
                again.target,
                again.payload,
            )
            self._adds_up(again)
            return
        if refusal := self._refusal(whom):
            with pytest.raises(refusal):
                self.talk.issue_once(command_id, whom, key, order)
            return
        self.keys = {k: model for k, model in self.keys.items() if not model.is_over(self.now)}
        self.keys[key] = ModelKey(command_id, self.now, whom, order)
        if len(self.keys) > MAX_KEYS:
            del self.keys[next(iter(self.keys))]
        _, skipped = self._issued(command_id, whom)
        command, _ = self.talk.issue_once(command_id, whom, key, order)
        assert (command_id, tuple(sorted(skipped))) == (command.command_id, command.skipped)
        self._adds_up(command)

    def _adds_up(self, command: Command) -> None:
        """Its deliveries are what the model says, whether or not it has been forgotten."""
        model = self.commands[command.command_id]
        states = Counter(model.state(agent_id, self.now) for agent_id in model.targets)
        assert {state: states[state] for state in DeliveryState} == command.counts
        assert len(model.targets) == command.target_count
        said = Counter(ack.status for ack in model.acks.values())
        assert {outcome: said[outcome] for outcome in Outcome} == command.outcomes

    def _refusal(self, whom: Target) -> type[Exception] | None:
        match whom:
            case GroupTarget(group) if group not in self.groups:
                return GroupNotFound
            case AgentTarget(agent_id) if agent_id not in self.agents:
                return AgentNotRegistered
            case AgentTarget(agent_id) if self._full([agent_id]):
                return TooManyPending
        return None

    def _meant(self, whom: Target) -> set[str]:
        match whom:
            case AgentTarget(agent_id):
                return {agent_id}
            case GroupTarget(group):
                groups = {group}
            case _:
                groups = self.groups
        return {
            agent_id
            for agent_id, agent in self.agents.items()
            if agent.status(self.now) is AgentStatus.LIVE and agent.group in groups
        }

    def _full(self, agent_ids: Iterable[str]) -> set[str]:
        return {a for a in agent_ids if self._pending(a) >= MAX_PENDING}

    def _pending(self, agent_id: str) -> int:
        return sum(
            agent_id in command.targets
            and command.state(agent_id, self.now) is DeliveryState.PENDING
            for command in self.commands.values()
        )

    @precondition(lambda self: self.commands)
    @rule(back=BACK)
    def pushed(self, back: int) -> None:
        command_id = self._command(back)
        self.talk.pushed(command_id, *self.commands[command_id].targets)

    @precondition(lambda self: self.commands)
    @rule(back=BACK, number=st.integers(0, 3), status=st.sampled_from(Outcome))
    def a_target_acknowledges(self, back: int, number: int, status: Outcome) -> None:
        command_id = self._command(back)
        if targets := sorted(self.commands[command_id].targets):
            self._acknowledge(targets[number % len(targets)], command_id, Ack(status=status))

    @precondition(lambda self: self.commands)
    @rule(back=BACK, agent_id=AGENTS)
    def anybody_acknowledges(self, back: int, agent_id: str) -> None:
        self._acknowledge(agent_id, self._command(back), Ack())

    def _command(self, back: int) -> str:
        """Return the id of one of the newest commands, 0 being the newest."""
        return sorted(self.commands)[max(0, len(self.commands) - 1 - back)]

    def _acknowledge(self, agent_id: str, command_id: str, ack: Ack) -> None:
        command = self.commands[command_id]
        if agent_id not in self.agents:
            with pytest.raises(AgentNotRegistered):
                self.talk.ack(agent_id, command_id)
            return
        if agent_id not in command.targets or not self._is_known(command_id):
            with pytest.raises(CommandNotFound):
                self.talk.ack(agent_id, command_id)
            return
        match command.state(agent_id, self.now):
            case DeliveryState.PENDING:
                command.acks[agent_id] = ack
            case DeliveryState.EXPIRED:
                command.late.setdefault(agent_id, self.now)
            case DeliveryState.ACKNOWLEDGED:
                pass
        self.talk.ack(agent_id, command_id, ack)

    def _is_known(self, command_id: str) -> bool:
        return command_id in self.talk.registry._ledger.commands

    # What is true whatever was said

    @invariant()
    def the_registry_is_sound(self) -> None:
        check(self.talk.registry, self.now)

    @invariant()
    def agents_are_what_the_model_says(self) -> None:
        registry, roster = self.talk.registry, self.talk.registry._roster
        shown = {agent.agent_id: agent for agent in registry.agents(now=self.now, limit=100)}
        assert sorted(self.agents) == list(shown)
        for agent_id, model in self.agents.items():
            agent, record = shown[agent_id], roster.agents[agent_id]
            assert (model.status(self.now), model.group) == (agent.status, agent.group)
            assert (model.registered, model.heard) == (record.registered, record.heard)
            assert model.status_since(self.now) == roster.status_since(record, self.now).lease
            assert model.stream_id == self.talk.stream_of(agent_id)

    @invariant()
    def deliveries_are_what_the_model_says(self) -> None:
        for command_id, model in self.commands.items():
            if not self._is_known(command_id):
                assert not model.is_open(self.now)
                continue
            deliveries = list(self.talk.registry.deliveries(command_id, now=self.now))
            assert sorted(model.targets) == [delivery.agent_id for delivery in deliveries]
            for delivery in deliveries:
                assert model.state(delivery.agent_id, self.now) == delivery.status
                assert model.acks.get(delivery.agent_id) == delivery.result
                late = model.late.get(delivery.agent_id)
                assert (time_of_day(late) if late else None) == delivery.late_ack_at

    @invariant()
    def inboxes_hold_what_is_known_newest_first(self) -> None:
        for agent_id in self.agents:
            assert [
                command_id
                for command_id, model in reversed(self.commands.items())
                if agent_id in model.targets - model.removed and self._is_known(command_id)
            ] == self.talk.inbox(agent_id)

    def teardown(self) -> None:
        """The facts of the whole conversation can happen, and lead to an equal registry."""
        try:
            check_facts(self.talk.facts)
            check_replay(self.talk.registry, self.talk.facts, self.now)
        finally:
            self.patch.undo()


# Derandomized: a run says something about the code and nothing about luck.
Conversations.TestCase.settings = settings(
    max_examples=400,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,  # which takes a minute more, and the first will do
    suppress_health_check=[HealthCheck.too_slow],
)
TestConversations = Conversations.TestCase
