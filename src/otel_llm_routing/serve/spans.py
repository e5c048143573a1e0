"""Model calls counted from the spans of instrumentations that send none of our metrics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources.points import bucket
from otel_llm_routing.analyze.sources.series import key
from otel_llm_routing.model_span import PROVIDER_NAMES, models_of, operation_of
from otel_llm_routing.models import kind_of, match
from otel_llm_routing.serve.receiver import Allowance, identity
from otel_llm_routing.serve.text import texts

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE_ID, SPAN_ID = 16, 8
"""Bytes."""


@dataclass(frozen=True, slots=True)
class CountedSpan:
    """One span that is one model call."""

    id: bytes
    parent: bytes | None
    sender: bytes
    bucket: int
    key: tuple[str, ...]


def spans(request: ExportTraceServiceRequest) -> tuple[list[CountedSpan], set[bytes]]:
    """Return the model calls, inner ones before those around them, and the senders that count for themselves.

    Raises ``MalformedError`` for more items or attributes than a body may have.
    """
    allow = Allowance()
    found: dict[bytes, tuple[int, CountedSpan]] = {}
    arrived = time.time()
    senders: set[bytes] = set()
    for resource in request.resource_spans:
        allow.take(resource.resource.attributes)
        sender = identity(resource.resource)
        of_resource = texts(resource.resource.attributes)
        for scope in resource.scope_spans:
            allow.take()
            for span in scope.spans:
                allow.take(span.attributes)
                attributes = texts(span.attributes)
                # Both are written only by our instrumentation, which counts every call of its process in its metrics.
                if semconv.MATCH in attributes or semconv.SURFACE_SOURCE in attributes:
                    senders.add(sender)
                    continue
                operation = operation_of(attributes)
                if operation is None or len(span.span_id) != SPAN_ID or len(span.trace_id) != TRACE_ID:
                    continue
                if span.status.code == Status.STATUS_CODE_ERROR:
                    attributes.setdefault(semconv.ERROR_TYPE, "_OTHER")
                around = len(span.parent_span_id) == SPAN_ID and span.parent_span_id != span.span_id
                counted = CountedSpan(
                    span.trace_id + span.span_id,
                    span.trace_id + span.parent_span_id if around else None,
                    sender,
                    bucket(span.end_time_unix_nano, arrived),
                    _key(attributes, of_resource, operation),
                )
                found[counted.id] = (span.end_time_unix_nano, counted)
    depths = _depths({counted.id: counted.parent for _, counted in found.values()})
    order = sorted(found.values(), key=lambda item: (-depths[item[1].id], item[0]))
    return [counted for _, counted in order], senders


def _key(attributes: dict[str, str], resource: dict[str, str], operation: str) -> tuple[str, ...]:
    requested, served = models_of(attributes)
    provider = next((attributes[name] for name in PROVIDER_NAMES if name in attributes), None)
    surface = attributes.get(semconv.SURFACE) or resource.get(semconv.SURFACE)
    series = {
        semconv.SURFACE: surface or "unknown",
        semconv.PROVIDER: provider or "unknown",
        semconv.OPERATION: operation,
        semconv.REQUEST_MODEL: requested or "",
        semconv.RESPONSE_MODEL: served or "",
        semconv.REQUEST_KIND: kind_of(requested, provider) if requested else "unknown",
        semconv.MATCH: match(requested, provider, served),
        semconv.SERVED_SOURCE: "body" if served else "none",
        semconv.CACHED: attributes.get(semconv.CACHED, ""),
        semconv.ERROR_TYPE: attributes.get(semconv.ERROR_TYPE, ""),
    }
    return key(series, resource.get("service.name", ""))


def _depths(parents: dict[bytes, bytes | None]) -> dict[bytes, int]:
    """Return how many spans of the same export are around each. Parents that go round in a circle end somewhere."""
    depths: dict[bytes, int] = {}
    for own in parents:
        path: list[bytes] = []
        seen: set[bytes] = set()
        at: bytes | None = own
        while at is not None and at in parents and at not in depths and at not in seen:
            path.append(at)
            seen.add(at)
            at = parents[at]
        depth = depths.get(at, -1) if at is not None else -1
        for span in reversed(path):
            depth += 1
            depths[span] = depth
    return depths
