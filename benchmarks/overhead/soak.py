"""Whether memory stays what it is over many calls, and over streams that are abandoned. Prints one line of JSON."""

from __future__ import annotations

import gc
import json
import sys

from overhead import instrumentations, telemetry, workloads
from overhead.resident import resident


def main() -> None:
    """Make ``calls`` calls and abandon ``streams`` streams, after a tenth as many that are not counted."""
    contender, calls, streams = sys.argv[1], *map(int, sys.argv[2:])
    telemetry.set_up("exporting")
    instrumentations.SWITCH_ON[contender]()
    found = workloads.openai_workloads()
    grown = {}
    for name, number in (("chat", calls), ("abandoned", streams)):
        found[name](max(number // 10, 1))
        gc.collect()
        before = resident()
        found[name](number)
        gc.collect()
        grown[name] = resident() - before
    print(json.dumps(grown))


if __name__ == "__main__":
    main()
