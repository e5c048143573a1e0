"""The adjusted share as a real Prometheus records it: our own traffic does not move it, the router does."""

from __future__ import annotations

import math
import shutil
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

import backfill
import components
import numpy as np
import pytest
from simulation import DAY, SLICE, SLICES, escape

from otel_llm_routing.analyze.adjusted import adjust
from otel_llm_routing.analyze.sizes import SizePair, SizeTable, for_reference, of_reference
from otel_llm_routing.generate.prometheus import rule_file, rule_groups
from otel_llm_routing.policy.plan import plan
from otel_llm_routing.policy.reference import Pin, Reference, ReferenceStream

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)

AUTO = "openrouter/auto"
SERVED = ("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", 'odd "model"')
BOUNDS = (1024.0, 4096.0, 1048576.0, math.inf)
SPELLED = (("1024.0", "4096.0", "1.048576e+06", "+Inf"), ("1024", "4096", "1048576", "+Inf"))
"""As an OpenMetrics client writes bounds, and as a server does that takes OTLP."""
SMALL, LARGE = (0.6, 0.3, 0.08, 0.02), (0.1, 0.3, 0.35, 0.25)
MIX = (0.3, 0.4, 0.2, 0.1)
HAIKU = np.array([0.5, 0.3, 0.15, 0.05])
DAYS, CHANGE, PER_DAY = 10, 8, 4000
STREAMS = {
    "steady": (MIX, HAIKU),
    "ours": (SMALL, HAIKU),
    "theirs": (MIX, HAIKU + 0.1),
    "hidden": (LARGE, HAIKU + 0.1),
}
"""The shares of the sizes, and haiku's in each, from day ``CHANGE`` on; the changes of the last one cancel out."""
START = 1_760_000_000 // DAY * DAY


def shares(haiku):
    return np.array([0.97 - haiku, haiku, np.full(4, 0.03)])


