"""What all tests of logs share."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _connections_that_are_left() -> Iterator[None]:
    """Collect what nats-py leaves unclosed where a server ends in the middle of a handshake."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
