"""The detection page says what the rules do: its numbers are those of the table that they are made from."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path

import pytest

from otel_llm_routing.analyze import noise
from otel_llm_routing.generate.growth import SETTLE
from otel_llm_routing.policy import thresholds
from otel_llm_routing.policy.against_reference import WOBBLES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "detection.md").read_text("utf-8")
TABLE = json.loads((ROOT / "src/otel_llm_routing/policy/thresholds.json").read_text("utf-8"))
FLAT = re.sub(r"\s+", " ", PAGE)


def rows(first):
    """The cells of the table whose first heading is ``first``, by the first cell of each line."""
    lines = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return cells[0], cells[2:]


def in_words(seconds):
    return "0" if not seconds else f"{seconds // 3600}h" if seconds % 3600 == 0 else f"{seconds // 60}m"


def alert_rows():
    """Yield (alert, window, condition, holds, goes on); the line about two bands stands for two."""
    bands = []
    for name, condition, holds, goes_on in rows("alert")[1]:
        named = re.findall(r"`(\w+)`", name) or bands
        bands = named if len(named) > 1 else bands
        window = re.search(r"in (\d+\w)", name)
        shift = re.match(r"J_(\w+) >", condition)
        for alert in named:
            yield alert, (window or shift or [None, ""])[1], condition, holds, goes_on


def test_every_alert_is_there_once_with_how_long_it_holds_and_goes_on():
    said = {(alert, window): (holds, goes_on) for alert, window, _, holds, goes_on in alert_rows()}
    assert said == {key: (in_words(rule.hold), in_words(rule.keep)) for key, rule in thresholds.ALERTS.items()}


@pytest.mark.parametrize("rule", thresholds.SHIFT_RULES, ids=lambda rule: rule.alert)
def test_the_conditions_of_shifts_are_those_of_the_rules(rule):
    condition = next(c for alert, _, c, *_ in alert_rows() if alert == rule.alert)
    above = f" + {rule.above_threshold:g}" if rule.above_threshold else ""
    assert condition == f"J_{rule.window.name} > L{above} and moved ≥ {rule.points:g} points"


def test_the_budgets_are_those_that_policies_are_read_with():
    budgets = TABLE["false_alarms_per_month"]
    _, lines = rows("L")
    assert [(float(line[0]), float(line[1]), float(line[3])) for line in lines] == list(
        zip(budgets["thresholds"], budgets["mild"], budgets["rough"], strict=True)
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "within the window: " + ", ".join(f"{name} {w.factor:g}" for name, w in thresholds.WINDOWS.items()),
        f"L is {thresholds.DEFAULT_THRESHOLD:g}; {TABLE['short_reference_threshold']:g} at least while",
        f"the reference holds fewer than {thresholds.FULL_DAYS} days.",
        f"φ₅ is φ, at most {thresholds.MODEL_DESIGN_EFFECT:g}.",
        f"(c_24h + ½)/φ₅ ≥ {thresholds.NEW_REQUESTS:g}, S_24h ≥ {thresholds.NEW_SHARE * 100:g} %",
        f"p ≥ {thresholds.VANISHED_SHARE * 100:g} % and n_W·p/φ₅ > {thresholds.VANISHED_EXPECTED:g}; W = 6h or 7d",
        f"and B_1h > {thresholds.BAND_THRESHOLD:g}",
        f"(φ/n_W + 1/{thresholds.BAND_CONCENTRATION:g})",
        f"or {thresholds.BAND_DESIGN_EFFECT:g} without a reference",
        f"than {WOBBLES}·√(p(1−p)/m) is refused",  # noqa: RUF001  (as the page writes it)
        f"at least {thresholds.LEAST_UNKNOWN:g} unknown",
        f"N_24h = 0 where Σ d/φ₅ ≥ {thresholds.SILENT_REQUESTS:g}, or N_6h = 0",
        f"where it was > {thresholds.SILENT_REQUESTS * thresholds.MODEL_DESIGN_EFFECT:g} a week ago",
        f"n_7d ≥ {thresholds.NO_REFERENCE_REQUESTS:g} and",
        f"more than {thresholds.UNKNOWN_SURFACE_LIMIT * 100:g} % of all requests",
        f"`rough` where m < {TABLE['rough_below_concentration']}",
        f"{SETTLE} s in which late samples settle",
        f"of {thresholds.SLICE // 60} minutes",
        "of 1 h, else 6 h, else 24 h" if noise.BLOCKS == (1, 6, 24) else "other blocks",
        f"that hold {noise.LEAST_PER_BLOCK} requests on average",
        f"give {noise.LEAST_PAIRS} pairs",
        f"kept within {noise.DESIGN_EFFECT[0]:g} and {noise.DESIGN_EFFECT[1]:g}",
        f"m kept within {noise.CONCENTRATION[0]:g} and {noise.CONCENTRATION[1]:g}",
        f"v_d = n_d/(n_d + {noise.PRIOR_CONCENTRATION:g}φ)",
        f"1/m = {noise.SHRINK:g} · (V·u + {noise.PRIOR_DAYS}/{noise.PRIOR_CONCENTRATION:g}) / (V + {noise.PRIOR_DAYS})",
    ],
)
def test_a_number_of_the_page_is_that_of_the_code(sentence):
    assert sentence in FLAT


def test_the_example_is_true():
    found = doctest.testfile(str(ROOT / "docs" / "detection.md"), module_relative=False, encoding="utf-8")
    assert found.failed == 0
    assert found.attempted == 5


def test_the_page_is_short_enough_to_be_read():
    assert len(PAGE.splitlines()) <= 200
    for line in re.sub(r"(?m)^(<!-- simulated.*\n(?:.+\n)*|\|.*)", "", PAGE).splitlines():
        assert len(line) <= 120, line
