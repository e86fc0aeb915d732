"""What stands before every handler: the protocol version, and pages on other sites."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from cameleer_registry import Node, Settings

from ..support import Served, connected, serving

VERSION = "X-Cameleer-Protocol-Version"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/agents"),
        ("POST", "/agents/register"),
        ("POST", "/agents/nobody/heartbeat"),
        ("PUT", "/agents"),
        ("GET", "/nix"),
        ("GET", "//healthz"),
        ("GET", "//readyz"),
        ("GET", "//"),
    ],
)
async def test_every_response_carries_the_version(served: Served, method: str, path: str) -> None:
    """Refusals, probes and unknown addresses as well."""
    assert "1" == (await served.request(method, path)).headers[VERSION.lower()]


@pytest.mark.parametrize("version", ["0", "2", "1.0", "", "one", "1, 1"])
async def test_another_version_is_refused(served: Served, version: str) -> None:
    """400 that names the supported ones, and nothing is done."""
    body = {"agentId": "a", "group": "g"}
    answer = await served.request("POST", "/agents/register", body, headers={VERSION: version})
    assert (400, "unsupported-protocol-version") == (answer.status, answer.code)
    assert answer.json()["detail"].endswith("supported: 1")
    assert 0 == len(served.node.registry)


async def test_another_version_beside_this_one_is_refused(served: Served) -> None:
    """Whoever says two things means neither."""
    async with connected(served) as connection:
        both = f"{VERSION}: 1\r\n{VERSION}: 2\r\n"
        connection.writer.write(f"GET /api/v1/agents HTTP/1.1\r\nHost: x\r\n{both}\r\n".encode())
        assert "unsupported-protocol-version" == (await connection.answer()).code


async def test_this_version_is_served(served: Served) -> None:
    """With the header as without it."""
    assert 200 == (await served.request("GET", "/agents", headers={VERSION: "1"})).status


async def test_the_version_may_be_required() -> None:
    """Then only an orchestrator's probes and Prometheus are served without it."""
    async with serving(Settings(require_protocol_version=True)) as served:
        answer = await served.request("GET", "/agents")
        assert (400, "unsupported-protocol-version") == (answer.status, answer.code)
        assert 200 == (await served.request("GET", "/agents", headers={VERSION: "1"})).status
        for path in ("//healthz", "//readyz", "//metrics"):
            assert 200 == (await served.request("GET", path)).status


async def test_no_version_is_required_of_what_does_not_exist() -> None:
    """It is 404 to everybody, and 405 with another method: addresses come before versions."""
    async with serving(Settings(require_protocol_version=True)) as served:
        for path in ("//favicon.ico", "/agent", "//docs/nix.js"):
            answer = await served.request("GET", path)
            assert (404, "not-found") == (answer.status, answer.code)
        assert 405 == (await served.request("PUT", "/agents")).status
        answer = await served.request("GET", "/agent", headers={VERSION: "2"})
        assert "not-found" == answer.code


CROSS_SITE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "Cross-Site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://registry.example:8081"},
    {"Origin": "http://registry.example.evil"},
    {"Origin": "http://[broken"},
    {"Origin": ""},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/agents/register"),
        ("POST", "/agents/a/heartbeat"),
        ("POST", "/agents/a/commands"),
        ("POST", "/agents/commands"),
        ("DELETE", "/agents/a"),
    ],
)
async def test_other_sites_change_nothing(
    served: Served, headers: dict[str, str], method: str, path: str
) -> None:
    """403 before anything is read or done."""
    await served.register("a")
    answer = await served.request(method, path, headers={"Host": "registry.example", **headers})
    assert (403, "cross-site-request") == (answer.status, answer.code)
    assert [] == served.node.agent_deliveries("a")


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
async def test_other_sites_may_look(served: Served, headers: dict[str, str]) -> None:
    """A browser does not show them the answer, unless this server allowed it; it does not."""
    for method in ("GET", "HEAD"):
        answer = await served.request(
            method, "/agents", headers={"Host": "registry.example", **headers}
        )
        assert 200 == answer.status
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://registry.example"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://registry.example"},
        {"Origin": "http://registry.example:80"},
        {"Origin": "https://registry.example"},
        {"Origin": "http://REGISTRY.example"},
    ],
    ids=str,
)
async def test_this_site_may_change_things(served: Served, headers: dict[str, str]) -> None:
    """So may whoever is no browser, and a browser that was told so by its user."""
    await served.register("a")
    answer = await served.request(
        "POST", "/agents/a/heartbeat", headers={"Host": "registry.example", **headers}
    )
    assert 204 == answer.status


