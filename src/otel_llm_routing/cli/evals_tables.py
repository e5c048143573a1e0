"""What the commands of ``evals`` print for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import ABSENT, many, percent, points, quoted
from otel_llm_routing.cli import terminal
from otel_llm_routing.cli.outside import outside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.evals.check import Checked
    from otel_llm_routing.analyze.evals.distance import Distance
    from otel_llm_routing.analyze.evals.estimate import Estimate
    from otel_llm_routing.analyze.evals.plan import EvalPlan
    from otel_llm_routing.analyze.evals.score import Gap, MixScore, Scored, Slice, SurfaceScore

CELLS = 10
"""Cells with the largest gaps that are shown; --json has all."""
NOTES = 20
"""Notes that are shown; --json has all."""
GAPS = 5
"""Gaps of a mix that are named; --json has all."""
SMALL_GAP = 0.005
"""Of traffic: smaller gaps are not named."""
KINDS = {"several": "several models", "unknown": "(served model not known)", "none": "(no telemetry)"}


# plan -----------------------------------------------------------------------------------------------------------------


def show_plan(made: EvalPlan) -> None:
    """Print a plan."""
    table = _table("surface", "characters", "share>", "cases>", "weight>")
    last = None
    for one in made.cells:
        if last is not None and last != one.cell.surface:
            table.add_section()
        name = outside(one.cell.surface if last != one.cell.surface else "")
        weight = f"{one.weight:.3f}" if one.cases else ABSENT
        table.add_row(name, one.cell.sizes, percent(one.share), f"{one.cases:,}", weight)
        last = one.cell.surface
    console = terminal.console()
    console.print(_between(made.start, made.end, made.requests))
    console.print(table)
    said = f"{many(made.cases, 'case')}, worth {made.effective:,.0f} of equal weight for one score over all of this"
    if made.minimum:
        said += f"; without the minimum {made.effective_without:,.0f}"
    console.print(said)
    if made.uncovered:
        console.print(f"{percent(made.uncovered)} of the requests are in cells without a case")


# check ----------------------------------------------------------------------------------------------------------------


def show_check(checked: Checked) -> None:
    """Print a comparison: what is wrong first."""
    console = terminal.console()
    console.print(_between(checked.start, checked.end, checked.requests))
    for finding in checked.findings:
        console.print(Text("\N{BULLET} ", style="bold red").append_text(outside(finding.sentence)))
    table = _table("surface", "traffic>", "eval>", "cases>", "sizes>", "served>", "today>")
    for one in checked.surfaces:
        table.add_row(
            outside(one.surface),
            percent(one.traffic_share),
            percent(one.eval_share),
            f"{one.cases:,}",
            _judged(one.sizes),
            _judged(one.served.distance if one.served else None),
            _judged(one.today.distance if one.today else None),
        )
    for name, count in checked.unseen.items():
        share = count / (checked.cases - checked.no_surface)
        table.add_row(outside(name), percent(0), percent(share), f"{count:,}", ABSENT, ABSENT, ABSENT)
    console.print(table)
    rows = [one for one in checked.cells if round(abs(one.gap), 3)]
    if rows:
        cells = _table("largest gaps", "characters", "traffic>", "eval>", "points>", "cases>")
        for row in rows[:CELLS]:
            cells.add_row(
                outside(row.cell.surface),
                row.cell.sizes,
                percent(row.traffic_share),
                percent(row.eval_share),
                points(row.gap),
                f"{row.cases:,}",
            )
        console.print(cells)
    for said in checked.notes[:NOTES]:
        console.print(outside(said))
    if len(checked.notes) > NOTES:
        console.print(f"and {len(checked.notes) - NOTES} more notes; --json has all")
    runs = f" ({checked.runs:,} runs)" if checked.runs != checked.cases else ""
    of = checked.cells_distance
    calm = "near enough to production" if checked.judged else "too few to judge"
    verdict = f"findings: {len(checked.findings)}" if checked.findings else calm
    console.print(
        f"{many(checked.cases, 'case')}{runs}, {verdict}; distance {percent(of.value)}, limit {percent(of.limit)}, "
        f"by chance up to {percent(of.chance)}"
    )


def _judged(of: Distance | None) -> Text:
    if of is None:
        return Text(ABSENT)
    return Text(percent(of.value), style="bold red" if of.beyond else "")


# score ----------------------------------------------------------------------------------------------------------------


def show_score(scored: Scored) -> None:
    """Print the scores: of the whole, by surface, by served model, and under each mix."""
    console = terminal.console()
    console.print(_between(scored.start, scored.end, scored.requests))
    table = _table("", "score>", "95 %>", "cases>", "worth>")
    for name, of in (("as production weighs it", scored.weighted), ("unweighted", scored.unweighted)):
        table.add_row(name, _number(of), _interval(of), f"{of.cases:,}", f"{of.effective:,.0f}")
    console.print(table)
    table = _table("surface, served by", "traffic>", "score>", "95 %>", "unweighted>", "cases>")
    for one in scored.surfaces:
        table.add_row(outside(one.surface), percent(one.traffic_share), *_scores(one))
        for of_model in one.slices:
            table.add_row(Text("  ").append_text(_served(of_model)), "", *_scores(of_model))
        table.add_section()
    console.print(table)
    if scored.mixes:
        table = _table("under the mix", "score>", "95 %>", "of traffic>")
        for mix in scored.mixes:
            table.add_row(outside(mix.mix), _number(mix.score), _interval(mix.score), percent(mix.covered))
        console.print(table)
    for said in _notes(scored):
        console.print(outside(said))


def _scores(of: SurfaceScore | Slice) -> tuple[str, str, str, str]:
    return _number(of.weighted), _interval(of.weighted), _number(of.unweighted), f"{of.cases:,}"


def _served(one: Slice) -> Text:
    return outside(one.name if one.served.kind == "model" else KINDS[one.served.kind])


def _notes(scored: Scored) -> Iterator[str]:
    for warning in scored.warnings:
        yield f"The source answered in part: {warning}"
    for mix in scored.mixes:
        yield from _of_mix(mix)
    for name, share in scored.uncovered.items():
        yield f"{quoted(name)} has no scored case: the score does not speak for it, {percent(share)} of traffic."
    if round(scored.borrowed, 3):
        yield (
            f"{percent(scored.borrowed)} of traffic is of sizes without a scored case; the other cases of its surface "
            "stand for it."
        )
    if idle := sum(one.idle for one in scored.surfaces):
        yield f"{many(idle, 'case')} of sizes that no request has; in the weighted score they count nothing."
    if unsized := sum(one.unsized for one in scored.surfaces):
        yield f"Of {many(unsized, 'scored case')} the size is not known; they stand for their surface as a whole."
    if lost := scored.cases - scored.scored:
        yield f"{many(lost, 'case')} of {scored.cases:,} without a score; nothing is made of them."
    if scored.no_surface:
        yield f"{many(scored.no_surface, 'scored case')} without a surface; in the unweighted score alone."
    for name, count in scored.unseen.items():
        yield f"{many(count, 'scored case')} of {quoted(name)}, which has no requests; in the unweighted score alone."
    if scored.silent:
        yield f"{many(scored.silent, 'scored case')} without telemetry: which model served them is not known."
    for one in scored.surfaces:
        if one.unknown:
            yield f"Of {percent(one.unknown)} of the requests of {quoted(one.surface)} the served model is not known."


def _of_mix(mix: MixScore) -> Iterator[str]:
    name = f"At {'the mix of ' if mix.mix in ('today', 'production') else 'the mix '}{quoted(mix.mix)}"
    if mix.score is None:
        yield f"{name} the score cannot be said: cases ran on the models of {percent(mix.covered)} of traffic only."
    named = [gap for gap in mix.gaps if gap.traffic_share >= SMALL_GAP or mix.score is None]
    for gap in named[:GAPS]:
        yield f"{name}: {_gap(gap)}"
    if len(named) > GAPS:
        yield f"{name}: and {len(named) - GAPS} more such models."
    if named and mix.lowest is not None and mix.highest is not None:
        yield f"{name} the score is between {mix.lowest:.3f} and {mix.highest:.3f}, whatever these would score."


def _gap(gap: Gap) -> str:
    if not gap.model:
        return f"it says nothing of {quoted(gap.surface)}, {percent(gap.traffic_share)} of traffic."
    return f"{quoted(gap.model)} serves {percent(gap.share)} of {quoted(gap.surface)}, and no scored case ran on it."


def _number(of: Estimate | None) -> str:
    return ABSENT if of is None else f"{of.score:.3f}"


def _interval(of: Estimate | None) -> str:
    return ABSENT if of is None or of.low is None or of.high is None else f"{of.low:.3f} to {of.high:.3f}"


# All of them ----------------------------------------------------------------------------------------------------------


def _between(start: float, end: float, requests: int) -> str:
    return f"{many(requests, 'request')}, {utc(start)} to {utc(end)}"


def _table(*columns: str) -> Table:
    """Return a table; a column that ends in ``>`` holds numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.removesuffix(">"), justify="right" if right else "left", no_wrap=right, overflow="fold")
    return table
