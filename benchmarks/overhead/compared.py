"""What each contender is counted with, inside valgrind, in its own environment: see ``instructions.py``."""

from __future__ import annotations

import sys

from overhead import instrumentations, telemetry, workloads
from overhead.callgrind import Callgrind
from overhead.counted import count

CALLS = {"chat": 32, "responses": 32, "messages": 32}
"""As many as a batch of the queue in which our finished calls wait, so that each has its share of its work."""


def main() -> None:
    """Count each workload bare and with the contender, by clients that are made after it is switched on."""
    contender = sys.argv[1]
    callgrind = Callgrind()
    telemetry.set_up("exporting", threads=False)
    for name in ("bare", contender):
        instrumentations.SWITCH_ON[name]()
        found = workloads.openai_workloads() | workloads.anthropic_workloads()
        for workload, calls in CALLS.items():
            count(callgrind, f"{name} {workload}", found[workload], calls)


if __name__ == "__main__":
    main()
