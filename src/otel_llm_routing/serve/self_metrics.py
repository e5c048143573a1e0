"""The server's own metrics, for a Prometheus that watches it: how full it is, and what it could not keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.serve.store import Store

PREFIX = "otel_llm_routing_serve"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Source: prometheus.io/docs/instrumenting/exposition_formats."""


def exposition(store: Store) -> str:
    """Return the metrics as Prometheus reads them. No name that was sent is in them."""
    return "".join(
        f"# HELP {PREFIX}_{name} {text}\n# TYPE {PREFIX}_{name} {kind}\n{PREFIX}_{name} {value}\n"
        for name, kind, text, value in _rows(store)
    )


def _rows(store: Store) -> Iterator[tuple[str, str, str, int]]:
    held, limits, notices = store.held, store.limits, store.notices
    if held:  # otherwise the database cannot be asked
        yield "series", "gauge", "Series that are counted apart.", held["series"]
        yield "streams", "gauge", "Cumulative streams whose last point is remembered.", held["streams"]
        yield "used_bytes", "gauge", "Bytes of the database that hold something.", held["bytes"]
    yield "series_limit", "gauge", "Series there may be; --max-series.", limits.series
    yield "streams_limit", "gauge", "Cumulative streams there may be.", limits.streams
    yield "used_bytes_limit", "gauge", "Bytes there may be; --max-size.", limits.bytes
    yield "overflowed_total", "counter", "Points and spans counted as 'other' for want of room.", notices.overflowed
    yield "refused_points_total", "counter", "Points of new streams refused for want of room.", notices.refused
    yield "deleted_early_seconds_total", "counter", "Seconds of counts deleted before their time.", notices.shortened
    yield "database_replaced_total", "counter", "Times the database was deleted or replaced.", notices.replaced
    yield "failed_exports_total", "counter", "Exports that could not be written.", notices.failed
