"""OTLP as it arrives: bytes to messages, and metric points to what the store keeps."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, DataPointFlags, Metric

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources.points import COUNTERS, HISTOGRAMS, Point, histogram, point
from otel_llm_routing.analyze.sources.points import identity as sender_of
from otel_llm_routing.analyze.sources.series import key
from otel_llm_routing.serve.density import TooDenseError, messages, objects
from otel_llm_routing.serve.text import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sized

    from google.protobuf.message import Message
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    from otel_llm_routing.serve.store import Store

MAX_NESTING = 200
"""Objects and lists within one another. Protobuf takes 100 messages, each of which may be two of them in JSON."""
MAX_ITEMS = 100_000
"""Resources, scopes, metrics, spans and points of one export."""
MAX_ATTRIBUTES = 1_000_000
REFUSED = "not a sum or a histogram, without time, temporality or value, or a value that is no count"
NO_ROOM = "as many streams are remembered as may be, and no new ones are taken in"
LARGE = 1 << 18
"""Bytes of a body past which only one is decoded at a time: as messages it may take eighty times as much memory."""


class MalformedError(Exception):
    """A body that is not OTLP."""


class Receiver:
    """Takes one export after another, from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._one_large = threading.Lock()

    def receive(self, signal: str, body: bytes, *, as_json: bool = False) -> Message:
        """Store the export in ``body`` and return OTLP's answer, when it is safely stored.

        ``signal`` is ``metrics``, ``traces`` or ``logs``. Raises ``MalformedError``, ``BusyError`` and ``StoreError``.
        """
        with self._one_large if len(body) > LARGE else contextlib.nullcontext():
            return self._receive(signal, body, as_json=as_json)

    def _receive(self, signal: str, body: bytes, *, as_json: bool) -> Message:
        request = decode(signal, body, as_json=as_json)
        if signal == "metrics":
            found, senders, refused = points(request)
            full = self._store.write(found, (), senders)
            answer = metrics_service_pb2.ExportMetricsServiceResponse()
            if refused or full:
                answer.partial_success.rejected_data_points = refused + full
                answer.partial_success.error_message = "; ".join([REFUSED] * bool(refused) + [NO_ROOM] * bool(full))
            return answer
        if signal == "traces":
            from otel_llm_routing.serve.spans import spans  # noqa: PLC0415  (it builds on this module)

            counted, senders = spans(request)
            self._store.write((), counted, senders)
            return trace_service_pb2.ExportTraceServiceResponse()
        return logs_service_pb2.ExportLogsServiceResponse()


def decode(signal: str, body: bytes, *, as_json: bool) -> Any:
    """Return the export request in ``body``. Raises ``MalformedError``."""
    kinds: dict[str, type[Message]] = {
        "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
        "traces": trace_service_pb2.ExportTraceServiceRequest,
        "logs": logs_service_pb2.ExportLogsServiceRequest,
    }
    request = kinds[signal]()
    try:
        if as_json:
            objects(body)
            document = json.loads(body)
            if not isinstance(document, dict):
                raise TypeError  # noqa: TRY301
            _as_protobuf(document)
            json_format.ParseDict(document, request, ignore_unknown_fields=True)
        else:
            messages(body, request.DESCRIPTOR)
            request.ParseFromString(body)
    except TooDenseError as error:
        raise MalformedError(str(error)) from None
    except Exception as error:  # noqa: BLE001  (whatever a decoder says of a hostile body, it is the body's fault)
        msg = f"the body cannot be read as OTLP {signal} ({type(error).__name__})"
        raise MalformedError(msg) from None
    return request


def _as_protobuf(document: Any, depth: int = 0) -> None:
    """Turn a document of OTLP/JSON into what protobuf's JSON mapping reads, in place.

    Its ids are hexadecimal where that wants base64, and its texts may have halves of characters, as JavaScript leaves
    where it cuts one. Source: opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding".
    """
    if depth > MAX_NESTING:
        msg = "nested too deeply"
        raise ValueError(msg)
    if isinstance(document, list):
        for item in document:
            _as_protobuf(item, depth + 1)
    elif isinstance(document, dict):
        for name, value in document.items():
            if not isinstance(value, str):
                _as_protobuf(value, depth + 1)
            elif name in ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"):
                document[name] = base64.b64encode(bytes.fromhex(value)).decode()
            elif not value.isascii():
                document[name] = value.encode("utf-8", "ignore").decode()


