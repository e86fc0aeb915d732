"""What an agent believes: each reason for which it does not, and a man in the middle."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from attrs import define, evolve, field

from cameleer_registry.client.trust import (
    ASK_AGAIN,
    FRESH,
    Believed,
    Distrusted,
    Pin,
    SeenBefore,
    Trust,
)
from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.security import ed25519, lines, tokens
from cameleer_registry.security.ed25519 import SigningKey
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import KeySet, Use
from cameleer_registry.security.lines import Kind
from cameleer_registry.security.tokens import TokenKind

from ..security.support import NOON, REGISTRY, key, ring

AGENT, GROUP = "a-1", "g"
OTHER_REGISTRY = "00000000-0000-4000-8000-000000000000"


def written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@define
class World:
    """An agent, the keys of its server, and the time at both."""

    pin: Pin = field(factory=lambda: Pin(root=ring().root_id))
    ring: KeyRing = field(factory=ring)
    steady: int = 1_000 * NANOSECONDS
    orders: int = 0
    trust: Trust = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.trust = self.started(self.pin)

    def started(self, pin: Pin) -> Trust:
        return Trust(agent_id=AGENT, group=GROUP, pin=pin, steady=lambda: self.steady)

    @property
    def server_time(self) -> datetime:
        return NOON + timedelta(microseconds=self.steady // 1000)

    def passes(self, seconds: float) -> None:
        self.steady += round(seconds * NANOSECONDS)

    def signed(self, kind: Kind, by: SigningKey | None = None, **members: Any) -> bytes:
        key = by or self.ring.signing(Use.COMMAND)
        assert key is not None
        return lines.sign(members, kind, key)

    def answer(self, by: SigningKey | None = None, **changes: Any) -> bytes:
        """Return the answer to the registration that the agent has begun."""
        members = {
            "agentId": AGENT,
            "status": "LIVE",
            "challenge": self.trust._challenge[0] if self.trust._challenge else None,
            "serverTime": written(self.server_time),
            "registry": self.ring.registry,
            "keysVersion": self.ring.keys.version,
        }
        return self.signed(Kind.REGISTRATION, by, **{**members, **changes})

    def register(self) -> None:
        self.trust.challenge()
        self.trust.welcomed(self.answer())

    def command(self, by: SigningKey | None = None, **changes: Any) -> bytes:
        self.orders += 1
        members = {
            "commandId": f"c-{self.orders}",
            "type": "config-update",
            "payload": {"revision": 7},
            "createdAt": written(self.server_time),
            "expiresAt": written(self.server_time + timedelta(minutes=1)),
            "target": {"level": "agent", "agentId": AGENT},
            "order": self.orders,
            "registry": self.ring.registry,
        }
        return self.signed(Kind.COMMAND, by, **{**members, **changes})

    def refuses(self, line: bytes) -> str:
        with pytest.raises(Distrusted) as refused:
            self.trust.command(line)
        return str(refused.value)


@pytest.fixture
def world() -> World:
    """An agent that has registered with a server that it trusts."""
    world = World()
    world.trust.learn(world.ring.line)
    world.register()
    return world


# What is believed


@pytest.mark.parametrize(
    "target",
    [
        {"level": "agent", "agentId": AGENT},
        {"level": "group", "group": GROUP},
        {"level": "all"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["config-update", "deep-trace", "replay", "one-of-tomorrow"])
def test_a_genuine_command_is_believed(world: World, target: dict[str, str], kind: str) -> None:
    """Its message is the JSON that was signed, and all that is gone by."""
    line = world.command(target=target, type=kind)
    believed = world.trust.command(line)
    assert Believed(message=lines.split(line).message, order=1) == believed
    assert "c-1" == orjson.loads(believed.message)["commandId"]


def test_the_group_is_the_one_that_is_declared_now(world: World) -> None:
    """Which may change while the agent runs."""
    world.trust.group = "h"
    assert "not meant for this agent" == world.refuses(
        world.command(target={"level": "group", "group": GROUP})
    )
    world.trust.command(world.command(target={"level": "group", "group": "h"}))


def test_without_a_root_everything_is_believed_as_it_comes() -> None:
    """As before there were keys; and no key set is asked for."""
    world = World(pin=Pin())
    world.trust.challenge()
    world.trust.welcomed(b'{"agentId":"a-1"}')
    assert Believed(message=b"anything") == world.trust.command(b"anything")
    assert not world.trust.wants_keys()
    assert not world.trust.is_pinned


# What is refused


def test_nothing_unsigned_is_believed(world: World) -> None:
    """Once there is a root: who strips signatures is as good as who has none."""
    line = world.command()
    message = lines.split(line).message
    for other in (message, line[:-3] + b'"}', b"{}", b"", b"no JSON", line + b"\n"):
        assert world.refuses(other).startswith("not signed")


def test_no_byte_may_be_another(world: World) -> None:
    """Of the command, or of the signature."""
    line = world.command(type="deep-trace")
    assert "the signature is wrong" == world.refuses(line.replace(b'"revision":7', b'"revision":8'))
    for at in range(0, len(line), 7):
        assert world.refuses(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :])
    world.trust.command(line)


def test_a_key_that_is_not_in_the_set_is_unknown(world: World) -> None:
    """The set is wanted anew, but not more than once a minute, however many such lines come."""
    line = world.command(by=key(9))
    world.trust.asking()
    assert "signed by an unknown key" == world.refuses(line)
    assert not world.trust.wants_keys()
    world.steady += ASK_AGAIN
    assert world.trust.wants_keys()
    world.trust.asking()
    world.trust.learn(world.ring.line)
    assert not world.trust.wants_keys()
    assert "signed by an unknown key" == world.refuses(line)


def test_a_revoked_key_is_not_believed(world: World) -> None:
    """From the moment on in which the agent sees the set; and its heir is."""
    line = world.command()
    former = world.ring.signing(Use.COMMAND)
    assert former is not None
    world.ring = world.ring.revoked(former.key_id, at=NOON)
    world.trust.learn(world.ring.line)
    assert "signed by a revoked key" == world.refuses(line)
    world.trust.command(world.command())


def test_rotation_needs_no_look_at_the_set(world: World) -> None:
    """An agent that has seen the next key believes it when it is active."""
    world.ring = world.ring.announced(Use.COMMAND, at=NOON)
    world.trust.learn(world.ring.line)
    before = world.command()
    world.ring = world.ring.activated(Use.COMMAND, at=NOON)
    world.trust.command(before)
    world.trust.command(world.command())
    world.trust.learn(world.ring.line)
    world.trust.command(world.command())


def test_a_token_key_signs_no_commands(world: World) -> None:
    """Nor does the root."""
    token = world.ring.signing(Use.TOKEN)
    assert "signed by a key that is for tokens, not for commands" == world.refuses(
        world.command(by=token)
    )
    assert "signed by an unknown key" == world.refuses(world.command(by=world.ring.root))


def test_what_was_signed_as_something_else_is_no_command(world: World) -> None:
    """Whatever else it says."""
    members = orjson.loads(lines.split(world.command()).message)
    line = world.signed(Kind.REGISTRATION, **members)
    assert "not signed as command/1" == world.refuses(line)


def test_a_command_of_another_registry_is_refused(world: World) -> None:
    """Which has the same keys, as a copy of this one has."""
    assert "of another registry" == world.refuses(world.command(registry=OTHER_REGISTRY))
    assert "of another registry" == world.refuses(world.command(registry=None))


@pytest.mark.parametrize(
    "target",
    [
        {"level": "agent", "agentId": "a-2"},
        {"level": "group", "group": "h"},
        {"level": "group", "group": AGENT},
        {"level": "agent", "group": GROUP},
        {"level": "everybody"},
        {"agentId": AGENT},
        "all",
        None,
        [AGENT],
    ],
    ids=str,
)
def test_a_command_for_others_is_refused(world: World, target: Any) -> None:
    """Somebody has sent it here who has heard it there."""
    assert "not meant for this agent" == world.refuses(world.command(target=target))


def test_a_command_expires_by_the_servers_time(world: World) -> None:
    """Of which the agent's own time of day is no part: the moment itself is too late."""
    line = world.command()
    world.passes(60)
    assert "expired" == world.refuses(line)
    line = world.command()
    world.passes(59.999)
    world.trust.command(line)


