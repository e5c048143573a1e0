"""Names without end: series, memory and file stay bounded, it is said, and what was counted before goes on exactly."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import time
from pathlib import Path

import pytest
from embedded import BASE, CUMULATIVE, DELTA, EPOCH, Server, export, memory, span
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_llm_routing.analyze.sources.points import Point
from otel_llm_routing.analyze.sources.series import KEY
from otel_llm_routing.serve import store as stores
from otel_llm_routing.serve.limits import Limits
from otel_llm_routing.serve.store import Store

NAMES = int(os.environ.get("NAMES", "12000"))
"""Distinct names of an attack; a million with `make siege`."""
MOST = int(os.environ.get("SERIES", "2000"))
BATCH = 2_000


def flood(first, size, words, temporality=DELTA):
    """Return an export of ``size`` points of as many names that nobody has seen."""
    request = ExportMetricsServiceRequest()
    of = request.resource_metrics.add()
    of.resource.attributes.add(key="service.instance.id").value.string_value = "attacker"
    data = of.scope_metrics.add().metrics.add(name="llm_routing.requests").sum
    data.aggregation_temporality, data.is_monotonic = temporality, True
    for number in range(first, first + size):
        point = data.data_points.add(as_int=1, start_time_unix_nano=EPOCH, time_unix_nano=EPOCH + 10**9)
        for key, text in {**BASE, **words(number)}.items():
            point.attributes.add(key=key).value.string_value = text
    return request


def self_metrics(server):
    return {
        name: int(value)
        for name, value in re.findall(r"^otel_llm_routing_serve_(\w+) (\d+)$", server.get("/metrics"), re.MULTILINE)
    }


ATTACKS = {
    "surfaces": lambda n: {"llm_routing.surface": f"s{n}"},
    "models": lambda n: {"gen_ai.request.model": f"r{n}", "gen_ai.response.model": f"m{n}", "error.type": f"e{n}"},
}


@pytest.mark.timeout(60 + NAMES // 500)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_flood_of_names_is_bounded_said_and_harmless_to_what_was_there(tmp_path, attack):
    server = Server(tmp_path / "t.db", "--max-series", str(MOST))
    server.metrics(export((0, 10, 5), own={"llm_routing.surface": "good"}))
    server.metrics(flood(0, BATCH, ATTACKS[attack]))
    at_first = memory(server)
    for round_, first in enumerate(range(BATCH, NAMES, BATCH), 1):
        server.metrics(flood(first, BATCH, ATTACKS[attack]))
        server.metrics(export((0, 10 + round_, 5 + first), own={"llm_routing.surface": "good"}))
    written = memory(server)
    good = server.mixes()["good"]
    assert good.requests == 5 + first
    assert good.by_model() == {"claude-sonnet-5": 1.0}
    assert server.requests() == good.requests + NAMES  # nobody's request is lost
    metrics = self_metrics(server)
    assert metrics["series"] <= MOST + 1
    assert metrics["overflowed_total"] == NAMES + 1 - MOST
    [notice] = json.loads(server.get("/api/mix"))["notices"]
    assert f"{NAMES + 1 - MOST:,} points were counted as “other”" in notice
    assert "--max-series" in server.errors()
    size = Path(server.db).stat().st_size
    print(
        f"\n{NAMES:,} {attack}: {metrics['series']:,} series; memory {at_first >> 20} MiB at first, {written >> 20} "
        f"when all was written, {memory(server) >> 20} with the page; file {size >> 20} MiB"
    )
    assert written - at_first < 96 << 20
    assert memory(server) - at_first < (96 << 20) + 4096 * MOST
    assert size < 200 * NAMES + (8 << 20)
    assert server.stop() == 0


def test_a_flood_of_spans_is_bounded_as_well(tmp_path):
    server = Server(tmp_path / "t.db", "--max-series", "100")
    for first in range(0, 3000, 300):
        chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}
        server.spans(
            *(span(1 + n, 1 + n, **chat, **{"llm_routing.surface": f"s{n}"}) for n in range(first, first + 300))
        )
    assert server.requests() == 3000
    assert self_metrics(server)["series"] <= 110
    assert server.stop() == 0


def test_long_names_do_not_take_more_room_than_short_ones_may(tmp_path):
    store = Store(str(tmp_path / "t.db"), limits=Limits(series=100_000, text=50_000))
    for number in range(300):
        store.write([point(number, key(surface=f"s{number}", requested="r" * 256, served="m" * 256))])
    assert store.held["series"] < 120
    assert store.notices.overflowed > 180
    store.close()


# What is remembered ---------------------------------------------------------------------------------------------------


def key(**words):
    given = {
        "surface": "s",
        "operation": "chat",
        "kind": "router",
        "match": "resolved",
        "served_source": "body",
        **words,
    }
    return tuple(given.get(name, "") for name in KEY)


def point(stream, key_, value=1.0, at=1, cumulative=True, bucket=None):
    bucket = bucket or int(time.time()) // 10 * 10
    return Point(f"{stream}".encode(), at, cumulative, bucket, "llm_routing.requests", key_, (value,), None)


def total(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT coalesce(sum(value), 0) FROM points").fetchone()[0]


def test_new_streams_are_refused_when_as_many_are_remembered_as_may_be_and_the_known_ones_count_exactly(tmp_path):
    store = Store(str(tmp_path / "t.db"), limits=Limits(streams=100))
    known = [point(number, key()) for number in range(50)]
    assert store.write(known) == 0
    assert store.write([point(f"attack {number}", key()) for number in range(1000)]) == 950
    store.forget(0)
    # A stream that was silent while the attack went on is not taken for a new one, which would count all of it again.
    assert store.write([point(number, key(), value=3.0, at=2) for number in range(50)]) == 0
    assert total(store.path) == 50 + 50 + 50 * 2
    assert store.notices.refused == 950
    assert store.held["streams"] == 100
    store.close()


def test_a_stream_long_silent_makes_room_for_a_new_one(tmp_path):
    store = Store(str(tmp_path / "t.db"), limits=Limits(streams=10))
    store.write([point(number, key()) for number in range(10)])
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        silent = ", ".join(f"x'{number:02x}'" for number in range(0x30, 0x35))
        connection.execute(
            f"UPDATE streams SET seen = seen - ? WHERE id IN ({silent})",  # noqa: S608
            (stores.STREAMS_SPARED + 60,),
        )
        connection.commit()
    assert store.write([point(f"new {number}", key()) for number in range(8)]) == 3
    store.close()


def test_the_refusal_is_told_to_the_sender(tmp_path):
    store = Store(str(tmp_path / "t.db"), limits=Limits(streams=1))
    from otel_llm_routing.serve.receiver import Receiver

    receiver = Receiver(store)
    data = flood(0, 3, ATTACKS["surfaces"], CUMULATIVE).SerializeToString()
    answer = receiver.receive("metrics", data)
    assert answer.partial_success.rejected_data_points == 2
    assert "as many streams are remembered as may be" in answer.partial_success.error_message
    store.close()


def test_what_would_be_known_again_is_bounded_by_the_newest(tmp_path):
    store = Store(str(tmp_path / "t.db"), limits=Limits(seen=50))
    for number in range(200):
        store.write([point(number, key(), cumulative=False)])
    store.forget(0)
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (50,)
    store.close()


# The file -------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_too_large_loses_its_oldest_hours_and_it_is_said(tmp_path):
    store = Store(str(tmp_path / "t.db"), limits=Limits(bytes=1 << 20))
    now = int(time.time()) // 3600 * 3600
    words = [key(surface=f"s{number}") for number in range(400)]
    for hour in range(48, -1, -1):
        found = [
            point(f"{hour} {n} {minute}", of, cumulative=False, bucket=now - 3600 * hour + 60 * minute)
            for n, of in enumerate(words)
            for minute in range(3)
        ]
        store.write(found)
    before = store.held["bytes"]
    store.forget(0)
    assert before > 1 << 20
    assert store.held["bytes"] <= 1 << 20 or store.notices.shortened
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        first, last = connection.execute("SELECT min(bucket), max(bucket) FROM points").fetchone()
    assert last == now + 120
    assert first > now - 48 * 3600
    assert "the oldest" in " ".join(store.notices.sentences())
    store.close()


def test_series_that_retention_emptied_make_room_without_a_restart(tmp_path, monkeypatch):
    store = Store(str(tmp_path / "t.db"), limits=Limits(series=10))
    old = int(time.time()) - 10 * 86_400
    store.write([point(n, key(surface=f"s{n}"), cumulative=False, bucket=old) for n in range(10)])
    store.write([point("a", key(surface="late"))])
    assert store.notices.overflowed == 1
    monkeypatch.setattr(stores, "REFRESH", 0)
    store.forget(time.time() - 86_400)
    store.write([point("b", key(surface="new"))])
    assert store.notices.overflowed == 1
    assert store.held["series"] == 2
    store.close()
