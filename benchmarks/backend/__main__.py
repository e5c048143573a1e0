"""Measure the embedded backend: receiving beside the Collector, and reading; write the tables into the page."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pages import machine
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from backend import commands, past, tables
from backend.ingest import ingest
from backend.payloads import Load, turns
from backend.processes import FailedError
from backend.receivers import COLLECTOR, Collector, Serve

if TYPE_CHECKING:
    from backend.receivers import Receiver

SURFACES, DAYS, EACH, ROUNDS = 1_000, 28, 300, 3
LOADS = (Load(1_000, 50), Load(10_000, 10), Load(100_000, 3), Load(10_000, 3, whole=True))
QUICK = (Load(1_000, 5), Load(1_000, 2, whole=True))
PROTOCOLS = ("gRPC", "HTTP")


def main() -> int:
    """Run; return 1 where something could not be measured, or a count was lost."""
    parser = argparse.ArgumentParser(prog="make backend", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="little of everything: does it still run?")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of receiving; the median is shown ({ROUNDS})")
    parser.add_argument("--surfaces", type=int, default=SURFACES, help=f"that are reported on ({SURFACES:,})")
    parser.add_argument("--days", type=int, default=DAYS, help=f"that there are counts of ({DAYS})")
    parser.add_argument("--each", type=int, default=EACH, help=f"seconds between the counts of a series ({EACH:,})")
    parser.add_argument("--only", choices=("receiving", "reading"), help="one of the two halves")
    parser.add_argument("--write", type=Path, help="the page whose tables are replaced")
    options = parser.parse_args()
    console, errors = Console(), Console(stderr=True)
    if options.write is not None and (lacking := tables.PLACES.lacking(options.write)):
        errors.print(f"{options.write}: {lacking}", markup=False)
        return 2
    if options.quick:
        options.surfaces, options.rounds = min(options.surfaces, 20), 1
    measured = tables.Measured(by=_by(options))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with (
            tempfile.TemporaryDirectory(prefix="backend-") as name,
            Progress(*columns, console=errors, disable=not errors.is_terminal) as progress,
        ):
            if options.only != "reading":
                _receiving(Path(name), QUICK if options.quick else LOADS, options.rounds, measured, progress)
            if options.only != "receiving":
                _reading(Path(name) / "past", options, measured, progress)
    except FailedError as error:
        errors.print(f"make backend: {error}", markup=False)
        return 1
    found = tables.tables(measured)
    done = {name: text for name, text in found.items() if _asked(name, options.only)}
    for name, text in done.items():
        console.print(Markdown(f"**{name}**\n\n{text}"))
    if options.write is not None:
        tables.PLACES.write(options.write, done)
    return 0


def _asked(name: str, only: str | None) -> bool:
    halves = {"ingest": "receiving", "memory": "receiving", "past": "reading", "reading": "reading"}
    return only is None or halves.get(name, only) == only


def _receiving(
    folder: Path, loads: tuple[Load, ...], rounds: int, measured: tables.Measured, progress: Progress
) -> None:
    """Send every load to each receiver, one right after the other, in so many rounds."""
    kinds: list[type[Receiver]] = [Serve, Collector] if COLLECTOR.is_file() else [Serve]
    runs = [(load, protocol) for load in loads for protocol in PROTOCOLS]
    task = progress.add_task("receiving", total=len(runs) * rounds * len(kinds))
    for turn in range(rounds):
        for number, (load, protocol) in enumerate(runs):
            exports = turns(load)
            # Who is first takes turns: what warms up the machine is nobody's.
            for kind in kinds[:: 1 if (turn + number) % 2 else -1]:
                progress.update(task, description=f"{kind.name}: {load.series:,} series over {protocol}")
                with kind(folder / f"{kind.name}-{turn}-{number}") as receiver:
                    found = ingest(receiver, load, protocol, exports)
                measured.ingested.setdefault((load, protocol, kind.name), []).append(found)
                progress.advance(task)


def _reading(folder: Path, options: argparse.Namespace, measured: tables.Measured, progress: Progress) -> None:
    folder.mkdir()
    task = progress.add_task(f"writing {options.days} days", total=None)
    held = past.write(
        *(folder, options.surfaces, options.days, options.each),
        lambda done, of: progress.update(task, completed=done, total=of),
    )
    measured.past = (
        f"{options.surfaces:,} surfaces of {len(past.SHARES)} models, {options.days} days, a row for each series and "
        f"{options.each // 60} minutes with requests: {held.requests / 1e6:,.1f} million requests, "
        f"{held.rows / 1e6:,.1f} million rows, {held.bytes / tables.MEBIBYTE:,.0f} MiB. Each command was run once."
    )
    asked = commands.commands(held, options.days)
    task = progress.add_task("reading", total=len(asked))
    for name, arguments in asked.items():
        progress.update(task, description=name)
        measured.used[name] = commands.measure(folder, name, arguments, held)
        progress.advance(task)


def _by(options: argparse.Namespace) -> str:
    asked = ["--quick"] if options.quick else []
    asked += [f"--only {options.only}"] if options.only else []
    arguments = f' ARGS="{" ".join(asked)}"' if asked else ""
    versions = ", ".join(f"{name} {version(name)}" for name in ("grpcio", "protobuf", "uvicorn"))
    return (
        f"`make backend{arguments}`, receiving {options.rounds} times, medians: "
        f"{machine()}, load {os.getloadavg()[2]:.1f} before; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}."
    )


if __name__ == "__main__":
    sys.exit(main())
