"""The log: entries, snapshots, and who follows them."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Callable
from typing import Any, Final

import orjson

from ....logs import get_logger
from ..port import FOUNDER_SECONDS, LogLost, LogUnavailable, Snapshot, Take, TooLargeForLog
from .connection import Access, ApiError, Connection
from .streams import Names, ensure, has_founder, look
from .tail import Tail, message

log = get_logger(__name__)

APPEND_SECONDS: Final = 2.5
"""After which an append without an answer is tried again, under the same id."""

FOUNDING_SECONDS: Final = 2.0
"""For which a node that has nothing leaves it to others to found the log, if none has said that it
will."""

CHUNK: Final = 256 * 1024
"""Bytes of a snapshot in one message, at most; it is read in base64, which is a third more."""


class JetStreamLog:
    """A log in NATS JetStream."""

    def __init__(self, access: Access, cluster: str) -> None:
        self._connection = Connection(access)
        self._servers = len(access.servers)
        self._names = Names(cluster)
        self._lineage = ""
        self._tail: Tail | None = None

    @property
    def lineage(self) -> str:
        """By which this log is told from all others."""
        return self._lineage

    @property
    def max_entry(self) -> int:
        """How many bytes an entry may take."""
        return self._connection.max_entry

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a server at present."""
        return self._connection.connected

    @property
    def behind(self) -> int:
        """How many entries the server had yet to send when it sent the newest."""
        return 0 if self._tail is None else self._tail.behind

    @property
    def tail_restarts(self) -> int:
        """How often following had to begin anew."""
        return 0 if self._tail is None else max(0, self._tail.restarts)

    async def open(self, known: str | None = None, *, founds: bool = False) -> None:
        """Connect, and make the streams if there are none; raises CannotJoin."""
        await self._connection.open()
        self._lineage = await ensure(
            self._connection, self._names, self._servers, known, founds=founds
        )

    async def append(self, content: bytes, entry_id: str) -> None:
        """Append an entry, unless one of that id has been appended lately."""
        if len(content) > self.max_entry:
            raise TooLargeForLog(f"{len(content)} bytes; NATS takes {self.max_entry}")
        await self._publish(self._names.entry_subject, content, {"Nats-Msg-Id": entry_id})

    async def _publish(
        self, subject: str, content: bytes, headers: dict[str, str]
    ) -> dict[str, Any]:
        return await self._connection.publish(subject, content, headers, APPEND_SECONDS)

    async def bounds(self) -> tuple[int, int]:
        """Return the oldest position that is still there, and the newest."""
        state = (await look(self._connection, self._names, self._lineage))["state"]
        newest = int(state["last_seq"])
        return (int(state["first_seq"]) or newest + 1), newest

    def follow(self, after: int, take: Take, on_lost: Callable[[str], None]) -> None:
        """Give all entries after a position to ``take``."""
        self._tail = Tail(self._connection, self._names, self._lineage, after, take, on_lost)

    async def unfollow(self) -> None:
        """Give nothing any more."""
        if self._tail is not None:
            await self._tail.close()
            self._tail = None

    async def close(self) -> None:
        """Follow no longer, and leave."""
        await self.unfollow()
        await self._connection.close()

    # Snapshots

    async def found(self, content: bytes) -> bool:
        """Save the snapshot of position 0, unless there is one."""
        manifest = await self._store(Snapshot(0, content), previous=None)
        try:
            await self._publish(
                self._manifest_subject,
                orjson.dumps(manifest),
                {"Nats-Msg-Id": str(manifest["id"]), "Nats-Expected-Last-Subject-Sequence": "0"},
            )
        except ApiError:
            found = await self._manifest()
            if found is not None and found["id"] == manifest["id"]:
                return True  # it was this one, whose confirmation did not come
            await self._drop(manifest)
            return False
        return True

    async def founding_seconds(self) -> float:
        """Return for how long a node that has nothing leaves it to others to found the log."""
        info = await look(self._connection, self._names, self._lineage)
        return FOUNDER_SECONDS if has_founder(info) else FOUNDING_SECONDS

    async def save(self, snapshot: Snapshot) -> None:
        """Save a snapshot, and keep the one before it."""
        newest = await self._manifest()
        before = None if newest is None else newest.get("previous")
        if newest is not None:
            newest.pop("previous", None)
        manifest = await self._store(snapshot, previous=newest)
        await self._publish(
            self._manifest_subject, orjson.dumps(manifest), {"Nats-Msg-Id": str(manifest["id"])}
        )
        if before is not None:
            await self._drop(before)

    async def load(self) -> Snapshot | None:
        """Return the newest snapshot that is whole."""
        manifest = await self._manifest()
        if manifest is None:
            return None
        for each in (manifest, manifest.get("previous")):
            content = None if each is None else await self._content(each)
            if each is not None and content is not None:
                return Snapshot(each["position"], content)
        raise LogLost(f"no snapshot in {self._names.snapshots} is whole")

    async def kept(self) -> int:
        """Return the position of the older snapshot."""
        manifest = await self._manifest()
        if manifest is None:
            return 0
        return int((manifest.get("previous") or manifest)["position"])

    async def trim(self, position: int) -> None:
        """Forget all entries up to a position."""
        await self._ask(f"STREAM.PURGE.{self._names.entries}", seq=position + 1)

    @property
    def _manifest_subject(self) -> str:
        return f"{self._names.snapshot_subject}.manifest"

    async def _manifest(self) -> dict[str, Any] | None:
        found = await message(
            self._connection, self._names.snapshots, last_by_subj=self._manifest_subject
        )
        return None if found is None else orjson.loads(found)

    async def _store(self, snapshot: Snapshot, previous: dict[str, Any] | None) -> dict[str, Any]:
        """Store what is in a snapshot; return what tells where it is."""
        packed = await asyncio.to_thread(zlib.compress, snapshot.content, 1)
        digest = hashlib.sha256(packed).hexdigest()
        size = min(CHUNK, self.max_entry * 3 // 4)
        manifest = {
            "id": f"{snapshot.position}-{digest[:16]}",
            "position": snapshot.position,
            "sha256": digest,
            "chunks": -(-len(packed) // size),
            "previous": previous,
        }
        for number in range(int(manifest["chunks"])):  # type: ignore[call-overload]
            subject = f"{self._names.snapshot_subject}.chunk.{manifest['id']}.{number}"
            chunk = packed[number * size : (number + 1) * size]
            await self._publish(subject, chunk, {"Nats-Expected-Stream": self._names.snapshots})
        return manifest

    async def _content(self, manifest: dict[str, Any]) -> bytes | None:
        """Return what is in a snapshot, or None if it is not whole."""
        chunks = []
        for number in range(manifest["chunks"]):
            subject = f"{self._names.snapshot_subject}.chunk.{manifest['id']}.{number}"
            chunk = await message(self._connection, self._names.snapshots, last_by_subj=subject)
            chunks.append(chunk or b"")
        packed = b"".join(chunks)
        if hashlib.sha256(packed).hexdigest() != manifest["sha256"]:
            log.error("a snapshot is not whole", position=manifest["position"])
            return None
        return await asyncio.to_thread(zlib.decompress, packed)

    async def _drop(self, manifest: dict[str, Any]) -> None:
        subject = f"{self._names.snapshot_subject}.chunk.{manifest['id']}.*"
        await self._ask(f"STREAM.PURGE.{self._names.snapshots}", filter=subject)

    async def _ask(self, what: str, **body: Any) -> None:
        try:
            await self._connection.api(what, **body)
        except ApiError as error:
            raise LogUnavailable(f"JetStream: {error}") from None
