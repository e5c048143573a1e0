"""Counts in whatever order, encoding and repetition add up to the truth; whatever else arrives is refused."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import random
import sqlite3
import zlib

import components
import grpc
import pytest
from collectors import WRITING, Collector, written
from embedded import CUMULATIVE, DELTA, EPOCH, Server, grpc_call
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from oracle import Oracle, Sent

from otel_llm_routing.serve.density import TooDenseError, messages
from otel_llm_routing.serve.receiver import MalformedError, decode, points
from otel_llm_routing.serve.spans import spans

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Of each property, others every time; the same few of them where it is not set."""
BOUNDS = (256.0, 512.0)
names = itertools.count(1)


def tried(few):
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("fuzz") / "t.db")
    yield started
    assert started.stop() == 0


# Counts --------------------------------------------------------------------------------------------------------------


@st.composite
def histories(draw):
    """Draw points as several processes send them: growing, restarting, falling, late, repeated, mixed up."""
    sent = []
    for process, surface, delta, bins in draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans(), st.booleans()),
            min_size=1, max_size=4, unique=True,
        )
    ):  # fmt: skip
        start, at, values = 0, 0, (0,) * (3 if bins else 1)
        for step in draw(st.lists(st.sampled_from(("grow", "grow", "grow", "restart", "fall", "stay")), max_size=6)):
            at += draw(st.integers(1, 3))
            more = tuple(draw(st.integers(0, 9)) for _ in values)
            if step == "restart":
                start, values = at, (0,) * len(values)
                at += 1
            kept = {"stay": values, "fall": more}.get(step, tuple(map(sum, zip(values, more, strict=True))))
            values = more if delta else kept
            sent.append(Sent(process, surface, delta, at - 1 if delta else start, at, values))
            if delta:
                values = (0,) * len(values)
    repeated = draw(st.lists(st.sampled_from(sent), max_size=4)) if sent else []
    return draw(st.permutations(sent + repeated)) if draw(st.booleans()) else sent + repeated


def export(given_, name):
    """Return a request with these points, each in a resource and metric of its own."""
    request = ExportMetricsServiceRequest()
    for sent in given_:
        of = request.resource_metrics.add()
        of.resource.attributes.add(key="service.instance.id").value.string_value = f"{name}-{sent.process}"
        metrics = of.scope_metrics.add().metrics
        if len(sent.values) == 1:
            data = metrics.add(name="llm_routing.requests").sum
            data.is_monotonic = True
            point = data.data_points.add(as_int=sent.values[0])
        else:
            data = metrics.add(name="llm_routing.input_size").histogram
            point = data.data_points.add(count=sum(sent.values), sum=0.0, bucket_counts=sent.values)
            point.explicit_bounds.extend(BOUNDS)
        data.aggregation_temporality = DELTA if sent.delta else CUMULATIVE
        point.start_time_unix_nano, point.time_unix_nano = EPOCH + sent.start * 10**9, EPOCH + sent.at * 10**9
        texts = {"llm_routing.surface": f"{name}-{sent.surface}", "gen_ai.request.model": "auto"}
        for key, text in texts.items():
            point.attributes.add(key=key).value.string_value = text
    return request


def over_grpc(server, data, compression):
    answer = grpc_call(server, data, compression=compression)
    return 200 if isinstance(answer, bytes) else answer


WAYS = {
    "protobuf": lambda server, r: server.post("/v1/metrics", r.SerializeToString())[0],
    "json": lambda server, r: server.post("/v1/metrics", json_format.MessageToJson(r).encode(), "application/json")[0],
    "gzip": lambda server, r: server.post(
        "/v1/metrics", gzip.compress(r.SerializeToString()), **{"content-encoding": "gzip"}
    )[0],
    "deflate": lambda server, r: server.post(
        "/v1/metrics", zlib.compress(r.SerializeToString()), **{"content-encoding": "deflate"}
    )[0],
    "grpc": lambda server, r: over_grpc(server, r.SerializeToString(), grpc.Compression.NoCompression),
    "grpc gzip": lambda server, r: over_grpc(server, r.SerializeToString(), grpc.Compression.Gzip),
}


def stored(server, name):
    """Return the sums by surface and place, as the oracle has them."""
    totals = {}
    with contextlib.closing(sqlite3.connect(server.db)) as connection:
        requests = (
            "SELECT surface, sum(value) FROM points JOIN series ON id = series "
            "WHERE metric = 'llm_routing.requests' AND surface LIKE ? GROUP BY 1"
        )
        bins = (
            "SELECT surface, bound, sum(value) FROM bins JOIN series ON id = series WHERE surface LIKE ? GROUP BY 1, 2"
        )
        for surface, total in connection.execute(requests, (f"{name}-%",)):
            totals[int(surface.rpartition("-")[2]), "requests"] = total
        for surface, bound, total in connection.execute(bins, (f"{name}-%",)):
            totals[int(surface.rpartition("-")[2]), bound] = total
    return totals


