"""What Prometheus reads: exact after a known conversation, and bounded after an unknown one."""

from __future__ import annotations

import asyncio
import os
import random
import string
import threading
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import (
    NODE,
    Ack,
    AgentStatus,
    CommandType,
    Node,
    Order,
    Registration,
    Settings,
    Target,
    __version__,
    create_app,
)
from cameleer_registry.core.events import CloseReason
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.node.clock import Clock
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal
from cameleer_registry.web.routes import PAGES, ROUTES

from ..exposition import OPEN_METRICS, parsed, scrape
from ..support import (
    Served,
    connected,
    eventually,
    following,
    running,
    serving,
    streaming,
    virtual_clock,
    within,
)


def registration(agent_id: str, group: str) -> Registration:
    return Registration(agent_id=AgentId(agent_id), group=GroupName(group))


@pytest.mark.looptime(start=1000)
async def test_values_are_exact_after_a_conversation() -> None:
    """Of agents, streams, commands and deliveries; nothing else has happened, and it says so."""
    settings = Settings(max_pending_per_agent=2)
    async with serving(settings, clock=virtual_clock()) as served:
        for agent_id, group in (("a", "g"), ("b", "g"), ("c", "h"), ("d", "h"), ("a", "g")):
            await served.register(agent_id, group)
        for agent_id in ("a", "a", "a", "b", "nobody"):
            await served.request("POST", f"/agents/{agent_id}/heartbeat")
        async with streaming(served, "a"), streaming(served, "a"), streaming(served, "b") as b:
            update = (await served.issue("/agents/groups/g")).json()["commandId"]
            await b.event()
            await asyncio.sleep(0.3)
            await served.ack("a", update)
            await asyncio.sleep(2)
            await served.ack("b", update, {"status": "FAILURE"})
            await served.ack("b", update)
            replay = (await served.issue("/agents/groups/h", "replay")).json()["commandId"]
            await served.request("DELETE", "/agents/d")
            for kind in ("deep-trace", "deep-trace"):
                await served.issue("/agents/groups/h", kind)
            open_now = await scrape(served)
        await eventually(lambda: not len(served.node.streams))
        await asyncio.sleep(60)
        assert 410 == (await served.ack("c", replay)).status
        await asyncio.sleep(50)
        await served.request("POST", "/agents/b/heartbeat")
        await served.issue("/agents/groups/h", "replay")
        now = await scrape(served)

    assert {("LIVE",): 3} == open_now.values("cameleer_agents")
    assert {("LIVE",): 1, ("STALE",): 2} == now.values("cameleer_agents")
    by_group = {("g", "LIVE"): 1, ("g", "STALE"): 1, ("h", "STALE"): 1}
    assert by_group == now.values("cameleer_group_agents")
    assert 2 == now.value("cameleer_groups")
    assert {("new",): 4, ("resumed",): 1} == now.values("cameleer_registrations_total")
    assert 5 == now.value("cameleer_heartbeats_total")

    assert 2 == open_now.value("cameleer_streams_open")
    assert 0 == now.value("cameleer_streams_open")
    assert 3 == now.value("cameleer_streams_opened_total")
    closed = {("client-gone",): 2, ("replaced",): 1}
    assert closed == now.values("cameleer_streams_closed_total")
    assert 1 == now.value("cameleer_stream_takeovers_total")
    assert 0 == now.value("cameleer_stream_conflicts_total")
    assert 0 == now.value("cameleer_stream_backlog_max_bytes")

    issued = {("config-update",): 1, ("replay",): 2, ("deep-trace",): 2}
    assert issued == now.values("cameleer_commands_issued_total")
    finished = {
        ("acknowledged", "config-update"): 1,
        ("expired", "replay"): 1,
        ("expired", "deep-trace"): 1,
        ("undeliverable", "deep-trace"): 1,
        ("undeliverable", "replay"): 1,
    }
    assert finished == now.values("cameleer_commands_finished_total")
    deliveries = {
        ("success", "config-update"): 1,
        ("failure", "config-update"): 1,
        ("agent-removed", "replay"): 1,
        ("expired", "replay"): 1,
        ("expired", "deep-trace"): 1,
        ("skipped", "deep-trace"): 1,
    }
    assert deliveries == now.values("cameleer_deliveries_total")
    assert {("replay",): 1} == now.values("cameleer_late_acks_total")
    latency = now.values("cameleer_ack_latency_seconds_bucket", zeros=True)
    below = {le: latency[le, "config-update"] for le in ("0.25", "0.5", "1.0", "2.5", "+Inf")}
    assert {"0.25": 0, "0.5": 1, "1.0": 1, "2.5": 2, "+Inf": 2} == below
    total = now.value("cameleer_ack_latency_seconds_sum", type="config-update")
    assert pytest.approx(2.6, abs=0.01) == total
    assert {("config-update",): 2} == now.values("cameleer_ack_latency_seconds_count")