def test_an_answer_that_is_held_up_gains_nothing(world: World) -> None:
    """Time is counted from the nonce: a command expires sooner then, and not later."""
    world.trust.challenge()
    answer = world.answer()
    line = world.command()
    world.passes(30)
    world.trust.welcomed(answer)
    world.passes(29.999)
    world.trust.command(world.command())
    world.passes(0.001)
    assert "expired" == world.refuses(line)


def test_without_the_servers_time_nothing_is_believed() -> None:
    """It cannot be told what has expired."""
    world = World()
    world.trust.learn(world.ring.line)
    assert "the server's time is not known" == world.refuses(world.command())
    world.register()
    world.trust.command(world.command())


def test_a_command_is_believed_once(world: World) -> None:
    """Whoever carries it out answers for it; what has expired is not remembered any more."""
    line = world.command(type="replay")
    world.trust.command(line)
    with pytest.raises(SeenBefore, match=r"^seen before$"):
        world.trust.command(line)
    world.passes(60)
    assert "expired" == world.refuses(line)
    world.trust.command(world.command())
    assert {"c-2"} == set(world.trust._seen)


def test_a_configuration_is_not_undone_by_an_older_one(world: World) -> None:
    """Of those that came before; other commands go by no order."""
    first, second, trace = world.command(), world.command(), world.command(type="deep-trace")
    fourth = world.command()
    world.trust.command(fourth)
    for line in (first, second):
        assert "older than the configuration that was taken last" == world.refuses(line)
    world.trust.command(trace)
    again = world.command(order=4)
    assert "older than the configuration that was taken last" == world.refuses(again)


