"""Who asks, and what they may: roles and their permissions as one table, and scopes.

A permission is what an address needs; a role is what a token has. An agent's permissions hold for
itself only. A scope is a list of globs over groups: what is outside does not exist for its
holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from attrs import field, frozen

from ..core import rules
from ..core.instant import Instant
from ..errors import InsufficientRole, NotYourAgent


class Role(StrEnum):
    """What a credential is for."""

    ENROL = "enrol"
    AGENT = "agent"
    METRICS = "metrics"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Reclaim(StrEnum):
    """Which agents that are known already an enrolment token may register."""

    ALWAYS = "always"
    """Any in its scope: a pod that was started anew takes its id over."""
    LAPSED = "lapsed"
    """Those that are STALE or DEAD."""


class Permission(StrEnum):
    """What an address needs."""

    REGISTER = "register"
    """To register an agent."""
    ACT = "act"
    """To be an agent: heartbeats, its stream, acknowledgements, renewing its token."""
    READ = "read"
    """To see agents, groups, commands, deliveries and the feed."""
    METRICS = "metrics"
    """To see what is counted, of all groups."""
    COMMAND = "command"
    """To issue commands."""
    REMOVE = "remove"
    """To delete agents."""
    REVOKE = "revoke"
    """To take an agent's credentials away."""
    TOKENS = "tokens"
    """To make, list and revoke tokens."""
    KEYS = "keys"
    """To rotate and revoke keys."""


_VIEWER: Final = frozenset({Permission.READ, Permission.METRICS})
_OPERATOR: Final = _VIEWER | {Permission.COMMAND, Permission.REMOVE, Permission.REVOKE}

GRANTS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ENROL: frozenset({Permission.REGISTER}),
    Role.AGENT: frozenset(),
    Role.METRICS: frozenset({Permission.METRICS}),
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _OPERATOR | {Permission.TOKENS, Permission.KEYS},
}
"""What each role may do, in its scope."""

OWN: Final = frozenset({Permission.REGISTER, Permission.ACT, Permission.READ, Permission.REMOVE})
"""What an agent may do, to itself."""

CREATABLE: Final = frozenset(Role) - {Role.AGENT}
"""Roles that a token can be made for. An agent is given its token when it registers."""

LONGEST_GLOB: Final = rules.MAX_IDENTIFIER
MOST_GLOBS: Final = 100


def glob(value: Any) -> str:
    """Accept a glob over groups: letters of a group's name, and ``*`` for any number of them."""
    text = rules.text(value)
    if not 1 <= len(text) <= LONGEST_GLOB:
        raise ValueError(f"expected 1 to {LONGEST_GLOB} characters, got {len(text)}")
    if not rules.IDENTIFIER.fullmatch("x" + text.replace("*", "")[: LONGEST_GLOB - 1]):
        raise ValueError("expected letters, digits, . _ : @ - and * only")
    return text


def _globs(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError("groups: expected an array of globs")
    globs = tuple(map(glob, value))
    if not 1 <= len(globs) <= MOST_GLOBS:
        raise ValueError(f"groups: expected 1 to {MOST_GLOBS} globs, got {len(globs)}")
    return ("*",) if any(not one.strip("*") for one in globs) else globs


@frozen
class Scope:
    """Which groups exist for somebody. Raises ValueError if a glob breaks its rule."""

    globs: tuple[str, ...] = field(default=("*",), converter=_globs)

    @property
    def is_everything(self) -> bool:
        """Whether every group is inside, those to come included."""
        return self.globs == ("*",)

    def covers(self, group: str) -> bool:
        """Tell whether a group is inside."""
        return self.globs == ("*",) or _covers(self.globs, group)

    def contains(self, other: Scope) -> bool:
        """Tell whether every group of another scope is inside, by a look at the globs alone.

        What matches a glob in which stars are taken for letters does so whatever they stand for.
        """
        return all(map(self.covers, other.globs))


EVERYTHING: Final = Scope()


@lru_cache(maxsize=10_000)
def _covers(globs: tuple[str, ...], group: str) -> bool:
    return any(matches(one, group) for one in globs)


def matches(glob: str, group: str) -> bool:
    """Tell whether a group is one that a glob means; upper and lower case differ.

    It takes time in proportion to both lengths. A regular expression made of a glob with many
    stars can take as good as for ever.
    """
    first, *rest = glob.split("*")
    if not rest:
        return glob == group
    *middle, last = rest
    if len(group) < len(first) + len(last) or not group.startswith(first):
        return False
    at, end = len(first), len(group) - len(last)
    for part in middle:
        at = group.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return group.endswith(last)


@frozen(kw_only=True)
class Principal:
    """Somebody whose credential is good."""

    token_id: str
    role: Role
    scope: Scope = EVERYTHING
    agent_id: str | None = None
    """The agent that this is; for the role ``enrol``, the only one that it may register, if a
    certificate names it. None elsewhere."""
    session_id: str | None = None
    """The browser session that stands on the token; None if the token itself was shown."""
    expires: Instant | None = None
    """When it ends, by the steady clock; None if it does not."""
    reclaim: Reclaim = Reclaim.ALWAYS
    """An enrolment token's: which ids it may take over."""
    revocation: int = 0
    """An agent's: its revocation counter when the credential was made."""
    of_host: bool = False
    """Whether the application that embeds the registry vouches for it."""
    key_id: str = ""
    """An agent's: the key that has signed its token; empty if a certificate stands for one."""

    @property
    def issuer(self) -> str:
        """What a command says of who issued it: the session's id if there is one."""
        return self.session_id or self.token_id

    def require(
        self, permission: Permission, *, agent_id: str | None = None, all_groups: bool = False
    ) -> None:
        """Let this pass if it may do that, with the agent of an address that names one.

        ``all_groups`` is for what concerns all of them at once: a command to all agents, the
        nodes, and ``/metrics``, for which there is a role. Raises NotYourAgent if an agent asks
        for another, whether or not that exists, and InsufficientRole.
        """
        if self.role is Role.AGENT:
            if agent_id is not None and agent_id != self.agent_id:
                raise NotYourAgent(agent_id)
            if agent_id is None or permission not in OWN:
                raise InsufficientRole(self.role, permission)
        elif permission not in GRANTS[self.role]:
            raise InsufficientRole(self.role, permission)
        elif all_groups and not (self.scope.is_everything or self.role is Role.METRICS):
            raise InsufficientRole(self.role, permission, scope=True)

    def may_hand_on(self, role: Role, scope: Scope) -> bool:
        """Tell whether a token of that role and scope shows no more than this may see.

        The role ``metrics`` is asked for no scope: what is counted is counted of all groups.
        """
        return self.scope.is_everything or (role is not Role.METRICS and self.scope.contains(scope))
