"""The daily detector: silent while shares stay in their bands, quick when they leave, and right about since when."""

from __future__ import annotations

import math
import time
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np
import pytest

from otel_llm_routing.analyze import noise
from otel_llm_routing.analyze.detector import DAY, Detection, detect, fleet, pinned_until
from otel_llm_routing.analyze.evidence import TILTS
from otel_llm_routing.analyze.history import History, Known
from otel_llm_routing.policy import loading
from otel_llm_routing.policy.plan import Plan, StreamPlan, plan
from otel_llm_routing.policy.reference import Reference

START = 1_760_000_000 // DAY * DAY
POINTS = {"1h": 0.10, "24h": 0.03, "7d": 0.02}
MIX = {"sonnet": 0.83, "haiku": 0.12, "mini": 0.05}


def stream(shares=MIX, surface="draft", requested="auto", **changed):
    fields = {"requests": 50_000, "days": 28.0, "design_effect": 1.0, "concentration": 300.0, **changed}
    return StreamPlan(surface, requested, shares=shares, threshold=10.0, points=POINTS, **fields)


def watching(*streams):
    return Plan(streams, (), "nobody", 0.05)


def declared(text, shares=MIX, surface="draft", requested=("auto",), **noise_of):
    """The plan of a policy for one surface and a reference of it."""
    when = datetime(2025, 10, 1, tzinfo=timezone.utc)
    fields = {"pin": 1, "requests": 50_000, "days": 28.0, "design_effect": 1.0, "concentration": 300.0, **noise_of}
    pinned = Reference(
        pins=[{"id": 1, "at": when, "reason": "as agreed", "start": when, "end": when, "source": "test"}],
        streams=[{"surface": surface, "requested": name, "shares": shares, **fields} for name in requested],
    )
    return plan(loading.parse(f"version: 1\nsurfaces:\n  draft: {text}\n").policy, pinned)


def history(series, days=None, step=DAY):
    """Counts given as {served: by day}, or {(surface, requested, served): by day}."""
    size = len(next(iter(series.values()))) if days is None else days
    made = History(START, step, size)
    for name, counts in series.items():
        surface, requested, served = ("draft", "auto", name) if isinstance(name, str) else name
        made.known[Known(surface, requested, served, "resolved", "router")] = np.asarray(counts, dtype=float)
    return made


def steady(days, per_day=1000, mix=MIX):
    return {served: [round(per_day * share)] * days for served, share in mix.items()}


def joined(*parts):
    return {name: [count for part in parts for count in part[name]] for name in parts[0]}


def day(index):
    return START + index * DAY


def finite(found):
    numbers = [value for of in (*found.alarms, *found.standing) for value in of if isinstance(value, float)]
    return all(math.isfinite(number) for number in numbers)


# What it is -----------------------------------------------------------------------------------------------------------


def by_hand(counts, shares, *, n_ref, phi, m):
    """The mean of M as DETECTION.md §6 writes it, one number after the other."""

    def log_beta(a, b):
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    def log_likelihood(c, n, q):
        return log_beta(c + m * q, n - c + m * (1 - q)) - log_beta(m * q, m * (1 - q))

    bets = []
    for served, p in shares.items():
        away = max(0.01, math.sqrt(p * (1 - p) / m)) + math.sqrt(p * (1 - p) * (phi / n_ref + 1 / (4 * m)))
        for sign, edge in ((1, min(p + away, 1 - (1 - p) / 4)), (-1, max(p - away, p / 4))):
            for tilt in TILTS:
                q = 1 / (1 + math.exp(-math.log(edge / (1 - edge)) - sign * tilt))
                evidence = 0.0
                for each in counts:
                    c, n = each[served] / phi, sum(each.values()) / phi
                    if n:
                        evidence = (1 + evidence) * math.exp(log_likelihood(c, n, q) - log_likelihood(c, n, edge))
                bets.append(evidence)
    return sum(bets) / len(bets)


def test_the_evidence_is_the_formulas():
    counts = [
        {"sonnet": 160, "haiku": 30, "mini": 5},
        {"sonnet": 80, "haiku": 21, "mini": 1},
        {"sonnet": 0, "haiku": 0, "mini": 0},
        {"sonnet": 155, "haiku": 55, "mini": 3},
    ]
    series = {served: [of[served] for of in counts] for served in MIX}
    of = stream(requests=3000, design_effect=1.7, concentration=220.0)
    (standing,) = detect(history(series), watching(of)).standing
    assert standing.evidence == pytest.approx(by_hand(counts, MIX, n_ref=3000, phi=1.7, m=220.0))
    assert standing.evidence > 1
    assert (standing.served, standing.side, standing.days, standing.last) == ("haiku", "above", 3, day(4))
    assert standing.closeness == pytest.approx(math.log1p(standing.evidence) / math.log1p(1000))


