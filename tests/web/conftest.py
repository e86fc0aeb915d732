from __future__ import annotations

import re
from typing import Any, Final

import pytest

from ..support import Answer, Served
from .openapi.contract import Contract

CONTRACT: Final = Contract.of()
ADDRESSES: Final = [
    (method, path, re.compile(re.sub(r"{\w+}", "[^/]+", path) + r"(\?.*)?"))
    for method, path, _ in CONTRACT.operations()
]


@pytest.fixture(autouse=True)
def _as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold every answer that a test is given against the OpenAPI document.

    But for those of addresses and methods that are not in it.
    """
    request = Served.request

    async def checked(served: Served, method: str, path: str, *args: Any, **more: Any) -> Answer:
        answer = await request(served, method, path, *args, **more)
        target = path[1:].removeprefix(served.prefix) if path[:2] == "//" else f"/api/v1{path}"
        for of_method, template, pattern in ADDRESSES:
            if method == of_method and pattern.fullmatch(target):
                CONTRACT.check(method, template, answer)
                break
        return answer

    monkeypatch.setattr(Served, "request", checked)
