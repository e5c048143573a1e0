"""Runs what is beside another instrumentation in a process of its own, since some cannot be taken off again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(script, *arguments, timeout=60):
    """Return what ``script``, of this folder, prints last, as JSON: what each of its calls made."""
    path = os.pathsep.join([str(HERE), str(HERE.parent.parent / "examples")])
    done = subprocess.run(
        [sys.executable, HERE / script, *arguments],
        env={**os.environ, "PYTHONPATH": path, "ANTHROPIC_OPEN_TELEMETRY": "false"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "detach" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])
