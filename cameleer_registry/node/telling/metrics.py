"""What a node holds and has counted, as metrics of Prometheus, made when somebody asks.

Names follow https://prometheus.io/docs/practices/naming/; ``docs/operations.md`` explains each.
No label grows without bound: ids are none, and only so many groups are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import inf
from typing import Any, Final, TypeVar

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ...core.events import CloseReason
from ...core.instant import NANOSECONDS
from ...version import __version__
from ..node import Node
from .histogram import Histogram

OTHER_GROUPS: Final = "_other"
"""Stands for the groups that are not named. None is called that: they begin otherwise."""

T = TypeVar("T")


def gauge(name: str, help: str, values: float | Mapping[Any, float], *labels: str) -> Metric:
    """Make a metric that goes up and down: one value, or one by the value of each label."""
    family = GaugeMetricFamily(name, help, labels=labels)
    for label_values, value in _by_labels(values):
        family.add_metric(label_values, value)
    return family


def counter(name: str, help: str, values: float | Mapping[Any, float], *labels: str) -> Metric:
    """Make a metric that only goes up; its name ends in ``_total``."""
    family = CounterMetricFamily(name, help, labels=labels)
    for label_values, value in _by_labels(values):
        family.add_metric(label_values, value)
    return family


def histogram(
    name: str, help: str, values: Histogram | Mapping[Any, Histogram], *labels: str
) -> Metric:
    """Make a metric of how many values lay below which bounds."""
    family = HistogramMetricFamily(name, help, labels=labels)
    for label_values, measured in _by_labels(values):
        bounds = map(floatToGoString, (*measured.bounds, inf))
        buckets = list(zip(bounds, accumulate(measured.counts), strict=True))
        family.add_metric(label_values, buckets, measured.sum)
    return family


def _by_labels(values: T | Mapping[Any, T]) -> Iterator[tuple[tuple[str, ...], T]]:
    """Return each value with those of its labels, which are a tuple if there are several."""
    if not isinstance(values, Mapping):
        yield (), values
        return
    for key, value in values.items():
        yield key if isinstance(key, tuple) else (key,), value


class NodeCollector(Collector):
    """The metrics of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Make them, of what has been told by now."""
        yield gauge("cameleer_build_info", "Which release this is.", {__version__: 1}, "version")
        yield from self._of_agents()
        yield from self._of_streams()
        yield from self._of_feeds()
        yield from self._of_requests()
        yield from self._of_commands()
        yield from self._of_journal()
        yield from self._of_cluster()
        yield from self._of_tasks()

    def _of_agents(self) -> Iterator[Metric]:
        registry, meters = self._node.registry, self._node.meters
        agents = registry.count_agents()
        groups = registry.count_by_group(self._node.settings.metrics_groups)
        groups[OTHER_GROUPS] = {
            status: count - sum(of_group[status] for of_group in groups.values())
            for status, count in agents.items()
        }
        yield gauge("cameleer_agents", "Agents by status.", agents, "status")
        yield gauge(
            "cameleer_group_agents",
            "Agents by group and status; groups beyond metrics_groups are counted together.",
            {
                (group, status): count
                for group, of_group in groups.items()
                for status, count in of_group.items()
            },
            "group",
            "status",
        )
        yield gauge("cameleer_groups", "Groups that have agents.", registry.count_groups())
        yield counter(
            "cameleer_registrations_total",
            "Registrations: of new agents, and of known ones that resumed.",
            meters.registrations,
            "kind",
        )
        yield counter("cameleer_heartbeats_total", "Heartbeats received.", meters.heartbeats)

    def _of_streams(self) -> Iterator[Metric]:
        streams, meters = self._node.streams, self._node.meters
        yield gauge("cameleer_streams_open", "Agents' streams that are open.", len(streams))
        yield gauge(
            "cameleer_stream_backlog_max_bytes",
            "Bytes waiting in this process for the slowest stream.",
            streams.worst_backlog(),
        )
        yield counter(
            "cameleer_streams_opened_total", "Agents' streams opened.", meters.streams_opened
        )
        yield counter(
            "cameleer_streams_closed_total",
            "Agents' streams closed, by reason.",
            meters.streams_closed,
            "reason",
        )
        yield counter(
            "cameleer_stream_takeovers_total",
            "Streams replaced by a newer one of the same agent.",
            meters.streams_closed[CloseReason.REPLACED],
        )
        yield counter(
            "cameleer_stream_conflicts_total",
            "Times that two processes seemed to use one agent id.",
            meters.conflicts,
        )

    def _of_requests(self) -> Iterator[Metric]:
        meters = self._node.meters
        yield counter(
            "cameleer_refusals_total",
            "Requests refused, by the code of the problem.",
            meters.refusals,
            "code",
        )
        yield counter(
            "cameleer_anonymous_requests_total",
            "Requests without a credential that were served although credentials are checked.",
            meters.anonymous,
        )

    def _of_feeds(self) -> Iterator[Metric]:
        feed = self._node.feed
        yield gauge(
            "cameleer_feeds_open", "Followers of the operators' event feed.", len(feed.streams)
        )
        yield counter(
            "cameleer_feeds_closed_total",
            "Followers of the operators' event feed that have ended, by reason.",
            feed.closed,
            "reason",
        )

    def _of_commands(self) -> Iterator[Metric]:
        meters = self._node.meters
        yield counter(
            "cameleer_commands_issued_total", "Commands issued.", meters.commands_issued, "type"
        )
        yield counter(
            "cameleer_commands_repeated_total",
            "Requests for a command that had been issued under the same Idempotency-Key.",
            meters.commands_repeated,
            "type",
        )
        yield counter(
            "cameleer_commands_finished_total",
            "Commands with no pending deliveries left, by outcome.",
            {(kind, status.lower()): n for (kind, status), n in meters.commands_finished.items()},
            "type",
            "outcome",
        )
        yield counter(
            "cameleer_deliveries_total",
            "Deliveries that have ended, by outcome.",
            meters.deliveries,
            "type",
            "outcome",
        )
        yield counter(
            "cameleer_late_acks_total",
            "Acknowledgements that came after the deadline.",
            meters.late_acks,
            "type",
        )
        yield histogram(
            "cameleer_ack_latency_seconds",
            "Seconds from the issue of a command to an agent's acknowledgement.",
            meters.ack_seconds,
            "type",
        )

    def _of_journal(self) -> Iterator[Metric]:
        """Make those of what is kept; there are none if nothing is."""
        if (figures := self._node.journal.figures()) is None:
            return
        yield histogram(
            "cameleer_journal_commit_seconds",
            "Seconds that it took to make facts durable together.",
            figures.commit_seconds,
        )
        yield histogram(
            "cameleer_journal_commit_facts",
            "Facts that were made durable together.",
            figures.facts_a_commit,
        )
        yield gauge(
            "cameleer_journal_waiting_bytes",
            "Bytes of facts that are not durable yet.",
            figures.waiting,
        )
        yield gauge(
            "cameleer_storage_bytes", "Bytes of the database's files.", figures.sizes, "file"
        )
        yield gauge(
            "cameleer_storage_trouble",
            "1 while changes are refused because they could not be stored.",
            int(figures.in_trouble),
        )
        yield counter(
            "cameleer_storage_refusals_total",
            "Changes refused because they could not be stored, by code.",
            figures.refused,
            "code",
        )

    def _of_cluster(self) -> Iterator[Metric]:
        """Make those of what many nodes share; there are none if this one is alone."""
        shared = self._node.shared
        if shared is None or shared.replica is None:
            return
        figures = shared.shown.figures()
        yield gauge("cameleer_cluster_nodes", "Nodes that take part.", figures.live)
        yield gauge(
            "cameleer_cluster_position",
            "Position of the newest entry of the log that this node has applied.",
            figures.position,
        )
        yield gauge(
            "cameleer_cluster_lag_entries",
            "Entries of the log that this node has yet to apply, as far as it knows.",
            figures.behind,
        )
        yield gauge(
            "cameleer_cluster_silence_seconds",
            "Seconds since an entry of this node's own came back from the log.",
            figures.silent,
        )
        yield gauge(
            "cameleer_cluster_entries_since_copy",
            "Entries of the log since everything was copied.",
            figures.entries_behind_copy,
        )
        yield gauge(
            "cameleer_cluster_copy_age_seconds",
            "Seconds since everything was copied, or since this node started.",
            figures.copy_age,
        )
        yield histogram(
            "cameleer_cluster_append_seconds",
            "Seconds until the log has confirmed an entry.",
            figures.append_seconds,
        )
        yield histogram(
            "cameleer_cluster_entry_inputs",
            "Inputs that were put into the log together.",
            figures.inputs_an_entry,
        )
        yield counter(
            "cameleer_cluster_append_retries_total",
            "Entries that were sent again, since the log had not confirmed them.",
            figures.retries,
        )
        yield counter(
            "cameleer_cluster_divergences_total",
            "Signs of life of other nodes that have derived something else from the log.",
            figures.divergences,
        )
        yield counter(
            "cameleer_cluster_rebuilds_total",
            "Times that this node has begun anew, since it had derived something else than others.",
            figures.rebuilds,
        )

    def _of_tasks(self) -> Iterator[Metric]:
        yield histogram(
            "cameleer_event_loop_lag_seconds",
            "Seconds by which the event loop woke a sleeping task too late.",
            self._node.meters.loop_lag,
        )
        yield counter(
            "cameleer_clock_paused_seconds_total",
            "Seconds for which this process was paused, which count against no lease.",
            self._node.clock.paused / NANOSECONDS,
        )
        yield counter(
            "cameleer_task_restarts_total",
            "Times that a task of the server has ended and was started again.",
            self._node.task_restarts,
            "task",
        )
