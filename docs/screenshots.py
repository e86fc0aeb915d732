"""Make the pictures of the console in docs/images: ``python docs/screenshots.py``.

It needs Chromium, and what ``pip install -e '.[pictures]'`` installs.

It serves a registry in this process, fills it, and lets Chromium look at it. The pictures are the
same on every machine but for the fonts: Debian's fonts-inter and fonts-jetbrains-mono are meant.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from attrs import define
from PIL import Image
from playwright.async_api import Browser, async_playwright

from cameleer_registry import (
    NODE,
    Ack,
    AgentStatus,
    Node,
    Order,
    Outcome,
    Registration,
    Settings,
    Target,
    create_app,
)
from cameleer_registry.core.rules import AgentId, GroupName, Label, Note
from cameleer_registry.node.clock import Clock

IMAGES: Final = Path(__file__).parent / "images"

SERVICES: Final = (
    "billing",
    "customer-hub",
    "edi-gateway",
    "fraud-check",
    "inventory",
    "ledger-sync",
    "notification",
    "order-service",
    "pricing",
    "returns",
    "search-index",
    "shipping",
)
VERSIONS: Final = ("2.4.1",) * 12 + ("2.4.0",) * 5 + ("2.3.9", "2.3.9", "2.10.0-rc.1")
CAPABILITIES: Final = ("replay", "deep-trace", "tracing", "circuit-breaker")
LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes the ends of the names of pods of."""

TICK: Final = 1_000_000_000
"""Nanoseconds: steps of up to twice that are no pauses of the process."""

ENDS: Final = ("in", "out", "dead-letter")
MESSAGES: Final = (
    "Unknown key 'sampling' in the configuration",
    "Route orders-in is stopped",
    "Timed out while the context was reloaded",
)


class Nowhere(asyncio.Transport):
    """The connection of an agent that is only there to be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self._protocol: asyncio.BaseProtocol = asyncio.Protocol()
        self._closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Remember whom to tell of the end."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whom to tell of the end."""
        return self._protocol

    def write(self, data: Any) -> None:
        """Drop it."""

    def get_write_buffer_size(self) -> int:
        """Say that all has been taken."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignore it: nothing waits here."""

    def resume_reading(self) -> None:
        """Ignore it: nothing comes from here."""

    def is_closing(self) -> bool:
        """Tell whether its end has come."""
        return self._closing

    def close(self) -> None:
        """End at once."""
        self._closing = True
        asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close


@define
class Stage:
    """A registry whose past can be made up: its clock begins some minutes ago."""

    node: Node
    url: str
    behind: float

    def pass_by(self, seconds: float) -> None:
        """Let time go by, in steps so small that the clock takes none for a pause."""
        while seconds > 0:
            step = min(seconds, 0.5)
            self.behind -= step
            seconds -= step
            now = self.node.clock.now()
            self.node.carry_out(self.node.registry.sweep_leases(now=now))

    async def join(self, agent_id: str, group: str, *, connected: bool = True) -> None:
        """Register an agent, with its stream open or not."""
        service = group.rsplit("-", 1)[0]
        await self.node.register(
            Registration(
                agent_id=AgentId(agent_id),
                group=GroupName(group),
                name=Label(service.replace("-", " ").capitalize()),
                version=Note(random.choice(VERSIONS)),
                route_ids=tuple(Label(f"{service}-{end}") for end in ENDS[: random.choice((2, 3))]),
                capabilities={
                    name: {"sampling": 0.1} if name == "tracing" else True
                    for name in CAPABILITIES[: random.choice((2, 3, 3, 4))]
                },
                instance_id=Note(f"{random.getrandbits(32):08x}"),
            )
        )
        if connected:
            self.node.open_stream(agent_id, Nowhere(), chunked=True)


