"""What a busy, hostile or unlucky environment does to the server, and what it must not do to the counts."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request
import zlib

import components
import grpc
import pytest
import zstandard
from embedded import CHAT, DELTA, Server, export, grpc_call, memory, refused, sizes, span
from google.rpc.status_pb2 import Status

from otel_llm_routing.analyze.sources.sqlite import APPLICATION_ID, SQLiteSource


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shared") / "t.db")
    yield server
    assert server.stop() == 0


@pytest.fixture
def server(shared):
    """The one server, emptied: most of these tests need a server, not one of their own."""
    with contextlib.closing(sqlite3.connect(shared.db, timeout=10)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'series'"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        connection.commit()
    return shared


# Counting ----------------------------------------------------------------------------------------------------------


def test_a_delta_that_was_overtaken_still_counts_and_its_retry_does_not(server):
    later, earlier = export((10, 20, 7), temporality=DELTA), export((0, 10, 5), temporality=DELTA)
    for request in (later, earlier, later, earlier):
        server.metrics(request)
    assert server.requests() == 12


def test_two_processes_with_one_resource_and_different_starts_both_count_as_deltas(server):
    server.metrics(export((0, 10, 5), temporality=DELTA))
    server.metrics(export((1, 10, 3), temporality=DELTA))
    assert server.requests() == 8


def test_what_a_collector_adds_to_a_resource_does_not_make_another_process_of_it(server):
    bare = {"service.name": "shop", "service.instance.id": "1"}
    server.metrics(export((0, 10, 5), resource=bare))
    server.metrics(export((0, 20, 8), resource={**bare, "k8s.pod.name": "shop-1"}))
    assert server.requests() == 8


def test_without_an_instance_id_the_pid_and_the_host_tell_processes_apart(server):
    for resource in ({"process.pid": "1"}, {"process.pid": "2"}, {"process.pid": "1", "host.name": "b"}):
        server.metrics(export((0, 10, 5), resource={"service.name": "shop", **resource}))
    assert server.requests() == 15


def test_scopes_that_differ_only_in_their_attributes_are_told_apart(server):
    for tenant in ("a", "b"):
        request = export((0, 10, 5))
        request.resource_metrics[0].scope_metrics[0].scope.attributes.add(key="tenant").value.string_value = tenant
        server.metrics(request)
    assert server.requests() == 10


def test_an_empty_attribute_is_an_absent_one(server):
    server.metrics(export((0, 10, 5), own={"error.type": "", "gen_ai.response.model": "", "llm_routing.match": ""}))
    found = server.mixes()["autocomplete"]
    assert (found.requests, found.errors, found.unreported) == (5, 0, 5)


def test_services_are_kept_apart(server):
    for name in ("shop", "office"):
        server.metrics(export((0, 10, 5), resource={"service.name": name}))
    counts = list(SQLiteSource(server.db).counts(0, time.time() + 60))
    assert sorted((c.service, c.requests) for c in counts) == [("office", 5), ("shop", 5)]


@pytest.mark.parametrize("name", ["llm_routing.input_size", "llm_routing.duration"])
def test_histograms_keep_count_sum_and_bins(server, name):
    server.metrics(sizes((10, 900.0, 1, 2, 0), (20, 2000.0, 1, 3, 1), (20, 2000.0, 1, 3, 1), name=name))
    with contextlib.closing(sqlite3.connect(server.db)) as connection:
        totals = dict(connection.execute("SELECT metric, sum(value) FROM points GROUP BY 1"))
        bins = dict(connection.execute("SELECT bound, sum(value) FROM bins WHERE metric = ? GROUP BY 1", (name,)))
    assert totals == {f"{name}:count": 5, f"{name}:sum": 2000}
    assert bins == {"256": 1, "512": 3, "+Inf": 1}


def test_every_refused_point_is_reported_and_the_others_kept(server):
    request = export((0, 10, 5), (0, 11, -3))
    request.resource_metrics[0].scope_metrics[0].metrics.add(name="llm_routing.requests").gauge.data_points.add()
    request.resource_metrics[0].scope_metrics[0].metrics[1].gauge.data_points.add()
    answer = server.metrics(request)
    assert answer.partial_success.rejected_data_points == 3
    assert answer.partial_success.error_message
    assert server.requests() == 5


def test_a_point_without_a_value_or_of_another_metric_is_no_mistake(server):
    request = export((0, 10, 5))
    request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].flags = 1
    request.resource_metrics[0].scope_metrics[0].metrics.add(name="http.server.duration").gauge.data_points.add()
    assert not server.metrics(request).HasField("partial_success")
    assert server.requests() == 0


def test_a_point_that_lacks_its_value_is_refused_and_taken_for_no_restart(server):
    server.metrics(export((0, 10, 5)))
    request = export((0, 20, 0))
    request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].ClearField("value")
    assert server.metrics(request).partial_success.rejected_data_points == 1
    server.metrics(export((0, 30, 7)))
    assert server.requests() == 7


def test_bounds_are_kept_to_the_last_digit(server):
    request = sizes((10, 0, 1, 2, 4), temporality=DELTA)
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]
    point.explicit_bounds[:] = [1048576.0, 1048577.0]
    server.metrics(request)
    found = SQLiteSource(server.db).sizes(0, time.time())
    assert {one.bound: one.requests for one in found} == {1048576.0: 1, 1048577.0: 2, math.inf: 4}


def test_no_number_of_points_makes_the_database_unreadable(server):
    most = 2**53
    server.metrics(export(*[(start, 400, most) for start in range(120)], temporality=DELTA))
    server.metrics(export((0, 400, 5), temporality=DELTA, own={"llm_routing.surface": "another"}))
    found = server.mixes()
    assert found["another"].requests == 5
    assert found["autocomplete"].requests == 10**18


def test_more_series_than_there_may_be_are_counted_as_other_and_it_is_said(tmp_path):
    server = Server(tmp_path / "t.db", "--max-series", "3")
    for number in range(10):
        own = {"llm_routing.surface": f"s{number}", "gen_ai.response.model": f"m{number}"}
        server.metrics(export((0, 10, 1), own=own))
    mixes = server.mixes()
    assert set(mixes) == {"s0", "s1", "s2", "other"}
    assert mixes["other"].by_model() == {"other": 1.0}
    assert mixes["other"].requests == 7
    with urllib.request.urlopen(server.http + "/api/mix", timeout=10) as answer:
        assert json.load(answer)["notices"] == [
            "Too many different series: 7 points were counted as “other” since the server started."
        ]
    server.stop()
    assert "--max-series" in server.errors()


def test_names_are_bounded_and_printable(server):
    server.metrics(export((0, 10, 1), own={"llm_routing.surface": "a\x1b[31m\u202eb" + "x" * 500}))
    [surface] = server.mixes()
    assert surface.startswith("a[31mbx")
    assert len(surface) <= 64


def test_retention_deletes_what_is_old(tmp_path):
    db = tmp_path / "t.db"
    server = Server(db)
    server.metrics(export((0, 10, 5)))
    assert server.stop() == 0
    server = Server(db, "--retention", "100")
    assert server.requests() == 5
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE points SET bucket = bucket - 200 * 86400")
        connection.commit()
    server = Server(db, "--retention", "100")
    server.metrics(export((0, 10, 5)))  # a repetition: that it was counted is not forgotten with the counts
    components.wait_for("end of what is old", lambda: SQLiteSource(str(db)).extent() is None, 5)
    assert server.stop() == 0


# Spans -------------------------------------------------------------------------------------------------------------


def test_of_spans_within_spans_only_the_innermost_counts_whatever_their_order_and_end(server):
    # Three libraries around one call, all ending at one time, the outermost first.
    server.spans(span(1, 1, **CHAT), span(1, 2, 1, **CHAT), span(1, 3, 2, **CHAT))
    assert server.requests() == 1


def test_a_parent_that_arrives_in_a_later_export_is_not_counted_and_neither_is_its_parent(server):
    server.spans(span(1, 3, 2, **CHAT))
    server.spans(span(1, 2, 1, **CHAT))
    server.spans(span(1, 1, **CHAT))
    assert server.requests() == 1


def test_both_calls_under_one_parent_count(server):
    server.spans(span(1, 2, 1, **CHAT), span(1, 3, 1, **CHAT), span(1, 1, **CHAT))
    assert server.requests() == 2


def test_a_span_that_is_its_own_parent(server):
    server.spans(span(span_id=2, parent=2, **CHAT))
    assert server.requests() == 1


@pytest.mark.parametrize("levels", [6, 20])
def test_attributes_nested_as_deeply_as_those_of_tools_are_no_mistake(server, levels):
    schema = {"stringValue": "string"}
    for _ in range(levels):
        schema = {"kvlistValue": {"values": [{"key": "properties", "value": schema}]}}
    found = span(**CHAT)
    found["attributes"].append({"key": "gen_ai.tool.definitions", "value": schema})
    server.spans(found)
    assert server.requests() == 1


def test_half_a_character_in_json_is_left_out_of_its_text(server):
    # As JavaScript writes a text that was cut in the middle of an emoji.
    server.spans(span(**CHAT, **{"llm_routing.surface": "cut \ud83d", "gen_ai.input.messages": "\ude00"}))
    assert set(server.mixes()) == {"cut"}


def test_parents_that_go_round_in_a_circle(server):
    server.spans(span(1, 1, 2, **CHAT), span(1, 2, 1, **CHAT), span(1, 3, 3, **CHAT))
    assert server.requests() <= 2


def test_spans_of_a_process_that_sends_metrics_are_not_counted(server):
    # Our span processor names the surface of spans it counts itself, which carry no match.
    process = {"service.name": "shop"}
    server.spans(span(1, 1, **CHAT, **{"llm_routing.surface": "a", "llm_routing.surface.source": "route"}))
    assert server.requests() == 0
    server.metrics(export((0, 10, 5), resource=process))
    server.spans(span(2, 1, **CHAT), resource=process)
    assert server.requests() == 5
    server.spans(span(3, 1, **CHAT), resource={"service.name": "java-shop"})
    assert server.requests() == 6


def test_another_librarys_span_inside_ours_is_not_counted(server):
    server.spans(span(1, 2, 1, **CHAT), span(1, 1, **CHAT, **{"llm_routing.match": "resolved"}))
    assert server.requests() == 0


def test_a_span_of_openinference_names_the_served_model_and_the_requested_one_in_its_parameters(server):
    texts = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "gpt-5-2025-08-07",
        "llm.provider": "openai",
        "llm.invocation_parameters": '{"model": "gpt-5"}',
    }
    server.spans(span(1, 1, **texts), resource={"llm_routing.surface": "drafts"})
    [share] = server.mixes()["drafts"].served
    assert (share.requested, share.served, share.match, share.kind) == (
        "gpt-5",
        "gpt-5-2025-08-07",
        "resolved",
        "alias",
    )


@pytest.mark.parametrize(
    ("requested", "served", "match"),
    [
        ("gpt-5-2025-08-07", "gpt-5-2025-08-07", "exact"),
        ("gpt-5", "gpt-5", "unconfirmed"),
        ("gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "substituted"),
        ("our-model", "our-model", "exact"),
        ("our-model", "openrouter/auto", "unconfirmed"),
        ("gpt-5", "", "unreported"),
    ],
)
def test_match_of_a_span(server, requested, served, match):
    server.spans(span(1, 1, **{**CHAT, "gen_ai.request.model": requested, "gen_ai.response.model": served}))
    [count] = SQLiteSource(server.db).counts(0, time.time() + 60)
    assert (count.match, count.served_source) == (match, "none" if match == "unreported" else "body")


def test_a_failed_span_is_an_error(server):
    server.spans({**span(1, 1, **CHAT), "status": {"code": 2}})
    assert server.mixes()["unknown"].errors == 1


# Bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("deflate", zlib.compress), ("zlib", zlib.compress), ("gzip", gzip.compress), ("zstd", zstandard.compress)],
)
def test_what_collectors_pack_with_is_read_and_a_body_that_is_cut_off_is_refused(server, coding, pack):
    data = export((0, 10, 5)).SerializeToString()
    for body, status in ((pack(data), 200), (pack(data)[:-9], 400), (b"", 400)):
        assert server.post("/v1/metrics", body, **{"content-encoding": coding})[0] == status
    assert server.requests() == 5


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_body_may_be_packed_in_pieces(server, pack):
    data = export((0, 10, 5)).SerializeToString()
    coding = "gzip" if pack is gzip.compress else "zstd"
    body = pack(data[:40]) + pack(b"") + pack(data[40:])
    assert server.post("/v1/metrics", body, **{"content-encoding": coding})[0] == 200
    assert server.requests() == 5


def test_an_exporter_that_leaves_the_path_out_is_told_which_paths_there_are(server):
    status, _, body = server.post("/", export((0, 10, 5)).SerializeToString())
    assert status == 404
    assert b"/v1/metrics" in body


def test_who_packs_otherwise_is_told_which_packing_to_set(server):
    status, _, body = server.post("/v1/metrics", b"x", **{"content-encoding": "snappy"})
    assert status == 415
    assert "set the sender's compression to gzip" in Status.FromString(body).message


def test_the_servers_own_log_says_what_a_sender_has_to_change_once_a_minute(tmp_path):
    server = Server(tmp_path / "a.db")
    for _ in range(20):
        server.post("/v1/metrics", b"x", **{"content-encoding": "snappy\x1b[2J"})
    assert server.stop() == 0
    assert server.errors().count("\n") == 1
    assert "refused with 415: content-encoding 'snappy" in server.errors()
    assert "\x1b" not in server.errors()


def test_the_answer_to_bad_input_is_a_status_in_the_kind_asked(server):
    status, headers, body = server.post("/v1/metrics", b"{", "application/json")
    assert (status, headers["content-type"], json.loads(body)["code"]) == (400, "application/json", 3)
    status, headers, _ = server.post("/v1/traces", b"\xff", "application/x-protobuf")
    assert (status, headers["content-type"]) == (400, "application/x-protobuf")


def test_a_slash_at_the_end_is_no_other_place_and_nobody_is_sent_to_another_host(server):
    assert server.post("/v1/metrics/", export((0, 10, 5)).SerializeToString(), host="evil.example")[0] == 200
    assert server.requests() == 5
    status, headers, _ = server.post("/api/mix/", b"", host="evil.example")
    assert (status, headers["location"]) == (404, None)


@pytest.mark.parametrize("signal_", ["metrics", "traces", "logs"])
def test_an_empty_export_of_every_signal_is_accepted(server, signal_):
    assert server.post(f"/v1/{signal_}", b"")[0] == 200
    assert server.post(f"/v1/{signal_}", b"{}", "application/json")[0] == 200


def test_grpc_refuses_what_is_no_otlp_and_what_unpacks_to_too_much(server):
    assert grpc_call(server, b"\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT
    before = memory(server)
    bomb = grpc_call(server, b"\0" * (300 << 20), compression=grpc.Compression.Gzip)
    assert bomb is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert memory(server) - before < 64 << 20
    assert isinstance(grpc_call(server, export((0, 10, 5)).SerializeToString()), bytes)


def test_clients_that_never_finish_their_request_do_not_hold_up_others(server):
    head = b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(60):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(head[: 20 + number])
        for _ in range(20):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(head + b"content-length: 100\r\n\r\n" + b"x")
        began = time.monotonic()
        server.metrics(export((0, 10, 5)))
        assert time.monotonic() - began < 5
    server.metrics(export((0, 20, 5)))
    assert "Traceback" not in server.errors()  # those who hung up are no news


def test_a_locked_database_is_said_to_be_busy_and_the_retry_counts(server):
    request = export((0, 10, 5))
    with contextlib.closing(sqlite3.connect(server.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        status, headers, _ = server.post("/v1/metrics", request.SerializeToString())
        assert (status, headers["retry-after"]) == (503, "1")
        assert grpc_call(server, request.SerializeToString()) is grpc.StatusCode.UNAVAILABLE
        other.execute("ROLLBACK")
    server.metrics(request)
    assert server.requests() == 5


# The database ------------------------------------------------------------------------------------------------------


def test_a_foreign_file_gets_no_company(tmp_path):
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    refused("--db", foreign)
    assert [p.name for p in tmp_path.iterdir()] == ["foreign.db"]


def test_a_creation_that_was_interrupted_is_taken_up(tmp_path):
    db = tmp_path / "t.db"
    with contextlib.closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # what is there when the server is killed right after it
    server = Server(db)
    server.metrics(export((0, 10, 5)))
    assert server.requests() == 5
    assert server.stop() == 0


def test_a_file_damaged_in_its_middle_is_refused_and_left_as_it_is(tmp_path):
    db = tmp_path / "t.db"
    server = Server(db)
    for number in range(50):
        server.metrics(export((0, 10, 5), own={"llm_routing.surface": f"s{number}"}))
    assert server.stop() == 0
    data = bytearray(db.read_bytes())
    data[4096:-4096] = b"\xa5" * (len(data) - 8192)
    db.write_bytes(data)
    assert "not a readable SQLite database" in refused("--db", db)
    assert db.read_bytes() == data


def test_another_version_a_folder_and_a_folder_that_is_not_there(tmp_path):
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.executescript(
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 99; CREATE TABLE x (y)"
        )
    assert "another version" in refused("--db", other)
    assert "folder" in refused("--db", tmp_path)
    assert "folder" in refused("--db", tmp_path / "none" / "t.db")


def test_what_is_no_file_is_refused_and_gets_no_company(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    assert "a pipe" in refused("--db", tmp_path / "pipe")
    assert not (tmp_path / "pipe.lock").exists()
    assert "cannot be opened" in refused("--db", tmp_path / "circle")
    for nowhere in (":memory:", ""):
        assert "nowhere" in refused("--db", nowhere)


@pytest.mark.parametrize("host", ["", "nowhere.invalid", "192.0.2.1"])
def test_an_address_that_cannot_be_listened_on_is_to_be_named_otherwise(tmp_path, host):
    said = refused("--db", tmp_path / "t.db", "--host", host)
    assert "--host" in said
    assert "-port" not in said


def test_a_database_left_by_kill_9_is_served_and_read(tmp_path):
    db = tmp_path / "t.db"
    server = Server(db)
    server.metrics(export((0, 10, 5)))
    assert server.stop(signal.SIGKILL) == -9
    assert server.requests() == 5
    server = Server(db)
    server.metrics(export((0, 20, 8)))
    server.metrics(export((0, 10, 5)))
    assert server.requests() == 8
    assert server.stop() == 0


# The page ----------------------------------------------------------------------------------------------------------


def get(server, path, **headers):
    request = urllib.request.Request(server.http + path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_the_page_is_one_file_that_runs_only_its_own_script(server):
    status, headers, page = get(server, "/")
    policy = headers["content-security-policy"]
    assert status == 200
    assert "unsafe" not in policy
    assert "script-src 'sha256-" in policy
    assert " src=" not in page
    assert "innerHTML" not in page


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost"}, 200),
        ({"host": "LOCALHOST:1"}, 200),
        ({"host": "[::1]"}, 200),
        ({"host": "[::1]:4318"}, 200),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "evil@localhost.example"}, 403),
        ({"host": "["}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_who_may_read_the_data(server, headers, status):
    assert get(server, "/api/mix", **headers)[0] == status


def test_a_link_on_another_site_may_open_the_page(server):
    assert get(server, "/", sec_fetch_site="cross-site", sec_fetch_mode="navigate", sec_fetch_dest="document")[0] == 200


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}])
def test_a_page_of_another_site_cannot_send_counts(server, headers):
    assert server.post("/v1/metrics", export((0, 10, 5)).SerializeToString(), **headers)[0] == 403
    assert server.requests() == 0


def test_the_data_for_a_window_and_for_none(server):
    server.metrics(export((0, 10, 5)))
    assert json.loads(get(server, "/api/mix?since=3611s")[2])["surfaces"][0]["counts"] == {"claude-sonnet-5": 5}
    assert json.loads(get(server, "/api/mix?since=20s")[2])["surfaces"] == []
    assert get(server, "/api/mix?since=%22%3E")[0] == 400
    assert json.loads(get(server, "/api/mix?since=0001-01-01")[2])["surfaces"]
