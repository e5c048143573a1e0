"""Input sizes by bucket, from the store and from Prometheus; and many counts at once."""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import backfill
import components
import numpy as np
import pytest

from otel_llm_routing.analyze import history
from otel_llm_routing.analyze.sources import Batched, SizeCount, open_source
from otel_llm_routing.analyze.sources.points import BUCKET, Point
from otel_llm_routing.serve.store import Store

pytestmark = pytest.mark.timeout(600)

START = int(time.time()) // 86_400 * 86_400 - 2 * 86_400
STEP = 300
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
SIZES, REQUESTS = "llm_routing.input_size", "llm_routing.requests"


def series(served=SONNET, *, surface="autocomplete", provider="openai", match="resolved", cached="", error=""):
    return (surface, provider, "chat", "auto", served, "router", match, "body", cached, error, "shop")


@pytest.fixture
def store(tmp_path):
    """Return how to write delta points: (seconds after START, metric, series, values, bounds)."""
    with contextlib.closing(Store(str(tmp_path / "counts.db"))) as opened:

        def write(*points):
            opened.write(
                Point(
                    f"{at} {of} {number}".encode(), 1, False, (START + at) // BUCKET * BUCKET, name, of, values, bounds
                )
                for number, (at, name, of, values, bounds) in enumerate(points)
            )
            return open_source(f"sqlite:{tmp_path / 'counts.db'}")

        yield write


def of_sizes(source, end=3600, step=STEP):
    found = Counter()
    for size in source.sizes(START, START + end, step):
        assert isinstance(size, SizeCount)
        found[size.start - START, size.surface, size.served, size.bound] += size.requests
    return dict(found)


def test_the_store_adds_up_sizes_over_providers_and_time(store):
    bounds = ("256", "512", "+Inf")
    source = store(
        (0, SIZES, series(), (6.0, 900.0, 1.0, 2.0, 3.0), bounds),
        (290, SIZES, series(provider="azure"), (2.0, 100.0, 2.0, 0.0, 0.0), bounds),
        (300, SIZES, series(), (1.0, 9999.0, 0.0, 0.0, 1.0), bounds),
        (310, SIZES, series(HAIKU), (1.0, 5.0, 1.0, 0.0, 0.0), bounds),
        (320, "llm_routing.duration", series(), (1.0, 5.0, 1.0, 0.0, 0.0), bounds),
        (3600, SIZES, series(), (1.0, 5.0, 1.0, 0.0, 0.0), bounds),
    )
    assert of_sizes(source) == {
        (0, "autocomplete", SONNET, 256.0): 3,
        (0, "autocomplete", SONNET, 512.0): 2,
        (0, "autocomplete", SONNET, math.inf): 3,
        (300, "autocomplete", SONNET, math.inf): 1,
        (300, "autocomplete", HAIKU, 256.0): 1,
    }
    assert {at for at, *_ in of_sizes(source, step=0)} == {0, 290, 300, 310}
    assert sum(of_sizes(source, step=3600).values()) == 10
    assert source.warnings == []


def test_a_store_without_sizes_has_none(store):
    source = store((0, REQUESTS, series(), (5.0,), None))
    assert of_sizes(source) == {}


# Prometheus -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def answering():
    """Return how to make a source whose server gives these series to every query."""
    with contextlib.ExitStack() as stack:

        def make(*found):
            class Handler(BaseHTTPRequestHandler):
                def do_POST(self):
                    self.rfile.read(int(self.headers["content-length"]))
                    data = {"resultType": "matrix", "result": [{"metric": m, "values": v} for m, v in found]}
                    body = json.dumps({"status": "success", "data": data}).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *_):
                    pass

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            return open_source(f"http://127.0.0.1:{server.server_port}")

        yield make


def bucket(le, value, at=STEP, **labels):
    given = {"llm_routing_surface": "autocomplete", "gen_ai_request_model": "auto", "gen_ai_response_model": SONNET}
    return {**given, **labels, **({} if le is None else {"le": le})}, [[START + at, str(value)]]


def test_classic_buckets_are_cumulative_and_come_in_any_order_and_spelling(answering):
    source = answering(bucket("+Inf", 10), bucket("512", 3), bucket("256.0", 3), bucket("1024", 8), bucket("2.56e2", 1))
    assert of_sizes(source) == {
        (0, "autocomplete", SONNET, 256.0): 4,
        (0, "autocomplete", SONNET, 1024.0): 4,
        (0, "autocomplete", SONNET, math.inf): 2,
    }


def test_processes_with_different_bounds_lose_no_request(answering):
    # One counts five up to 256, the other three up to 512.
    source = answering(bucket("256", 5), bucket("512", 3), bucket("+Inf", 8))
    assert of_sizes(source) == {(0, "autocomplete", SONNET, 256.0): 5, (0, "autocomplete", SONNET, math.inf): 3}


@pytest.mark.parametrize("le", [None, "", "NaN", "wide"])
def test_a_bucket_without_a_bound_is_the_last(answering, le):
    source = answering(bucket("256", 5), bucket(le, 7))
    assert of_sizes(source) == {(0, "autocomplete", SONNET, 256.0): 5, (0, "autocomplete", SONNET, math.inf): 2}


