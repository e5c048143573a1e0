"""``otel-llm-routing evals``: an eval planned from production, compared with it, and scored as it would score."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path  # noqa: TC003  (typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from otel_llm_routing.analyze.sources import SOURCE
from otel_llm_routing.analyze.wording import many, percent, printable
from otel_llm_routing.cli import evals_options, evals_tables
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.files import refuse, replace
from otel_llm_routing.cli.options import PolicyFile, ReferenceFile, files, moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.analyze.evals.plan import EvalPlan

app = typer.Typer(
    help="Evals that look like production: plan them, compare them, and score them as production would.",
    no_args_is_help=True,
)

COLUMNS = ("surface", "size_above", "size_up_to", "share", "cases", "weight")


@app.command()
def plan(
    source: Annotated[str, typer.Option(help=SOURCE)],
    cases: Annotated[int, typer.Option("--cases", "-n", help="How many cases the eval has.")],
    minimum: Annotated[int, typer.Option(min=0, help="Cases that every cell with --least of the requests gets.")] = 0,
    least: Annotated[
        float, typer.Option(min=0, max=1, help="The share of requests from which on a cell gets --minimum.")
    ] = 0.01,
    since: evals_options.Since = "28d",
    until: evals_options.Until = None,
    surface: evals_options.Surfaces = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file: .csv or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how many of N cases belong to each surface and size of requests.

    They are spread as production's requests are. --minimum puts some into every cell; then the cases of a mean score
    have to be weighted, and the plan says by how much and what that costs.
    """
    from otel_llm_routing.analyze.evals import documents  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.analyze.evals import plan as planning  # noqa: PLC0415

    if output is not None and output.suffix.lower() not in (".csv", ".json"):
        fail(f"--output {output}: a plan is written as CSV or as JSON; name a file that ends in .csv or .json")
    refuse(output)
    try:
        planning.refuse(cases, minimum, least)
        production = evals_options.production(source, since, until, surface)
        made = planning.plan(production, cases, minimum, least)
    except planning.PlanError as error:
        fail(error)
    document = json.dumps(documents.of_plan(made), indent=2)
    if output is not None:
        text = _csv(planning.rows(made)) if output.suffix.lower() == ".csv" else document + "\n"
        replace({output: text})
    if as_json:
        typer.echo(document)
    elif output is None:
        evals_tables.show_plan(made)
    else:
        spread = sum(1 for cell in made.cells if cell.cases)
        typer.echo(f"{output}: {many(made.cases, 'case')} in {many(spread, 'cell')}")
    _say_plan(made)


def _csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _say_plan(made: EvalPlan) -> None:
    """Say on standard error what a plan leaves out."""
    for warning in made.warnings:
        note(f"the source answered in part: {printable(warning)}")
    if made.nameless:
        share = percent(made.nameless / (made.nameless + made.requests))
        note(f"{share} of all requests name no surface; no case is planned for them")
    for name in made.without_sizes:
        note(f"{printable(name)}: the source has no sizes of its requests; it is planned as a whole")


@app.command()
def check(
    cases: evals_options.Cases,
    source: Annotated[str, typer.Option(help=SOURCE)],
    policy: PolicyFile = None,
    today: evals_options.Today = "24h",
    since: evals_options.Since = "28d",
    until: evals_options.Until = None,
    surface: evals_options.Surfaces = None,
    fmt: evals_options.CasesFormat = None,
    column: evals_options.Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare an eval with production: its cases by surface and size, and the models that served them.

    Exits with 1 where it is further away than the policy's `evals` allow and chance explains, with 2 where it cannot be
    judged. With --surface both are of these surfaces alone.
    """
    from otel_llm_routing.analyze.evals import check as checking  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.analyze.evals import documents  # noqa: PLC0415

    moment(today, 0, "--today")
    said, _ = files(policy, None)
    read = evals_options.cases(cases, fmt, column)
    production = evals_options.production(source, since, until, surface)
    lately = evals_options.today(source, today, production.end)
    try:
        checked = checking.check(evals_options.of_surfaces(read.cases, surface), production, said, lately)
    except checking.NotJudgedError as error:
        fail(f"{cases}: {printable(str(error))}")
    if as_json:
        typer.echo(json.dumps(documents.of_check(checked, production), indent=2))
    else:
        evals_tables.show_check(checked)
    if checked.findings:
        raise typer.Exit(1)
    if not checked.judged:
        fail("too few cases to judge whether they are like production; evals plan says how many belong where")


@app.command()
def score(
    cases: evals_options.Cases,
    source: Annotated[str, typer.Option(help=SOURCE)],
    policy: PolicyFile = None,
    reference: ReferenceFile = None,
    mix: Annotated[
        list[str] | None,
        typer.Option(
            help="Also under this mix: production, surface:model=40%,model=60%, or a .json file; may be given several "
            "times. Those of today and of the reference, if there is one, are always given."
        ),
    ] = None,
    today: evals_options.Today = "24h",
    at_least: Annotated[
        float | None, typer.Option(help="Exit with 1 where the weighted score is lower than this.")
    ] = None,
    since: evals_options.Since = "28d",
    until: evals_options.Until = None,
    surface: evals_options.Surfaces = None,
    fmt: evals_options.CasesFormat = None,
    column: evals_options.Columns = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score an eval as production would: each case counts as much as the traffic that it stands for.

    Also by surface, by the model that served each case, and what the score would be under another model mix.
    """
    from otel_llm_routing.analyze.evals import documents  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.analyze.evals import score as scoring  # noqa: PLC0415
    from otel_llm_routing.analyze.evals.check import NotJudgedError  # noqa: PLC0415
    from otel_llm_routing.analyze.evals.limits import limits  # noqa: PLC0415

    if at_least is not None and not math.isfinite(at_least):
        fail("--at-least is no score; write a number such as 0.8")
    moment(today, 0, "--today")
    said, pinned = files(policy, reference)
    read = evals_options.cases(cases, fmt, column)
    production = evals_options.production(source, since, until, surface)
    mixes = evals_options.mixes(mix, evals_options.today(source, today, production.end), production, pinned)
    try:
        scored = scoring.score(evals_options.of_surfaces(read.cases, surface), production, mixes)
    except NotJudgedError as error:
        fail(f"{cases}: {printable(str(error))}")
    if as_json:
        typer.echo(json.dumps(documents.of_score(scored), indent=2))
    else:
        evals_tables.show_score(scored)
    if at_least is None:
        return
    if 1 - scored.covered > limits(said).missing:
        fail(
            f"--at-least: {percent(1 - scored.covered)} of traffic is of surfaces without a scored case, so the score "
            "is not judged; add cases, leave surfaces out with --surface, or allow it with evals.missing in the policy"
        )
    if scored.weighted.score < at_least:
        note(f"the score {scored.weighted.score:.3f} is lower than {at_least:g}")
        raise typer.Exit(1)
