"""The report as a document. ``docs/report.md`` describes it; fields are added to it, never changed or taken away."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    from otel_llm_routing.analyze.report.model import (
        Decomposition,
        Finding,
        Report,
        ServedRow,
        StreamReport,
        SurfaceReport,
    )

SCHEMA = "otel-llm-routing/report/v1"


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as a document. Shares are 0 to 1, times are UTC; null is "not known"."""
    return {
        "schema": SCHEMA,
        "start": utc(report.start),
        "end": utc(report.end),
        "made": utc(report.made),
        "over": report.over,
        "source": report.source,
        "timezone": report.timezone,
        "policy": report.policy,
        "reference": report.reference,
        "judged": report.judged,
        "partial": list(report.partial),
        "prices": None if report.prices is None else report.prices._asdict(),
        "prices_missing": report.prices_missing,
        "days": [
            {
                "start": utc(day.start),
                "end": utc(day.end),
                "label": day.label,
                "over": day.over,
                "in_range": day.in_range,
            }
            for day in report.days
        ],
        "surfaces": [
            _surface(surface) for surface in sorted(report.surfaces, key=lambda s: (-s.mix.requests, s.surface))
        ],
    }


def _surface(surface: SurfaceReport) -> dict[str, Any]:
    mix = surface.mix
    return {
        **asdict(mix),
        "unknown": mix.unknown,
        "unknown_share": mix.unknown_share,
        "owner": surface.owner,
        "kinds": dict(surface.kinds),
        "verdict": _finding(surface.verdict),
        "findings": [_finding(finding) for finding in surface.findings],
        "limits": [limit._asdict() for limit in surface.limits],
        "streams": [_stream(stream) for stream in surface.streams],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    since = None if finding.since is None else utc(finding.since)
    return {**finding._asdict(), "level": finding.level, "since": since}


def _stream(stream: StreamReport) -> dict[str, Any]:
    return {
        "requested": stream.requested,
        "kind": stream.kind,
        "requests": stream.requests,
        "unknown": stream.unknown,
        "verdict": _finding(stream.verdict),
        "findings": [_finding(finding) for finding in stream.findings],
        "pinned": None if stream.pinned is None else utc(stream.pinned),
        "pin_reason": stream.pin_reason,
        "detectable": None if stream.detectable is None else dict(stream.detectable),
        "detectable_words": stream.detectable_words,
        "closeness": stream.closeness,
        "decomposition": None if stream.decomposition is None else _decomposition(stream.decomposition),
        "days": list(stream.days),
        "daily_requests": list(stream.daily_requests),
        "served": [_row(row) for row in stream.served],
    }


def _decomposition(found: Decomposition) -> dict[str, Any]:
    return {**found._asdict(), "effects": [effect._asdict() for effect in found.effects]}


def _row(row: ServedRow) -> dict[str, Any]:
    named = ("interval", "band", "cost")
    values = asdict(row)  # tuples with names are left as they are
    return values | {name: None if values[name] is None else values[name]._asdict() for name in named}
