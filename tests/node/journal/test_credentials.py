"""What becomes of credentials when the process ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cameleer_registry import Order, Registration, Settings, Target
from cameleer_registry.errors import CredentialRevoked, SettingsError, TokenExpired
from cameleer_registry.node.auth.authority import Authority
from cameleer_registry.node.auth.beginning import Beginning
from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal
from cameleer_registry.node.node import Node
from cameleer_registry.security import keyfile
from cameleer_registry.security.facts import TokenRevoked
from cameleer_registry.security.founding import found
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.principals import Role

from ...closed import RING


@asynccontextmanager
async def node(path: Path, ring: KeyRing | None = RING) -> AsyncIterator[Node]:
    """Run a node on a database, with keys beside it."""
    keys = path.with_name("keys.json")
    if ring is not None and not keys.exists():
        keyfile.save(keys, ring)
    settings = Settings()
    authority = Authority(beginning=Beginning(settings, alone=True, keys_beside=keys))
    made = Node(settings, journal=SqliteJournal(path), authority=authority)
    made.start()
    try:
        yield made
    finally:
        await made.shut_down()
        await made.stop()


@pytest.mark.parametrize("folded", [False, True], ids=["from facts", "from rows"])
async def test_credentials_are_what_they_were(tmp_path: Path, folded: bool) -> None:
    """Tokens, what they were used for, sessions, revocations, and that credentials are needed."""
    async with node(tmp_path / "registry.db") as first:
        assert Mode.REQUIRED is first.authority.mode
        now, authority = first.clock.now(), first.authority
        admin = authority.create_token(Role.ADMIN, now=now)
        gone = authority.create_token(Role.VIEWER, now=now, groups=("order-*",), note="n")
        enrol = authority.create_token(Role.ENROL, now=now, uses=1)
        for made in (admin, gone, enrol):
            first.carry_out(made.facts)
        first.carry_out(authority.credentials.revoke_token(gone.token_id, now=now))
        principal = authority.verifier.of_token(enrol.token.text, now=now)
        given = await first.office.enrol(Registration(agent_id="a", group="g"), principal)  # type: ignore[arg-type]
        await first.revoke_agent("a")
        secret = await first.office.sign_in(admin.token.text, "here")
        told = list(authority.credentials.as_facts())
        if folded:
            assert first.life.keeper is not None
            while len(first.journal.touched):  # type: ignore[attr-defined]
                await first.life.keeper.fold()  # type: ignore[attr-defined]
            await first.life.keeper._trim()  # type: ignore[attr-defined]
    async with node(tmp_path / "registry.db") as second:
        now, authority = second.clock.now(), second.authority
        assert told == list(authority.credentials.as_facts())
        assert Role.ADMIN is authority.verifier.of_token(admin.token.text, now=now).role
        assert Role.ADMIN is authority.verifier.of_session(secret, now=now).role
        with pytest.raises(CredentialRevoked):
            authority.verifier.of_token(gone.token.text, now=now)
        assert given.credential is not None
        with pytest.raises(CredentialRevoked):
            authority.verifier.of_token(given.credential.access_token, now=now)
        principal = authority.verifier.of_token(enrol.token.text, now=now)
        await second.office.enrol(Registration(agent_id="a", group="g"), principal)  # type: ignore[arg-type]
        with pytest.raises(TokenExpired):
            await second.office.enrol(Registration(agent_id="b", group="g"), principal)  # type: ignore[arg-type]


async def test_the_order_of_commands_only_grows(tmp_path: Path) -> None:
    """Over a restart, and if the clock is set back."""
    lines = []
    for _ in range(2):
        async with node(tmp_path / "registry.db") as made:
            made.signer._order = max(made.signer._order, 10**15)  # a clock that was ahead
            await made.register(Registration(agent_id="a", group="g"))  # type: ignore[arg-type]
            order = Order(type="config-update")
            await made.issue(order, Target.all())
            lines.append(made.signer._order)
            made.signer._order = 0
    assert lines == [10**15 + 1, 10**15 + 2]


async def test_a_registry_whose_keys_are_lost_does_not_start(tmp_path: Path) -> None:
    """Others would not be believed by its agents. The database can be opened again."""
    async with node(tmp_path / "registry.db"):
        pass
    (tmp_path / "keys.json").rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match=r"keys\.json"):
        async with node(tmp_path / "registry.db", ring=None):
            pass
    other = KeyRing.generate(at=RING.keys.issued_at)
    with pytest.raises(SettingsError, match="another registry"):
        async with node(tmp_path / "registry.db", ring=other):
            pass
    (tmp_path / "elsewhere").rename(tmp_path / "keys.json")
    async with node(tmp_path / "registry.db"):
        pass


async def test_there_has_been_a_credential(tmp_path: Path) -> None:
    """So one is needed, also when there is none any more."""
    async with node(tmp_path / "registry.db", ring=None) as first:
        assert Mode.OFF is first.authority.mode
        made = found(
            first.authority.credentials, None, now=first.clock.now(), new_id=iter("ab").__next__
        )
        keyfile.save(tmp_path / "keys.json", made.ring)
        first.carry_out(made.facts)
        for token_id in "ab":
            first.carry_out((TokenRevoked(at=first.clock.now(), token_id=token_id),))
    async with node(tmp_path / "registry.db") as second:
        assert Mode.REQUIRED is second.authority.mode
