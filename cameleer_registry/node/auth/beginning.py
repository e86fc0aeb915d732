"""What a node begins with: whether credentials are needed, and its keys and tokens from files."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import define, field

from ...core.instant import Instant
from ...errors import SettingsError
from ...logs import get_logger
from ...security import keyfile
from ...security.founding import adopt, time_of
from ...security.keyring import KeyRing
from ...security.keys import Use
from ...security.principals import Role
from ...security.store import Credentials, Facts
from ...security.token_files import TokenFiles
from ...setting_values import AuthMode
from ...settings import Settings
from .authority import Authority
from .holding import NO_KEYS, Holding
from .mode import Mode

log = get_logger(__name__)

INIT: Final = "cameleer-registry auth init"


@define
class Beginning:
    """What is found in files before a node is made, and what has to agree with its database."""

    settings: Settings
    alone: bool
    """Whether the server is the registry's own, so that the settings say where it listens."""
    keys_beside: Path | None = None
    """Where the keys are unless the settings say otherwise: beside the database."""
    files: TokenFiles | None = field(default=None, init=False)
    """The files of tokens that are named; None if there are none."""

    @property
    def embedded(self) -> bool:
        """Whether another program serves the registry."""
        return not self.alone

    @property
    def keys_path(self) -> Path | None:
        """Where the keys are; None if there are none."""
        if self.settings.keys_file is not None:
            return Path(self.settings.keys_file)
        beside = self.keys_beside
        return beside if beside is not None and beside.exists() else None

    def ring(self) -> KeyRing | None:
        """Return the keys that there are; raises SettingsError if a file of them cannot be used."""
        path = self.keys_path
        if path is None:
            return None
        loaded = keyfile.load(path)
        if loaded.warning is not None:
            log.warning(loaded.warning)
        return loaded.ring

    def hold_files(self, credentials: Credentials, now: Instant) -> None:
        """Take the tokens of the files that are named; raises SettingsError."""
        named = _named(self.settings)
        if not named:
            return
        self.files = TokenFiles(named)
        held = self.files.read(now=now)
        for line in held.warnings:
            log.warning(line)
        credentials.hold_outside(held.tokens, now=now)

    def check_files(self, *, is_new: bool, now: Instant) -> None:
        """Raise SettingsError if :meth:`begin` would, by what files hold; that changes nothing.

        They are read again when the database is open: what is to be warned of is said then.
        """
        settings = self.settings
        if settings.auth is AuthMode.OFF:
            return
        path, credentials = self.keys_path, Credentials()
        ring = None if path is None else keyfile.load(path).ring
        if named := _named(settings):
            credentials.hold_outside(TokenFiles(named).read(now=now).tokens, now=now)
        if is_new and not settings.cluster:  # elsewhere credentials may be stored
            self.mode(credentials, ring)

    def mode(self, credentials: Credentials, ring: KeyRing | None) -> Mode:
        """Decide whether credentials are needed.

        Raises SettingsError if nobody has said so and the server listens to more than this
        machine.
        """
        match self.settings.auth:
            case AuthMode.OFF:
                return Mode.OFF
            case AuthMode.ACCEPT:
                return Mode.ACCEPT
            case AuthMode.REQUIRED:
                return Mode.REQUIRED
            case AuthMode.AUTO:
                pass
        if not self.alone:
            return Mode.OFF
        if credentials.ever or ring is not None:
            return Mode.REQUIRED
        if not is_only_here(self.settings.host):
            raise SettingsError(
                f"anybody who reaches {self.settings.host} could command every agent, because "
                f'there is no credential yet: run "{INIT}", or use --auth off'
            )
        return Mode.OFF

    def begin(self, authority: Authority, *, durable: bool, now: Instant) -> Facts:
        """Have an authority decide by what its database and the files hold; return what to keep.

        ``durable`` tells whether its credentials were kept. If not, agents' tokens end with the
        process. Raises SettingsError with one line if a file that is named cannot be used, if the
        database and the keys do not agree, or if credentials would be needed.
        """
        settings, credentials = self.settings, authority.credentials
        if settings.auth is AuthMode.OFF:
            authority.mode = Mode.OFF
            self._say_which_names()
            return ()
        ring = self.ring()
        self.hold_files(credentials, now)
        mode = self.mode(credentials, ring)
        authority.mode, authority.by_default = mode, self.alone and mode is Mode.OFF
        authority.files, authority.keys_path = self.files, self.keys_path
        if mode is Mode.OFF:
            return ()
        facts: Facts = ()
        if ring is not None:
            ring, facts = adopt(credentials, ring, now=now)
        elif credentials.key_set is not None:
            adopt(credentials, None, now=now)
        else:
            # Agents need tokens. What signs commands must not end with the process: agents pin it.
            ring = KeyRing.generate(at=time_of(now), uses=(Use.TOKEN,))
        if not durable:
            # What an earlier process has revoked is not known: no agent's token outlives one.
            # Nobody has done that, so nobody is told of it.
            credentials.revoke_all(now=now)
        assert ring is not None
        authority.use(ring)
        if mode is Mode.REQUIRED and not credentials.tokens() and not self.embedded:
            log.warning("every request will be refused, because there is no token", help=INIT)
        return facts

    def _say_which_names(self) -> None:
        """Say that an open server refuses names that it does not know, if it is asked from afar."""
        settings = self.settings
        if self.alone and not settings.allowed_hosts and not is_only_here(settings.host):
            log.warning(
                "requests under names other than localhost, host and public_url are refused: "
                "set allowed_hosts",
                host=settings.host,
            )

    # One of many nodes

    def prepare(self, authority: Authority, *, now: Instant) -> None:
        """Read the files of one of many nodes; raises SettingsError."""
        if (ring := self.ring()) is not None:
            authority.holding = Holding(ring, self.keys_path)
            authority.keys_path = self.keys_path
            authority.use(ring)
        if self.settings.auth is not AuthMode.OFF:
            self.hold_files(authority.credentials, now)
            authority.files = self.files

    def begin_shared(self, authority: Authority) -> None:
        """Have an authority decide by what all nodes know, and by its own files.

        Nodes that ask for credentials need keys: what one of them has signed the others verify.
        Raises SettingsError with one line if there are none, or if credentials would be needed.
        """
        credentials, holding = authority.credentials, authority.holding
        mode = self.mode(credentials, None if holding is None else holding.ring)
        authority.mode, authority.by_default = mode, self.alone and mode is Mode.OFF
        if self.settings.auth is AuthMode.OFF:
            authority.by_default = False
            self._say_which_names()
        if mode is not Mode.OFF and holding is None:
            raise SettingsError(NO_KEYS)
        if mode is Mode.REQUIRED and not credentials.tokens() and not self.embedded:
            log.warning("nobody can ask for anything, since there is no token", help=INIT)


def read_files_again(authority: Authority, *, now: Instant) -> Facts:
    """Read the files of tokens that have changed; return what was revoked by that.

    These are for effects only. What they hold stands in the files, and nowhere else.
    """
    files = authority.files
    if files is None or not files.changed():
        return ()
    held = files.read_again(now=now)
    for line in held.warnings:
        log.warning(line)
    log.info("files of tokens were read again", tokens=len(held.tokens))
    return authority.credentials.hold_outside(held.tokens, now=now)


def is_only_here(host: str) -> bool:
    """Tell whether only this machine reaches a server that listens there."""
    if host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"


def _named(settings: Settings) -> Mapping[Role, Path]:
    named = {Role.ADMIN: settings.admin_token_file, Role.ENROL: settings.enrol_token_file}
    return {role: Path(path) for role, path in named.items() if path is not None}
