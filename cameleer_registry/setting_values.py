"""How the value of a setting is read from what people write, for each kind of value.

A reader takes text, as flags and the environment have it, and what TOML or Python has in its place.
It raises ValueError with one line that says what was expected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .security.principals import glob

_DURATION: Final = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>ms|s|m|h|d)?")
_UNITS: Final[Mapping[str | None, float]] = {
    "ms": 0.001,
    None: 1,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
}
_SHORTEST: Final = 0.001
_LONGEST: Final = 365 * 86400.0
UNIX: Final = "unix:"
"""What stands before the path of a socket in the file system, in place of a host."""

_LONGEST_SOCKET_PATH: Final = 107
"""Bytes: ``sun_path`` of Linux holds 108, the last of which ends it (unix(7))."""

COLORS: Final = (
    *("red", "orange", "yellow", "green", "teal", "blue"),
    *("purple", "pink", "brown", "gray", "black"),
)
"""Names of colours that may be used; CSS knows all of them."""

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def optional(read: Callable[[Any], str]) -> Callable[[Any], str | None]:
    """Return a reader of the same that reads nothing at all, or an empty text, as None."""

    @wraps(read)
    def read_or_none(value: Any) -> str | None:
        return None if value is None or value == "" else read(value)

    return read_or_none


def _parts(value: Any, named: str) -> list[Any]:
    """Return the elements of a list, or of text with commas between them."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError(f"expected {named}, got {value!r}")
    return [one.strip() if isinstance(one, str) else one for one in given]


