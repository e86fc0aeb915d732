"""What is said of every address: one entry each, by its method and path.

The path stands as in ``docs/http-api.md``, below the mount prefix. Path parameters, the protocol's
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
    "Agents": "What agents say of themselves, and what operators read of them.",
    "Stream": "How commands reach an agent.",
    "Commands": "What operators tell agents to do, and what became of it.",
    "Events": "What happens, as it happens.",
    "Credentials": "Who asks, what they may, and how commands are known to be genuine.",
    "Server": "The server itself: probes for orchestrators, metrics, and this document.",
}
