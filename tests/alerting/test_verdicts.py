"""Every alert's condition holds on its case and not just below the threshold, by arithmetic done anew here."""

from __future__ import annotations

import json
import math
import random
import time
from datetime import datetime, timezone

import components
import numpy as np
import pytest
import yaml

from otel_llm_routing.analyze import verdicts
from otel_llm_routing.analyze.alert_text import description
from otel_llm_routing.analyze.alerts import Alert, alerts
from otel_llm_routing.analyze.history import History, Known, Unknown
from otel_llm_routing.analyze.sources import Count
from otel_llm_routing.generate import alerts as texts
from otel_llm_routing.policy import loading
from otel_llm_routing.policy.plan import plan
from otel_llm_routing.policy.reference import Reference

pytestmark = pytest.mark.timeout(600)

HOUR, DAY = 12, 288
"""In slices of 5 minutes."""
SIZE = 9 * DAY
AUTO = "openrouter/auto"
N_REF, M = 50_000, 300.0
WHEN = datetime(2026, 11, 1, tzinfo=timezone.utc)


def reference(*streams, **changed):
    """A reference of streams given as (surface, requested, shares)."""
    noise = {"pin": 1, "requests": N_REF, "days": 28.0, "design_effect": 2.0, "concentration": M, **changed}
    return Reference(
        pins=[{"id": 1, "at": WHEN, "reason": "as agreed", "start": WHEN, "end": WHEN, "source": "test"}],
        streams=[{"surface": s, "requested": r, "shares": shares, **noise} for s, r, shares in streams],
    )


def policy(text):
    return loading.parse(f"version: 1\nsurfaces:\n  draft: {text}\n").policy


def known(served, surface="draft", requested=AUTO, match="resolved", kind="router"):
    return Known(surface, requested, served, match, kind)


def at_end(requests, slices_ago=0, size=SIZE):
    counts = np.zeros(size)
    counts[size - 1 - slices_ago] = requests
    return counts


def history(series, size=SIZE):
    made = History(0, 300, size)
    for key, counts in series.items():
        (made.unknown if isinstance(key, Unknown) else made.known)[key] = np.asarray(counts, dtype=float)
    return made


def holding(series, watched, size=SIZE):
    """The conditions that hold at the last slice, as (alert, window, served or band)."""
    return {
        (v.alert.removeprefix("LLMRouting"), v.window, v.served or v.band)
        for v in verdicts.evaluate(history(series, size), watched)
        if v.active[-1]
    }


# The distance from the reference --------------------------------------------------------------------------------------


def score(c, n, p, factor, phi=2.0, m=M):
    effective = 1 / (phi / n + phi / N_REF + 1 / (factor * m))
    now = (c + 0.5) / (n + 1)
    return effective / 2 * (now - p) * (math.log(now / (1 - now)) - math.log(p / (1 - p)))


SHIFTS = {
    "MixShiftFast": ("1h", 0.45, 12, 0.10),
    "MixShiftDay": ("24h", 1.0, 10, 0.03),
    "MixDriftSlow": ("7d", 2.0, 10, 0.02),
}


@pytest.mark.parametrize("alert", SHIFTS)
@pytest.mark.parametrize(
    ("n", "p", "m", "direction"),
    [
        (60, 0.5, 300, 1),
        (60, 0.5, 300, -1),
        (300, 0.2, 300, 1),
        (2000, 0.95, 300, -1),
        (2_000_000, 0.4, 300, 1),
        # With little wobble it is the points that decide.
        (2_000_000, 0.01, 2000, 1),
        (2_000_000, 0.99, 2000, -1),
    ],
)
def test_a_shift_is_one_that_is_far_and_large_enough(alert, n, p, m, direction):
    window, factor, limit, points = SHIFTS[alert]
    watched = plan(None, reference(("draft", AUTO, {"a": p, "b": 1 - p}), concentration=m))
    c = round(n * p)
    while not (score(c, n, p, factor, m=m) > limit and abs(c / n - p) >= points):
        c += direction
    assert 0 <= c <= n

    def fires(count):
        series = {known("a"): at_end(count), known("b"): at_end(n - count)}
        return (alert, window, "a") in holding(series, watched)

    assert fires(c)
    assert not fires(c - direction)


