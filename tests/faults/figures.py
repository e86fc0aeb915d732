"""What a test has measured."""

from __future__ import annotations

from typing import Any


def tell(record_property: Any, **figures: Any) -> None:
    """Note figures in the report and, with ``-s``, on the terminal."""
    for name, value in figures.items():
        record_property(name, value)
    print(", ".join(f"{name} {value:,}" for name, value in figures.items()))