def simulated():
    """Return the requests of every slice by surface: (slices, served models, buckets)."""
    rng = np.random.default_rng(5)
    found = {}
    for surface, changed in STREAMS.items():
        parts = []
        for (mix, haiku), days in (((MIX, HAIKU), CHANGE), (changed, DAYS - CHANGE)):
            parts.append(rng.poisson(PER_DAY / SLICES * np.array(mix) * shares(haiku), (days * SLICES, 3, 4)))
        found[surface] = np.concatenate(parts)
        found[surface][: SLICES // 2, 2] = 0  # the rarest model is born late
    return found


def write(traffic, path):
    """Write the counter and the histogram of two processes, which are replaced every 28 hours."""
    rng = np.random.default_rng(6)
    with path.open("w", encoding="utf-8") as file:
        for metric, kind in (("llm_routing_requests", "counter"), ("llm_routing_input_size", "histogram")):
            file.write(f"# TYPE {metric} {kind}\n")
            for surface, counts in traffic.items():
                first = (
                    rng.binomial(counts, 0.5) if kind == "counter" else np.random.default_rng(7).binomial(counts, 0.5)
                )
                for instance, mine in enumerate((first, counts - first)):
                    for row, served in enumerate((*SERVED, AUTO, "")):
                        # What only repeats the requested name, and what failed, are large requests.
                        of = mine[:, row] if row < 3 else np.tile([0, 0, 0, 2], (len(mine), 1))
                        for begin in range(0, len(mine), 336):
                            name = {"llm_routing_surface": surface, "gen_ai_request_model": AUTO}
                            name |= {"gen_ai_response_model": served, "instance": f"{begin}-{instance}"}
                            _life(file, kind, name, of[begin : begin + 336], begin, SPELLED[instance])
        file.write("# EOF\n")


def _life(file, kind, name, counts, begin, spelled):
    served = name["gen_ai_response_model"]
    labels = ",".join(f'{label}="{escape(value)}"' for label, value in name.items() if value)
    upto = counts.cumsum(axis=0).cumsum(axis=1)
    for index in np.flatnonzero(upto[:, -1]):
        at = START + (begin + index + 1) * SLICE - 60
        if kind == "counter":
            match = "resolved" if served in SERVED else "unconfirmed" if served else "unreported"
            kinds = f'llm_routing_match="{match}",llm_routing_request_kind="router"'
            file.write(f"llm_routing_requests_total{{{labels},{kinds}}} {upto[index, -1]} {at}\n")
        else:
            file.writelines(
                f'llm_routing_input_size_bucket{{{labels},le="{bound}"}} {value} {at}\n'
                for bound, value in zip(spelled, upto[index], strict=True)
            )


def referenced():
    """Return what a pin of endless days before the change would find; one more stream has no sizes."""
    at = datetime.fromtimestamp(START, timezone.utc)
    act = Pin(id=1, at=at, reason="as agreed", start=at, end=at, source="sqlite:x.db")
    counts = np.array(MIX) * shares(HAIKU) * 1_000_000
    mix = {"pin": 1, "requests": 112_000, "days": 28, "design_effect": 1, "concentration": 400, "requested": AUTO}
    mix["shares"] = dict(zip(SERVED, (counts.sum(axis=1) / counts.sum()).tolist(), strict=True))
    sizes = for_reference(SizeTable(SERVED, BOUNDS, counts), 400)
    streams = [ReferenceStream(**mix, surface=surface, sizes=sizes) for surface in STREAMS]
    return Reference(pins=(act,), streams=(*streams, ReferenceStream(**mix, surface="unsized")))


class Recorded(NamedTuple):
    data: Path
    rules: list
    prometheus: components.Prometheus
    traffic: dict
    reference: Reference

    def at(self, day, expression):
        return {
            tuple(metric.get(name, "") for name in ("llm_routing_surface", "gen_ai_response_model")): value
            for metric, value in self.prometheus.query(expression, at=START + int(day * DAY))
        }

    def haiku(self, day):
        """Return haiku's raw and adjusted share of every surface, in points against the reference."""
        found = {}
        for surface in STREAMS:
            stream = self.reference.stream(surface, AUTO)
            shares = (
                self.at(day, f"last_over_time(llm_routing:{name}:24h[10m])")[surface, SERVED[1]]
                for name in ("share", "adjusted_share")
            )
            found[surface] = tuple(100 * (share - stream.shares[SERVED[1]]) for share in shares)
        return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adjusted")
    traffic = simulated()
    counters = folder / "counters.om"
    write({**traffic, "unsized": traffic["steady"]}, counters)
    backfill.load(folder, counters)
    counters.unlink()
    reference = referenced()
    parts = ("llm_routing_reference", "llm_routing_sizes", "llm_routing_counts")
    groups = [group for group in rule_groups(plan(None, reference)) if group["name"].startswith(parts)]
    for group in groups:  # of the raw shares, those of a day are enough
        raw = group["name"] == "llm_routing_counts"
        group["rules"] = [rule for rule in group["rules"] if not raw or rule["record"].endswith((":slice5m", ":24h"))]
    backfill.record(folder, groups, START, START + DAYS * DAY)
    with components.Prometheus(folder) as prometheus:
        rules = [rule for group in groups for rule in group["rules"] if "size" in rule["expr"]]
        yield Recorded(folder / "data", rules, prometheus, traffic, reference)


@pytest.mark.parametrize("window", ["24h", "7d"])
@pytest.mark.parametrize("day", [0.25, 0.5, 3.625, CHANGE, CHANGE + 0.5, DAYS])
def test_what_is_recorded_is_what_the_analysis_computes(recorded, window, day):
    upto = int(day * SLICES)
    names = ("adjusted_share", "adjusted_requests", "adjusted_coverage")
    share, requests, coverage = (recorded.at(day, f"llm_routing:{name}:{window}") for name in names)
    expected = {}
    for surface, counts in recorded.traffic.items():
        table = of_reference(recorded.reference.stream(surface, AUTO))
        now = counts[max(upto - (SLICES if window == "24h" else 7 * SLICES), 0) : upto].sum(axis=0)
        found = adjust(SizePair(SERVED, BOUNDS, table.counts, now))
        expected |= {(surface, name): value for name, value in zip(SERVED, found.share, strict=True)}
        assert requests[surface, ""] == pytest.approx(found.requests, rel=2e-3)  # three digits in the file
        assert coverage[surface, ""] == pytest.approx(found.covered, rel=2e-3)
    assert share == pytest.approx(expected, abs=1e-9)
    assert {surface for surface, _ in share} == set(STREAMS), "a stream without sizes in the reference has none"


def test_every_version_of_prometheus_records_the_same(recorded, tmp_path):
    shutil.copytree(recorded.data, tmp_path / "data", ignore=shutil.ignore_patterns("lock", "wal", "chunks_head"))
    with components.Prometheus(tmp_path, binary=components.debian_prometheus()) as old:
        for rule in recorded.rules:
            for day in (1, CHANGE + 1.5):
                at = START + int(day * DAY)
                then, now = (
                    {tuple(sorted(metric.items())): value for metric, value in server.query(rule["expr"], at=at)}
                    for server in (old, recorded.prometheus)
                )
                assert then, rule
                assert then == pytest.approx(now), rule


def test_before_any_change_both_shares_are_those_of_the_reference(recorded):
    for raw, adjusted in recorded.haiku(CHANGE).values():
        assert abs(raw) < 2.5
        assert abs(adjusted) < 2.5


def test_our_own_traffic_moves_the_raw_share_alone(recorded):
    raw, adjusted = recorded.haiku(CHANGE + 1)["ours"]
    assert raw > 7
    assert abs(adjusted) < 2.5


def test_the_router_moves_both(recorded):
    raw, adjusted = recorded.haiku(CHANGE + 1)["theirs"]
    assert raw > 7.5
    assert adjusted > 7.5


def test_changes_that_cancel_out_are_seen_by_the_adjusted_share_alone(recorded):
    raw, adjusted = recorded.haiku(CHANGE + 1)["hidden"]
    assert abs(raw) < 2.5
    assert adjusted > 7.5


def test_names_that_only_repeat_what_was_requested_are_no_served_models(recorded):
    found = recorded.at(DAYS, "llm_routing:adjusted_share:24h")
    assert {served for _, served in found} == set(SERVED)
    for surface in STREAMS:
        assert sum(value for (name, _), value in found.items() if name == surface) == pytest.approx(1)


def test_without_sizes_in_the_reference_there_are_no_rules_about_them():
    whole = referenced()
    bare = whole.model_copy(update={"streams": whole.streams[-1:]})
    assert "llm_routing_sizes" not in rule_file(rule_groups(plan(None, bare)))
    assert "llm_routing_sizes" in rule_file(rule_groups(plan(None, whole)))


def test_no_group_holds_more_rules_than_mimir_takes():
    assert max(len(group["rules"]) for group in rule_groups(plan(None, referenced()))) <= 20


@pytest.mark.parametrize("promtool", ["the newest", "2.42"])
def test_promtool_finds_no_fault(tmp_path, promtool):
    path = tmp_path / "rules.yaml"
    path.write_text(rule_file(rule_groups(plan(None, referenced()), match='job="shop"')), encoding="utf-8")
    program = components.tool("promtool") if promtool == "the newest" else components.debian_prometheus("promtool")
    if promtool == "2.42":  # which does not know keep_firing_for
        path.write_text("".join(line for line in path.open() if "keep_firing_for" not in line))
    assert "FAILED" not in components.run(program, "check", "rules", path)
