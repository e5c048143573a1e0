"""Run a command from a process that is small, and print what it used as JSON.

    python -m backend.launcher OUTPUT ERRORS COMMAND...

A command starts with the peak memory of whoever started it (Linux's ``exec`` keeps it), so it must not be the
benchmark, which holds payloads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Run, and print."""
    began = time.perf_counter()
    with Path(sys.argv[1]).open("wb") as out, Path(sys.argv[2]).open("wb") as err:
        process = subprocess.Popen(sys.argv[3:], stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    found = {
        "code": process.returncode,
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss << 10,  # KiB on Linux, see getrusage(2)
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
