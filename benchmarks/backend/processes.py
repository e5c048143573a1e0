"""What a process has used so far, as Linux keeps account of it in /proc, and what a command used when it ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = str(Path(sys.executable).parent / "otel-llm-routing")
BENCHMARKS = Path(__file__).parent.parent
TICK = os.sysconf("SC_CLK_TCK")
"""Of a second; source: proc_pid_stat(5)."""
USER, SYSTEM = 11, 12
"""Places in /proc/PID/stat after the name, which is in brackets and may contain anything."""


class FailedError(Exception):
    """A program that did not do what was measured; the message has what it said."""


class Used(NamedTuple):
    """What a command took."""

    seconds: float
    cpu: float
    """Seconds, in all threads."""
    peak: int
    """Bytes that were resident at most."""


def cpu(pid: int) -> float:
    """Return the CPU time of a process that runs, in seconds; it advances by hundredths."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[USER]) + int(fields[SYSTEM])) / TICK


def resident(pid: int) -> int:
    """Return the resident memory of a process that runs, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    msg = f"process {pid} has ended"
    raise FailedError(msg)


def run(command: Sequence[str], folder: Path, output: Path, *, allowed: tuple[int, ...] = (0,)) -> Used:
    """Run ``command`` to its end, what it prints in ``output``. Raises ``FailedError`` for an unexpected exit code."""
    errors = output.with_suffix(".errors")
    done = subprocess.run(
        [sys.executable, "-m", "backend.launcher", str(output), str(errors), *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    if found["code"] not in allowed:
        said = errors.read_text("utf-8", "replace").strip().splitlines()
        msg = f"{' '.join(command[:2])} ended with {found['code']}: {said[-1] if said else 'it said nothing'}"
        raise FailedError(msg)
    return Used(found["seconds"], found["cpu"], found["peak"])
