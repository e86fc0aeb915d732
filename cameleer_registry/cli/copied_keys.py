"""The keys in a backup: taken along when they are beside the database, and put back there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from attrs import frozen

from ..database import KEYS
from ..errors import SettingsError
from ..node.journal.sqlite.backup import CopyFailed, give_to_its_owner, moment
from ..security import keyfile
from ..security.keyring import KeyRing
from .offline import stopped

END: Final = ".keys.json"
"""What the name of a copy of the keys has behind the name of the database's copy."""


@frozen
class Keys:
    """What became of the keys."""

    path: Path | None
    """Where they are now; None if nothing was copied."""
    told: str
    """The same for people; empty if there are no keys at all."""
    aside: Path | None = None
    """Where those of another registry are now, in whose place they were put."""


def check_free(destination: Path) -> None:
    """Raise CopyFailed if there is a copy of keys under the name that one is to get."""
    if beside(destination).exists():
        raise CopyFailed(f"{beside(destination)} exists, and is not overwritten")


def beside(copy: Path) -> Path:
    """Return where the keys are that belong to a copy of a database."""
    return copy.with_name(copy.name + END)


def back_up(database: Path, keys_file: str | None, copy: Path) -> Keys:
    """Copy the keys of a database that was copied just now; raises CopyFailed.

    Later than the database: keys that are newer than that are taken up, older ones are refused. A
    file that a setting names is somebody else's to look after, and stays where it is.
    """
    if keys_file is not None:
        return Keys(None, f"not in the backup; they are in {keys_file}")
    source = database.with_name(KEYS)
    if not source.exists():
        return Keys(None, "")
    try:
        keyfile.save(beside(copy), keyfile.load(source).ring)
    except SettingsError as error:
        raise CopyFailed(
            f"the database is copied to {copy}, but its keys are not: {error}"
        ) from None
    return Keys(beside(copy), str(beside(copy)))


def restore(database: Path, keys_file: str | None, copy: Path) -> Keys:
    """Put the keys of a backup beside its database; raises CopyFailed.

    Keys of the same registry that are there stay unless the backup's are newer: what was revoked
    among them since stays revoked. Others are moved aside, like the database.
    """
    if keys_file is not None:
        return Keys(None, f"not in the backup; they are looked for in {keys_file}")
    # A link stays one.
    source, place = beside(copy), Path(os.path.realpath(database.with_name(KEYS)))
    if not source.exists():
        there = f"not in the backup; those in {place} stay" if place.exists() else ""
        return Keys(None, there)
    try:
        ring = keyfile.load(source).ring
        if _is_as_new(place, ring):
            return Keys(None, f"those in {place} stay, because they are at least as new")
        aside = None
        if place.exists():
            aside = place.with_name(f"{place.name}.before-{moment()}")
            place.rename(aside)
        keyfile.save(place, ring)
        give_to_its_owner(database, place)
    except (SettingsError, OSError) as error:
        raise CopyFailed(f"{database} is restored, but its keys are not: {error}") from None
    return Keys(place, str(place), aside)


def revoke_all(database: Path) -> None:
    """Have every token, session and agent's credential in a database be void."""

    async def work() -> None:
        async with stopped(str(database)) as server:
            server.keep(server.credentials.revoke_all(now=server.now))

    try:
        asyncio.run(work())
    except SettingsError as error:
        raise CopyFailed(f"cannot revoke the credentials of the backup: {error}") from None


def _is_as_new(place: Path, ring: KeyRing) -> bool:
    """Tell whether there are keys of that registry already, and no older ones."""
    try:
        there = keyfile.load(place).ring
    except SettingsError:  # missing, damaged, or open to others
        return False
    same = there.root_id == ring.root_id and there.registry == ring.registry
    return same and there.keys.version >= ring.keys.version
