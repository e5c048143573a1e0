"""Timing contenders in pairs: each beside the bare SDK in the same environment, in turns, in processes of their own.

The machine's speed changes from second to second, so no two times are compared that were not taken one after the
other. What a contender adds is the median over the rounds of the difference within a round.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from overhead.contenders import BARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BENCHMARKS = Path(__file__).parent.parent
CALLS = {"chat": 50, "async": 50, "responses": 50, "stream": 3, "short": 30, "messages": 60}
"""Calls of a workload in a round."""


class FailedError(Exception):
    """A contender cannot be measured; the message says why."""


class Worker:
    """A process that makes calls."""

    def __init__(self, python: Path, contender: str, mode: str) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "overhead.worker", contender, mode],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def time(self, workload: str, calls: int) -> float:
        """Return the CPU time of one call, in microseconds."""
        assert self._process.stdin is not None  # noqa: S101  (for the type checker)
        self._process.stdin.write(f"{workload} {calls}\n")
        self._process.stdin.flush()
        return float(self._answer()) * 1e6 / calls

    def _answer(self) -> str:
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        while line and not line.startswith(("[", *"0123456789")):
            line = self._process.stdout.readline()  # what a contender prints itself
        if not line:
            assert self._process.stderr is not None  # noqa: S101
            said = self._process.stderr.read().strip().splitlines()
            raise FailedError(said[-1] if said else "its process ended")
        return line

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def environment() -> dict[str, str]:
    """Return the variables of a measuring process: it finds the benchmarks, and none switches anything on or off.

    Only what any program needs is handed on: SDKs and contenders look for variables by names of their own.
    """
    needed = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
    kept = {name: os.environ[name] for name in needed if name in os.environ}
    return {**kept, "PYTHONPATH": str(BENCHMARKS), "PYTHONUNBUFFERED": "1"}


def run(*command: str | Path, **variables: str) -> str:
    """Return what a measuring process prints, with ``variables`` beside its own. Raises ``FailedError``."""
    done = subprocess.run(command, env={**environment(), **variables}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise FailedError(said[-1] if said else f"{' '.join(map(str, command))} ended with {done.returncode}")
    return done.stdout


class Added(NamedTuple):
    """What a contender adds to a call, in microseconds."""

    middle: float
    low: float
    high: float
    """Quartiles of the rounds."""
    bare: float
    """What the call takes without it."""


def pairs(
    python: Path, contenders: list[tuple[str, str]], rounds: int, processes: int, tick: Callable[[], None]
) -> dict[tuple[str, str, str], Added]:
    """Return what each ``(contender, mode)`` adds to each workload, all of them in one environment.

    ``rounds`` are made in each of ``processes`` generations of processes, since two processes of the same program
    differ in where their objects lie.
    """
    modes = tuple(dict.fromkeys(mode for _, mode in contenders))
    differences: dict[tuple[str, str, str], list[float]] = {}
    bares: dict[tuple[str, str], list[float]] = {}
    for _ in range(processes):
        with _workers(python, [*((BARE, mode) for mode in modes), *contenders]) as workers:
            for number in range(rounds):
                for workload, calls in CALLS.items():
                    order = list(workers.items())
                    taken = {key: worker.time(workload, calls) for key, worker in (order, order[::-1])[number % 2]}
                    for mode in modes:
                        bares.setdefault((mode, workload), []).append(taken[BARE, mode])
                    for contender, mode in contenders:
                        added = taken[contender, mode] - taken[BARE, mode]
                        differences.setdefault((contender, mode, workload), []).append(added)
                tick()
    return {key: _added(found, bares[key[1:]]) for key, found in differences.items()}


def _added(differences: list[float], bare: list[float]) -> Added:
    if len(differences) < 2:  # noqa: PLR2004
        return Added(differences[0], differences[0], differences[0], bare[0])
    low, middle, high = statistics.quantiles(differences, n=4, method="inclusive")
    return Added(middle, low, high, statistics.median(bare))


@contextlib.contextmanager
def _workers(python: Path, which: list[tuple[str, str]]) -> Iterator[dict[tuple[str, str], Worker]]:
    started: dict[tuple[str, str], Worker] = {}
    try:
        for key in which:
            started[key] = Worker(python, *key)
        yield started
    finally:
        for worker in started.values():
            worker.close()
