"""New and vanished models by day are those that the alert rules name at the day's end."""

from __future__ import annotations

import numpy as np

from otel_llm_routing.analyze import verdicts
from otel_llm_routing.analyze.history import History, Known
from otel_llm_routing.analyze.novelty import NewModel, VanishedModel, new_models, vanished_models
from otel_llm_routing.policy.plan import Plan, StreamPlan

DAY = 86_400
START = 1_760_000_000 // DAY * DAY
POINTS = {"1h": 0.10, "24h": 0.03, "7d": 0.02}


def stream(shares, design_effect=2.0):
    return StreamPlan("draft", "auto", 5600, 28.0, design_effect, 300.0, shares, 10.0, POINTS)


def days(**models):
    return {name: np.array(counts, dtype=float) for name, counts in models.items()}


def novel(of, models):
    total = sum(models.values())
    return new_models(of, models, total, START), vanished_models(of, models, total, START)


def test_a_new_model_is_listed_with_its_first_day():
    new, gone = novel(stream({"a": 1.0}), days(a=[100] * 5, b=[0, 0, 2, 0, 6]))
    assert new == [NewModel("draft", "auto", "b", START + 2 * DAY, 6, 6 / 106)]
    assert gone == []


def test_a_few_requests_or_half_a_percent_are_no_new_model():
    assert novel(stream({"a": 1.0}), days(a=[100], b=[5]))[0] == []
    assert novel(stream({"a": 1.0}), days(a=[100], b=[6]))[0] != []
    assert novel(stream({"a": 1.0}), days(a=[2000], b=[9]))[0] == []
    assert novel(stream({"a": 1.0}), days(a=[2000], b=[11]))[0] != []


def test_bursts_count_five_at_most():
    assert novel(stream({"a": 1.0}, design_effect=20), days(a=[100], b=[14]))[0] == []
    assert novel(stream({"a": 1.0}, design_effect=20), days(a=[100], b=[15]))[0] != []


def test_a_vanished_model_is_listed_with_the_day_it_was_last_seen():
    new, gone = novel(stream({"a": 0.9, "b": 0.1}), days(a=[100] * 9, b=[9, 11] + [0] * 7))
    assert new == []
    assert gone == [VanishedModel("draft", "auto", "b", 0.1, START + 2 * DAY, 7, 70.0)]


def test_a_model_that_never_answered_has_no_last_day():
    _, gone = novel(stream({"a": 0.5, "b": 0.5}), days(a=[100, 100]))
    assert gone == [VanishedModel("draft", "auto", "b", 0.5, None, 1, 50.0)]


def test_without_requests_nothing_is_new_or_gone():
    none = days(a=[0, 0], b=[0, 0], c=[0, 0])
    assert novel(stream({"a": 0.5, "b": 0.5}), none) == ([], [])
    assert new_models(stream({"a": 1.0}), {}, np.zeros(0), START) == []
    assert vanished_models(stream({"a": 1.0}), {}, np.zeros(0), START) == []


def test_the_alert_rules_say_the_same():
    rng = np.random.default_rng(5)
    found = set()
    for _ in range(300):
        phi = rng.uniform(1, 8)
        of = stream({"a": 0.8, "b": 0.15, "c": 0.05}, phi)
        counts = rng.poisson([120, rng.choice([0, 0.05, 20]), rng.choice([0, 8]), rng.choice([0, 0.5, 8])], size=(8, 4))
        history = History(START, 300, 8 * 288)
        for name, daily in zip("abcd", counts.T, strict=True):
            slices = np.zeros(history.size)
            slices[144::288] = daily  # at noon, so that the alert's six hours to midnight have no requests
            history.known[Known("draft", "auto", name, "resolved", "router")] = slices
        new, gone = novel(of, days(**dict(zip("abcd", counts.T, strict=True))))
        plan = Plan((of,), (), "nobody", 0.05)
        alerts = {
            (v.alert.removeprefix("LLMRouting"), v.served) for v in verdicts.evaluate(history, plan) if v.active[-1]
        }
        assert {("NewServedModel", one.served) for one in new} == {a for a in alerts if a[0] == "NewServedModel"}
        weekly = {
            ("ServedModelVanished", one.served) for one in gone if not counts[-7:, "abcd".index(one.served)].any()
        }
        assert weekly == {a for a in alerts if a[0] == "ServedModelVanished"}
        found |= alerts
    assert {name for name, _ in found} >= {"NewServedModel", "ServedModelVanished"}
