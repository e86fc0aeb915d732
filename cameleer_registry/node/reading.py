"""What can be asked of a node without changing anything.

Times in what is returned are judged at the moment of the call. It may show what is not durable yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from ..core.model import (
    Agent,
    AgentDelivery,
    AgentStatus,
    Command,
    Delivery,
    DeliveryState,
    GroupSummary,
    ListedCommand,
    Target,
)
from ..core.registry import Registry
from ..core.scoping import Within
from ..core.selection import CommandSelection
from ..security.principals import Principal
from .clock import Clock

EVERY_COMMAND: Final = CommandSelection()


class Reading:
    """What a node shows of its registry."""

    registry: Registry
    clock: Clock

    # Agents

    def agent(self, agent_id: str) -> Agent:
        """Show one agent; raises AgentNotRegistered."""
        return self.registry.agent(agent_id, now=self.clock.now())

    def agents(
        self,
        *,
        statuses: Collection[AgentStatus] = (),
        groups: Collection[str] = (),
        after: str = "",
        limit: int = 1_000_000_000,
        within: Within | None = None,
    ) -> list[Agent]:
        """Show up to ``limit`` agents that follow the id ``after``, in order of their ids.

        Empty ``statuses`` or ``groups`` stand for all. ``within``, here as elsewhere, tells which
        groups exist for whoever asks; None stands for all.
        """
        return self.registry.agents(
            now=self.clock.now(),
            statuses=statuses,
            groups=groups,
            after=after,
            limit=limit,
            within=within,
        )

    def groups(self) -> list[GroupSummary]:
        """Show every group that has agents, in order of their names."""
        return list(self.iter_groups())

    def iter_groups(self, *, within: Within | None = None) -> Iterator[GroupSummary]:
        """Show the same, as it is when this is called, one by one."""
        return self.registry.groups(now=self.clock.now(), within=within)

    # Commands

    def check_target(self, target: Target, *, within: Within | None = None) -> None:
        """Raise AgentNotRegistered or GroupNotFound if there is no such target."""
        self.registry.check_target(target, within=within)

    def check_delivery(self, agent_id: str, command_id: str) -> None:
        """Raise AgentNotRegistered or CommandNotFound if there is no such delivery."""
        self.registry.check_delivery(agent_id, command_id)

    def knows_idempotency_key(self, key: str, *, by: Principal | None = None) -> bool:
        """Tell whether somebody has issued a command under a key, so far as is remembered."""
        return self.registry.knows_idempotency_key(own_key(key, by))

    def command(self, command_id: str, *, within: Within | None = None) -> Command:
        """Show one command; raises CommandNotFound."""
        return self.registry.command(command_id, now=self.clock.now(), within=within)

    def commands(
        self,
        selection: CommandSelection = EVERY_COMMAND,
        *,
        before: str | None = None,
        limit: int = 1_000_000_000,
    ) -> list[ListedCommand]:
        """Show up to ``limit`` commands of a selection, newest first.

        With ``before`` only those that were issued before that command, which may be forgotten by
        now. Payloads of more than 4 KiB are left out.
        """
        number = None if before is None else self.registry.command_number(before)
        found, _ = self.registry.commands(
            selection, now=self.clock.now(), before=number, limit=limit
        )
        return found

    def deliveries(
        self, command_id: str, *, states: Collection[DeliveryState] = ()
    ) -> list[Delivery]:
        """Show a command's deliveries, in order of the agents' ids; raises CommandNotFound."""
        return list(self.iter_deliveries(command_id, states=states))

    def iter_deliveries(
        self,
        command_id: str,
        *,
        states: Collection[DeliveryState] = (),
        within: Within | None = None,
    ) -> Iterator[Delivery]:
        """Show the same, one by one; raises CommandNotFound, at once."""
        now = self.clock.now()
        return self.registry.deliveries(command_id, now=now, states=states, within=within)

    def agent_deliveries(
        self, agent_id: str, *, states: Collection[DeliveryState] = ()
    ) -> list[AgentDelivery]:
        """Show what was sent to an agent, newest first; raises AgentNotRegistered."""
        return list(self.iter_agent_deliveries(agent_id, states=states))

    def iter_agent_deliveries(
        self,
        agent_id: str,
        *,
        states: Collection[DeliveryState] = (),
        within: Within | None = None,
    ) -> Iterator[AgentDelivery]:
        """Show the same, one by one; raises AgentNotRegistered, at once."""
        now = self.clock.now()
        return self.registry.agent_deliveries(agent_id, now=now, states=states, within=within)


def own_key(key: str, by: Principal | None) -> str:
    """Return somebody's key as one that nobody else has; it is no key that anybody could send."""
    return key if by is None else f"{by.token_id}\n{key}"
