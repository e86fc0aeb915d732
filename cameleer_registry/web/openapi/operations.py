"""All operations: one entry for each address, by its method and path.

The path is that of ``docs/http-api.md``, below the mount prefix. Path parameters, the protocol's
headers, HEAD, and the problems that follow from the address, the method and the body are added to
each by :mod:`~cameleer_registry.web.openapi.document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from . import agents, auth, commands, feed, server, streams
from .terms import Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    **agents.OPERATIONS,
    **streams.OPERATIONS,
    **commands.OPERATIONS,
    **feed.OPERATIONS,
    **auth.OPERATIONS,
    **server.OPERATIONS,
}

TAGS: Final[Mapping[str, str]] = {
    "Agents": "Agents declare themselves, and operators read about them.",
    "Stream": "How commands reach an agent.",
    "Commands": "Operators issue commands, and agents acknowledge them.",
    "Events": "What happens, as it happens.",
    "Credentials": "Who may do what, and how agents verify commands.",
    "Server": "The server itself: probes for orchestrators, metrics, and this document.",
}