def test_a_window_forgets_what_is_older():
    watched = plan(None, reference(("draft", AUTO, {"a": 0.5, "b": 0.5})))
    for alert, (window, *_), slices in zip(SHIFTS, SHIFTS.values(), (HOUR, DAY, 7 * DAY), strict=True):
        for ago, held in ((slices - 1, True), (slices, False)):
            found = holding({known("a"): at_end(5000, ago)}, watched)
            assert ((alert, window, "a") in found) is held, (alert, ago)


def test_a_reference_of_fewer_days_than_a_month_needs_more():
    watched = plan(None, reference(("draft", AUTO, {"a": 0.5, "b": 0.5}), days=20.0))
    n, c = 1000, 500
    while score(c, n, 0.5, 1.0) <= 14:
        c += 1
    for count, held in ((c, True), (c - 1, False)):
        found = holding({known("a"): at_end(count), known("b"): at_end(n - count)}, watched)
        assert (("MixShiftDay", "24h", "a") in found) is held


def test_a_tolerance_is_the_least_move_that_counts():
    uses = f"{{uses: {{router: {AUTO}}}, tolerance: 7}}"
    watched = plan(policy(uses), reference(("draft", AUTO, {"a": 0.01, "b": 0.99}), concentration=2000))
    n = 2_000_000
    for share, held in ((0.0801, True), (0.0799, False)):
        c = round(n * share)
        found = holding({known("a"): at_end(c), known("b"): at_end(n - c)}, watched)
        assert (("MixShiftDay", "24h", "a") in found) is held


@pytest.mark.parametrize(("phi", "least"), [(2.0, 6), (5.0, 15), (20.0, 15)])
def test_a_new_model_is_one_with_enough_requests(phi, least):
    # At least 3 independent ones, with half a request added, and φ counted as 5 at most.
    watched = plan(None, reference(("draft", AUTO, {"a": 1.0}), design_effect=phi))
    for count, held in ((least, True), (least - 1, False)):
        found = holding({known("a"): at_end(500), known("x"): at_end(count)}, watched)
        assert (("NewServedModel", "", "x") in found) is held


def test_a_new_model_is_one_with_half_a_percent():
    watched = plan(None, reference(("draft", AUTO, {"a": 1.0})))
    for rest, held in ((1990, True), (1991, False)):
        found = holding({known("a"): at_end(rest), known("x"): at_end(10)}, watched)
        assert (("NewServedModel", "", "x") in found) is held


@pytest.mark.parametrize(("window", "slices"), [("6h", 6 * HOUR), ("7d", 7 * DAY)])
def test_a_model_has_vanished_when_twenty_requests_were_to_be_expected(window, slices):
    # n · p / φ > 20, with p = 0.05 and φ = 2
    watched = plan(None, reference(("draft", AUTO, {"a": 0.95, "b": 0.05})))
    gone = ("ServedModelVanished", "", "b")
    assert gone in holding({known("a"): at_end(801, slices - 1)}, watched)
    assert gone not in holding({known("a"): at_end(799, slices - 1)}, watched)
    assert gone not in holding({known("a"): at_end(801, slices - 1), known("b"): at_end(1)}, watched)
    assert gone not in holding({known("a"): at_end(8000, 7 * DAY)}, watched)


def test_a_model_that_hardly_ever_served_does_not_vanish():
    rare = plan(None, reference(("draft", AUTO, {"a": 0.9951, "b": 0.0049})))
    enough = plan(None, reference(("draft", AUTO, {"a": 0.995, "b": 0.005})))
    gone = ("ServedModelVanished", "", "b")
    assert gone not in holding({known("a"): at_end(100_000)}, rare)
    assert gone in holding({known("a"): at_end(100_000)}, enough)