def test_a_steady_mix_is_no_news():
    found = detect(history(steady(120)), watching(stream()))
    assert found.alarms == ()
    assert found.standing[0].evidence < 2
    assert found.standing[0].closeness < 0.2


def test_a_shift_is_named_dated_and_measured():
    series = joined(steady(20), steady(3, mix={"sonnet": 0.73, "haiku": 0.12, "mini": 0.15}))
    found = detect(history(series), watching(stream()))
    first = found.alarms[0]
    assert (first.surface, first.requested, first.served, first.band, first.side) == (
        "draft",
        "auto",
        "mini",
        "",
        "above",
    )
    assert first.onset == day(20)
    assert first.at in (day(21), day(22))
    assert first.share == pytest.approx(0.15)
    assert first.low < 0.15 < first.high
    assert first.reference == 0.05
    assert first.reference < first.edge < 0.1
    assert first.evidence >= first.threshold == 1000
    assert first.requests == (first.at - first.onset) / DAY * 1000
    assert not first.again


def test_a_loss_is_seen_as_well_as_a_gain():
    """5 % to 1 %, spread over so many others that none of them gains much."""
    rest = {f"other-{n}": 0.05 for n in range(19)}
    after = {**dict.fromkeys(rest, 0.99 / 19), "rare": 0.01}
    series = joined(steady(10, 100_000, {**rest, "rare": 0.05}), steady(10, 100_000, after))
    first = detect(history(series), watching(stream({**rest, "rare": 0.05}, concentration=2000.0))).alarms[0]
    assert (first.served, first.side, first.onset) == ("rare", "below", day(10))
    assert first.edge < 0.05


# How often it is wrong ------------------------------------------------------------------------------------------------


def run_lengths(draw, surfaces, days, of, alarm_at):
    """The day of each surface's first alarm, the last day where there is none. ``draw`` gives (day, before) counts."""
    counts = np.zeros((surfaces, days, len(of.shares)))
    for at in range(days):
        counts[:, at] = draw(counts[:, :at])
    names = [f"s{n}" for n in range(surfaces)]
    series = {
        (name, "auto", served): counts[n, :, k] for n, name in enumerate(names) for k, served in enumerate(of.shares)
    }
    found = detect(history(series, days), watching(*(of._replace(surface=name) for name in names)), alarm_at=alarm_at)
    first = dict.fromkeys(names, days)
    for alarm in reversed(found.alarms):
        first[alarm.surface] = round((alarm.at - START) / DAY)
    return np.array(list(first.values()))


def edges(of, served):
    p, m = of.shares[served], of.concentration
    away = max(0.01, math.sqrt(p * (1 - p) / m)) + math.sqrt(p * (1 - p) * (1 / of.requests + 1 / (4 * m)))
    return p - away, p + away


@pytest.mark.parametrize("per_day", [20, 400])
def test_false_alarms_are_as_rare_as_promised_whatever_one_day_has_to_do_with_the_next(per_day):
    """The share's mean follows yesterday's luck from one end of its band to the other: the worst that may happen."""
    rng = np.random.default_rng(4)
    of = stream({"a": 0.7, "b": 0.3}, concentration=100.0, requests=5000)
    low, high = edges(of, "b")

    def draw(before):
        surfaces = len(before)
        lucky = before[:, -1, 1] > 0.3 * per_day if before.shape[1] else np.ones(surfaces, dtype=bool)
        share = rng.beta(100 * np.where(lucky, high, low), 100 * (1 - np.where(lucky, high, low)))
        b = rng.binomial(per_day, share)
        return np.stack([per_day - b, b], axis=1)

    lengths = run_lengths(draw, 300, 300, of, alarm_at=50)
    assert (lengths < 300).mean() > 0.1  # or there is nothing to be seen
    assert lengths.mean() > 50


def test_out_of_its_band_the_promise_is_void():
    rng = np.random.default_rng(4)
    of = stream({"a": 0.7, "b": 0.3}, concentration=100.0, requests=5000)

    def draw(before):
        b = rng.binomial(400, rng.beta(100 * 0.42, 100 * 0.58, size=len(before)))
        return np.stack([400 - b, b], axis=1)

    assert run_lengths(draw, 100, 60, of, alarm_at=50).mean() < 25


