"""When alerts begin and end to fire, evaluated by Prometheus' own rule engine, is what the twin in Python says."""

from __future__ import annotations

import components
import numpy as np
import pytest
import simulation
import yaml
from simulation import DAY, SLICE, SLICES, Change, Stream

from otel_llm_routing.analyze import verdicts
from otel_llm_routing.analyze.history import History, Known, Unknown
from otel_llm_routing.generate.prometheus import rule_file, rule_groups
from otel_llm_routing.policy import loading, reference
from otel_llm_routing.policy.plan import plan

pytestmark = pytest.mark.timeout(600)

DAYS = 7
SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
AUTO = "openrouter/auto"
POLICY = """
version: 1
defaults: {owner: team-platform}
surfaces:
  autocomplete:
    uses: {router: openrouter/auto}
    severity: ticket
    expect: {"*haiku*": {max: "25 %"}}
  drafts: {owner: team-drafts, uses: {pinned: claude-sonnet-4-5-20250929}}
"""
REFERENCE = """
version: 1
pins:
- {id: 1, at: 2026-11-02T09:00:00Z, reason: agreed, start: 2026-10-05T09:00:00Z, end: 2026-11-02T09:00:00Z, source: x}
streams:
- surface: autocomplete
  requested: openrouter/auto
  pin: 1
  requests: 60000
  days: 28
  design_effect: 2.0
  concentration: 400
  shares: {claude-sonnet-4-5-20250929: 0.83, claude-haiku-4-5-20251001: 0.12, gpt-5-mini-2025-08-07: 0.05}
- surface: drafts
  requested: claude-sonnet-4-5-20250929
  pin: 1
  requests: 30000
  days: 28
  design_effect: 1.0
  concentration: 400
  shares: {claude-sonnet-4-5-20250929: 1.0}
"""
MIX = {SONNET: 0.83, HAIKU: 0.12, MINI: 0.05}
STREAMS = (
    # A flutter that comes and goes within hours, then a shift that stays for a day and a half.
    Stream(
        "autocomplete",
        AUTO,
        MIX,
        2400,
        session=2,
        unreported=0.02,
        changes=(
            Change(2.5, {SONNET: 0.5, HAIKU: 0.45, MINI: 0.05}, until=2.6),
            Change(2.7, {SONNET: 0.5, HAIKU: 0.45, MINI: 0.05}, until=2.8),
            Change(5, {SONNET: 0.6, HAIKU: 0.35, MINI: 0.05}, until=6.5),
        ),
    ),
    Stream(
        "drafts", SONNET, {SONNET: 1.0}, 1200, kind="pinned", changes=(Change(4, {SONNET: 0.98, MINI: 0.02}, 0, 5),)
    ),
    Stream("undeclared", AUTO, MIX, 800, unreported=0.01, unreported_from=(3, 0.3)),
)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    path = tmp_path_factory.mktemp("firing") / "reference.yaml"
    path.write_text(REFERENCE)
    return plan(loading.parse(POLICY).policy, reference.load(path))


@pytest.fixture(scope="module")
def traffic():
    return simulation.simulate(STREAMS, 0, DAYS, seed=3)


def series(traffic):
    """The counters of one process, each beginning with its first request."""
    found = []
    for of, counts in traffic.counts.items():
        total = np.cumsum(counts).astype(int)
        labels = ", ".join(f'{name}="{value}"' for name, value in of.labels().items())
        values = " ".join(str(value) if value else "_" for value in total)
        found.append({"series": f'llm_routing_requests_total{{{labels}, instance="a"}}', "values": values})
    return found


def expected(traffic, watched):
    """Return, for each alert, the labels that it fires with at each slice, by the twin."""
    history = History(traffic.start, SLICE, DAYS * SLICES)
    for of, counts in traffic.counts.items():
        if of.match != "unreported":
            history.known[Known(of.surface, of.requested, of.served, of.match, of.kind)] += counts
        elif not of.error:
            history.unknown[Unknown(of.surface, of.requested, of.kind)] += counts
    surfaces = {surface.name: surface for surface in watched.surfaces}
    found = []
    for verdict in verdicts.evaluate(history, watched):
        surface = surfaces.get(verdict.surface)
        labels = {
            "alertname": verdict.alert,
            "alertstate": "firing",
            "owner": surface.owner if surface else watched.owner,
            "severity": surface.severity[verdict.level] if surface else verdict.level,
            "llm_routing_surface": verdict.surface,
            "gen_ai_request_model": verdict.requested,
            "gen_ai_response_model": verdict.served,
            "llm_routing_band": verdict.band,
            "llm_routing_window": verdict.window,
        }
        found.append(({name: value for name, value in labels.items() if value}, verdicts.firing(verdict)))
    return found


@pytest.mark.parametrize("binary", ["promtool", "promtool 2.42"])
def test_alerts_fire_from_and_to_the_slices_that_the_twin_says(tmp_path, traffic, watched, binary):
    promtool = components.tool("promtool") if binary == "promtool" else components.debian_prometheus("promtool")
    firing = expected(traffic, watched)
    # Wherever something begins or ends, the slices on both sides; and every hour.
    edges = {int(i) + d for _, fires in firing for i in np.flatnonzero(np.diff(fires)) for d in (0, 1, 2)}
    assert len(edges) > 20
    checks = []
    for index in sorted({*edges, *range(0, DAYS * SLICES, 12)} & set(range(DAYS * SLICES))):
        samples = [
            "ALERTS{"
            + ", ".join(f"{name}={yaml.dump(value, default_style=chr(34)).strip()}" for name, value in labels.items())
            + "}"
            for labels, fires in firing
            if fires[index]
        ]
        checks.append(
            {
                "expr": 'ALERTS{alertstate="firing"}',
                "eval_time": f"{(index + 1) * SLICE}s",
                "exp_samples": [{"labels": labels, "value": 1} for labels in samples],
            }
        )
    rules = tmp_path / "rules.yaml"
    groups = rule_groups(watched)
    rules.write_text(rule_file(groups))
    tests = tmp_path / "tests.yaml"
    tests.write_text(
        yaml.safe_dump(
            {
                "rule_files": [rules.name],
                "evaluation_interval": "5m",
                # Without it the order is another one at each run, and constants are 5 minutes old: just out of sight.
                "group_eval_order": [group["name"] for group in groups],
                "tests": [{"interval": "5m", "input_series": series(traffic), "promql_expr_test": checks}],
            },
            width=10_000_000,
        )
    )
    components.run(promtool, "test", "rules", tests.name, cwd=tmp_path)
    alerts = {labels["alertname"] for labels, fires in firing if fires.any()}
    assert alerts >= {
        "LLMRoutingMixShiftFast",
        "LLMRoutingMixShiftDay",
        "LLMRoutingShareAboveBand",
        "LLMRoutingPinViolated",
        "LLMRoutingServedModelUnknown",
        "LLMRoutingNoReference",
    }
    assert DAY // SLICE == SLICES