def test_two_requested_names_of_a_surface_are_two_mixes():
    watched = plan(None, reference(("draft", AUTO, {"a": 1.0}), ("draft", "", {"b": 1.0})))
    calm = {known("a"): at_end(5000), known("b", requested=""): at_end(5000)}
    assert holding(calm, watched) == set()
    swapped = {known("b"): at_end(5000), known("a", requested=""): at_end(5000)}
    found = {(v.alert, v.requested) for v in verdicts.evaluate(history(swapped), watched) if v.active[-1]}
    assert {("LLMRoutingNewServedModel", AUTO), ("LLMRoutingNewServedModel", "")} <= found


# What the policy declares ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "edge"), [("max", 0.25), ("min", 0.6), ("max", 0.0), ("min", 1.0)])
@pytest.mark.parametrize("n", [150, 20_000])
def test_a_band_is_left_when_its_edge_is_passed_beyond_noise(side, edge, n):
    watched = plan(policy(f"{{uses: {{router: {AUTO}}}, expect: {{'*haiku*': {{{side}: {edge}}}}}}}"), None)
    direction = 1 if side == "max" else -1
    alert = "ShareAboveBand" if side == "max" else "ShareBelowBand"
    e = min(max(edge, 0.001), 0.999)

    def far(c):
        now = (c + 0.5) / (n + 1)
        j = 0.5 * (now - e) * (math.log(now / (1 - now)) - math.log(e / (1 - e))) / (2 / n + 1 / 2000)
        return j > 6 and direction * (c / n - edge) > 0

    c = round(n * edge)
    while not far(c):
        c += direction
    for count, held in ((c, True), (c - direction, False)):
        first = count // 2  # two models of one glob count together
        series = {
            known("haiku-1"): at_end(first),
            known("x/haiku-2", requested="other name"): at_end(count - first),
            known("sonnet"): at_end(n - count),
        }
        found = holding(series, watched)
        assert ((alert, "1h", "*haiku*") in found) is held
        assert ((alert, "24h", "*haiku*") in found) is held


def test_a_surface_without_requests_leaves_no_band():
    watched = plan(policy(f"{{uses: {{router: {AUTO}}}, expect: {{'*haiku*': {{min: 0.5}}}}}}"), None)
    assert holding({known("sonnet"): at_end(5000, 2 * DAY)}, watched) == {("NoReference", "", "")}


def test_one_substituted_request_violates_a_pin_for_a_quarter_of_an_hour():
    watched = plan(None, reference(("draft", "gpt-5", {"gpt-5": 1.0})))
    other = known("mini", requested="gpt-5", match="substituted", kind="pinned")
    for ago, held in ((0, True), (2, True), (3, False)):
        assert (("PinViolated", "", "mini") in holding({other: at_end(1, ago)}, watched)) is held
    assert ("PinViolated", "", "mini") not in holding({other._replace(match="resolved"): at_end(1)}, watched)


@pytest.mark.parametrize(
    ("kind", "surface", "held"),
    [("alias", "draft", True), ("router", "draft", True), ("pinned", "draft", False), ("alias", "other", False)],
)
def test_unpinned_traffic_is_an_alias_or_a_router_on_a_surface_declared_pinned(kind, surface, held):
    watched = plan(policy("{uses: {pinned: gpt-5-2025-08-07}}"), None)
    found = {("UnpinnedTraffic", "", "")}
    for series in (known("x", surface, "gpt-5", kind=kind), Unknown(surface, "gpt-5", kind)):
        assert (found <= holding({series: at_end(1, HOUR - 1)}, watched)) is held
        assert not found <= holding({series: at_end(1, HOUR)}, watched)


def test_a_surface_that_also_uses_an_alias_is_not_declared_pinned():
    watched = plan(policy("{uses: {pinned: gpt-5-2025-08-07, alias: gpt-5}}"), None)
    assert ("UnpinnedTraffic", "", "") not in holding({known("x", requested="gpt-5", kind="alias"): at_end(1)}, watched)


