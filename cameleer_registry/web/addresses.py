"""How addresses are written."""

from __future__ import annotations

import re
from typing import Final

from ..wire.names import camel_case

API: Final = "/api/v1"
"""Below it stands the API, of this version."""


def template(path: str) -> str:
    """Return the path of a resource as it is documented: ``/api/v1/agents/{agentId}``."""
    return re.sub(r"{(\w+)}", lambda name: f"{{{camel_case(name[1])}}}", path)
