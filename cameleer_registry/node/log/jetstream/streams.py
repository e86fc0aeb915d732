"""The two streams: made at the first start, and recognized at all others."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from uuid import uuid4

from attrs import frozen

from ....errors import CannotJoin
from ....logs import get_logger
from ..port import LogLost, LogUnavailable
from .connection import STREAM_EXISTS, STREAM_NOT_FOUND, ApiError, Connection

log = get_logger(__name__)

REPLICAS: Final = 3

LINEAGE: Final = "cameleer-lineage"
"""Name of the stream's metadata that tells it from one which is made anew under its name."""

FOUNDER: Final = "cameleer-founder"
"""Name of the stream's metadata by which a node says that it has something to found the log with.
"""

PATIENCE: Final = 15.0
"""Seconds that servers are given to find each other, before fewer replicas are made."""

DUPLICATES: Final = 120 * 10**9
"""Nanoseconds within which JetStream recognizes an entry that it has stored. After that, those who
apply it do."""


@frozen
class Names:
    """What the streams of one cluster are called."""

    cluster: str

    @property
    def entries(self) -> str:
        """The stream of entries."""
        return f"{self.cluster}-log"

    @property
    def snapshots(self) -> str:
        """The stream of snapshots."""
        return f"{self.cluster}-snapshots"

    @property
    def entry_subject(self) -> str:
        """The subject of entries."""
        return f"{self.cluster}.log"

    @property
    def snapshot_subject(self) -> str:
        """What the subjects of snapshots begin with."""
        return f"{self.cluster}.snapshots"


async def ensure(
    connection: Connection,
    names: Names,
    servers: int,
    known: str | None = None,
    *,
    founds: bool = False,
) -> str:
    """Make the streams if there are none; return the lineage. Raises CannotJoin.

    None is made if the caller knows a log, whose lineage ``known`` is: that one is gone, and could
    not be restored under its name if there were another. ``founds`` is noted in the stream as long
    as nothing is in it.
    """
    entries = await _ensure(
        connection,
        servers,
        makes=known is None,
        name=names.entries,
        subjects=[names.entry_subject],
        # A full log refuses what is new: what is old is what everybody rests on.
        discard="new",
        duplicate_window=DUPLICATES,
        deny_delete=True,
        metadata={LINEAGE: uuid4().hex, **({FOUNDER: "yes"} if founds else {})},
    )
    if founds and not has_founder(entries) and not entries["state"]["last_seq"]:
        await _note_founder(connection, entries["config"])
    await _ensure(
        connection,
        servers,
        name=names.snapshots,
        subjects=[f"{names.snapshot_subject}.>"],
        discard="old",
        duplicate_window=DUPLICATES,
        max_msgs_per_subject=2,
    )
    return lineage_of(entries)


async def _note_founder(connection: Connection, config: dict[str, Any]) -> None:
    """Note in a stream that another node has made that there is one to found it."""
    noted = {**config, "metadata": {**(config.get("metadata") or {}), FOUNDER: "yes"}}
    try:
        await connection.api(f"STREAM.UPDATE.{config['name']}", **noted)
    except (LogUnavailable, ApiError) as error:  # then it has to be quicker than the others
        log.info("it is not noted that this node founds the log", reason=str(error))


def has_founder(info: dict[str, Any]) -> bool:
    """Tell whether a node has said that it has something to found the log with."""
    return FOUNDER in (info["config"].get("metadata") or {})


def lineage_of(info: dict[str, Any]) -> str:
    """Return the lineage of a stream."""
    return str((info["config"].get("metadata") or {}).get(LINEAGE, ""))


async def look(connection: Connection, names: Names, lineage: str) -> dict[str, Any]:
    """Return what NATS says of the log; raises LogLost if it is gone or another one."""
    try:
        info = await connection.api(f"STREAM.INFO.{names.entries}")
    except ApiError as error:
        if error.err_code == STREAM_NOT_FOUND:
            raise LogLost(f"the log {names.entries} is gone from NATS") from None
        raise LogUnavailable(f"JetStream: {error}") from None
    if lineage_of(info) != lineage:
        raise LogLost(f"the log {names.entries} in NATS is another one than before")
    return info


async def _ensure(
    connection: Connection, servers: int, *, makes: bool = True, **config: Any
) -> dict[str, Any]:
    name, loop = config["name"], asyncio.get_running_loop()
    until = loop.time() + PATIENCE
    replicas = REPLICAS if servers != 1 else 1
    while True:
        try:
            return await connection.api(f"STREAM.INFO.{name}")
        except LogUnavailable:
            await asyncio.sleep(0.25)
            continue
        except ApiError as error:
            if error.err_code != STREAM_NOT_FOUND:
                raise CannotJoin(f"JetStream refuses {name}: {error}") from None
            if not makes:
                raise CannotJoin(
                    f"there is no log {name} in NATS, and this database belongs to another log: put"
                    " back the streams of that, or leave it with --leave-cluster"
                ) from None
        try:
            await connection.api(
                f"STREAM.CREATE.{name}",
                **config,
                retention="limits",
                storage="file",
                num_replicas=replicas,
            )
            log.info("stream made", stream=name, replicas=replicas)
            if replicas < REPLICAS:
                log.warning(
                    "the log has fewer than three replicas: it is lost with a server's disk",
                    stream=name,
                    replicas=replicas,
                )
        except LogUnavailable as error:
            replicas = _fewer(replicas, servers, late=loop.time() > until, why=str(error))
            await asyncio.sleep(0.25)
        except ApiError as error:
            if error.err_code == STREAM_EXISTS:
                continue  # another node was faster
            if loop.time() > until and replicas == 1:
                raise CannotJoin(f"JetStream refuses {name}: {error}") from None
            replicas = _fewer(replicas, servers, late=loop.time() > until, why=str(error))
            await asyncio.sleep(0.25)


def _fewer(replicas: int, servers: int, *, late: bool, why: str) -> int:
    """Return how many replicas to try next: as many as servers are known of, until it is late."""
    if replicas > 1 and (late or servers < replicas):
        log.info("so many replicas cannot be made", replicas=replicas, why=why)
        return replicas - 1
    return replicas
