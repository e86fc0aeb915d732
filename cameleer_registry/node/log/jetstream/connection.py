"""The connection to the servers, and what is asked of JetStream over it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import nats
import nats.errors
import orjson
from attrs import frozen
from nats.aio.client import Client

from ....errors import CannotJoin
from ....logs import get_logger
from ..port import LogUnavailable, TooLargeForLog

log = get_logger(__name__)

OLDEST_SERVER: Final = (2, 12, 3)
"""Before it, entries that had been confirmed could be lost if servers were killed."""

CONNECT_ROUND: Final = 5.0
"""Seconds after which the log says that no server has answered yet."""

REQUEST_SECONDS: Final = 5.0

NOT_FOUND: Final = 404
STREAM_NOT_FOUND: Final = 10059
STREAM_EXISTS: Final = 10058
WRONG_LAST: Final = (10071, 10164)

ENVELOPE: Final = 16 * 1024
"""Bytes of a message that are left for its headers."""


class ApiError(Exception):
    """JetStream has refused something."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("description", error)))
        self.code = int(error.get("code", 0))
        self.err_code = int(error.get("err_code", 0))


@frozen(kw_only=True)
class Access:
    """How the servers are reached."""

    servers: Sequence[str]
    credentials: str | None = None
    """A file of credentials, as nsc makes it."""
    ca: str | None = None
    """A file of certificates by which the servers are recognized; then TLS is required."""
    label: str = "cameleer-registry"


