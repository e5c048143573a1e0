"""The real server as a process of its own, and real exporters: what was acknowledged is there, once."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from embedded import CUMULATIVE, DELTA, Server, refused
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GRPCExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HTTPExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "t.db")
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0


BASE = {
    "llm_routing.surface": "autocomplete",
    "gen_ai.provider.name": "openai",
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "auto",
    "gen_ai.response.model": "claude-haiku-4-5-20251001",
    "llm_routing.request.kind": "router",
    "llm_routing.match": "resolved",
    "llm_routing.served.source": "body",
}


def points(*values, temporality=CUMULATIVE, instance="1", attributes=None):
    """A request with one stream; ``values`` are (start, time, value), times in seconds from now."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.instance.id").value.string_value = instance
    metric = resource.scope_metrics.add().metrics.add(name="llm_routing.requests")
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = True
    for start, at, value in values:
        point = metric.sum.data_points.add(as_int=value)
        point.start_time_unix_nano, point.time_unix_nano = (int((EPOCH + s) * 1e9) for s in (start, at))
        for key, text in {**BASE, **(attributes or {})}.items():
            point.attributes.add(key=key).value.string_value = text
    return request.SerializeToString()


EPOCH = time.time() - 600


def test_cumulative_streams_count_increases_restarts_and_nothing_twice(server):
    for data in (
        points((0, 10, 5)),
        points((0, 20, 8)),
        points((0, 20, 8)),  # a retry
        points((0, 15, 6)),  # overtaken
        points((30, 40, 2)),  # a restart, with a new start
        points((0, 50, 3)),  # a counter that began anew and kept its start
    ):
        assert server.post("/v1/metrics", data)[0] == 200
    assert server.requests() == 8 + 2 + 3


def test_delta_streams_count_each_point_once(server):
    first = points((0, 10, 5), temporality=DELTA)
    for data in (first, first, points((10, 20, 7), temporality=DELTA)):
        assert server.post("/v1/metrics", data)[0] == 200
    assert server.requests() == 12


def test_processes_are_told_apart(server):
    for instance in "abc":
        server.post("/v1/metrics", points((0, 10, 5), instance=instance))
    server.post("/v1/metrics", points((1, 10, 5), instance="a"))  # the same resource, another start
    assert server.requests() == 20


def test_json_and_gzip(server):
    document = {
        "resourceMetrics": [
            {
                "scopeMetrics": [
                    {
                        "metrics": [
                            {
                                "name": "llm_routing.requests",
                                "unknownField": 1,
                                "sum": {
                                    "aggregationTemporality": 2,
                                    "dataPoints": [
                                        {
                                            "asInt": "4",
                                            "startTimeUnixNano": str(int(EPOCH * 1e9)),
                                            "timeUnixNano": str(int((EPOCH + 1) * 1e9)),
                                            "attributes": [
                                                {"key": k, "value": {"stringValue": v}} for k, v in BASE.items()
                                            ],
                                        }
                                    ],
                                },
                            }
                        ]
                    }
                ]
            }
        ]
    }
    data = gzip.compress(json.dumps(document).encode())
    status, _, body = server.post("/v1/metrics", data, "application/json", **{"content-encoding": "gzip"})
    assert (status, json.loads(body)) == (200, {})
    assert server.requests() == 4


@pytest.mark.parametrize(
    ("data", "kind", "headers", "status"),
    [
        (b"\xff\xff\xff", "application/x-protobuf", {}, 400),
        (b"{", "application/json", {}, 400),
        (b"[" * 100_000, "application/json", {}, 400),
        (b"[]", "application/json", {}, 400),
        (b'{"resourceMetrics": 7}', "application/json", {}, 400),
        (b"not gzip", "application/x-protobuf", {"content-encoding": "gzip"}, 400),
        (b"x", "application/x-protobuf", {"content-encoding": "br"}, 415),
        (b"x", "text/plain", {}, 415),
        (b"x" * (9 << 20), "application/x-protobuf", {}, 413),
        (gzip.compress(b"\0" * (65 << 20)), "application/x-protobuf", {"content-encoding": "gzip"}, 413),
    ],
    ids=["protobuf", "json", "deep", "list", "type", "gzip", "coding", "kind", "large", "bomb"],
)
def test_bad_input_is_refused_and_the_server_goes_on(server, data, kind, headers, status):
    with contextlib.suppress(ConnectionError, urllib.error.URLError):  # a body refused before it was all sent
        assert server.post("/v1/metrics", data, kind, **headers)[0] == status
    assert server.post("/v1/metrics", points((0, 10, 5)))[0] == 200
    assert server.requests() == 5


def test_points_that_make_no_sense_are_refused_and_the_others_kept(server):
    request = ExportMetricsServiceRequest.FromString(points((0, 10, 5), (0, 10, -3), attributes={}))
    status = server.post("/v1/metrics", request.SerializeToString())[0]
    assert status == 200
    assert server.requests() == 5


class Traffic:
    """One instrumented process's counter, exported by the real exporter."""

    def __init__(self, exporter):
        self.reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        self.provider = MeterProvider([self.reader])
        self.counter = self.provider.get_meter("otel_llm_routing").create_counter("llm_routing.requests")
        self.sent = {"claude-haiku-4-5-20251001": 0, "claude-sonnet-5": 0}

    def call(self, served):
        self.sent[served] += 1
        self.counter.add(1, {**BASE, "gen_ai.response.model": served})


