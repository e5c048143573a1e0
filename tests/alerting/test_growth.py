"""What each process's counters grew by, in a real Prometheus: outages and restarts, of requests and of sizes."""

from __future__ import annotations

import backfill
import components
import pytest

from otel_llm_routing.generate.growth import growth
from otel_llm_routing.generate.promql import Clock

pytestmark = pytest.mark.timeout(600)

START, SLICE, HOUR = 1_760_000_400, 300, 3600
# What a process says of its two buckets, by the second after START.
SAID = {
    "goes on after five hours": {0: (100, 1000), 5 * HOUR: (110, 1020)},
    "goes on after a day": {0: (100, 1000), 24 * HOUR: (110, 1020)},
    "restarts": {0: (100, 1000), 600: (7, 12)},
    "restarts, and shows more in a bucket": {0: (3, 1000), 600: (7, 12)},
}
GROWN = {
    "goes on after five hours": (110, 1020),
    # Nobody remembers for so long: it counts whole once more.
    "goes on after a day": (210, 2020),
    "restarts": (107, 1012),
    "restarts, and shows more in a bucket": (10, 1012),
}
"""By the end, in each bucket."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("growth")
    path = folder / "samples.om"
    with path.open("w") as file:
        file.write("# TYPE llm_routing_requests counter\n")
        for process, said in SAID.items():
            for at, (_, total) in said.items():
                file.write(f'llm_routing_requests_total{{process="{process}"}} {total} {START + at}\n')
        file.write("# TYPE llm_routing_input_size histogram\n")
        for process, said in SAID.items():
            for number, le in enumerate(("256", "+Inf")):
                labels = f'process="{process}",le="{le}"'
                for at, counts in said.items():
                    file.write(f"llm_routing_input_size_bucket{{{labels}}} {counts[number]} {START + at}\n")
        file.write("# EOF\n")
    backfill.load(folder, path)
    with components.Prometheus(folder) as running:
        yield running


def grown(server, series, apart):
    """Return what every process grew by in all slices."""
    found = {}
    for at in range(START, START + 24 * HOUR + 2 * SLICE, SLICE):
        for labels, value in server.query(growth(series, Clock(), apart), at=at + 30):
            found[labels["process"]] = found.get(labels["process"], 0) + value
    return found


def test_requests_and_sizes_are_remembered_alike(server):
    requests = grown(server, "llm_routing_requests_total", "")
    whole = grown(server, 'llm_routing_input_size_bucket{le="+Inf"}', "le")
    assert requests == whole == {process: total for process, (_, total) in GROWN.items()}


def test_the_buckets_of_a_process_restart_together(server):
    found = grown(server, "llm_routing_input_size_bucket", "le")
    assert found == {process: small + total for process, (small, total) in GROWN.items()}
