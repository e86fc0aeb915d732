"""What can go wrong between here and a server, as one exception with one line that says what."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from ..errors import ServerUnreachable, reason_of
from .addresses import Address, redacted


class Broken(ServerUnreachable):
    """The connection was there and broke before the answer: what was asked for may be done."""


@contextmanager
def reaching(address: Address) -> Iterator[None]:
    """Raise whatever goes wrong on the way to an address as ServerUnreachable."""
    try:
        yield
    except TimeoutError:
        raise ServerUnreachable(f"{address} did not answer in time") from None
    except aiohttp.ClientProxyConnectionError as error:
        reason = _reason_of(error)
        raise ServerUnreachable(f"cannot reach {address}: its proxy: {reason}") from None
    except aiohttp.ClientHttpProxyError as error:
        reason = f"its proxy answered {error.status} {error.message}"
        raise ServerUnreachable(f"cannot reach {address}: {reason}") from None
    except aiohttp.ClientConnectorError as error:
        raise ServerUnreachable(f"cannot reach {address}: {_reason_of(error)}") from None
    except aiohttp.InvalidURL as error:
        raise ServerUnreachable(f"cannot reach {address}: {redacted(str(error))}") from None
    except (aiohttp.ClientError, OSError) as error:
        reason = redacted(str(error)) or type(error).__name__
        raise Broken(f"cannot reach {address}: {reason}") from None
    except ValueError as error:  # what was given is no address
        raise ServerUnreachable(f"cannot reach {address}: {redacted(str(error))}") from None


def _reason_of(error: aiohttp.ClientConnectorError) -> str:
    return _tls_reason(error.os_error) or reason_of(error.os_error)


def _tls_reason(error: OSError) -> str | None:
    """Return why there is no TLS, in OpenSSL's words; its errors have numbers of their own."""
    if not isinstance(error, ssl.SSLError):
        return None
    return "TLS: " + re.sub(r"^\[.*?\] *|\s*\(_ssl\.c:\d+\)", "", error.strerror or str(error))
