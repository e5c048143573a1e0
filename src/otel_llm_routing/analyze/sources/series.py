"""What is counted apart: the words of a series, made harmless, whoever sent them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.models import KINDS, MATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEY = (
    "surface",
    "provider",
    "operation",
    "requested",
    "served",
    "kind",
    "match",
    "served_source",
    "cached",
    "error",
    "service",
)
"""The order of a series' words; the fields of ``Count`` between its time and its number, but for ``service``."""
SURFACE, PROVIDER, REQUESTED, SERVED = (KEY.index(name) for name in ("surface", "provider", "requested", "served"))
MAX_TEXT = 256
MAX_SURFACE = 64
"""Characters."""
SOURCES = frozenset({"header", "trace", "body", "none"})


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` without what is not printable (controls, bidirectional marks), at most ``limit`` characters."""
    text = text[:limit]
    return (text if text.isprintable() else "".join(c for c in text if c.isprintable())).strip()


def words(pairs: Iterable[tuple[str, str]], limits: Mapping[str, int] | None = None) -> dict[str, str]:
    """Return attributes by name, cleaned; empty ones count as absent. ``limits`` has the lengths of the longer ones."""
    found: dict[str, str] = {}
    for name, text in pairs:
        limit = MAX_SURFACE if name == semconv.SURFACE else limits.get(name, MAX_TEXT) if limits else MAX_TEXT
        if cleaned := clean(text, limit):
            found[name] = cleaned
        else:
            found.pop(name, None)
    return found


def key(attributes: Mapping[str, str], service: str) -> tuple[str, ...]:
    """Return the series that ``attributes`` belong to, in the order of ``KEY``."""
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
