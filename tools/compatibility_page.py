"""Write docs/compatibility.md from what the conformance suite found of each SDK: ``make compat`` calls it.

``python tools/compatibility_page.py DIRECTORY`` reads the ``NAME-NUMBER.json`` files that the session ``sdk`` left.
An environment of tests/instrument/supported.json whose file is missing is an error: the table is of what ran.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SUPPORTED = ROOT / "tests" / "instrument" / "supported.json"
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- begin: written by make compat -->", "<!-- end -->"


def main() -> None:
    """Read what was found, and replace the table in the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    supported = json.loads(SUPPORTED.read_text("utf-8"))["sdks"]
    missing = [
        f"{name}-{number}"
        for name, entry in supported.items()
        for number in range(len(entry["environments"]))
        if not (directory / f"{name}-{number}.json").exists()
    ]
    if missing:
        sys.exit(f"{directory} has no results of {', '.join(missing)}; run make compat SESSIONS=sdk")
    rows, failed = [], []
    for name, entry in supported.items():
        by_call: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for number in range(len(entry["environments"])):
            for found in json.loads((directory / f"{name}-{number}.json").read_text("utf-8")):
                if found["failed"]:
                    failed.append(f"{found['distribution']} {found['version']} {found['label']}")
                if found["evidence"] or found["stream_evidence"]:  # else this version has no such call
                    by_call.setdefault((found["distribution"], found["label"]), []).append(found)
        rows += [row(*call, versions) for call, versions in by_call.items()]
    if failed:
        sys.exit(f"not written, as tests failed: {', '.join(failed)}")
    table = "\n".join(
        (
            "| SDK | call | versions tested | sync, async | streams | served model from | rules | not visible |",
            "|---|---|---|---|---|---|---:|---|",
            *rows,
        )
    )
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        sys.exit(f"{PAGE} has no lines {BEGIN} and {END}")
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")


def row(distribution: str, label: str, versions: list[dict[str, Any]]) -> str:
    """Return the table's row of one call, whose ``versions`` are given oldest first."""
    newest = versions[-1]
    tested = ", ".join(dict.fromkeys(found["version"] for found in versions))
    evidence = newest["evidence"] or newest["stream_evidence"]
    if newest["stream_evidence"] not in (None, evidence):
        evidence += f", streams {newest['stream_evidence']}"
    cells = (
        distribution,
        f"`{label}`",
        tested,
        ", ".join(newest["modes"]),
        "yes" if newest["streams"] else "no",
        evidence,
        str(newest["passed"]),
        newest["not_visible"],
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
