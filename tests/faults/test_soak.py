"""A short soak; ``make soak`` is the long one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_streams_left_in_every_way_are_all_counted_and_leave_nothing_behind():
    pytest.importorskip("openai")
    command = [
        sys.executable,
        Path(__file__).with_name("soak.py"),
        "--seconds",
        "8",
        "--tasks",
        "120",
        "--threads",
        "12",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    calls, rounds = map(int, re.search(r"(\d+) calls, (\d+) rounds", done.stdout).groups())
    assert calls == rounds * (120 + 2 * 12)
    assert rounds >= 6