class Simulated(NamedTuple):
    """What simulated surfaces came to. Days are counted from the change on."""

    months: float
    """Surface-months without a change."""
    false_alarms: int
    delays: np.ndarray
    """Of the first alarm after the change, to the end of its day; inf where there is none."""
    onsets: np.ndarray
    """How far that alarm's onset is from the change."""
    held: np.ndarray
    """Whether its interval holds the new share."""


def simulate(
    per_day, surfaces, *, before=MIX, after=None, quiet=30, days=60, seed=1, session=1.25, concentration=800.0
) -> Simulated:
    """Pin references from 28 simulated days each, and watch ``days`` more, in which the mix changes after ``quiet``."""
    rng = np.random.default_rng(seed)
    names = list(before)
    old = np.array([before[name] for name in names])
    new = old if after is None else np.array([after[name] for name in names])
    streams, series = [], {}
    for number in range(surfaces):
        pinned = _hours(rng, per_day, np.tile(old, (28, 1)), session, concentration)
        total = pinned.sum(axis=0)
        found = noise.estimate(pinned)
        shares = {name: float(of / total.sum()) for name, of in zip(names, total, strict=True) if of}
        of = {"requests": int(total.sum()), "design_effect": found[0], "concentration": found[1]}
        streams.append(stream(shares, f"s{number}", **of))
        mixes = np.concatenate([np.tile(old, (quiet, 1)), np.tile(new, (days - quiet, 1))])
        daily = _hours(rng, per_day, mixes, session, concentration).reshape(days, 24, -1).sum(axis=1)
        series |= {(f"s{number}", "auto", name): daily[:, k] for k, name in enumerate(names)}
    alarms = detect(history(series, days), watching(*streams)).alarms
    changed = day(quiet if after else days)
    first = {}
    for alarm in alarms:
        if alarm.at > changed:
            first.setdefault(alarm.surface, alarm)
    return Simulated(
        surfaces * (quiet if after else days) / 30,
        sum(alarm.at <= changed for alarm in alarms),
        np.array([(a.at - changed) / DAY for a in first.values()] + [math.inf] * (surfaces - len(first))),
        np.array([(a.onset - changed) / DAY for a in first.values()]),
        np.array([a.low <= (after or before)[a.served] <= a.high for a in first.values()]),
    )


