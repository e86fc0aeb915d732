from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cameleer_registry.core.registry import Registry

from .conversations import Talk, Talking, limits
from .invariants import check, check_facts, check_replay
from .keeping import check_keeping


@pytest.fixture
def talking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Talking]:
    """Start conversations, with limits of one's own.

    After the test each registry is sound, its facts are ones that can happen, and they make
    another registry like it.
    """
    # monkeypatch: what a test patches stays so until its registries have been looked at.
    talks: list[Talk] = []

    def start(**own: Any) -> Talk:
        talk = Talk(Registry(limits(**own)))
        talks.append(talk)
        return talk

    yield start
    for talk in talks:
        check(talk.registry, talk.now)
        check_facts(talk.facts)
        check_replay(talk.registry, talk.facts, talk.now)
        check_keeping(talk.registry, talk.facts, talk.now)


@pytest.fixture
def talk(talking: Talking) -> Talk:
    """A conversation with a registry of the default durations."""
    return talking()