# The measurement itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "known_requests", "surface", "held"),
    [
        (6, 94, "draft", True),
        (5, 95, "draft", False),
        (3, 0, "draft", True),
        (2, 0, "draft", False),
        (20, 80, "named", False),
        (21, 79, "named", True),
    ],
)
def test_served_models_are_unknown_above_the_surfaces_limit(lost, known_requests, surface, held):
    text = "version: 1\nsurfaces:\n  named: {uses: {router: auto}, unknown_limit: 20 %}\n"
    watched = plan(loading.parse(text).policy, None)
    series = {Unknown(surface, AUTO, "router"): at_end(lost), known("a", surface): at_end(known_requests)}
    assert (("ServedModelUnknown", "", "") in holding(series, watched)) is held
    assert ("ServedModelUnknown", "", "") not in holding(
        {Unknown(surface, AUTO, "router"): at_end(lost, 6 * HOUR)}, watched
    )


def test_failed_and_cached_calls_are_no_gap_in_the_measurement():
    def count(**changed):
        fixed = {"surface": "draft", "provider": "p", "operation": "chat", "requested": AUTO, "served": ""}
        more = {"kind": "router", "match": "unreported", "served_source": "none", "cached": False, "error": ""}
        return Count(**{"start": 300 * (SIZE - 1), "requests": 50, **fixed, **more, **changed})

    watched = plan(None, reference(("draft", AUTO, {"a": 1.0})))
    for changed, held in (({}, True), ({"error": "Timeout"}, False), ({"cached": True}, False)):
        made = History(0, 300, SIZE)
        made.add([count(**changed), count(start=300 * SIZE), count(start=-300)])
        assert made.last == SIZE - 1
        found = {v.alert for v in verdicts.evaluate(made, watched) if v.active[-1]}
        assert ("LLMRoutingServedModelUnknown" in found) is held


def test_a_surface_is_silent_after_a_day_in_which_requests_were_to_be_expected():
    # requests a day / φ >= 20
    silent = ("SurfaceSilent", "", "")
    before = {known("a"): np.concatenate([np.ones(SIZE - DAY), np.zeros(DAY)])}
    for requests, held in ((28 * 40, True), (28 * 40 - 1, False)):
        watched = plan(None, reference(("draft", AUTO, {"a": 1.0}), requests=requests))
        sparse = {known("a"): np.where(np.arange(SIZE) % DAY == 0, before[known("a")], 0)}
        assert (silent in holding(sparse, watched)) is held
        assert silent not in holding({known("a"): sparse[known("a")] + at_end(1, DAY - 1)}, watched)
        assert silent not in holding({**sparse, Unknown("draft", AUTO, "router"): at_end(1)}, watched)


def test_a_surface_that_rested_a_week_ago_as_well_is_not_silent():
    watched = plan(None, reference(("draft", AUTO, {"a": 1.0})))
    counts = np.ones(SIZE)
    counts[-DAY:] = 0
    assert ("SurfaceSilent", "", "") in holding({known("a"): counts}, watched)
    counts[-8 * DAY : -7 * DAY] = 0
    assert ("SurfaceSilent", "", "") not in holding({known("a"): counts}, watched)


def test_six_hours_of_silence_count_where_there_was_much_a_week_ago():
    watched = plan(policy(f"{{uses: {{router: {AUTO}}}}}"), None)
    for requests, held in ((101, True), (100, False)):
        counts = at_end(requests, 7 * DAY)
        counts[-2 * DAY] = 1
        assert (("SurfaceSilent", "", "") in holding({known("a"): counts}, watched)) is held
        assert ("SurfaceSilent", "", "") not in holding({known("a"): counts + at_end(1, 6 * HOUR - 1)}, watched)


def test_a_busy_stream_without_a_reference_is_named():
    watched = plan(None, reference(("draft", "auto", {"a": 1.0})))
    for requests, held in ((100, True), (99, False)):
        found = holding({known("a", requested=""): at_end(requests, 7 * DAY - 1)}, watched)
        assert (("NoReference", "", "") in found) is held
    assert ("NoReference", "", "") not in holding({known("a", requested="auto"): at_end(1000)}, watched)