@asynccontextmanager
async def stage(minutes: float = 0) -> AsyncIterator[Stage]:
    """Serve a registry that began so many minutes ago."""
    random.seed(4)
    behind = minutes * 60

    def shift() -> int:
        return round((made.behind if made else behind) * 1_000_000_000)

    made: Stage | None = None
    clock = Clock(
        tick=TICK,
        steady=lambda: time.monotonic_ns() - shift(),
        wall=lambda: time.time_ns() - shift(),
    )
    app = create_app(
        Settings(command_ttl=120, name="Production EU", name_color="teal"), clock=clock
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made = Stage(app[NODE], f"http://127.0.0.1:{site.port}", behind)
    try:
        yield made
    finally:
        await runner.cleanup()


def pod(group: str) -> str:
    """Return a name for one more pod of a deployment, as Kubernetes makes them."""
    ends = ("".join(random.choices(LETTERS, k=length)) for length in (9, 5))
    return "-".join((group, *ends))


def names(count: int) -> list[tuple[str, str]]:
    """Return ids and groups for so many agents."""
    found = []
    for number in range(count):
        turn, which = divmod(number, len(SERVICES))
        group = f"{SERVICES[which]}-{'staging' if turn % 4 == 3 else 'prod'}"
        found.append((pod(group), group))
    return found


async def crowd(made: Stage, count: int) -> None:
    """Fill a registry with a fleet of which some fell silent."""
    agents = names(count)
    random.shuffle(agents)
    dead, stale = count // 1100, count // 55
    for agent_id, group in agents[:dead]:
        await made.join(agent_id, group, connected=False)
    made.pass_by(made.behind - 130)
    for agent_id, group in agents[dead : dead + stale]:
        await made.join(agent_id, group, connected=random.random() < 0.3)
    made.pass_by(made.behind - 60)
    for agent_id, group in agents[dead + stale :]:
        await made.join(agent_id, group, connected=random.random() < 0.99)
    made.pass_by(made.behind)


async def live(made: Stage) -> None:
    """Let a little happen in a fleet, a few seconds after each other."""
    silent = [agent.agent_id for agent in made.node.agents(statuses={AgentStatus.STALE})]
    made.behind = 50
    for which in (0, 1, 2):
        made.node.heartbeat(silent[which])
        made.pass_by(7)
    gone = made.node.agents(statuses={AgentStatus.DEAD})[0]
    await made.node.remove(gone.agent_id)
    made.pass_by(6)
    target = Target.of_group("billing-staging")
    command = await made.node.issue(Order(type="replay"), target)
    made.pass_by(3)
    await answer(made, command.command_id, 1)
    made.pass_by(4)
    for _ in range(4):
        await made.join(pod("pricing-prod"), "pricing-prod")
        made.pass_by(3)
    made.pass_by(made.behind)


async def answer(made: Stage, command_id: str, share: float) -> None:
    """Let a share of the targets acknowledge a command, some of them with a failure."""
    deliveries = made.node.deliveries(command_id)
    for delivery in random.sample(deliveries, round(len(deliveries) * share)):
        ack = Ack(message="applied", data={"revision": 42})
        if random.random() < 0.06:
            ack = Ack(status=Outcome.FAILURE, message=random.choice(MESSAGES))
        await made.node.acknowledge(delivery.agent_id, command_id, ack)
    await asyncio.sleep(0.3)  # until the feed has told it


async def answer_with_failures(made: Stage) -> None:
    """Issue a few commands more, of which one fails everywhere."""
    for group, payload in (("billing-staging", {"exchange": "ID-7f3c-19"}), ("pricing-prod", {})):
        command = await made.node.issue(
            Order(type="replay", payload=payload), Target.of_group(group)
        )
        ack = Ack(status=Outcome.FAILURE, message="Route billing-in is stopped")
        for delivery in made.node.deliveries(command.command_id):
            said = ack if payload else Ack(message="replayed")
            await made.node.acknowledge(delivery.agent_id, command.command_id, said)
    await asyncio.sleep(0.3)


async def take(
    browser: Browser,
    made: Stage,
    name: str,
    route: str = "",
    *,
    size: tuple[int, int] = (1280, 760),
    dark: bool = False,
    clicks: Sequence[str] = (),
) -> None:
    """Make one picture, after a click on each of these."""
    scheme: Any = "dark" if dark else "light"
    viewport: Any = {"width": size[0], "height": size[1]}
    page = await browser.new_page(viewport=viewport, color_scheme=scheme, locale="en-GB")
    await page.goto(f"{made.url}/{route}")
    await page.locator("html[data-connection=live]").wait_for()
    await page.wait_for_timeout(1500)  # what is fetched has come, and what moves has arrived
    for click in clicks:
        await page.locator(click).first.click()
    path = IMAGES / f"console-{name}.png"
    await page.screenshot(path=path, animations="disabled")
    await page.close()
    Image.open(path).convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")


async def main() -> None:
    """Make them all."""
    logging.getLogger("cameleer_registry").setLevel(logging.CRITICAL)
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        async with stage() as made:
            await take(browser, made, "empty")
        async with stage(1) as made:
            for number in (1, 2, 3):
                await made.join(
                    f"order-service-{number}", "order-service-prod", connected=number < 3
                )
            made.pass_by(made.behind)
            made.node.heartbeat("order-service-1")
            command = await made.node.issue(
                Order(type="config-update", payload={"revision": 42}),
                Target.of_group("order-service-prod"),
            )
            await answer(made, command.command_id, 1)
            await made.node.issue(Order(type="deep-trace"), Target.agent("order-service-1"))
            await take(browser, made, "agent", "#/agents/order-service-1")
        async with stage(9) as made:
            await crowd(made, 10_000)
            await live(made)
            await take(browser, made, "fleet", "#/agents?sort=status", size=(1920, 1000))
            boxes = [f".rows .row:nth-child({row}) .of-check input" for row in (2, 3, 5)]
            stale = "#/agents?status=STALE&version=2.4.0"
            await take(browser, made, "choosing", stale, clicks=[*boxes, ".facets-button"])
            await take(browser, made, "dark", "#/groups", dark=True)
            command = await made.node.issue(
                Order(type="config-update", payload={"revision": 42, "sampling": {"rate": 0.25}}),
                Target.of_group("order-service-prod"),
            )
            await answer(made, command.command_id, 0.86)
            await answer_with_failures(made)
            await take(browser, made, "command", f"#/commands/{command.command_id}")
            opened = [".timeline .row:has-text('failed') time"]
            await take(browser, made, "timeline", "#/timeline", clicks=opened)
            await take(browser, made, "narrow", "#/agents?sort=status", size=(400, 760))
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
