"""The same traffic gives the same numbers from every source.

Our own instrumentation counts on a real SDK, with its clock turned: what it collects is given other times, so that two
hours pass in seconds. The SDK's exporters send it to ``otel-llm-routing serve`` and to a real Prometheus, and its
encoder's messages are written to files by the conventions of the Collector's file exporter. That these are its
conventions is tested with a real Collector in ``test_collector_files.py``.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import components
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Counter as SDKCounter
from opentelemetry.sdk.metrics import Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.instrument.metrics import Recorder

pytestmark = pytest.mark.timeout(600)

STEP = 300
MINUTES = 125
START = int(time.time() - 3 * 3600) // STEP * STEP
"""The traffic begins here; sources are asked from here on."""
OFFSET = 7
"""Seconds after the minute at which a process exports: a step's edge would be a matter of taste."""
SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
GAP = range(60, 76)
"""Minutes in which nothing is exported; calls go on."""
QUIET = range(90, 101)
"""Minutes without a call; exports go on."""
PARTS = ((START, START + 45 * 60), (START + 45 * 60, START + MINUTES * 60))
"""What tokens are asked for."""
DELTA = dict.fromkeys((SDKCounter, ObservableCounter, Histogram), AggregationTemporality.DELTA)


class Process:
    """One process of the application from its start to its end, both in minutes."""

    def __init__(self, name, begin, end, *, temporality=None):
        self.begin, self.end = begin, end
        self._reader = InMemoryMetricReader(preferred_temporality=temporality)
        resource = Resource({"service.name": "shop", "service.namespace": "prod", "service.instance.id": name})
        self._meters = MeterProvider([self._reader], resource=resource)
        self._recorder = Recorder(self._meters.get_meter("otel_llm_routing", "1.2.3"))
        self._tracer = TracerProvider().get_tracer("test")
        self._last = begin * 60
        self._started = None

    def call(self, served, size, surface="autocomplete", match="resolved", *, cached=False, error=None):
        key = (surface, "openai", "chat", "openrouter/auto", served, "router", match, "body", cached, error)
        context = set_span_in_context(self._tracer.start_span("chat"))  # an exemplar has its ids
        self._recorder.record((key, size, *tokens(size), 0.7, None, context))

    def restart_without_saying_so(self, other):
        """Go on as this process what ``other`` counts from zero, with the start of this one."""
        other._last, other.begin = self._last, self.begin
        return other

    def collect(self, minute):
        """Return what the SDK collects, as of that minute; None if there is nothing."""
        data = self._reader.get_metrics_data()
        if data is None:
            return None
        at = minute * 60 + OFFSET
        delta = max(self.begin * 60, self._last)
        times = {"time_unix_nano": _nanos(at)}
        turned = []
        for resource in data.resource_metrics:
            scopes = []
            for scope in resource.scope_metrics:
                metrics = []
                for metric in scope.metrics:
                    is_delta = metric.data.aggregation_temporality == AggregationTemporality.DELTA
                    times["start_time_unix_nano"] = _nanos(delta if is_delta else self.begin * 60)
                    points = [replace(point, **times) for point in metric.data.data_points]
                    metrics.append(replace(metric, data=replace(metric.data, data_points=points)))
                scopes.append(replace(scope, metrics=metrics))
            turned.append(replace(resource, scope_metrics=scopes))
        self._last = at
        return replace(data, resource_metrics=turned)


