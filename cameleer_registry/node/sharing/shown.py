"""What is shown of a node's part in a shared registry: to operators, probes and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from ...core.model import ClusterNode
from ...core.views import time_of_day
from ..telling.histogram import Histogram
from .applying import Applying
from .contact import REFUSING, WAITING
from .copying import Copying
from .part import Part
from .rebuilding import Rebuilding

if TYPE_CHECKING:
    from ..node import Node


@frozen(kw_only=True)
class Figures:
    """What is measured of a node's part in a registry that many share."""

    position: int
    silent: float
    append_seconds: Histogram
    inputs_an_entry: Histogram
    retries: int
    divergences: int
    rebuilds: int
    entries_behind_copy: int
    copy_age: float
    behind: int
    live: int


@frozen(kw_only=True, eq=False)
class Shown:
    """Reads the parts of a node's part, and changes nothing."""

    node: Node
    part: Part
    applying: Applying
    copying: Copying
    rebuilding: Rebuilding

    @property
    def ailments(self) -> list[str]:
        """Why this node should be given no work."""
        if self.part.lost is not None:
            return [self.part.lost]
        if self.part.number is None:
            return ["this node does not take part at present"]
        if self.rebuilding.is_running:
            return ["this node has derived something else than the others and begins anew"]
        if self.part.contact.silent > REFUSING:
            return [f"not in contact with the others for {self.part.contact.silent:.0f} s"]
        return []

    @property
    def as_of(self) -> str | None:
        """As of when is what is read here, if that may be too long ago; else None."""
        if self.part.replica is None or self.part.contact.silent <= WAITING:
            return None
        moment = time_of_day(self.part.replica.time.now)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def nodes(self) -> list[ClusterNode]:
        """Show all nodes, each name once, those that take part first; of this one as it is now."""
        assert self.part.replica is not None
        return [
            ClusterNode(
                name=member.name,
                version=member.version,
                address=member.address,
                status=member.status,
                own=(own := member.boot == self.part.boot),
                position=self.part.position if own else member.position,
                streams=len(self.node.streams) if own else member.streams,
                joined_at=time_of_day(member.joined),
                last_seen_at=time_of_day(member.heard),
                ended_at=time_of_day(member.ended),
            )
            for member in self.part.replica.members.by_name()
        ]

    def figures(self) -> Figures:
        """Return what is measured of this node's part."""
        part = self.part
        assert part.appender is not None
        return Figures(
            position=part.position,
            silent=part.contact.silent,
            append_seconds=part.appender.seconds,
            inputs_an_entry=part.appender.inputs,
            retries=part.appender.retries,
            divergences=self.applying.divergences,
            rebuilds=self.rebuilding.rebuilds,
            entries_behind_copy=self.copying.entries,
            copy_age=self.copying.age,
            behind=part.log.behind + self.applying.held,
            live=0 if part.replica is None else len(part.replica.members.live),
        )