async def test_what_is_kept_is_measured(keeping: Served) -> None:
    """Commits and the facts in them, the files, and changes that are refused meanwhile."""
    before = await scrape(keeping)
    for agent_id in ("a", "b", "c"):
        await keeping.register(agent_id)
    await keeping.issue("/agents")
    now = await scrape(keeping)

    def grown(name: str) -> float:
        return now.value(name) - before.value(name)

    commits = grown("cameleer_journal_commit_seconds_count")
    assert 4 == commits == grown("cameleer_journal_commit_facts_count")
    assert 4 <= grown("cameleer_journal_commit_facts_sum")
    assert 0 < grown("cameleer_journal_commit_seconds_sum")
    files = now.values("cameleer_storage_bytes")
    assert {("database",), ("write-ahead-log",)} == files.keys()
    assert all(size >= 4096 for size in files.values())
    assert (0, 0) == (
        now.value("cameleer_journal_waiting_bytes"),
        now.value("cameleer_storage_trouble"),
    )
    assert {} == now.values("cameleer_storage_refusals_total")

    journal = keeping.node.journal
    assert isinstance(journal, SqliteJournal)
    # Not as "space": the keeper looks each second how much of that there is, and there is enough.
    journal.condition.note("test", "the disk is full")
    journal.look()
    assert "storage-unavailable" == (await keeping.register("d")).code
    later = await scrape(keeping)
    assert 1 == later.value("cameleer_storage_trouble")
    assert {("storage-unavailable",): 1} == later.values("cameleer_storage_refusals_total")


async def test_where_nothing_is_kept_there_are_no_metrics_of_it(served: Served) -> None:
    """A gauge of 0 would say that all is well with what there is not."""
    assert not (await scrape(served)).series("cameleer_storage")
    assert not (await scrape(served)).series("cameleer_journal")


@pytest.mark.looptime(start=1000)
async def test_a_scrape_is_exact_whether_or_not_a_monitor_has_run() -> None:
    """What time has brought about is told when somebody asks, in slices between which others run.

    Every status and every expiry is that of the moment of the scrape.
    """
    clock = virtual_clock()
    clock.tick = 10**15  # nobody looks at it meanwhile, which is to be no pause
    async with serving(clock=clock) as served:
        for number in range(1000):
            await served.node.register(registration(f"a{number}", "g"))
        await served.issue("/agents", "replay")
        await served.node.stop()
        for seconds, status in ((89.9, "LIVE"), (0.1, "STALE"), (300, "DEAD")):
            await asyncio.sleep(seconds)
            now = await scrape(served)
            assert {(status,): 1000} == now.values("cameleer_agents")
            assert {("g", status): 1000} == now.values("cameleer_group_agents")
            assert {("expired", "replay"): 1000} == now.values("cameleer_deliveries_total")


async def test_a_scrape_gives_way_while_it_catches_up() -> None:
    """Where thousands went STALE at once, others are served between the slices."""
    hands = [0]
    node = Node(Settings(), clock=Clock(tick=10**15, steady=lambda: hands[0]))
    for number in range(2000):
        await node.register(registration(f"a{number}", "g"))
    hands[0] += 90_000_000_000
    catching_up = asyncio.create_task(node.catch_up())
    told = []
    while not catching_up.done():
        await asyncio.sleep(0)
        told.append(node.registry.count_agents()[AgentStatus.STALE])
    assert 2000 == told[-1]
    assert max(later - earlier for earlier, later in pairwise([0, *told])) <= 500


async def test_conflicts_are_counted(served: Served) -> None:
    """As the log tells of them, once a minute."""
    await served.register("a")
    async with AsyncExitStack() as streams:
        for _ in range(5):
            await streams.enter_async_context(streaming(served, "a"))
        now = await scrape(served)
    assert 1 == now.value("cameleer_stream_conflicts_total")
    assert 4 == now.value("cameleer_stream_takeovers_total")


