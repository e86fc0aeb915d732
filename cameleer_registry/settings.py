"""Every setting, stated once: its flag, environment variable and TOML key follow from its name.

``stale_after`` is ``--stale-after`` on the command line, ``CAMELEER_STALE_AFTER`` in the
environment and ``stale_after`` in the file given with ``--config``; the first of these that says
something counts, and :mod:`~cameleer_registry.sources` gathers them. An embedding application
passes a :class:`Settings` of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from attrs import field, frozen

from . import setting_values as read
from .errors import SettingsError
from .setting_values import AuthMode, Globs, HostNames, NatsServers, Networks

ENV_PREFIX: Final = "CAMELEER_"

_MANY: Final = 10**15
_LONGEST_RENEWABLE: Final = 30 * 86400.0
_CLUSTER_NAME: Final = read.name(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", "1 to 32 of A-Z, a-z, 0-9, _ and -"
)


def _setting(default: Any, reader: Callable[[Any], Any], help: str) -> Any:
    """Declare a setting: how its value is read from what people write, and what it is for."""
    return field(default=default, metadata={"read": reader, "help": help})


@frozen(kw_only=True)
class Settings:
    """What can be set. Durations are seconds. Raises SettingsError where a value makes no sense.

    The ``help`` of each is its documentation, on the command line as in ``docs/settings.md``.
    """

    host: str = _setting(
        "127.0.0.1",
        read.name_of_host,
        "Name or address to listen on. The default can only be reached from this machine; "
        "0.0.0.0 is all of its IPv4 addresses, and :: all of its IPv4 and IPv6 addresses. "
        "unix:PATH is a socket in the file system.",
    )
    port: int = _setting(
        8081,
        read.between(0, 65535),
        "TCP port to listen on; 0 picks a free one. A socket in the file system has none.",
    )
    database: str | None = _setting(
        None,
        read.database,
        "File in which the registry is stored, or memory to store nothing. The default is "
        "registry.db in $STATE_DIRECTORY, which systemd sets, or else in a directory of its own "
        "below the user's state directory; an embedded server stores nothing by default.",
    )
    cluster: NatsServers = _setting(  # noqa: RUF009 - it is a tuple
        NatsServers(),
        read.nats_servers,
        "NATS servers over which several nodes share one registry, with commas between them: "
        "nats://a:4222,b:4222,c:4222. By default this server is a registry alone. It takes the "
        "extra cameleer-registry[cluster].",
    )
    node_name: str | None = _setting(
        None,
        read.name(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", "1 to 128 of A-Z, a-z, 0-9, _, . and -"),
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
        read.path_of_file,
        "File of credentials for NATS, as nsc makes it.",
    )
    cluster_ca: str | None = _setting(
        None,
        read.path_of_file,
        "File of certificates by which NATS servers are recognized. With it the connection is "
        "always encrypted.",
    )
    leave_cluster: bool = _setting(
        False,
        read.yes_or_no,
        "Make a registry of its own of the database of a node, under another id: it has what was "
        "in it when the node ended or last made a copy, and there is no way back.",
    )
    heartbeat_interval: float = _setting(
        30.0,
        read.duration,
        "How often agents are asked to send a heartbeat. The default is that of Eureka's clients.",
    )
    stale_after: float = _setting(
        90.0,
        read.duration,
        "Time since its last heartbeat after which an agent is STALE. The default means three "
        "missed heartbeats.",
    )
    dead_after: float = _setting(
        300.0,
        read.duration,
        "Time for which an agent is STALE before it is DEAD. The default leaves time for a "
        "restart or a deployment.",
    )
    forget_dead_after: float | None = _setting(
        None,
        read.duration_or_off,
        "Time for which an agent is DEAD before it is deleted, as an operator would delete it. "
        "Off by default, because operators want to see missing agents; 1d suits fleets whose "
        "agents have a new id at each start.",
    )
    command_ttl: float = _setting(
        60.0,
        read.duration,
        "A delivery that is not acknowledged within this time is EXPIRED.",
    )
    keepalive_interval: float = _setting(
        15.0,
        read.duration,
        "How often a comment is written to each stream. Proxies close streams "
        "that are silent: nginx after 60 s. WHATWG HTML suggests 15 s.",
    )
    max_body: int = _setting(
        1_048_576,
        read.between(1, 2**30),
        "Largest request body in bytes; a larger one is refused with 413. The default is 1 MiB, "
        "like nginx's.",
    )
    max_agents: int = _setting(
        0,
        read.between(0, _MANY),
        "Largest number of agents; a new one beyond it is refused with 503. 0 means no limit. "
        "Known agents are never refused.",
    )
    max_pending_per_agent: int = _setting(
        100,
        read.between(1, _MANY),
        "Largest number of pending commands of one agent. It is sent no more until it has "
        "acknowledged some, or they have expired.",
    )
    command_history: int = _setting(
        100_000,
        read.between(0, _MANY),
        "Total number of deliveries of finished commands to remember; the oldest are forgotten "
        "first. A command without targets counts as one. It should be larger than the fleet, "
        "because a broadcast with more targets is forgotten as soon as it finishes.",
    )
    command_history_bytes: int = _setting(
        268_435_456,
        read.between(0, _MANY),
        "Total bytes of payloads and results to remember with them, roughly as much as they "
        "take in memory. The default is 256 MiB, so that large results are forgotten before "
        "they fill the memory.",
    )
    idempotency_keys: int = _setting(
        10_000,
        read.between(1, _MANY),
        "Number of request keys to remember, each for at most an hour, so that a repeated "
        "request issues its command only once; the oldest are forgotten first. The default "
        "allows almost three a second, in 14 MB.",
    )
    max_stream_backlog: int = _setting(
        1_048_576,
        read.between(1024, 2**30),
        "Bytes that may wait in this process for the reader of one stream. If more are waiting "
        "when an event comes, the stream is closed.",
    )
    max_feeds: int = _setting(
        100,
        read.between(1, _MANY),
        "Largest number of followers of the operators' event feed; one more is refused with "
        "503. Each costs a write ten times a second while events happen.",
    )
    stream_stall_timeout: float = _setting(
        30.0,
        read.duration,
        "Time after which a stream is closed if its reader takes nothing. Any other answer, and "
        "a connection whose peer has silently gone, is closed after twice that time.",
    )
    body_timeout: float = _setting(
        30.0,
        read.duration,
        "Time within which a request's body must arrive; otherwise it is refused with 408.",
    )
    metrics_groups: int = _setting(
        100,
        read.between(0, 1000),
        "Number of groups that /metrics names, beginning with those known longest; the agents "
        "of all others are counted together. Each group is three time series, which Prometheus "
        "keeps for weeks.",
    )
    public_url: str | None = _setting(
        None,
        read.url,
        "Address at which agents and browsers reach this server from outside, such as "
        "https://registry.example. It makes sseEndpoint absolute, and is accepted as a "
        "browser's Origin.",
    )
    name: str | None = _setting(
        None,
        read.label,
        "Name of this server, such as Production: 1 to 64 characters, shown in the console and "
        "its title so that nobody mistakes one server for another.",
    )
    name_color: str | None = _setting(
        None,
        read.color,
        "The colour of that name in the console: #rrggbb, or red, orange, yellow, green, teal, "
        "blue, purple, pink, brown, gray, black.",
    )
    allowed_hosts: HostNames = _setting(  # noqa: RUF009 - it is a tuple
        HostNames(),
        read.host_names,
        "Names by which this server may be addressed, besides localhost, host and public_url, "
        "separated by commas; *.example.org is every name below example.org. A request for "
        "another host is refused with 421, because a web page could otherwise reach a server on "
        "a user's own machine under the page's name. A server that requires credentials, and an "
        "embedded one, check this only if it is set.",
    )
    auth: AuthMode = _setting(  # noqa: RUF009 - it is a text
        AuthMode.AUTO,
        read.auth_mode,
        "Whether requests need a credential: required; accept (credentials are checked, and "
        "requests without one are served and counted); off; or auto, which is required as soon "
        "as there has been a credential or a keys.json, and until then listens on this machine "
        "only and serves everybody there. In an embedded server auto means off.",
    )
    keys_file: str | None = _setting(
        None,
        read.path_of_file,
        "File of the keys that sign commands and agents' tokens, as made by \"cameleer-registry "
        'auth init".',
    )
    admin_token_file: str | None = _setting(
        None,
        read.path_of_file,
        "File of operator tokens with the role admin, one on each line: tokens of this "
        "registry, or any long random text. It is read again when it changes, and tokens that "
        "have gone from it are revoked.",
    )
    enrol_token_file: str | None = _setting(
        None,
        read.path_of_file,
        "File of enrolment tokens, in the same form.",
    )
    agent_token_ttl: float = _setting(
        3600.0,
        read.duration,
        "How long an agent's token is valid, plus or minus a tenth. Agents renew their tokens "
        "after two thirds of that time.",
    )
    agent_token_renewal: float = _setting(
        604_800.0,
        read.duration,
        "How long an agent's token can be renewed, so that a host that slept for days comes "
        "back by itself; at most 30d. A stolen token can be renewed for as long, unless its "
        "agent is revoked.",
    )
    tls_cert: str | None = _setting(
        None,
        read.path_of_file,
        "File of the certificate chain in PEM; the port then speaks only TLS. A renewed "
        "certificate is loaded within 10 s, and at SIGHUP.",
    )
    tls_key: str | None = _setting(
        None, read.path_of_file, "File of the certificate's private key, in PEM."
    )
    tls_client_ca: str | None = _setting(
        None,
        read.path_of_file,
        "File of the authorities that sign agents' certificates, in PEM. An agent may enrol "
        "with such a certificate instead of a token, under the id that it names.",
    )
    tls_client_id: str = _setting(
        "cn",
        read.client_id,
        "Where a certificate names its agent: cn, or san-uri: and an address that contains "
        "{agentId}, such as san-uri:spiffe://example.org/agents/{agentId}.",
    )
    client_cert_header: str | None = _setting(
        None,
        read.header_name,
        "Header in which a proxy that terminates TLS passes on a client certificate that it has "
        "verified: in PEM, escaped as in URLs, or as in RFC 9440. It is accepted from "
        "trusted_proxies, and refused from everybody else.",
    )
    client_cert_groups: Globs = _setting(  # noqa: RUF009 - it is a tuple
        Globs(("*",)),
        read.globs_of_groups,
        "Groups into which agents may enrol with a certificate, separated by commas; order-* is "
        "every group whose name begins with order-.",
    )
    trusted_proxies: Networks = _setting(  # noqa: RUF009 - it is a tuple
        Networks(),
        read.networks,
        "Addresses or networks of the proxies in front of this server, separated by commas. The "
        "server believes them about where a request came from.",
    )
    require_protocol_version: bool = _setting(
        False,
        read.yes_or_no,
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
