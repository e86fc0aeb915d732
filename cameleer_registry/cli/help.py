"""What the help of several commands says. Without the client, which a server does not need."""

from __future__ import annotations

from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:8081"
URL_VARIABLE: Final = "CAMELEER_URL"
CACERT_VARIABLE: Final = "CAMELEER_CACERT"
TOKEN_VARIABLE: Final = "CAMELEER_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE: Final = "CAMELEER_TOKEN_FILE"  # noqa: S105 - a name


def examples(*lines: str) -> str:
    """Return the end of a command's help: the examples that it shows."""
    head = "Examples:" if len(lines) > 1 else "Example:"
    return "\n".join(["\b", head, *(f"  cameleer-registry {line}" for line in lines)])
