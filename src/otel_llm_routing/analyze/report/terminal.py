"""The report for a terminal: a block for each surface, which keeps names whole in 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from otel_llm_routing.analyze.report.summary import dollars, prices, summary, words
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import ABSENT, NOT_SAID, many, points, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from otel_llm_routing.analyze.report.model import Report, ServedRow, StreamReport, SurfaceReport

BAR = 10
"""Characters of a bar that stands for 100 %."""
_EIGHTHS = " ▏▎▍▌▋▊▉"
STYLES = {"alarm": "bold red", "note": "yellow", "calm": "green"}
MARKS = {"shifted": "shifted", "new": "new", "vanished": "gone", "substituted": "substituted"}
INDENT = 2
ARROW = "→ "
LEAST_LABEL = len("requested → served")


class _Layout(NamedTuple):
    """How rows are set: the numbers beside the names, or below them."""

    label: int
    """Characters of the column of names; 0: the numbers stand below."""
    grouped: bool
    """Whether the requested identifier stands above its rows, and not in each."""
    compared: bool
    costs: bool


def as_text(report: Report, width: int) -> RenderableType:
    """Return the report for a console of ``width`` columns."""
    layout = _layout(report, width)
    blocks: list[RenderableType] = [
        Text(f"Served models by surface, {utc(report.start)} to {utc(report.end)}", style="bold"),
        _safe(summary(report)),
        *(Text(note, style="yellow") for note in _notes(report)),
    ]
    if layout.label:
        text = " " * INDENT + "requested → served".ljust(layout.label)
        numbers = "".join(f"  {name:>{size}}" for name, size in _columns(layout.compared, layout.costs))
        blocks += (Text(""), Text(text + numbers, style="dim"))
    for surface in report.surfaces:
        blocks += (Text(""), *_surface(surface, layout))
    if said := prices(report):
        blocks += (Text(""), _safe(said, "dim"))
    return Group(*blocks)


def _layout(report: Report, width: int) -> _Layout:
    """Return the first layout in which every name keeps its line."""
    rows = [(stream, row) for surface in report.surfaces for stream in surface.streams for row in stream.served]
    compared = any(row.reference is not None for _, row in rows)
    costs = any(row.cost for _, row in rows)
    room = width - INDENT - sum(size + 2 for _, size in _columns(compared, costs))
    room -= 2 + max(map(len, MARKS.values())) if any(row.state for _, row in rows) else 0
    for grouped in (False, True):
        longest = max((cell_len(_label(stream, row, grouped=grouped)) for stream, row in rows), default=0)
        if rows and max(longest, LEAST_LABEL) <= room:
            return _Layout(max(longest, LEAST_LABEL), grouped, compared, costs)
    return _Layout(0, grouped=False, compared=compared, costs=costs)


def _columns(compared: bool, costs: bool) -> list[tuple[str, int]]:
    """Return the columns of numbers, each with its width."""
    names = [("share", 6), ("", BAR), ("95 %", 14)]
    names += [("reference", 9), ("points", 6)] if compared else []
    return [*names, ("requests", 9), *([("per 1,000", 9)] if costs else [])]


def _beside(row: ServedRow, layout: _Layout) -> Text:
    """Return the numbers in columns."""
    text = Text()
    for (name, size), cell in zip(_columns(layout.compared, layout.costs), _cells(row, layout), strict=True):
        text.append("  ").append(f"{cell:<{size}}" if not name else f"{cell:>{size}}", "" if name else "cyan")
    return text.append(f"  {MARKS[row.state]}" if row.state else "", "bold red")


def _below(row: ServedRow, layout: _Layout) -> Text:
    """Return the numbers as a line of its own."""
    share, bar, between, *_ = _cells(row, layout)
    text = Text(f"{share:>6}  ").append(f"{bar:<{BAR}}", "cyan").append(f"  {between:>14}")
    if layout.compared:
        text.append(f"  was {_percent(row.reference):>6}")
        text.append("" if row.change is None else f"  {points(row.change)}")
    return text.append(f"  {many(row.requests, 'request')}")


def _cells(row: ServedRow, layout: _Layout) -> list[str]:
    between = "" if row.interval is None else f"{100 * row.interval.low:.1f} to {100 * row.interval.high:.1f}"
    cells = [_percent(row.share), "" if row.share is None else _bar(row.share), between]
    if layout.compared:
        cells += [_percent(row.reference), "" if row.change is None else points(row.change)]
    cells.append(f"{row.requests:,}")
    return [*cells, _cost(row)] if layout.costs else cells


def _surface(surface: SurfaceReport, layout: _Layout) -> Iterator[RenderableType]:
    verdict = surface.verdict
    head = Text.assemble(_safe(surface.surface, "bold"), "  ", (words(surface), STYLES[verdict.level]))
    if surface.owner:
        head.append_text(_safe(f"  {surface.owner}", "dim"))
    yield head
    for finding in surface.findings if verdict.level != "calm" else (verdict,):
        if finding.level != "calm" or verdict.level == "calm":
            yield _indented(_safe(finding.sentence, "" if finding.level == "alarm" else "dim"))
    for stream in surface.streams:
        found = stream.decomposition
        if found is not None and (stream.verdict.level == "alarm" or found.verdict != "none"):
            yield _indented(_safe(found.sentence))
    for stream in surface.streams:
        if layout.grouped and stream.served:
            yield _indented(_safe(stream.requested or NOT_SAID))
        for row in stream.served:
            name = _safe(_label(stream, row, grouped=layout.grouped))
            if layout.label:
                name.pad_right(layout.label - name.cell_len)
                yield _indented(name.append_text(_beside(row, layout)))
                continue
            if row.state:
                name.append(f"  {MARKS[row.state]}", "bold red")
            if layout.costs:
                name.append(f"  {_cost(row)} per 1,000", "dim")
            yield _indented(name)
            yield _indented(_below(row, layout), 2 * INDENT)
    mix = surface.mix
    for text, number, of in (
        ("unreported: nothing named the served model", mix.unreported, mix.requests - mix.cached),
        ("unconfirmed: only the requested name came back", mix.unconfirmed, mix.requests - mix.cached),
        ("answered from a cache", mix.cached, mix.requests),
        ("failed, of all these", mix.errors, mix.requests),
    ):
        if number:
            # Not a share of the mix: it stands apart from the column of shares.
            yield _indented(Text(f"{text}: {number:,} ({number / of:.1%})", style="dim"))


def _notes(report: Report) -> Iterator[str]:
    if not report.over:
        yield "This range is not over: its counts will grow."
    if report.partial:
        yield "The source answered in part only:"
        yield from (f"  {printable(warning)}" for warning in report.partial)


def _label(stream: StreamReport, row: ServedRow, *, grouped: bool) -> str:
    asked = "" if grouped else f"{printable(stream.requested) or NOT_SAID} "
    return f"{asked}{ARROW}{printable(row.served)}"


def _indented(text: Text, by: int = INDENT) -> Padding:
    text.overflow = "fold"
    return Padding(text, (0, 0, 0, by), expand=False)


def _safe(text: str, style: str = "") -> Text:
    """Return ``text`` from outside as it may be printed: as Text it cannot be taken for markup."""
    return Text(printable(text), style=style, overflow="fold")


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{share:.1%}"


def _cost(row: ServedRow) -> str:
    return "unknown" if row.cost is None else dollars(row.cost.per_thousand)


def _bar(share: float) -> str:
    full, rest = divmod(round(share * BAR * 8), 8)
    return "█" * full + _EIGHTHS[rest].strip()
