"""Private keys, in memory and on disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import orjson
import pytest

from cameleer_registry.errors import SettingsError
from cameleer_registry.security import base64url, keyfile
from cameleer_registry.security.ed25519 import SigningKey
from cameleer_registry.security.keyring import KeyMissing, KeyRing, RootAway
from cameleer_registry.security.keys import KeySet, KeySetRefused, Status, Use
from cameleer_registry.security.lines import LineRefused

from .support import NOON, REGISTRY, day, ring

RETIRED_FOR = {Use.COMMAND: timedelta(days=1), Use.TOKEN: timedelta(days=31)}


def signing(keys: KeyRing, use: Use) -> SigningKey:
    key = keys.signing(use)
    assert key is not None
    return key


def secrets_of(keys: KeyRing) -> list[str]:
    """Return every secret as it stands in the file."""
    held = [*keys.private.values(), *([keys.root] if keys.root else [])]
    return [base64url.encode(key.seed) for key in held]


# In memory


def test_a_new_registry_has_a_root_and_two_keys() -> None:
    """All three differ, and so does its id from another's."""
    keys, other = KeyRing.generate(at=NOON), KeyRing.generate(at=NOON)
    assert keys.registry != other.registry
    ids = {keys.root_id, *keys.private, other.root_id, *other.private}
    assert 6 == len(ids)
    for use in Use:
        assert signing(keys, use).key_id == getattr(keys.keys.active(use), "key_id", None)


def test_there_may_be_keys_for_tokens_only() -> None:
    """Which end with the process, and sign nothing that anybody would pin."""
    keys = KeyRing.generate(at=NOON, uses=[Use.TOKEN])
    assert keys.signing(Use.COMMAND) is None
    assert keys.signing(Use.TOKEN) is not None


def test_rotation_and_revocation_make_what_they_need() -> None:
    """The set is signed anew each time, and the private halves follow it."""
    keys = ring()
    first = signing(keys, Use.COMMAND)
    announced = keys.announced(Use.COMMAND, at=day(1))
    assert first == signing(announced, Use.COMMAND)
    activated = announced.activated(Use.COMMAND, at=day(2))
    assert first != signing(activated, Use.COMMAND)
    revoked = activated.revoked(signing(activated, Use.COMMAND).key_id, at=day(3))
    assert signing(revoked, Use.COMMAND) not in (first, signing(activated, Use.COMMAND))
    assert 4 == len(revoked.private)
    later = revoked.without_outdated(at=day(60), retired_for=RETIRED_FOR)
    assert 2 == len(later.private)
    assert signing(keys, Use.TOKEN) == signing(later, Use.TOKEN)
    assert [1, 2, 3, 4, 5] == [
        one.keys.version for one in (keys, announced, activated, revoked, later)
    ]
    for one in (announced, activated, revoked, later):
        assert one.keys == KeySet.read(one.line, root=keys.root_id)
    assert later is later.without_outdated(at=day(60), retired_for=RETIRED_FOR)
    assert revoked is revoked.revoked(signing(activated, Use.COMMAND).key_id, at=day(9))


def test_without_its_root_nothing_is_changed() -> None:
    """It signs all the same; and a set that the root has signed elsewhere can be taken over."""
    keys = ring()
    away = attrs.evolve(keys, root=None)
    assert signing(keys, Use.COMMAND) == signing(away, Use.COMMAND)
    with pytest.raises(RootAway, match="private key is not here"):
        away.announced(Use.COMMAND, at=day(1))
    with pytest.raises(RootAway):
        away.revoked(signing(away, Use.COMMAND).key_id, at=day(1))
    there = keys.keys.revoked(
        signing(keys, Use.TOKEN).key_id, at=day(1), instead=SigningKey.generate().public
    )
    assert keys.root is not None
    with pytest.raises(KeyMissing, match="its private half is missing"):
        away.with_line(there.signed(keys.root))


