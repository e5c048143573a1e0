"""The commands that read a past: what each takes, as a process of its own."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from backend.past import DATABASE, REFERENCE
from backend.processes import COMMAND, FailedError, Used, run

if TYPE_CHECKING:
    from pathlib import Path

    from backend.past import Past

REPORT = "report, all days"
"""Whose JSON says how many requests were read."""


def commands(past: Past, days: int) -> dict[str, list[str]]:
    """Return the commands that are measured, by what the table calls them."""
    end = _back(past, 0)
    source = ["--source", f"sqlite:{DATABASE}"]
    pin = ["reference", "pin", *source, "--reason", "benchmark", "--days", str(days), "--until", end]
    return {
        "report, a day": ["report", *source, "--since", _back(past, 1), "--until", end, "--format", "json"],
        REPORT: ["report", *source, "--since", _back(past, days), "--until", end, "--format", "json"],
        "check": ["check", *source, "--at", end, "--json"],
        "backtest": ["backtest", *source, "--at", end, "--days", str(days), "--json"],
        "reference pin": [*pin, "--output", f"new-{REFERENCE}"],
    }


def measure(folder: Path, name: str, arguments: list[str], past: Past) -> Used:
    """Run one of the commands in ``folder``. Raises ``FailedError`` where it fails, or did not read every request."""
    output = folder / f"{name.replace(', ', '-').replace(' ', '-')}.out"
    # check says with 1 that an alert fires.
    used = run([COMMAND, *arguments], folder, output, allowed=(0, 1) if name == "check" else (0,))
    if name == REPORT:
        read = sum(surface["requests"] for surface in json.loads(output.read_bytes())["surfaces"])
        if read != past.requests:
            msg = f"{name} counts {read:,} requests of {past.requests:,}"
            raise FailedError(msg)
    return used


def _back(past: Past, days: int) -> str:
    return datetime.fromtimestamp(past.end - 86_400 * days, timezone.utc).strftime("%Y-%m-%dT%H:%M")
