"""Which proxy a request goes through: the one that was named, or what the environment says."""

from __future__ import annotations

from typing import Final
from urllib.request import getproxies_environment, proxy_bypass

from yarl import URL

from .addresses import redacted


class Proxies:
    """The way to servers.

    ``named`` is the address of an HTTP proxy for all of them, or an empty text for none at all.
    With None it is as with curl: ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``
    in the environment say which, in capitals, too. A name and a password
    for the proxy stand in its address. Raises ValueError where ``named`` is no such address.
    """

    def __init__(self, named: str | None = None) -> None:
        self._named: Final = _read(named) if named else None
        self._environment: Final = getproxies_environment() if named is None else {}

    def to(self, url: URL) -> URL | None:
        """Return the proxy through which to go there; None where there is none between.

        Raises ValueError where the environment names one that is none.
        """
        if self._named is not None or not self._environment:
            return self._named
        if proxy_bypass(url.authority):
            return None
        named = self._environment.get(url.scheme) or self._environment.get("all")
        return _read(named) if named else None


def _read(text: str) -> URL:
    """Return the address of a proxy; without a scheme it is of HTTP, as with curl."""
    shown = redacted(text)
    try:
        url = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        raise ValueError(f"expected a proxy such as http://proxy:3128, got {shown!r}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"expected a proxy such as http://proxy:3128, got {shown!r}")
    return url
