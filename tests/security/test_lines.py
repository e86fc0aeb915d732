"""Signed lines: the vector, what they look like, and whatever is refused as one."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cameleer_registry.security import base64url, lines
from cameleer_registry.security.ed25519 import SigningKey
from cameleer_registry.security.lines import (
    MARK,
    Kind,
    LineRefused,
    NotSigned,
    UnknownKey,
    WrongKind,
    WrongSignature,
)

from .support import (
    UNHURRIED,
    VECTOR_KEY,
    VECTOR_LINE,
    VECTOR_MESSAGE,
    VECTOR_SIGNATURE,
    key,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.just("signature"), inner, max_size=4)
    ),
    max_leaves=12,
)
MEMBERS = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name not in ("signature", "signs", "keyId")),
    JSON,
    max_size=5,
)


def found(key_id: str) -> bytes:
    """Know one key."""
    if key_id != VECTOR_KEY.key_id:
        raise UnknownKey(key_id)
    return VECTOR_KEY.public


def read(line: bytes, kind: Kind = Kind.COMMAND) -> dict[str, Any]:
    return lines.verify(line, kind, found)


def line_of(**members: Any) -> bytes:
    return lines.sign(members, Kind.COMMAND, VECTOR_KEY)


def signed_anyhow(message: bytes, by: SigningKey = VECTOR_KEY) -> bytes:
    """Sign whatever that is, as nobody does who means well."""
    signature = base64url.encode(by.sign(message)).encode()
    return message[:-1] + MARK + signature + b'"}'


# The vector


def test_the_vector_of_the_design() -> None:
    """The same key, message, signature and line."""
    assert VECTOR_LINE == lines.seal(VECTOR_MESSAGE, VECTOR_KEY.sign)
    taken = lines.split(VECTOR_LINE)
    assert VECTOR_MESSAGE == taken.message
    assert VECTOR_SIGNATURE == base64url.encode(taken.signature)
    members = lines.verify(VECTOR_LINE, Kind.COMMAND, lambda _: VECTOR_KEY.public)
    assert orjson.loads(VECTOR_MESSAGE) == members


# Writing


@UNHURRIED
@given(MEMBERS, st.sampled_from(Kind))
def test_what_was_signed_is_read(members: dict[str, Any], kind: Kind) -> None:
    """Whatever it says; the whole is JSON on one line whose last member is the signature."""
    line = lines.sign(members, kind, VECTOR_KEY)
    told = {**members, "signs": kind, "keyId": VECTOR_KEY.key_id}
    assert told == read(line, kind)
    assert b"\n" not in line
    whole = orjson.loads(line)
    assert [*told, "signature"] == [*whole]
    assert re.fullmatch(r"[A-Za-z0-9_-]{86}", whole["signature"])


@UNHURRIED
@given(MEMBERS)
@example({"payload": {"a": 1, "signature": "x", "b": [{"c": 1, "signature": "y"}]}})
@example({"payload": {"text": ',"signature":"', "more": '\\",\\"signature\\":\\"'}})
def test_the_mark_stands_there_once(members: dict[str, Any]) -> None:
    """So who looks for it from the left finds the same one, and the message is what was meant."""
    line = lines.sign(members, Kind.COMMAND, VECTOR_KEY)
    assert 1 == line.count(MARK)
    message = line[: line.index(MARK)] + b"}"
    assert lines.split(line).message == message
    assert {**members, "signs": "command/1", "keyId": VECTOR_KEY.key_id} == orjson.loads(message)


@pytest.mark.parametrize(
    "message",
    [b"", b"{}", b"[]", b'{"a":1}\n', b'{"a":\n1}', b'{"a":\r1}', b' {"a":1}', b'{"a":1', b"{a}",
     b'{"a":1,"signature":"x"}', b'"{}"', b"null"],
)  # fmt: skip
def test_what_is_no_message_is_not_signed(message: bytes) -> None:
    """A mistake of ours, which nobody could read."""
    with pytest.raises(ValueError, match=r"message|JSON"):
        lines.seal(message, VECTOR_KEY.sign)


def test_members_cannot_bring_a_signature() -> None:
    """At the top, where a reader of the whole line would find two."""
    with pytest.raises(ValueError, match="already have a signature"):
        line_of(signature="x")


# Reading what is hostile


@pytest.mark.parametrize(
    "line",
    [
        VECTOR_LINE + b"\n",
        VECTOR_LINE + b" ",
        VECTOR_LINE + b"}",
        VECTOR_LINE[:-1],
        VECTOR_LINE[:-1] + b",}",
        VECTOR_LINE.replace(b',"signature":"', b', "signature":"'),
        VECTOR_LINE.replace(b',"signature":"', b',"signature": "'),
        VECTOR_LINE.replace(b',"signature":"', b',"Signature":"'),
        VECTOR_LINE.replace(b'"}', b'A"}'),
        VECTOR_LINE.replace(b'"}', b'=="}'),
        VECTOR_LINE.replace(b'DA"}', b'"}'),
        VECTOR_LINE.replace(b'DA"}', b'D\\u0041"}'),
        VECTOR_LINE[:-2] + b'","x":1}',
        VECTOR_MESSAGE,
        b"",
        b"}",
        b'"}',
        MARK + b"A" * 86 + b'"}',
        b"{}",
        b"null",
    ],
)
def test_what_does_not_end_in_a_signature_is_not_signed(line: bytes) -> None:
    """Nothing may follow it, and nothing may stand within it."""
    with pytest.raises(NotSigned, match=r"^not signed"):
        lines.verify(line, Kind.COMMAND, lambda _: VECTOR_KEY.public)


def test_a_signature_has_one_spelling() -> None:
    """The bits that are left over in its last character are part of it."""
    line = line_of(a=1)
    last = line[-3:-2].decode()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(last)
    for other in alphabet[at + 1 : at + 16]:  # 64 bytes leave 4 bits over
        with pytest.raises(NotSigned, match="base64url"):
            read(line[:-3] + other.encode() + b'"}')


@UNHURRIED
@given(st.data())
def test_no_byte_of_a_line_can_be_another(data: st.DataObject) -> None:
    """Wherever it stands."""
    line = line_of(commandId="01", payload={"a": [1, {"b": None}]})
    at = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
    with pytest.raises(LineRefused):
        read(line[:at] + bytes([byte]) + line[at + 1 :])


@UNHURRIED
@given(st.binary(max_size=300))
@example(VECTOR_LINE[:-102] + b"}")
def test_whatever_comes_is_refused_as_a_line(raw: bytes) -> None:
    """And by no other exception."""
    with pytest.raises(LineRefused):
        read(raw)
    with pytest.raises(LineRefused):
        read(raw + VECTOR_LINE[-102:])
    with pytest.raises(LineRefused):
        read(b"{" + raw + VECTOR_LINE[-102:])


def test_an_earlier_signature_makes_no_difference() -> None:
    """The one at the end counts, over all that stands before it."""
    good = line_of(a=1)
    with pytest.raises(WrongSignature):
        read(good[:-1] + b',"b":2' + good[-102:])


def test_a_line_with_two_signatures_is_refused_although_its_signer_meant_it() -> None:
    """JSON libraries differ in which one counts."""
    message = b'{"signs":"command/1","keyId":"%b","signature":"x"}' % VECTOR_KEY.key_id.encode()
    with pytest.raises(WrongSignature, match="two signatures"):
        read(signed_anyhow(message))


def test_a_line_signed_as_something_else_is_refused() -> None:
    """A key set is no command, whoever has signed it."""
    for kind in Kind:
        line = lines.sign({"a": 1}, kind, VECTOR_KEY)
        for other in set(Kind) - {kind}:
            with pytest.raises(WrongKind, match=f"^not signed as {other}$"):
                read(line, other)
    with pytest.raises(WrongKind):
        read(signed_anyhow(b'{"keyId":"%b"}' % VECTOR_KEY.key_id.encode()))


def test_a_line_of_another_key_is_refused() -> None:
    """One that is not known, and one that goes by the name of one that is."""
    other = key(7)
    with pytest.raises(UnknownKey, match=r"^signed by an unknown key$") as refused:
        read(lines.sign({"a": 1}, Kind.COMMAND, other))
    assert other.key_id == refused.value.key_id
    message = b'{"signs":"command/1","keyId":"%b"}' % VECTOR_KEY.key_id.encode()
    with pytest.raises(WrongSignature, match=r"^the signature is wrong$"):
        read(signed_anyhow(message, by=other))


@pytest.mark.parametrize("key_id", [b"1", b"null", b"[]", b'{"a":1}'])
def test_a_key_is_named_by_a_text(key_id: bytes) -> None:
    """Whatever else stands there names none."""
    with pytest.raises(NotSigned, match="names no key"):
        read(signed_anyhow(b'{"signs":"command/1","keyId":%b}' % key_id))
