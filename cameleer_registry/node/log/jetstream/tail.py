"""Following the stream of entries: each once and in order, or not at all.

A push consumer without acknowledgements, on a plain subscription. Each entry must follow the one
before; if one does not, if nothing comes though something should, and after each lost
connection, the consumer is made anew behind the last entry that was taken.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final

from nats.aio.msg import Msg

from ....logs import get_logger
from ..port import LogLost, LogUnavailable, Take
from .connection import ApiError, Connection
from .streams import Names, look

log = get_logger(__name__)

HEARTBEAT: Final = 1.0
"""Seconds without an entry after which the server says that there is none."""

SILENCE: Final = 2.5
"""Seconds without either after which the server is taken for gone."""

AGAIN: Final = 0.25
"""Seconds between two tries to make a consumer: none can be made while servers elect a leader."""

FLOW_CONTROL: Final = "FlowControl Request"


class Tail:
    """Follows the log of one connection."""

    def __init__(
        self,
        connection: Connection,
        names: Names,
        lineage: str,
        after: int,
        take: Take,
        on_lost: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._names = names
        self._lineage = lineage
        self._take = take
        self._on_lost = on_lost
        # That of the newest entry that was taken, and its content.
        self.position = after
        self._newest: bytes | None = None
        # How many the server had yet to send when it sent that one.
        self.behind = 0
        # Set when the consumer has to be made anew.
        self._broken = asyncio.Event()
        self._heard = 0.0
        # How often it was made anew.
        self.restarts = -1
        # True from the end on: a request of nats-py may swallow that its task is cancelled.
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="log tail")

    async def close(self) -> None:
        """Follow no longer."""
        self._closing = True
        self._broken.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._check_history()
                await self._follow()
            except LogLost as error:
                self._on_lost(str(error))
                return
            except (LogUnavailable, ApiError) as error:
                log.debug("the log cannot be followed at present", reason=str(error))
                await asyncio.sleep(AGAIN)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("the log cannot be followed")
                self._on_lost(f"the log cannot be followed: {error!r}")
                return

    async def _check_history(self) -> None:
        """Raise LogLost if the log does not go on from what was taken of it."""
        state = (await look(self._connection, self._names, self._lineage))["state"]
        name = self._names.entries
        if state["last_seq"] < self.position:
            raise LogLost(
                f"the log {name} in NATS ends at {state['last_seq']}, and this node has seen "
                f"{self.position}: entries that had been confirmed are lost"
            )
        if state["first_seq"] > self.position + 1 and state["first_seq"] > 1:
            raise LogLost(f"the log {name} begins at {state['first_seq']}, behind {self.position}")
        if self._newest is not None and state["first_seq"] <= self.position:
            found = await message(self._connection, name, seq=self.position)
            if found is None or found != self._newest:
                raise LogLost(f"the log {name} in NATS has another entry at {self.position}")

    async def _follow(self) -> None:
        """Follow for as long as all is well."""
        if self._closing:
            return
        self._broken.clear()
        self._connection.lost.clear()
        self.restarts += 1
        inbox, subscription = await self._connection.subscribe(self._receive)
        loop = asyncio.get_running_loop()
        try:
            await self._connection.api(
                f"CONSUMER.CREATE.{self._names.entries}",
                stream_name=self._names.entries,
                config={
                    "deliver_subject": inbox,
                    "deliver_policy": "by_start_sequence",
                    "opt_start_seq": self.position + 1,
                    "ack_policy": "none",
                    "flow_control": True,
                    "idle_heartbeat": int(HEARTBEAT * 10**9),
                    "inactive_threshold": 5 * 10**9,
                    "mem_storage": True,
                    "num_replicas": 1,
                },
            )
            self._heard = loop.time()
            while not self._broken.is_set() and not self._connection.lost.is_set():
                try:
                    async with asyncio.timeout(SILENCE / 5):
                        await self._broken.wait()
                except TimeoutError:
                    if loop.time() - self._heard > SILENCE:
                        log.info("the server of the log is silent", position=self.position)
                        return
        finally:
            await self._connection.unsubscribe(subscription)

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if not message.data and message.headers and "Status" in message.headers:
            await self._control(message)
            return
        if self._broken.is_set():
            return
        position, stamp, behind = place_of(message.reply)
        if position <= self.position:
            return  # of a consumer before this one
        if position != self.position + 1:
            log.warning("entries of the log did not come", after=self.position, came=position)
            self._broken.set()
            return
        self.position, self._newest, self.behind = position, message.data, behind
        try:
            self._take(position, stamp, message.data)
        except Exception as error:
            log.exception("an entry of the log could not be applied", position=position)
            self._broken.set()
            self._on_lost(f"the entry {position} of the log could not be applied: {error}")
            self._task.cancel()

    async def _control(self, message: Msg) -> None:
        assert message.headers is not None
        if message.reply:  # flow control: the server waits until everything before it is taken
            await self._connection.send(message.reply)
        elif stalled := message.headers.get("Nats-Consumer-Stalled"):
            await self._connection.send(stalled)
        last = message.headers.get("Nats-Last-Stream")
        if last is not None and int(last) > self.position and not self._broken.is_set():
            log.warning("entries of the log did not come", after=self.position, came=last)
            self._broken.set()


def place_of(reply: str) -> tuple[int, int, int]:
    """Return position and stamp of an entry, and how many are behind it yet to be sent.

    They stand in the address at which it would be acknowledged:

    ``$JS.ACK.<stream>.<consumer>.<deliveries>.<position>.<number>.<stamp>.<pending>``, and with the
    domain and the account before the stream if there are more parts (NATS ADR-15).
    """
    parts = reply.split(".")
    offset = 0 if len(parts) == 9 else 2
    return int(parts[5 + offset]), int(parts[7 + offset]), int(parts[8 + offset])


async def message(connection: Connection, stream: str, **which: Any) -> bytes | None:
    """Return the content of one message of a stream, or None if there is none."""
    try:
        found = await connection.api(f"STREAM.MSG.GET.{stream}", **which)
    except ApiError as error:
        if error.code == 404:
            return None
        raise LogUnavailable(f"JetStream: {error}") from None
    return b64decode(found["message"].get("data", ""))
