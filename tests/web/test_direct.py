"""What is written past asyncio's transport: only where that would have written the same."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trustme

from cameleer_registry import NODE, Ack, CommandType, Order, Settings, Target, create_app
from cameleer_registry.node.node import Node
from cameleer_registry.node.streams.agents import AgentStream
from cameleer_registry.node.streams.outgoing import BATCH, NOWHERE

from ..core.conversations import registration
from ..support import (
    Connection,
    Served,
    at_once,
    eventually,
    open_stream,
    running,
    serving,
    streaming,
    within,
)
from ..wires import Wire

ORDER = Order(type=CommandType.CONFIG_UPDATE, payload={"revision": 7})
TO_A = Target.agent("a")


def the_stream(node: Node) -> AgentStream:
    """Return the only stream."""
    [stream] = node.streams
    return stream


async def test_nothing_is_left_to_the_transport(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event and a keepalive reach a reader that keeps up without it."""
    await served.register("a")
    async with streaming(served, "a") as connection:
        stream = the_stream(served.node)
        monkeypatch.setattr(type(stream.transport), "write", lambda *_: pytest.fail("it wrote"))
        await served.node.issue(ORDER, Target.agent("a"))
        await served.node.issue(ORDER, Target.all())
        stream.keep_alive()
        await connection.event()
        await connection.event()
        assert b":" == await connection.line()
        monkeypatch.undo()


@pytest.mark.parametrize("targets", [Target.agent("a"), Target.all()], ids=["one", "all"])
async def test_what_the_kernel_does_not_take_comes_behind_what_it_took(targets: Target) -> None:
    """A piece of an event waits in the transport, and all that follows behind it."""
    async with serving(Settings(max_stream_backlog=2**30)) as served:
        await served.register("a")
        async with streaming(served, "a") as connection:
            stream = the_stream(served.node)
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
            sizes = [1_000_000, 10, 2_000_000, 3_000_000, 10, 10]
            sent = []
            for size in sizes:
                order = Order(type=CommandType.REPLAY, payload={"text": "x" * size})
                sent.append((await served.node.issue(order, targets)).command_id)
            assert stream.behind
            assert stream.direct == NOWHERE
            connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for size, command_id in zip(sizes, sent, strict=True):
                event = await connection.event()
                assert (command_id, size) == (event["id"], len(event["data"]["payload"]["text"]))
            await eventually(lambda: stream.direct != NOWHERE)
            assert not stream.behind


class Waiting(Wire):
    """A connection to which something was written before it became a stream, and waits."""

    __module__ = "asyncio.selector_events"

    def __init__(self, sock: socket.socket, waiting: int = 5) -> None:
        super().__init__()
        self._extra = {"socket": sock}
        self.waiting = waiting

    def get_write_buffer_size(self) -> int:
        return self.waiting


class Theirs(Waiting):
    """One that somebody else has made."""

    __module__ = "somewhere"


async def test_bytes_that_waited_before_it_was_a_stream(served: Served) -> None:
    """They come first, and count as what any reader has yet to take."""
    await served.register("a")
    here, there = socket.socketpair()
    with here, there:
        wire = Waiting(here)
        stream = served.node.open_stream("a", wire, chunked=True)
        assert stream.behind
        assert [stream] == list(served.node.streams._stalled)
        await served.node.issue(ORDER, Target.agent("a"))
        assert 1 == len(wire.events())
        wire.waiting = 0
        stream.resume_writing()
        await served.node.issue(ORDER, Target.agent("a"))
        assert 1 == len(wire.events())
        assert b"event: config-update" in there.recv(10_000)


def reset(connection: Connection) -> None:
    """End a connection with RST in place of FIN, as a host does that knows nothing of it."""
    sock = connection.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.reset()


