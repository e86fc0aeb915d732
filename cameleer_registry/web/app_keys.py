"""Typed keys under which an application keeps what its handlers need."""

from __future__ import annotations

from aiohttp import web

from ..core.instant import Instant
from ..node.node import Node

NODE = web.AppKey("cameleer_registry.node", Node)
"""The registry of an application: ``create_app(…)[NODE]``. A host application registers agents,
issues commands and reads through it, without HTTP."""

DOCUMENTS = web.AppKey("cameleer_registry.documents", dict[str, bytes])
"""The OpenAPI document by the prefix under which it was asked for, once it was."""

STARTED = web.AppKey("cameleer_registry.started", Instant)
"""When the application was made."""
