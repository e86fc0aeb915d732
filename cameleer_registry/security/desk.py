"""Deciding what is asked of the credentials of a registry, whether it is alone or shared.

Alone, a node gives what it is asked to its desk, and carries out what comes of it. Many nodes put
it into their log first, and each gives it to its own desk, in the order of the log. So nothing here
may depend on what one node alone knows: what its files hold, or its clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ..core.events import Event
from ..core.inputs import Input
from ..core.instant import NANOSECONDS, Instant
from ..core.members import Members
from ..core.model import AgentStatus
from ..core.queries import Queries
from ..core.registry import Registry
from ..core.unchanging import unchanging
from ..errors import (
    AgentIdInUse,
    AgentNotRegistered,
    CannotJoin,
    CredentialRevoked,
    NotFound,
)
from . import inputs
from .codes import Codes
from .enrolment import Present, check_membership, check_registration
from .facts import CredentialConflict, CredentialIssued
from .keys import KeySet, Use
from .principals import Principal, Role
from .store import Credentials, Facts
from .tokens import is_outside


class KeysNotHeld(ValueError):
    """A key set would have a key sign that some node does not hold."""


@unchanging
class Admitted:
    """An agent that was registered, or whose token is renewed."""

    resumed: bool
    group: str
    revocation: int
    """What its token has to say."""
    at: Instant


class Desk:
    """Decides on the credentials of one registry."""

    def __init__(self, credentials: Credentials, codes: Codes) -> None:
        self._credentials = credentials
        self._codes = codes
        self._deciders: Final[Mapping[type[Input], Callable[..., tuple[Any, Facts]]]] = {
            inputs.Enrol: self._enrol,
            inputs.Renew: self._renew,
            inputs.CreateToken: self._create_token,
            inputs.RevokeToken: self._revoke_token,
            inputs.RevokeAgent: self._revoke_agent,
            inputs.OpenSession: self._open_session,
            inputs.MakeCode: self._make_code,
            inputs.SpendCode: self._spend_code,
            inputs.CloseSession: self._close_session,
            inputs.PublishKeys: self._publish_keys,
        }

    def decide(
        self, given: Input, registry: Registry, members: Members | None, now: Instant
    ) -> tuple[Any, Facts]:
        """Decide on an input; return what comes of it, and the facts that it has caused.

        Raises what the store of credentials, the registry and the rules of enrolment do. A refusal
        of which others are told is returned instead, with what they are told.
        """
        return self._deciders[type(given)](given, registry, members, now)

    # Agents

    def _enrol(
        self, given: inputs.Enrol, registry: Registry, _: object, now: Instant
    ) -> tuple[Any, Facts]:
        registration, principal = given.registration, given.principal
        agent_id, group = registration.agent_id, registration.group
        credentials = self._credentials
        self._check_still_good(principal, now)
        before = registry.present(agent_id, now=now)
        present = None if before is None else Present(before[0], before[1] is AgentStatus.LIVE)
        try:
            check_registration(principal, agent_id, group, present)
        except AgentIdInUse as refusal:
            return refusal, (_conflict(given, now, refused=True),)
        own, counts = principal.role is Role.AGENT, False
        # A certificate, and what a host vouches for, is no token whose uses could be counted; nor
        # are those of files, which have no limit.
        if _is_of_store(principal) and principal.role is Role.ENROL:
            known = present is not None
            counts = credentials.would_use(principal.token_id, agent_id, known=known)
        told: list[Event] = []
        if present is not None and not own and _is_another_process(given, registry, now):
            told.append(_conflict(given, now, refused=False))
        told += registry.register(registration, now=now, by=principal.issuer)
        if counts:
            told += credentials.use_token(principal.token_id, agent_id, known=False, now=now)
        if given.given is not None:
            told.append(self._issued(given.given, agent_id, group, principal, now))
        revocation = credentials.revocation(agent_id)
        return Admitted(present is not None, group, revocation, now), tuple(told)

    def _renew(
        self, given: inputs.Renew, registry: Queries, _: object, now: Instant
    ) -> tuple[Admitted, Facts]:
        agent_id, principal = given.agent_id, given.principal
        self._check_still_good(principal, now)
        before = registry.present(agent_id, now=now)
        if before is None:
            raise AgentNotRegistered(agent_id)
        check_membership(principal, agent_id, before[0])
        issued = self._issued(given.given, agent_id, before[0], principal, now)
        return Admitted(True, before[0], self._credentials.revocation(agent_id), now), (issued,)

    def _issued(
        self, given: inputs.Given, agent_id: str, group: str, asked: Principal, now: Instant
    ) -> CredentialIssued:
        return CredentialIssued(
            at=now,
            agent_id=agent_id,
            group=group,
            token_id=given.token_id,
            by=asked.issuer,
            expires=now.after(given.lives * NANOSECONDS),
            revocation=self._credentials.revocation(agent_id),
            renews=asked.role is Role.AGENT,
        )

    def _revoke_agent(
        self, given: inputs.RevokeAgent, registry: Queries, _: object, now: Instant
    ) -> tuple[None, Facts]:
        before = registry.present(given.agent_id, now=now)
        group = None if before is None else before[0]
        return None, self._credentials.revoke_agent(
            given.agent_id, group=group, now=now, by=given.by
        )

    def _check_still_good(self, principal: Principal, now: Instant) -> None:
        """Refuse whose credential was taken away since it was looked at.

        Raises CredentialRevoked and TokenExpired. Whether an agent's own has expired was judged
        where it was shown: it may be good for being renewed.
        """
        if principal.role is Role.AGENT:
            assert principal.agent_id is not None
            if principal.revocation < self._credentials.revocation(principal.agent_id):
                raise CredentialRevoked
        elif is_outside(principal.token_id):
            if self._credentials.is_revoked_outside(principal.token_id):
                raise CredentialRevoked
        elif _is_of_store(principal):
            self._token(principal.token_id, now)

    def _token(self, token_id: str, now: Instant) -> None:
        """Let a token pass that is good; raises CredentialRevoked and TokenExpired."""
        if is_outside(token_id):  # it stands in files, of which others know nothing
            if self._credentials.is_revoked_outside(token_id):
                raise CredentialRevoked
            return
        try:
            self._credentials.token(token_id).check(now)
        except NotFound:  # it was forgotten meanwhile
            raise CredentialRevoked from None

    # Tokens and sessions

    def _create_token(
        self, given: inputs.CreateToken, _: object, __: object, now: Instant
    ) -> tuple[str, Facts]:
        facts = self._credentials.create_token(
            given.token_id,
            given.digest,
            given.role,
            now=now,
            groups=given.groups,
            expires_in=given.expires_in,
            note=given.note,
            uses=given.uses,
            reclaim=given.reclaim,
            by=given.by,
        )
        return given.token_id, facts

    def _revoke_token(
        self, given: inputs.RevokeToken, _: object, __: object, now: Instant
    ) -> tuple[None, Facts]:
        return None, self._credentials.revoke_token(given.token_id, now=now, by=given.by)

    def _open_session(
        self, given: inputs.OpenSession, _: object, __: object, now: Instant
    ) -> tuple[None, Facts]:
        return None, self._session(given.session_id, given.digest, given.token_id, given.lasts, now)

    def _make_code(
        self, given: inputs.MakeCode, _: object, __: object, now: Instant
    ) -> tuple[None, Facts]:
        self._codes.keep(given.digest, given.token_id, now)
        return None, ()

    def _spend_code(
        self, given: inputs.SpendCode, _: object, __: object, now: Instant
    ) -> tuple[None, Facts]:
        token_id = self._codes.spend(given.code, now)
        return None, self._session(given.session_id, given.digest, token_id, given.lasts, now)

    def _session(
        self, session_id: str, digest: str, token_id: str, lasts: int, now: Instant
    ) -> Facts:
        self._token(token_id, now)
        return self._credentials.open_session(session_id, digest, token_id, lasts=lasts, now=now)

    def _close_session(
        self, given: inputs.CloseSession, _: object, __: object, now: Instant
    ) -> tuple[None, Facts]:
        return None, self._credentials.close_session(given.session_id, now=now)

    # Keys

    def _publish_keys(
        self, given: inputs.PublishKeys, _: object, members: Members | None, now: Instant
    ) -> tuple[None, Facts]:
        known = self._credentials.key_set
        before = None if known is None else KeySet.read(known.line.encode(), root=None)
        root = None if before is None else before.root_id
        keys = KeySet.read(given.line.encode(), root=root)
        if before is not None and keys.registry != before.registry:
            raise ValueError("the key set is another registry's")
        if before is not None and keys.version <= before.version:
            raise ValueError("the keys have been changed meanwhile; look at them, and ask again")
        if members is not None:
            check_held(keys, members)
        return None, self._credentials.publish(keys.version, given.line.encode(), now=now)


def check_held(keys: KeySet, members: Members, *, but: Iterable[str] = ()) -> None:
    """Raise KeysNotHeld if a node that takes part could not sign by a key set.

    ``but`` are the boots of nodes that need not be looked at.
    """
    active = {key.key_id: use for use in Use if (key := keys.active(use)) is not None}
    lacking = [
        member.name
        for member in members.live.values()
        if member.boot not in but and not active.keys() <= set(member.holds)
    ]
    if lacking:
        raise KeysNotHeld(
            f"not every node holds the key that would sign, {', '.join(sorted(lacking))} does not: "
            "announce a key first, and give the file of keys to each node"
        )


def check_same_keys(registry: str | None, root: str | None, members: Members) -> None:
    """Raise CannotJoin if nodes that take part have the keys of another registry."""
    for member in members.live.values():
        if None not in (root, member.root) and (registry, root) != (member.registry, member.root):
            raise CannotJoin(
                f"the keys are those of the registry {registry} with the root {root}, and node "
                f"{member.name} has those of {member.registry} with {member.root}"
            )


def _is_of_store(principal: Principal) -> bool:
    return not principal.of_host and not is_outside(principal.token_id)


def _is_another_process(given: inputs.Enrol, registry: Queries, now: Instant) -> bool:
    """Tell whether an agent registers while another process holds the stream of its id.

    One that was started anew has lost its stream with its former process.
    """
    known = registry.agent(given.registration.agent_id, now=now)
    return known.connected and known.instance_id != given.registration.instance_id


def _conflict(given: inputs.Enrol, now: Instant, *, refused: bool) -> CredentialConflict:
    return CredentialConflict(
        at=now,
        agent_id=given.registration.agent_id,
        group=given.registration.group,
        refused=refused,
        by=given.principal.issuer,
    )
