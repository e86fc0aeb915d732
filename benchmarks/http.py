"""HTTP/1.1 as bytes, for a load generator that has no time for more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

API: Final = "/api/v1"
END_OF_HEAD: Final = b"\r\n\r\n"
END_OF_EVENT: Final = b"\n\n"
"""No keepalive of any server measured here has a blank line in it."""

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def request(method: str, path: str, body: Any = None, *, header: str = "") -> bytes:
    """Return the bytes of a request, as short as they may be."""
    content = b"" if body is None else json.dumps(body).encode()
    length = f"Content-Length: {len(content)}\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{header}{length}\r\n".encode() + content


def registration(agent_id: str, group: str = "fleet") -> bytes:
    """Return the registration of an agent with two routes and two capabilities."""
    body = {
        "agentId": agent_id,
        "group": group,
        "name": agent_id,
        "version": "2.4.1",
        "routeIds": ["orders-in", "orders-out"],
        "capabilities": {"replay": True, "deep-trace": {"levels": 3}},
        "instanceId": f"{agent_id}-0193f1",
    }
    return request("POST", f"{API}/agents/register", body)


def heartbeat(agent_id: str) -> bytes:
    """Return an agent's heartbeat."""
    return request("POST", f"{API}/agents/{agent_id}/heartbeat")


def stream(agent_id: str) -> bytes:
    """Return the request that opens an agent's stream."""
    path = f"{API}/agents/{agent_id}/events"
    return request("GET", path, header="Accept: text/event-stream\r\n")


def order(path: str = f"{API}/agents/commands") -> bytes:
    """Return a command with a payload of ordinary size."""
    payload = {"revision": 7, "sampling": 0.25, "routes": ["orders-in", "orders-out"]}
    return request("POST", path, {"type": "config-update", "payload": payload})


def acknowledgement(agent_id: str, command_id: str) -> bytes:
    """Return an agent's answer to a command."""
    path = f"{API}/agents/{agent_id}/commands/{command_id}/ack"
    return request("POST", path, {"status": "SUCCESS", "data": {"applied": 7}})


def agent_ids(count: int, start: int = 0) -> Iterator[str]:
    """Name so many agents."""
    return (f"agent-{number:07}" for number in range(start, start + count))


def is_complete(answer: bytes) -> bool:
    """Tell whether these bytes are a whole answer; it has a length, or no body."""
    end = answer.find(END_OF_HEAD)
    if end < 0:
        return False
    length = _LENGTH.search(answer, 0, end)
    return len(answer) >= end + 4 + (int(length[1]) if length else 0)


def status_of(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer[9:12])


def body_of(answer: bytes) -> Any:
    """Return the JSON of an answer."""
    return json.loads(answer.partition(END_OF_HEAD)[2])
