"""What comes from outside as text, made harmless: bounded, printable, and known words where only those can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.model_span import INVOCATION_PARAMETERS
from otel_llm_routing.models import KINDS, MATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

MAX_TEXT = 256
MAX_SURFACE = 64
MAX_JSON = 1 << 16
"""Characters of a span's invocation parameters that are looked at."""

SOURCES = frozenset({"header", "trace", "body", "none"})


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` without what is not printable (controls, bidirectional marks), at most ``limit`` characters."""
    text = text[:limit]
    return (text if text.isprintable() else "".join(c for c in text if c.isprintable())).strip()


def texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Return the attributes that are text or true, cleaned; empty ones count as absent."""
    found: dict[str, str] = {}
    for attribute in attributes:
        value = attribute.value
        kind = value.WhichOneof("value")
        if kind == "string_value":
            limit = {semconv.SURFACE: MAX_SURFACE, INVOCATION_PARAMETERS: MAX_JSON}.get(attribute.key, MAX_TEXT)
            text = clean(value.string_value, limit)
        else:
            text = "true" if kind == "bool_value" and value.bool_value else ""
        if text:
            found[attribute.key] = text
        else:
            found.pop(attribute.key, None)
    return found


def key(attributes: dict[str, str], service: str) -> tuple[str, ...]:
    """Return the series that ``attributes`` belong to, in the order of the store's columns."""
    kind = attributes.get(semconv.REQUEST_KIND, "")
    match = attributes.get(semconv.MATCH, "")
    source = attributes.get(semconv.SERVED_SOURCE, "")
    return (
        attributes.get(semconv.SURFACE, "unknown"),
        attributes.get(semconv.PROVIDER, "unknown"),
        attributes.get(semconv.OPERATION, ""),
        attributes.get(semconv.REQUEST_MODEL, ""),
        attributes.get(semconv.RESPONSE_MODEL, ""),
        kind if kind in KINDS else "unknown",
        match if match in MATCHES else "unreported",
        source if source in SOURCES else "none",
        "true" if attributes.get(semconv.CACHED) == "true" else "",
        attributes.get(semconv.ERROR_TYPE, ""),
        service,
    )
