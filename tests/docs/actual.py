"""What there is, in the words of the pages."""

from __future__ import annotations

import re
from typing import Final

from cameleer_registry.errors import RegistryError
from cameleer_registry.web.routes import ROUTES


def address(path: str) -> str:
    """Return a route's path as it is documented: ``{agent_id:…}`` becomes ``{agentId}``."""
    names = {"agent_id": "{agentId}", "command_id": "{commandId}", "group": "{group}"}
    names |= {"token_id": "{tokenId}", "key_id": "{keyId}"}
    path = path.replace("{use:token|command}", "{use}")
    for name, documented in names.items():
        path = re.sub(rf"{{{name}(:[^/]*(?:/[^/{{}}]*)?\[\^/\]\+)?}}", documented, path)
    return path


DOCUMENTABLE: Final = [f"{method} {address(path)}" for method, path, *_ in ROUTES]


def leads_somewhere(method: str, path: str) -> bool:
    """Tell whether a request that a page mentions, with its ids filled in or not, has a route."""
    return any(
        method == of_route
        and re.fullmatch(re.sub(r"{\w+}", "[^/]+", address(route)), path) is not None
        for of_route, route, *_ in ROUTES
    )


def problems(base: type[RegistryError] = RegistryError) -> dict[str, int]:
    """Return the status of each code that goes over the wire."""
    found: dict[str, int] = {}
    for kind in base.__subclasses__():
        if kind.__module__ == RegistryError.__module__:
            found |= {kind.code: kind.status, **problems(kind)}
    return found
