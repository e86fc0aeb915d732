"""Requests and answers that can be compared, whichever server was asked."""

from __future__ import annotations

import re
from typing import Final

from ..support import Answer, Served, connected

MOMENTS: Final = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z")
# Also where a message quotes no more than the beginning of one.
COMMAND_IDS: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{1,27}")


def request(
    path: str, body: bytes = b"", *headers: str, method: str = "POST", version: str = "1.1"
) -> bytes:
    """Return a request as most clients send it, but for what is given."""
    head = [f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


async def ask(served: Served, method: str, path: str, body: bytes) -> Answer:
    """Send a request, on a connection of its own that it leaves open."""
    async with connected(served) as connection:
        connection.writer.write(request(f"{served.prefix}{path}", body, method=method))
        return await connection.answer(method)


def told(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """Return all of an answer but for what is drawn, or depends on the moment or a prefix."""
    of_the_moment = ("date", "x-cameleer-time")
    headers = {name: value for name, value in answer.headers.items() if name not in of_the_moment}
    if answer.body:
        assert str(len(answer.body)) == headers.pop("content-length")
    if "retry-after" in headers:
        headers["retry-after"] = "some"
    body = COMMAND_IDS.sub(b"ID", MOMENTS.sub(b"NOW", answer.body.replace(b"/registry", b"")))
    return answer.status, headers, body