async def test_the_backlog_is_that_of_the_worst_stream() -> None:
    """In bytes that wait in this process; readers that keep up make it no smaller."""
    async with serving(Settings(max_stream_backlog=2**30)) as served:
        for agent_id in ("a", "b", "c"):
            await served.register(agent_id)
        order = Order(type=CommandType.REPLAY, payload={"much": "x" * 1_000_000})
        async with streaming(served, "a"), streaming(served, "b"), streaming(served, "c"):
            for agent_id in "abbbbbbbbbbbbbbbb":
                await served.node.issue(order, Target.agent(agent_id))
            waiting = {s.agent_id: s.transport.get_write_buffer_size() for s in served.node.streams}
            assert 1_000_000 < waiting["b"] == max(waiting.values())
            now = await scrape(served)
            assert waiting["b"] == now.value("cameleer_stream_backlog_max_bytes")


async def test_followers_of_the_feed_are_counted(served: Served) -> None:
    """While they follow, and when they end, by why."""
    reasons = [(reason,) for reason in ("client-gone", "slow-consumer", "shutdown")]
    before = await scrape(served)
    assert {**dict.fromkeys(reasons, 0), ("credential-over",): 0} == before.values(
        "cameleer_feeds_closed_total", zeros=True
    )
    async with following(served), following(served):
        slow, _ = served.node.feed.streams
        async with following(served):
            assert 3 == (await scrape(served)).value("cameleer_feeds_open")
        await eventually(lambda: len(served.node.feed.streams) == 2)
        served.node.feed.streams.lose(slow, CloseReason.SLOW_CONSUMER)
        await served.node.shut_down()
    now = await scrape(served)
    assert 0 == now.value("cameleer_feeds_open")
    assert dict.fromkeys(reasons, 1) == now.values("cameleer_feeds_closed_total")


# Requests


async def test_requests_are_counted_by_address_not_by_what_fills_it(served: Served) -> None:
    """With the documented spelling of the address; the scrape itself is the last one counted."""
    await served.register("a")
    await served.register("b", "x y")
    for agent_id in ("a", "a", "nobody"):
        await served.request("POST", f"/agents/{agent_id}/heartbeat")
    await served.request("HEAD", "//healthz")
    await served.request("GET", "/nix")
    await served.request("PUT", "/agents")
    expected = {
        ("POST", "/api/v1/agents/register", "201"): 1,
        ("POST", "/api/v1/agents/register", "400"): 1,
        ("POST", "/api/v1/agents/{agentId}/heartbeat", "204"): 2,
        ("POST", "/api/v1/agents/{agentId}/heartbeat", "404"): 1,
        ("HEAD", "/healthz", "200"): 1,
        ("GET", "other", "404"): 1,
        ("PUT", "other", "405"): 1,
    }
    now = await scrape(served)
    assert expected == now.values("cameleer_http_requests_total")
    durations = {("POST", "/api/v1/agents/{agentId}/heartbeat"): 3.0}
    assert durations.items() <= now.values("cameleer_http_request_duration_seconds_count").items()
    again = await scrape(served)
    assert 1 == again.value(
        "cameleer_http_requests_total", method="GET", route="/metrics", status=200
    )


@pytest.mark.looptime(start=1000)
async def test_durations_are_of_the_server_not_of_streams_and_waits() -> None:
    """A stream counts as what it took to open it. Who asks to wait is counted, and not timed."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        async with streaming(served, "a"):
            command_id = (await served.issue("/agents/a")).json()["commandId"]
            await served.request("GET", f"/commands/{command_id}?wait=15")
            await served.request("GET", f"/commands/{command_id}?wait=0")
            await asyncio.sleep(3600)
        async with connected(served) as connection:
            head = (
                b"POST /api/v1/agents/a/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n"
            )
            connection.writer.write(head)
            await asyncio.sleep(2)
            connection.writer.write(b'{"type":"replay"}')
            assert 202 == (await connection.answer()).status
        now = await scrape(served)
    counts = now.values("cameleer_http_request_duration_seconds_count")
    sums = now.values("cameleer_http_request_duration_seconds_sum", zeros=True)
    seconds = {key: round(value, 1) for key, value in sums.items()}
    stream = ("GET", "/api/v1/agents/{agentId}/events")
    assert (1, 0) == (counts[stream], seconds[stream])
    command = ("GET", "/api/v1/commands/{commandId}")
    assert (1, 0) == (counts[command], seconds[command])
    assert 2 == now.values("cameleer_http_requests_total")[*command, "200"]
    issue = ("POST", "/api/v1/agents/{agentId}/commands")
    assert (2, 2) == (counts[issue], seconds[issue])


@pytest.mark.looptime(start=1000)
async def test_answers_to_nobody_are_not_counted() -> None:
    """A client that waits and goes away gets no answer, and no status."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        command_id = (await served.issue("/agents/a")).json()["commandId"]
        async with connected(served) as connection:
            path = f"/api/v1/commands/{command_id}?wait=30"
            connection.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await eventually(lambda: served.node._waiters)
        await eventually(lambda: not served.node._waiters)
        await asyncio.sleep(1)
        requests = (await scrape(served)).values("cameleer_http_requests_total")
    assert {"201", "202"} == {status for _, _, status in requests}


