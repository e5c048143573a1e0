"""From OTLP to what is stored: points of our metrics, and model spans of other instrumentations."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.models import kind_of, same_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

MAX_TEXT = 256
MAX_BOUNDS = 64
COUNTERS = frozenset({semconv.REQUESTS, semconv.INPUT_TOKENS_TOTAL, semconv.OUTPUT_TOKENS_TOTAL})
# The columns of a series, in the store's order, and the attribute of each.
_COLUMNS = (
    semconv.SURFACE,
    semconv.PROVIDER,
    semconv.OPERATION,
    semconv.REQUEST_MODEL,
    semconv.RESPONSE_MODEL,
    semconv.REQUEST_KIND,
    semconv.MATCH,
    semconv.SERVED_SOURCE,
    semconv.CACHED,
    semconv.ERROR_TYPE,
)


@dataclass(frozen=True, slots=True)
class Point:
    """One point of one stream."""

    stream: bytes
    start: int
    time: int
    """Nanoseconds since the epoch."""
    cumulative: bool
    bucket: int
    metric: str
    key: tuple[str, ...]
    values: list[float]
    """The counter's value, or the histogram's counts per bucket."""
    bounds: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CountedSpan:
    """One span that is one model call."""

    id: bytes
    parent: bytes | None
    bucket: int
    key: tuple[str, ...]


def points(request: ExportMetricsServiceRequest) -> tuple[list[Point], int]:
    """Return the points that are stored, and how many of our metrics' points make no sense and are refused."""
    found: list[Point] = []
    refused = 0
    for resource in request.resource_metrics:
        identity = _canonical(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name in COUNTERS or metric.name == semconv.INPUT_SIZE:
                    for point in _points(metric, f"{identity}\n{scope.scope.name}"):
                        if point is None:
                            refused += 1
                        else:
                            found.append(point)
    return found, refused


def _points(metric: Metric, identity: str) -> Iterator[Point | None]:
    data: Any = metric.sum if metric.HasField("sum") else metric.histogram if metric.HasField("histogram") else None
    if data is None or (metric.name == semconv.INPUT_SIZE) != metric.HasField("histogram"):
        yield None
        return
    cumulative = data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    delta = data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    for point in data.data_points:
        bounds = None
        if metric.HasField("histogram"):
            values = [float(v) for v in point.bucket_counts]
            bounds = tuple(f"{b:g}" for b in point.explicit_bounds)
            if len(values) != len(bounds) + 1 or len(bounds) > MAX_BOUNDS:
                yield None
                continue
        else:
            values = [float(point.as_int if point.HasField("as_int") else point.as_double)]
        if not (cumulative or delta) or any(v < 0 or not math.isfinite(v) for v in values):
            yield None
            continue
        attributes = {a.key: _text(a) for a in point.attributes}
        # A cumulative stream that starts anew is another stream; a delta's start moves with every point.
        start = point.start_time_unix_nano
        name = f"{identity}\n{metric.name}\n{_canonical(point.attributes)}\n{start if cumulative else 'delta'}"
        yield Point(
            hashlib.sha256(name.encode("utf-8", "replace")).digest(),
            _signed(start),
            _signed(point.time_unix_nano),
            cumulative,
            _bucket(point.time_unix_nano),
            metric.name,
            tuple(attributes.get(column, "") for column in _COLUMNS),
            values,
            bounds,
        )


def spans(request: ExportTraceServiceRequest) -> list[CountedSpan]:
    """Return the model calls that nobody else counts.

    Spans with ``llm_routing.match`` come from processes that send the metrics themselves.
    """
    found: list[tuple[int, CountedSpan]] = []
    for resource in request.resource_spans:
        of_resource = {a.key: _text(a) for a in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {a.key: _text(a) for a in span.attributes}
                operation = _operation(attributes)
                if operation is None or semconv.MATCH in attributes or len(span.span_id) != 8:  # noqa: PLR2004
                    continue
                counted = CountedSpan(
                    span.trace_id + span.span_id,
                    span.trace_id + span.parent_span_id if span.parent_span_id else None,
                    _bucket(span.end_time_unix_nano),
                    _key(attributes, of_resource, operation),
                )
                found.append((span.end_time_unix_nano, counted))
    # The inner of two nested spans ends first, and is the one that counts.
    return [counted for _, counted in sorted(found, key=lambda item: item[0])]


def _operation(attributes: dict[str, str]) -> str | None:
    operation = attributes.get(semconv.OPERATION)
    if operation:
        return operation if operation in semconv.MODEL_OPERATIONS else None
    kind = attributes.get("openinference.span.kind")
    if kind:
        return {"LLM": "chat", "EMBEDDING": "embeddings"}.get(kind)
    older = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
    return older.get(attributes.get("llm.request.type", ""))


def _key(attributes: dict[str, str], resource: dict[str, str], operation: str) -> tuple[str, ...]:
    requested = attributes.get(semconv.REQUEST_MODEL, "")
    served = attributes.get(semconv.RESPONSE_MODEL, "")
    if "openinference.span.kind" in attributes:
        # OpenInference's `llm.model_name` is the response's; the request's is in the invocation parameters.
        served = served or attributes.get("llm.model_name", "")
        requested = requested or _parameter(attributes.get("llm.invocation_parameters", ""))
    provider = attributes.get(semconv.PROVIDER) or attributes.get("gen_ai.system") or attributes.get("llm.provider")
    kind = kind_of(requested, provider) if requested else "unknown"
    if not served:
        match, source = "unreported", "none"
    elif requested and same_model(requested, served):
        match, source = ("unconfirmed" if kind in ("alias", "router") else "exact"), "body"
    else:
        match, source = ("substituted" if kind == "pinned" else "resolved"), "body"
    surface = attributes.get(semconv.SURFACE) or resource.get(semconv.SURFACE) or "unknown"
    error = attributes.get(semconv.ERROR_TYPE, "")
    return surface, provider or "unknown", operation, requested, served, kind, match, source, "", error


def _parameter(text: str) -> str:
    try:
        model = json.loads(text).get("model")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return model if isinstance(model, str) else ""


def _bucket(nanoseconds: int) -> int:
    now = time.time()
    seconds = nanoseconds / 1e9
    # A clock that is a day off would put the point where nobody looks.
    if not now - 366 * 86_400 < seconds < now + 3_600:
        seconds = now
    return int(seconds) // BUCKET * BUCKET


def _signed(value: int) -> int:
    return min(value, 2**63 - 1)


def _text(attribute: KeyValue) -> str:
    value = attribute.value
    kind = value.WhichOneof("value")
    if kind == "bool_value":
        return "true" if value.bool_value else ""
    if kind == "string_value":
        limit = 1 << 16 if attribute.key == "llm.invocation_parameters" else MAX_TEXT
        text = value.string_value[:limit]
        return text if text.isprintable() else "".join(c for c in text if c.isprintable())
    return ""


def _canonical(attributes: Iterable[KeyValue]) -> str:
    return "\x1f".join(sorted(f"{a.key}={a.value.SerializeToString(deterministic=True).hex()}" for a in attributes))
