"""A simulated month in a real Prometheus: rules fire where something changed and nowhere else, as their twin says."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import backfill
import components
import numpy as np
import pytest
import simulation
from simulation import DAY, SLICE, SLICES, Change, Stream
from typer.testing import CliRunner

from otel_llm_routing.analyze import verdicts
from otel_llm_routing.analyze.history import History, Known, Unknown
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.cli.app import app
from otel_llm_routing.generate.prometheus import rule_file, rule_groups
from otel_llm_routing.policy import loading, reference
from otel_llm_routing.policy.plan import plan

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
NEWCOMER = "gemini-3-flash-001"
AUTO = "openrouter/auto"
MIX = {SONNET: 0.83, HAIKU: 0.12, MINI: 0.05}
REFERENCE_DAYS, DAYS = 28, 28
BEGIN = REFERENCE_DAYS
"""The day that the month begins; the reference is pinned from the days before."""

STREAMS = (
    Stream("calm", AUTO, MIX, 4000, session=2),
    Stream("calm-and-small", AUTO, {SONNET: 0.7, MINI: 0.3}, 120, session=3),
    Stream("jumps", AUTO, MIX, 2400, session=2, changes=(Change(BEGIN + 10, {SONNET: 0.65, HAIKU: 0.3, MINI: 0.05}),)),
    Stream("swapped", AUTO, MIX, 2400, changes=(Change(BEGIN + 12.5, {MINI: 0.83, HAIKU: 0.12, SONNET: 0.05}),)),
    Stream(
        "creeps", AUTO, {SONNET: 0.95, HAIKU: 0.05}, 2400, changes=(Change(BEGIN + 9, {SONNET: 0.85, HAIKU: 0.15}, 14),)
    ),
    Stream("gains-one", AUTO, MIX, 2400, changes=(Change(BEGIN + 14, {**MIX, NEWCOMER: 0.02}),)),
    Stream("loses-one", AUTO, MIX, 4800, changes=(Change(BEGIN + 14, {SONNET: 0.88, HAIKU: 0.12}),)),
    Stream("banded", AUTO, {SONNET: 0.8, HAIKU: 0.2}, 4800, changes=(Change(BEGIN + 20, {SONNET: 0.3, HAIKU: 0.7}),)),
    Stream(
        "pinned",
        SONNET,
        {SONNET: 1.0},
        1200,
        kind="pinned",
        changes=(Change(BEGIN + 18, {SONNET: 0.97, MINI: 0.03}, until=BEGIN + 19),),
    ),
    Stream("loses-its-tongue", AUTO, MIX, 2400, unreported=0.01, unreported_from=(BEGIN + 16, 0.2)),
    Stream("falls-silent", AUTO, MIX, 2400, silent=((BEGIN + 20.5, BEGIN + 22.5),)),
    Stream("unpinned", "gpt-5", {"gpt-5-2025-08-07": 1.0}, 600, kind="alias"),
)
LATE = (
    Stream("launched-late", AUTO, {SONNET: 1.0}, 2400, silent=((0, BEGIN + 5),)),
    Stream("comes-and-goes", AUTO, {SONNET: 1.0}, 4800, silent=((0, BEGIN + 1), (BEGIN + 15, BEGIN + DAYS))),
)

POLICY = """
version: 1
defaults: {owner: team-platform}
surfaces:
  banded: {uses: {router: openrouter/auto}, expect: {"*haiku*": {max: "40 %"}, "*sonnet*": {min: "40 %"}}}
  pinned: {owner: team-drafts, uses: {pinned: claude-sonnet-4-5-20250929}, customer_facing: false}
  unpinned: {owner: team-drafts, uses: {pinned: gpt-5-2025-08-07}}
  jumps: {uses: {router: openrouter/auto}, severity: ticket}
