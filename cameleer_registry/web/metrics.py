"""What Prometheus reads: the metrics of the node, of the requests to it, and of the process."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio imports it for the first thread: see below
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from aiohttp import hdrs, web
from attrs import define, field
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from ..node.node import Node
from ..node.telling.histogram import Histogram
from ..node.telling.metrics import NodeCollector, counter, histogram
from .app_keys import NODE

REQUEST_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""From a heartbeat on an idle server up to what a client might take for no answer at all."""

OTHER: Final = "other"
"""Stands for every method that HTTP does not know, and for every address that is none of ours."""

FORMATS: Final = (CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_LATEST)
"""Their Content-Types: the text format of Prometheus, and OpenMetrics."""

_OPEN_METRICS: Final = "application/openmetrics-text"

_ARRIVED = web.RequestKey("cameleer_registry.arrived", float)
"""When a request's head arrived, on the clock of the loop. Absent if it does not matter."""


@define(eq=False)
class AnswerMeter:
    """What was answered to one method on one address."""

    by_status: dict[int, int] = field(factory=dict)
    seconds: Histogram = field(factory=partial(Histogram, REQUEST_SECONDS))

    def count(self, status: int, seconds: float | None) -> None:
        """Count one, with its duration; None if that does not matter."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        if seconds is not None:
            self.seconds.observe(seconds)


class HttpMeter(Collector):
    """Counts answers by method, address and status, and how long they took to begin.

    To begin: so a stream that is open for days counts as what it took to open it, and a long list
    as what it took to find its beginning, however slowly it is read.
    """

    def __init__(self, routes: Mapping[web.AbstractResource, str]) -> None:
        self._routes = routes
        self._answers: dict[tuple[str, str], AnswerMeter] = {}
        # The same by what is at hand when an answer is about to be written, for all that HTTP and
        # this application know.
        self._known: dict[tuple[str, web.AbstractResource | None], AnswerMeter] = {}

    def count(self, request: web.Request, status: int) -> None:
        """Count an answer whose head is about to be written."""
        if request.transport is None:
            return  # there is nobody to answer any more
        seconds = None
        if (arrived := request.get(_ARRIVED)) is not None:
            seconds = asyncio.get_running_loop().time() - arrived
        self.answers_to(request.method, request.match_info.route.resource).count(status, seconds)

    def answers_to(self, method: str, resource: web.AbstractResource | None) -> AnswerMeter:
        """Return what was answered to a method on an address."""
        answers = self._known.get((method, resource))
        return answers or self._answers_to(method, resource)

    def _answers_to(self, method: str, resource: web.AbstractResource | None) -> AnswerMeter:
        known = method in hdrs.METH_ALL and (resource is None or resource in self._routes)
        labels = (
            method if method in hdrs.METH_ALL else OTHER,
            OTHER if resource is None else self._routes.get(resource, OTHER),
        )
        answers = self._answers.get(labels)
        if answers is None:
            answers = self._answers[labels] = AnswerMeter()
        if known:
            self._known[method, resource] = answers
        return answers

    def collect(self) -> Iterator[Metric]:
        """Make metrics of what was counted."""
        yield counter(
            "cameleer_http_requests_total",
            "Requests answered.",
            {
                (*labels, str(status)): n
                for labels, answers in self._answers.items()
                for status, n in answers.by_status.items()
            },
            "method",
            "route",
            "status",
        )
        yield histogram(
            "cameleer_http_request_duration_seconds",
            "Seconds from the arrival of a request's head to the beginning of its answer.",
            {
                labels: answers.seconds
                for labels, answers in self._answers.items()
                if any(answers.seconds.counts)
            },
            "method",
            "route",
        )


class ProcessReader(Collector):
    """The metrics of this process, read in a thread beforehand.

    To count its open files the kernel lists them, which takes 15 ms if there are 20,000. If
    descriptors have run out, it cannot, and the modules that threads need could not be imported.
    """

    def __init__(self) -> None:
        self._collector = ProcessCollector(registry=None)
        self._read: list[Metric] = []

    async def read(self) -> None:
        """Read them, to be collected next."""
        self._read = list(await asyncio.to_thread(self._collector.collect))

    def collect(self) -> Iterable[Metric]:
        """Return them as they were last read."""
        return self._read


class Metrics:
    """All metrics of one application. Nothing in it is shared with another in this process."""

    def __init__(self, node: Node, routes: Mapping[web.AbstractResource, str]) -> None:
        self._node = node
        self._registry = CollectorRegistry()
        self._process = ProcessReader()
        self.http = HttpMeter(routes)
        for collector in (NodeCollector(node), self.http, self._process):
            self._registry.register(collector)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def expose(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in the requested format, and its Content-Type.

        That is OpenMetrics if it is named, and the text format otherwise. The rest of an Accept
        header is not passed on, because versions that do not exist would be answered with an error.
        """
        await self._process.read()
        await self._node.catch_up()
        kinds = [kind.partition(";")[0].strip() for kind in accept.split(",")]
        encode, content_type = choose_encoder(_OPEN_METRICS if _OPEN_METRICS in kinds else "")
        return encode(self._registry), content_type


METRICS = web.AppKey("cameleer_registry.metrics", Metrics)


def add_to(app: web.Application, routes: Mapping[web.AbstractResource, str]) -> None:
    """Meter an application; ``routes`` are its addresses, as they are to be called."""
    app[METRICS] = Metrics(app[NODE], routes)


def arrived(request: web.Request) -> None:
    """Note that a request has arrived."""
    request[_ARRIVED] = asyncio.get_running_loop().time()


def waits(request: web.Request) -> None:
    """Leave a request out of the durations, because its client wants it to take long."""
    request.pop(_ARRIVED, None)


async def show_metrics(request: web.Request) -> web.Response:
    """``GET /metrics``: also while the server shuts down."""
    accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
    body, content_type = await request.app[METRICS].expose(accept)
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})