def test_a_newer_set_is_taken_over_and_an_older_one_is_not() -> None:
    """From another node, which has the same keys."""
    keys = ring()
    announced = keys.announced(Use.COMMAND, at=day(1))
    holder = attrs.evolve(announced, line=keys.line)
    assert announced.keys == holder.with_line(announced.line).keys
    assert announced is announced.with_line(keys.line)
    with pytest.raises(KeySetRefused, match="root key"):
        keys.with_line(KeyRing.generate(at=NOON).line)


def test_a_set_of_another_registry_under_the_same_root_is_refused() -> None:
    """However new it is."""
    keys = ring()
    assert keys.root is not None
    other = attrs.evolve(keys.keys, registry="00000000-0000-4000-8000-000000000000", version=9)
    with pytest.raises(ValueError, match="another registry"):
        keys.with_line(other.signed(keys.root))


def test_a_ring_is_one_of_its_root() -> None:
    """Another's private key, or another's set, makes none."""
    keys, other = ring(), KeyRing.generate(at=NOON)
    with pytest.raises(ValueError, match="root's private key is another one"):
        attrs.evolve(keys, root=other.root)
    with pytest.raises(LineRefused):
        attrs.evolve(keys, root_id=other.root_id)


def test_no_secret_is_shown() -> None:
    """In no log, and no traceback."""
    keys = ring()
    shown = repr(keys) + str(keys)
    assert keys.root_id in shown
    assert [] == [secret for secret in secrets_of(keys) if secret in shown]
    assert keys.line.decode() not in shown


# On disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b" / "keys.json"


def test_keys_come_back_as_they_were(path: Path) -> None:
    """With a root and without; and with keys that are next, retired and revoked."""
    keys = ring().announced(Use.TOKEN, at=day(1)).activated(Use.TOKEN, at=day(2))
    keys = keys.announced(Use.COMMAND, at=day(3))
    keys = keys.revoked(signing(keys, Use.COMMAND).key_id, at=day(4))
    assert {"active", "retired", "revoked"} == {one.status for one in keys.keys.keys}
    for held in (keys, attrs.evolve(keys, root=None)):
        keyfile.save(path, held)
        loaded = keyfile.load(path)
        assert held == loaded.ring
        assert loaded.warning is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_made_is_for_its_owner_only(path: Path, umask: int) -> None:
    """Whatever the umask says. A directory that is there is left as it is, and nothing besides."""
    path.parent.parent.parent.chmod(0o755)
    before = os.umask(umask)
    try:
        keyfile.save(path, ring())
        keyfile.save(path, ring())
    finally:
        os.umask(before)
    modes = [
        stat.S_IMODE(one.stat().st_mode)
        for one in (path, path.parent, path.parent.parent, path.parent.parent.parent)
    ]
    assert [0o600, 0o700, 0o700, 0o755] == modes
    assert [path] == list(path.parent.iterdir())


def test_a_file_that_was_open_to_others_is_closed_when_it_is_written(path: Path) -> None:
    """It is another file then."""
    keyfile.save(path, ring())
    path.chmod(0o644)
    keyfile.save(path, ring())
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o010])
def test_a_file_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    """With the command that helps."""
    keyfile.save(path, ring())
    path.chmod(mode)
    with pytest.raises(SettingsError, match=f'"chmod 600 {path}"') as refused:
        keyfile.load(path)
    assert "\n" not in str(refused.value)


