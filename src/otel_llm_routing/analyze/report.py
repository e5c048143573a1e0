"""The report of one window of time, as a table for people and as JSON for scripts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from otel_llm_routing.analyze.shares import SurfaceMix

SCHEMA = "otel-llm-routing/report/v1"
BAR = 20
"""Characters of a bar that stands for 100 %."""


def as_json(mixes: list[SurfaceMix], start: float, end: float) -> dict[str, Any]:
    """Return the report as a document; ``docs/report.md`` describes it. Shares are 0 to 1, times are UTC."""
    return {
        "schema": SCHEMA,
        "start": _utc(start),
        "end": _utc(end),
        "surfaces": [{**asdict(mix), "unknown_share": mix.unknown_share} for mix in mixes],
    }


def as_table(mixes: list[SurfaceMix], start: float, end: float) -> Table:
    """Return the report as a table: a row for each served model of each surface, the largest share first."""
    table = Table(title=f"Served models by surface, {_utc(start)} to {_utc(end)}", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("surface", style="bold")
    table.add_column("requested → served")
    table.add_column("share", justify="right")
    table.add_column("")
    table.add_column("requests", justify="right")
    for mix in mixes:
        # Names come from outside: as Text they cannot be taken for markup.
        name = Text(mix.surface)
        for share in mix.served:
            bar = "█" * round(share.share * BAR)
            route = Text(f"{share.requested or '(not said)'} → {share.served}")
            if share.match == "substituted":
                route.append("  substituted", style="bold red")
            table.add_row(name, route, f"{share.share:.1%}", Text(bar, style="cyan"), str(share.requests))
            name = Text("")
        for label, number in (
            ("served model unreported", mix.unreported),
            ("served model unconfirmed", mix.unconfirmed),
            ("answered from a cache", mix.cached),
            ("of all these, failed", mix.errors),
        ):
            if number:
                table.add_row(name, Text(label, style="dim"), "", "", Text(str(number), style="dim"))
                name = Text("")
        table.add_section()
    return table


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