def test_what_is_counted_as_other_is_said_once_a_stream():
    watched = plan(None, reference(("draft", AUTO, {"a": 1.0})))
    series = {
        known("a", "other"): at_end(3),
        known("b", "other"): at_end(4),
        known("other"): at_end(5),
        known("a"): at_end(60),
    }
    found = [v for v in verdicts.evaluate(history(series), watched) if v.alert == "LLMRoutingSeriesOverflow"]
    assert {(v.surface, v.requested): v.value[-1] for v in found} == {("other", AUTO): 7, ("draft", AUTO): 5}
    assert len(found) == 2
    late = {key: np.roll(counts, -HOUR) for key, counts in series.items()}
    assert not any(alert == "SeriesOverflow" for alert, *_ in holding(late, watched))


@pytest.mark.parametrize(("nameless", "held"), [(6, True), (5, False)])
def test_requests_without_a_surface_are_too_many_above_five_percent(nameless, held):
    watched = plan(None, reference(("draft", AUTO, {"a": 1.0})))
    series = {known("a"): at_end(100 - nameless), Unknown("unknown", AUTO, "router"): at_end(nameless - 2)}
    series[known("a", "unknown")] = at_end(2, DAY - 1)
    assert (("UnknownSurface", "", "") in holding(series, watched)) is held


def test_a_history_of_other_steps_is_refused():
    with pytest.raises(ValueError, match="steps of 300 s"):
        verdicts.evaluate(History(0, 60, 10), plan(None, reference(("draft", AUTO, {"a": 1.0}))))


# From a condition to an alert, as Prometheus itself decides -----------------------------------------------------------


def verdict(alert, window, pattern):
    active = np.array(pattern, dtype=bool)
    return verdicts.Verdict(alert, "page", "s", "r", "m", "", window, active, np.zeros(len(active)))


@pytest.mark.parametrize(
    ("pattern", "fires"),
    [
        ("0000", "0000"),
        ("0100", "0000"),  # it must hold for 5 minutes, and is kept for 15
        ("01100000", "00111100"),
        ("011001000", "001111111"),
        ("01100010000", "00111111110"),
        ("01100001000", "00111100000"),  # kept no longer: it must be held anew
    ],
)
def test_an_alert_is_held_back_and_kept(pattern, fires):
    found = verdicts.firing(verdict("LLMRoutingMixShiftFast", "1h", [c == "1" for c in pattern]))
    assert "".join("1" if on else "0" for on in found) == fires


def test_alerts_fire_when_prometheus_fires_them(tmp_path):
    promtool = components.tool("promtool")
    rng = random.Random(3)
    kinds = {(rule.hold, rule.keep): key for key, rule in verdicts.ALERTS.items()}
    slices = 160
    rules, series, expected = [], [], []
    for number, ((hold, keep), (alert, window)) in enumerate(kinds.items()):
        pattern, on = [], False
        while len(pattern) < slices:
            pattern += [on] * rng.choice([1, 1, 2, 3, 4, 5, 12, 13, 14, 40])
            on = not on
        pattern = pattern[:slices]
        rule = {"alert": f"A{number}", "expr": f"x{number} > 0", "for": f"{hold}s", "keep_firing_for": f"{keep}s"}
        rules.append(rule)
        series.append({"series": f"x{number}", "values": " ".join("1" if on else "0" for on in pattern)})
        fires = verdicts.firing(verdict(alert, window, pattern))
        assert 0 < fires.sum() < slices
        expected += [
            {"eval_time": f"{5 * at}m", "alertname": f"A{number}", "exp_alerts": [{}] if fires[at] else []}
            for at in range(slices)
        ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "interval": "5m", "rules": rules}]}))
    test = {"interval": "5m", "input_series": series, "alert_rule_test": expected}
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": "5m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(document))
    components.run(promtool, "test", "rules", tmp_path / "test.yaml")