def test_on_a_mount_that_cannot_be_written_it_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kubernetes mounts secrets."""
    keyfile.save(path, ring())
    path.chmod(0o444)
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    loaded = keyfile.load(path)
    assert ring() == loaded.ring
    assert f"others can read the keys in {path} (mode 0444)" == loaded.warning


def test_a_link_is_followed(path: Path) -> None:
    """As Kubernetes has them, to change all files of a secret in one step."""
    keyfile.save(path, ring())
    link = path.with_name("link.json")
    link.symlink_to(path)
    assert ring() == keyfile.load(link).ring


def test_a_link_stays_one_when_it_is_written(path: Path, tmp_path: Path) -> None:
    """What it leads to is written, whole at any moment, through any number of links."""
    keyfile.save(path, ring())
    links = tmp_path / "links"
    links.mkdir()
    (links / "one.json").symlink_to(path)
    (links / "keys.json").symlink_to("one.json")
    changed = ring().announced(Use.TOKEN, at=day(1))
    keyfile.save(links / "keys.json", changed)
    assert changed == keyfile.load(path).ring
    assert "one.json" == os.readlink(links / "keys.json")
    assert ["keys.json", "one.json"] == sorted(os.listdir(links))
    assert [path] == list(path.parent.iterdir())
    path.unlink()
    keyfile.save(links / "keys.json", ring())
    assert ring() == keyfile.load(path).ring, "a link that leads nowhere yet"


def test_what_cannot_be_read_or_written_is_one_line(tmp_path: Path) -> None:
    """With the path, and the system's reason."""
    with pytest.raises(SettingsError, match=r"cannot read the keys in .*x\.json: No such file"):
        keyfile.load(tmp_path / "x.json")
    with pytest.raises(SettingsError, match=r"cannot read the keys in .*: Is a directory"):
        keyfile.load(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"cannot write the keys to .*: File exists"):
        keyfile.save(tmp_path / "file" / "keys.json", ring())


def test_what_was_there_is_there_when_writing_fails(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else."""
    keyfile.save(path, ring())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left on device"):
        keyfile.save(path, KeyRing.generate(at=NOON))
    assert ring() == keyfile.load(path).ring
    assert [path] == list(path.parent.iterdir())


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda held: held.pop("format"), "not a file of keys"),
        (lambda held: held.update(format=2), "it has format 2; this version knows 1"),
        (lambda held: held.pop("keySet"), "keySet, root or keys is missing"),
        (lambda held: held.update(keys={}), "keySet, root or keys is missing"),
        (lambda held: held.update(registry=None), "registry is not the key set's"),
        (lambda held: held["keys"].pop(), "its private half is missing"),
        (lambda held: held["keys"][0].pop("d"), "d: expected 32 bytes"),
        (lambda held: held["keys"][0].update(d="AAAA"), "d: expected 32 bytes"),
        (lambda held: held["keys"][0].update(d=held["keys"][1]["d"]), "is another key's"),
        (lambda held: held["root"].update(d=held["keys"][1]["d"]), "is another key's"),
        (lambda held: held.update(root=held["keys"][0]), "not signed by the root key"),
        (lambda held: held.update(keySet=held["keySet"].replace(":1,", ":2,")), "signature"),
        (lambda held: held.update(keySet=held["keySet"] + "\n"), "not signed"),
        (lambda held: held.update(keys=["x"]), "a JWK is an object"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(path: Path, change: Change, why: str) -> None:
    """In one line, which says where, and none of what is secret."""
    keyfile.save(path, ring())
    held = orjson.loads(path.read_bytes())
    change(held)
    path.write_bytes(orjson.dumps(held))
    with pytest.raises(SettingsError, match=why) as refused:
        keyfile.load(path)
    assert str(refused.value).startswith(f"the keys in {path} cannot be used: ")
    assert "\n" not in str(refused.value)
    assert [] == [secret for secret in secrets_of(ring()) if secret in str(refused.value)]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b" " * (keyfile.LARGEST + 1)])
def test_what_is_no_file_of_keys_is_refused(path: Path, raw: bytes) -> None:
    """However long it is."""
    keyfile.save(path, ring())
    path.write_bytes(raw)
    with pytest.raises(SettingsError, match="cannot be used: it is"):
        keyfile.load(path)


def test_a_status_that_changes_by_hand_is_noticed() -> None:
    """The set is what the root has signed, and not what the file says besides."""
    assert REGISTRY == ring().registry
    assert Status.ACTIVE.value.encode() in keyfile.dump(ring())
    with pytest.raises(LineRefused):
        keyfile.parse(keyfile.dump(ring()).replace(b"active", b"retired"))