def duration(value: Any) -> float:
    """Read seconds from a number, or from text such as ``90``, ``1.5``, ``90s`` or ``5m``."""
    seconds: float
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        seconds = float(found["number"]) * _UNITS[found["unit"]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value
    else:
        raise ValueError(f"expected seconds, or a duration such as 90s or 5m, got {value!r}")
    if not _SHORTEST <= seconds <= _LONGEST:  # nor where it is NaN
        raise ValueError(f"expected a millisecond to 365d, got {value!r}")
    return float(seconds)


def whole_number(value: Any) -> int:
    """Read an integer, or the text of one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    raise ValueError(f"expected a whole number, got {value!r}")


def yes_or_no(value: Any) -> bool:
    """Read a boolean, or one of the words that people write for it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE + _FALSE:
        return value.strip().lower() in _TRUE
    raise ValueError(f"expected true or false, got {value!r}")


@optional
def url(value: Any) -> str:
    """Read an absolute http(s) address, without a slash at its end; none where it is empty."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", value):
        raise ValueError(f"expected an address such as https://registry.example/, got {value!r}")
    return str(value).rstrip("/")


def duration_or_off(value: Any) -> float | None:
    """Read a duration; ``off``, ``none``, false and nothing at all are None."""
    if value is None or value is False:
        return None
    if isinstance(value, str) and value.strip().lower() in ("", "off", "none"):
        return None
    try:
        return duration(value)
    except ValueError as error:
        raise ValueError(f"{error}; off switches it off") from None


def name_of_host(value: Any) -> str:
    """Read what to listen on: a host name, an address, or ``unix:`` and the path of a socket.

    An IPv6 address may stand in brackets, as it does in a URL.
    """
    if isinstance(value, str) and value.startswith(UNIX):
        path = value.removeprefix(UNIX)
        if path and path.isprintable() and len(path.encode()) <= _LONGEST_SOCKET_PATH:
            return value
        raise ValueError(
            f"expected unix: and a path of at most {_LONGEST_SOCKET_PATH} bytes, got {value!r}"
        )
    if isinstance(value, str) and re.fullmatch(r"[!-~]+", value):
        return value[1:-1] if re.fullmatch(r"\[[0-9A-Fa-f:.]+(%.+)?\]", value) else value
    raise ValueError(f"expected a host name or an address, got {value!r}")


@optional
def label(value: Any) -> str:
    """Read a short text for people; none where it is empty."""
    if isinstance(value, str) and len(value) <= 64 and value.isprintable() and value.strip():
        return value.strip()
    raise ValueError(f"expected 1 to 64 printable characters, got {value!r}")


@optional
def color(value: Any) -> str:
    """Read a colour, as CSS has it: ``#rgb``, ``#rrggbb`` or one of a few names."""
    if isinstance(value, str):
        lower = value.strip().lower()
        if lower in COLORS or re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", lower):
            return lower
    raise ValueError(f"expected #rrggbb or one of {', '.join(COLORS)}, got {value!r}")


class HostNames(tuple[str, ...]):
    """Names of hosts, of which none is the default."""

    __slots__ = ()


class NatsServers(tuple[str, ...]):
    """Addresses of NATS servers, of which none is the default."""

    __slots__ = ()


def nats_servers(value: Any) -> NatsServers:
    """Read addresses of NATS servers: a list of them, or text with commas between them.

    The scheme may be said once, with the first, as NATS's own tools have it.
    """
    found: list[str] = []
    for address in _parts(value, "addresses of NATS servers"):
        if address == "":
            continue
        if isinstance(address, str) and found and "://" not in address:
            address = f"{found[0].partition('://')[0]}://{address}"
        try:
            parts = urlsplit(address)
            usable = parts.scheme in ("nats", "tls") and parts.hostname and parts.port != 0
        except (ValueError, AttributeError, TypeError):
            usable = False
        if not usable or not re.fullmatch(r"[!-~]+", address):
            raise ValueError(f"expected addresses such as nats://a:4222,b:4222, got {address!r}")
        found.append(address)
    return NatsServers(found)


def name(pattern: str, told: str) -> Callable[[Any], str | None]:
    """Return what reads a name of such a pattern; none where it is empty."""

    @optional
    def read(value: Any) -> str:
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        raise ValueError(f"expected {told}, the first a letter or digit, got {value!r}")

    return read


@optional
def database(value: Any) -> str:
    """Read the path of a file, or ``memory``; none where it is empty."""
    if not isinstance(value, str) or "\x00" in value or not value.isprintable():
        raise ValueError(f"expected a path, or memory, got {value!r}")
    return value


def host_names(value: Any) -> HostNames:
    """Read names of hosts: a list of them, or text with commas between them."""
    names = _parts(value, "names of hosts")
    for one in names:
        if one != "" and not (isinstance(one, str) and _HOST_NAME.fullmatch(one)):
            raise ValueError(
                "expected names of hosts without ports, such as registry.example or *.example, "
                f"got {one!r}"
            )
    return HostNames(one for one in names if one)


_HOST_NAME: Final = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[?[0-9A-Fa-f:.]+\]?")


class AuthMode(StrEnum):
    """Whether requests need a credential."""

    AUTO = "auto"
    """If there is a credential, or has ever been one; else only on this machine, and open."""
    REQUIRED = "required"
    ACCEPT = "accept"
    """Those that are sent are checked, and whoever sends none is served and counted."""
    OFF = "off"


def auth_mode(value: Any) -> AuthMode:
    """Read whether credentials are needed."""
    try:
        return AuthMode(value.strip().lower() if isinstance(value, str) else value)
    except ValueError:
        raise ValueError(f"expected {', '.join(AuthMode)}, got {value!r}") from None


@optional
def path_of_file(value: Any) -> str:
    """Read the path of a file; none if it is empty."""
    if isinstance(value, str | Path) and str(value).isprintable():
        return str(value)
    raise ValueError(f"expected the path of a file, got {value!r}")


def client_id(value: Any) -> str:
    """Read where a certificate names its agent."""
    if value == "cn" or (
        isinstance(value, str) and value.startswith("san-uri:") and value.count("{agentId}") == 1
    ):
        return str(value)
    raise ValueError(f"expected cn, or san-uri: and an address with {{agentId}}, got {value!r}")


@optional
def header_name(value: Any) -> str:
    """Read the name of a header; none if it is empty."""
    if isinstance(value, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value):
        return value
    raise ValueError(f"expected the name of a header, got {value!r}")


class Globs(tuple[str, ...]):
    """Globs over groups."""

    __slots__ = ()


def globs_of_groups(value: Any) -> Globs:
    """Read globs: a list of them, or text with commas between them."""
    globs = _parts(value, "globs over groups")
    if not globs:
        raise ValueError(f"expected globs over groups, got {value!r}")
    return Globs(map(glob, globs))


class Networks(tuple[str, ...]):
    """Addresses, or networks of them."""

    __slots__ = ()


def networks(value: Any) -> Networks:
    """Read addresses or networks: a list of them, or text with commas between them."""
    addresses = _parts(value, "addresses or networks")
    for one in addresses:
        try:
            if one != "":
                ipaddress.ip_network(one if isinstance(one, str) else "")
        except ValueError:
            raise ValueError(
                f"expected addresses or networks such as 10.0.0.5 or 10.0.0.0/8, got {one!r}"
            ) from None
    return Networks(one for one in addresses if one)


def between(least: int, most: int) -> Callable[[Any], int]:
    """Return what reads a whole number within bounds that belong to it."""

    def read(value: Any) -> int:
        number = whole_number(value)
        if not least <= number <= most:
            raise ValueError(f"expected {least} to {most}, got {number}")
        return number

    return read
