"""The audit for people: by file, the worst first in each line, and what it comes to."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.wording import many, percent, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from otel_llm_routing.analyze.audit.audit import Audit
    from otel_llm_routing.analyze.audit.finding import Finding, Level, Seen

STYLES: dict[Level, str] = {"error": "bold red", "warning": "yellow", "note": "cyan", "none": "dim"}
MAX_SERVED = 3
"""Models named of one surface; the rest are counted."""
MAX_USED = 3
"""Places named that use a constant; the rest are counted."""
MAX_UNREADABLE = 20


def as_text(made: Audit, *, all_: bool = False) -> RenderableType:
    """Return a table for every file with findings; with ``all_``, also of what only speaks of models."""
    parts: list[RenderableType] = []
    # What the column of kinds says needs no sentence.
    quiet = frozenset({"unknown-name", "inherited-model"} | (set() if made.by.loaded else {"moving-name"}))
    shown = [finding for finding in made.uses if not finding.known]
    if all_:
        shown = sorted((*shown, *made.spoken_of), key=lambda finding: (finding.file, finding.line, finding.column))
    for file, findings in groupby(shown, key=lambda finding: finding.file):
        parts += [Text(printable(file), style="bold"), _table(list(findings), quiet), Text("")]
    if made.unreadable:
        parts += [Text("Not read as it was meant", style="bold")]
        for one in made.unreadable[:MAX_UNREADABLE]:
            where = f"{one.file}:{one.line}" if one.line else one.file
            parts.append(Text(f"  {printable(where)}: {printable(one.text)}"))
        if len(made.unreadable) > MAX_UNREADABLE:
            parts.append(Text(f"  and {len(made.unreadable) - MAX_UNREADABLE:,} more (--format json has all)"))
        parts.append(Text(""))
    parts += [Text(line) for line in summary(made)]
    return Group(*parts)


def _table(findings: list[Finding], quiet: frozenset[str]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False, show_edge=False)
    for column in ("line", "level", "kind", "what"):
        table.add_column(
            column, no_wrap=column != "what", overflow="fold", justify="right" if column == "line" else "left"
        )
    for finding in findings:
        level = "waived" if finding.waived and finding.level == "none" else finding.level
        table.add_row(
            Text(f"{finding.line}"),
            Text("" if level == "none" else level, style=STYLES[finding.level]),
            Text(finding.kind),
            Text("\n").join(_what(finding, quiet)),
        )
    return table


def _what(finding: Finding, quiet: frozenset[str]) -> list[Text]:
    place = {"call": finding.call, "default": f"of {finding.key}" if finding.key else ""}.get(finding.role, finding.key)
    head = Text(printable(finding.identifier), style="bold")
    head.append(printable(f"  {finding.role} {place}"), style="not bold dim")
    lines = [head]
    lines += [Text(printable(problem.text)) for problem in finding.problems if problem.rule not in quiet]
    if used := [*(f"line {line}" for line in finding.used_at), *(f"{file}:{line}" for file, line in finding.used_in)]:
        more = [f"and {many(len(used) - MAX_USED, 'other place')}"] if len(used) > MAX_USED else []
        lines.append(Text(printable(f"used in {' '.join([', '.join(used[:MAX_USED]), *more])}"), style="dim"))
    if finding.waived is not None:
        lines.append(Text(printable(f"waived until {finding.waived.until}: {finding.waived.reason}"), style="dim"))
    if finding.surfaces:
        who = "customers see it" if finding.customer_facing else "customers do not see it"
        lines.append(Text(printable(f"used by {', '.join(finding.surfaces)}; {who}"), style="dim"))
    if finding.seen is not None and finding.is_use and finding.kind != "inherit":
        lines += [Text(printable(_seen(seen)), style="dim") for seen in finding.seen] or [Text("not seen", style="dim")]
    return lines


def _seen(seen: Seen) -> str:
    said = [f"{model} {percent(requests / seen.known)}" for model, requests in seen.served[:MAX_SERVED]]
    if len(seen.served) > MAX_SERVED:
        said.append(f"{many(len(seen.served) - MAX_SERVED, 'more model')}")
    if unknown := seen.unreported + seen.unconfirmed:
        said.append(f"of {many(unknown, 'request')} nobody said")
    return f"{seen.surface}: {many(seen.requests, 'request')}: {', '.join(said)}"


def summary(made: Audit) -> list[str]:
    """Return what the audit comes to, in a few lines."""
    counts = [many(made.count(level), level) for level in ("error", "warning", "note")]
    waived = sum(finding.waived is not None for finding in made.uses)
    known = sum(finding.known for finding in made.uses)
    also = [f"{waived:,} waived"] if waived else []
    also += [f"{known:,} in the baseline"] if known else []
    lines = [
        f"{many(len(made.uses), 'name')} of models in {many(made.files, 'file')}: {', '.join([*counts, *also])}",
    ]
    listed = sum(finding.role == "catalogue" for finding in made.spoken_of)
    compared = len(made.spoken_of) - listed
    if made.spoken_of:
        lines.append(
            f"and {listed:,} in catalogues, {compared:,} in comparisons, which ask for none (--all lists them)"
        )
    if made.fixed:
        lines.append(
            f"{many(len(made.fixed), 'problem')} of the baseline no longer there; --update-baseline takes them out"
        )
    return lines
