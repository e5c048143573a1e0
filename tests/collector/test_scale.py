"""Pods that come and go: their counts are the truth, and series are as many as the arithmetic says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from collectors import validate, written
from rich.console import Console
from scale.__main__ import AGGREGATION, run
from scale.series import Stream, series

pytestmark = pytest.mark.timeout(600)

PODS = 60
PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
FILTER, AGGREGATING = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL))


def quiet():
    return Console(quiet=True)


def test_a_store_that_holds_every_pod_by_itself_has_as_many_series_as_arithmetic_says_and_counts_every_call(tmp_path):
    found = run(tmp_path, PODS, 4, "prometheus", quiet())
    assert found.calls >= 2 * PODS
    assert found.counted == found.truth
    assert found.ruled == found.truth
    assert found.held == found.expected


def test_a_store_that_adds_pods_up_as_they_arrive_counts_every_call_with_series_of_one_process(tmp_path):
    found = run(tmp_path, PODS, 4, "victoriametrics", quiet())
    assert found.counted == found.truth
    assert found.ruled == found.truth
    pairs = len(found.truth)
    most = series(Stream("all", *pair, "model", True, True) for pair in found.truth)
    assert pairs * 30 < found.held <= most < found.expected / 5


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ([], 0),
        ([Stream("a", "s", "m", "x", False, False)], 1 + 13 + 15 + 1),
        ([Stream("a", "s", "m", "x", True, True)], 1 + 13 + 15 + 15 + 2 + 1),
        ([Stream("a", "s", "m", "x", True, False), Stream("a", "s", "m", "x", False, True)], 1 + 13 + 15 + 15 + 2 + 1),
        ([Stream(p, "s", "m", "x", False, True) for p in "abc"], 3 * (1 + 13 + 15 + 2 + 1)),
    ],
)
def test_series_of_a_process(streams, expected):
    assert series(streams) == expected


def test_the_page_has_the_aggregation_that_is_measured():
    assert yaml.safe_load(AGGREGATION.read_text())[:1] == AGGREGATING


def test_the_pages_series_of_a_fleet_are_those_of_the_arithmetic():
    pairs = [Stream("a", "s", "m", str(number), True, True) for number in range(10)]
    each = series(pairs)
    rows = dict(
        re.findall(r"^\| ([\d,]+) (?:process|pods) \| 10 \| ([\d,]+) \| [\d,]+ \|$", PAGE.read_text(), re.MULTILINE)
    )
    assert {number.replace(",", ""): made for number, made in rows.items()} == {
        str(pods): f"{pods * each:,}" for pods in (1, 20, 300, 2000)
    }


def test_a_collector_takes_the_pages_filter(tmp_path):
    agent = written(tmp_path / "config") / "agent.yaml"
    config = yaml.safe_load(agent.read_text())
    config["processors"] |= FILTER["processors"]
    config["service"]["pipelines"]["metrics"]["processors"].append(*FILTER["processors"])
    agent.write_text(yaml.safe_dump(config))
    assert validate(agent) == (0, "")
