"""docs/embedding.md says what a host can do, and what it has to know of aiohttp."""

from __future__ import annotations

import inspect
import logging
import re

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from cameleer_registry import Node, errors, serving

from .pages import EMBEDDING, rows


def test_every_call_is_shown_with_what_it_raises() -> None:
    """As its docstring has it, problems only: the rest is told below the table."""
    of_streams = {"open_stream", "close_stream", "open_feed"}
    of_handlers = {
        "check_target",
        "check_delivery",
        "register_from_wire",
        "knows_idempotency_key",
        "iter_groups",
    }
    of_handlers |= {"iter_deliveries", "iter_agent_deliveries", "carry_out", "catch_up"}
    of_handlers |= {"settled", "listen"}  # told below the table
    of_streams |= {"announce_stream", "withdraw_stream", "end_streams", "spread_ends"}
    of_streams |= {"catch_up_stream"}
    of_handlers |= {"kept"}
    of_the_application = {"begin", "start", "shut_down", "stop", "join", "carry_out_shared"}
    of_the_application |= {"check_settings"}
    public = {name for name, _ in inspect.getmembers(Node, inspect.isfunction) if name[0] != "_"}
    shown = {}
    for call, _, raises in rows(EMBEDDING, "Call"):
        [name] = re.findall(r"node\.(\w+)\(", call)
        method = getattr(Node, name)
        assert call.startswith("await ") == inspect.iscoroutinefunction(method)
        shown[name] = set(re.findall(r"\w+", raises))
        assert shown[name] == problems_in(inspect.getdoc(method) or "")
    assert public - of_streams - of_handlers - of_the_application == shown.keys()


def problems_in(docstring: str) -> set[str]:
    """Return the problems that a docstring names."""
    words = re.findall(r"[A-Z]\w+", docstring)
    return {word for word in words if issubclass(getattr(errors, word, int), errors.RegistryError)}


def test_what_aiohttp_does_by_default_is_what_it_does() -> None:
    """And what the server does on its own, too."""
    parameters = {
        **inspect.signature(RequestHandler.__init__).parameters,
        **inspect.signature(web.run_app).parameters,
    }
    own = {
        "backlog": f"{serving.BACKLOG:,}",
        "keepalive_timeout": f"{serving.IDLE_TIMEOUT:g} s, or 2.5 × the heartbeat interval",
        "shutdown_timeout": f"{serving.SHUTDOWN_TIMEOUT:g} s",
    }
    for argument, default, alone, _ in rows(EMBEDDING, "Argument"):
        name = argument.partition("`")[0]
        value = parameters[name].default
        match value:
            case logging.Logger():
                assert "on" == default
            case float():
                assert f"{value:g} s" == default
            case _:
                assert str(value) == default
        assert own.pop(name, alone) == alone
    assert {} == own
