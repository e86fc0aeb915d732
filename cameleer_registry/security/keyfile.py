"""``keys.json``: the private keys of a registry on disk.

::

    {"format": 1, "registry": "<uuid>", "keySet": "<signed line>",
     "root": {"kty": "OKP", "crv": "Ed25519", "x": …, "d": …, "kid": …},
     "keys": [{"kty": "OKP", "crv": "Ed25519", "x": …, "d": …, "kid": …}, …]}

Keys are JWKs (RFC 8037); private ones have ``d``. The root has no ``d`` if it is kept elsewhere:
the key set in the file is signed already, so a server can publish it without the root.

The file is written beside itself and put in place by a rename, so that it is whole at any moment.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson
from attrs import frozen

from ..errors import SettingsError
from . import base64url
from .ed25519 import SigningKey, from_jwk, jwk, key_bytes, thumbprint
from .keyring import KeyRing

FORMAT: Final = 1
LARGEST: Final = 1 << 20
"""Bytes that a file of keys may have; a hundred keys are 50,000."""
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@frozen
class Loaded:
    """What a file of keys held."""

    ring: KeyRing
    warning: str | None
    """A line for the log: others can read the file, on a mount where that cannot be changed."""


def load(path: Path) -> Loaded:
    """Read the keys of a file.

    Raises SettingsError, whose text is one line with the path but nothing from the file, if it does
    not exist, cannot be read, is not such a file, or is open to others although that could be
    changed.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            fixed = bool(os.fstatvfs(file.fileno()).f_flag & os.ST_RDONLY)
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"cannot read the keys in {path}: {error.strerror}") from None
    warning = None
    if mode & OTHERS:
        if not fixed:
            raise SettingsError(
                f"others have access to the keys in {path} (mode {stat.S_IMODE(mode):04o}):"
                f' take it from them with "chmod 600 {path}"'
            )
        warning = f"others can read the keys in {path} (mode {stat.S_IMODE(mode):04o})"
    try:
        return Loaded(parse(raw), warning)
    except ValueError as error:
        raise SettingsError(f"the keys in {path} cannot be used: {error}") from None


def save(path: Path, ring: KeyRing) -> None:
    """Write keys to a file of mode 0600, and make its directory, 0700, if there is none.

    A link stays one: what it leads to is written. It is on the disk when this returns. Raises
    SettingsError if it cannot be written; what was there before is there then.
    """
    place = Path(os.path.realpath(path))
    written = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        _make_directory(place.parent)
        written.unlink(missing_ok=True)  # of a process of that number that was killed
        with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(dump(ring))
            file.flush()
            os.fsync(file.fileno())
        written.replace(place)
        _sync(place.parent)
    except OSError as error:
        raise SettingsError(f"cannot write the keys to {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            written.unlink()


def dump(ring: KeyRing) -> bytes:
    """Return keys as they stand in the file."""
    root = jwk(ring.keys.root) if ring.root is None else _private(ring.root)
    document = {
        "format": FORMAT,
        "registry": ring.registry,
        "keySet": ring.line.decode(),
        "root": root,
        "keys": [_private(key) for key in ring.private.values()],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse(raw: bytes) -> KeyRing:
    """Return the keys of a file's contents.

    Raises ValueError if it is no such file, is of a newer format, or contradicts itself. Its
    text has none of the secrets.
    """
    if len(raw) > LARGEST:
        raise ValueError("it is too large to be a file of keys")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or "format" not in document:
        raise ValueError("it is not a file of keys")
    if document["format"] != FORMAT:
        raise ValueError(f"it has format {document['format']!r}; this version knows {FORMAT}")
    line, root, keys = (document.get(name) for name in ("keySet", "root", "keys"))
    if not isinstance(line, str) or not isinstance(root, dict) or not isinstance(keys, list):
        raise ValueError("keySet, root or keys is missing")
    private = [_from_private(key) for key in keys]
    ring = KeyRing(
        line=line.encode(),
        root_id=thumbprint(from_jwk(root)),
        root=_from_private(root) if "d" in root else None,
        private={key.key_id: key for key in private},
    )
    if document.get("registry") != ring.registry:
        raise ValueError("registry is not the key set's")
    return ring


def _private(key: SigningKey) -> dict[str, Any]:
    return {**jwk(key.public), "d": base64url.encode(key.seed)}


def _from_private(members: Any) -> SigningKey:
    public = from_jwk(members)
    key = SigningKey(key_bytes(members.get("d"), "d"))
    if key.public != public:
        raise ValueError(f"the private key of {thumbprint(public)} is another key's")
    return key


def _make_directory(folder: Path) -> None:
    """Make a directory with those above it, each 0700 whatever the umask; one that is there stays.

    ``Path.mkdir(mode, parents=True)`` gives the mode to the last one only.
    """
    if not folder.is_dir():
        _make_directory(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
