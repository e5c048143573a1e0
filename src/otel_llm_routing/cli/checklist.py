"""``otel-llm-routing checklist``: the five questions to ask before shipping "auto", answered from evidence."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003  (typer reads it)
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.cli.evals_options import Columns
from otel_llm_routing.cli.evals_options import cases as read_cases
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.files import refuse, replace
from otel_llm_routing.cli.options import (
    POLICY,
    REFERENCE,
    LifetimesFile,
    PolicyFile,
    ReferenceFile,
    known_lifetimes,
    moment,
    named,
)
from otel_llm_routing.cli.progress import progress

if TYPE_CHECKING:
    from otel_llm_routing.analyze.checklist.answers import Checklist, Verdict
    from otel_llm_routing.analyze.checklist.build import Inputs, Rules

FailOn = Literal["no", "partly", "unsaid", "never"]
FAILING: dict[FailOn, set[Verdict]] = {
    "no": {"no"},
    "partly": {"no", "partly"},
    "unsaid": {"no", "partly", "cannot be said"},
    "never": set(),
}
"""The verdicts that make it exit with 1."""


def checklist(
    source: Annotated[str, typer.Option(help=SOURCE)],
    surfaces: Annotated[
        list[str] | None,
        typer.Argument(metavar="SURFACE", help="Only these.", show_default="all of the policy and the traffic"),
    ] = None,
    policy: PolicyFile = None,
    reference: ReferenceFile = None,
    cases: Annotated[
        Path | None, typer.Option(help="The cases of an eval, to compare with the traffic; see evals check.")
    ] = None,
    columns: Columns = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="What evaluates the alert rules (Prometheus, Mimir, Thanos, vmalert), to ask which are loaded.",
            show_default="the source, if it is prometheus:",
        ),
    ] = None,
    lifetimes: LifetimesFile = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days to look back.")] = 28,
    at: Annotated[str, typer.Option(help="When: a time back (3d) or a UTC time (2026-11-01T00:00); now.")] = "",
    fail_on: Annotated[
        FailOn,
        typer.Option(help="Exit with 1 at a no; at a partly too; at anything but a yes; or never."),
    ] = "unsaid",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """Answer five questions about each surface before its model is left to a provider, from evidence, for a review.

    Is the concrete model logged and queryable? Is there an eval slice that matches its traffic? Is there an alert on
    its mix, loaded and healthy? Is it known what the provider has committed to? Are the conditions to move to a pin,
    and back, written down? Each is answered with yes, partly, no, cannot be said or does not apply; with the numbers,
    lines and queries that the answer rests on; and with what to do.

    Exits with 0 if all answers are yes (or do not apply), with 1 if some are not, with 2 if it cannot run.
    """
    from otel_llm_routing.analyze.checklist.build import UnknownSurfaceError, build  # noqa: PLC0415  (NumPy takes time)

    now = time.time()
    when = moment(at, now, "--at") if at else now
    refuse(output)
    inputs = _inputs(policy, reference, cases, columns, lifetimes, source, prometheus)
    try:
        with progress() as bar:
            made = build(
                open_source(source, bar.advance),
                source,
                inputs,
                days=days,
                now=when,
                only=surfaces or (),
                progress=bar.begin,
            )
    except (SourceError, UnknownSurfaceError) as error:
        fail(error)
    if not made.surfaces:
        fail(f"no surface: the policy has none, and no call was counted in {days} days that has a surface; see --days")
    _write(made, as_json, output)
    if made.verdicts() & FAILING[fail_on]:
        raise typer.Exit(1)


def _inputs(
    policy: Path | None,
    reference: Path | None,
    cases: Path | None,
    columns: list[str] | None,
    lifetimes: Path | None,
    source: str,
    prometheus: str | None,
) -> Inputs:
    """Read the files, and ask which rules are loaded."""
    from otel_llm_routing.analyze.checklist.build import Cases, Inputs  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.policy import loading  # noqa: PLC0415  (pydantic takes its time)
    from otel_llm_routing.policy import reference as pinned  # noqa: PLC0415
    from otel_llm_routing.policy.document import PolicyError  # noqa: PLC0415

    policy_file, reference_file = named(policy, POLICY), named(reference, REFERENCE)
    try:
        loaded = loading.read(policy_file) if policy_file else None
        known = pinned.load(reference_file) if reference_file else None
    except (PolicyError, pinned.ReferenceFileError) as error:
        fail(error)
    if loaded is None:
        note(f"{POLICY}: no such file; without it nothing is declared, and only surfaces with traffic are seen")
    return Inputs(
        loaded,
        known,
        str(reference_file or ""),
        Cases(read_cases(cases, None, columns).cases, str(cases)) if cases else None,
        _rules(source, prometheus),
        known_lifetimes(lifetimes),
    )


def _rules(source: str, url: str | None) -> Rules:
    """Return the loaded rules; a server that is not named but only the source need not have any."""
    from otel_llm_routing.analyze.checklist.build import Rules  # noqa: PLC0415  (NumPy takes its time)

    kind, _, rest = source.partition(":")
    of_source = rest if kind == "prometheus" else source if kind.lower() in ("http", "https") else ""
    todo = "name what evaluates the rules with --prometheus URL"
    address = (url or of_source).removeprefix("prometheus:")
    if not address:
        return Rules(None, "No server was named that evaluates the rules, so none was asked.", todo)
    try:
        from otel_llm_routing.analyze.checklist.rules import read  # noqa: PLC0415
        from otel_llm_routing.analyze.sources.prometheus_api import PrometheusAPI  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        fail(f"{error.name} is not installed; --prometheus needs pip install 'otel-llm-routing[prometheus]'")
    try:
        return Rules(read(PrometheusAPI(address), time.time()), "", "")
    except SourceError as error:
        if url is not None:
            fail(error)
        return Rules(None, f"The source does not say which rules are loaded: {error}.", todo)


def _write(made: Checklist, as_json: bool, output: Path | None) -> None:
    from otel_llm_routing.analyze.checklist import document, markdown  # noqa: PLC0415  (NumPy takes its time)

    text = json.dumps(document.as_json(made), indent=2) + "\n" if as_json else markdown.as_markdown(made)
    if output is None:
        typer.echo(text, nl=False)
    else:
        replace({output: text})