"""

# What must be raised on each surface, and what may be besides, because it is another view of the same change.
EXPECTED = {
    "calm": (set(), set()),
    "calm-and-small": (set(), set()),
    "jumps": ({"LLMRoutingMixShiftFast", "LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"}, set()),
    "swapped": (
        {"LLMRoutingMixShiftFast", "LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"},
        {"LLMRoutingServedModelVanished"},  # what is left of a model may have no request in a night
    ),
    "creeps": ({"LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"}, {"LLMRoutingMixShiftFast"}),
    "gains-one": ({"LLMRoutingNewServedModel"}, {"LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"}),
    "loses-one": (
        {"LLMRoutingServedModelVanished", "LLMRoutingMixShiftDay", "LLMRoutingMixDriftSlow"},
        {"LLMRoutingMixShiftFast"},
    ),
    "banded": (
        {
            "LLMRoutingShareAboveBand",
            "LLMRoutingShareBelowBand",
            "LLMRoutingMixShiftFast",
            "LLMRoutingMixShiftDay",
            "LLMRoutingMixDriftSlow",
        },
        set(),
    ),
    "pinned": (
        {"LLMRoutingPinViolated", "LLMRoutingNewServedModel"},
        {"LLMRoutingMixShiftDay"},
    ),
    "loses-its-tongue": ({"LLMRoutingServedModelUnknown"}, set()),
    "falls-silent": ({"LLMRoutingSurfaceSilent"}, set()),
    "unpinned": ({"LLMRoutingUnpinnedTraffic"}, set()),
    "launched-late": ({"LLMRoutingNoReference"}, set()),
    "comes-and-goes": ({"LLMRoutingNoReference", "LLMRoutingSurfaceSilent"}, set()),
}
SINCE = {
    "jumps": 10,
    "swapped": 12.5,
    "creeps": 9,
    "gains-one": 14,
    "loses-one": 14,
    "banded": 20,
    "pinned": 18,
    "loses-its-tongue": 16,
    "falls-silent": 20.5,
    "unpinned": 0,
    "launched-late": 5,
    "comes-and-goes": 1,
}
"""The day of the month at which the cause begins."""


class Month(NamedTuple):
    folder: Path
    prometheus: components.Prometheus
    groups: list
    plan: object
    traffic: simulation.Traffic
    start: int
    end: int


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    folder = tmp_path_factory.mktemp("month")
    traffic = simulation.simulate((*STREAMS, *LATE), 1_760_000_000 // DAY * DAY, REFERENCE_DAYS + DAYS, seed=11)
    start = traffic.start + BEGIN * DAY
    counters = folder / "counters.om"
    simulation.openmetrics(traffic, counters)
    backfill.load(folder, counters)
    counters.unlink()
    pinned = folder / "reference.yaml"
    with components.Prometheus(folder) as prometheus:
        ended = CliRunner().invoke(
            app,
            [
                *("reference", "pin", "--source", f"prometheus:{prometheus.url}", "--reason", "the mix is as agreed"),
                *("--until", str(np.datetime64(start, "s")), "-o", str(pinned)),
            ],
        )
        assert ended.exit_code == 0, ended.output
    (folder / "policy.yaml").write_text(POLICY)
    watched = plan(loading.load(folder / "policy.yaml"), reference.load(pinned))
    groups = rule_groups(watched)
    backfill.record(folder, groups, start, traffic.end)
    # Old blocks are not evaluated by themselves: the file is loaded for what it says, and queries ask what it would do.
    rules = folder / "rules.yaml"
    rules.write_text(rule_file(groups))
    with components.Prometheus(folder, [rules], flags=["--query.max-samples=200000000"]) as prometheus:
        yield Month(folder, prometheus, groups, watched, traffic, start, traffic.end)


def alerts(groups):
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def raised(month):
    """When Prometheus says that each condition holds: {(alert, window, surface, requested, served, band): …}."""
    found = {}
    for rule in alerts(month.groups):
        for metric, values in month.prometheus.range(rule["expr"], month.start + SLICE, month.end, SLICE):
            key = (
                rule["alert"],
                rule.get("labels", {}).get("llm_routing_window", ""),
                metric.get("llm_routing_surface", ""),
                metric.get("gen_ai_request_model", ""),
                metric.get("gen_ai_response_model", ""),
                metric.get("llm_routing_band", ""),
            )
            assert key not in found, f"{key} is raised twice at a time, as {metric}"
            found[key] = (metric, values)
    return found


@pytest.fixture(scope="module")
def judged(month):
    """The same by the twin in Python, from the truth of the simulation."""
    history = History(month.start, SLICE, DAYS * SLICES)
    for series, counts in month.traffic.counts.items():
        mine = counts[BEGIN * SLICES :]
        if series.match != "unreported":
            key = Known(series.surface, series.requested, series.served, series.match, series.kind)
            history.known[key] = history.known[key] + mine
        elif not series.error:
            key = Unknown(series.surface, series.requested, series.kind)
            history.unknown[key] = history.unknown[key] + mine
    return {
        (v.alert, v.window, v.surface, v.requested, v.served, v.band): v for v in verdicts.evaluate(history, month.plan)
    }


def test_shares_are_the_truth(month):
    for window, slices in (("1h", 12), ("24h", SLICES), ("7d", 7 * SLICES)):
        shares = month.prometheus.range(f"llm_routing:share:{window}", month.start + 8 * DAY, month.end, DAY // 4)
        assert len(shares) >= len(STREAMS)
        known = defaultdict(lambda: np.zeros(month.traffic.slices))
        for series, counts in month.traffic.counts.items():
            if series.match != "unreported":
                known[series.surface, series.served] += counts
        for metric, values in shares:
            surface = metric["llm_routing_surface"]
            for at, value in values.items():
                last = (at - month.traffic.start) // SLICE
                of = {served: c[last - slices : last].sum() for (s, served), c in known.items() if s == surface}
                if total := sum(of.values()):  # a share stays for some minutes after its window is empty
                    assert value == pytest.approx(of[metric["gen_ai_response_model"]] / total, abs=1e-9)


@pytest.mark.parametrize("surface", EXPECTED)
def test_an_alert_is_raised_where_something_changed_and_nowhere_else(raised, surface):
    must, may = EXPECTED[surface]
    found = {alert for alert, _, name, *_ in raised if name == surface}
    assert must <= found, f"missing: {must - found}"
    assert found <= must | may, f"false alarms: {found - must - may}"


@pytest.mark.parametrize("surface", SINCE)
def test_no_alert_comes_before_its_cause(month, raised, surface):
    first = min(min(values) for (_, _, name, *_), (_, values) in raised.items() if name == surface)
    assert first > month.start + SINCE[surface] * DAY


def test_the_twin_says_the_same_of_every_alert_at_every_slice(month, raised, judged):
    held = {key for key in judged if judged[key].active.any()}
    assert held == set(raised)
    for key, verdict in judged.items():
        times = {month.start + (int(i) + 1) * SLICE for i in np.flatnonzero(verdict.active)}
        metric, values = raised[key]
        assert set(values) == times, (key, len(values), len(times), sorted(set(values) ^ times)[:5])
        for at, value in values.items():
            index = (at - month.start) // SLICE - 1
            assert value == pytest.approx(float(verdict.value[index]), rel=1e-6, abs=1e-9), (key, at)
        assert metric["severity"] in {"page", "ticket", "info"}


def test_owner_and_severity_are_those_of_the_policy(raised):
    by_surface = {name: metric for (_, _, name, *_), (metric, _) in raised.items()}
    assert by_surface["pinned"]["owner"] == "team-drafts"
    assert by_surface["launched-late"]["owner"] == "team-platform"
    fast = {name: m["severity"] for (a, _, name, *_), (m, _) in raised.items() if a == "LLMRoutingMixShiftFast"}
    assert fast["swapped"] == "page"
    assert fast["jumps"] == "ticket"
    violated = next(m for (a, *_), (m, _) in raised.items() if a == "LLMRoutingPinViolated")
    assert violated["severity"] == "ticket"  # customers do not see it


def test_no_rule_is_broken(month):
    for group in month.prometheus.rules():
        for rule in group["rules"]:
            assert rule.get("lastError", "") == "", rule
    assert {rule["alert"] for rule in alerts(month.groups)} == {
        rule["name"] for group in month.prometheus.rules() for rule in group["rules"] if rule["type"] == "alerting"
    }


def test_the_source_reads_the_same_counts(month):
    counted = defaultdict(int)
    for count in open_source(f"prometheus:{month.prometheus.url}").counts(month.start, month.end, 3600):
        counted[count.surface, count.served, count.error] += count.requests
    truth = defaultdict(int)
    for series, counts in month.traffic.counts.items():
        truth[series.surface, series.served, series.error] += int(counts[BEGIN * SLICES :].sum())
    assert {key: value for key, value in truth.items() if value} == dict(counted)


@pytest.mark.parametrize("day", [12.75, 14.5, 18.5, 21, 27])
def test_check_finds_what_fires_at_that_time(month, judged, day):
    at = int(month.start + day * DAY)
    ended = CliRunner().invoke(
        app,
        [
            *("check", "--json", "--source", f"prometheus:{month.prometheus.url}"),
            *("--policy", str(month.folder / "policy.yaml"), "--reference", str(month.folder / "reference.yaml")),
            *("--at", str(np.datetime64(at, "s"))),
        ],
    )
    found = {
        (a["alert"], a["window"], a["surface"], a["requested"], a["served"], a["band"])
        for a in json.loads(ended.stdout)["alerts"]
    }
    index = (at - month.start) // SLICE - 1
    assert found == {key for key, verdict in judged.items() if verdicts.firing(verdict)[index]}
    assert found
    assert ended.exit_code == 1


def test_every_recording_has_a_name_that_says_what_it_is(month):
    names = {rule["record"] for group in month.groups for rule in group["rules"] if "record" in rule}
    assert all(re.fullmatch(r"llm_routing:[a-z_]+:[a-z_0-9]+(:[0-9a-z]+)?", name) for name in names), names
