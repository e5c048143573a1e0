"""The report as Markdown, for a chat message or a pull request: one line first, then what to do, then the shares.

Names come from outside. They stand in code spans, where neither Markdown nor a mention is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.report.summary import dollars, prices, summary, words
from otel_llm_routing.analyze.wording import ABSENT, NOT_SAID, points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.report.model import Report, ServedRow, StreamReport, SurfaceReport

_SPECIAL = re.compile(r"([\\*_\[\]<>|~&@])")
_SPACE = re.compile(r"\s+")


def as_markdown(report: Report) -> str:
    """Return the report as GitHub renders it."""
    lines = [f"**{prose(summary(report))}**", ""]
    if not report.over:
        lines += ["This range is not over: its counts will grow.", ""]
    if report.partial:
        lines += ["The source answered in part only:", "", *(f"- {code(text)}" for text in report.partial), ""]
    lines += _findings(report)
    lines += _table(report)
    if said := prices(report):
        lines += [prose(said), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def code(name: str) -> str:
    """Return a name from outside as a code span, which may stand in a table."""
    text = _SPACE.sub(" ", "".join(c if c.isprintable() else " " for c in name)).strip().replace("`", "'")
    return f"`{text.replace('|', chr(92) + '|')}`" if text else NOT_SAID


def prose(sentence: str) -> str:
    """Return a sentence with names in backticks: those as code spans, and the rest as text that says no more."""
    parts = sentence.split("`")
    return "".join(code(part) if at % 2 else _SPECIAL.sub(r"\\\1", part) for at, part in enumerate(parts))


def _findings(report: Report) -> Iterator[str]:
    for surface in report.surfaces:
        if surface.verdict.level == "calm":
            continue
        owner = f", {code(surface.owner)}" if surface.owner else ""
        yield f"- {code(surface.surface)}{owner}: **{words(surface)}**"
        for finding in surface.findings:
            if finding.level != "calm":
                yield f"  - {prose(finding.sentence)}"
        for stream in surface.streams:
            found = stream.decomposition
            if found is not None and (stream.verdict.level == "alarm" or found.verdict != "none"):
                yield f"  - {prose(found.sentence)}"
    if calm := [s for s in report.surfaces if s.verdict.level == "calm"]:
        yield f"- {', '.join(f'{code(s.surface)} ({words(s)})' for s in calm)}"
    if report.surfaces:
        yield ""


def _table(report: Report) -> Iterator[str]:
    rows = [(s, stream, row) for s in report.surfaces for stream in s.streams for row in stream.served]
    if not rows:
        return
    costs = any(row.cost for _, _, row in rows)
    compared = any(row.reference is not None for _, _, row in rows)
    names = ["surface", "requested → served", "share", "95 %"]
    names += ["reference", "points"] if compared else []
    names += ["requests"] + (["per 1,000"] if costs else [])
    yield f"| {' | '.join(names)} |"
    yield f"|{'|'.join('---' if at < 2 else '---:' for at in range(len(names)))}|"  # noqa: PLR2004  (two of text)
    for surface, stream, row in rows:
        yield f"| {' | '.join(_cells(surface, stream, row, costs=costs, compared=compared))} |"
    yield ""
    unknown = [s for s in report.surfaces if s.mix.unknown]
    if unknown:
        listed = ", ".join(f"{code(s.surface)} {s.mix.unknown_share:.1%}" for s in unknown)
        yield f"Served model unknown, of all requests but cached ones: {listed}."
        yield ""


def _cells(
    surface: SurfaceReport, stream: StreamReport, row: ServedRow, *, costs: bool, compared: bool
) -> Iterator[str]:
    yield code(surface.surface)
    yield f"{code(stream.requested)} → {code(row.served)}" + (f" **{row.state}**" if row.state else "")
    yield ABSENT if row.share is None else f"{row.share:.1%}"
    yield ABSENT if row.interval is None else f"{100 * row.interval.low:.1f} to {100 * row.interval.high:.1f}"
    if compared:
        yield ABSENT if row.reference is None else f"{row.reference:.1%}"
        yield ABSENT if row.change is None else points(row.change)
    yield f"{row.requests:,}"
    if costs:
        yield "unknown" if row.cost is None else dollars(row.cost.per_thousand)
