"""The embedded backend as it is run, and exports to send to it."""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources.sqlite import SQLiteSource

COMMAND = [str(Path(sys.executable).parent / "otel-llm-routing"), "serve"]
CUMULATIVE, DELTA = 2, 1
EPOCH = time.time_ns() - 600 * 10**9
BASE = {
    "llm_routing.surface": "autocomplete",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "auto",
    "gen_ai.response.model": "claude-sonnet-5",
    "llm_routing.request.kind": "router",
    "llm_routing.match": "resolved",
}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.model": "gpt-5-2025-08-07",
}


class Server:
    def __init__(self, db, *more, command=COMMAND):
        self.db = str(db)
        with Path(f"{db}.log").open("w", encoding="utf-8") as log:  # not a pipe: nobody would empty it
            self.process = subprocess.Popen(
                [*command, "--db", self.db, "--grpc-port", "0", "--http-port", "0", *more],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        atexit.register(self.process.kill)  # a test that fails leaves no server behind; a no-op once it has ended
        lines = [self.process.stdout.readline() for _ in range(4)]
        assert lines[3].startswith("database"), (lines, self.errors())
        self.grpc, self.http = lines[0].split()[1], lines[1].split()[1]
        self.port = int(self.http.rpartition(":")[2])

    def post(self, path, data, kind="application/x-protobuf", **headers):
        request = urllib.request.Request(self.http + path, data, {"content-type": kind, **headers})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def get(self, path):
        with urllib.request.urlopen(self.http + path, timeout=20) as answer:
            return answer.read().decode()

    def metrics(self, request, **headers):
        status, _, body = self.post("/v1/metrics", request.SerializeToString(), **headers)
        assert status == 200
        return ExportMetricsServiceResponse.FromString(body)

    def spans(self, *found, resource=None):
        document = {"resourceSpans": [{"resource": attributes(resource or {}), "scopeSpans": [{"spans": list(found)}]}]}
        assert self.post("/v1/traces", json.dumps(document).encode(), "application/json")[0] == 200

    def mixes(self):
        return {m.surface: m for m in mix(SQLiteSource(self.db), time.time() - 86_400, time.time() + 60)}

    def requests(self):
        return sum(m.requests for m in self.mixes().values())

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.communicate(timeout=15)
        return self.process.returncode

    def errors(self):
        return Path(f"{self.db}.log").read_text("utf-8")


def attributes(texts):
    return {"attributes": [{"key": k, "value": {"stringValue": v}} for k, v in texts.items()]}


def export(*values, temporality=CUMULATIVE, resource=None, own=None, name="llm_routing.requests"):
    """A request with one stream; ``values`` are (start, time, value), times in seconds."""
    request = ExportMetricsServiceRequest()
    of = request.resource_metrics.add()
    for key, text in (resource or {"service.instance.id": "1"}).items():
        of.resource.attributes.add(key=key).value.string_value = text
    metric = of.scope_metrics.add().metrics.add(name=name)
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = True
    for start, at, value in values:
        point = metric.sum.data_points.add(as_int=value)
        point.start_time_unix_nano, point.time_unix_nano = EPOCH + start * 10**9, EPOCH + at * 10**9
        for key, text in {**BASE, **(own or {})}.items():
            point.attributes.add(key=key).value.string_value = text
    return request


def sizes(*rows, temporality=CUMULATIVE, name="llm_routing.input_size"):
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    metric.histogram.aggregation_temporality = temporality
    for at, total, *bins in rows:
        point = metric.histogram.data_points.add(count=sum(bins), sum=total, bucket_counts=bins)
        point.explicit_bounds.extend([256.0, 512.0])
        point.start_time_unix_nano, point.time_unix_nano = EPOCH, EPOCH + at * 10**9
        for key, text in BASE.items():
            point.attributes.add(key=key).value.string_value = text
    return request


def span(trace_id=1, span_id=1, parent=0, end=0, **texts):
    found = {"traceId": f"{trace_id:032x}", "spanId": f"{span_id:016x}", "endTimeUnixNano": str(time.time_ns() + end)}
    if parent:
        found["parentSpanId"] = f"{parent:016x}"
    return {**found, **attributes(texts)}


def grpc_call(server, body, **options):
    with grpc.insecure_channel(
        server.grpc.removeprefix("http://"), options=[("grpc.max_send_message_length", -1)]
    ) as channel:
        name = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
        try:
            return channel.unary_unary(name)(body, timeout=30, **options)
        except grpc.RpcError as error:
            return error.code()


def memory(server, line="VmHWM"):
    """Return the bytes of memory that the server had at most; with ``VmRSS``, those that it has now."""
    status = Path(f"/proc/{server.process.pid}/status").read_text("utf-8")
    return int(status.split(f"{line}:")[1].split()[0]) << 10


def refused(*arguments, command=COMMAND):
    done = subprocess.run(
        [*command, "--grpc-port", "0", "--http-port", "0", *map(str, arguments)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert "Traceback" not in done.stderr
    return done.stderr
