"""One look at a source: the alerts that fire at a time, and as a document for scripts.

``docs/check.md`` describes the document; fields are added to it, never changed or taken away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze import history, verdicts
from otel_llm_routing.analyze.alert_text import description
from otel_llm_routing.analyze.alerts import Alert, alerts, surfaces
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.policy.thresholds import SLICE, WINDOWS

if TYPE_CHECKING:
    from otel_llm_routing.analyze.sources import Source
    from otel_llm_routing.policy.plan import Plan

SCHEMA = "otel-llm-routing/check/v1"
QUIET = WINDOWS["6h"].seconds
"""Seconds without any request from which on the absence of alerts says nothing."""


class Checked(NamedTuple):
    """What one look found. Times are in seconds since the epoch."""

    start: float
    end: float
    last: float | None
    """The end of the last slice that holds requests; None: there is none."""
    surfaces: tuple[str, ...]
    alerts: tuple[Alert, ...]
    partial: tuple[str, ...]
    """What the source could not tell."""

    @property
    def stale(self) -> bool:
        """Whether the last request is so long ago that calm means nothing."""
        return self.last is None or self.end - self.last >= QUIET


def check(source: Source, plan: Plan, at: float) -> Checked:
    """Return the alerts that fire at the end of the last whole slice before ``at``. Raises ``SourceError``."""
    end = at // SLICE * SLICE
    counts = history.read(source, end, verdicts.SPAN, SLICE)
    last = None if counts.last is None else counts.start + (counts.last + 1) * SLICE
    partial = tuple(source.warned(counts.start))
    return Checked(counts.start, end, last, tuple(surfaces(counts, plan)), tuple(alerts(counts, plan)), partial)


def as_json(checked: Checked) -> dict[str, Any]:
    """Return what was found as a document. Shares are 0 to 1, times are UTC."""
    return {
        "schema": SCHEMA,
        "start": utc(checked.start),
        "end": utc(checked.end),
        "last_request": None if checked.last is None else utc(checked.last),
        "stale": checked.stale,
        "surfaces": list(checked.surfaces),
        "alerts": [
            {**alert._asdict(), "since": utc(alert.since), "description": description(alert)}
            for alert in checked.alerts
        ],
        "partial": list(checked.partial),
    }
