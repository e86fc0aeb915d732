"""What the fields of models are called on the wire."""

from __future__ import annotations

from typing import Any

import attrs


def wire_name(attribute: attrs.Attribute[Any]) -> str:
    """Return what a field of a model is called on the wire."""
    if name := attribute.metadata.get("wire"):
        return str(name)
    return camel_case(attribute.name)


def camel_case(name: str) -> str:
    """Return the wire's form of a name: ``agent_id`` is ``agentId`` there."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