def test_what_was_applied_is_kept_from_one_run_to_the_next(world: World) -> None:
    """What was taken and not applied is not: the next process may carry it out."""
    first, second = world.command(), world.command()
    applied = world.trust.command(first)
    world.trust.applied(applied)
    world.trust.command(second)
    assert 1 == world.trust.pin.order
    world.trust = world.started(world.trust.pin)
    world.trust.learn(world.ring.line)
    world.register()
    assert "older than the configuration that was taken last" == world.refuses(first)
    taken = world.trust.command(second)
    for done in (taken, applied):  # they may end in another order than they began in
        world.trust.applied(done)
    assert 2 == world.trust.pin.order


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"expiresAt": None}, "it does not say when"),
        ({"expiresAt": 5}, "it does not say when"),
        ({"expiresAt": "soon"}, "it does not say when"),
        ({"expiresAt": "2026-11-26T23:59:59.000"}, "it does not say when"),
        ({"commandId": None}, "it has no id or no order"),
        ({"order": None}, "it has no id or no order"),
        ({"order": "7"}, "it has no id or no order"),
        ({"order": True}, "it has no id or no order"),
        ({"order": 1.5}, "it has no id or no order"),
    ],
    ids=str,
)
def test_what_lacks_something_is_refused(world: World, changes: dict[str, Any], why: str) -> None:
    """Although it is signed."""
    assert why == world.refuses(world.command(**changes))


def test_a_refused_command_leaves_nothing(world: World) -> None:
    """Neither its id nor its order stands against another."""
    line = world.command(order=100, commandId="c-x", target={"level": "agent", "agentId": "a-2"})
    world.refuses(line)
    world.trust.command(world.command(commandId="c-x"))


@pytest.mark.parametrize(
    ("line", "command_id"),
    [
        (b'{"commandId":"c-7"}', "c-7"),
        (b'{"commandId":7}', None),
        (b"[]", None),
        (b"no JSON", None),
    ],
)
def test_a_refusal_can_be_answered_for(world: World, line: bytes, command_id: str | None) -> None:
    """Under the id that the line gives itself, if it gives one."""
    with pytest.raises(Distrusted) as refused:
        world.trust.command(line)
    assert command_id == refused.value.command_id


# The answer to a registration


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"challenge": "another"}, "not to this registration"),
        ({"challenge": None}, "not to this registration"),
        ({"agentId": "a-2"}, "of another agent"),
        ({"registry": OTHER_REGISTRY}, "of another registry"),
        ({"serverTime": None}, "it does not say when"),
        ({"by": key(9)}, "unknown key"),
        ({"by": ring().signing(Use.TOKEN)}, "for tokens"),
    ],
)
def test_an_answer_that_is_not_genuine_tells_no_time(changes: dict[str, Any], why: str) -> None:
    """So commands are not believed either; the genuine one that comes later is."""
    world = World()
    world.trust.learn(world.ring.line)
    world.trust.challenge()
    with pytest.raises(Distrusted, match=why):
        world.trust.welcomed(world.answer(**changes))
    assert "the server's time is not known" == world.refuses(world.command())
    world.trust.welcomed(world.answer())
    world.trust.command(world.command())


def test_an_answer_counts_once_and_for_the_last_nonce(world: World) -> None:
    """An old one that is played again would set the time back."""
    world.trust.challenge()
    earlier = world.answer()
    world.trust.challenge()
    with pytest.raises(Distrusted, match="not to this registration"):
        world.trust.welcomed(earlier)
    answer = world.answer()
    world.trust.welcomed(answer)
    with pytest.raises(Distrusted, match="not to this registration"):
        world.trust.welcomed(answer)