async def test_labels_are_bounded_whatever_is_asked_for() -> None:
    """A thousand addresses, methods and ids that nobody foresaw make no more than a few series."""
    chance = random.Random(4)
    methods = ["GET", "POST", "DELETE", "PROPFIND", "PURGE", "M-SEARCH", "MKCOL", "TRACE", "BREW"]

    def word() -> str:
        letters = string.ascii_letters + string.digits + "%._~-"
        return "".join(chance.choices(letters, k=chance.randint(1, 40)))

    def path() -> str:
        known = ("agents", "commands", "heartbeat", "events", "healthz", "api", "v1", "metrics")
        words = [chance.choice([word(), *known]) for _ in range(chance.randint(1, 6))]
        return chance.choice(["/", "/api/v1/agents/", "/api/v1/commands/"]) + "/".join(words)

    async with serving(Settings(metrics_groups=5)) as served:
        for _ in range(1000):
            await served.request(chance.choice(methods), "/" + path())
            agent_id = f"{chance.randrange(10**9)}"
            await served.node.register(registration(agent_id, f"g-{agent_id}"))
            order = Order(type=chance.choice(list(CommandType)))
            command = await served.node.issue(order, Target.agent(agent_id))
            await served.node.acknowledge(agent_id, command.command_id, Ack())
        now = await scrape(served)
    requests = now.values("cameleer_http_requests_total")
    assert {"GET", "POST", "DELETE", "TRACE", "other"} == {method for method, _, _ in requests}
    routes = {route for _, route, _ in requests}
    assert {"/api/v1/agents/{agentId}", "/metrics", "other"} & routes
    assert len(routes) <= len(ROUTES + PAGES) + 1
    assert 500 < sum(n for (_, route, _), n in requests.items() if route == "other")
    assert 6 * 3 == len(now.values("cameleer_group_agents", zeros=True))
    assert len(now.series("cameleer_")) < 1000


# Groups


async def test_only_so_many_groups_are_named() -> None:
    """Those known longest that have agents; the sum of all is that of the agents."""
    async with serving(Settings(metrics_groups=2)) as served:
        for number in range(10_000):
            await served.node.register(registration(f"a{number}", f"g{number}"))
        await served.node.register(registration("b", "g1"))
        now = await scrape(served)
        expected = {("g0", "LIVE"): 1, ("g1", "LIVE"): 2, ("_other", "LIVE"): 9998}
        assert expected == now.values("cameleer_group_agents")
        assert 10_000 == now.value("cameleer_groups")
        assert 9 == len(now.values("cameleer_group_agents", zeros=True))

        await served.node.remove("a0")
        now = await scrape(served)
        expected = {("g1", "LIVE"): 2, ("g2", "LIVE"): 1, ("_other", "LIVE"): 9997}
        assert expected == now.values("cameleer_group_agents")
        assert 9_999 == now.value("cameleer_groups")


async def test_groups_need_not_be_named() -> None:
    """With metrics_groups 0 they are counted together."""
    async with serving(Settings(metrics_groups=0)) as served:
        await served.register("a")
        now = await scrape(served)
        assert {("_other", "LIVE"): 1} == now.values("cameleer_group_agents")


# The page itself


