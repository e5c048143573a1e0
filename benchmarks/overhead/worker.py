"""A process that makes calls when it is told to, and says what they cost; it runs in a contender's environment.

It is started with the contender and the telemetry as arguments. Each line it reads names a workload and a number of
calls; each line it writes is the CPU time of this process, in seconds, that those took.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from overhead import instrumentations, telemetry, workloads

WARM = {"chat": 40, "async": 50, "responses": 40, "stream": 3, "short": 20, "messages": 40}
"""Calls that are made before any is timed."""


def main() -> None:
    """Set up, and work until the input ends."""
    contender, mode = sys.argv[1:]
    telemetry.set_up(mode)
    instrumentations.SWITCH_ON[contender]()
    found = workloads.openai_workloads() | workloads.anthropic_workloads()
    for name, calls in WARM.items():
        found[name](calls)
    gc.collect()
    gc.freeze()
    print(json.dumps(sorted(found)), flush=True)
    for line in sys.stdin:
        name, calls = line.split()
        work = found[name]
        began = time.process_time()
        work(int(calls))
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