def _check_credentials(path: Path) -> None:
    """Raise CannotJoin if the client could not sign in by a file of credentials.

    It reads the file at each connect, and with something that is no part of its own package.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotJoin(f"cannot read {path}: {error}") from None
    if b"BEGIN NATS USER JWT" not in content or b"BEGIN USER NKEY SEED" not in content:
        raise CannotJoin(f"{path} is no file of credentials, as nsc makes it")
    if importlib.util.find_spec("nkeys") is None:
        raise CannotJoin(
            "cluster_credentials needs nkeys: pip install 'cameleer-registry[cluster]'"
        )


class Connection:
    """A connection to one of the servers, made anew whenever it is lost."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client = Client()
        # Set while there is no connection; and whenever one was lost, for those who look.
        self.lost = asyncio.Event()
        self._refused: Exception | None = None
        self.reconnects = 0

    @property
    def connected(self) -> bool:
        """Whether there is one at present."""
        return bool(self._client.is_connected)

    @property
    def max_entry(self) -> int:
        """How many bytes an entry may take."""
        return int(self._client.max_payload) - ENVELOPE

    async def open(self) -> None:
        """Connect to whichever server answers first; raises CannotJoin."""
        access = self._access
        context = None
        if access.ca is not None:
            try:
                context = ssl.create_default_context(cafile=access.ca)
            except OSError as error:
                raise CannotJoin(f"cannot read {access.ca}: {error}") from None
        if access.credentials is not None:
            _check_credentials(Path(access.credentials))
        while True:
            self._client = Client()
            try:
                async with asyncio.timeout(CONNECT_ROUND):
                    await self._client.connect(
                        servers=list(access.servers),
                        name=access.label,
                        allow_reconnect=True,
                        connect_timeout=2,
                        # The defaults give up after two minutes, and notice a half-open connection
                        # after four.
                        max_reconnect_attempts=-1,
                        reconnect_time_wait=0.1,  # type: ignore[arg-type]
                        ping_interval=2,
                        max_outstanding_pings=2,
                        user_credentials=access.credentials,
                        tls=context,
                        error_cb=self._note_error,
                        disconnected_cb=self._note_lost,
                        reconnected_cb=self._note_found,
                    )
            except TimeoutError:
                await self._abandon()
                if self._refused is not None:
                    raise CannotJoin(f"NATS has refused this node: {self._refused}") from None
                log.warning("no NATS server answers yet", servers=", ".join(access.servers))
            except (nats.errors.Error, OSError, ValueError) as error:
                await self._abandon()
                raise CannotJoin(f"cannot connect to NATS: {error}") from None
            else:
                break
        self._check_version()

    def _check_version(self) -> None:
        version = self._client.connected_server_version
        found = (version.major, version.minor, version.patch)
        if found < OLDEST_SERVER:
            wanted = ".".join(map(str, OLDEST_SERVER))
            raise CannotJoin(
                f"the NATS server is {'.'.join(map(str, found))}; {wanted} or newer is needed"
            )

    async def _abandon(self) -> None:
        # A client that has never connected cannot be closed: it fails an assertion of its own.
        with contextlib.suppress(TimeoutError, nats.errors.Error, OSError, AssertionError):
            async with asyncio.timeout(1):
                await self._client.close()

    async def close(self) -> None:
        """Leave."""
        await self._abandon()

    async def _note_error(self, error: Exception) -> None:
        # While it connects the client has a plain error for that, with what the server has said.
        refused = isinstance(error, nats.errors.AuthorizationError)
        if refused or "authorization violation" in str(error).lower():
            self._refused = error
        log.debug("NATS", error=repr(error))

    async def _note_lost(self) -> None:
        self.lost.set()

    async def _note_found(self) -> None:
        self.reconnects += 1

    # Asking

    async def request(
        self,
        subject: str,
        content: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """Send a request and return what JetStream answers.

        Raises LogUnavailable, ApiError and TooLargeForLog.
        """
        try:
            answer = await self._client.request(
                subject, content, timeout=timeout, headers=dict(headers) if headers else None
            )
        except nats.errors.MaxPayloadError:  # a server that takes less than the one before it
            raise TooLargeForLog(f"{len(content)} bytes; NATS takes {self.max_entry}") from None
        except (nats.errors.Error, OSError, AssertionError) as error:
            raise LogUnavailable(f"NATS: {error!r}") from None
        _heed_cancellation()
        try:
            value = orjson.loads(answer.data)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise LogUnavailable("NATS: an answer that is not JetStream's")
        if "error" in value:
            raise ApiError(value["error"])
        return value

    async def api(self, what: str, timeout: float = REQUEST_SECONDS, **body: Any) -> dict[str, Any]:
        """Ask the API of JetStream something; raises LogUnavailable and ApiError."""
        content = orjson.dumps(body) if body else b""
        try:
            return await self.request(f"$JS.API.{what}", content, timeout=timeout)
        except ApiError as error:
            if error.code >= 500:  # no leader at present, or no room for one more request
                raise LogUnavailable(f"JetStream: {error}") from None
            raise

    async def publish(
        self,
        subject: str,
        content: bytes,
        headers: Mapping[str, str],
        timeout: float = REQUEST_SECONDS,
    ) -> dict[str, Any]:
        """Publish a message to a stream and return its confirmation; raises likewise."""
        try:
            return await self.request(subject, content, headers=headers, timeout=timeout)
        except ApiError as error:
            if error.err_code in WRONG_LAST:
                raise
            raise LogUnavailable(f"JetStream: {error}") from None

    async def send(self, subject: str) -> None:
        """Publish an empty message and expect nothing."""
        await self._client.publish(subject)

    async def subscribe(self, take: Any) -> tuple[str, Any]:
        """Subscribe to a subject of one's own, without a limit that would drop messages."""
        inbox = self._client.new_inbox()
        try:
            subscription = await self._client.subscribe(
                inbox, cb=take, pending_msgs_limit=0, pending_bytes_limit=0
            )
        except (nats.errors.Error, OSError) as error:
            raise LogUnavailable(f"NATS: {error!r}") from None
        return inbox, subscription

    async def unsubscribe(self, subscription: Any) -> None:
        """End a subscription."""
        with contextlib.suppress(nats.errors.Error, OSError):
            await subscription.unsubscribe()


def _heed_cancellation() -> None:
    """Raise CancelledError if this task has been cancelled and nobody has told it so.

    nats-py waits with asyncio's wait_for, which in Python 3.11 returns an answer that comes in the
    same moment, and swallows the cancellation (python/cpython issue 86296).
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
