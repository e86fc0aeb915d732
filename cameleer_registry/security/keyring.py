"""The private keys of a registry, with the key set that its root has signed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from attrs import evolve, field, frozen

from .ed25519 import SigningKey
from .keys import KeySet, Use


class RootAway(ValueError):
    """The root's private key is kept elsewhere, and only it can change the key set."""

    def __init__(self) -> None:
        super().__init__("the root's private key is not here, and only it can sign a key set")


class KeyMissing(ValueError):
    """The key set says that a key signs whose private half is not here."""

    def __init__(self, key_id: str, use: Use) -> None:
        super().__init__(f"{key_id} is the key that signs {use}s, and its private half is missing")


@frozen(kw_only=True)
class KeyRing:
    """What a server holds in order to sign. Each change makes another one.

    Raises LineRefused if ``line`` is no key set of ``root``, and KeyMissing if a key that
    the set says is active is not here.
    """

    line: bytes = field(repr=False)
    """The key set as a signed line, as it is published."""
    root_id: str
    root: SigningKey | None = None
    """None if it is kept elsewhere; then keys are neither rotated nor revoked here."""
    private: Mapping[str, SigningKey] = field(repr=False)
    """By name: those of the set that sign now or next, and those that did."""
    keys: KeySet = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        keys = KeySet.read(self.line, root=self.root_id)
        object.__setattr__(self, "keys", keys)
        if self.root is not None and self.root.key_id != self.root_id:
            raise ValueError("the root's private key is another one than the set's")
        for use in Use:
            active = keys.active(use)
            if active is not None and active.key_id not in self.private:
                raise KeyMissing(active.key_id, use)

    @classmethod
    def generate(
        cls, *, at: datetime, registry: str | None = None, uses: Iterable[Use] = tuple(Use)
    ) -> KeyRing:
        """Make the keys of a new registry: a root, and one for each use."""
        root = SigningKey.generate()
        made = {use: SigningKey.generate() for use in uses}
        public = {use: key.public for use, key in made.items()}
        keys = KeySet.first(registry or str(uuid.uuid4()), root.public, public, at=at)
        private = {key.key_id: key for key in made.values()}
        return cls(line=keys.signed(root), root_id=root.key_id, root=root, private=private)

    @property
    def registry(self) -> str:
        """The registry's id."""
        return self.keys.registry

    def signing(self, use: Use) -> SigningKey | None:
        """Return the key that signs for that use now; None if there is none."""
        key = self.keys.active(use)
        return None if key is None else self.private[key.key_id]

    def announced(self, use: Use, *, at: datetime) -> KeyRing:
        """Make a key that is to sign next; raises as :meth:`KeySet.announced`, and RootAway."""
        key = SigningKey.generate()
        return self._with(self.keys.announced(use, key.public, at=at), key)

    def activated(self, use: Use, *, at: datetime) -> KeyRing:
        """Have the next key sign; raises as :meth:`KeySet.activated`, and RootAway."""
        return self._with(self.keys.activated(use, at=at))

    def revoked(self, key_id: str, *, at: datetime) -> KeyRing:
        """Take every signature of a key for void; a new key is made if none could sign instead.

        Raises ValueError if there is no such key, and RootAway.
        """
        key = SigningKey.generate()
        return self._with(self.keys.revoked(key_id, at=at, instead=key.public), key)

    def without_outdated(self, *, at: datetime, retired_for: Mapping[Use, timedelta]) -> KeyRing:
        """Drop what is outdated, as :meth:`KeySet.without_outdated`; raises RootAway."""
        return self._with(self.keys.without_outdated(at=at, retired_for=retired_for))

    def with_line(self, line: bytes) -> KeyRing:
        """Take over a newer set that the same root has signed elsewhere, or in another node.

        Raises LineRefused if it is another registry's, or not signed by the root, and
        KeyMissing. An older set, or the same, changes nothing.
        """
        keys = KeySet.read(line, root=self.root_id)
        if keys.registry != self.registry:
            raise ValueError(f"the key set is of another registry, {keys.registry}")
        return evolve(self, line=line) if keys.version > self.keys.version else self

    def _with(self, keys: KeySet, made: SigningKey | None = None) -> KeyRing:
        if keys is self.keys:
            return self
        if self.root is None:
            raise RootAway
        known = {**self.private, **({made.key_id: made} if made is not None else {})}
        private = {name: key for name, key in known.items() if keys.find(name) is not None}
        return evolve(self, line=keys.signed(self.root), private=private)
