"""What is asked of the credentials of a node: enrolling, tokens, sessions and keys.

What comes of each is decided by the :mod:`~cameleer_registry.security.desk`: at once if the node
is alone, and in the order of the log if many share the registry. Secrets are made, and shown,
here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ...core.events import CloseReason, Event
from ...core.inputs import Input
from ...core.instant import NANOSECONDS
from ...core.model import Registration
from ...core.unchanging import unchanging
from ...errors import (
    CredentialRevoked,
    InsufficientRole,
    InvalidToken,
    NotFound,
    NotInContact,
    OutcomeUnknown,
    SettingsError,
    StorageUnavailable,
)
from ...logs import get_logger
from ...security import codes, inputs, tokens
from ...security.desk import Admitted, Desk
from ...security.facts import (
    AgentCredentialsRevoked,
    AllCredentialsRevoked,
    AuthBegan,
    CredentialIssued,
    KeySetPublished,
    SessionClosed,
    TokenRevoked,
)
from ...security.inputs import Given
from ...security.jwt import Credential
from ...security.keyring import KeyRing
from ...security.principals import Principal, Reclaim, Role
from .authority import SESSION_SECONDS, MadeToken
from .mode import Mode

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

REVOCATIONS: Final[tuple[type[Event], ...]] = (
    TokenRevoked,
    AgentCredentialsRevoked,
    AllCredentialsRevoked,
    SessionClosed,
)
"""After these somebody's streams may have nothing to stand on."""

NOTHING_OF_IT: Final = (NotInContact, OutcomeUnknown, StorageUnavailable)
"""Refusals that say nothing of the token with which somebody signs in, so that none counts."""


@unchanging
class Enrolled:
    """An agent that has registered."""

    resumed: bool
    credential: Credential | None
    """Its token; None if there are no keys to make one with."""


