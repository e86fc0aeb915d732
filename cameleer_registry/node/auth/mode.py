"""What is made of requests without a credential."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What is made of requests without a credential."""

    OFF = "off"
    """They are served, and credentials are not looked at."""
    ACCEPT = "accept"
    """They are served and counted, and credentials are checked."""
    REQUIRED = "required"
    """They are refused."""
