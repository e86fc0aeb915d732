"""Where many nodes share a registry: what a request needs of the others, and what answers say.

An answer of a change says up to which position of the log it is true. A request that brings that to
another node waits until the node knows as much. And nobody is told that something does not exist
for mere lag: the node looks at the end of the log first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from multidict import istr

from ..errors import NotFound, NotInContact, OutcomeUnknown
from ..node.node import Node
from .access import Access, Rests
from .answers import Answer

POSITION: Final = istr("X-Cameleer-Position")
T = TypeVar("T")


async def handled(
    node: Node, headers: Mapping[str, str], access: Access, handle: Callable[[], Awaitable[T]]
) -> T:
    """Have a request handled when this node knows what its client has been told elsewhere.

    Raises NodeBehind, and what the handler does.
    """
    shared = node.shared
    if shared is None:
        return await handle()
    if (token := headers.get(POSITION)) is not None:
        await shared.reached(token)
    try:
        answer = await handle()
    except NotFound as error:
        if error.settled:
            raise
        try:
            await shared.look()
        except (NotInContact, OutcomeUnknown):
            raise NotInContact(
                f"{error}, as far as this node knows, which has not heard from the others"
            ) from None
        answer = await handle()
    if isinstance(answer, Answer) and access.rests is Rests.DONE:
        answer.headers = {**answer.headers, POSITION: shared.token}
    return answer
