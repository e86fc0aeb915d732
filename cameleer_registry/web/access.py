"""What stands before an address, as a column of the table of routes."""

from __future__ import annotations

from enum import Enum
from typing import Final

from attrs import evolve, frozen

from ..security.principals import Permission


class Rests(Enum):
    """What an answer rests on, and so who waits until that is durable."""

    NOTHING = "nothing that a crash could take back, or nothing that anybody relies on"
    READ = "what the handler has read: its answer waits until that is durable"
    BEGUN = "what was read before it begins: a stream, to which no client comes back after a 503"
    DONE = "what the handler has done: it waits for that itself"


@frozen(kw_only=True)
class Access:
    """Who may use an address, how, and what its answers depend on."""

    versioned: bool = True
    """Whether a client speaks a version of the protocol there; orchestrators' probes, Prometheus
    and browsers that open a page speak none."""
    any_host: bool = False
    """Whether it is asked under any name: probes ask by the address of a pod."""
    rests: Rests = Rests.READ
    needs: Permission | None = None
    """The permission that the address requires; None means none, not even a credential."""
    all_groups: bool = False
    """Whether that concerns all groups at once, and so needs a scope of everything."""
    sessions: bool = True
    """Whether the session of a browser is looked at. Where it is not, one that has expired does not
    stand in the way of the page at which somebody signs in."""
    renews: bool = False
    """Whether an agent's token is good there that has expired and can be renewed."""

    unfailing: bool = False
    """Whether clients may stop for good there if a server has trouble of its own and says so: those
    of an agent's stream. They wait for as long as there is hope instead."""

    passing: bool = False
    """Whether it changes what a registry alone keeps nowhere, and many nodes have to agree on."""

    @property
    def is_of_the_process(self) -> bool:
        """Whether it tells of this process alone, whatever the others are doing: to probes."""
        return self.any_host and self.needs is None

    @property
    def changes(self) -> bool:
        """Whether it changes something that is the same at many nodes."""
        return self.passing or self.rests is Rests.DONE

    def needing(self, permission: Permission, *, all_groups: bool = False) -> Access:
        """Return the same for those with that permission."""
        return evolve(self, needs=permission, all_groups=all_groups)


DONE: Final = Access(rests=Rests.DONE)
READ: Final = Access(rests=Rests.READ)
STREAM: Final = Access(rests=Rests.BEGUN)
AGENT_STREAM: Final = Access(rests=Rests.BEGUN, unfailing=True)
PING: Final = Access(rests=Rests.NOTHING)
STATIC: Final = Access(versioned=False, rests=Rests.NOTHING, sessions=False)
PROBE: Final = Access(versioned=False, any_host=True, rests=Rests.NOTHING, sessions=False)
SIGN_IN: Final = Access(rests=Rests.DONE, sessions=False)
CODE: Final = Access(sessions=False, passing=True)
"""For what makes a code: a session that begot another one would outlive itself."""
