from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def tell(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[str, object], None]:
    """Show a figure that a test has measured: with -s, and in a report of the tests."""

    def show(name: str, value: object) -> None:
        record_property(name, value)
        print(f"{request.node.name}: {name}: {value}")

    return show
