"""Reading what /metrics says, with the parsers of prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen
from prometheus_client import parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics

from .support import Answer, Served

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@frozen
class Scrape:
    """All that was told at one moment."""

    families: list[Metric]

    def value(self, name: str, **labels: Any) -> float:
        """Return the value of a sample, which has just these labels."""
        labels = {key: str(value) for key, value in labels.items()}
        [value] = [s.value for s in self._samples() if (s.name, s.labels) == (name, labels)]
        return float(value)

    def values(self, name: str, *, zeros: bool = False) -> dict[tuple[str, ...], float]:
        """Return the values of a name by those of its labels, in order of the labels' names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value
            for sample in self._samples()
            if sample.name == name and (zeros or sample.value)
        }

    def series(self, prefix: str = "") -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Return the names and labels of all samples."""
        return {
            (sample.name, frozenset(sample.labels.items()))
            for sample in self._samples()
            if sample.name.startswith(prefix)
        }

    def _samples(self) -> Iterator[Any]:
        return (sample for family in self.families for sample in family.samples)


async def scrape(served: Served) -> Scrape:
    """Ask for the metrics, as a person or an older Prometheus would."""
    answer = await served.request("GET", f"/{served.prefix}/metrics")
    return parsed(answer)


def parsed(answer: Answer) -> Scrape:
    """Parse metrics in the format that the answer says they are in."""
    assert 200 == answer.status
    kind = answer.headers["content-type"]
    text = answer.body.decode()
    if kind == "application/openmetrics-text; version=1.0.0; charset=utf-8":
        families = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        return Scrape(list(families))
    assert "text/plain; version=0.0.4; charset=utf-8" == kind
    return Scrape(list(parser.text_string_to_metric_families(text)))