@tried(40)
@given(st.data())
def test_the_sums_are_those_of_a_simple_oracle(server, data):
    name = f"x{next(names)}"
    counters, histograms = Oracle(), Oracle()
    history = data.draw(histories())
    while history:
        size = data.draw(st.integers(1, 5))
        batch, history = history[:size], history[size:]
        for sent in batch:
            (counters if len(sent.values) == 1 else histograms).take(sent)
        assert WAYS[data.draw(st.sampled_from(sorted(WAYS)))](server, export(batch, name)) == 200
    expected = {(surface, "requests"): counts[0] for surface, counts in counters.totals.items()}
    for surface, counts in histograms.totals.items():
        expected |= {(surface, bound): counts[place] for place, bound in enumerate(("256", "512", "+Inf"))}
    assert stored(server, name) == {key: value for key, value in expected.items() if value}


def test_the_collector_and_prometheus_come_to_the_same_sums(server, tmp_path):
    # Without restarts, and deltas in their order: the rest is not theirs to know.
    source = random.Random(20261125)
    oracle, batches, at = Oracle(), [], 1
    totals = dict.fromkeys(range(3), 0)
    for _ in range(40):
        process = source.randrange(3)
        delta = process == 0
        at, before, more = at + 1, at, source.randrange(5)
        totals[process] += more
        sent = Sent(process, 0, delta, before if delta else 0, at, (more if delta else totals[process],))
        batches.append(sent)
        if not delta and source.random() < 0.4:
            batches.append(sent)  # repeated at once
    for sent in batches:
        oracle.take(sent)
    expected = sum(oracle.totals[0].values())
    config = written(tmp_path / "config") / "gateway-tier2.yaml"
    with components.Prometheus(tmp_path, flags=WRITING) as prometheus:
        url = f"{prometheus.url}/api/v1/otlp/v1/metrics"
        with Collector(tmp_path, config, LLM_ROUTING_PROMETHEUS_OTLP_URL=url) as collector:
            for sent in batches:
                request = export([sent], "both")
                assert WAYS["protobuf"](server, request) == 200
                collector.send("metrics", json_format.MessageToDict(request))

            def total():
                vector = prometheus.query("sum(llm_routing_requests_total)", EPOCH / 1e9 + at + 1)
                return [value for _, value in vector if value >= expected]

            found = components.wait_for(f"{expected} requests", total)
    assert found == [expected]
    assert stored(server, "both") == {(0, "requests"): expected}


# Decoding ------------------------------------------------------------------------------------------------------------

texts = st.text(max_size=8)
values = st.recursive(
    st.one_of(
        texts.map(lambda text: {"stringValue": text}),
        st.booleans().map(lambda true: {"boolValue": true}),
        st.integers(-(2**63), 2**63 - 1).map(lambda number: {"intValue": str(number)}),
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda found: {"arrayValue": {"values": found}}),
    max_leaves=4,
)
attributes = st.lists(st.fixed_dictionaries({"key": texts, "value": values}), max_size=4)
nanoseconds = st.integers(0, 2**64 - 1).map(str)
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda number: {"asInt": str(number)}),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: {"asDouble": number}),
    st.integers(0, 2**32 - 1).map(lambda number: {"flags": number}),
)
metric_points = st.builds(dict, numbers, timeUnixNano=nanoseconds, startTimeUnixNano=nanoseconds, attributes=attributes)
sums = st.fixed_dictionaries(
    {"aggregationTemporality": st.integers(0, 2), "dataPoints": st.lists(metric_points, max_size=3)}
)
metrics = st.fixed_dictionaries(
    {"name": st.sampled_from(("llm_routing.requests", "llm_routing.input_tokens", "other"))},
    optional={"sum": sums, "unit": texts},
)
requests = st.fixed_dictionaries(
    {
        "resourceMetrics": st.lists(
            st.fixed_dictionaries(
                {
                    "resource": st.fixed_dictionaries({"attributes": attributes}),
                    "scopeMetrics": st.lists(
                        st.fixed_dictionaries({"metrics": st.lists(metrics, max_size=3)}), max_size=2
                    ),
                }
            ),
            max_size=2,
        )
    }
)


