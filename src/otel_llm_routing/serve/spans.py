"""Model calls counted from the spans of instrumentations that send none of our metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_llm_routing import semconv
from otel_llm_routing.models import kind_of, same_model
from otel_llm_routing.serve.receiver import bucket, identity
from otel_llm_routing.serve.text import clean, key, texts

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

# How older GenAI instrumentations and OpenInference mark a span of one model call. Sources: OpenLLMetry's
# opentelemetry-semantic-conventions-ai 0.5.1 (`llm.request.type`); openinference-semantic-conventions 0.1.42.
OPENINFERENCE_KIND = "openinference.span.kind"
OPENINFERENCE_OPERATIONS = {"LLM": "chat", "EMBEDDING": "embeddings"}
OLDER_OPERATIONS = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}

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
    """Return the model calls, inner ones before those around them, and the senders that count for themselves."""
    found: dict[bytes, tuple[int, CountedSpan]] = {}
    senders: set[bytes] = set()
    for resource in request.resource_spans:
        sender = identity(resource.resource)
        of_resource = texts(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
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
                counted = CountedSpan(
                    span.trace_id + span.span_id,
                    span.trace_id + span.parent_span_id if len(span.parent_span_id) == SPAN_ID else None,
                    sender,
                    bucket(span.end_time_unix_nano),
                    _key(attributes, of_resource, operation),
                )
                found[counted.id] = (_end(span), counted)
    depths = _depths({counted.id: counted.parent for _, counted in found.values()})
    order = sorted(found.values(), key=lambda item: (-depths[item[1].id], item[0]))
    return [counted for _, counted in order], senders


def operation_of(attributes: dict[str, str]) -> str | None:
    """Return the GenAI operation if the attributes are those of one model call, not of an agent, tool or workflow."""
    operation = attributes.get(semconv.OPERATION)
    if operation is not None:
        return operation if operation in semconv.MODEL_OPERATIONS else None
    kind = attributes.get(OPENINFERENCE_KIND)
    if kind is not None:
        return OPENINFERENCE_OPERATIONS.get(kind)
    return OLDER_OPERATIONS.get(attributes.get("llm.request.type", ""))


def match(requested: str, provider: str | None, served: str) -> str:
    """Say how ``served`` relates to ``requested``; either may be empty."""
    if not served:
        return "unreported"
    kind = kind_of(requested, provider) if requested else "unknown"
    if requested and same_model(requested, served):
        return "unconfirmed" if kind in ("alias", "router") else "exact"
    if kind_of(served, provider) == "router":
        return "unconfirmed"  # a router's name is not the name of a model, whoever says it
    return "substituted" if kind == "pinned" else "resolved"


def _key(attributes: dict[str, str], resource: dict[str, str], operation: str) -> tuple[str, ...]:
    requested = attributes.get(semconv.REQUEST_MODEL, "")
    served = attributes.get(semconv.RESPONSE_MODEL, "")
    if OPENINFERENCE_KIND in attributes:
        # OpenInference's `llm.model_name` is the response's; the request's is in the invocation parameters.
        served = served or attributes.get("llm.model_name", "")
        requested = requested or _parameter(attributes.get("llm.invocation_parameters", ""))
    names = (semconv.PROVIDER, "gen_ai.system", "llm.provider", "llm.system")
    provider = next((attributes[name] for name in names if name in attributes), None)
    surface = attributes.get(semconv.SURFACE) or resource.get(semconv.SURFACE)
    series = {
        semconv.SURFACE: surface or "unknown",
        semconv.PROVIDER: provider or "unknown",
        semconv.OPERATION: operation,
        semconv.REQUEST_MODEL: requested,
        semconv.RESPONSE_MODEL: served,
        semconv.REQUEST_KIND: kind_of(requested, provider) if requested else "unknown",
        semconv.MATCH: match(requested, provider, served),
        semconv.SERVED_SOURCE: "body" if served else "none",
        semconv.CACHED: attributes.get(semconv.CACHED, ""),
        semconv.ERROR_TYPE: attributes.get(semconv.ERROR_TYPE, ""),
    }
    return key(series, resource.get("service.name", ""))


def _parameter(text: str) -> str:
    try:
        model = json.loads(text).get("model")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return clean(model) if isinstance(model, str) else ""


def _end(span: Span) -> int:
    return span.end_time_unix_nano


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