def test_two_processes_one_of_them_restarted_report_the_true_share(server):
    dice = random.Random(3)
    truth = dict.fromkeys(("claude-haiku-4-5-20251001", "claude-sonnet-5"), 0)
    endpoints = [
        lambda: GRPCExporter(endpoint=server.grpc, insecure=True),
        lambda: HTTPExporter(endpoint=server.http + "/v1/metrics"),
        lambda: HTTPExporter(endpoint=server.http + "/v1/metrics"),  # the second one, restarted
    ]
    for endpoint in endpoints:
        traffic = Traffic(endpoint())
        for _ in range(3):
            for _ in range(20):
                traffic.call(dice.choice(list(truth)))
            assert traffic.provider.force_flush()
        traffic.provider.shutdown()
        for served, count in traffic.sent.items():
            truth[served] += count
    [found] = server.mixes().values()
    assert found.requests == 180
    assert found.by_model() == {served: count / 180 for served, count in truth.items()}


def test_a_second_server_on_one_database(server):
    assert "another otel-llm-routing serve" in refused("--db", server.db)


def test_a_busy_port(server, tmp_path):
    port = server.http.rpartition(":")[2]
    assert "--http-port" in refused("--db", tmp_path / "2.db", "--http-port", port)
    port = server.grpc.rpartition(":")[2]
    assert "--grpc-port" in refused("--db", tmp_path / "3.db", "--grpc-port", port)


def test_a_foreign_and_a_damaged_file_are_left_untouched(tmp_path):
    foreign = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    before = foreign.read_bytes()
    assert "another program" in refused("--db", foreign)
    assert foreign.read_bytes() == before
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database at all " * 100)
    assert "not a readable SQLite database" in refused("--db", damaged)
    assert damaged.read_bytes() == b"no database at all " * 100


def span(trace_id=1, span_id=1, parent=0, **attributes):
    found = {"traceId": f"{trace_id:032x}", "spanId": f"{span_id:016x}", "endTimeUnixNano": str(time.time_ns())}
    if parent:
        found["parentSpanId"] = f"{parent:016x}"
    found["attributes"] = [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()]
    return found


CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2025-08-07",
}


def send_spans(server, *found):
    document = {"resourceSpans": [{"scopeSpans": [{"spans": list(found)}]}]}
    assert server.post("/v1/traces", json.dumps(document).encode(), "application/json")[0] == 200


def test_model_spans_of_other_languages_are_counted_once(server):
    one = span(1, 1, **CHAT)
    send_spans(server, one)
    send_spans(server, one)  # a retry
    assert server.mixes()["unknown"].by_model() == {"gpt-5-2025-08-07": 1.0}
    assert server.requests() == 1
    send_spans(server, span(2, 5, 6, **CHAT), span(2, 6, **CHAT))  # a framework's span around the SDK's
    assert server.requests() == 2
    send_spans(server, span(3, 1, **{**CHAT, "gen_ai.operation.name": "invoke_agent"}))
    send_spans(server, span(4, 1, **CHAT, **{"llm_routing.match": "resolved"}))  # its process sends metrics
    assert server.requests() == 2


def test_a_span_without_a_served_model_is_unreported(server):
    send_spans(server, span(1, 1, **{k: v for k, v in CHAT.items() if "response" not in k}))
    [found] = server.mixes().values()
    assert (found.unreported, found.known) == (1, 0)


def test_the_page_and_its_data(server):
    hostile = "<img src=x onerror=alert(1)>"
    server.post("/v1/metrics", points((0, 10, 3), attributes={"llm_routing.surface": hostile}))
    with urllib.request.urlopen(server.http + "/", timeout=10) as answer:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert hostile not in answer.read().decode()
    with urllib.request.urlopen(server.http + "/api/mix?seconds=3600", timeout=10) as answer:
        [surface] = json.load(answer)["surfaces"]
    assert surface["surface"] == hostile
    assert surface["shares"] == {"claude-haiku-4-5-20251001": 1.0}


@pytest.mark.parametrize("headers", [{"host": "evil.example:80"}, {"sec-fetch-site": "cross-site"}])
@pytest.mark.parametrize("path", ["/", "/api/mix"])
def test_other_sites_cannot_read_the_loopback_page(server, path, headers):
    request = urllib.request.Request(server.http + path, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused_:
        urllib.request.urlopen(request, timeout=10)
    assert refused_.value.code == 403


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_the_page_draws_in_a_browser_and_hostile_names_stay_text(server, tmp_path):
    hostile = "<img src=x onerror=document.title='owned'>"
    server.post("/v1/metrics", points((0, 500, 3), attributes={"llm_routing.surface": hostile}))
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=4000", "--dump-dom", server.http + "/"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "claude-haiku-4-5-20251001 100.0 %" in done.stdout
    assert "<title>Which model served</title>" in done.stdout
    assert "<img" not in done.stdout
    assert "&lt;img" in done.stdout
    assert "<rect" in done.stdout


def test_ctrl_c_is_clean(tmp_path):
    server = Server(tmp_path / "t.db")
    assert (server.stop(signal.SIGINT), server.errors()) == (0, "")


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else False, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    assert "cannot be written" in refused("--db", folder / "t.db")
