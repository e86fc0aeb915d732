"""Where many nodes share a registry: what a request needs of the others, and what answers say.

An answer of a change says up to which position of the log it is true. A request that brings that to
another node waits until the node knows as much. And nobody is told that something does not exist
for mere lag: the node looks at the end of the log first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from aiohttp import hdrs
from multidict import istr

from ..errors import (
    GroupNotAllowed,
    InvalidToken,
    NodeBehind,
    NotFound,
    NotInContact,
    OutcomeUnknown,
)
from ..node.node import Node
from ..node.sharing.shared import Shared
from ..security.tokens import may_be_ours
from .access import Access
from .answers import AS_OF, Answer
from .calls import Call
from .gate import Gate

POSITION: Final = istr("X-Cameleer-Position")

AGAIN: Final = 0.5
"""Seconds between two looks of one who waits for as long as there is hope."""

T = TypeVar("T")


async def admit(gate: Gate, call: Call, access: Access) -> None:
    """Admit a call; what it is refused for may be known elsewhere, and is looked for.

    Raises what :meth:`~.gate.Gate.admit` does, NotInContact if nobody can be asked, and what
    :meth:`~cameleer_registry.node.sharing.part.Part.check_level` does.
    """
    shared = call.node.shared
    if shared is None:
        gate.admit(call, access)
        return
    if access.is_of_the_process:
        gate.admit(call, access)
        return
    if access.unfailing:
        await shared.level()
    elif not (access.any_host and call.node.has_started):  # else a probe, of this node alone
        shared.check_level()
    try:
        gate.admit(call, access)
    except (InvalidToken, NotFound, GroupNotAllowed) as error:
        if isinstance(error, InvalidToken) and not _may_be_known_elsewhere(call):
            raise
        try:
            await _look(shared, access)
        except (NotInContact, OutcomeUnknown):
            raise NotInContact(
                "this node does not know that credential, or what it may do, and has not heard from"
                " the others"
            ) from None
        gate.admit(call, access)


def dated(node: Node, answer: Answer) -> Answer:
    """Have an answer say as of when it is, if that may be too long ago: see AS_OF."""
    shared = node.shared
    if shared is not None and (moment := shared.shown.as_of) is not None:
        answer.headers = {**answer.headers, AS_OF: moment}
    return answer


async def _look(shared: Shared, access: Access) -> None:
    """Wait until this node knows all that others had answered; raises what ``look`` does."""
    while True:
        try:
            await shared.look()
        except (NotInContact, OutcomeUnknown):
            if not access.unfailing or not shared.has_hope:
                raise
            await asyncio.sleep(AGAIN)
        else:
            return


def _may_be_known_elsewhere(call: Call) -> bool:
    """Tell whether a credential that is not known here may have been made at another node."""
    sent = call.headers.getall(hdrs.AUTHORIZATION, ())
    return not sent or may_be_ours(sent[0].strip(" \t").partition(" ")[2].strip(" "))


async def handled(
    node: Node, headers: Mapping[str, str], access: Access, handle: Callable[[], Awaitable[T]]
) -> T:
    """Have a request handled when this node knows what its client has been told elsewhere.

    Raises NodeBehind, and what the handler does.
    """
    shared = node.shared
    if shared is None or access.is_of_the_process:
        return await handle()
    if (token := headers.get(POSITION)) is not None:
        try:
            await shared.reached(token)
        except NodeBehind:
            if not access.unfailing:
                raise
    try:
        answer = await handle()
    except NotFound as error:
        if error.settled:
            raise
        try:
            await _look(shared, access)
        except (NotInContact, OutcomeUnknown):
            raise NotInContact(
                f"{error}, as far as this node knows, which has not heard from the others"
            ) from None
        answer = await handle()
    if isinstance(answer, Answer) and access.changes:
        answer.headers = {**answer.headers, POSITION: shared.token}
    return answer
