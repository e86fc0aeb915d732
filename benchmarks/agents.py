"""Agents, as far as a server can tell: registered, connected, and obedient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from attrs import frozen

from . import http
from .fleet import Fleet, fleet
from .requests import caller, saturate
from .servers import Server


def register(server: Server, count: int, start: int = 0) -> None:
    """Register agents, all in one group."""
    saturate(server.address, map(http.registration, http.agent_ids(count, start)))


def acknowledge(server: Server, count: int, command_id: str) -> float:
    """Have agents acknowledge a command; return how many did so a second."""
    requests = (http.acknowledgement(agent_id, command_id) for agent_id in http.agent_ids(count))
    return saturate(server.address, requests).per_second


def issue(server: Server) -> str:
    """Issue a command to all agents; return its id."""
    with caller(server.address) as operator:
        return str(http.body_of(operator.ask(http.order()))["commandId"])


@frozen
class Connected:
    """Agents that are registered and hold a stream each."""

    server: Server
    streams: Fleet
    count: int


def connect(stack: ExitStack, server: Server, count: int, *, registered: bool = True) -> Connected:
    """Register agents where the server knows what that is, and open their streams."""
    if registered:
        register(server, count)
    streams = stack.enter_context(fleet(server.address))
    opened = streams.open(http.stream(agent_id) for agent_id in http.agent_ids(count))
    assert not opened.refused, opened
    return Connected(server, streams, count)


def heartbeats(count: int) -> Iterator[bytes]:
    """Return the heartbeats of so many agents, round and round."""
    requests = [http.heartbeat(agent_id) for agent_id in http.agent_ids(count)]
    while True:
        yield from requests
