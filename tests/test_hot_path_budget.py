"""What instrumenting costs stays within what was agreed, as far as a shared machine can tell."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from overhead import contenders, instructions, measure, tables

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"


def run(module, *arguments):
    ended = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=measure.environment(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.timeout(400)
def test_a_call_takes_no_more_instructions_than_agreed():
    if why := instructions.impossible():
        pytest.skip(why)
    budget = instructions.budget()
    if budget is None:
        pytest.skip(f"no budget is agreed for Python {sys.version_info.major}.{sys.version_info.minor}")
    counted = instructions.count()
    assert budget.keys() < counted.keys()
    assert min(counted.values()) > 0
    assert instructions.over(counted, budget) == [], instructions.BUDGET.read_text("utf-8")


def test_a_count_beyond_the_margin_is_told_by_name():
    most = {"chat": 600_000, "chunk": 3_000}
    assert instructions.over({"chat": 690_000, "chunk": 3_400}, most) == []
    assert instructions.over({"chat": 760_000, "chunk": 3_600}, most) == [
        "chat: 760,000 instructions, 27% beyond the budget of 600,000",
        "chunk: 3,600 instructions, 20% beyond the budget of 3,000",
    ]


def test_a_measuring_process_has_no_switch_of_whoever_starts_it(monkeypatch):
    for name in ("ANTHROPIC_OPEN_TELEMETRY", "OTEL_SDK_DISABLED", "LOGFIRE_SEND_TO_LOGFIRE", "PYTHONMALLOC"):
        monkeypatch.setenv(name, "false")
    assert "false" not in measure.environment().values()


def test_switching_on_imports_no_sdk():
    assert run("overhead.startup", "ours", "nothing")["imported"] == []


def test_memory_does_not_grow_with_calls_or_with_abandoned_streams():
    grown = run("overhead.soak", "ours", 800, 80)
    assert grown["chat"] < 4 << 20, grown
    assert grown["abandoned"] < 4 << 20, grown


def test_every_contender_can_be_switched_on_and_every_table_has_a_place():
    from overhead.instrumentations import SWITCH_ON

    assert set(SWITCH_ON) == {contenders.BARE, *(contender.key for contender in contenders.EVERY)}
    assert tables.PLACES.lacking(PAGE) == ""


def test_what_was_not_measured_is_named_and_the_rest_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    measured = tables.Measured(machine="one", command="make bench", rounds=2, failed={"openlit": "it does not install"})
    for workload in measure.CALLS:
        for key in ("floor", "ours"):
            measured.added[key, "exporting", workload] = measure.Added(81.4, 70, 90, 800)
    tables.PLACES.write(page, tables.tables(measured))
    written = page.read_text("utf-8")
    assert "Not measured: OpenLIT: it does not install." in written
    assert "| **otel-llm-routing** | 81 (70 to 90) |" in written
    places = r"(?m)^<!-- measured.*\n(?:.+\n)*"
    assert re.sub(places, "", written) == re.sub(places, "", PAGE.read_text("utf-8"))


def test_what_was_counted_of_each_is_compared_with_the_least_of_the_others():
    added = {"ours": {"chat": 500.0}, "openlit": {"chat": 2_000.0}, "genai": {"chat": 1_000.0}}
    counts = tables.Counts(added=added, failed={"logfire": "it does not install"})
    compared = tables.counted(counts)["compared"]
    assert compared.splitlines()[-2:] == [
        "| otel-llm-routing, of the least of the other libraries | 50% |",
        "Not measured: Logfire: it does not install.",
    ]
    assert "| OpenLIT | 2,000 |" in compared


def test_what_cannot_be_counted_is_said_in_the_tables_place():
    said = tables.counted(tables.Counts(failed={"instructions": "valgrind is not installed"}))
    assert said == dict.fromkeys(("counted", "compared"), "Not measured: instructions: valgrind is not installed.")


def test_a_page_without_a_place_for_a_table_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# No markers\n", "utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "overhead", "--quick", "--write", page],
        env=measure.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "no place for added" in " ".join(ended.stderr.split())
    assert page.read_text("utf-8") == "# No markers\n"
