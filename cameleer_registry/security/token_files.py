"""Tokens in files: the first ones of a container, or of a server without a database.

A file has one token on each line, so that a new one can be put beside the old one for a while. It
may be a token of this registry, or any long random text, such as ``openssl rand -hex 32`` makes.
Each file stands for one role. Files are read again when they change, and tokens that have gone from
them are revoked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from ..core.instant import Instant
from ..errors import SettingsError
from .facts import TokenCreated
from .principals import Role
from .tokens import NoToken, id_of_outside, outside

LARGEST: Final = 1 << 16
"""Bytes that a file of tokens may have."""


@frozen
class Held:
    """What files hold."""

    tokens: tuple[TokenCreated, ...]
    """Not facts: see :meth:`~.store.Credentials.hold_outside`."""
    warnings: tuple[str, ...] = ()
    """Lines for the log, which name a file and quote nothing of it."""


class TokenFiles:
    """The files that were named, and what they held when they were read last."""

    def __init__(self, paths: Mapping[Role, Path]) -> None:
        self._paths = paths
        # What tells one state of a file from the next, by role; None if the file is not there.
        self._seen: dict[Role, tuple[int, ...] | None] = {}
        # What each file held when it could be read last.
        self._held: dict[Role, Held] = {}

    def read(self, *, now: Instant) -> Held:
        """Read all files, at the start.

        Raises SettingsError, with one line, if one of them is missing, empty, cannot be read, or
        holds what is no token.
        """
        for role, path in self._paths.items():
            self._seen[role] = _state_of(path)
            self._held[role] = _read(path, role, now)
        return self._all()

    def changed(self) -> bool:
        """Tell whether a file is another one, or another text, than was read; it reads none."""
        return any(self._seen[role] != _state_of(path) for role, path in self._paths.items())

    def read_again(self, *, now: Instant) -> Held:
        """Read the files that have changed.

        If one of them cannot be used now, what it held before still counts, and a warning says why:
        somebody may be about to write it, and a server must not lock its operators out for that.
        """
        warnings = []
        for role, path in self._paths.items():
            state = _state_of(path)
            if self._seen[role] == state:
                continue
            self._seen[role] = state
            try:
                self._held[role] = _read(path, role, now)
            except SettingsError as error:
                warnings.append(f"{error}; the tokens that it contained before stay valid")
        held = self._all()
        return Held(held.tokens, (*held.warnings, *warnings))

    def _all(self) -> Held:
        every = self._held.values()
        tokens = {one.digest: one for held in every for one in held.tokens}
        return Held(tuple(tokens.values()), tuple(line for held in every for line in held.warnings))


def _state_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # The time of its last change of mode or owner, too: that may be all that it lacked.
    times = found.st_mtime_ns, found.st_ctime_ns
    return (found.st_dev, found.st_ino, found.st_size, *times)


def _read(path: Path, role: Role, now: Instant) -> Held:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SettingsError(f"cannot read the token in {path}: {reason}") from None
    if len(raw) > LARGEST:
        raise SettingsError(f"{path} is too large to be a file of tokens")
    made: list[TokenCreated] = []
    warnings = []
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            token = outside(line.decode("ascii"))
        except (NoToken, UnicodeDecodeError) as error:
            why = error if isinstance(error, NoToken) else "it is not ASCII"
            raise SettingsError(f"line {number} of {path} is not a token: {why}") from None
        if token.warning is not None:
            warnings.append(f"line {number} of {path} may be a mistyped token: {token.warning}")
        made.append(
            TokenCreated(
                at=now,
                token_id=id_of_outside(token.digest),
                digest=token.digest,
                role=role,
                note=f"from {path.name}",
            )
        )
    if not made:
        raise SettingsError(f"there is no token in {path}")
    return Held(tuple(made), tuple(warnings))
