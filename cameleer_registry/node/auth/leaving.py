"""The keys of a registry that leaves its cluster: others than those of the cluster.

It is another registry from then on. With the same keys the agents of the cluster would believe its
commands, and it would believe their tokens.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from ...errors import SettingsError, reason_of
from ...logs import get_logger
from ...security import keyfile
from ...security.keyring import KeyRing
from ...security.keys import KeySet

log = get_logger(__name__)


@frozen
class Leaving:
    """Makes keys for a registry that leaves its cluster."""

    keys_file: Path | None
    """Where a setting says that the keys are; None if none does."""
    beside: Path
    """Where they are otherwise: beside the database."""

    def make_keys(self, published: bytes | None) -> None:
        """Make keys beside the database if the cluster has some; ``published`` is its key set.

        The cluster's keys are moved aside: other nodes of this machine may need them. A file that a
        setting names is somebody else's to look after, so it has to hold other keys already. If
        this is interrupted it may be done again. Raises SettingsError.
        """
        cluster = None if published is None else KeySet.read(published, root=None).registry
        if self.keys_file is not None:
            if cluster is not None and keyfile.load(self.keys_file).ring.registry == cluster:
                raise SettingsError(
                    f"leave_cluster: the keys in {self.keys_file} are the cluster's, whose agents "
                    "would believe them: leave keys_file out, and keys are made beside the "
                    "database; or name a file of other keys"
                )
            return
        if cluster is None and not self.beside.exists():
            return
        if cluster is not None and self._has_others_than(cluster):
            return
        aside = self._move_aside()
        ring = KeyRing.generate(at=datetime.now(UTC))
        keyfile.save(self.beside, ring)
        log.warning(
            "this registry has keys of its own now: agents have to enrol again, with an enrolment "
            "token that is made from now on",
            registry=ring.registry,
            root=ring.root_id,
            keys=str(self.beside),
            keys_of_the_cluster=None if aside is None else str(aside),
        )

    def _has_others_than(self, cluster: str) -> bool:
        """Tell whether there are keys beside the database, and of another registry."""
        return self.beside.exists() and keyfile.load(self.beside).ring.registry != cluster

    def _move_aside(self) -> Path | None:
        if not self.beside.exists():
            return None
        now = datetime.now(UTC)
        aside = self.beside.with_name(f"{self.beside.name}.of-cluster-{now:%Y%m%dT%H%M%S.%fZ}")
        try:
            self.beside.rename(aside)
        except OSError as error:
            raise SettingsError(
                f"cannot move the keys in {self.beside} aside: {reason_of(error)}"
            ) from None
        return aside
