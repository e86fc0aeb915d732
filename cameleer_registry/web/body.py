"""Reading a request's body, whole and within bounds of size and time."""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader, hdrs, web
from aiohttp.web import RequestPayloadError

from ..errors import BodyTooLarge, MalformedJson, RequestTimeout, UnsupportedEncoding
from .aiohttp_internals import not_begun
from .app_keys import NODE


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
            await _ask_for_body(request)
            async with asyncio.timeout(settings.body_timeout):
                raw = await _read_up_to(settings.max_body, content)
    except TimeoutError:
        raise RequestTimeout(
            f"the body did not arrive within {settings.body_timeout:g} seconds"
        ) from None
    except RequestPayloadError:
        raise MalformedJson("the body broke off, or its chunks are wrong") from None
    if len(raw) > settings.max_body:
        raise BodyTooLarge(settings.max_body)
    return raw


async def _read_up_to(limit: int, content: StreamReader) -> bytes:
    """Read all there is, or until it is more than ``limit`` bytes."""
    raw = bytearray()
    while len(raw) <= limit and (chunk := await content.readany()):
        raw += chunk
    return bytes(raw)


async def expect_nothing(request: web.Request) -> None:
    """Do nothing about ``Expect: 100-continue`` before it is known that the body is wanted."""


async def _ask_for_body(request: web.Request) -> None:
    """Ask for a body that was announced with ``Expect: 100-continue``.

    That is done when a handler wants to read it. Other expectations are ignored, as RFC 9110,
    section 10.1.1, lets a server do.
    """
    if request.version >= (1, 1) and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        not_begun(request.writer)