def _hours(rng, per_day, mixes, session, concentration):
    """Counts (hours, models) in sessions of geometric sizes, each of one model, of a mix that wobbles by day."""
    hour = np.arange(len(mixes) * 24)
    rate = per_day / 24 * (1 + 0.7 * np.cos((hour % 24 - 15) / 12 * np.pi))
    rate[hour // 24 % 7 >= 5] *= 0.6
    mix = np.repeat([rng.dirichlet(concentration * of) for of in mixes], 24, axis=0)
    sessions = rng.poisson(rate[:, None] * mix / session)
    more = rng.negative_binomial(np.maximum(sessions, 1), 1 / session)
    return (sessions + np.where(sessions > 0, more, 0)).astype(float)


@pytest.mark.parametrize("per_day", [20, 200, 2400])
def test_false_alarms_are_at_most_one_in_a_hundred_months(per_day):
    found = simulate(per_day, 120, seed=2)
    assert found.months == 240
    assert found.false_alarms <= 6  # 0.009 a month are 2.2; one time in a hundred it is more than 6


@pytest.mark.parametrize(
    ("per_day", "least", "most"),
    [
        (20, 9, 18),  # DETECTION.md: 13.7 days among those found within a month
        (200, 2, 4),  # 3.1
        (2400, 1, 1.5),  # 1.4, of which half a day is that the change comes at some time of a day
    ],
)
def test_5_to_15_percent_is_found_in_time(per_day, least, most):
    after = {"sonnet": 0.73, "haiku": 0.12, "mini": 0.15}
    found = simulate(per_day, 80, after=after, seed=3)
    seen = found.delays[found.delays < math.inf]
    assert least <= seen.mean() <= most
    assert len(seen) / 80 > (0.6 if per_day == 20 else 0.98)
    assert np.mean(np.abs(found.onsets) <= 2) > {20: 0.5, 200: 0.9, 2400: 0.98}[per_day]
    assert np.mean(found.held) > {20: 0.65, 200: 0.85, 2400: 0.88}[per_day]


# Onset and restart ----------------------------------------------------------------------------------------------------

LESS_SONNET = {"sonnet": 0.63, "haiku": 0.32, "mini": 0.05}


def test_a_shift_that_goes_on_is_said_again_with_the_same_onset():
    found = detect(history(joined(steady(15), steady(20, mix=LESS_SONNET))), watching(stream()))
    assert len(found.alarms) > 2
    assert {alarm.onset for alarm in found.alarms} == {day(15)}
    assert [alarm.again for alarm in found.alarms] == [False] + [True] * (len(found.alarms) - 1)
    assert found.alarms[-1].requests == (found.alarms[-1].at - day(15)) / DAY * 1000


def test_after_a_shift_is_over_there_is_quiet_and_the_next_is_a_new_one():
    parts = (steady(10), steady(5, mix=LESS_SONNET), steady(30), steady(5, mix=LESS_SONNET))
    found = detect(history(joined(*parts)), watching(stream()))
    assert {alarm.onset for alarm in found.alarms} == {day(10), day(45)}
    assert not [alarm for alarm in found.alarms if day(15) < alarm.at <= day(45)]
    assert [alarm.again for alarm in found.alarms].count(False) == 2


def test_a_shift_the_other_way_is_a_new_one():
    back = {"sonnet": 0.93, "haiku": 0.02, "mini": 0.05}
    first = detect(history(joined(steady(10), steady(3, mix=LESS_SONNET))), watching(stream())).alarms[0]
    until = round((first.at - day(10)) / DAY)
    found = detect(history(joined(steady(10), steady(until, mix=LESS_SONNET), steady(9, mix=back))), watching(stream()))
    assert found.alarms[0] == first
    assert (found.alarms[1].again, found.alarms[1].onset) == (False, first.at)
    assert all(alarm.again for alarm in found.alarms[2:])


def test_the_model_that_moved_most_is_named():
    series = joined(steady(10, 300), steady(9, 300, {"sonnet": 0.7, "haiku": 0.16, "mini": 0.14}))
    assert detect(history(series), watching(stream())).alarms[0].served == "mini"
    series = joined(steady(10, 100), steady(20, 100, {"sonnet": 0.68, "haiku": 0.18, "mini": 0.14}))
    first = detect(history(series), watching(stream())).alarms[0]
    assert (first.served, first.side) == ("sonnet", "below")  # to two others, each of which gained less


def test_an_alarm_of_the_last_day_is_todays():
    series = joined(steady(10), steady(1, mix={"sonnet": 0.4, "haiku": 0.55, "mini": 0.05}))
    found = detect(history(series), watching(stream()))
    assert [alarm.served for alarm in found.today()] == ["haiku"]
    assert found.standing[0].evidence == 0
    assert found.standing[0].days == 0
    assert detect(history(joined(series, steady(1))), watching(stream())).today() == ()


def test_a_slow_ramp_is_found_and_its_onset_lies_on_it():
    ramp = [{**MIX, "sonnet": 0.83 - 0.1 * k / 14, "mini": 0.05 + 0.1 * k / 14} for k in range(15)]
    series = joined(steady(10), *(steady(1, mix=mix) for mix in ramp))
    first = detect(history(series), watching(stream())).alarms[0]
    assert first.served == "mini"
    assert day(12) <= first.onset < first.at <= day(22)


# Gaps, days that are not over -----------------------------------------------------------------------------------------


def test_days_without_requests_are_no_evidence():
    shifted = steady(1, 60, {"sonnet": 0.7, "haiku": 0.25, "mini": 0.05})
    gap = {name: [0] * 9 for name in MIX}
    whole = detect(history(joined(steady(5, 60), shifted, shifted)), watching(stream()))
    gapped = detect(history(joined(steady(5, 60), shifted, gap, shifted, gap)), watching(stream()))
    assert whole.standing[0].evidence > 1
    assert gapped.standing[0].evidence == whole.standing[0].evidence
    assert gapped.standing[0].days == 7
    assert gapped.standing[0].last == day(16)
    assert gapped.end == day(25)


def test_a_gap_before_the_onset_is_not_part_of_it():
    gap = {name: [0] * 4 for name in MIX}
    first = detect(history(joined(steady(5), gap, steady(3, mix=LESS_SONNET))), watching(stream())).alarms[0]
    assert first.onset == day(9)


def test_a_day_that_is_not_over_is_left_out():
    series = joined(steady(10), steady(1, mix={"sonnet": 0.1, "haiku": 0.85, "mini": 0.05}))
    found = detect(history(series), watching(stream()), until=day(10) + DAY - 1)
    assert (found.alarms, found.end, found.new) == ((), day(10), ())
    assert len(detect(history(series), watching(stream()), until=day(11)).alarms) == 1
    assert detect(history(series), watching(stream()), until=START - 5 * DAY).end == START


def test_hours_add_up_to_days_and_the_rest_is_left_out():
    rng = np.random.default_rng(6)
    hours = {name: rng.poisson(40 * share, size=30 * 24 + 23) for name, share in LESS_SONNET.items()}
    days = {name: counts[: 30 * 24].reshape(30, 24).sum(axis=1) for name, counts in hours.items()}
    by_hour = detect(history(hours, step=3600), watching(stream()))
    assert by_hour == detect(history(days), watching(stream()))
    assert by_hour.alarms
    assert by_hour.end == day(30)


@pytest.mark.parametrize("step", [7 * DAY, 7000])
def test_steps_that_are_no_part_of_a_day_are_refused(step):
    with pytest.raises(ValueError, match=f"steps of {step} s"):
        detect(history(steady(3), step=step), watching(stream()))


def test_days_before_the_reference_was_pinned_say_nothing():
    series = joined(steady(10, mix=LESS_SONNET), steady(10))
    assert detect(history(series), watching(stream())).alarms
    pinned = {("draft", "auto"): day(10) - 3600, ("other", "auto"): day(15)}
    found = detect(history(series), watching(stream()), since=pinned)
    assert found.alarms == ()
    assert found.standing[0].days == 10
    late = detect(history(series), watching(stream()), since={("draft", "auto"): day(10) + 1})
    assert late.standing[0].days == 9
    assert detect(history(series), watching(stream()), since={("draft", "auto"): day(99)}).standing[0].days == 0


def test_a_stream_is_judged_from_the_end_of_the_weeks_that_were_pinned():
    ends = [datetime(2025, month, 1, 9, tzinfo=timezone.utc) for month in (10, 11)]
    mix = {"requests": 100, "days": 28, "design_effect": 1, "concentration": 300, "shares": {"a": 1}}
    pinned = Reference(
        pins=[
            {"id": n, "at": end, "reason": "so", "start": end, "end": end, "source": "test"}
            for n, end in enumerate(ends, 1)
        ],
        streams=[{"surface": s, "requested": "auto", "pin": n, **mix} for n, s in enumerate("xy", 1)],
    )
    assert pinned_until(pinned) == {("x", "auto"): ends[0].timestamp(), ("y", "auto"): ends[1].timestamp()}


# Limits that the policy declares --------------------------------------------------------------------------------------

USES = "uses: {router: auto}"


def sides(found):
    return {(alarm.served, alarm.side, alarm.band) for alarm in found.alarms}


def test_within_a_declared_band_a_share_may_move():
    moved = history(joined(steady(5), steady(20, mix={"sonnet": 0.77, "haiku": 0.2, "mini": 0.03})))
    assert ("haiku", "above", "") in sides(detect(moved, declared(f"{{{USES}}}")))
    banded = declared(f'{{{USES}, expect: {{"*haiku*": {{max: "30 %"}}, "*sonnet*": {{min: "45 %"}}}}}}')
    assert detect(moved, banded).alarms == ()
    beyond = history(joined(steady(5), steady(5, mix={"sonnet": 0.5, "haiku": 0.45, "mini": 0.05})))
    found = detect(beyond, banded)
    assert sides(found) == {("haiku", "above", "*haiku*")}
    first = found.alarms[0]
    assert (first.edge, first.reference, first.onset, first.requested) == (0.3, 0.12, day(5), "")
    assert first.share == pytest.approx(0.45)


def test_the_side_without_a_limit_keeps_the_references():
    banded = declared(f'{{{USES}, expect: {{"*haiku*": {{max: "30 %"}}}}}}')
    gone = history(joined(steady(5), steady(10, mix={"sonnet": 0.95, "haiku": 0.0, "mini": 0.05})))
    assert ("haiku", "below", "") in sides(detect(gone, banded)) or ("sonnet", "above", "") in sides(
        detect(gone, banded)
    )


def test_a_glob_is_about_all_its_models_together():
    shares = {"haiku-4": 0.2, "haiku-5": 0.1, "sonnet": 0.7}
    text = f'{{{USES}, expect: {{"haiku*": {{max: "40 %"}}}}, tolerance: 50}}'
    swapped = {"haiku-4": 0.05, "haiku-5": 0.3, "sonnet": 0.65}
    assert detect(history(joined(steady(5, mix=shares), steady(20, mix=swapped))), declared(text, shares)).alarms == ()
    more = {"haiku-4": 0.2, "haiku-5": 0.1, "sonnet": 0.5, "haiku-6": 0.2}
    series = joined({**steady(5, mix=shares), "haiku-6": [0] * 5}, steady(20, mix=more))
    first = detect(history(series), declared(text, shares)).alarms[0]
    assert (first.served, first.band, first.side, first.edge) == ("", "haiku*", "above", 0.4)
    assert first.reference == pytest.approx(0.3)
    assert first.share == pytest.approx(0.5)


def test_a_limit_of_several_models_says_nothing_of_each():
    shares = {"haiku-4": 0.2, "haiku-5": 0.1, "sonnet": 0.7}
    moved = {"haiku-4": 0.35, "haiku-5": 0.1, "sonnet": 0.55}
    watched = declared(f'{{{USES}, expect: {{"haiku*": {{max: "60 %", min: "10 %"}}}}}}', shares)
    found = detect(history(joined(steady(5, mix=shares), steady(9, mix=moved))), watched)
    assert sides(found) == {("haiku-4", "above", "")}


def test_a_limit_of_a_surface_says_nothing_of_each_of_its_streams():
    watched = declared(
        '{uses: {router: auto, alias: latest}, expect: {"haiku": {max: "30 %"}}}', requested=("auto", "latest")
    )
    series = {("draft", "auto", served): counts for served, counts in steady(20).items()}
    series |= {("draft", "latest", s): of for s, of in joined(steady(5), steady(15, mix=LESS_SONNET)).items()}
    found = detect(history(series), watched)
    assert {alarm.requested for alarm in found.alarms} == {"latest"}
    assert ("haiku", "above", "") in sides(found)


def test_a_limit_is_about_the_surface_whatever_was_requested():
    text = '{uses: {router: auto, alias: latest}, expect: {"*haiku*": {max: "30 %"}}, tolerance: 50}'
    watched = declared(text, requested=("auto", "latest"))

    def asked(auto, latest):
        series = {("draft", "auto", served): [round(1000 * share)] * 10 for served, share in auto.items()}
        return series | {("draft", "latest", served): [round(1000 * share)] * 10 for served, share in latest.items()}

    assert detect(history(asked(MIX, {**MIX, "sonnet": 0.55, "haiku": 0.4})), watched).alarms == ()
    found = detect(history(asked(MIX, {**MIX, "sonnet": 0.2, "haiku": 0.75})), watched)
    assert ("haiku", "above", "*haiku*") in sides(found)


def test_a_surface_without_a_reference_is_held_to_its_limits():
    banded = declared(f'{{{USES}, expect: {{"*haiku*": {{max: "30 %"}}}}}}', surface="another")
    beyond = history(steady(5, mix={"sonnet": 0.5, "haiku": 0.45, "mini": 0.05}))
    first = detect(beyond, banded).alarms[0]
    assert (first.served, first.band, first.reference, first.onset) == ("", "*haiku*", None, START)


def test_a_reference_beyond_a_limit_is_beyond_it_from_the_first_day_on():
    banded = declared(f'{{{USES}, expect: {{"*haiku*": {{max: "5 %"}}}}}}')
    first = detect(history(steady(10)), banded).alarms[0]
    assert (first.band, first.reference, first.onset) == ("*haiku*", 0.12, START)


@pytest.mark.parametrize(
    ("limit", "alarmed"), [('max: "0 %"', True), ('min: "100 %"', True), ("max: 1, min: 0", False)]
)
def test_a_limit_may_be_never_or_always(limit, alarmed):
    banded = declared(f'{{{USES}, expect: {{"*haiku*": {{{limit}}}}}, tolerance: 50}}')
    found = detect(history(steady(10)), banded)
    assert bool(found.alarms) == alarmed
    assert finite(found)


def test_what_the_policy_tolerates_is_no_shift():
    moved = history(joined(steady(5), steady(20, mix={"sonnet": 0.75, "haiku": 0.2, "mini": 0.05})))
    assert detect(moved, declared(f"{{{USES}}}")).alarms
    assert detect(moved, declared(f"{{{USES}, tolerance: 10}}")).alarms == ()
    far = history(joined(steady(5), steady(20, mix={"sonnet": 0.65, "haiku": 0.3, "mini": 0.05})))
    assert detect(far, declared(f"{{{USES}, tolerance: 10}}")).alarms


# How many false alarms a fleet may raise ------------------------------------------------------------------------------


def test_a_fleet_needs_more_evidence():
    assert fleet(200, 30) == 6000
    moved = history(joined(steady(5, 100), steady(30, 100, {"sonnet": 0.73, "haiku": 0.22, "mini": 0.05})))
    one, many = (detect(moved, watching(stream()), alarm_at=a).alarms for a in (1000, fleet(200, 30)))
    assert one[0].at < many[0].at
    assert many[0].threshold == 6000


@pytest.mark.parametrize(("surfaces", "days"), [(0, 30), (5, 0), (5, math.inf), (5, math.nan)])
def test_a_fleet_has_surfaces_and_days(surfaces, days):
    with pytest.raises(ValueError, match="at least one of each"):
        fleet(surfaces, days)


@pytest.mark.parametrize("alarm_at", [0, -1, math.nan, math.inf])
def test_evidence_that_means_nothing_is_refused(alarm_at):
    with pytest.raises(ValueError, match="means nothing"):
        detect(history(steady(3)), watching(stream()), alarm_at=alarm_at)


def test_streams_of_one_surface_share_its_false_alarms():
    found = detect(history(steady(3)), watching(stream(), stream(requested="latest"), stream(surface="other")))
    assert {(s.surface, s.requested): s.threshold for s in found.standing} == {
        ("draft", "auto"): 2000,
        ("draft", "latest"): 2000,
        ("other", "auto"): 1000,
    }


def test_a_surface_with_limits_shares_them_between_its_limits_and_its_stream():
    limit = declared(f'{{{USES}, expect: {{"haiku": {{max: "30 %"}}}}}}')
    assert {(s.requested, s.threshold) for s in detect(history(steady(3)), limit).standing} == {
        ("auto", 2000),
        (None, 2000),
    }
    only = declared(f'{{{USES}, expect: {{"sonnet": {{min: "70 %"}}}}}}', {"sonnet": 1.0})
    assert {(s.requested, s.threshold) for s in detect(history(steady(3)), only).standing} == {(None, 1000)}


# Edges ----------------------------------------------------------------------------------------------------------------


def test_a_stream_of_one_model_is_quiet_until_another_answers():
    one = stream({"sonnet": 1.0})
    found = detect(history({"sonnet": [500] * 30}), watching(one))
    assert found.alarms == ()
    assert found.standing[0].evidence < 0.5
    found = detect(history({"sonnet": [500] * 10 + [450] * 10, "newcomer": [0] * 10 + [50] * 10}), watching(one))
    first = found.alarms[0]
    assert (first.served, first.side, first.reference, first.onset) == ("sonnet", "below", 1.0, day(10))
    assert first.share == pytest.approx(0.9)
    assert [(new.served, new.since, new.requests) for new in found.new] == [("newcomer", day(10), 50)]


def test_a_model_that_vanished_is_listed_and_the_one_that_gained_is_alarmed():
    series = joined(steady(10), steady(10, mix={"sonnet": 0.95, "haiku": 0.0, "mini": 0.05}))
    found = detect(history(series), watching(stream()))
    assert [(gone.served, gone.last, gone.reference) for gone in found.vanished] == [("haiku", day(10), 0.12)]
    assert found.alarms[0].onset == day(10)


def test_new_and_vanished_models_are_those_since_the_reference():
    series = joined({**steady(5), "old": [50] * 5}, {**steady(5), "old": [0, 0, 0, 0, 60]})
    found = detect(history(series), watching(stream()), since={("draft", "auto"): day(5)})
    assert [(new.served, new.since) for new in found.new] == [("old", day(9))]


@pytest.mark.parametrize("shares", [{"a": 1.0, "b": 0.0}, {"a": 0.999999, "b": 0.000001}, {"a": 0.5, "b": 0.5}])
@pytest.mark.parametrize("of", [(1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("n", [1, 10**4, 10**12])
def test_every_answer_is_a_number(shares, of, n):
    found = detect(history({"a": [n * of[0]] * 5, "b": [n * of[1]] * 5}), watching(stream(shares)))
    assert finite(found)
    assert all(0 <= alarm.low <= alarm.share <= alarm.high <= 1 for alarm in found.alarms)
    assert all(0 <= standing.closeness <= 1 for standing in found.standing)
    assert found == detect(history({"a": [n * of[0]] * 5, "b": [n * of[1]] * 5}), watching(stream(shares)))


@pytest.mark.parametrize(
    ("phi", "m"), [(1.0, 50.0), (20.0, 50.0), (20.0, 2000.0), (1.0, 2000.0), (300.0, 1e-3), (1.0, 1e9)]
)
def test_every_noise_is_heeded(phi, m):
    series = joined(steady(30), steady(90, mix={"sonnet": 0.53, "haiku": 0.42, "mini": 0.05}))
    found = detect(history(series), watching(stream(design_effect=phi, concentration=m)))
    assert finite(found)
    assert all(alarm.at > day(30) for alarm in found.alarms)
    assert bool(found.alarms) == (m >= 50)


def test_noise_delays_an_alarm():
    def delay(phi, m):
        moved = history(joined(steady(10, 400), steady(60, 400, {"sonnet": 0.73, "haiku": 0.22, "mini": 0.05})))
        return detect(moved, watching(stream(design_effect=phi, concentration=m))).alarms[0].at - day(10)

    assert delay(1.0, 2000.0) < delay(6.0, 2000.0)
    assert delay(1.0, 2000.0) < delay(1.0, 100.0)


def test_the_same_shares_say_more_with_more_requests():
    def evidence(per_day):
        return detect(history(steady(4, per_day, {"sonnet": 0.75, "haiku": 0.2, "mini": 0.05})), watching(stream()))

    assert evidence(20).standing[0].evidence < evidence(60).standing[0].evidence < evidence(120).standing[0].evidence


def test_a_stream_without_counts_stands_where_it_began():
    empty = detect(history({"sonnet": [0] * 5}), watching(stream()))
    absent = detect(history({("other", "auto", "sonnet"): [9] * 5}), watching(stream()))
    for found in (empty, absent):
        (standing,) = found.standing
        assert (standing.evidence, standing.days, standing.last, standing.closeness) == (0.0, 0, None, 0.0)
        assert found.alarms == found.new == found.vanished == ()


def test_nothing_to_watch_is_nothing_found():
    assert detect(history(steady(5)), watching()) == Detection(START, day(5), (), (), (), ())
    found = detect(History(START, DAY, 0), watching(stream()))
    assert (found.end, found.alarms, found.standing[0].days) == (START, (), 0)


def test_the_order_of_models_and_streams_changes_nothing():
    rng = np.random.default_rng(8)
    series = {name: rng.poisson(300 * share, size=40) for name, share in LESS_SONNET.items()}
    backwards = dict(reversed(series.items()))
    both = [stream(), stream(dict(reversed(MIX.items())), surface="other")]
    found = detect(history(series), watching(*both))
    turned = detect(history(backwards), watching(stream(dict(reversed(MIX.items()))), both[1]))
    assert found.alarms
    assert found == turned
    swapped = detect(history(series), watching(*both[::-1]))
    assert (swapped.alarms, set(swapped.standing)) == (found.alarms, set(found.standing))


def test_requests_of_one_model_count_once_however_they_matched():
    made = history(steady(10))
    split = History(START, DAY, 10)
    for key, counts in made.known.items():
        split.known[key] = counts - 10
        split.known[key._replace(match="substituted")] = np.full(10, 10.0)
    assert detect(split, watching(stream())) == detect(made, watching(stream()))


def test_a_thousand_surfaces_take_seconds():
    rng = np.random.default_rng(9)
    surfaces, models, days = 1000, 8, 90
    shares = rng.dirichlet(np.ones(models), size=surfaces)
    counts = rng.poisson(500 * np.repeat(shares[:, None, :], days, axis=1))
    counts[::20, 60:] = rng.poisson(500 * np.roll(shares[::20], 1, axis=1)[:, None, :], size=(50, 30, models))
    names = [f"model-{k}" for k in range(models)]
    made = History(START, DAY, days)
    for s in range(surfaces):
        for k, name in enumerate(names):
            made.known[Known(f"s{s}", "auto", name, "resolved", "router")] = counts[s, :, k].astype(float)
    watched = watching(*(stream(dict(zip(names, map(float, of), strict=True)), f"s{s}") for s, of in enumerate(shares)))
    began = time.process_time()
    found = detect(made, watched)
    assert time.process_time() - began < 12  # 1.5 s on an idle core
    assert {alarm.surface for alarm in found.alarms if alarm.at > day(60)} >= {f"s{s}" for s in range(0, 1000, 20)}
