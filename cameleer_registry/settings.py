"""Every setting, stated once: its flag, environment variable and TOML key follow from its name.

``stale_after`` is ``--stale-after`` on the command line, ``CAMELEER_STALE_AFTER`` in the
environment and ``stale_after`` in the file given with ``--config``; the first of these that says
something counts, and :mod:`~cameleer_registry.sources` gathers them. An embedding application
passes a :class:`Settings` of its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from .errors import SettingsError
from .security.principals import glob

ENV_PREFIX: Final = "CAMELEER_"

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
_MANY: Final = 10**15
_LONGEST_RENEWABLE: Final = 30 * 86400.0
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


def url(value: Any) -> str | None:
    """Read an absolute http(s) address, without a slash at its end; none where it is empty."""
    if value is None or value == "":
        return None
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


def label(value: Any) -> str | None:
    """Read a short text for people; none where it is empty."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) <= 64 and value.isprintable() and value.strip():
        return value.strip()
    raise ValueError(f"expected 1 to 64 printable characters, got {value!r}")


def color(value: Any) -> str | None:
    """Read a colour, as CSS has it: ``#rgb``, ``#rrggbb`` or one of a few names."""
    if value is None or value == "":
        return None
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
    addresses = value.split(",") if isinstance(value, str) else value
    if not isinstance(addresses, list | tuple):
        raise ValueError(f"expected addresses of NATS servers, got {value!r}")
    found: list[str] = []
    for each in addresses:
        address = each.strip() if isinstance(each, str) else each
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


def _name(pattern: str, told: str) -> Callable[[Any], str | None]:
    """Read a name; none where it is empty."""

    def read(value: Any) -> str | None:
        if value is None or value == "":
            return None
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        raise ValueError(f"expected {told}, the first a letter or digit, got {value!r}")

    return read


def path(value: Any) -> str | None:
    """Read the path of a file; none where it is empty."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"expected a path, got {value!r}")
    return value


def database(value: Any) -> str | None:
    """Read the path of a file, or ``memory``; none where it is empty."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or "\x00" in value or not value.isprintable():
        raise ValueError(f"expected a path, or memory, got {value!r}")
    return value


def host_names(value: Any) -> HostNames:
    """Read names of hosts: a list of them, or text with commas between them."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise ValueError(f"expected names of hosts, got {value!r}")
    stripped = [name.strip() if isinstance(name, str) else name for name in names]
    for name in stripped:
        if name != "" and not (isinstance(name, str) and _HOST_NAME.fullmatch(name)):
            raise ValueError(
                "expected names of hosts without ports, such as registry.example or *.example, "
                f"got {name!r}"
            )
    return HostNames(name for name in stripped if name)


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


def path_of_file(value: Any) -> str | None:
    """Read the path of a file; none if it is empty."""
    if value is None or value == "":
        return None
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


def header_name(value: Any) -> str | None:
    """Read the name of a header; none if it is empty."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value):
        return value
    raise ValueError(f"expected the name of a header, got {value!r}")


class Globs(tuple[str, ...]):
    """Globs over groups."""

    __slots__ = ()


def globs_of_groups(value: Any) -> Globs:
    """Read globs: a list of them, or text with commas between them."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"expected globs over groups, got {value!r}")
    return Globs(glob(one.strip() if isinstance(one, str) else one) for one in given)


class Networks(tuple[str, ...]):
    """Addresses, or networks of them."""

    __slots__ = ()


def networks(value: Any) -> Networks:
    """Read addresses or networks: a list of them, or text with commas between them."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ValueError(f"expected addresses or networks, got {value!r}")
    stripped = [one.strip() if isinstance(one, str) else one for one in given]
    for one in stripped:
        try:
            if one != "":
                ipaddress.ip_network(one if isinstance(one, str) else "")
        except ValueError:
            raise ValueError(
                f"expected addresses or networks such as 10.0.0.5 or 10.0.0.0/8, got {one!r}"
            ) from None
    return Networks(one for one in stripped if one)


