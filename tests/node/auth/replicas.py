"""Replicas with credentials beside them, and what is asked of these, drawn by a seed.

Run as a program it prints the digests of replicas that were given many entries.
"""

from __future__ import annotations

import random
import sys
from functools import cache
from typing import Any, Final

import orjson

from cameleer_registry.core import inputs as of_core
from cameleer_registry.core.copies import Copy, copy_of, to_replica
from cameleer_registry.core.digest import digest_of_replica
from cameleer_registry.core.inputs import Entry, Input
from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.core.log_time import LogTime
from cameleer_registry.core.members import Members
from cameleer_registry.core.model import CommandType, Order, Target
from cameleer_registry.core.registry import Registry
from cameleer_registry.core.replica import Applied, Replica
from cameleer_registry.core.slices import at_once
from cameleer_registry.node.auth.authority import Authority
from cameleer_registry.node.auth.holding import Holding
from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.node.auth.replicated import Replicated
from cameleer_registry.node.auth.signing import Signer
from cameleer_registry.security import inputs
from cameleer_registry.security.desk import Desk
from cameleer_registry.security.facts import KeySetPublished
from cameleer_registry.security.inputs import Given, encode, to_entry
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import KeySet, Use
from cameleer_registry.security.principals import Principal, Reclaim, Role
from cameleer_registry.security.tokens import id_of_outside

from ...core.conversations import START, limits, registration
from ...security.support import NOON, REGISTRY, key

AGENTS: Final = [f"agent-{number}" for number in range(5)]
TOKENS: Final = [*(f"token-{number}" for number in range(5)), id_of_outside("file")]
SESSIONS: Final = [f"session-{number}" for number in range(6)]
CODES: Final = [f"code-{number}" for number in range(3)]


@cache
def ring() -> KeyRing:
    """Return keys that are the same in each process."""
    root, token, command = key(1), key(2), key(3)
    public = {Use.TOKEN: token.public, Use.COMMAND: command.public}
    keys = KeySet.first(REGISTRY, root.public, public, at=NOON)
    private = {each.key_id: each for each in (token, command)}
    return KeyRing(line=keys.signed(root), root_id=root.key_id, root=root, private=private)


class Follower:
    """One node, as far as its registry and its credentials go."""

    def __init__(self, copied: bytes | None = None) -> None:
        self.authority = Authority(Mode.REQUIRED)
        self.authority.holding = Holding(ring())
        self.signer = Signer()
        desk = Desk(self.authority.credentials, self.authority.codes)
        self.beside = Replicated(self.authority, self.signer, desk)
        if copied is None:
            registry = Registry(limits(max_agents=4), in_order=True)
            self.replica = Replica(registry, Members(), LogTime(START), beside=self.beside)
        else:
            about, rows, beside = orjson.loads(copied)
            at_once(self.beside.start_over(beside))
            copy = Copy(about=about, rows=[tuple(row) for row in rows])
            self.replica = to_replica(copy, beside=self.beside)

    def copy(self) -> bytes:
        """Return what another one can begin with."""
        copy = copy_of(self.replica)
        return orjson.dumps([copy.about, copy.rows, self.beside.value()])

    def apply(self, position: int, stamp: int, entry: Entry) -> Applied:
        """Apply an entry, as a node does."""
        applied = self.replica.apply(position, stamp, entry)
        if any(isinstance(fact, KeySetPublished) for fact in applied.facts):
            self.beside.use_published()
        return applied

    @property
    def digest(self) -> str:
        return digest_of_replica(self.replica)


class Log:
    """A log in memory, and those who follow it."""

    def __init__(self, *followers: Follower) -> None:
        self.followers = list(followers)
        self.position, self.stamp = 0, START.wall
        self._numbers: dict[str, int] = {}

    def put(self, boot: str, *given: Input, after: float = 0.0) -> Applied:
        """Append an entry so many seconds after the last one; return what has come of it."""
        no = self._numbers[boot] = self._numbers.get(boot, 0) + 1
        value = [of_core.FORMAT, boot, no, [encode(each) for each in given]]
        entry = to_entry(orjson.loads(orjson.dumps(value)))
        self.position += 1
        self.stamp += round(after * NANOSECONDS)
        first, *_ = [each.apply(self.position, self.stamp, entry) for each in self.followers]
        return first

    def join(self, boot: str, **more: Any) -> Applied:
        """Have a node take part, with keys unless told otherwise."""
        of = {"registry": REGISTRY, "root": ring().root_id, "holds": tuple(sorted(ring().private))}
        return self.put(boot, of_core.Join(name=boot, version="1", **(of | more)))


def drawn(draw: random.Random) -> Input:
    """Draw something that may be asked."""
    agent_id, token_id = draw.choice(AGENTS), draw.choice(TOKENS)
    session_id, code = draw.choice(SESSIONS), draw.choice(CODES)
    unique = f"{draw.getrandbits(64):x}"
    given = Given(token_id=f"jwt-{unique}", lives=draw.randint(1, 60))
    own = Principal(
        token_id="jwt", role=Role.AGENT, agent_id=agent_id, revocation=draw.choice([0, 10**15])
    )
    reclaim = draw.choice(list(Reclaim))
    enrolling = Principal(token_id=token_id, role=Role.ENROL, reclaim=reclaim)
    kinds: list[Input] = [
        inputs.Enrol(
            registration=registration(agent_id, draw.choice("gh")),
            principal=draw.choice([own, enrolling, enrolling]),
            given=given,
        ),
        inputs.Renew(agent_id=agent_id, principal=own, given=given),
        inputs.CreateToken(
            token_id=token_id,
            digest=f"digest-{token_id}",
            role=Role.ENROL,
            uses=draw.choice([None, 1, 2]),
            expires_in=draw.choice([None, NANOSECONDS * 40]),
        ),
        inputs.RevokeToken(token_id=token_id),
        inputs.RevokeAgent(agent_id=agent_id),
        inputs.OpenSession(
            session_id=session_id, digest=f"d-{session_id}", token_id=token_id, lasts=NANOSECONDS
        ),
        inputs.MakeCode(digest=code, token_id=token_id),
        inputs.SpendCode(code=code, session_id=session_id, digest=f"d-{session_id}", lasts=99),
        inputs.CloseSession(session_id=session_id),
        inputs.PublishKeys(line=ring().line.decode()),
        of_core.Issue(
            command_id=unique, order=Order(type=CommandType.REPLAY), target=Target.all(), size=3
        ),
    ]
    return draw.choice(kinds)


def run(seed: int, count: int, *followers: Follower) -> Log:
    """Give followers so many entries that a seed draws."""
    log, draw = Log(*followers), random.Random(seed)
    log.join("a")
    for _ in range(count):
        step(log, draw)
    return log


def step(log: Log, draw: random.Random) -> None:
    """Give those who follow a log one entry more."""
    given = [drawn(draw) for _ in range(draw.randint(1, 4))]
    log.put("a", *given, after=draw.choice([0, 0, 0.5, 4]))


if __name__ == "__main__":
    for number in range(3):
        print(run(number, int(sys.argv[1]), Follower()).followers[0].digest)
