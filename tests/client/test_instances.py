"""Two servers behind one address are noticed, and a restart is not taken for two."""

from __future__ import annotations

from itertools import cycle

import pytest
from aiohttp import web

from cameleer_registry.client import Operator
from cameleer_registry.client.instances import POSITION, REMEMBERED, Instances
from cameleer_registry.instance import HEADER

from ..support import running


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ([], []),
        (["a", "a", "a"], []),
        (["a", "b", "b", "c"], []),  # restarts
        ([None, "a", None, "b"], []),  # behind something that leaves headers out
        (["a", "b", "a"], [("b", "a")]),
        (["a", "b", "a", "b", "a"], [("b", "a")]),  # once
        (["a", "b", "c", "a"], [("c", "a")]),
        ([*map(str, range(REMEMBERED + 1)), "0"], [(str(REMEMBERED), "0")]),
    ],
)
def test_who_has_answered(heard: list[str | None], told: list[tuple[str, str]]) -> None:
    """One that comes back after another was there all the time."""
    said: list[tuple[str, str]] = []
    instances = Instances(tell=lambda *ids: said.append(ids))
    for each in heard:
        instances.heard({} if each is None else {HEADER: each})
    assert told == said
    assert bool(told) == instances.split


def test_the_nodes_of_a_cluster_are_one_registry() -> None:
    """They answer in turn, and say so where they have changed something."""
    instances = Instances(tell=lambda *ids: pytest.fail(f"told: {ids}"))
    for headers in ({HEADER: "a", POSITION: "x:1"}, {HEADER: "b"}, {HEADER: "a"}, {HEADER: "b"}):
        instances.heard(headers)


async def test_a_client_warns_of_two_servers(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the ids by which they are found in their logs."""
    workers = cycle(["aaaaaaaa", "bbbbbbbb"])

    async def answer(_: web.Request) -> web.Response:
        return web.json_response([], headers={HEADER: next(workers)})

    app = web.Application()
    app.router.add_get("/api/v1/agents/groups", answer)
    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        for _ in range(2):
            await operator.groups()
        assert [] == caplog.records
        for _ in range(4):
            await operator.groups()
    [record] = caplog.records
    assert "two servers answer in turn at one address" in record.getMessage()
    assert ["bbbbbbbb", "aaaaaaaa"] == vars(record)["instances"]
