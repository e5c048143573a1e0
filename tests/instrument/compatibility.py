"""Collects, for ``--compatibility FILE``, what the conformance suite found of each SDK; ``tools`` makes a page of it.

Written is a JSON list of ``{distribution, version, label, modes, streams, passed, failed, evidence, stream_evidence,
not_visible, python}``, one entry a driver.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path


class Compatibility:
    """A pytest plugin; under xdist the reports of all workers arrive here."""

    def __init__(self, file):
        self.file = Path(file)
        self.found = {}

    def pytest_runtest_logreport(self, report):
        said = dict(report.user_properties)
        if "label" not in said or (report.when != "call" and report.outcome == "passed"):
            return
        key = (said["distribution"], said["label"])
        entry = self.found.setdefault(
            key,
            {
                "distribution": said["distribution"],
                "version": importlib.metadata.version(said["distribution"]),
                "label": said["label"],
                "not_visible": said["not_visible"],
                "python": platform.python_version(),
                "modes": [],
                "streams": False,
                "passed": 0,
                "failed": 0,
                "evidence": None,
                "stream_evidence": None,
            },
        )
        if report.outcome in ("passed", "failed"):
            entry[report.outcome] += 1
        if report.outcome == "passed":
            mode = said.get("mode")
            if mode is not None and mode not in entry["modes"]:
                entry["modes"] = sorted({*entry["modes"], mode}, reverse=True)
            for name in ("evidence", "stream_evidence"):
                entry[name] = said.get(name, entry[name])
            entry["streams"] = entry["stream_evidence"] is not None

    def pytest_sessionfinish(self, session):
        if hasattr(session.config, "workerinput"):
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(list(self.found.values()), indent=1) + "\n", "utf-8")
