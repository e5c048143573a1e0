"""Simulate, judge, print the tables, and write them into a page."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulator import measure, tables

SURFACES, QUICK = 600, 2


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(prog="make simulate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--surfaces", type=int, default=SURFACES, help=f"surface-months of a figure ({SURFACES})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} surface-months only: does it still run?")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=0, help="0: as many as there are cores")
    parser.add_argument("--write", type=Path, help="the page whose tables are replaced")
    options = parser.parse_args()
    surfaces = QUICK if options.quick else options.surfaces
    console, errors = Console(), Console(stderr=True)
    if options.write is not None and (lacking := tables.PLACES.lacking(options.write)):
        errors.print(f"{options.write}: {lacking}", markup=False)
        return 2
    began = time.monotonic()
    todo = measure.pieces(surfaces, options.seed)
    columns = (TextColumn("surfaces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors) as progress:
        task = progress.add_task("", total=sum(piece.surfaces for piece in todo))
        measured = measure.measure(todo, options.processes, lambda done: progress.advance(task, done))
    found = tables.tables(measured)
    for table in found:
        console.print(Markdown(f"**{table.name}**\n\n{table.markdown()}"))
    errors.print(f"{sum(piece.surfaces for piece in todo):,} surface-months in {time.monotonic() - began:.0f} s")
    if options.write is not None:
        by = f"`make simulate`, seed {options.seed}, {surfaces:,} surface-months a figure."
        tables.PLACES.write(options.write, {**{table.name: table.markdown() for table in found}, "by": by})
    return 0


if __name__ == "__main__":
    sys.exit(main())