@tried(60)
@given(requests)
def test_json_and_protobuf_of_one_request_are_the_same_points(document):
    request = json_format.ParseDict(document, ExportMetricsServiceRequest())
    one = points(decode("metrics", request.SerializeToString(), as_json=False))
    two = points(decode("metrics", json.dumps(document).encode(), as_json=True))
    assert one[1:] == two[1:]
    # The time of arrival stands in for a sender's clock that is far off.
    assert [(p.stream, p.time, p.key, p.values) for p in one[0]] == [
        (p.stream, p.time, p.key, p.values) for p in two[0]
    ]


def sound(kind):
    """Return a body of every field that is read, to be damaged."""
    if kind == "traces":
        request = ExportTraceServiceRequest()
        of = request.resource_spans.add()
        span = of.scope_spans.add().spans.add(
            trace_id=b"t" * 16, span_id=b"s" * 8, parent_span_id=b"p" * 8, name="chat"
        )
        span.end_time_unix_nano = EPOCH
        for key in ("gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.model"):
            span.attributes.add(key=key).value.string_value = "chat"
        return request
    return export([Sent(1, 1, False, 0, 1, (1,)), Sent(1, 1, True, 0, 1, (1, 2, 3))], "x")


@st.composite
def damaged(draw, as_json):
    kind = draw(st.sampled_from(("metrics", "traces")))
    message = sound(kind)
    body = bytearray(json_format.MessageToJson(message).encode() if as_json else message.SerializeToString())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(body)))
        what = draw(st.sampled_from(("cut", "insert", "replace", "double")))
        if what == "cut":
            del body[at : at + draw(st.integers(1, 40))]
        elif what == "double":
            body[at:at] = body[at : at + draw(st.integers(1, 200))]
        else:
            new = draw(
                st.sampled_from((b"\x00", b"\xff" * 9, b'"', b"{}", b"[[", b"1e999", b"\\ud800", b"null", b"-1"))
            )
            body[at : at + (len(new) if what == "replace" else 0)] = new
    return kind, bytes(body)


@pytest.mark.parametrize("as_json", [False, True])
@tried(250)
@given(st.data())
def test_a_damaged_body_is_read_or_refused_and_nothing_else(as_json, data):
    kind, body = data.draw(damaged(as_json))
    with contextlib.suppress(MalformedError):
        (points if kind == "metrics" else spans)(decode(kind, body, as_json=as_json))


@tried(100)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(body):
    for kind, as_json in itertools.product(("metrics", "traces", "logs"), (False, True)):
        with contextlib.suppress(MalformedError):
            decode(kind, body, as_json=as_json)


def within(message):
    """Return how many messages are in ``message``, by looking at it."""
    total = 0
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if isinstance(value, type(message)) or not hasattr(value, "__len__") else value:
                total += 1 + within(one)
    return total


@tried(60)
@given(requests)
def test_how_many_messages_a_body_has_is_told_without_decoding_it(document):
    request = json_format.ParseDict(document, ExportMetricsServiceRequest())
    body, held = request.SerializeToString(), within(request)
    messages(body, request.DESCRIPTOR, small=0, most=held)
    if held:
        with pytest.raises(TooDenseError):
            messages(body, request.DESCRIPTOR, small=0, most=held - 1)


# Bodies that are small to send and large to read ---------------------------------------------------------------------


def field(number, data):
    def varint(value):
        return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)

    return varint(number << 3 | 2) + varint(len(data)) + data


def within_metric(data):
    return field(1, field(2, field(2, field(1, b"llm_routing.requests") + field(7, data))))


SIZE = 12 << 20
PIECES = {
    "resources": ("metrics", b"\x0a\x00" * (SIZE // 2)),
    "attributes": ("metrics", field(1, field(1, b"\x0a\x00" * (SIZE // 2)))),
    "points": ("metrics", within_metric(b"\x0a\x00" * (SIZE // 2))),
    "spans": ("traces", field(1, field(2, b"\x12\x00" * (SIZE // 2)))),
    "few enough to be decoded": ("traces", field(1, field(2, b"\x12\x00" * 900_000))),
    "objects": ("metrics", b'{"resourceMetrics":[' + b"{}," * (SIZE // 3) + b"{}]}"),
    "ignored objects": ("traces", b'{"x":[' + b"[]," * (SIZE // 3) + b"[]]}"),
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
def test_a_body_made_of_next_to_nothing_takes_neither_time_nor_memory(server, name):
    kind, body = PIECES[name]
    form = "application/json" if body[:1] == b"{" else "application/x-protobuf"
    packed = gzip.compress(body, 1)
    began = cpu(server)
    status, _, said = server.post(f"/v1/{kind}", packed, form, **{"content-encoding": "gzip"})
    assert status == 400
    assert b"smaller batches" in said
    assert cpu(server) - began < 5


def cpu(server):
    """Return the seconds that the server has worked."""
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
