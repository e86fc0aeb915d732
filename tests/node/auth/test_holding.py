"""The keys that a node holds: its file, which may change while it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cameleer_registry.errors import SettingsError
from cameleer_registry.node.auth.holding import Holding
from cameleer_registry.security import keyfile
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import Use

from ...security.support import NOON
from .replicas import ring


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of keys."""
    path = tmp_path / "keys.json"
    keyfile.save(path, ring())
    return path


def test_a_file_is_read_again_when_it_has_changed(path: Path) -> None:
    """What was there before is still held: what it has signed has yet to be verified."""
    holding = Holding(ring(), path)
    before = holding.holds
    holding.read_again()
    assert before == holding.holds
    newer = ring().announced(Use.COMMAND, at=NOON)
    keyfile.save(path, newer)
    holding.read_again()
    assert 3 == len(holding.holds)
    assert newer.keys.version == holding.ring.keys.version
    keyfile.save(path, ring())
    holding.read_again()
    assert 3 == len(holding.holds)
    assert newer.keys.version == holding.ring.keys.version


@pytest.mark.parametrize("kind", ["garbage", "open to all", "another registry's", "gone"])
def test_a_file_that_cannot_be_used_changes_nothing(
    path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And is told of once."""
    holding = Holding(ring(), path)
    match kind:
        case "garbage":
            path.write_text("{}")
        case "open to all":
            keyfile.save(path, ring().announced(Use.COMMAND, at=NOON))
            os.chmod(path, 0o644)
        case "another registry's":
            keyfile.save(path, KeyRing.generate(at=NOON))
        case "gone":
            path.unlink()
    for _ in range(2):
        holding.read_again()
    assert (2, 1) == (len(holding.holds), holding.ring.keys.version)
    assert (0 if kind == "gone" else 1) == len(caplog.records)


def test_a_new_key_is_in_the_file_before_it_is_published(path: Path) -> None:
    """With the set that was there; and with its own when it is."""
    holding, newer = Holding(ring(), path), ring().announced(Use.TOKEN, at=NOON)
    holding.hold(newer)
    found = keyfile.load(path).ring
    assert (1, 3) == (found.keys.version, len(found.private))
    holding.keep(newer)
    found = keyfile.load(path).ring
    assert (2, 3) == (found.keys.version, len(found.private))
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError):
        holding.hold(newer)


def test_a_file_is_read_again_when_it_is_taken_from_others(path: Path) -> None:
    """As the refusal of a file that is open to others says."""
    holding, newer = Holding(ring(), path), ring().announced(Use.COMMAND, at=NOON)
    keyfile.save(path, newer)
    path.chmod(0o644)
    holding.read_again()
    assert 2 == len(holding.holds)
    path.chmod(0o600)
    holding.read_again()
    assert 3 == len(holding.holds)


def test_a_key_that_cannot_be_written_is_not_held(path: Path) -> None:
    """The others are told of what is held, and it would be gone when this process ends."""
    holding = Holding(ring(), path)
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError):
        holding.hold(ring().announced(Use.TOKEN, at=NOON))
    assert 2 == len(holding.holds)
