"""TLS on the server's port: a certificate that is renewed on disk is taken up without a restart.

asyncio fills 256 KiB with zeros for each connection under TLS. An event stream writes little and
reads nothing, so the buffer of this process's connections is made smaller: 38 KiB a stream instead
of 278, measured. That is an attribute of asyncio's that nothing promises: a test looks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from asyncio import sslproto
from pathlib import Path
from typing import Final

from .errors import SettingsError, reason_of
from .logs import get_logger
from .settings import Settings

log = get_logger(__name__)

BUFFER: Final = 16 * 1024
"""Bytes that a connection under TLS reads at a time: as much as a record of TLS holds."""

PACE: Final = 5.0
"""Seconds between two looks at the files."""


class Tls:
    """The certificate of one server, and what its connections are made with."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None = None) -> None:
        """Raises SettingsError, with one line, if these files cannot be used."""
        self._cert, self._key = cert, key
        self._seen = self._state()
        try:
            self.context = _context(cert, key)
            if client_ca is not None:
                self.context.load_verify_locations(client_ca)
                # Without one somebody may come, too: operators' browsers have none.
                self.context.verify_mode = ssl.CERT_OPTIONAL
        except (OSError, ValueError) as error:
            raise SettingsError(f"cannot use {cert} with {key}: {_reason(error)}") from None

    @classmethod
    def of(cls, settings: Settings) -> Tls | None:
        """Return what settings ask for; None without TLS. Raises SettingsError."""
        if (settings.tls_cert is None) != (settings.tls_key is None):
            raise SettingsError("tls_cert and tls_key: both are needed")
        if settings.tls_cert is None or settings.tls_key is None:
            if settings.tls_client_ca is not None:
                raise SettingsError("tls_client_ca: needs tls_cert")
            return None
        ca = settings.tls_client_ca
        return cls(Path(settings.tls_cert), Path(settings.tls_key), Path(ca) if ca else None)

    def reload(self) -> bool:
        """Take up what is on disk now, for connections to come; tell whether it could be used.

        A pair that does not match, as in the middle of a renewal, changes nothing.
        """
        self._seen = self._state()
        try:
            _context(self._cert, self._key)  # a context that has failed to load is broken
            self.context.load_cert_chain(self._cert, self._key)
        except (OSError, ValueError) as error:
            log.error(
                "the certificate on disk cannot be used, so the previous one stays in use",
                certificate=str(self._cert),
                reason=_reason(error),
            )
            return False
        log.info("certificate loaded", certificate=str(self._cert))
        return True

    async def watch(self) -> None:
        """Take up what has changed on disk. Never ends."""
        while True:
            await asyncio.sleep(PACE)
            if self._state() != self._seen:
                self.reload()

    def _state(self) -> tuple[tuple[int, ...] | None, ...]:
        """Return what tells one state of the files from the next."""
        found: list[tuple[int, ...] | None] = []
        for path in (self._cert, self._key):
            state = None
            with contextlib.suppress(OSError):
                stat = path.stat()
                # The last change of mode or owner, too: that may be all that was wrong.
                state = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size)
            found.append(state)
        return tuple(found)


def spare_buffers() -> None:
    """Have connections under TLS take less memory, in a process that is the server's own."""
    if isinstance(getattr(sslproto.SSLProtocol, "max_size", None), int):
        sslproto.SSLProtocol.max_size = BUFFER


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not a certificate and key in PEM"
    return reason_of(error) if isinstance(error, OSError) else str(error)
