"""Ed25519 keys (RFC 8032) as 32 bytes: how they are named and written, and what they sign.

Naming and writing a public key needs no cryptography. The library is imported when a key is made,
or when a signature is made or checked. So a server without keys starts without it, 15 ms sooner.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from . import base64url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
THUMBPRINT_LENGTH: Final = 43

SPKI_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the key in a SubjectPublicKeyInfo (RFC 8410, section 4)."""


def _of_key_length(_instance: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, bytes) or len(value) != KEY_BYTES:
        raise ValueError(f"{attribute.name}: expected {KEY_BYTES} bytes")


@frozen
class SigningKey:
    """A private key. Its ``repr`` shows the thumbprint of its public half and nothing else."""

    seed: bytes = field(repr=False, validator=_of_key_length)
    """The private key of RFC 8032, from which everything else follows."""
    public: bytes = field(init=False, repr=False)
    key_id: str = field(init=False, eq=False)
    _key: Any = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        public = key.public_key().public_bytes_raw()
        for name, value in (("_key", key), ("public", public), ("key_id", thumbprint(public))):
            object.__setattr__(self, name, value)

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new one."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes: Ed25519 pure, without hash or context."""
        signature: bytes = self._key.sign(message)
        return signature

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether this is the signature of a message, in base64url, by signing it again.

        Ed25519 draws nothing at random (RFC 8032, section 5.1.6), so there is one signature of a
        message, and to make it takes less than half as long as to verify one. Nobody is shown what
        is made here, and how long the comparison takes says nothing of it. Texts are compared, so
        that there is one spelling of it, too.
        """
        made = base64url.encode(self.sign(message)).encode("ascii")
        return hmac.compare_digest(made, signature)


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the holder of that key has signed that message."""
    from cryptography.exceptions import InvalidSignature

    try:
        _loaded(public).verify(signature, message)
    except (InvalidSignature, ValueError):  # ValueError: these bytes are no key
        return False
    return True


@lru_cache(maxsize=64)
def _loaded(public: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(public)


def thumbprint(public: bytes) -> str:
    """Return the name of a public key: its JWK thumbprint (RFC 7638, RFC 8037 appendix A.3)."""
    required = f'{{"crv":"Ed25519","kty":"OKP","x":"{base64url.encode(public)}"}}'
    return base64url.encode(hashlib.sha256(required.encode("ascii")).digest())


def is_thumbprint(text: str) -> bool:
    """Tell whether a text could be the name of a key."""
    try:
        return len(base64url.decode(text)) == hashlib.sha256().digest_size
    except ValueError:
        return False


def jwk(public: bytes) -> dict[str, Any]:
    """Return a public key as a JWK (RFC 8037, section 2), with its name."""
    x = base64url.encode(public)
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": thumbprint(public)}


def from_jwk(members: Any) -> bytes:
    """Return the public key of a JWK; raises ValueError if it is none, or has another's name."""
    if not isinstance(members, Mapping):
        raise ValueError("a JWK is an object")
    if members.get("kty") != "OKP" or members.get("crv") != "Ed25519":
        raise ValueError("expected a key with kty OKP and crv Ed25519")
    public = key_bytes(members.get("x"), "x")
    if members.get("kid", thumbprint(public)) != thumbprint(public):
        raise ValueError("kid is not the thumbprint of the key")
    return public


def key_bytes(text: Any, name: str) -> bytes:
    """Return the bytes of a key's member of a JWK; raises ValueError, without quoting it."""
    try:
        raw = base64url.decode(text) if isinstance(text, str) else b""
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError(f"{name}: expected {KEY_BYTES} bytes in base64url")
    return raw


def spki(public: bytes) -> str:
    """Return a public key as base64 of its SubjectPublicKeyInfo, as Java and openssl read it."""
    return base64.b64encode(SPKI_PREFIX + public).decode("ascii")


def from_spki(text: str) -> bytes:
    """Return the public key of such a text; raises ValueError if it is none."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != len(SPKI_PREFIX) + KEY_BYTES or not raw.startswith(SPKI_PREFIX):
        raise ValueError("expected an Ed25519 key as base64 of its SubjectPublicKeyInfo")
    return raw.removeprefix(SPKI_PREFIX)