class Allowance:
    """How much of an export is read: what is made of next to nothing takes more time than it took to send."""

    __slots__ = ("_attributes", "_items")

    def __init__(self) -> None:
        self._items = MAX_ITEMS
        self._attributes = MAX_ATTRIBUTES

    def take(self, attributes: Sized = ()) -> None:
        """Use up one item and its attributes. Raises ``MalformedError``."""
        self._items -= 1
        self._attributes -= len(attributes)
        if self._items < 0 or self._attributes < 0:
            msg = f"the body has more than {MAX_ITEMS} items or {MAX_ATTRIBUTES} attributes; send smaller batches"
            raise MalformedError(msg)


def points(request: ExportMetricsServiceRequest) -> tuple[list[Point], set[bytes], int]:
    """Return the points to store, the senders that count requests, and how many points make no sense.

    Raises ``MalformedError`` for more items or attributes than a body may have.
    """
    allow = Allowance()
    found: list[Point] = []
    senders: set[bytes] = set()
    refused = 0
    for resource in request.resource_metrics:
        allow.take(resource.resource.attributes)
        service = texts(resource.resource.attributes).get("service.name", "")
        sender = identity(resource.resource)
        for scope in resource.scope_metrics:
            allow.take(scope.scope.attributes)
            origin = (sender, scope.scope.name, scope.scope.version, *_sorted(scope.scope.attributes))
            for metric in scope.metrics:
                allow.take()
                if metric.name not in COUNTERS and metric.name not in HISTOGRAMS:
                    continue
                if metric.name == semconv.REQUESTS:
                    senders.add(sender)
                for one in _points(metric, origin, service, allow):
                    if isinstance(one, Point):
                        found.append(one)
                    else:
                        refused += one
    return found, senders, refused


def _points(metric: Metric, origin: tuple[object, ...], service: str, allow: Allowance) -> Iterator[Point | int]:
    """Yield each point, or the number of points that are refused."""
    shape = metric.WhichOneof("data")
    data: Any = getattr(metric, shape) if shape else None
    wanted = ("sum",) if metric.name in COUNTERS else ("histogram", "exponential_histogram")
    if data is None:
        return
    cumulative = delta = False
    if shape in wanted:
        cumulative = data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        delta = data.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    if not (cumulative or delta):
        yield len(data.data_points)
        return
    arrived = time.time()
    for one in data.data_points:
        allow.take(one.attributes)
        if one.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
            continue
        bounds: tuple[str, ...] | None = None
        values: tuple[float, ...]
        if shape == "sum":
            kind = one.WhichOneof("value")
            values = (float(getattr(one, kind)),) if kind else ()
        else:
            # The bins of an exponential histogram change their widths as it grows: only its count and sum add up.
            bins = tuple(map(float, one.bucket_counts)) if shape == "histogram" else ()
            values, bounds = histogram(float(one.count), float(one.sum), bins, one.explicit_bounds if bins else ())
        yield (
            point(
                origin,
                _sorted(one.attributes),
                key(texts(one.attributes), service),
                metric=metric.name,
                cumulative=cumulative,
                start=one.start_time_unix_nano,
                at=one.time_unix_nano,
                values=values,
                bounds=bounds,
                arrived=arrived,
            )
            or 1
        )


def identity(resource: Resource) -> bytes:
    """Return what tells one process that sends from another."""
    attributes = resource.attributes
    return sender_of({a.key: a.value.string_value for a in attributes}, _sorted(attributes))


def _sorted(attributes: Iterable[KeyValue]) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted((a.key, a.value.SerializeToString(deterministic=True)) for a in attributes))