# What an alert says ---------------------------------------------------------------------------------------------------

HOSTILE = 'model "x" \\ {{ .Value }}'


def alert(name, **changed):
    empty = {"requested": "", "served": "", "band": "", "window": "", "reference": None, "wobble": None, "limit": None}
    fixed = {"severity": "page", "owner": "team", "surface": "draft", "since": 0.0, "holds": True, "value": 0.71234567}
    return Alert(alert=name, **{**empty, **fixed, **changed})


PAIR = {"requested": AUTO, "served": HOSTILE}
SHIFT = {**PAIR, "reference": 0.95, "wobble": 2.57}
SAID = [
    (texts.shift("1h", "hour"), alert("LLMRoutingMixShiftFast", window="1h", **SHIFT)),
    (texts.shift("24h", "24 hours"), alert("LLMRoutingMixShiftDay", window="24h", **SHIFT)),
    (texts.shift("7d", "7 days"), alert("LLMRoutingMixDriftSlow", window="7d", **{**SHIFT, "requested": ""})),
    (texts.NEW, alert("LLMRoutingNewServedModel", **PAIR, value=0.005)),
    (texts.VANISHED, alert("LLMRoutingServedModelVanished", **PAIR, value=0.05)),
    (texts.edge("max", "hour"), alert("LLMRoutingShareAboveBand", band="*haiku*", window="1h", limit=0.25)),
    (texts.edge("min", "24 hours"), alert("LLMRoutingShareBelowBand", band="*haiku*", window="24h", limit=0.25)),
    (texts.PIN_VIOLATED, alert("LLMRoutingPinViolated", **PAIR, value=3)),
    (texts.UNPINNED, alert("LLMRoutingUnpinnedTraffic", requested="gpt-5", value=1234567)),
    (texts.unknown_served(0.05), alert("LLMRoutingServedModelUnknown", limit=0.05, value=1.0)),
    (texts.SILENT, alert("LLMRoutingSurfaceSilent", value=0)),
    (texts.NO_REFERENCE, alert("LLMRoutingNoReference", value=100)),
    (texts.OVERFLOW, alert("LLMRoutingSeriesOverflow", requested=AUTO, value=7)),
    (texts.UNKNOWN_SURFACE, alert("LLMRoutingUnknownSurface", surface="unknown")),
]


def test_the_sentence_is_the_one_that_prometheus_sends(tmp_path):
    assert {a.alert for _, a in SAID} == {name for name, _ in verdicts.ALERTS}
    promtool = components.tool("promtool")
    rules, series, expected = [], [], []

    def labels(**found):
        return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in found.items() if value) + "}"

    for number, (text, a) in enumerate(SAID):
        name = f"A{number}"
        surface = {"llm_routing_surface": a.surface}
        pair = {**surface, "gen_ai_request_model": a.requested, "gen_ai_response_model": a.served}
        own = {**pair, "llm_routing_band": a.band}
        rules.append({"alert": name, "expr": f"x{number}", "annotations": {"description": text.description}})
        series.append({"series": f"x{number}{labels(**own)}", "values": repr(a.value)})
        if a.reference is not None:
            series.append({"series": f"llm_routing:reference:share{labels(**pair)}", "values": repr(a.reference)})
            wobble = f"llm_routing:wobble_points:{a.window}{labels(**pair)}"
            series.append({"series": wobble, "values": repr(a.wobble)})
        if a.band:
            side = {"llm_routing_band": a.band, "side": "max" if "Above" in a.alert else "min"}
            series.append({"series": f"llm_routing:band:edge{labels(**surface, **side)}", "values": repr(a.limit)})
        elif a.limit is not None:
            series.append({"series": f"llm_routing:policy:unknown_limit{labels(**surface)}", "values": repr(a.limit)})
        shown = {k: v for k, v in own.items() if v}
        said = {"exp_labels": shown, "exp_annotations": {"description": description(a)}}
        expected.append({"eval_time": "0m", "alertname": name, "exp_alerts": [said]})
    unique = {one["series"]: one for one in series}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    test = {"interval": "5m", "input_series": [*unique.values()], "alert_rule_test": expected}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    components.run(promtool, "test", "rules", tmp_path / "test.yaml")


