"""The way to servers, through proxies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from cameleer_registry import ServerUnreachable
from cameleer_registry.client import Agent, Operator
from cameleer_registry.client.fleet import Fleet
from cameleer_registry.client.proxies import Proxies

from ..support import Served, eventually, within
from .support import connected, listening, running_agent

ELSEWHERE = "http://registry.invalid:8081"


@pytest.fixture(autouse=True)
def _none_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "http://h", None),
        ({"http_proxy": "http://p:3128"}, "http://h", "http://p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "http://h", "http://p:3128"),
        ({"http_proxy": "p:3128"}, "http://h", "http://p:3128"),
        ({"http_proxy": "http://p:3128"}, "https://h", None),
        ({"https_proxy": "http://p:3128"}, "https://h", "http://p:3128"),
        ({"all_proxy": "http://p:3128"}, "https://h", "http://p:3128"),
        ({"http_proxy": "http://p", "no_proxy": "h"}, "http://h:8081", None),
        ({"http_proxy": "http://p", "no_proxy": ".x"}, "http://h.x", None),
        ({"http_proxy": "http://p", "no_proxy": "*"}, "http://h", None),
        ({"http_proxy": "http://p", "no_proxy": "h:1"}, "http://h:2", "http://p"),
        ({"http_proxy": "http://u:s@p", "no_proxy": ""}, "http://h", "http://u:s@p"),
        ({"http_proxy": ""}, "http://h", None),
    ],
)
def test_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    url: str,
    expected: str | None,
) -> None:
    """As curl reads it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (URL(expected) if expected else None) == Proxies().to(URL(url))
    assert None is Proxies("").to(URL(url))
    assert URL("http://named") == Proxies("http://named").to(URL(url))


@pytest.mark.parametrize(
    "wrong", ["socks5://u:s3cret@p", "http://u:s3cret@", "http://u:s3cret@p:x"]
)
def test_what_is_no_proxy(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """It is refused at once if it is named, and told if it is the environment's."""
    with pytest.raises(ValueError, match="expected a proxy such as") as caught:
        Operator(ELSEWHERE, proxy=wrong)
    assert "s3cret" not in str(caught.value)
    monkeypatch.setenv("http_proxy", wrong)
    with pytest.raises(ValueError, match="expected a proxy such as"):
        Proxies().to(URL(ELSEWHERE))


@asynccontextmanager
async def forwarding(served: Served) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Be a proxy that takes whatever is asked for to one server; collect the heads."""
    heads: list[bytes] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if data.startswith((b"GET http", b"POST http")):  # one more on the same connection
                    heads.append(data)
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        heads.append(head)
        far_reader, far_writer = await asyncio.open_connection(served.host, served.port)
        far_writer.write(head.replace(ELSEWHERE.encode(), b"", 1))
        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    async with listening(serve) as address:
        yield address, heads


@pytest.mark.parametrize("by", ["environment", "option", "session"])
async def test_all_of_an_agents_requests_go_through_it(
    served: Served, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Registration, stream and all else; with the name and the password for the proxy."""
    async with forwarding(served) as (address, heads):
        url = f"http://u:s3cret@{address}"
        session = aiohttp.ClientSession(proxy=url) if by == "session" else None
        if by == "environment":
            monkeypatch.setenv("http_proxy", url)
        agent = Agent(
            ELSEWHERE,
            agent_id="a",
            group="g",
            session=session,
            proxy=url if by == "option" else None,
        )
        async with running_agent(agent):
            await connected(served)
        if session is not None:
            await session.close()
    assert {b"POST", b"GET"} == {head.split()[0] for head in heads}
    assert all(b"Proxy-Authorization: Basic dTpzM2NyZXQ=" in head for head in heads)


async def test_operators_and_fleets_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is made of the client."""
    async with forwarding(served) as (address, heads):
        monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
        async with Operator(ELSEWHERE) as operator:
            assert [] == await operator.groups()
        fleet = asyncio.create_task(Fleet(ELSEWHERE, agents=1).run())
        await connected(served, "sim-0001")
        fleet.cancel()
        await asyncio.gather(fleet, return_exceptions=True)
        await eventually(lambda: not served.node.agent("sim-0001").connected)
    assert len(heads) >= 3


async def test_a_proxy_that_is_not_there() -> None:
    """It is told from a server that is not, and its password is not told."""
    async with Operator(ELSEWHERE, proxy="http://u:s3cret@127.0.0.1:1") as operator:
        with pytest.raises(ServerUnreachable) as caught:
            await within(operator.groups())
    assert f"cannot reach {ELSEWHERE}: its proxy: Connection refused" == str(caught.value)


async def test_a_proxy_that_refuses() -> None:
    """The password for it is not told either."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with listening(refuse) as address:
        proxy = f"http://u:s3cret@{address}"
        for url, told in (
            ("https://registry.invalid", "its proxy answered 407 Who are you?"),
            (ELSEWHERE, "was answered 407 Who are you?: no registry's"),
        ):
            async with Operator(url, proxy=proxy) as operator:
                with pytest.raises(ServerUnreachable) as caught:
                    await within(operator.groups())
            assert told in str(caught.value)
            assert "s3cret" not in str(caught.value)