async def test_both_formats_say_the_same(served: Served) -> None:
    """Each in its own words, to who asks for it."""
    await served.register("a")
    await served.request("POST", "/agents/a/heartbeat")
    both = []
    for accept in ("text/plain", OPEN_METRICS):
        answer = await served.request("GET", "//metrics", headers={"Accept": accept})
        assert answer.body.endswith(b"# EOF\n") == (accept == OPEN_METRICS)
        both.append(parsed(answer))
    text, open_metrics = both
    assert text.series("cameleer_a") == open_metrics.series("cameleer_a")
    assert 1 == text.value("cameleer_heartbeats_total")
    assert 1 == open_metrics.value("cameleer_heartbeats_total")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html,*/*;q=0.8", "text/plain"),
        ("text/plain;version=x", "text/plain"),
        ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.1", "application/open"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/open"),
        ("application/openmetrics-text; version=abc", "application/open"),
        ("application/openmetrics-text; version=9\udcff; escaping=\udcff", "application/open"),
    ],
)
async def test_the_format_is_that_which_is_asked_for(
    served: Served, accept: str, expected: str
) -> None:
    """And what is no version is answered all the same, and repeated to nobody."""
    async with connected(served) as connection:
        head = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"
        connection.writer.write(head.encode("utf-8", "surrogateescape"))
        answer = await connection.answer()
    assert 200 == answer.status
    assert answer.headers["content-type"].startswith(expected)
    assert parsed(answer).value("cameleer_build_info", version=__version__) == 1


async def test_get_and_head_and_no_other(served: Served) -> None:
    """With the headers that every answer has, and without the protocol version of agents."""
    whole = await served.request("HEAD", "//metrics")
    assert (200, b"") == (whole.status, whole.body)
    assert int(whole.headers["content-length"]) > 1000
    assert "no-store" == whole.headers["cache-control"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await served.request(method, "//metrics")
        assert (405, "method-not-allowed") == (answer.status, answer.code)
        assert "GET, HEAD" == answer.headers["allow"]


async def test_it_answers_while_the_server_shuts_down(served: Served) -> None:
    """The last scrape shows the end of the streams."""
    await served.register("a")
    async with streaming(served, "a"):
        await served.node.shut_down()
        now = await scrape(served)
    assert {("shutdown",): 1} == now.values("cameleer_streams_closed_total")


async def test_two_in_one_process_count_for_themselves() -> None:
    """Below the prefix of each, without the prefix in what they count."""
    host, one, other = web.Application(), create_app(), create_app()
    host.add_subapp("/one", one)
    host.add_subapp("/other", other)
    async with running(host) as (name, port):
        first = Served(one[NODE], name, port, "/one")
        second = Served(other[NODE], name, port, "/other")
        await first.register("a")
        await first.request("GET", "/nix")
        assert 1 == (await scrape(first)).value("cameleer_agents", status="LIVE")
        assert {} == (await scrape(second)).values("cameleer_agents")
        expected = {
            ("POST", "/api/v1/agents/register", "201"): 1,
            ("GET", "other", "404"): 1,
            ("GET", "/metrics", "200"): 1,
        }
        assert expected == (await scrape(first)).values("cameleer_http_requests_total")
        again = await scrape(second)
        assert {("GET", "/metrics", "200"): 1} == again.values("cameleer_http_requests_total")
        assert again.series("process_"), "what they have in common, both tell"


async def test_what_a_host_application_answers_in_our_place_is_counted() -> None:
    """Without a duration: it never came to us."""
    host, registry = web.Application(), create_app()
    host.add_subapp("/registry", registry)

    @web.middleware
    async def nobody_may_heartbeat(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.endswith("/heartbeat"):
            return web.Response(status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    host.middlewares.append(nobody_may_heartbeat)
    async with running(host) as (name, port):
        served = Served(registry[NODE], name, port, "/registry")
        async with connected(served) as connection:
            head = b"POST /registry/api/v1/agents/a/heartbeat HTTP/1.1\r\nHost: x\r\n"
            connection.writer.write(head + b"Content-Length: 0\r\n\r\n")
            assert 401 == (await connection.answer()).status
        now = await scrape(served)
    heartbeat = ("POST", "/api/v1/agents/{agentId}/heartbeat")
    assert {(*heartbeat, "401"): 1} == now.values("cameleer_http_requests_total")
    assert {} == now.values("cameleer_http_request_duration_seconds_count")


async def test_the_process_is_read_beside_the_loop(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting open files takes the kernel a while, in which others are served."""
    listing, read = threading.Event(), threading.Event()
    listdir = os.listdir

    def slowly(path: str) -> list[str]:
        listing.set()
        assert read.wait(20)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", slowly)
    asked = asyncio.create_task(scrape(served))
    await eventually(listing.is_set)
    assert 200 == (await served.request("GET", "//healthz")).status
    assert not asked.done()
    read.set()
    now = await within(asked)
    assert now.value("process_open_fds") > 1
    assert now.value("process_resident_memory_bytes") > 1_000_000
    assert now.series("python_gc_collections_total")
    assert now.series("python_info")
