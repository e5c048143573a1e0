"""The report in one line, and the words that all formats share."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from otel_llm_routing.analyze.wording import many, quoted

if TYPE_CHECKING:
    from datetime import tzinfo

    from otel_llm_routing.analyze.report.model import Kind, Report, SurfaceReport

WORDS: dict[Kind, str] = {
    "pin_violated": "pin violated",
    "shifted": "shifted",
    "beyond_limit": "beyond its limit",
    "vanished_model": "model vanished",
    "new_model": "new model",
    "unpinned": "not pinned",
    "partial": "partial data",
    "silent": "silent",
    "unmeasured": "served model unknown",
    "recovered": "back from a shift",
    "renamed": "model spelled anew",
    "no_reference": "no reference",
    "too_little": "too few requests to tell",
    "no_traffic": "no requests",
    "steady": "steady",
}
MOST_NAMED = 5
"""Surfaces that the line names."""


def period(report: Report) -> str:
    """Return the report's range in words: a day, or two times."""
    zone = zone_of(report)
    begin, end = (datetime.fromtimestamp(at, zone) for at in (report.start, report.end))
    midnight = (begin.hour, begin.minute, begin.second, end.hour, end.minute, end.second) == (0,) * 6
    if midnight and (end.date() - begin.date()).days == 1:
        return f"{begin:%Y-%m-%d} ({report.timezone})"
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({report.timezone})"


def zone_of(report: Report) -> tzinfo:
    """Return the report's time zone."""
    return timezone.utc if report.timezone == "UTC" else ZoneInfo(report.timezone)


def summary(report: Report) -> str:
    """Return what there is to say in one line, with names in backticks."""
    if not report.requests:
        return f"No requests were counted in {period(report)}."
    alarms, notes = report.at("alarm"), report.at("note")
    seen = many(len(report.surfaces), "surface")
    if alarms:
        said = f"{len(alarms)} of {seen} not as agreed: {_listed(alarms)}."
    elif not (report.policy or report.reference):
        said = f"{seen}, {many(report.requests, 'request')}; nothing to compare them with."
    elif report.partial:
        said = f"{seen}, nothing found, but the source answered in part only."
    else:
        said = f"{seen}, no shift."
    if notes and (alarms or report.policy or report.reference) and not report.partial:
        said += f" To note on {len(notes)}: {_listed(notes)}."
    return f"{period(report)}: {said}"


def words(surface: SurfaceReport) -> str:
    """Return a surface's verdict in two or three words."""
    return WORDS[surface.verdict.kind]


def prices(report: Report) -> str:
    """Return where costs come from, or why there are none, in one sentence; empty where none were asked for."""
    if report.prices is None:
        return f"No costs: {report.prices_missing}." if report.prices_missing else ""
    rows = [row for surface in report.surfaces for stream in surface.streams for row in stream.served if row.requests]
    missing: dict[str, list[str]] = {}
    for row in rows:
        if row.cost_unknown and row.served not in missing.setdefault(row.cost_unknown, []):
            missing[row.cost_unknown].append(row.served)
    unknown = "; ".join(f"{why} of {', '.join(map(quoted, sorted(names)))}" for why, names in sorted(missing.items()))
    if not any(row.cost for row in rows):
        return f"No costs: {' and '.join(sorted(missing))}." if missing else ""
    newest = f", its newest of {report.prices.newest}" if report.prices.newest else ""
    beside = f" Not known: {unknown}." if unknown else ""
    return (
        f"Costs in US dollars by served model, list prices of {report.prices.date} ({report.prices.name}{newest}), "
        f"without discounts for cached input, batches or contracts.{beside}"
    )


def dollars(amount: float) -> str:
    """Return an amount of dollars with two digits that count, or cents."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.2g}"


def _listed(surfaces: tuple[SurfaceReport, ...]) -> str:
    named = [f"{quoted(surface.surface)} ({words(surface)})" for surface in surfaces[:MOST_NAMED]]
    more = len(surfaces) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
