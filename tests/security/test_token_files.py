"""Tokens that files hold: what is taken, what is refused, and what changes while a server runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cameleer_registry.errors import CredentialRevoked, InvalidToken, SettingsError
from cameleer_registry.security import tokens
from cameleer_registry.security.principals import Role
from cameleer_registry.security.store import Credentials
from cameleer_registry.security.token_files import LARGEST, TokenFiles
from cameleer_registry.security.tokens import TokenKind
from cameleer_registry.security.verify import Verifier

from .support import instant

ONE, TWO = "1" * 64, "2" * 64
NOW = instant()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "admin"
    path.write_text(f"{ONE}\n")
    return path


def put(path: Path, text: str) -> None:
    """Have a file be another one, as who replaces one does it."""
    other = path.with_name("other")
    other.write_text(text)
    other.replace(path)


def test_a_file_holds_tokens_of_its_role(path: Path, tmp_path: Path) -> None:
    """One on a line, whatever the line ends and blank lines."""
    enrol = tmp_path / "enrol"
    made = tokens.generate(TokenKind.ENROLMENT).text
    enrol.write_bytes(f"\r\n{made}\r\n  {TWO}  \n\n".encode())
    held = TokenFiles({Role.ADMIN: path, Role.ENROL: enrol}).read(now=NOW)
    assert [
        (tokens.digest_of(ONE), Role.ADMIN, "from admin"),
        (tokens.digest_of(made), Role.ENROL, "from enrol"),
        (tokens.digest_of(TWO), Role.ENROL, "from enrol"),
    ] == [(one.digest, one.role, one.note) for one in held.tokens]
    assert 3 == len({one.token_id for one in held.tokens})
    assert () == held.warnings


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no token in "),
        (" \n\n", "there is no token in "),
        ("guessable\n", "line 1 of .* is not a token: it is shorter than 27"),
        (f"{ONE}\n{TWO} {TWO}\n", "line 2 of .* is not a token: .*header"),
        ("ü" * 40, "is not a token: it is not ASCII"),
        ("x" * (LARGEST + 1), "too large"),
    ],
    ids=["empty", "blank", "short", "two words", "letters", "large"],
)
def test_a_file_without_a_token_is_refused_at_the_start(path: Path, text: str, why: str) -> None:
    """In one line, which quotes nothing of it."""
    path.write_text(text)
    with pytest.raises(SettingsError, match=why) as refused:
        TokenFiles({Role.ADMIN: path}).read(now=NOW)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [] == [word for word in text.split() if word in str(refused.value)]


def test_a_file_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    """With the system's reason."""
    for path, why in ((tmp_path / "x", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=f"cannot read the token in .*: {why}"):
            TokenFiles({Role.ADMIN: path}).read(now=NOW)


def test_a_mistyped_token_of_ours_is_a_warning(path: Path) -> None:
    """That names the line, and says nothing of the token."""
    text = tokens.generate(TokenKind.OPERATOR).text[:-1]
    path.write_text(text)
    held = TokenFiles({Role.ADMIN: path}).read(now=NOW)
    [warning] = held.warnings
    assert f"line 1 of {path} may be a mistyped token" in warning
    assert text not in warning
    assert 1 == len(held.tokens)


def test_a_change_is_taken_up(path: Path) -> None:
    """What is held no more is revoked; what stays is not touched by it."""
    files, credentials = TokenFiles({Role.ADMIN: path}), Credentials()
    verifier = Verifier(credentials)
    credentials.hold_outside(files.read(now=NOW).tokens, now=NOW)
    assert not files.changed()
    with pytest.raises(InvalidToken):
        verifier.of_token(TWO, now=NOW)
    put(path, f"{ONE}\n{TWO}\n")
    assert files.changed()
    assert () == credentials.hold_outside(files.read_again(now=NOW).tokens, now=NOW)
    assert not files.changed()
    first = verifier.of_token(ONE, now=NOW)
    put(path, f"{TWO}\n")
    [gone] = credentials.hold_outside(files.read_again(now=NOW).tokens, now=NOW)
    assert first.token_id == getattr(gone, "token_id", None)
    assert Role.ADMIN is verifier.of_token(TWO, now=NOW).role
    with pytest.raises(CredentialRevoked):
        verifier.of_token(ONE, now=NOW)
    with pytest.raises(CredentialRevoked):
        verifier.recheck(first, now=NOW)


@pytest.mark.parametrize("text", ["", "guessable", None])
def test_a_file_that_cannot_be_used_any_more_changes_nothing(path: Path, text: str | None) -> None:
    """Somebody may be about to write it; once it can be used again it is."""
    files = TokenFiles({Role.ADMIN: path})
    before = files.read(now=NOW)
    if text is None:
        path.unlink()
    else:
        put(path, text)
    assert files.changed()
    again = files.read_again(now=NOW)
    assert before.tokens == again.tokens
    [warning] = again.warnings
    assert warning.endswith("; the tokens that it contained before stay valid")
    assert not files.changed()
    assert () == files.read_again(now=NOW).warnings
    put(path, TWO)
    assert files.changed()
    assert [tokens.digest_of(TWO)] == [one.digest for one in files.read_again(now=NOW).tokens]


def test_a_text_of_the_same_length_in_the_same_file_is_a_change(path: Path) -> None:
    """By the time at which it was written."""
    files = TokenFiles({Role.ADMIN: path})
    files.read(now=NOW)
    path.write_text(f"{TWO}\n")
    os.utime(path, ns=(1, 1))
    assert files.changed()


def test_a_file_that_may_be_read_at_last_is_a_change(path: Path) -> None:
    """Whoever puts it there may give it to the server in a second step."""
    files = TokenFiles({Role.ADMIN: path})
    files.read(now=NOW)
    put(path, TWO)
    assert [tokens.digest_of(TWO)] == [one.digest for one in files.read_again(now=NOW).tokens]
    path.chmod(0o600)
    assert files.changed()
