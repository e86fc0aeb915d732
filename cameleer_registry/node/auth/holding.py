"""The private keys that one of many nodes holds: those of its file, which is the same at each.

What signs is decided by the log: a key set counts when it has been published there, and it is if
every node that takes part has said that it holds the keys that would sign. So the file is given to
each node first, at leisure, and read again here when it changes.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from ...errors import SettingsError
from ...logs import get_logger
from ...security import keyfile
from ...security.ed25519 import SigningKey
from ...security.keyring import KeyMissing, KeyRing

log = get_logger(__name__)

NO_KEYS = (
    "nodes that share credentials have the same keys, and there are none here: give this one the "
    "keys.json of the others, by the setting keys_file or beside its database"
)


class Holding:
    """The keys of one node."""

    def __init__(self, ring: KeyRing, path: Path | None = None) -> None:
        # With the newest key set that the file has had, which need not be published yet.
        self.ring = ring
        self._path = path
        # Each private key that the file has had since this process began.
        self._private: dict[str, SigningKey] = dict(ring.private)
        self._seen = self._look()

    @property
    def holds(self) -> tuple[str, ...]:
        """The names of the private keys."""
        return tuple(sorted(self._private))

    def by(self, line: bytes) -> KeyRing:
        """Return the keys with the key set that is published.

        Raises SettingsError, with one line, if it is another registry's, or a key that signs by it
        is missing.
        """
        try:
            ring = KeyRing(
                line=line, root_id=self.ring.root_id, root=self.ring.root, private=self._private
            )
            if ring.registry != self.ring.registry:
                raise ValueError("another registry's")
        except KeyMissing as error:
            raise SettingsError(
                f"the keys are older than those of the other nodes: {error}; give this one the same"
            ) from None
        except ValueError:
            raise SettingsError(
                f"the keys are those of the registry {self.ring.registry}, and this cluster is "
                "another one's"
            ) from None
        return ring

    def keep(self, ring: KeyRing) -> None:
        """Hold the keys of a ring, too, and write them to the file; raises SettingsError.

        The key set that stands there is that of this ring, which must be published.
        """
        private = {**self._private, **ring.private}
        kept = {name: key for name, key in private.items() if name in ring.private}
        if self._path is not None:
            keyfile.save(self._path, evolve(ring, private=kept))
            self._seen = self._look()
        self._private = private
        if ring.keys.version >= self.ring.keys.version:
            self.ring = ring

    def hold(self, ring: KeyRing) -> None:
        """Hold the private keys of a ring, too; the file has them next to the key set that it had.

        Raises SettingsError if it cannot be written.
        """
        private = {**self._private, **ring.private}
        if self._path is not None:
            keyfile.save(self._path, evolve(self.ring, private=private))
            self._seen = self._look()
        self._private = private

    def read_again(self) -> None:
        """Take what the file holds by now, if it has changed.

        A file that cannot be used, or is of another registry, is told of and changes nothing.
        """
        seen = self._look()
        if self._path is None or seen in (None, self._seen):
            return
        self._seen = seen
        try:
            ring = keyfile.load(self._path).ring
        except SettingsError as error:
            log.error("the keys were not read again", reason=str(error))
            return
        if (ring.registry, ring.root_id) != (self.ring.registry, self.ring.root_id):
            log.error("the keys are another registry's by now", keys=str(self._path))
            return
        self._private |= ring.private
        if ring.keys.version > self.ring.keys.version:
            self.ring = ring
        log.info("the keys were read again", keys=len(self._private), version=ring.keys.version)

    def _look(self) -> tuple[int, ...] | None:
        """Return what is another one when the file is; None if there is none."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        # The time of its last change of mode or owner, too: that may be all that it lacked.
        return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino
