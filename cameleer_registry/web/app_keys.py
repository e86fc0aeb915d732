"""Typed keys under which an application keeps what its handlers need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from ..core.instant import Instant
from ..node.node import Node

if TYPE_CHECKING:
    from .gate import Gate

NODE = web.AppKey("cameleer_registry.node", Node)
"""The registry of an application: ``create_app(…)[NODE]``. A host application registers agents,
issues commands and reads through it, without HTTP."""

DOCUMENTS = web.AppKey("cameleer_registry.documents", dict[str, bytes])
"""The OpenAPI document by the prefix under which it was asked for, once it was."""

STARTED = web.AppKey("cameleer_registry.started", Instant)
"""When the application was made."""
GATE: web.AppKey[Gate] = web.AppKey("cameleer_registry.gate")
"""What stands before every handler of an application."""
