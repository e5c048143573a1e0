"""What a chart is drawn from, as plain data: columns of time, and the shares of each served model in them.

``web/charts.js`` turns it into the rows that the charts of ``charts`` draw, in the report and on the page of ``serve``.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.report.palette import signs
from otel_llm_routing.analyze.report.summary import zone_of
from otel_llm_routing.analyze.wording import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_llm_routing.analyze.report.model import Report, StreamReport
    from otel_llm_routing.analyze.report.palette import Sign

STATES = {
    "gap": "nothing was counted of any surface",
    "idle": "no request",
    "unnamed": "the served model of no request is known",
}
"""Why a day has no shares, in words."""


def signs_of(report: Report) -> dict[str, Sign]:
    """Return the sign of every served model of the report, by its name."""
    rows = [row for surface in report.surfaces for stream in surface.streams for row in stream.served]
    return signs((row.served for row in rows), (row.served for row in rows if row.reference is not None))


def labels(report: Report) -> list[str]:
    """Return a label for each day, no two the same, in their order: where clocks go back a label comes twice."""
    found: list[str] = []
    for day in report.days:
        twice = day.label in found
        found.append(f"{datetime.fromtimestamp(day.start, zone_of(report)):%Y-%m-%d %H:%M}" if twice else day.label)
    return found


def strip(report: Report, stream: StreamReport, of: dict[str, Sign], names: Sequence[str]) -> dict[str, Any]:
    """Return what the charts of one stream are drawn from; ``names`` are the labels of days."""
    return {
        "columns": [
            {"key": name, "label": name, "state": state, "requests": requests, "over": day.over}
            for name, day, state, requests in zip(names, report.days, stream.days, stream.daily_requests, strict=True)
        ],
        "models": [
            {
                **drawn(row.served, of[row.served]),
                "reference": row.reference,
                "low": row.band.low if row.band else None,
                "high": row.band.high if row.band else None,
                "shares": [None if share is None else round(share, 5) for share in row.daily],
            }
            for row in stream.served
        ],
        "compared": any(row.reference is not None for row in stream.served),
    }


def drawn(served: str, sign: Sign) -> dict[str, Any]:
    """Return how a model is drawn."""
    return {"served": printable(served), "letter": sign.letter, "colour": sign.colour, "shape": sign.shape}
