"""How far a registry had come."""

from __future__ import annotations

import pytest
from aiohttp import web

from cameleer_registry.client import Operator
from cameleer_registry.client.position import HEADER, Position

from ..support import running


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["lineage:7"], "lineage:7"),
        (["lineage:7", "lineage:12"], "lineage:12"),
        (["lineage:12", "lineage:7"], "lineage:12"),
        (["one:12", "other:7"], "other:7"),
        (["7", "12", "9"], "12"),
        (["x", "y"], "y"),
        (["lineage:7", None], "lineage:7"),
        (["lineage:7", "a b", "a\x00", "é", "x" * 257, ""], "lineage:7"),
        ([None], None),
    ],
)
def test_the_furthest_counts(said: list[str | None], expected: str | None) -> None:
    """Of one registry; of two, the last. What could not stand in a head is none."""
    position = Position()
    for each in said:
        position.heard({} if each is None else {HEADER: each})
    assert ({} if expected is None else {HEADER: expected}) == position.headers()


async def test_it_is_sent_along() -> None:
    """With each request after the answer that told of it; what is no registry's tells nothing."""
    asked: list[str | None] = []
    heads = [
        {HEADER: "gateway:9"},
        {HEADER: "lineage:1", "X-Cameleer-Protocol-Version": "1"},
        {"X-Cameleer-Protocol-Version": "1"},
    ]

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get(HEADER))
        return web.json_response([], headers=heads[len(asked) - 1])

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        for _ in range(3):
            await operator.groups()
    assert [None, None, "lineage:1"] == asked
