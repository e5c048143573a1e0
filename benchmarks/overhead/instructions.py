"""The instructions that a call takes, and the budget that they are held to: ``python -m overhead.instructions``.

Times differ from run to run; instructions, under valgrind, with hashing fixed and nothing collected in between, hardly.
They depend on how Python was built and on the versions of what is called, so a budget is kept for each minor version of
Python, and says what it was counted with.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

from overhead import compared
from overhead.callgrind import MACHINES
from overhead.counted import CALLS
from overhead.environments import SHOWN
from overhead.measure import BENCHMARKS, run

BUDGET = BENCHMARKS / "budget.json"
MARGIN = 0.15
"""What a count may be above its budget: the SDKs make random identifiers, so that two runs differ by 2 %."""
BUDGETED = ("no-op chat", "chat", "messages", "chunk")
NOISE = 10_000
"""By which two runs may differ, of the seven million of a call; what a chunk takes is counted without the SDK."""
_NAME = re.compile(r"(?m)^desc: Trigger: Client Request: (.+)$")
_TOTAL = re.compile(r"(?m)^totals: (\d+)$")


def impossible() -> str:
    """Return why nothing can be counted here; empty where it can."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if platform.machine() not in MACHINES:
        return f"valgrind cannot be told what to count on {platform.machine()}"
    return ""


def count() -> dict[str, float]:
    """Return the instructions that instrumenting adds to a call, or to a chunk of a stream, by what is counted."""
    found = _counts(Path(sys.executable), CALLS, "overhead.counted")
    return {
        "no-op chat": found["ours no-op chat"] - found["bare no-op chat"],
        "chat": found["ours exporting chat"] - found["bare exporting chat"],
        "messages": found["ours exporting messages"] - found["bare exporting messages"],
        "chunk": found["ours exporting chunks"] - found["bare exporting chunks"],
        "sdk chat": found["sdk exporting handed"],
        "floor chat": found["floor exporting chat"] - found["bare exporting chat"],
        "floor messages": found["floor exporting messages"] - found["bare exporting messages"],
    }


def compare(python: Path, contender: str) -> dict[str, float]:
    """Return the instructions that ``contender`` adds to a call, in the environment of ``python``, by workload."""
    found = _counts(python, compared.CALLS, "overhead.compared", contender)
    return {workload: found[f"{contender} {workload}"] - found[f"bare {workload}"] for workload in compared.CALLS}


def _counts(python: Path, calls: dict[str, int], *module: str) -> dict[str, float]:
    """Return what each counted workload takes for one of its ``calls``. Raises ``FailedError``."""
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        run(
            *("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={name}/out"),
            *(python, "-m", *module),
            PYTHONHASHSEED="0",
        )
        dumps = [path.read_text("utf-8") for path in Path(name).glob("out.*")]
    found = {}
    for dump in dumps:
        said, total = _NAME.search(dump), _TOTAL.search(dump)
        if said is not None and total is not None:
            found[said[1]] = int(total[1]) / calls[said[1].rpartition(" ")[2]]
    return found


def budget() -> dict[str, int] | None:
    """Return the budget of this minor version of Python; None where none has been agreed."""
    entry = json.loads(BUDGET.read_text("utf-8"))["python"].get(_python())
    return None if entry is None else dict(entry["instructions"])


def over(counted: dict[str, float], budgeted: dict[str, int]) -> list[str]:
    """Say of each count that is above its budget by more than the margin by how much."""
    return [
        f"{name}: {counted[name]:,.0f} instructions, {counted[name] / most - 1:.0%} beyond the budget of {most:,}"
        for name, most in budgeted.items()
        if counted[name] > most * (1 + MARGIN) + (0 if name == "chunk" else NOISE)
    ]


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def main() -> int:
    """Count, print, and write the budget anew where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {BUDGET.name}: a change of the budget is reviewed")
    options = parser.parse_args()
    if why := impossible():
        print(f"instructions: {why}", file=sys.stderr)
        return 2
    counted = count()
    print(json.dumps({name: round(number) for name, number in counted.items()}, indent=2))
    if options.write:
        content = json.loads(BUDGET.read_text("utf-8")) if BUDGET.exists() else {"python": {}}
        content["about"] = "Instructions that otel-llm-routing adds: python -m overhead.instructions --write"
        content["python"][_python()] = {
            "counted_with": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in SHOWN},
            },
            "instructions": {name: int(round(counted[name], -2)) for name in BUDGETED},
        }
        BUDGET.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
