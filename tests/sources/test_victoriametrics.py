"""Counts read from a real VictoriaMetrics, whose query language is its own: they are the truth too."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter

import components
import pytest
import simulation
from simulation import DAY, SLICE, Change, Stream

from otel_llm_routing.analyze.sources import open_source

pytestmark = pytest.mark.timeout(600)

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
STREAMS = (
    Stream("autocomplete", "openrouter/auto", {SONNET: 0.95, HAIKU: 0.05}, 2000, unreported=0.02),
    # A model that is born on the second day, and hours in which nothing is asked.
    Stream(
        "drafts",
        SONNET,
        {SONNET: 1.0},
        400,
        kind="pinned",
        changes=(Change(1, {SONNET: 0.9, HAIKU: 0.1}),),
        silent=((0.5, 0.7),),
    ),
)


class VictoriaMetrics(components.VictoriaMetrics):
    """One that keeps everything, and takes a file."""

    def __init__(self, folder):
        super().__init__(folder, "-retentionPeriod=100y")

    def load(self, openmetrics):
        """Take counters with times in seconds, and make them visible to queries."""
        lines = [line for line in openmetrics.read_text().splitlines() if not line.startswith("#")]
        body = "\n".join(f"{line}000" for line in lines).encode()  # its own import takes milliseconds
        request = urllib.request.Request(f"{self.url}/api/v1/import/prometheus", body, method="POST")
        for wanted in (request, f"{self.url}/internal/force_flush"):
            with urllib.request.urlopen(wanted, timeout=60) as answer:
                answer.read()


@pytest.fixture(scope="module")
def traffic():
    return simulation.simulate(STREAMS, int(time.time()) // DAY * DAY - 4 * DAY, 3, seed=5)


def test_a_real_victoriametrics_gives_the_true_counts(tmp_path, traffic):
    counters = tmp_path / "counters.om"
    simulation.openmetrics(traffic, counters)
    with VictoriaMetrics(tmp_path) as store:
        store.load(counters)
        source = open_source(f"prometheus:{store.url}")
        found, by_hour = Counter(), Counter()
        for count in source.counts(traffic.start, traffic.end, 3600):
            found[count.surface, count.served, count.match, count.error] += count.requests
            by_hour[count.start] += count.requests
        extent = source.extent()
    truth, hours = Counter(), Counter()
    for series, counts in traffic.counts.items():
        truth[series.surface, series.served, series.match, series.error] += int(counts.sum())
        for index, number in enumerate(counts):
            hours[traffic.start + index * SLICE // 3600 * 3600] += int(number)
    assert found == truth
    assert by_hour == +hours
    assert extent is not None
    assert traffic.start <= extent[0] < extent[1] < traffic.end