def tokens(size):
    """Return what a call of that many characters reads and writes; some write nothing, some say nothing of either."""
    return (size // 4, size % 11) if size != 2700 else (0, 0)


def _nanos(seconds):
    return (START + seconds) * 10**9


class Truth:
    """What was really called, by the step of its first export."""

    def __init__(self):
        self.counts, self.sizes, self.tokens = Counter(), Counter(), Counter()
        self._waiting = defaultdict(list)

    def call(self, process, served, size, surface="autocomplete", match="resolved", *, cached=False, error=""):
        process.call(served, size, surface, match, cached=cached, error=error or None)
        bound = next((256.0 * 2**n for n in range(10) if size <= 256 * 2**n), float("inf"))
        count = (surface, "openrouter/auto", served or "", match, cached, error)
        words = (surface, "openrouter/auto", served or "")
        self._waiting[id(process)].append((count, (*words, bound), words, tokens(size)))

    def exported(self, process, minute):
        at = START + minute * 60 // STEP * STEP
        part = next(number for number, (begin, end) in enumerate(PARTS) if begin <= at < end)
        for count, size, words, both in self._waiting.pop(id(process), ()):
            self.counts[(at, *count)] += 1
            self.sizes[(at, *size)] += 1
            for kind, number in zip(("read", "written"), both, strict=True):
                self.tokens[(part, kind, *words)] += number


def play(truth, temporality=None):
    """Yield what is exported, in the order of time."""
    one, two = Process("a", 0, 46, temporality=temporality), Process("b", 3, MINUTES, temporality=temporality)
    running = [one, two]
    for minute in range(1, MINUTES):
        if minute == 47:  # a restart under the same name
            running.append(Process("a", 46, MINUTES, temporality=temporality))
        if minute == 112:  # a counter that falls though nobody says that its process began anew
            running[running.index(two)] = two.restart_without_saying_so(
                Process("b", 3, MINUTES, temporality=temporality)
            )
        for process in running:
            if not process.begin < minute <= process.end or minute in QUIET:
                continue
            for number in range(1 + (minute * 7 + process.begin) % 4 if minute != 112 else 1):
                truth.call(process, HAIKU if (minute + number) % 5 == 0 else SONNET, 100 * 3 ** (number + minute % 6))
            if minute % 10 == 0:
                truth.call(process, None, 900, "drafts", "unreported", error="timeout")
                truth.call(process, SONNET, 300_000, "drafts", cached=True)
            # A rare model is born. Not in the process that restarted: Prometheus, which keeps no start of a counter,
            # takes that for the old series, which stood still (docs/sources.md).
            if minute == 21 or (minute == 83 and process is two):
                truth.call(process, MINI, 5000)
        if minute in GAP:
            continue
        for process in running:
            if process.begin < minute <= process.end and (data := process.collect(minute)) is not None:
                truth.exported(process, minute)
                yield data


def as_file(data, number):
    """Return a line as the file exporter writes it; every third as protobuf spells it."""
    snake = number % 3 == 2
    message = encode_metrics(data)
    document = MessageToDict(message, preserving_proto_field_name=snake, use_integers_for_enums=not snake)
    _ids_in_hex(document)
    return json.dumps(document, separators=(",", ":")) + "\n"


def _ids_in_hex(node):
    from base64 import b64decode

    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            _ids_in_hex(value)
        elif name in ("traceId", "spanId", "trace_id", "span_id"):
            node[name] = b64decode(value).hex()


class Serve(components.Program):
    """``otel-llm-routing serve``."""

    def __init__(self, folder):
        port = components.free_port()
        self.url, self.db = f"http://127.0.0.1:{port}", folder / "counts.db"
        command = [Path(sys.executable).parent / "otel-llm-routing", "serve", "--db", self.db, "--grpc-port", "0"]
        super().__init__(folder, "serve", [*command, "--http-port", port], f"{self.url}/")


def send(url, exports):
    exporter = OTLPMetricExporter(url)
    for data in exports:
        assert exporter.export(data) is MetricExportResult.SUCCESS
    exporter.shutdown()


def counted(name):
    source = open_source(name)
    counts, sizes, both = Counter(), Counter(), Counter()
    for count in source.counts(START, START + MINUTES * 60, STEP):
        assert (count.provider, count.operation, count.kind, count.service) == ("openai", "chat", "router", "shop")
        of = (count.surface, count.requested, count.served, count.match, count.cached, count.error)
        counts[(count.start, *of)] += count.requests
    for size in source.sizes(START, START + MINUTES * 60, STEP):
        sizes[size[:-1]] += size.requests
    for part, (begin, end) in enumerate(PARTS):
        for of in source.tokens(begin, end):
            assert of.provider == "openai"
            for kind in ("read", "written"):
                both[(part, kind, of.surface, of.requested, of.served)] += getattr(of, kind)
    assert source.warnings == []
    return counts, sizes, both


def all_of(truth):
    return truth.counts, truth.sizes, truth.tokens


@pytest.fixture(scope="module")
def cumulative():
    truth = Truth()
    return truth, list(play(truth))


@pytest.fixture(scope="module")
def lines(cumulative):
    return [as_file(data, number) for number, data in enumerate(cumulative[1])]


def test_the_embedded_store(tmp_path, cumulative):
    truth, exports = cumulative
    with Serve(tmp_path) as serve:
        send(f"{serve.url}/v1/metrics", exports)
        found = counted(f"sqlite:{serve.db}")
    assert found == all_of(truth)


def test_prometheus(tmp_path, cumulative):
    truth, exports = cumulative
    with components.Prometheus(tmp_path, flags=["--web.enable-otlp-receiver"]) as prometheus:
        send(f"{prometheus.url}/api/v1/otlp/v1/metrics", exports)
        found = counted(f"prometheus:{prometheus.url}")
    assert found == all_of(truth)


def test_one_file(tmp_path, cumulative, lines):
    truth, _ = cumulative
    (tmp_path / "metrics.json").write_text("".join(lines))
    assert counted(f"otlp:{tmp_path / 'metrics.json'}") == all_of(truth)


def test_rotated_files_of_two_replicas(tmp_path, cumulative, lines):
    truth, _ = cumulative
    third = len(lines) // 3
    for replica in "ab":
        folder = tmp_path / replica
        folder.mkdir()
        with gzip.open(folder / "metrics-2026-01-01T00-00-00.000.json.gz", "wt") as file:
            file.writelines(lines[:third])
        # Each replica was away for a while.
        gone = range(third + 9, third + 30) if replica == "a" else range(third + 50, third + 80)
        kept = [line for number, line in enumerate(lines) if number >= third and number not in gone]
        (folder / "metrics.json").write_text("".join(kept))
    assert counted(f"otlp:{tmp_path}") == all_of(truth)


def test_delta_temporality(tmp_path):
    truth = Truth()
    exports = list(play(truth, DELTA))
    lines = [as_file(data, number) for number, data in enumerate(exports)]
    (tmp_path / "metrics.json").write_text("".join(lines + lines[::2]))  # half of it was sent twice
    with Serve(tmp_path) as serve:
        send(f"{serve.url}/v1/metrics", exports + exports[::2])
        stored = counted(f"sqlite:{serve.db}")
    assert stored == all_of(truth)
    assert counted(f"otlp:{tmp_path / 'metrics.json'}") == stored


def test_the_traffic_has_what_it_is_meant_to_have(cumulative):
    truth, _ = cumulative
    steps = {of[0] for of in truth.counts}
    minute = {(at - START) // 60 for at in steps}
    assert {60, 65, 70}.isdisjoint(minute)  # the gap
    assert {90, 95}.isdisjoint(minute)  # silence
    assert sum(number for of, number in truth.counts.items() if of[3] == MINI) == 3
    assert {of[4] for of in truth.sizes} >= {256.0, 131_072.0, float("inf")}
    assert sum(truth.counts.values()) == sum(truth.sizes.values()) > 400
    assert len([of for of, number in truth.tokens.items() if of[:2] == (1, "written") and number]) >= 3