def test_series_that_say_nothing_are_unknown(answering):
    source = answering(({"le": "+Inf"}, [[START + STEP, "4"]]))
    assert list(source.sizes(START, START + 3600, STEP)) == [SizeCount(START, "unknown", "", "", math.inf, 4)]


@pytest.mark.parametrize("find", [components.tool, components.debian_prometheus], ids=["3", "2.42"])
def test_births_resets_and_increases_of_a_real_histogram(tmp_path, find):
    binary = find("prometheus")
    # Minutes, and the cumulative buckets 256, 512 and +Inf.
    one = {1: (2, 3, 4), 2: (2, 3, 4), 7: (2, 5, 9), 16: (3, 3, 3), 17: (3, 4, 5), 33: (9, 10, 11), 34: (1, 1, 2)}
    other = {8: (1, 1, 1), 12: (1, 1, 4)}
    with (tmp_path / "sizes.om").open("w", encoding="utf-8") as file:
        file.write("# TYPE llm_routing_input_size histogram\n")
        for instance, found in (("1", one), ("2", other)):
            words = f'instance="{instance}",llm_routing_surface="a",gen_ai_request_model="auto"'
            for le, number in (("256", 0), ("512", 1), ("+Inf", 2)):
                file.writelines(
                    f'llm_routing_input_size_bucket{{{words},le="{le}"}} {values[number]} {START + 60 * minute + 7}\n'
                    for minute, values in found.items()
                )
        file.write("# EOF\n")
    backfill.load(tmp_path, tmp_path / "sizes.om")
    with components.Prometheus(tmp_path, binary=binary) as prometheus:
        found = of_sizes(open_source(prometheus.url))
    # In the 16th minute the smallest bucket grew, and yet all began anew: the others fell.
    assert {(at // 60, bound): number for (at, _, _, bound), number in found.items()} == {
        (0, 256.0): 2,
        (0, 512.0): 1,
        (0, math.inf): 1,
        (5, 256.0): 1,
        (5, 512.0): 2,
        (5, math.inf): 3,
        (10, math.inf): 3,
        (15, 256.0): 3,
        (15, 512.0): 1,
        (15, math.inf): 1,
        # From 3, 4 and 5 up to 9, 10 and 11, and from zero to 1, 1 and 2.
        (30, 256.0): 7,
        (30, math.inf): 1,
    }, found


# Many counts at once --------------------------------------------------------------------------------------------------


def test_batches_give_the_history_that_counts_give(store):
    random = np.random.default_rng(5)
    kinds = [
        *(series(f"m{n}", surface=f"s{n % 3}", provider=("openai", "azure")[n % 2]) for n in range(6)),
        series(provider="azure"),
        series(provider="openai"),
        series("", match="unreported"),
        series("", match="unreported", error="timeout"),
        series(cached="true"),
    ]
    points = [
        (int(at), REQUESTS, kinds[number % len(kinds)], (float(random.integers(1, 9)),), None)
        for number, at in enumerate(np.sort(random.integers(0, 85_000, 900)))
        if not 30_000 < at < 40_000
    ]
    points.append((86_000, REQUESTS, series(cached="true"), (5.0,), None))
    source = store(*points)
    assert isinstance(source, Batched)
    by_batches = history.read(source, START + 86_400, 86_400, STEP)
    by_counts = history.History(START, STEP, 288)
    by_counts.add(source.counts(START, START + 86_400, STEP))
    assert by_batches.last == by_counts.last == 286
    for found, expected in ((by_batches.known, by_counts.known), (by_batches.unknown, by_counts.unknown)):
        assert set(found) == set(expected)
        assert all(np.array_equal(found[key], expected[key]) for key in expected)
    again = history.History(START, STEP, 288)
    for begin in (0, 43_200):
        again.take(source, START + begin, START + begin + 43_200)
    assert all(np.array_equal(again.known[key], by_counts.known[key]) for key in by_counts.known)
    assert again.last == 286


@pytest.mark.parametrize("step", [0, 1, 10, 25, 300, 7000, 86_400])
def test_every_step_adds_up_to_the_same_and_begins_where_it_should(store, step):
    points = [(at, REQUESTS, series(), (1.0,), None) for at in range(0, 20_000, 70)]
    begin = START + 35
    counts = list(store(*points).counts(begin, START + 15_000, step))
    buckets = [START + at // BUCKET * BUCKET for at in range(0, 20_000, 70)]
    expected = Counter(
        begin + (at - begin) // step * step if step else at for at in buckets if begin <= at < START + 15_000
    )
    assert {count.start: count.requests for count in counts} == expected


def test_progress_of_the_store_reaches_the_end(store, tmp_path):
    store(*((at, REQUESTS, series(), (1.0,), None) for at in range(0, 3600, 600)))
    told = []
    source = open_source(f"sqlite:{tmp_path / 'counts.db'}", progress=lambda done, total: told.append((done, total)))
    assert len(list(source.counts(START, START + 7200, STEP))) == 6
    assert told[-1] == (3000, 3000)
    assert told == sorted(told)
