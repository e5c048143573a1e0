"""Samples that are no counts (NaN, Inf, negative) in a real server: left out, said, and nothing else is wrong."""

from __future__ import annotations

import re
from collections import Counter

import backfill
import components
import pytest

from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.generate.growth import growth
from otel_llm_routing.generate.promql import Clock

pytestmark = pytest.mark.timeout(600)

START, SLICE = 1_760_000_400, 300
MINUTES = 240
FROM = 1_000_000
"""What a process has counted before: a sample that is taken for a restart would count it once more."""
SOUND = "sound"
WRONG = ("NaN", "+Inf", "-5")
# Where the wrong sample stands in its slice of five minutes, and what of the process's counts it costs.
PLACES = {"first": 61, "middle": 63, "last": 65}
SAID = "has samples that are no counts (NaN, Inf or negative); they are left out"


def surface(wrong, place):
    return f"{wrong} {place}"


def samples(name):
    """Return the process's samples: a request a minute; the surface's name says which sample is what."""
    found = [str(FROM + minute) for minute in range(MINUTES)]
    if name == "restarted":
        found[100:] = map(str, range(1, MINUTES - 99))
        found[90] = "NaN"
    elif name == "a slice of them":
        found[61:66] = ["NaN"] * 5
    elif name != SOUND:
        wrong, _, place = name.partition(" ")
        found[PLACES[place]] = wrong
    return found


NAMES = [SOUND, "restarted", "a slice of them", *(surface(wrong, place) for wrong in WRONG for place in PLACES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("no-counts")
    path = folder / "samples.om"
    with path.open("w") as file:
        for kind, metric in (("counter", "llm_routing_requests"), ("histogram", "llm_routing_input_size")):
            file.write(f"# TYPE {metric} {kind}\n")
            for name in NAMES:
                labels = f'llm_routing_surface="{name}",gen_ai_response_model="m",llm_routing_match="resolved"'
                ends = (
                    ["_total{" + labels]
                    if kind == "counter"
                    else [f'_bucket{{{labels},le="{le}"' for le in ("256", "+Inf")]
                )
                for end in ends:
                    for minute, value in enumerate(samples(name)):
                        if kind == "counter" or value[0] != "-":  # promtool takes no histogram that is none
                            file.write(f"{metric}{end}}} {value} {START + 60 * minute}\n")
        file.write("# EOF\n")
    backfill.load(folder, path)
    return folder


@pytest.fixture(scope="module", params=["the newest", "2.42"])
def server(request, folder):
    binary = None if request.param == "the newest" else components.debian_prometheus()
    with components.Prometheus(folder, binary=binary) as running:
        yield running


TRUE = FROM + MINUTES - 1
"""Requests: what a process has counted before it is first seen, and one a minute."""


def lost(found):
    """Return what is missing of each surface's requests; none has more than were made."""
    assert set(found) == set(NAMES)
    missing = {name: TRUE - number for name, number in found.items()}
    assert min(missing.values()) == 0
    return {name: number for name, number in missing.items() if number}


def assert_only_the_unknowable_is_missing(found):
    """Only where the largest value of a slice is no count, or none is, its growth and that of the next is not known."""
    missing = lost(found)
    assert all("Inf" in name or name == "a slice of them" for name in missing)
    assert max(missing.values()) <= 2 * SLICE // 60


def test_it_is_left_out_and_said(server):
    source = open_source(f"prometheus:{server.url}")
    found = Counter()
    for count in source.counts(START - SLICE, START + 60 * MINUTES, 0):
        found[count.surface] += count.requests
    assert_only_the_unknowable_is_missing(found)
    assert source.warnings == [f"llm_routing_requests_total {SAID}"]


def test_sizes_are_read_alike(server):
    source = open_source(f"prometheus:{server.url}")
    found = Counter()
    for size in source.sizes(START - SLICE, START + 60 * MINUTES, 0):
        assert size.bound == 256
        found[size.surface] += size.requests
    assert_only_the_unknowable_is_missing(found)
    assert source.warnings == [f"llm_routing_input_size_bucket {SAID}"]


def test_a_time_without_them_is_whole(server):
    source = open_source(f"prometheus:{server.url}")
    late = START + 60 * 110
    assert sum(count.requests for count in source.counts(late, late + 600, 0)) == 10 * len(NAMES)
    # What is looked back at is read as well.
    assert source.warnings == [f"llm_routing_requests_total {SAID}"]
    early = open_source(f"prometheus:{server.url}")
    assert sum(count.requests for count in early.counts(START, START + 1800, 0)) == 30 * len(NAMES)
    assert early.warnings == []


@pytest.mark.parametrize("metric", ["llm_routing_requests_total", "llm_routing_input_size_bucket"])
def test_the_rules_lose_two_slices_of_the_process_at_most_and_count_nothing_twice(server, metric):
    """A sum over a week would be NaN for a week, and a process that goes on would be counted from its start."""
    name = "sound|a slice of them|(NaN|.Inf) .*"
    apart = "le" if metric.endswith("bucket") else ""
    matchers = f'llm_routing_surface=~"{name}", le=~"|256(.0)?"'
    query = growth(f"{metric}{{{matchers}}}", Clock(), apart)
    found = Counter()
    for labels, values in server.range(query, START + 30, START + 60 * MINUTES + SLICE + 30, SLICE):
        found[labels["llm_routing_surface"]] += sum(values.values())
    assert set(found) == {one for one in NAMES if re.fullmatch(name, one)}
    assert found[SOUND] == TRUE
    assert {TRUE - number for number in found.values()} == {0, SLICE // 60 * 2}