async def test_the_public_address_is_this_site() -> None:
    """Behind a proxy that does not pass on the Host it was asked for."""
    async with serving(Settings(public_url="https://registry.example/x")) as served:
        await served.register("a")
        for origin, status in (
            ("https://registry.example", 204),
            ("https://registry.example:444", 403),
            ("https://other.example", 403),
        ):
            answer = await served.request(
                "POST", "/agents/a/heartbeat", headers={"Host": "10.0.0.7:8081", "Origin": origin}
            )
            assert status == answer.status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/agents", "DELETE, GET, HEAD"),
        ("GET", "/agents/register", "POST"),
        ("POST", "/agents/groups", "GET, HEAD"),
        ("GET", "/agents/commands", "POST"),
        ("POST", "/agents/a", "DELETE, GET, HEAD"),
        ("GET", "/agents/a/heartbeat", "POST"),
        ("POST", "/agents/a/events", "GET, HEAD"),
        ("POST", "/events", "GET, HEAD"),
        ("DELETE", "/agents/a/commands", "GET, HEAD, POST"),
        ("GET", "/agents/groups/g/commands", "POST"),
        ("GET", "/agents/a/commands/c/ack", "POST"),
        ("POST", "/commands/c", "GET, HEAD"),
        ("POST", "/commands/c/deliveries", "GET, HEAD"),
        ("OPTIONS", "/agents", "DELETE, GET, HEAD"),
        ("POST", "//healthz", "GET, HEAD"),
    ],
)
async def test_a_method_that_an_address_does_not_take(
    served: Served, method: str, path: str, allowed: str
) -> None:
    """405 with those that it does."""
    answer = await served.request(method, path)
    assert (405, allowed) == (answer.status, answer.headers["allow"])
    assert "method-not-allowed" == answer.code


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nix",
        "/agents/",
        "/agents/a/nix",
        "/agents/groups/commands",
        "//index.html",
        "//api",
        "//api/v2",
    ],
)
async def test_an_address_that_is_none(served: Served, path: str) -> None:
    """404, told as every other problem."""
    answer = await served.request("GET", path)
    assert (404, "not-found") == (answer.status, answer.code)


async def test_a_failure_of_the_server_itself(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 that gives nothing away; the log has the traceback."""

    def fail(_node: Node, *_: Any, **__: Any) -> Any:
        raise LookupError("secret detail")

    monkeypatch.setattr(Node, "agents", fail)
    with caplog.at_level(logging.ERROR):
        answer = await served.request("GET", "/agents")
    assert (500, "internal-error") == (answer.status, answer.code)
    assert b"secret" not in answer.body
    [record] = caplog.records
    assert record.exc_info
    assert "secret detail" == str(record.exc_info[1])


async def test_a_failure_after_the_answer_has_begun(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is cut: a second answer in the middle of the first would be read as part."""

    def fail(_node: Node, *_: Any, **__: Any) -> Any:
        raise LookupError("secret detail")

    await served.register("a")
    monkeypatch.setattr(Node, "open_stream", fail)
    async with connected(served) as connection:
        connection.writer.write(b"GET /api/v1/agents/a/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert 200 == (await connection.head()).status
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await connection.chunk()
    assert "secret detail" in caplog.text


async def test_a_connection_error_of_our_own_is_a_failure(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only where the client is gone is there nobody to tell."""

    def fail(_node: Node, *_: Any, **__: Any) -> Any:
        raise ConnectionResetError("some other connection")

    monkeypatch.setattr(Node, "agents", fail)
    answer = await served.request("GET", "/agents")
    assert (500, "internal-error") == (answer.status, answer.code)
    assert "some other connection" in caplog.text