ENDS: dict[str, Callable[[Served, Connection], object]] = {
    "its agent is deleted": lambda served, _: at_once(served.node.remove("a")),
    "it is cut off": lambda served, _: the_stream(served.node).abort(),
    "the client hangs up": lambda _, connection: connection.writer.close(),
    "the client resets it": lambda _, connection: reset(connection),
    "the server stops": lambda served, _: asyncio.create_task(served.node.shut_down()),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_stream_that_has_ended_writes_nowhere(
    served: Served, end: Callable[[Served, Connection], object]
) -> None:
    """Its descriptor may be somebody else's by then."""
    await served.register("a")
    async with streaming(served, "a") as connection:
        stream = the_stream(served.node)
        ending = end(served, connection)
        assert (stream.direct == NOWHERE) == stream.transport.is_closing(), "at once"
        if stream.transport.is_closing():
            stream.resume_writing()  # as a transport says that has written the rest
            assert stream.direct == NOWHERE
        await eventually(lambda: stream not in served.node.streams._connections)
        assert stream.direct == NOWHERE
        assert isinstance(ending, asyncio.Task) or ending is None


@pytest.mark.parametrize("target", [Target.agent("a"), Target.all()], ids=["one", "all"])
async def test_a_connection_that_broke_unnoticed(served: Served, target: Target) -> None:
    """What the kernel refuses is told to nobody as written, and the stream is gone."""
    await served.register("a")
    async with streaming(served, "a") as connection:
        sock = the_stream(served.node).transport.get_extra_info("socket")
        sock.shutdown(socket.SHUT_WR)  # so that writing fails, and nothing tells of it before
        await served.node.issue(ORDER, target)
        await eventually(lambda: not served.node.streams._connections)
        assert not served.node.agent("a").connected
        assert [None] == [d.delivered_at for d in served.node.agent_deliveries("a")]
        await connection.closed()


@pytest.mark.parametrize("target", [Target.agent("a"), Target.all()], ids=["one", "all"])
async def test_nothing_follows_a_piece_of_an_event(
    served: Served, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a connection breaks in the middle of one, neither that nor the next one is written."""
    await served.register("a")
    async with streaming(served, "a") as connection:
        stream = the_stream(served.node)
        # As both do when the kernel has no room for anybody, and the next moment it has.
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, content: write(fd, content[:100]))
        broken = type(stream.transport)
        monkeypatch.setattr(broken, "write", lambda transport, _: transport.abort())
        command = await served.node.issue(ORDER, target)
        await served.node.issue(ORDER, target)
        stream.keep_alive()
        monkeypatch.undo()
        assert [None, None] == [d.delivered_at for d in served.node.agent_deliveries("a")]
        chunk = await within(connection.reader.read())
    assert chunk.partition(b"\r\n")[2].startswith(f"id: {command.command_id}".encode())
    assert 100 == len(chunk)


async def test_what_others_do_with_a_connection_is_theirs_to_know(served: Served) -> None:
    """Nothing is written past a transport that is not asyncio's own for sockets."""
    await served.register("a")
    here, there = socket.socketpair()
    with here, there:
        wire = Waiting(here, waiting=0)
        stream = served.node.open_stream("a", wire, chunked=True)
        assert stream.direct != NOWHERE
        theirs = Theirs(here, waiting=0)
        stream = served.node.open_stream("a", theirs, chunked=True)
        assert stream.direct == NOWHERE
        await served.node.issue(ORDER, Target.agent("a"))
        await served.node.issue(ORDER, Target.all())
        assert 2 == len(theirs.events())


async def test_a_host_with_tls() -> None:
    """What is written to a stream is encrypted like all else."""
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    app = create_app()
    async with running(app, host="localhost", ssl_context=theirs) as (host, port):
        served = Served(app[NODE], host, port)
        await served.node.register_from_wire(registration("a"))
        reader, writer = await asyncio.open_connection(host, port, ssl=ours)
        connection = Connection(reader, writer)
        await open_stream(served, connection, "a")
        assert the_stream(served.node).direct == NOWHERE
        sent = [(await served.node.issue(ORDER, t)).command_id for t in (TO_A, Target.all())]
        assert sent == [(await connection.event())["id"] for _ in sent]
        writer.close()


# Of the streams of the last command to many it is remembered which they were


async def test_streams_come_and_go_between_commands_and_between_batches(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command reaches whoever has a stream when it is an agent's turn, on the newest one."""
    node, agents = served.node, [f"a{number:03}" for number in range(3 * BATCH)]
    for agent_id in agents:
        await node.register_from_wire(registration(agent_id))
    wires = {agent_id: Wire() for agent_id in agents[:-1]}
    for agent_id, wire in wires.items():
        node.open_stream(agent_id, wire, chunked=True)

    def ids(agent_id: str) -> list[str]:
        return [event["id"] for event in wires[agent_id].events()]

    def open_again(agent_id: str) -> None:
        wires[agent_id] = Wire()
        node.open_stream(agent_id, wires[agent_id], chunked=True)

    first, again = [(await node.issue(ORDER, Target.all())).command_id for _ in range(2)]
    assert all([first, again] == ids(agent_id) for agent_id in wires)
    open_again(agents[-1])
    third = (await node.issue(ORDER, Target.all())).command_id
    assert [third] == ids(agents[-1])
    assert node.streams._parts
    wires[agents[1]].hang_up()
    assert not node.streams._parts, "streams that have ended are not kept"
    open_again(agents[2])
    fourth = (await node.issue(ORDER, Target.all())).command_id
    assert [first, again, third] == ids(agents[1])
    assert [fourth] == ids(agents[2])
    assert [first, again, third, fourth] == ids(agents[3])
    push = node.streams.push

    def pushing(*arguments: Any) -> Sequence[str]:
        written = push(*arguments)
        if agents[0] in written:
            open_again(agents[-2])
            wires[agents[-3]].hang_up()
            open_again(agents[4])
        return written

    monkeypatch.setattr(node.streams, "push", pushing)
    fifth = (await node.issue(ORDER, Target.all())).command_id
    assert [fifth] == ids(agents[-2])
    assert [first, again, third, fourth] == ids(agents[-3])
    assert [] == ids(agents[4]), "it had it on the stream before"
    delivered = {d.agent_id: d.delivered_at for d in node.deliveries(fifth)}
    assert [agents[1], agents[-3]] == [a for a, moment in delivered.items() if moment is None]


async def test_commands_to_others_in_between(served: Served) -> None:
    """Each reaches those whom it is for, and one to a few does not make the others forgotten."""
    node = served.node
    groups = {name: [f"{name}{number:03}" for number in range(2 * BATCH)] for name in "gh"}
    wires: dict[str, Wire] = {}
    for name, agents in groups.items():
        for agent_id in agents:
            await node.register_from_wire(registration(agent_id, name))
            wires[agent_id] = Wire()
            node.open_stream(agent_id, wires[agent_id], chunked=True)
    sent: dict[str, list[str]] = {agent_id: [] for agent_id in wires}
    for target, whom in (
        (Target.of_group("g"), groups["g"]),
        (Target.of_group("h"), groups["h"]),
        (Target.all(), list(wires)),
        (Target.agent("g000"), ["g000"]),
        (Target.of_group("g"), groups["g"]),
    ):
        kept = dict(node.streams._parts)
        command_id = (await node.issue(ORDER, target)).command_id
        assert len(whom) > BATCH or kept == node.streams._parts
        for agent_id in whom:
            sent[agent_id].append(command_id)
    assert sent == {agent: [e["id"] for e in wire.events()] for agent, wire in wires.items()}


async def test_who_has_answered_before_its_turn(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have seen the command in its list: it is not told of it again, and others are."""
    node, agents = served.node, [f"a{number:03}" for number in range(2 * BATCH)]
    wires = {agent_id: Wire() for agent_id in agents}
    for agent_id, wire in wires.items():
        await node.register_from_wire(registration(agent_id))
        node.open_stream(agent_id, wire, chunked=True)
    push = node.streams.push

    def pushing(*arguments: Any) -> Sequence[str]:
        written = push(*arguments)
        if agents[0] in written:
            [delivery] = node.agent_deliveries(agents[-1])
            at_once(node.acknowledge(agents[-1], delivery.command_id, Ack()))
        return written

    monkeypatch.setattr(node.streams, "push", pushing)
    await node.issue(ORDER, Target.all())
    assert [agents[-1]] == [agent_id for agent_id, wire in wires.items() if not wire.events()]
