"""How the storage does: well, in trouble that may pass, or failed for good."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ....errors import StorageSlow, StorageUnavailable
from ....logs import get_logger

log = get_logger(__name__)

LEAST_FREE: Final = 32 * 2**20
"""Bytes that have to be free on the disk. Below that changes are refused, before they are applied:
what has been applied when the disk is really full can neither be kept nor taken back."""

MOST_WAITING: Final = 64 * 2**20
"""Bytes of facts that may wait to be durable."""

MOST_WAL: Final = 2**30
"""Bytes to which the write-ahead log may grow while another process reads an old state of it."""


class Condition:
    """Whether changes can be kept, and if not, why."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Why nothing can be kept at present, by where that was noticed.
        self._troubles: dict[str, str] = {}
        # Why nothing can be kept any more. None while that has not happened.
        self.failure: str | None = None
        # Why no change should be made; None while all is well.
        self.trouble: str | None = None
        # How often a change was refused, by the code.
        self.refused = {"storage-unavailable": 0, "storage-slow": 0}

    def note(self, where: str, trouble: str | None) -> None:
        """Note that there is trouble somewhere, or none any more."""
        if trouble is None:
            if self._troubles.pop(where, None) is not None and not self._troubles:
                log.warning("changes are stored again", database=str(self._path))
        else:
            if where not in self._troubles:
                log.error("changes are refused", database=str(self._path), reason=trouble)
            self._troubles[where] = trouble
        self._sum_up()

    def fail(self, reason: str) -> None:
        """Note that it has failed for good."""
        if self.failure is None:
            self.failure = reason
            self._sum_up()
            log.error("the storage has failed", database=str(self._path), reason=reason)

    def _sum_up(self) -> None:
        self.trouble = self.failure or next(iter(self._troubles.values()), None)

    def look(self, wal_bytes: int) -> None:
        """Look how much room there is."""
        try:
            stat = os.statvfs(self._path.parent)
        except OSError:
            return  # the next commit will say what is the matter
        free = stat.f_bavail * stat.f_frsize
        few = free < LEAST_FREE
        self.note("space", f"the disk is full: {free // 2**20} MiB are free" if few else None)
        long = wal_bytes > MOST_WAL
        self.note(
            "reader",
            f"the write-ahead log is {wal_bytes // 2**20} MiB, because a process reads an old state"
            if long
            else None,
        )

    def error(self) -> StorageUnavailable | None:
        """Return why a change is refused, or None."""
        return None if self.trouble is None else StorageUnavailable(f"storage: {self.trouble}")

    def check(self, waiting: int) -> None:
        """Raise StorageUnavailable or StorageSlow if no change should be made."""
        if self.trouble is None and waiting <= MOST_WAITING:
            return
        error = self.error() or StorageSlow(f"storage: {waiting // 2**20} MiB wait to be written")
        self.refused[error.code] += 1
        raise error
