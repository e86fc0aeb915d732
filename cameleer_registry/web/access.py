"""What stands before an address, as a column of the table of routes."""

from __future__ import annotations

from enum import Enum
from typing import Final

from attrs import frozen


class Rests(Enum):
    """What an answer rests on, and so who waits until that is durable."""

    NOTHING = "nothing that a crash could take back, or nothing that anybody relies on"
    READ = "what the handler has read: its answer waits until that is durable"
    BEGUN = "what was read before it begins: a stream, to which no client comes back after a 503"
    DONE = "what the handler has done: it waits for that itself"


@frozen(kw_only=True)
class Access:
    """Who may ask at an address, how, and what the answers rest on."""

    versioned: bool = True
    """Whether a client speaks a version of the protocol there; orchestrators' probes, Prometheus
    and browsers that open a page speak none."""
    any_host: bool = False
    """Whether it is asked under any name: probes ask by the address of a pod."""
    rests: Rests = Rests.READ


DONE: Final = Access(rests=Rests.DONE)
READ: Final = Access(rests=Rests.READ)
STREAM: Final = Access(rests=Rests.BEGUN)
PING: Final = Access(rests=Rests.NOTHING)
STATIC: Final = Access(versioned=False, rests=Rests.NOTHING)
PROBE: Final = Access(versioned=False, any_host=True, rests=Rests.NOTHING)
