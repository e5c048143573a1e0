"""``make demo`` for each scenario: it reports what the provider knows it served, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = str(Path(__file__).parent.parent / "examples")


def demo(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "demo", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": EXAMPLES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running(mark):
    """The command lines of processes that were started for a demo whose folder has this name."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            line = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in line:
            found.append(line[:200])
    return found


@pytest.mark.parametrize(
    ("scenario", "shifted"),
    [
        ("relax", {"autocomplete"}),
        ("pool-swap", {"autocomplete", "chart-tooltip", "long-form-draft"}),
        ("steady", set()),
    ],
)
def test_what_is_reported_is_what_the_provider_served(tmp_path, monkeypatch, scenario, shifted):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    report = tmp_path / "report.json"
    process = demo("--scenario", scenario, "--requests", 250, "--json", report)
    out, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    document = json.loads(report.read_text())
    assert {s["surface"] for s in document["shifts"]} == shifted
    assert document["agrees"] is True
    for half, served in enumerate(document["served"]):
        assert len(served) == sum(document["requests"][half].values()) == 250
        truth = Counter(model for _, model in served)
        measured = Counter()
        for surface, shares in document["measured"][half].items():
            for model, share in shares.items():
                measured[model] += round(share * document["requests"][half][surface])
        assert measured == truth
    assert "page      http://127.0.0.1:" in out
    assert running(str(tmp_path)) == []
    assert list(tmp_path.glob("llm-routing-demo-*")) == []


def test_ctrl_c_is_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = demo("--requests", 5000)
    assert process.stdout.readline().startswith("page")
    time.sleep(2)  # somewhere in the middle of the traffic
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert running(str(tmp_path)) == []