def test_an_unsigned_answer_is_not_believed(world: World) -> None:
    """``serverPublicKey: null`` is no way out of a pin."""
    world.trust.challenge()
    for answer in (b'{"agentId":"a-1","serverPublicKey":null}', world.command()):
        with pytest.raises(Distrusted, match="signed"):
            world.trust.welcomed(answer)


def test_nonces_are_new_each_time(world: World) -> None:
    """And long enough not to be met again."""
    assert 100 == len({world.trust.challenge() for _ in range(100)})
    assert len(world.trust.challenge()) >= 22


# Key sets


def test_a_set_is_wanted_at_first_and_each_hour(world: World) -> None:
    """And when an answer tells of a newer one."""
    fresh = World()
    assert fresh.trust.wants_keys()
    assert World(pin=Pin()).trust.wants_keys(offered=True)
    assert not world.trust.wants_keys()
    world.steady += FRESH - 1
    assert not world.trust.wants_keys()
    world.steady += 1
    assert world.trust.wants_keys()
    world.trust.asking()
    assert not world.trust.wants_keys()
    world.trust.learn(world.ring.line)
    world.steady += ASK_AGAIN
    assert not world.trust.wants_keys()
    world.trust.challenge()
    world.trust.welcomed(world.answer(keysVersion=world.ring.keys.version + 1))
    assert world.trust.wants_keys()


def test_the_first_set_is_believed_where_nothing_is_pinned() -> None:
    """And pinned, with its registry and version."""
    world = World(pin=Pin())
    world.trust.learn(world.ring.line)
    assert Pin(root=world.ring.root_id, registry=REGISTRY, version=1) == world.trust.pin
    assert world.trust.is_pinned
    assert world.refuses(b"{}").startswith("not signed")


def test_sets_do_not_go_back(world: World) -> None:
    """In this run and in the next; the same version again is no step back."""
    earlier = world.ring.line
    world.ring = world.ring.announced(Use.COMMAND, at=NOON)
    world.trust.learn(world.ring.line)
    for trust in (world.trust, world.started(world.trust.pin)):
        with pytest.raises(Distrusted, match="older than one that was seen"):
            trust.learn(earlier)
        trust.learn(world.ring.line)


def set_of(change: Callable[[KeySet], KeySet], root: SigningKey) -> bytes:
    return change(ring().keys).signed(root)


def test_a_set_that_is_not_the_roots_is_not_believed(world: World) -> None:
    """Nor one of another registry, of the same root; the one before goes on."""
    root = ring().root
    assert root is not None
    other = set_of(lambda keys: evolve(keys, registry=OTHER_REGISTRY, version=9), root)
    forged = set_of(lambda keys: evolve(keys, root=key(9).public, version=9), key(9))
    flipped = world.ring.line.replace(b'"version":1', b'"version":9')
    for line, why in (
        (forged, "not signed by the root key"),
        (other, "another registry"),
        (flipped, "signature is wrong"),
        (world.command(), "key set"),
        (b"{}", "not signed"),
    ):
        with pytest.raises(Distrusted, match=why):
            world.trust.learn(line)
    world.trust.command(world.command())


# Pins


ROOT = key(1)
ENROLMENT = tokens.generate(TokenKind.ENROLMENT, root=ROOT.key_id).text


@pytest.mark.parametrize(
    ("known", "root"),
    [
        ({}, None),
        ({"token": ENROLMENT}, ROOT.key_id),
        ({"token": ENROLMENT + "\n"}, ROOT.key_id),
        ({"token": ENROLMENT.partition(".")[0]}, None),
        ({"token": tokens.generate(TokenKind.OPERATOR).text}, None),
        ({"token": "made elsewhere"}, None),
        ({"root_key": ROOT.key_id}, ROOT.key_id),
        ({"root_key": f" {ed25519.spki(ROOT.public)}\n"}, ROOT.key_id),
        ({"root_key": ROOT.key_id, "token": ENROLMENT}, ROOT.key_id),
    ],
)
def test_a_root_is_known_by_the_token_or_by_a_setting(
    known: dict[str, str], root: str | None
) -> None:
    """As its thumbprint, or as the key itself."""
    assert Pin(root=root) == Pin.of(**known)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"root_key": key(2).key_id, "token": ENROLMENT}, "different root keys"),
        ({"root_key": "nonsense"}, "SubjectPublicKeyInfo"),
        ({"root_key": ""}, "SubjectPublicKeyInfo"),
    ],
)
def test_a_root_that_is_not_clear_is_refused(known: dict[str, str], why: str) -> None:
    """At the start, and not by trusting either."""
    with pytest.raises(ValueError, match=why):
        Pin.of(**known)
