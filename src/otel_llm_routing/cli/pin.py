"""``otel-llm-routing pin``: which concrete model to move a surface to, what that does, and the change of the policy."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.analyze.wording import many, percent, points, printable
from otel_llm_routing.cli import terminal
from otel_llm_routing.cli.evals_options import Columns
from otel_llm_routing.cli.evals_options import cases as read_cases
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.files import refuse, replace
from otel_llm_routing.cli.options import (
    POLICY,
    LifetimesFile,
    PolicyFile,
    ReferenceFile,
    files,
    known_lifetimes,
    moment,
)
from otel_llm_routing.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.pin.build import PolicyText
    from otel_llm_routing.analyze.pin.model import Part, Proposal
    from otel_llm_routing.policy.reference import Reference

MOST = 8
"""Rows of the mix that are printed; the document has all."""


def pin(
    surface: Annotated[str, typer.Argument(metavar="SURFACE", help="A surface of the policy.")],
    source: Annotated[str, typer.Option(help=SOURCE)],
    policy: PolicyFile = None,
    reference: ReferenceFile = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days to look back.")] = 28,
    at: Annotated[str, typer.Option(help="When: a time back (3d) or a UTC time (2026-11-01T00:00); now.")] = "",
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="Pin this one of the models that served, not the most served.")
    ] = None,
    requested: Annotated[
        str | None, typer.Option(metavar="ID", help="Move only this one of the identifiers that the surface asks for.")
    ] = None,
    cases: Annotated[Path | None, typer.Option(help="The cases of an eval: their scores by served model.")] = None,
    columns: Columns = None,
    lifetimes: LifetimesFile = None,
    costs: Annotated[bool, typer.Option("--costs/--no-costs", help="Price the requests, now and pinned.")] = True,
    write: Annotated[
        bool, typer.Option("--write", help="Change the policy file; else only the change is shown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Propose to move a surface from an alias or a router to the concrete model that serves most of it today.

    Says what that does to its mix and its cost, which limits of the policy would be passed, and prints the change of
    the policy as a difference that patch -p0 and git apply -p0 take. Comments, order and quoting of the file stay.
    """
    from otel_llm_routing.analyze.pin import build, edit  # noqa: PLC0415  (pydantic and NumPy take their time)
    from otel_llm_routing.policy.document import PolicyError  # noqa: PLC0415

    now = time.time()
    when = moment(at, now, "--at") if at else now
    file = policy or POLICY
    if write:
        refuse(file)
    read, known = _read(file, reference)
    scored = read_cases(cases, None, columns).cases if cases else None
    until = known_lifetimes(lifetimes)
    try:
        with progress() as bar:
            made = build.propose(
                open_source(source, bar.advance),
                source,
                read,
                build.Wish(surface, days, model, requested, costs),
                now=when,
                reference=known,
                cases=scored,
                lifetimes=until,
                progress=bar.begin,
            )
    except (SourceError, PolicyError, build.PinError) as error:
        # Names in it are from outside.
        fail("\n".join(map(printable, str(error).split("\n"))))
    diff = edit.unified(read.text, made.changed, _relative(file)) if made.changed else ""
    if write and diff:
        replace({file: made.changed})
    if as_json:
        from otel_llm_routing.analyze.pin.document import as_json as document  # noqa: PLC0415

        typer.echo(json.dumps(document(made, diff, written=write and bool(diff)), indent=2))
    else:
        _show(made, diff, scored is not None)
        if write and diff:
            note(f"{file}: written; otel-llm-routing policy check says whether it is sound")
    if not diff:
        fail(made.unchanged)


def _read(file: Path, reference: Path | None) -> tuple[PolicyText, Reference | None]:
    """Return the policy's text as it is in its file, and the reference."""
    from otel_llm_routing.analyze.pin.build import PolicyText  # noqa: PLC0415  (pydantic and NumPy take their time)

    _, known = files(file, reference)
    try:
        # Not as text: line ends stay what they are.
        return PolicyText(file.read_bytes().decode("utf-8"), str(file)), known
    except (OSError, ValueError) as error:
        fail(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error}); name a readable file")


def _relative(file: Path) -> str:
    """Return the path as a patch names it: from here, or the bare name of a file that is elsewhere."""
    try:
        return file.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return file.name


# For people -----------------------------------------------------------------------------------------------------------


def _show(made: Proposal, diff: str, scored: bool) -> None:
    console = terminal.console()
    for part in made.parts:
        if part.chosen is not None:
            share = f"{percent(part.chosen.share)} of {many(part.known, 'request')}"
            said = f"{made.surface}: {part.requested} ({part.kind}) -> {part.chosen.model}, which served {share}"
            console.print(Text(printable(said), style="bold"), soft_wrap=True)
    console.print(_mix(made, scored))
    for line in _lines(made, scored):
        console.print(Text(printable(line)))
    if made.steps:
        console.print("What is left to do:")
        for step in made.steps:
            console.print(Text(printable(f"- {step}")))
    if diff:
        typer.echo("")
        typer.echo(diff, nl=False)


def _mix(made: Proposal, scored: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    for name in ("now", "pinned", "points"):
        table.add_column(name, justify="right", no_wrap=True)
    if scored:
        table.add_column("score (cases)", justify="right", no_wrap=True)
    scores = {score.model: f"{score.mean:.3g} ({score.cases:,})" for score in made.scores}
    for row in made.mix[:MOST]:
        cells = [percent(row.now), percent(row.pinned), points(row.change)]
        if scored:
            cells.append(scores.get(row.model, "no case"))
        table.add_row(Text(printable(row.model)), *cells)
    if len(made.mix) > MOST:
        table.add_row(f"{len(made.mix) - MOST} more", *("" for _ in range(3 + scored)))
    return table


def _lines(made: Proposal, scored: bool) -> Iterator[str]:
    if made.requests > made.known:
        unknown = made.requests - made.known
        yield f"Unknown stays unknown: of {unknown:,} of {made.requests:,} requests nobody knows the served model."
    for part in made.parts:
        if part.money is not None:
            yield _cost(part)
        yield from part.doubts
    if made.prices is not None and any(part.money and part.money.now is not None for part in made.parts):
        yield (
            f"Prices: {made.prices.name}, of {made.prices.date}. What moves is taken to read and write what these "
            "requests do on the average; nobody knows what the model would write."
        )
    for edge in made.violated:
        yield f"Taken out of expect, as the pin passes it: {edge.glob} {edge.side} {percent(edge.share)}."
    if scored:
        yield "Scores are means over the cases of this surface that one model served, not weighed by anything."
    yield from made.notes


def _cost(part: Part) -> str:
    from otel_llm_routing.analyze.report.summary import dollars  # noqa: PLC0415

    money = part.money
    assert money is not None and part.chosen is not None  # noqa: S101, PT018  (who calls has looked)
    sides = {"now": money.now, f"pinned to {part.chosen.model}": money.pinned}
    said = ", ".join(f"{dollars(cost)} {side}" for side, cost in sides.items() if cost is not None)
    unsaid = [side for side, cost in sides.items() if cost is None]
    if not said:
        return f"What 1,000 requests for {part.requested} cost, now and pinned, cannot be said: {money.unsaid}."
    line = f"1,000 requests for {part.requested} cost {said}"
    return f"{line}; what they cost {unsaid[0]} cannot be said: {money.unsaid}." if unsaid else f"{line}."
