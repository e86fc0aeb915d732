"""Reading a request's body, whole and within bounds of size and time."""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader, hdrs, web
from aiohttp.web import RequestPayloadError

from ..errors import BodyTooLarge, MalformedJson, RequestTimeout, UnsupportedEncoding
from .app_keys import NODE
from .expectations import ask_for_body


async def read(request: web.Request) -> bytes:
    """Read a body; raises MalformedJson, BodyTooLarge, UnsupportedEncoding and RequestTimeout.

    Compressed ones are refused: a megabyte of one can unpack to a gigabyte, which holds the loop
    for seconds wherever it is stopped.

    Not ``request.read()``: its limit is that of the application the server was made for, which
    is another one where this is embedded.
    """
    if not request.body_exists:
        return b""
    settings = request.app[NODE].settings
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity")
    if encoding.lower() != "identity":
        raise UnsupportedEncoding(encoding)
    length = request.content_length
    if length is not None and length > settings.max_body:
        raise BodyTooLarge(settings.max_body)
    content = request.content
    try:
        if content.is_eof():  # it came with the head, as most do: there is nothing to wait for
            raw = content.read_nowait()
        else:
            await ask_for_body(request)
            async with asyncio.timeout(settings.body_timeout):
                raw = await _read_up_to(settings.max_body, content)
    except TimeoutError:
        raise RequestTimeout(
            f"the body did not arrive within {settings.body_timeout:g} seconds"
        ) from None
    except RequestPayloadError:
        raise MalformedJson("the body broke off, or its chunks are wrong") from None
    if len(raw) < content.total_bytes <= settings.max_body:
        raw = await _read_before(request)
    if max(len(raw), content.total_bytes) > settings.max_body:
        raise BodyTooLarge(settings.max_body)
    return raw


async def _read_before(request: web.Request) -> bytes:
    """Return a body that the middleware of a host has read, of which aiohttp keeps a copy.

    It has none of what was taken from ``request.content``, of a multipart form, or by way of a
    clone of the request. What is left of such a body must not be taken for all of it: an
    acknowledgement without a body says SUCCESS. Raises RuntimeError, which is a 500 and in the log.
    """
    raw = await request.read()
    if len(raw) < request.content.total_bytes:
        raise RuntimeError(
            f"middleware has taken {request.content.total_bytes - len(raw)} bytes of the body, and "
            "left no copy: have it call read(), text() or json() of the request that it passes on"
        )
    return raw


async def _read_up_to(limit: int, content: StreamReader) -> bytes:
    """Read all there is, or until it is more than ``limit`` bytes."""
    raw = bytearray()
    while len(raw) <= limit and (chunk := await content.readany()):
        raw += chunk
    return bytes(raw)