def _between(least: int, most: int) -> Callable[[Any], int]:
    """Read a whole number within bounds that belong to it."""

    def read(value: Any) -> int:
        number = whole_number(value)
        if not least <= number <= most:
            raise ValueError(f"expected {least} to {most}, got {number}")
        return number

    return read


_CLUSTER_NAME: Final = _name(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", "1 to 32 of A-Z, a-z, 0-9, _ and -")


def _setting(default: Any, read: Callable[[Any], Any], help: str) -> Any:
    """Declare a setting: how its value is read from what people write, and what it is for."""
    return field(default=default, metadata={"read": read, "help": help})


@frozen(kw_only=True)
class Settings:
    """What can be set. Durations are seconds. Raises SettingsError where a value makes no sense.

    The ``help`` of each is its documentation, on the command line as in ``docs/settings.md``.
    """

    host: str = _setting(
        "127.0.0.1",
        name_of_host,
        "Name or address to listen on. The default can only be reached from this machine; "
        "0.0.0.0 is all of its IPv4 addresses, and :: all of its IPv4 and IPv6 addresses. "
        "unix:PATH is a socket in the file system.",
    )
    port: int = _setting(
        8081,
        _between(0, 65535),
        "TCP port to listen on; 0 picks a free one. A socket in the file system has none.",
    )
    database: str | None = _setting(
        None,
        database,
        "File in which the registry is stored, or memory to store nothing. The default is "
        "registry.db in $STATE_DIRECTORY, which systemd sets, or else in a directory of its own "
        "below the user's state directory; an embedded server stores nothing by default.",
    )
    cluster: NatsServers = _setting(  # noqa: RUF009 - it is a tuple
        NatsServers(),
        nats_servers,
        "NATS servers over which several nodes share one registry, with commas between them: "
        "nats://a:4222,b:4222,c:4222. By default this server is a registry alone. It takes the "
        "extra cameleer-registry[cluster].",
    )
    node_name: str | None = _setting(
        None,
        _name(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", "1 to 128 of A-Z, a-z, 0-9, _, . and -"),
        "What this node is called among the others: the name of the host by default. Two that "
        "run on one host need a name each.",
    )
    cluster_name: str = _setting(
        "cameleer",
        lambda value: _CLUSTER_NAME(value) or "cameleer",
        "What the streams in NATS begin with, so that several registries can share its servers.",
    )
    cluster_credentials: str | None = _setting(
        None,
        path,
        "File of credentials for NATS, as nsc makes it.",
    )
    cluster_ca: str | None = _setting(
        None,
        path,
        "File of certificates by which NATS servers are recognized. With it the connection is "
        "always encrypted.",
    )
    leave_cluster: bool = _setting(
        False,
        yes_or_no,
        "Make a registry of its own of the database of a node, under another id: it has what was "
        "in it when the node ended or last made a copy, and there is no way back.",
    )
    heartbeat_interval: float = _setting(
        30.0,
        duration,
        "How often agents are asked to send a heartbeat. The default is that of Eureka's clients.",
    )
    stale_after: float = _setting(
        90.0,
        duration,
        "Time since its last heartbeat after which an agent is STALE. The default means three "
        "missed heartbeats.",
    )
    dead_after: float = _setting(
        300.0,
        duration,
        "Time for which an agent is STALE before it is DEAD. The default leaves time for a "
        "restart or a deployment.",
    )
    forget_dead_after: float | None = _setting(
        None,
        duration_or_off,
        "Time for which an agent is DEAD before it is deleted, as an operator would delete it. "
        "Off by default, because operators want to see missing agents; 1d suits fleets whose "
        "agents have a new id at each start.",
    )
    command_ttl: float = _setting(
        60.0,
        duration,
        "A delivery that is not acknowledged within this time is EXPIRED.",
    )
    keepalive_interval: float = _setting(
        15.0,
        duration,
        "How often a comment is written to each stream. Proxies close streams "
        "that are silent: nginx after 60 s. WHATWG HTML suggests 15 s.",
    )
    max_body: int = _setting(
        1_048_576,
        _between(1, 2**30),
        "Largest request body in bytes; a larger one is refused with 413. The default is 1 MiB, "
        "like nginx's.",
    )
    max_agents: int = _setting(
        0,
        _between(0, _MANY),
        "Largest number of agents; a new one beyond it is refused with 503. 0 means no limit. "
        "Known agents are never refused.",
    )
    max_pending_per_agent: int = _setting(
        100,
        _between(1, _MANY),
        "Largest number of pending commands of one agent. It is sent no more until it has "
        "acknowledged some, or they have expired.",
    )
    command_history: int = _setting(
        100_000,
        _between(0, _MANY),
        "Total number of deliveries of finished commands to remember; the oldest are forgotten "
        "first. A command without targets counts as one. It should be larger than the fleet, "
        "because a broadcast with more targets is forgotten as soon as it finishes.",
    )
    command_history_bytes: int = _setting(
        268_435_456,
        _between(0, _MANY),
        "Total bytes of payloads and results to remember with them, roughly as much as they "
        "take in memory. The default is 256 MiB, so that large results are forgotten before "
        "they fill the memory.",
    )
    idempotency_keys: int = _setting(
        10_000,
        _between(1, _MANY),
        "Number of request keys to remember, each for at most an hour, so that a repeated "
        "request issues its command only once; the oldest are forgotten first. The default "
        "allows almost three a second, in 14 MB.",
    )
    max_stream_backlog: int = _setting(
        1_048_576,
        _between(1024, 2**30),
        "Bytes that may wait in this process for the reader of one stream. If more are waiting "
        "when an event comes, the stream is closed.",
    )
    max_feeds: int = _setting(
        100,
        _between(1, _MANY),
        "Largest number of followers of the operators' event feed; one more is refused with "
        "503. Each costs a write ten times a second while events happen.",
    )
    stream_stall_timeout: float = _setting(
        30.0,
        duration,
        "Time after which a stream is closed if its reader takes nothing. Any other answer, and "
        "a connection whose peer has silently gone, is closed after twice that time.",
    )
    body_timeout: float = _setting(
        30.0,
        duration,
        "Time within which a request's body must arrive; otherwise it is refused with 408.",
    )
    metrics_groups: int = _setting(
        100,
        _between(0, 1000),
        "Number of groups that /metrics names, beginning with those known longest; the agents "
        "of all others are counted together. Each group is three time series, which Prometheus "
        "keeps for weeks.",
    )
    public_url: str | None = _setting(
        None,
        url,
        "Address at which agents and browsers reach this server from outside, such as "
        "https://registry.example. It makes sseEndpoint absolute, and is accepted as a "
        "browser's Origin.",
    )
    name: str | None = _setting(
        None,
        label,
        "Name of this server, such as Production: 1 to 64 characters, shown in the console and "
        "its title so that nobody mistakes one server for another.",
    )
    name_color: str | None = _setting(
        None,
        color,
        "The colour of that name in the console: #rrggbb, or red, orange, yellow, green, teal, "
        "blue, purple, pink, brown, gray, black.",
    )
    allowed_hosts: HostNames = _setting(  # noqa: RUF009 - it is a tuple
        HostNames(),
        host_names,
        "Names by which this server may be addressed, besides localhost, host and public_url, "
        "separated by commas; *.example.org is every name below example.org. A request for "
        "another host is refused with 421, because a web page could otherwise reach a server on "
        "a user's own machine under the page's name. A server that requires credentials, and an "
        "embedded one, check this only if it is set.",
    )
    auth: AuthMode = _setting(  # noqa: RUF009 - it is a text
        AuthMode.AUTO,
        auth_mode,
        "Whether requests need a credential: required; accept (credentials are checked, and "
        "requests without one are served and counted); off; or auto, which is required as soon "
        "as there has been a credential or a keys.json, and until then listens on this machine "
        "only and serves everybody there. In an embedded server auto means off.",
    )
    keys_file: str | None = _setting(
        None,
        path_of_file,
        "File of the keys that sign commands and agents' tokens, as made by \"cameleer-registry "
        'auth init".',
    )
    admin_token_file: str | None = _setting(
        None,
        path_of_file,
        "File of operator tokens with the role admin, one on each line: tokens of this "
        "registry, or any long random text. It is read again when it changes, and tokens that "
        "have gone from it are revoked.",
    )
    enrol_token_file: str | None = _setting(
        None,
        path_of_file,
        "File of enrolment tokens, in the same form.",
    )
    agent_token_ttl: float = _setting(
        3600.0,
        duration,
        "How long an agent's token is valid, plus or minus a tenth. Agents renew their tokens "
        "after two thirds of that time.",
    )
    agent_token_renewal: float = _setting(
        604_800.0,
        duration,
        "How long an agent's token can be renewed, so that a host that slept for days comes "
        "back by itself; at most 30d. A stolen token can be renewed for as long, unless its "
        "agent is revoked.",
    )
    tls_cert: str | None = _setting(
        None,
        path_of_file,
        "File of the certificate chain in PEM; the port then speaks only TLS. A renewed "
        "certificate is loaded within 10 s, and at SIGHUP.",
    )
    tls_key: str | None = _setting(
        None, path_of_file, "File of the certificate's private key, in PEM."
    )
    tls_client_ca: str | None = _setting(
        None,
        path_of_file,
        "File of the authorities that sign agents' certificates, in PEM. An agent may enrol "
        "with such a certificate instead of a token, under the id that it names.",
    )
    tls_client_id: str = _setting(
        "cn",
        client_id,
        "Where a certificate names its agent: cn, or san-uri: and an address that contains "
        "{agentId}, such as san-uri:spiffe://example.org/agents/{agentId}.",
    )
    client_cert_header: str | None = _setting(
        None,
        header_name,
        "Header in which a proxy that terminates TLS passes on a client certificate that it has "
        "verified: in PEM, escaped as in URLs, or as in RFC 9440. It is accepted from "
        "trusted_proxies, and refused from everybody else.",
    )
    client_cert_groups: Globs = _setting(  # noqa: RUF009 - it is a tuple
        Globs(("*",)),
        globs_of_groups,
        "Groups into which agents may enrol with a certificate, separated by commas; order-* is "
        "every group whose name begins with order-.",
    )
    trusted_proxies: Networks = _setting(  # noqa: RUF009 - it is a tuple
        Networks(),
        networks,
        "Addresses or networks of the proxies in front of this server, separated by commas. The "
        "server believes them about where a request came from.",
    )
    require_protocol_version: bool = _setting(
        False,
        yes_or_no,
        "Refuse requests to /api/v1 that do not carry the header X-Cameleer-Protocol-Version.",
    )

    def __attrs_post_init__(self) -> None:
        faults = []
        for setting in attrs.fields(Settings):
            try:
                value = setting.metadata["read"](getattr(self, setting.name))
            except ValueError as error:
                faults.append(f"{setting.name}: {error}")
            else:
                object.__setattr__(self, setting.name, value)  # still being made, though frozen
        if not faults and self.stale_after < self.heartbeat_interval:
            faults.append(
                f"stale_after ({self.stale_after:g} s) is below heartbeat_interval "
                f"({self.heartbeat_interval:g} s): every agent would be STALE between two "
                "heartbeats"
            )
        if not faults and self.cluster and self.leave_cluster:
            faults.append("leave_cluster: a server with cluster takes part in one")
        if not faults and self.database == "memory" and self.leave_cluster:
            faults.append("leave_cluster: there is no database that could leave one")
        if not faults and self.agent_token_renewal > _LONGEST_RENEWABLE:
            faults.append("agent_token_renewal: expected 30d at most")
        if not faults and self.agent_token_ttl < 1:
            faults.append("agent_token_ttl: expected a second at least")
        if faults:
            raise SettingsError("; ".join(faults))


def flag_of(name: str) -> str:
    """Return the command line flag of a setting."""
    return "--" + name.replace("_", "-")


def environment_variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return ENV_PREFIX + name.upper()
