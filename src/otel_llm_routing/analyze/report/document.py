"""The report as a document. ``docs/report.md`` describes it; fields are added to it, never changed or taken away."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.analyze.shares import SurfaceMix

SCHEMA = "otel-llm-routing/report/v1"


def as_json(mixes: Iterable[SurfaceMix], start: float, end: float) -> dict[str, Any]:
    """Return the report as a document. Shares are 0 to 1, times are UTC."""
    return {
        "schema": SCHEMA,
        "start": utc(start),
        "end": utc(end),
        "surfaces": [{**asdict(mix), "unknown": mix.unknown, "unknown_share": mix.unknown_share} for mix in mixes],
    }
