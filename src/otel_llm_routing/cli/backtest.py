"""``otel-llm-routing backtest``: the alarms of the past, so that a team trusts an alert before switching it on."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003  (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import ABSENT
from otel_llm_routing.cli import terminal
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.options import POLICY, REFERENCE, Files, PolicyFile, files, moment
from otel_llm_routing.cli.outside import outside
from otel_llm_routing.cli.progress import progress
from otel_llm_routing.cli.terminal import STYLES

if TYPE_CHECKING:
    from rich.console import Console

    from otel_llm_routing.analyze.backtest import Backtest, ThresholdRow
    from otel_llm_routing.analyze.replay import Alarm, Budget, Period, SurfaceReplay

DAY, HOUR = 86_400, 3_600
LINES = 30
"""Alarms of one surface that the timeline shows; --json has all."""
GAPS = 5
"""Gaps that are listed."""
WIDE = 100
"""Columns of a terminal from which on the table has one more."""


def backtest(
    source: Annotated[str, typer.Option(help=SOURCE)],
    policy: PolicyFile = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="The reference file. Without one, a reference is pinned from the first 28 days, in memory.",
            show_default=f"{REFERENCE}, if there is one",
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Days to replay.")] = 90,
    at: Annotated[str, typer.Option(help="Their end: a time back (3d) or a UTC time (2026-11-01T00:00); now.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 where shift alerts exceed a declared budget.")
    ] = False,
) -> None:
    """Replay the past through the rules and the daily detector: which alarms there would have been, and how many.

    Says which threshold L, and which false_alarms_per_month in the policy, keeps the budget of false alarms.
    """
    from otel_llm_routing.analyze import backtest as replaying  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.analyze.reference import without_secrets  # noqa: PLC0415

    now = time.time()
    when = moment(at, now, "--at") if at else now
    declared, pinned = _files(policy, reference)
    try:
        opened = open_source(source)
        with progress() as bar:
            found = replaying.backtest(
                opened, declared, pinned, at=when, days=days, name=without_secrets(source), progress=bar.tell
            )
    except (SourceError, replaying.BacktestError) as error:
        fail(error)
    if as_json:
        typer.echo(json.dumps(replaying.as_json(found), indent=2))
    else:
        _show(found, replaying.by_threshold(found))
    if exit_code and found.over_budget():
        raise typer.Exit(1)


def _files(policy: Path | None, reference: Path | None) -> Files:
    """Read the two files. One that is not named and not there is done without, and that is said."""
    found = files(policy, reference)
    if found.policy is None:
        note(f"{POLICY}: no such file; without it nothing is declared: no bands, pins, owners, tolerances or budgets")
    if found.reference is None:
        note(f"{REFERENCE}: no such file; a reference is pinned in memory from the first weeks, the rest is replayed")
    return found


# What people read -----------------------------------------------------------------------------------------------------


def _show(found: Backtest, rows: list[ThresholdRow]) -> None:
    console = terminal.console()
    _show_ground(console, found)
    if any(surface.alarms for surface in found.surfaces):
        console.print(_alarm_table(found, hours=console.width >= WIDE))
        _show_timeline(console, found)
    else:
        console.print("no alert would have fired")
    _show_detector(console, found)
    _show_thresholds(console, found, rows)


def _show_ground(console: Console, found: Backtest) -> None:
    days = (found.replayed.end - found.replayed.start) / DAY
    seen = len(found.surfaces)
    _say(console, f"replayed {_span(found.replayed)}, {days:.1f} days, {seen} surface{'' if seen == 1 else 's'}")
    first = (found.pinned or found.replayed).start
    if first > found.asked.start:
        _say(console, f"there are no counts before {_at(first)}, though {_at(found.asked.start)} was asked for")
    if found.pinned is not None:
        _say(console, f"the reference was pinned for this replay from {_span(found.pinned)}, and is not kept")
    marked = {period for surface in found.surfaces for period in surface.pinned}
    for period in sorted(marked):
        _say(console, f"{_span(period)}: the reference comes from these days; alarms on them say little, none counts")
    older = max((surface.older for surface in found.surfaces), default=0)
    if older:
        _say(console, f"up to {older:.1f} days are older than the reference: an alarm there may be what it took in")
    if found.gaps:
        listed = ", ".join(_span(gap) for gap in found.gaps[:GAPS]) + (", ..." if len(found.gaps) > GAPS else "")
        _say(console, f"nobody measured for {found.gap_days:.1f} days, left out: {listed}")
    for warning in found.partial:
        _say(console, f"partial: {warning}")


def _alarm_table(found: Backtest, *, hours: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("surface", overflow="fold", min_width=8)
    table.add_column("alert", overflow="fold", min_width=8)
    for name in ("fired", "a month", "longest", "hours") if hours else ("fired", "a month", "longest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("first", no_wrap=True)
    table.add_column("last", no_wrap=True)
    for surface in found.surfaces:
        cell = outside(surface.surface)
        for rate in surface.rates:
            fired = str(rate.fired) + (f" (+{rate.not_counted})" if rate.not_counted else "")
            table.add_row(
                cell,
                Text(f"{rate.alert} {rate.window}".strip(), style=STYLES[rate.severity]),
                fired,
                ABSENT if rate.per_month is None else f"{rate.per_month:.2f}",
                _length(rate.longest),
                *([f"{rate.firing / HOUR:.1f}"] if hours else []),
                _at(rate.first)[:10],
                _at(rate.last)[:10],
            )
            cell = Text("")
    return table


def _show_timeline(console: Console, found: Backtest) -> None:
    from otel_llm_routing.analyze.alert_text import sentence  # noqa: PLC0415

    for surface in found.surfaces:
        if not surface.alarms:
            continue
        console.print(outside(surface.surface), style="bold")
        for alarm in surface.alarms[:LINES]:
            line = Text(f"  {_at(alarm.begin)}  {_lasted(alarm):>8}  ")
            line.append(alarm.alert.alert, style=STYLES[alarm.alert.severity])
            line.append_text(outside(f"  {sentence(alarm.alert)}{_more(alarm)}"))
            console.print(line, soft_wrap=True)
        if (rest := len(surface.alarms) - LINES) > 0:
            _say(console, f"  and {rest} more; --json has all of them")
    console.print()


def _more(alarm: Alarm) -> str:
    others = [name for name in alarm.served if name != alarm.alert.served]
    also = f" Also about {', '.join(others)}." if others else ""
    before = " It fired when the replay began." if alarm.before else ""
    return also + before + ("" if alarm.counted else " Not counted: the reference comes from this day.")


def _show_detector(console: Console, found: Backtest) -> None:
    from otel_llm_routing.analyze.backtest import detector_sentence  # noqa: PLC0415
    from otel_llm_routing.analyze.detector import DAYS_TO_FALSE_ALARM  # noqa: PLC0415

    by_surface = found.detected()
    raised = sum(len(of) for of in by_surface.values())
    days = sum(surface.after for surface in found.surfaces)
    rate = f", {raised * 30 / days:.2f} a month and surface" if days else ""
    promise = f"a false one of a surface in {DAYS_TO_FALSE_ALARM:.0f} days at most, on average"
    _say(console, f"daily detector: {raised} alarm{'' if raised == 1 else 's'}{rate} ({promise})")
    for name in sorted(by_surface):
        console.print(outside(name), style="bold")
        for alarm, until, times in by_surface[name]:
            again = f" Raised {times} times, until {_at(until)}." if times > 1 else ""
            _say(console, f"  {_at(alarm.at)}  {detector_sentence(alarm)}{again}")
    console.print()


def _show_thresholds(console: Console, found: Backtest, rows: list[ThresholdRow]) -> None:
    judged = [surface for surface in found.surfaces if surface.budget is not None]
    if not judged:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (
        "L",
        "shift alarms",
        "a month and surface",
        "surfaces over budget",
        "budget that gives it (rough)",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        rate = ABSENT if row.per_month is None else f"{row.per_month:.3f}"
        gives = ABSENT if row.mild is None else f"{row.mild:g} ({row.rough:g})"
        table.add_row(f"{row.threshold:g}", str(row.alarms), rate, str(row.over), gives)
    console.print(table)
    declared = [surface for surface in judged if surface.budget and surface.budget.kept is not None]
    over = found.over_budget()
    if not declared:
        _say(console, "no surface declares false_alarms_per_month: the table says what each L would have meant")
    elif not over:
        _say(console, f"every declared budget is kept ({len(declared)} of {len(judged)} surfaces declare one)")
    for surface in over:
        if surface.budget is not None:
            _say(console, f"{surface.surface}: {_advice(surface, surface.budget)}")
    if any(surface.alarms for surface in judged):
        _say(console, "Alarms of the past may have been real shifts: look at each before you raise L for it.")


def _advice(surface: SurfaceReplay, kept: Budget) -> str:
    rate = kept.alarms * 30 / surface.days
    said = f"{rate:.2f} shift alarms a month with L {kept.threshold:g}, {kept.allowed:g} allowed; "
    if kept.needed is not None and kept.write is not None:
        return f"{said}L {kept.needed:g} keeps it: write false_alarms_per_month: {kept.write:g}"
    needed = "more than any L that was tried" if kept.needed is None else f"L {kept.needed:g}"
    return (
        f"{said}it takes {needed}, beyond any budget: hardly noise; look at the alarms, the reference and the tolerance"
    )


def _lasted(alarm: Alarm) -> str:
    return _length(alarm.seconds) + ("+" if alarm.ongoing else "")


def _length(seconds: float) -> str:
    if seconds < HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 3 * DAY else f"{seconds / DAY:.1f} d"


def _at(seconds: float) -> str:
    return utc(seconds)[:16].replace("T", " ")


def _span(period: Period) -> str:
    return f"{_at(period.start)} to {_at(period.end)}"


def _say(console: Console, text: str) -> None:
    console.print(outside(text), soft_wrap=True)
