"""Classes whose instances nobody changes, for what is made with every request.

attrs' frozen classes see to that at run time: each field is set through ``object.__setattr__``,
which takes twice as long as to set it. A request makes a dozen of them, so of these the type
checker sees to it alone. The models that a host application makes itself are frozen for good.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as unchanging
else:
    from attrs import define, setters

    unchanging = partial(define, unsafe_hash=True, weakref_slot=False, on_setattr=setters.NO_OP)

__all__ = ["unchanging"]
