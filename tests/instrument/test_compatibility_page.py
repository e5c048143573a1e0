"""docs/compatibility.md says what ``make compat`` found, of every SDK that is hooked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from otel_llm_routing.instrument.adapters import SDKS

ROOT = Path(__file__).parents[2]
SUPPORTED = json.loads((ROOT / "tests" / "instrument" / "supported.json").read_text("utf-8"))["sdks"]
PAGE = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| [\w-]+ \| `", line)
]


@pytest.mark.parametrize("name", sorted({sdk.name for sdk in SDKS}))
def test_an_sdk_that_is_hooked_is_tested_and_in_the_table(name):
    assert name in SUPPORTED
    assert name in {row[0] for row in ROWS}
    assert (ROOT / "src/otel_llm_routing/instrument/adapters" / f"{adapter_of(name)}.py").exists()


def adapter_of(name):
    return next(sdk.adapter for sdk in SDKS if sdk.name == name)


@pytest.mark.parametrize("name", SUPPORTED)
def test_what_is_said_to_be_tested_exists(name):
    entry = SUPPORTED[name]
    assert entry["environments"]
    for test in entry["tests"]:
        assert (ROOT / "tests" / "instrument" / test).exists()


def test_a_row_has_versions_evidence_and_rules_that_passed():
    assert len(ROWS) > 30
    for sdk, call, versions, modes, streams, evidence, rules, _ in ROWS:
        assert re.fullmatch(r"\d[\w.]*(, \d[\w.]*)*", versions), sdk
        assert re.fullmatch(r"(sync|async)(, async)?", modes), call
        assert streams in ("yes", "no")
        assert re.fullmatch(r"(header|trace|body|none)(, streams (header|trace|body|none))?", evidence)
        assert int(rules) > 5, (sdk, call)
