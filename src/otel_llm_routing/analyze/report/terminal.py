"""The report as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.analyze.shares import SurfaceMix

BAR = 20
"""Characters of a bar that stands for 100 %."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


def as_table(mixes: Iterable[SurfaceMix], start: float, end: float) -> Table:
    """Return the report as a table: a row for each served model of each surface, the largest share first."""
    table = Table(title=f"Served models by surface, {utc(start)} to {utc(end)}", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("surface", style="bold", overflow="fold")
    table.add_column("requested → served", overflow="fold")
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("", width=BAR, no_wrap=True)
    table.add_column("requests", justify="right", no_wrap=True)
    for mix in mixes:
        # Names come from outside: as Text they cannot be taken for markup.
        name = Text(mix.surface)
        for share in mix.served:
            route = Text(f"{share.requested or '(not said)'} → {share.served}")
            if share.match == "substituted":
                route.append("  substituted", style="bold red")
            table.add_row(name, route, f"{share.share:.1%}", Text(_bar(share.share), style="cyan"), str(share.requests))
            name = Text("")
        for label, number, share_of in (
            ("unreported: nothing named the served model", mix.unreported, mix.requests - mix.cached),
            ("unconfirmed: only the requested name came back", mix.unconfirmed, mix.requests - mix.cached),
            ("answered from a cache", mix.cached, mix.requests),
            ("failed, of all these", mix.errors, mix.requests),
        ):
            if number:
                # Not a share of the mix: the percentage stands in the text, away from the column of shares.
                text = Text(f"{label} ({number / share_of:.1%})", style="dim")
                table.add_row(name, text, "", "", Text(str(number), style="dim"))
                name = Text("")
        table.add_section()
    return table


def _bar(share: float) -> str:
    full, rest = divmod(round(share * BAR * 8), 8)
    return "█" * full + _EIGHTHS[rest].strip()