# The alerts of a history ----------------------------------------------------------------------------------------------


def shifted(begin_ago, end_ago=0, size=SIZE):
    """Half of everything goes to b, from so many slices before the end on, instead of a tenth."""
    a, b = np.full(size, 90.0), np.full(size, 10.0)
    a[size - begin_ago : size - end_ago] = b[size - begin_ago : size - end_ago] = 50
    return {known("a"): a, known("b"): b}


def test_an_alert_says_what_served_what_was_expected_and_since_when():
    watched = plan(
        policy(f"{{owner: team-x, customer_facing: false, uses: {{router: {AUTO}}}}}"),
        reference(("draft", AUTO, {"a": 0.9, "b": 0.1})),
    )
    found = {(a.alert, a.served): a for a in alerts(history(shifted(HOUR)), watched)}
    fast = found["LLMRoutingMixShiftFast", "b"]
    assert (fast.owner, fast.severity, fast.window, fast.holds) == ("team-x", "ticket", "1h", True)
    assert (fast.value, fast.reference) == (0.5, 0.1)
    effective = 1 / (2 / 1200 + 2 / N_REF + 1 / (0.45 * M))
    assert fast.wobble == pytest.approx(200 * math.sqrt(0.09 / effective))
    held = 1
    while not (score(10 * HOUR + 40 * held, 1200, 0.1, 0.45) > 12 and 40 * held / 1200 >= 0.1):
        held += 1
    assert fast.since == 300 * (SIZE - HOUR + held)


def test_an_alert_that_no_longer_holds_is_kept_with_what_it_said_last():
    watched = plan(None, reference(("draft", AUTO, {"a": 0.9, "b": 0.1})))
    held = history(shifted(8 * HOUR))
    series = shifted(8 * HOUR)
    # An hour that brings the share back, all of it in the last slice.
    series[known("a")][-1] = 5000
    found = {(a.alert, a.served): a for a in alerts(history(series), watched)}
    before = {(a.alert, a.served): a for a in alerts(held, watched)}
    fast = found["LLMRoutingMixShiftFast", "b"]
    assert not fast.holds
    assert fast.value == before["LLMRoutingMixShiftFast", "b"].value == 0.5
    assert fast.since == before["LLMRoutingMixShiftFast", "b"].since


def test_a_surface_that_no_file_names_has_the_default_owner():
    text = f"version: 1\ndefaults: {{owner: team-platform}}\nsurfaces: {{draft: {{uses: {{router: {AUTO}}}}}}}\n"
    watched = plan(loading.parse(text).policy, None)
    [found] = alerts(history({known("x", "stray", match="substituted"): at_end(1)}), watched)
    assert (found.alert, found.owner, found.severity) == ("LLMRoutingPinViolated", "team-platform", "page")


def test_the_most_urgent_alert_comes_first():
    watched = plan(None, reference(("draft", AUTO, {"a": 0.9, "b": 0.1})))
    series = {**shifted(2 * DAY), Unknown("draft", AUTO, "router"): np.full(SIZE, 20.0)}
    found = [a.severity for a in alerts(history(series), watched)]
    assert set(found) == {"page", "ticket", "info"}
    assert found == sorted(found, key=["page", "ticket", "info"].index)


def test_many_surfaces_are_judged_in_seconds():
    shares = {f"m{k}": 0.125 for k in range(8)}
    surfaces = [f"s{i}" for i in range(1000)]
    watched = plan(None, reference(*((name, AUTO, shares) for name in surfaces)))
    size = verdicts.SPAN // 300
    even = np.full(size, 5.0)
    made = history({known(served, name): even for name in surfaces for served in shares}, size)
    begun = time.process_time()
    assert alerts(made, watched) == []
    assert time.process_time() - begun < 30
