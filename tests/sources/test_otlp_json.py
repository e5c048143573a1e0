"""The Collector's OTLP-JSON files: what is good in them is counted once, and what is not is said."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from otel_llm_routing.analyze.report.build import build
from otel_llm_routing.analyze.sources import SourceError, TokenCount, open_source, otlp_json

T0 = int(time.time()) // 86_400 * 86_400 - 3 * 86_400
"""Midnight three days ago, in seconds."""
DAY = 86_400
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
BASE = {
    "llm_routing.surface": "autocomplete",
    "gen_ai.provider.name": "openai",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "openrouter/auto",
    "gen_ai.response.model": SONNET,
    "llm_routing.request.kind": "router",
    "llm_routing.match": "resolved",
    "llm_routing.served.source": "body",
}


def attributes(given):
    return [{"key": key, "value": {"stringValue": value}} for key, value in given.items()]


def nanos(seconds):
    """Return ``seconds`` after T0 as OTLP writes a time."""
    return str(round((T0 + seconds) * 10**9))


def point(at, value, start=0, **changed):
    """Return a point at ``at`` seconds after T0, of a process that began at ``start``."""
    words = {**BASE, **{name: text for name, text in changed.items() if "." in name}}
    if "served" in changed:
        words["gen_ai.response.model"] = changed["served"]
    return {
        "attributes": attributes(words),
        "startTimeUnixNano": nanos(start),
        "timeUnixNano": nanos(at),
        "asInt": str(value),
    }


def request(*points, temporality=2, process="1", resource=None, name="llm_routing.requests"):
    """Return one line as a document."""
    data = {"dataPoints": [*points], "aggregationTemporality": temporality, "isMonotonic": True}
    given = {"service.name": "shop", "service.instance.id": process} if resource is None else resource
    scope = {"scope": {"name": "otel_llm_routing", "version": "1"}, "metrics": [{"name": name, "sum": data}]}
    return {"resourceMetrics": [{"resource": {"attributes": attributes(given)}, "scopeMetrics": [scope]}]}


def line(*points, **more):
    return json.dumps(request(*points, **more), separators=(",", ":")) + "\n"


@pytest.fixture
def read(tmp_path):
    """Return how to write a file and read its counts: {seconds after T0: requests} by minute."""

    def write_and_read(text, name="metrics.json"):
        path = tmp_path / name
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(data)
        return by_minute(f"otlp:{path}")

    return write_and_read


def by_minute(source):
    opened = open_source(str(source))
    counts = Counter()
    for count in opened.counts(T0 - 86_400, time.time() + 10 * 86_400, 60):
        counts[count.start - T0] += count.requests
    return dict(counts), opened.warnings


def total(read):
    counts, warnings = read
    return sum(counts.values()), warnings


# Streams --------------------------------------------------------------------------------------------------------------


def test_a_cumulative_stream_counts_from_its_birth_by_what_it_grew(read):
    lines = [line(point(at, value)) for at, value in ((65, 3), (125, 3), (185, 10))]
    assert read("".join(lines)) == ({60: 3, 180: 7}, [])


def test_every_word_of_a_series_is_read(tmp_path):
    words = {"llm_routing.match": "unreported", "error.type": "timeout", "llm_routing.surface": "drafts\u202e"}
    one = point(5, 2, **words)
    one["attributes"].append({"key": "llm_routing.cached", "value": {"boolValue": True}})
    one["attributes"] = [of for of in one["attributes"] if of["key"] != "gen_ai.response.model"]
    (tmp_path / "m.json").write_text(line(one))
    (count,) = open_source(f"otlp:{tmp_path / 'm.json'}").counts(T0, T0 + 60)
    assert count == (
        *(T0, "drafts", "openai", "chat", "openrouter/auto", "", "router", "unreported", "body", True, "timeout"),
        *(2, "shop"),
    )
    assert count.service == "shop"


def test_delta_points_count_once_each_in_any_order(read):
    points = [point(at, 2, start=at - 60) for at in (60, 120, 180, 240)]
    lines = [line(one, temporality=1) for one in points]
    shuffled = [lines[2], lines[0], lines[0], lines[3], lines[1], lines[2]]
    assert read("".join(shuffled)) == ({60: 2, 120: 2, 180: 2, 240: 2}, [])


def test_a_counter_that_falls_began_anew(read):
    lines = [line(point(at, value)) for at, value in ((5, 10), (65, 12), (125, 4), (185, 5))]
    assert read("".join(lines)) == ({0: 10, 60: 2, 120: 4, 180: 1}, [])


def test_a_restarted_process_counts_from_zero_even_if_its_value_does_not_fall(read):
    lines = [line(point(5, 10)), line(point(125, 11, start=100))]
    assert read("".join(lines)) == ({0: 10, 120: 11}, [])


def test_processes_are_told_apart_by_their_resource(read):
    lines = [line(point(at, at), process=process) for at in (60, 120) for process in ("1", "2")]
    bare = [line(point(60, 5), resource={"service.name": "shop", "host.name": host}) for host in "ab"]
    assert read("".join(lines + bare)) == ({60: 2 * 60 + 10, 120: 2 * 60}, [])


def test_lines_out_of_order_lose_nothing(read):
    lines = [line(point(60 * minute, 10 * minute)) for minute in range(1, 60)]
    random.Random(3).shuffle(lines)
    assert total(read("".join(lines))) == (590, [])


def test_two_replicas_of_a_collector_that_write_the_same_stream_count_once(tmp_path):
    whole = [line(point(60 * minute, 10 * minute)) for minute in range(1, 100)]
    deltas = [line(point(60 * m, 3, start=60 * m - 60), temporality=1, process="d") for m in range(1, 100)]
    for name, gone in (("a", range(20, 40)), ("b", range(60, 70))):
        kept = [one for lines in (whole, deltas) for number, one in enumerate(lines) if number not in gone]
        (tmp_path / f"replica-{name}.json").write_text("".join(kept))
    counts, warnings = by_minute(f"otlp:{tmp_path}")
    assert counts == {60 * minute: 13 for minute in range(1, 100)}
    assert warnings == []


def test_what_is_counted_after_a_senders_clock_was_put_back_counts_once(read):
    hours = 3_600
    times = ((30 * hours, 5), (30 * hours + 60, 7), (90, 8), (30 * hours + 60, 7), (150, 12), (90, 8))
    counts, warnings = read("".join(line(point(at, value, start=30 * hours - 60)) for at, value in times))
    assert warnings == []
    assert counts == {30 * hours: 5, 30 * hours + 60: 2, 60: 1, 120: 4}


def test_one_line_twice_in_one_file_counts_once(read):
    twice = [line(point(60, 5)), line(point(60, 2, start=0), temporality=1, process="d")] * 2
    assert read("".join(twice)) == ({60: 7}, [])


def test_a_stream_without_a_start_is_compared_with_itself(read):
    points = [point(at, value) for at, value in ((60, 5), (120, 9))]
    for one in points:
        del one["startTimeUnixNano"]
    assert read("".join(map(line, points))) == ({60: 5, 120: 4}, [])


def test_what_a_process_counted_long_before_the_files_begin_is_left_out_and_said(read):
    long_ago = -86_400
    first = line(point(65, 1_000_000, start=long_ago), point(65, 500, start=long_ago, served=HAIKU))
    then = line(point(125, 1_000_007, start=long_ago), point(125, 500, start=long_ago, served=HAIKU))
    # A model that the same process meets later is new, however old the process.
    new = line(point(185, 3, start=long_ago, served="gpt-5-mini-2025-08-07"))
    counts, (warning,) = read(first + then + new)
    assert counts == {120: 7, 180: 3}
    assert warning.endswith("begins while 1 process was already counting; their 1000500 earlier requests are left out")


@pytest.fixture
def begun(tmp_path):
    """Return the source of files that begin 65 s after T0, when their process had been counting for half a day."""
    points = [point(at, 1000 + at, start=-DAY // 2) for at in (65, 125, 2 * DAY + 65)]
    (tmp_path / "m.json").write_text("".join(map(line, points)))
    return open_source(f"otlp:{tmp_path / 'm.json'}")


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (-3 * DAY, -DAY // 2, 0),
        (-3 * DAY, -DAY // 2 + 60, 1),
        (-60, 0, 1),
        (60, 120, 1),
        (120, 180, 0),
        (2 * DAY, 3 * DAY, 0),
    ],
)
def test_what_was_counted_before_the_files_begin_concerns_the_time_in_which_it_may_have_been(begun, since, until, said):
    list(begun.counts(T0 + since, T0 + until, 60))
    assert len(begun.warnings) == said


def test_a_warning_about_an_earlier_time_is_left_out_of_what_concerns_a_later_one(begun):
    assert sum(count.requests for count in begun.counts(T0 - DAY, T0 + 3 * DAY, DAY)) == 2 * DAY
    assert len(begun.warnings) == 1
    assert begun.warned(T0) == begun.warnings
    assert begun.warned(T0 + DAY) == []
    # One about the files is about all times.
    with Path(begun.name).open("a") as file:
        file.write("oops\n")
    list(begun.counts(T0 + 2 * DAY, T0 + 3 * DAY))
    assert begun.warned(T0 + 2 * DAY) == begun.warnings[1:] != []


def test_a_report_of_a_later_range_is_not_partial(begun):
    first, later = (build(begun, T0 + at, T0 + at + DAY, now=T0 + 3 * DAY) for at in (0, 2 * DAY))
    assert [len(first.partial), later.partial] == [1, ()]


def test_a_gap_is_a_gap_and_what_grew_in_it_counts_after_it(read):
    lines = [line(point(at, value)) for at, value in ((60, 5), (120, 6), (3 * 3600, 90), (3 * 3600 + 60, 90))]
    assert read("".join(lines)) == ({60: 5, 120: 1, 3 * 3600: 84}, [])


def test_a_stream_that_stands_still_gives_no_counts_at_all(tmp_path):
    (tmp_path / "m.json").write_text("".join(line(point(60 * minute, 4)) for minute in range(1, 9)))
    source = open_source(f"otlp:{tmp_path / 'm.json'}")
    assert [(count.start - T0, count.requests) for count in source.counts(T0, T0 + 3600)] == [(60, 4)]
    assert source.extent() == (T0 + 60, T0 + 60)
    assert list(source.counts(T0 + 120, T0 + 3600)) == []


def test_a_day_without_traffic_has_no_counts_and_the_days_around_it_have_theirs(tmp_path):
    day = 86_400
    lines = [line(point(60 * minute, minute)) for minute in range(1, 4)]
    lines += [line(point(2 * day + 60 * minute, 3 + minute)) for minute in range(1, 4)]
    (tmp_path / "m.json").write_text("".join(lines))
    source = open_source(f"otlp:{tmp_path / 'm.json'}")
    assert {(count.start - T0) // day: count.requests for count in source.counts(T0, T0 + 3 * day, day)} == {0: 3, 2: 3}
    assert source.extent() == (T0 + 60, T0 + 2 * day + 180)


def test_a_renamed_model_is_another_series_that_begins_at_zero(tmp_path):
    renamed = [line(point(at, 100), point(at, at // 60, served="claude-sonnet-4.5")) for at in (120, 180)]
    (tmp_path / "m.json").write_text(line(point(60, 100)) + "".join(renamed))
    counts = Counter()
    for count in open_source(f"otlp:{tmp_path / 'm.json'}").counts(T0, T0 + 3600, 3600):
        counts[count.served] += count.requests
    assert counts == {SONNET: 100, "claude-sonnet-4.5": 3}


def test_tokens_are_read_of_both_counters_and_bad_points_of_them_are_said(tmp_path):
    read, written = "llm_routing.input_tokens", "llm_routing.output_tokens"
    requests = [
        line(point(65, 100), name=read),
        line(point(65, 10), name=written),
        line(point(125, 180), name=read),
        line(point(125, 10), name=written),
        line(point(125, -1, served=HAIKU), name=written),
        line(point(2 * DAY, 1000), name=read),
    ]
    (tmp_path / "m.json").write_text("".join(requests))
    source = open_source(f"otlp:{tmp_path / 'm.json'}")
    words = ("autocomplete", "openai", "openrouter/auto", SONNET)
    assert sorted(source.tokens(T0, T0 + DAY)) == [TokenCount(*words, 0, 10), TokenCount(*words, 180, 0)]
    assert list(source.tokens(T0 + 120, T0 + DAY)) == [TokenCount(*words, 80, 0)]
    (warning,) = source.warnings
    assert f"1 points of {read} and {written} make no sense" in warning


def test_a_report_of_files_has_costs(tmp_path):
    pytest.importorskip("genai_prices")
    name = "gpt-5-mini-2025-08-07"
    numbers = {"llm_routing.requests": 10, "llm_routing.input_tokens": 5000, "llm_routing.output_tokens": 700}
    lines = [line(point(65, number, served=name), name=of) for of, number in numbers.items()]
    (tmp_path / "m.json").write_text("".join(lines))
    made = build(open_source(f"otlp:{tmp_path / 'm.json'}"), T0, T0 + DAY, now=T0 + 2 * DAY)
    ((row,),) = (stream.served for surface in made.surfaces for stream in surface.streams)
    assert (row.cost.input_tokens, row.cost.output_tokens) == (500, 70)
    assert row.cost.total > 0
    assert made.partial == ()


# Clocks ---------------------------------------------------------------------------------------------------------------


def test_times_in_the_future_count_at_the_time_of_the_line_before(tmp_path, read):
    ahead = 400 * 86_400
    lines = [
        line(point(60, 5)),
        line(point(ahead, 3, start=ahead - 60), process="skewed"),
        line(point(ahead + 60, 4, start=ahead - 60), process="skewed"),
        line(point(120, 6)),
    ]
    counts, (warning,) = read("".join(lines))
    assert counts == {60: 9, 120: 1}
    assert "2 points of llm_routing.requests have times that cannot be, in the future" in warning
    assert open_source(f"otlp:{tmp_path / 'metrics.json'}").extent() == (T0 + 60, T0 + 120)


def test_an_old_archive_is_of_its_own_time(tmp_path):
    path = tmp_path / "2019.json"
    then = 1_560_000_000
    path.write_text(line(point(then - T0, 5, start=then - T0 - 60)))
    source = open_source(f"otlp:{path}")
    assert source.extent() == (then, then)
    assert source.warnings == []


# Spellings ------------------------------------------------------------------------------------------------------------


def snake(node):
    if isinstance(node, dict):
        return {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): snake(of) for name, of in node.items()}
    return [snake(of) for of in node] if isinstance(node, list) else node


@pytest.mark.parametrize(
    "written",
    [
        lambda document: document,
        snake,
        lambda document: json.loads(json.dumps(document).replace("2,", '"AGGREGATION_TEMPORALITY_CUMULATIVE",')),
        lambda document: json.loads(json.dumps(document).replace('"asInt": "7"', '"asDouble": 7.0')),
        lambda document: json.loads(json.dumps(document).replace('"asInt": "7"', '"asInt": 7')),
        lambda document: json.loads(json.dumps(document).replace(f'"{nanos(60)}"', nanos(60))),
        lambda document: [document],
    ],
    ids=["as the Collector", "snake case", "enumeration by name", "double", "bare integer", "bare time", "in a list"],
)
def test_every_spelling_of_otlp_is_read(read, written):
    document = request(point(60, 7))
    changed = written(document)
    assert read(json.dumps(changed)) == ({60: 7}, [])


def test_a_stream_is_the_same_however_a_line_spells_it(read):
    first, then = request(point(60, 5)), request(point(120, 8))
    then["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0]["attributes"].reverse()
    assert read(json.dumps(first) + "\n" + json.dumps(snake(then))) == ({60: 5, 120: 3}, [])


@pytest.mark.parametrize("indent", [2, "\t"])
def test_objects_may_be_spread_over_lines_or_stand_on_one(read, indent):
    documents = [request(point(60 * minute, 2 * minute)) for minute in range(1, 7)]
    pretty = "\n".join(json.dumps(of, indent=indent) for of in documents[:3])
    together = "".join(map(json.dumps, documents[3:]))
    assert read(f"\ufeff{pretty}\n{together}") == ({60 * minute: 2 for minute in range(1, 7)}, [])


def test_an_object_that_is_longer_than_what_is_read_at_a_time(read, monkeypatch):
    monkeypatch.setattr("otel_llm_routing.analyze.sources.json_files.PIECE", 700)
    documents = [request(point(60 * minute, 2 * minute)) for minute in range(1, 7)]
    assert read("".join(map(json.dumps, documents))) == ({60 * minute: 2 for minute in range(1, 7)}, [])


def test_other_signals_and_other_metrics_are_none_of_our_business(read):
    others = [{"resourceSpans": []}, {"resourceLogs": [{}]}, {"resource_spans": [{}]}, {}]
    others.append(request(point(60, 4), name="http.server.request.duration"))
    assert read("".join(json.dumps(of) + "\n" for of in others) + line(point(60, 7))) == ({60: 7}, [])


# What is broken -------------------------------------------------------------------------------------------------------

GOOD = [line(point(60 * minute, 2 * minute)) for minute in range(1, 5)]
ALL = {60 * minute: 2 for minute in range(1, 5)}


@pytest.mark.parametrize(
    "broken",
    [
        GOOD[0][:200] + "\n",
        GOOD[0][:-2] + "\n",
        GOOD[0][:200],  # and the next one begins on the same line
        "not JSON\n",
        '{"resourceMetrics": oops}\n',
        '{"resourceMetrics": "unclosed}\n',
        "\0" * 4096 + "\n",
        "[" * 200_000 + "\n",
        '{"a": ' * 20_000 + "\n",
        json.dumps(request(point(1, 1)), indent=2)[:300] + "\n",
        "}}}\n",
    ],
    ids=[
        "cut",
        "brackets missing",
        "cut, no newline",
        "text",
        "word",
        "quote",
        "zeros",
        "deep",
        "deeper",
        "pretty",
        "}",
    ],
)
@pytest.mark.parametrize("where", [0, 2, 4])
def test_what_is_broken_is_left_out_and_said_and_nothing_good_is_lost(read, broken, where):
    counts, (warning,) = read("".join([*GOOD[:where], broken, *GOOD[where:]]))
    assert counts == ALL
    number = where + 1
    assert f"metrics.json: 1 piece is no whole JSON, in line {number}; the rest was read" in warning


def test_a_last_line_that_is_still_being_written_is_said(read, caplog):
    counts, (warning,) = read("".join(GOOD)[:-40])
    assert counts == {60: 2, 120: 2, 180: 2}
    assert warning.endswith("metrics.json: 1 piece is no whole JSON, in line 4; the rest was read")
    assert [record.levelno for record in caplog.records if record.name == otlp_json.__name__] == [logging.WARNING]


def test_several_broken_pieces_are_one_warning(read):
    assert total(read("".join(f"{good}oops\n" for good in GOOD)))[1][0].endswith(
        "4 pieces are no whole JSON, the first in line 2; the rest was read"
    )


def test_bytes_that_are_no_text_spoil_one_word_and_no_more(read):
    spoiled = line(point(60, 3, served="haiku-XXX")).encode().replace(b"XXX", b"\xff\xfe\xfa")
    assert total(read(spoiled + "".join(GOOD).encode())) == (11, [])


@pytest.mark.parametrize("value", ["-5", "NaN", "Infinity", "1e30", 1.5, "", "many", [], {}, True, 2**60])
def test_values_that_are_no_counts_are_refused_and_said(read, value):
    odd = point(60, 0)
    odd["asInt"] = value
    counts, (warning,) = read(line(odd, process="odd") + "".join(GOOD))
    assert counts == ALL
    assert "1 points of llm_routing.requests make no sense" in warning


def _changed(document, **changed):
    data = document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]
    data.update(changed)
    return document


ODD = {
    "no temporality": _changed(request(point(60, 5)), aggregationTemporality=0),
    "temporality of nobody": _changed(request(point(60, 5)), aggregationTemporality=[2]),
    "points that are none": _changed(request(), dataPoints=[1]),
    "no time": _changed(request(), dataPoints=[{**point(60, 5), "timeUnixNano": "0"}]),
    "a time that is none": _changed(request(), dataPoints=[{**point(60, 5), "timeUnixNano": "noon"}]),
    "attributes that are none": _changed(request(), dataPoints=[{**point(60, 5), "attributes": 7}]),
    "points as an object": _changed(request(), dataPoints={"a": 1}),
    "resources that are none": {"resourceMetrics": [1]},
    "no list": {"resourceMetrics": {"a": 1}},
    "another format": {"name": "llm_routing.requests", "value": 5},
    "scope that is none": {"resourceMetrics": [{"scopeMetrics": [{"scope": 5, "metrics": []}]}]},
    "a gauge": {
        "resourceMetrics": [
            {"scopeMetrics": [{"metrics": [{"name": "llm_routing.requests", "gauge": {"dataPoints": [point(60, 5)]}}]}]}
        ]
    },
    "a number": 5,
}


@pytest.mark.parametrize("name", ODD)
def test_otlp_that_makes_no_sense_is_left_out_and_said(read, name):
    counts, warnings = read("".join(GOOD[:2]) + json.dumps(ODD[name]) + "\n" + "".join(GOOD[2:]))
    assert counts == ALL
    assert len(warnings) == 1
    assert "left out" in warnings[0] or "no whole JSON" in warnings[0]


def test_a_point_that_only_ends_its_series_is_no_count(read):
    ended = {**point(300, 0), "flags": 1}
    del ended["asInt"]
    assert read("".join(GOOD) + line(ended)) == (ALL, [])


# Files ----------------------------------------------------------------------------------------------------------------


def test_rotated_files_are_read_in_the_order_of_their_times(tmp_path):
    lines = [line(point(60 * minute, 2 * minute)) for minute in range(1, 10)]
    (tmp_path / "metrics.json").write_text("".join(lines[6:]))
    (tmp_path / "metrics-2026-11-01T00-00-00.000.json").write_text("".join(lines[3:6]))
    # The oldest has the name that comes last, is packed, and lies in a folder, as group_by makes them.
    (tmp_path / "shop").mkdir()
    with gzip.open(tmp_path / "shop" / "z.json.gz", "wt") as file:
        file.writelines(lines[:3])
    (tmp_path / ".metrics.json.swp").write_text("no")
    (tmp_path / "readme.txt").write_text("no")
    expected = {60 * minute: 2 for minute in range(1, 10)}
    assert by_minute(f"otlp:{tmp_path}") == (expected, [])
    assert by_minute(f"otlp:{tmp_path}/**/*.json*") == (expected, [])
    assert by_minute(f"otlp:{tmp_path}/metrics*.json")[0] == {240: 8, **{60 * m: 2 for m in range(5, 10)}}


def test_packed_files_that_follow_one_another_are_one(read):
    assert read(b"".join(gzip.compress(one.encode()) for one in GOOD), "packed.json") == (ALL, [])


@pytest.mark.parametrize("spoil", [lambda data: data[:-30], lambda data: data[:-40] + b"\0" * 40])
def test_a_damaged_gzip_gives_what_can_be_unpacked(read, spoil):
    many = "".join(line(point(60 * minute, 2 * minute)) for minute in range(1, 400))
    counts, warnings = read(spoil(gzip.compress(many.encode())), "m.json.gz")
    assert len(counts) > 300
    assert set(counts.values()) == {2}
    assert len(warnings) == 1
    assert "its gzip ends early or is damaged, after line " in warnings[0]


@pytest.mark.parametrize(
    "content", [b"\x28\xb5\x2f\xfd" + os.urandom(500), b"\0\0\1\x20" + os.urandom(500), b"hello\n"]
)
def test_a_file_without_any_otlp_is_an_error(tmp_path, content):
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(SourceError, match=r"m.json: no OTLP-JSON; .* format: json and without compression"):
        open_source(f"otlp:{tmp_path / 'm.json'}").extent()


def test_an_empty_file_has_no_counts(read, tmp_path):
    assert read("") == ({}, [])
    assert read("\n\n") == ({}, [])
    assert open_source(f"otlp:{tmp_path / 'metrics.json'}").extent() is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.json", "no such file; name a file, a folder or a pattern"),
        ("none*.json", "matches no file; name a file"),
        ("", r"no \*.json, \*.jsonl or \*.json.gz in this folder; name a file"),
        ("a\0b", "name a file"),
    ],
)
def test_names_that_mean_no_file(tmp_path, name, said):
    with pytest.raises(SourceError, match=said):
        open_source(f"otlp:{tmp_path}/{name}")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(GOOD[0])
    path.chmod(0)
    with pytest.raises(SourceError, match=r"m.json: cannot be read"):
        open_source(f"otlp:{path}").extent()


def test_progress_is_in_bytes_and_reaches_the_end(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("".join(line(point(60 * m, m), process=name) for m in range(1, 200)))
    told = []
    source = open_source(f"otlp:{tmp_path}", progress=lambda done, total: told.append((done, total)))
    assert sum(count.requests for count in source.counts(T0, T0 + 86_400, 300)) == 2 * 199
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert told[-1] == (size, size)
    assert told == sorted(told)


def test_memory_grows_with_the_streams_and_not_with_the_points(tmp_path):
    def peak(minutes):
        path = tmp_path / f"{minutes}.json"
        path.write_text(
            "".join(line(*(point(20 * m, m, served=f"m{n}") for n in range(10))) for m in range(1, minutes))
        )
        tracemalloc.start()
        found = sum(count.requests for count in open_source(f"otlp:{path}").counts(T0 - 60, T0 + 86_400))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == 10 * (minutes - 1)
        return held

    assert peak(1000) < 1.5 * peak(300)


def test_the_command_line_takes_files(tmp_path):
    path = tmp_path / "m.json"
    path.write_text("".join(GOOD))
    command = [Path(sys.executable).parent / "otel-llm-routing", "report", "--since", "10d", "--source"]
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run([*command, f"otlp:{path}"], check=False, capture_output=True, text=True, env=wide)
    assert SONNET in done.stdout, done
    nothing = subprocess.run([*command, "otlp:none.json"], check=False, capture_output=True, text=True)
    assert (nothing.returncode, nothing.stdout, nothing.stderr.count("\n")) == (2, "", 1)
    assert "none.json: no such file; name a file" in nothing.stderr
