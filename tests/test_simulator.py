"""The simulator runs, and the tables of the detection page are those that it makes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from simulator import measure, shipped, tables, traffic
from simulator.scenarios import CHANGES, MILD, VOLUMES, Case

from otel_llm_routing.analyze import noise

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parent.parent
MEASURED = r"(?m)^<!-- simulated.*\n(?:.+\n)*"
PAGE = ROOT / "docs" / "detection.md"
HUNDRED_AN_HOUR = VOLUMES[2]


def simulate(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "simulator", *map(str, arguments)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT / "benchmarks"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def test_a_quick_run_writes_the_tables_that_the_page_has(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    ended = simulate("--quick", "--processes", 2, "--write", page)
    assert ended.returncode == 0, ended.stderr
    written = page.read_text("utf-8")
    assert dict(tables.headings(written)) == dict(tables.headings(PAGE.read_text("utf-8")))
    assert "2 surface-months a figure" in written
    assert re.sub(MEASURED, "", written) == re.sub(MEASURED, "", PAGE.read_text("utf-8"))


def test_the_committed_figures_are_of_a_full_run():
    months = re.search(r"`make simulate`, seed \d+, ([\d,]+) surface-months a figure", PAGE.read_text("utf-8"))
    assert months is not None
    assert int(months[1].replace(",", "")) >= 533


def test_the_page_has_every_table_once():
    assert sorted(tables.NAMES) == sorted(name for name, _ in tables.headings(PAGE.read_text("utf-8")))


def test_a_page_without_a_place_for_a_table_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# No markers\n", "utf-8")
    ended = simulate("--quick", "--write", page)
    assert ended.returncode == 2
    assert "no place for by, daily, delays" in ended.stderr
    assert page.read_text("utf-8") == "# No markers\n"


@pytest.mark.parametrize("volume", VOLUMES, ids=lambda volume: volume.name)
def test_traffic_has_the_volume_and_the_mix_it_is_named_for(volume):
    counts = traffic.steady(np.random.default_rng(3), 10, volume, MILD)
    assert counts.sum() / 10 / 56 == pytest.approx(volume.per_day, rel=0.1)
    shares = counts.sum(axis=(0, 1)) / counts.sum()
    assert shares[0] == pytest.approx((0.83 + 0.83 + 0.5 + 0.7 + 0.58) / 5, abs=0.05)


@pytest.mark.parametrize("phi", [1, 3, 5])
def test_sessions_have_the_design_effect_they_are_named_for(phi):
    counts = traffic.steady(np.random.default_rng(4), 20, HUNDRED_AN_HOUR, Case("", session=(phi + 1) / 2))
    hours = counts.reshape(20, -1, 12, counts.shape[2]).sum(axis=2)
    assert np.mean([noise.estimate(of[:672]).design_effect for of in hours]) == pytest.approx(phi, rel=0.12)


def test_days_that_are_alike_are_no_more_restless_than_others():
    def days(alike):
        rng = np.random.default_rng(5)
        counts = traffic.steady(rng, 40, VOLUMES[3], Case("", alike=alike))
        daily = counts.reshape(40, -1, 288, counts.shape[2]).sum(axis=2)
        return (daily[..., 0] / daily.sum(axis=2))[[n for n in range(40) if n % 5 < 2]]  # of the first mix

    plain, alike = days(0.0), days(0.7)
    assert alike.var() == pytest.approx(plain.var(), rel=0.25)

    def correlation(shares):
        return np.corrcoef(shares[:, :-1].ravel() - 0.83, shares[:, 1:].ravel() - 0.83)[0, 1]

    assert correlation(plain) == pytest.approx(0, abs=0.1)
    assert correlation(alike) == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_begins_at_its_onset_and_ends_at_its_share(change):
    counts, onset = traffic.shifted(np.random.default_rng(6), 30, HUNDRED_AN_HOUR, MILD, change)
    before = sum(of[:at].sum(axis=0) for of, at in zip(counts, onset, strict=True))
    assert (before / before.sum()).tolist() == pytest.approx([0.83, 0.12, 0.05, 0], abs=0.01)
    ramp = int(change.ramp * traffic.DAY)
    after = sum(of[at + ramp :].sum(axis=0) for of, at in zip(counts, onset, strict=True))
    assert after[change.model] / after.sum() == pytest.approx(change.share, abs=0.015)


def test_what_fires_in_the_month_is_what_changed_in_it():
    rng = np.random.default_rng(7)
    counts, onset = traffic.shifted(rng, 10, HUNDRED_AN_HOUR, MILD, CHANGES[6])
    fired = shipped.firing(counts, shipped.watched(counts))
    for of, at in zip(fired, onset - traffic.BEGIN, strict=True):
        assert not any(fires[:at].any() for fires in of.values())
        assert of["LLMRoutingNewServedModel"][at : at + 24].any()
        assert of["LLMRoutingServedModelVanished"].any()


def test_the_same_seed_gives_the_same_figures():
    piece = measure.pieces(2, seed=9)[0]
    assert measure.run(piece) == measure.run(piece)
    assert measure.run(piece).piece.volume.name == "20/day"
