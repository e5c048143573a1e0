"""``otel-llm-routing check``: the alerts of the generated rules, once, for cron and CI."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003  (typer reads it)
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.sources import SOURCE, SourceError, open_source
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import printable
from otel_llm_routing.cli.failure import fail, note
from otel_llm_routing.cli.options import POLICY, REFERENCE, PolicyFile, ReferenceFile, files, held, moment
from otel_llm_routing.cli.progress import progress
from otel_llm_routing.cli.terminal import STYLES, console

if TYPE_CHECKING:
    from otel_llm_routing.analyze.check import Checked
    from otel_llm_routing.policy.plan import Plan


def check(
    source: Annotated[str, typer.Option(help=SOURCE)],
    policy: PolicyFile = None,
    reference: ReferenceFile = None,
    at: Annotated[str, typer.Option(help="When: a time back (3d) or a UTC time (2026-11-01T00:00); now.")] = "",
    level: Annotated[
        Literal["page", "ticket", "info"], typer.Option(help="The least severity that makes it exit with 1.")
    ] = "ticket",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which alerts the generated rules would have firing now. Exits with 1 if one is as severe as --level."""
    from otel_llm_routing.analyze import check as checking  # noqa: PLC0415  (NumPy takes its time)
    from otel_llm_routing.policy.plan import LEVELS  # noqa: PLC0415

    now = time.time()
    when = moment(at, now, "--at") if at else now
    plan = _plan(policy, reference)
    try:
        with progress() as bar:
            opened = open_source(source, bar.advance)
            checked = checking.check(opened, plan, when)
            extent = opened.extent() if checked.last is None else None
    except SourceError as error:
        fail(error)
    if checked.last is None:
        between = f"{utc(checked.start)} and {utc(checked.end)}"
        fail(f"no calls between {between}, so nothing can be judged; {held(extent)}")
    if as_json:
        typer.echo(json.dumps(checking.as_json(checked), indent=2))
    else:
        _show(checked)
    if any(LEVELS.index(alert.severity) <= LEVELS.index(level) for alert in checked.alerts):
        raise typer.Exit(1)


def _plan(policy: Path | None, reference: Path | None) -> Plan:
    """Put the two files together. One that is not named and not there is done without, and that is said."""
    from otel_llm_routing.policy.plan import plan  # noqa: PLC0415  (pydantic takes its time)

    declared, pinned = files(policy, reference)
    if declared is None and pinned is None:
        fail(
            f"there is neither {POLICY} nor {REFERENCE} here; name them with --policy and --reference, or write them "
            "with otel-llm-routing policy init and otel-llm-routing reference pin"
        )
    if declared is None:
        note(f"{POLICY}: no such file; without it nothing is declared: no bands, pins, owners or tolerances")
    if pinned is None:
        note(f"{REFERENCE}: no such file; without it no shift, new or vanished model is seen")
    return plan(declared, pinned)


def _show(checked: Checked) -> None:
    from otel_llm_routing.analyze.alert_text import sentence  # noqa: PLC0415

    if checked.alerts:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("severity", no_wrap=True)
        table.add_column("owner", overflow="fold")
        table.add_column("surface", overflow="fold")
        table.add_column("alert", overflow="fold", min_width=30)
        for alert in checked.alerts:
            # Names come from outside: as Text they cannot be taken for markup.
            said = Text(alert.alert, style="bold").append(f"\n{sentence(alert)}", style="not bold")
            if not alert.holds:
                said.append(" It no longer holds, and is kept for a while.", style="dim not bold")
            severity = Text(alert.severity, style=STYLES[alert.severity])
            table.add_row(severity, Text(alert.owner), Text(alert.surface), said)
            table.add_section()
        console().print(table)
    for warning in checked.partial:
        typer.echo(f"the source answered in part only: {printable(warning)}")
    seen = len(checked.surfaces)
    judged = f"{seen} surface{'' if seen == 1 else 's'}"
    last = utc(checked.last or 0)
    if checked.stale:
        hours = (checked.end - (checked.last or 0)) / 3600
        typer.echo(f"{judged}, no request since {last}, {hours:.0f} hours before: calm would mean nothing")
    elif checked.alerts:
        typer.echo(f"{judged}, alerts: {len(checked.alerts)}; requests up to {last}")
    else:
        typer.echo(f"{judged}, nothing to report; requests up to {last}")