class Office:
    """Where one node gives out credentials, and takes them away."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.desk = Desk(node.authority.credentials, node.authority.codes)

    # Agents

    async def enrol(self, registration: Registration, principal: Principal) -> Enrolled:
        """Enter an agent for somebody, or resume it, and give it a token of its own.

        Nothing comes between the look at what is there and the registration. Raises what
        :func:`~cameleer_registry.security.enrolment.check_registration` does, TokenExpired if the
        token that was shown has registered as many new agents as it may, and AtCapacity.
        """
        given = self._draw()
        admitted: Admitted = await self.do(
            inputs.Enrol(registration=registration, principal=principal, given=given)
        )
        credential = self._credential(registration.agent_id, given, admitted)
        return Enrolled(admitted.resumed, credential)

    async def renew(self, agent_id: str, principal: Principal) -> Credential:
        """Give an agent another token; raises AgentNotRegistered, and NotFound without keys.

        Its open stream stands on that from now on, at whichever node it is.
        """
        if (given := self._draw()) is None:
            raise NotFound("this registry has no keys with which to make tokens")
        wish = inputs.Renew(agent_id=agent_id, principal=principal, given=given)
        admitted: Admitted = await self._do_unkept(wish)
        credential = self._credential(agent_id, given, admitted)
        assert credential is not None
        return credential

    def _draw(self) -> Given | None:
        authority = self._node.authority
        lives = authority.draw_life()
        return None if lives is None else Given(token_id=authority.new_id(), lives=lives)

    def _credential(
        self, agent_id: str, given: Given | None, admitted: Admitted
    ) -> Credential | None:
        if given is None:
            return None
        return self._node.authority.credential(
            agent_id, admitted.group, given, revocation=admitted.revocation, now=admitted.at
        )

    def extend(self, fact: CredentialIssued) -> None:
        """Have the stream of an agent that has renewed its token stand on the new one."""
        node = self._node
        if not fact.renews or (stream := node.streams.of(fact.agent_id)) is None:
            return
        before = stream.principal
        if before is not None and before.role is Role.AGENT:
            node.standing.opened(stream, node.authority.verifier.principal_of(fact))

    async def revoke_agent(self, agent_id: str, *, by: str | None = None) -> None:
        """Have every credential of an agent be void, and its stream end; it need not be known."""
        await self.do(inputs.RevokeAgent(agent_id=agent_id, by=by))

    def end_stream_of_another_group(self, agent_id: str, group: str) -> None:
        """End the stream of whoever was the agent before it came to be in another group."""
        if (stream := self._node.streams.of(agent_id)) is None:
            return
        principal = stream.principal
        if principal is not None and not principal.scope.covers(group):
            stream.lose(CloseReason.CREDENTIAL_OVER)

    # Tokens

    async def create_token(
        self,
        role: Role,
        *,
        groups: Iterable[str] = ("*",),
        expires_in_ms: int | None = None,
        note: str | None = None,
        uses: int | None = None,
        reclaim: Reclaim = Reclaim.ALWAYS,
        by: str | None = None,
    ) -> MadeToken:
        """Make a token; raises ValueError if something about it makes no sense."""
        made = self._node.authority.draw_token(role)
        await self.do(
            inputs.CreateToken(
                token_id=made.token_id,
                digest=made.token.digest,
                role=role,
                groups=tuple(groups),
                expires_in=None if expires_in_ms is None else expires_in_ms * (NANOSECONDS // 1000),
                note=note,
                uses=uses,
                reclaim=reclaim,
                by=by,
            )
        )
        return made

    async def revoke_token(self, token_id: str, *, by: str | None = None) -> None:
        """Have a token be void, and what stands on it end; raises NotFound."""
        self._node.authority.credentials.token(token_id)
        await self.do(inputs.RevokeToken(token_id=token_id, by=by))

    # Sessions

    async def sign_in(self, token: str, source: str) -> str:
        """Open a session on a token; return its secret.

        Raises TooManyAttempts if too many from that source have failed of late, what
        :meth:`Verifier.of_token` does, and InsufficientRole for an enrolment token. An agent's
        token opens none, either.
        """
        authority, now = self._node.authority, self._node.clock.now()
        authority.attempts.check(source, now)
        try:
            principal = await self._owner_of(token)
            if principal.role is Role.AGENT:  # it would outlive its renewal and its revocation
                raise InvalidToken("an agent's token cannot sign in")
            if principal.role is Role.ENROL:  # it is there for agents: it stands in their pods
                raise InsufficientRole(principal.role, "sign-in")
            secret = secrets.token_urlsafe(32)
            await self.do(
                inputs.OpenSession(
                    session_id=authority.new_id(),
                    digest=tokens.digest_of(secret),
                    token_id=principal.token_id,
                    lasts=SESSION_SECONDS * NANOSECONDS,
                )
            )
        except NOTHING_OF_IT:
            raise
        except Exception:
            authority.attempts.failed(source, now)
            raise
        return secret

    async def _owner_of(self, token: str) -> Principal:
        node = self._node
        try:
            return node.authority.verifier.of_token(token, now=node.clock.now())
        except InvalidToken:
            if node.shared is None or not tokens.may_be_ours(token):
                raise
            await node.shared.look()  # it may have been made elsewhere, a moment ago
            return node.authority.verifier.of_token(token, now=node.clock.now())

    async def sign_in_by_code(self, code: str, source: str) -> str:
        """Open a session by a one-time code; return its secret.

        Raises TooManyAttempts, and InvalidToken, TokenExpired or CredentialRevoked, of the code or
        of the token that it stands for.
        """
        authority, now = self._node.authority, self._node.clock.now()
        authority.attempts.check(source, now)
        secret = secrets.token_urlsafe(32)
        try:
            await self.do(
                inputs.SpendCode(
                    code=codes.digest_of(code),
                    session_id=authority.new_id(),
                    digest=tokens.digest_of(secret),
                    lasts=SESSION_SECONDS * NANOSECONDS,
                )
            )
        except NOTHING_OF_IT:
            raise
        except NotFound:  # a token that was forgotten meanwhile
            authority.attempts.failed(source, now)
            raise CredentialRevoked from None
        except Exception:
            authority.attempts.failed(source, now)
            raise
        return secret

    async def make_code(self, principal: Principal) -> str:
        """Return what signs a browser in with somebody's token, once, at whichever node."""
        code = codes.generate()
        await self._do_unkept(
            inputs.MakeCode(digest=codes.digest_of(code), token_id=principal.token_id)
        )
        return code

    async def sign_out(self, secret: str) -> None:
        """End a session; nothing happens if there is none."""
        node = self._node
        session = node.authority.session_of(secret)
        if session is None and node.shared is not None:
            await node.shared.look()
            session = node.authority.session_of(secret)
        if session is not None:
            await self.do(inputs.CloseSession(session_id=session.session_id))

    # Keys

    async def publish(self, ring: KeyRing) -> None:
        """Sign with other keys from now on, and have everybody told.

        Raises ValueError if that is not possible any more, or not at every node.
        """
        if self._node.shared is None:
            self._node.journal.check()
            self._node.authority.use(ring)
        await self.do(inputs.PublishKeys(line=ring.line.decode()))

    def published(self, fact: KeySetPublished) -> None:
        """Go by a key set that was published."""
        node = self._node
        if node.shared is not None:
            try:
                node.shared.beside.use_published()
            except SettingsError as error:
                node.shared.lose(str(error))
        elif node.authority.ring is not None:
            node.signer.use(node.authority.ring)
        node.standing.revoked()

    def began(self, _: AuthBegan) -> None:
        """Take part no more if credentials are required from now on, and are not looked at here."""
        node = self._node
        authority = node.authority
        if node.shared is not None and authority.mode is Mode.OFF and authority.by_default:
            node.shared.lose(
                "credentials are required from now on: start this node again with the keys of the "
                "others"
            )

    # Deciding

    async def do(self, given: Input) -> Any:
        """Have something decided, and wait until that is durable."""
        node = self._node
        if node.shared is not None:
            return await node.shared.submit(given)
        node.journal.check()
        value = self._decide(given)
        await node.kept()
        return value

    async def _do_unkept(self, given: Input) -> Any:
        """Have something decided of which a registry alone keeps nothing."""
        shared = self._node.shared
        return self._decide(given) if shared is None else await shared.submit(given)

    def _decide(self, given: Input) -> Any:
        node = self._node
        value, facts = self.desk.decide(given, node.registry, None, node.clock.now())
        node.carry_out(facts)
        if isinstance(value, Exception):
            raise value
        return value
