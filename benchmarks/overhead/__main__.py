"""Measure what instrumenting costs an application, beside the others, and write it into the page."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pages import machine
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from overhead import environments, instructions, measure, tables
from overhead.contenders import FLOOR, OURS, PEERS
from overhead.telemetry import MODES

if TYPE_CHECKING:
    from collections.abc import Callable

    from overhead.environments import Environment

ROUNDS, PROCESSES, STARTS, CALLS, STREAMS = 12, 3, 7, 20_000, 2_000
QUICK = (3, 1, 1, 1_000, 100)


def main() -> int:
    """Run; return the exit code."""
    names = ", ".join(contender.key for contender in PEERS)
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: does it still run?")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"in each of {PROCESSES} generations of processes")
    parser.add_argument("--peers", default=names, help=f"which to measure beside this project ({names})")
    parser.add_argument("--keep", action="store_true", help="do not bring the environments up to date")
    parser.add_argument(
        "--counts", action="store_true", help="count instructions only, which a busy machine does not change"
    )
    parser.add_argument("--write", type=Path, help="the page whose tables are replaced")
    options = parser.parse_args()
    console, errors = Console(), Console(stderr=True)
    if options.write is not None and (lacking := tables.PLACES.lacking(options.write)):
        errors.print(f"{options.write}: {lacking}", markup=False)
        return 2
    asked = {name.strip() for name in options.peers.split(",")}
    peers = [peer for peer in PEERS if peer.key in asked]
    found = {} if options.counts else tables.tables(_measure(peers, options, errors))
    found |= tables.counted(_count(peers, fresh=options.counts and not options.keep, errors=errors))
    for name, text in found.items():
        console.print(Markdown(f"**{name}**\n\n{text}"))
    if options.write is not None:
        tables.PLACES.write(options.write, found)
    return 0


def _measure(peers: list[Any], options: argparse.Namespace, errors: Console) -> tables.Measured:
    full = (options.rounds, PROCESSES, STARTS, CALLS, STREAMS)
    rounds, processes, starts, calls, streams = QUICK if options.quick else full
    command = f"make bench{' ARGS=--quick' if options.quick else ''}"
    measured = tables.Measured(machine=machine(), command=command, rounds=rounds * processes)
    measured.soak_calls, measured.soak_streams = calls, streams
    with _progress(errors) as progress:
        task = progress.add_task("", total=(1 + len(peers)) * (rounds * processes + 1) + 1)

        def step(what: str) -> Callable[[], None]:
            progress.update(task, description=what)
            return lambda: progress.advance(task)

        step("the bare SDKs")
        bare = environments.make(None, fresh=not options.keep)
        for contender in (OURS, *peers):
            tick = step(contender.name)
            try:
                environment = environments.make(contender, fresh=not options.keep)
                of = [FLOOR, OURS] if contender is OURS else [contender]
                pairs = [(c.key, mode) for c in of for mode in MODES]
                measured.added |= measure.pairs(environment.python, pairs, rounds, processes, tick)
                for one in of:
                    measured.starts[one.key] = _starts(environment, one.key, starts)
                measured.versions[contender.key] = environment.installed
                measured.sizes[contender.key] = _beside(environment, bare)
            except (environments.UnusableError, measure.FailedError) as error:
                measured.failed[contender.key] = str(error)
            tick()
        tick = step("memory")
        own = environments.ENVIRONMENTS / OURS.key / "bin" / "python"
        if OURS.key not in measured.failed:
            for key in ("bare", OURS.key):
                measured.grown[key] = _run(own, "overhead.soak", key, str(calls), str(streams))
        tick()
    return measured


def _count(peers: list[Any], *, fresh: bool, errors: Console) -> tables.Counts:
    counts = tables.Counts()
    if why := instructions.impossible():
        counts.failed["instructions"] = why
        return counts
    with _progress(errors) as progress:
        task = progress.add_task("instructions", total=2 + len(peers))
        try:
            counts.own = instructions.count()
        except measure.FailedError as error:
            counts.failed["instructions"] = str(error)
        progress.advance(task)
        for contender in (OURS, *peers):
            progress.update(task, description=f"instructions of {contender.name}")
            try:
                environment = environments.make(contender, fresh=fresh)
                counts.versions[contender.key] = environment.installed
                for one in [FLOOR, OURS] if contender is OURS else [contender]:
                    counts.added[one.key] = instructions.compare(environment.python, one.key)
            except (environments.UnusableError, measure.FailedError) as error:
                counts.failed[contender.key] = str(error)
            progress.advance(task)
    return counts


def _progress(errors: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors)


def _starts(environment: Environment, key: str, times: int) -> dict[str, Any]:
    """Return what switching on takes, in the middle of so many processes, after the SDKs and before them."""
    found: dict[str, Any] = {}
    for before in ("sdks", "nothing"):
        runs = [_run(environment.python, "overhead.startup", key, before) for _ in range(times)]
        found[before] = {
            "seconds": statistics.median(run["seconds"] for run in runs),
            "bytes": statistics.median(run["bytes"] for run in runs),
            "imported": runs[0]["imported"],
        }
    return found


def _run(python: Path, module: str, *arguments: str) -> Any:
    return json.loads(measure.run(python, "-m", module, *arguments).strip().splitlines()[-1])


def _beside(environment: Environment, bare: Environment) -> tuple[int, int]:
    """Return how many distributions a contender adds to the bare SDKs, and their bytes."""
    added = [entry.size for name, entry in environment.installed.items() if name not in bare.installed]
    return len(added), sum(added)


if __name__ == "__main__":
    sys.exit(main())
