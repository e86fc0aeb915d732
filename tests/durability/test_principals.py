"""``Idempotency-Key``: each principal's own, over a restart, too."""

from __future__ import annotations

from pathlib import Path

from cameleer_registry import CommandType, Order, Target
from cameleer_registry.core.model import Registration
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.security.principals import Principal, Role

from .nodes import start

ORDER = Order(type=CommandType.REPLAY, payload={})


async def test_a_key_is_its_principals_over_a_restart(tmp_path: Path) -> None:
    """Nobody is shown the command of somebody else, nor has it issued twice."""
    one, other = (Principal(token_id=name, role=Role.OPERATOR) for name in ("one", "other"))
    target, issued = Target.agent("a"), {}
    node = start(tmp_path / "r.db")
    await node.register(Registration(agent_id=AgentId("a"), group=GroupName("g")))
    for by in (one, None):
        command = await node.issue(ORDER, target, idempotency_key="k", by=by)
        issued[by] = command.command_id
    assert issued[one] != issued[None]
    await node.shut_down()
    await node.stop()

    node = start(tmp_path / "r.db")
    assert node.knows_idempotency_key("k", by=one)
    assert not node.knows_idempotency_key("k", by=other)
    for by in (one, None):
        again = await node.issue(ORDER, target, idempotency_key="k", by=by)
        assert issued[by] == again.command_id
    anew = await node.issue(ORDER, target, idempotency_key="k", by=other)
    assert anew.command_id not in issued.values()
    assert "other" == anew.issued_by
    await node.shut_down()
    await node.stop()
