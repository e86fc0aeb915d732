"""Keys as bytes: their names, their texts, and what is refused as one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry.security import base64url, ed25519
from cameleer_registry.security.ed25519 import SigningKey

from .support import UNHURRIED, VECTOR_KEY, VECTOR_MESSAGE, VECTOR_SIGNATURE, VECTOR_SPKI

PUBLIC = VECTOR_KEY.public

# RFC 8037, appendix A: a key, and its thumbprint.
RFC_SEED = base64url.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
RFC_PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@UNHURRIED
@given(st.binary(max_size=100))
def test_base64url_is_read_as_it_is_written(raw: bytes) -> None:
    """Without padding, and in the alphabet for addresses."""
    text = base64url.encode(raw)
    assert set() == set(text) & set("+/=")
    assert raw == base64url.decode(text) == base64url.decode(text.encode())


@pytest.mark.parametrize(
    "text", ["QR", "QQ==", "Q", "Q Q", "QQ\n", "Q+", "Q/", "Qä", "QQ.", "QQ=", "=", "QUI=x"]
)
def test_another_spelling_is_no_base64url(text: str) -> None:
    """Bits that are left over, padding, and characters that Python's decoder ignores."""
    with pytest.raises(ValueError, match=r"not (canonical )?base64url"):
        base64url.decode(text)


def test_a_key_is_named_as_the_rfc_names_it() -> None:
    """By RFC 8037, appendix A.3."""
    key = SigningKey(RFC_SEED)
    assert base64url.decode(RFC_PUBLIC) == key.public
    assert RFC_THUMBPRINT == key.key_id == ed25519.thumbprint(key.public)
    assert ed25519.is_thumbprint(RFC_THUMBPRINT)
    assert len(RFC_THUMBPRINT) == ed25519.THUMBPRINT_LENGTH


@pytest.mark.parametrize("text", ["", RFC_THUMBPRINT[:-1], RFC_THUMBPRINT + "A", "k" * 42 + "l"])
def test_what_is_no_thumbprint(text: str) -> None:
    """Of another length, or with bits that are left over."""
    assert not ed25519.is_thumbprint(text)


def test_the_signature_of_the_design() -> None:
    """Which openssl and Java have verified."""
    assert VECTOR_SIGNATURE == base64url.encode(VECTOR_KEY.sign(VECTOR_MESSAGE))
    assert VECTOR_SPKI == ed25519.spki(PUBLIC)
    assert PUBLIC == ed25519.from_spki(VECTOR_SPKI)


def test_a_signature_is_of_one_key_and_one_message() -> None:
    """Whatever else is made of the three is none, bytes that are no key among it."""
    signature = VECTOR_KEY.sign(b"yes")
    other = SigningKey.generate()
    assert ed25519.verifies(PUBLIC, signature, b"yes")
    assert not ed25519.verifies(PUBLIC, signature, b"no")
    assert not ed25519.verifies(other.public, signature, b"yes")
    assert not ed25519.verifies(PUBLIC, signature[:-1], b"yes")
    assert not ed25519.verifies(PUBLIC, other.sign(b"yes"), b"yes")
    assert not ed25519.verifies(b"short", signature, b"yes")
    assert not ed25519.verifies(b"\xff" * 32, signature, b"yes")


def test_jwks_go_both_ways() -> None:
    """With the name that the key has, or none."""
    jwk = ed25519.jwk(PUBLIC)
    assert {"kty": "OKP", "crv": "Ed25519", "kid": VECTOR_KEY.key_id} == {
        name: jwk[name] for name in ("kty", "crv", "kid")
    }
    assert PUBLIC == ed25519.from_jwk(jwk)
    del jwk["kid"]
    assert PUBLIC == ed25519.from_jwk(jwk)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kty": "EC"}, "kty OKP"),
        ({"crv": "X25519"}, "crv Ed25519"),
        ({"x": None}, "x: expected 32 bytes"),
        ({"x": "AAAA"}, "x: expected 32 bytes"),
        ({"x": "="}, "x: expected 32 bytes"),
        ({"kid": "another"}, "kid is not the thumbprint"),
        ({"kid": None}, "kid is not the thumbprint"),
    ],
    ids=str,
)
def test_what_is_no_jwk_of_ours(change: dict[str, object], why: str) -> None:
    """A name that is another key's is the dangerous one: keys are found by their names."""
    with pytest.raises(ValueError, match=why):
        ed25519.from_jwk({**ed25519.jwk(PUBLIC), **change})
    with pytest.raises(ValueError, match="an object"):
        ed25519.from_jwk("no object")


@pytest.mark.parametrize("text", ["", "AAAA", VECTOR_SPKI[:-1], "\x00", VECTOR_SPKI + "AAAA"])
def test_what_is_no_spki_of_ours(text: str) -> None:
    """Too short, too long, no base64; and the key of another algorithm."""
    with pytest.raises(ValueError, match="SubjectPublicKeyInfo"):
        ed25519.from_spki(text)
    with pytest.raises(ValueError, match="SubjectPublicKeyInfo"):
        ed25519.from_spki(VECTOR_SPKI.replace("MCowBQYDK2VwAyEA", "MCowBQYDK2VuAyEA"))


def test_a_private_key_is_not_shown() -> None:
    """In no log and no traceback: neither what it is, nor a part of it."""
    shown = repr(VECTOR_KEY) + str(VECTOR_KEY)
    assert VECTOR_KEY.key_id in shown
    assert repr(VECTOR_KEY.seed) not in shown
    assert "seed" not in shown


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), "x" * 32])
def test_a_seed_has_32_bytes(seed: bytes) -> None:
    """And is refused without being shown."""
    with pytest.raises(ValueError, match=r"seed: expected 32 bytes$"):
        SigningKey(seed)


def test_the_library_is_loaded_when_a_signature_is_due() -> None:
    """A server without keys starts without it."""
    program = (
        "import sys, cameleer_registry.client.trust, cameleer_registry.security.verify,"
        " cameleer_registry.security.keyfile as _\n"
        "print('cryptography' in sys.modules, end=' ')\n"
        "cameleer_registry.security.ed25519.SigningKey.generate()\n"
        "print('cryptography' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "False True\n" == done.stdout
