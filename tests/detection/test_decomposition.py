"""Telling our traffic from their router: the parts add up, the verdict is right, and what cannot be known is said."""

from __future__ import annotations

import math
import re

import adjusted_share
import numpy as np
import pytest

from otel_llm_routing.analyze import noise, sizes
from otel_llm_routing.analyze.adjusted import adjust, concentration, score
from otel_llm_routing.analyze.decomposition import ERRORS, decompose, leak
from otel_llm_routing.analyze.sizes import BOUNDS, SizeHistory, SizePair, SizeTable
from otel_llm_routing.analyze.sources import SizeCount
from otel_llm_routing.instrument.metrics import SIZE_BOUNDS

SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
SERVED = (SONNET, HAIKU, MINI)
EDGES = (*BOUNDS, math.inf)
MANY = 150
"""Seeds of a kind of change."""


def haiku_share(log_size, router=0.0):
    return np.clip(1 / (1 + np.exp(1 + 0.9 * log_size)) + router, 0, 1)


def drawn(rng, requests, smaller=1.0, router=0.0):
    """Return requests whose sizes are around 2000 characters, of which the small ones go to haiku."""
    log_size = math.log(smaller) + 1.2 * rng.standard_normal(requests)
    haiku = rng.random(requests) < haiku_share(log_size, router)
    served = np.where(haiku, 1, np.where(rng.random(requests) < 0.05, 2, 0))
    table = np.zeros((3, len(EDGES)))
    np.add.at(table, (served, np.searchsorted(EDGES, 2000 * np.exp(log_size))), 1)
    return table


def pair(seed, then, now, **change):
    rng = np.random.default_rng(seed)
    return SizePair(SERVED, EDGES, drawn(rng, then), drawn(rng, now, **change))


def of(found, served=HAIKU):
    return next(effect for effect in found.effects if effect.served == served)


# The parts ------------------------------------------------------------------------------------------------------------


def test_the_two_parts_add_up_to_the_observed_change_exactly():
    rng = np.random.default_rng(1)
    for _ in range(500):
        shape = rng.integers(1, 6), rng.integers(1, 13)
        then, now = (rng.integers(0, 10 ** rng.integers(1, 5), shape) * rng.integers(0, 2, shape) for _ in range(2))
        if not then.sum() or not now.sum():
            continue
        names = tuple(f"m{k}" for k in range(shape[0]))
        found = decompose(SizePair(names, tuple(range(shape[1])), then.astype(float), now.astype(float)))
        assert {effect.served for effect in found.effects} == set(names)
        for effect in found.effects:
            row = names.index(effect.served)
            assert effect.then == pytest.approx(then[row].sum() / then.sum(), abs=1e-12)
            assert effect.now == pytest.approx(now[row].sum() / now.sum(), abs=1e-12)
            assert effect.mix + effect.router == pytest.approx(effect.change, abs=1e-12)
            assert np.isfinite([effect.mix_error, effect.router_error]).all()
        assert sum(effect.mix for effect in found.effects) == pytest.approx(0, abs=1e-12)
        assert sum(effect.router for effect in found.effects) == pytest.approx(0, abs=1e-12)


def test_the_parts_are_those_of_kitagawa():
    then = np.array([[900.0, 400.0], [100.0, 600.0]])  # haiku: 10 % of the small, 60 % of the large
    now = np.array([[320.0, 480.0], [80.0, 1120.0]])  # 20 %, 70 %; and three quarters are large, where half were
    effect = of(decompose(SizePair((SONNET, HAIKU), (1024, math.inf), then, now)))
    assert effect.mix == pytest.approx((0.2 - 0.5) * 0.15 + (0.8 - 0.5) * 0.65)
    assert effect.router == pytest.approx((0.2 + 0.5) / 2 * 0.1 + (0.8 + 0.5) / 2 * 0.1)


def test_the_standard_errors_are_those_of_repetition_and_three_of_them_cover():
    for change in ({}, {"smaller": 0.5}, {"router": 0.15}):
        truth = of(decompose(pair(0, 2_000_000, 2_000_000, **change)))
        found = [of(decompose(pair(seed, 4000, 1500, **change))) for seed in range(400)]
        for part in ("mix", "router"):
            error = np.array([getattr(effect, f"{part}_error") for effect in found])
            effects = np.array([getattr(effect, part) for effect in found])
            assert error.mean() == pytest.approx(effects.std(), rel=0.15), (change, part)
            covered = np.abs(effects - effects.mean()) <= ERRORS * error
            assert covered.mean() >= 0.99, (change, part)
            # Sizes within joined buckets still differ: that part of the traffic passes for the router's.
            assert effects.mean() == pytest.approx(getattr(truth, part), abs=0.01)


def test_bursts_and_the_shares_own_wobble_widen_the_bounds():
    plain, bursts = (of(decompose(pair(3, 4000, 2000), design_effect=phi)) for phi in (1, 4))
    assert bursts.router_error == pytest.approx(2 * plain.router_error)
    assert bursts.mix_error == pytest.approx(2 * plain.mix_error)
    steady = of(decompose(pair(3, 4000, 2000), wobble=1 / 300))
    p = plain.then
    assert steady.router_error**2 - plain.router_error**2 == pytest.approx(p * (1 - p) / 300)
    assert decompose(pair(3, 4000, 4000, router=0.12), wobble=1 / 100).verdict == "none"
    assert decompose(pair(3, 4000, 4000, router=0.12)).verdict == "router"


# The verdict ----------------------------------------------------------------------------------------------------------

CHANGES = {
    "nothing": ("none", {}),
    "traffic": ("traffic", {"smaller": 0.5}),
    "much more traffic": ("traffic", {"smaller": 0.3}),
    "router": ("router", {"router": 0.18}),
    "both": ("both", {"smaller": 0.45, "router": 0.18}),
    "cancelling": ("both", {"smaller": 3.2, "router": 0.155}),
}


@pytest.mark.parametrize("requests", [(1000, 1000), (5600, 1000), (1000, 20_000), (100_000, 100_000)])
@pytest.mark.parametrize("change", CHANGES)
def test_the_verdict_is_right_every_time_from_a_thousand_requests_on(change, requests):
    right, said = CHANGES[change]
    if change == "cancelling":
        said = {"smaller": 2.0, "router": 0.13} if min(requests) > 1000 else said
    seeds = MANY if max(requests) < 50_000 else 20
    verdicts = [decompose(pair(seed, *requests, **said)).verdict for seed in range(seeds)]
    assert verdicts.count(right) == seeds


def test_changes_that_cancel_out_are_no_change_of_the_raw_share():
    effects = [of(decompose(pair(seed, 5600, 1000, **CHANGES["cancelling"][1]))) for seed in range(50)]
    assert abs(np.mean([effect.change for effect in effects])) < 0.02
    assert np.mean([effect.mix for effect in effects]) < -0.1
    assert np.mean([effect.router for effect in effects]) > 0.1


def test_with_little_traffic_nothing_is_blamed_on_the_router_that_it_did_not_do():
    for requests in (30, 60, 120, 250, 500):
        for change in ({}, {"smaller": 0.5}, {"smaller": 2.5}):
            verdicts = [decompose(pair(seed, 5600, requests, **change)).verdict for seed in range(MANY)]
            assert verdicts.count("router") + verdicts.count("both") <= 2, (requests, change)


def test_fewer_buckets_leave_more_room_for_what_they_do_not_tell_apart():
    assert [leak(buckets) for buckets in (4, 6, 8, 11)] == [0.10, 0.06, 0.03, 0.03]
    assert leak(5) == pytest.approx(0.08)
    assert 1 == leak(1) > leak(2) > leak(3) > leak(4)


# What there is too little of ------------------------------------------------------------------------------------------


def test_one_bucket_tells_nothing_of_why():
    then, now = np.array([[900.0], [100.0]]), np.array([[700.0], [300.0]])
    found = decompose(SizePair((SONNET, HAIKU), (math.inf,), then, now))
    assert found.verdict == "unknown"
    assert "It cannot be told whether it was our own traffic or the router" in found.sentence
    assert decompose(SizePair((SONNET, HAIKU), (math.inf,), then, then)).verdict == "none"


def test_sizes_that_only_one_side_has_tell_nothing_of_the_router():
    then, now = np.zeros((2, 11)), np.zeros((2, 11))
    then[:, :3], now[:, 8:] = [[100] * 3, [300] * 3], [[300] * 3, [100] * 3]
    found = decompose(SizePair((SONNET, HAIKU), EDGES, then, now))
    assert found.verdict == "unknown"
    assert found.compared == 0
    assert of(found).router == 0
    assert "0% of them" in found.sentence


def test_a_size_that_is_new_counts_as_traffic():
    then = np.array([[700.0, 700, 0], [300, 300, 0]])
    now = np.array([[700.0, 700, 50], [300, 300, 550]])
    found = decompose(SizePair((SONNET, HAIKU), (1024, 4096, math.inf), then, now))
    assert found.verdict == "traffic"
    assert of(found).router == pytest.approx(0)


def test_a_side_without_requests_gives_no_verdict():
    some = np.full((2, 3), 100.0)
    for then, now in ((some, some * 0), (some * 0, some)):
        found = decompose(SizePair((SONNET, HAIKU), (1024, 4096, math.inf), then, now))
        assert (found.verdict, found.effects) == ("unknown", ())
        assert found.sentence == "On one of the two sides there are no requests whose size and served model are known."


def test_empty_buckets_change_nothing():
    whole = pair(5, 5600, 3000, router=0.1)
    wider = SizePair(SERVED, tuple(range(17)), *(np.pad(t, ((0, 0), (2, 4))) for t in (whole.then, whole.now)))
    assert decompose(wider).effects == decompose(whole).effects


def test_a_model_that_only_one_side_has_came_or_went_with_the_router():
    then = SizeTable((SONNET, HAIKU), EDGES, drawn(np.random.default_rng(1), 6000)[:2])
    now = SizeTable((SONNET, "newcomer"), EDGES, drawn(np.random.default_rng(2), 6000)[:2])
    found = decompose(sizes.pair(then, now))
    assert found.verdict == "router"
    assert of(found, "newcomer").then == of(found).now == 0
    assert of(found, "newcomer").router == pytest.approx(-of(found).router, abs=0.05)


# Words ----------------------------------------------------------------------------------------------------------------


def test_the_sentence_names_the_model_the_parts_and_what_is_not_recorded():
    unsure = "the router, or a request property we do not record"
    number = r"[+-]\d+\.\d"
    parts = rf"{number} ±\d+\.\d at requests of the same size, {number} ±\d+\.\d because their sizes changed\.$"
    begins = {
        "router": f"It was {unsure}. ",
        "traffic": "It was our own traffic. ",
        "both": f"Both changed: our own traffic, and {unsure}. ",
        "cancelling": f"Both changed, and hide each other: our own traffic, and {unsure}. ",
        "nothing": "Neither our traffic nor the router moved a share further than noise explains. ",
    }
    for change, begin in begins.items():
        said = decompose(pair(1, 20_000, 20_000, **CHANGES[change][1])).sentence
        assert said.startswith(begin)
        model = rf"`(?:{SONNET}|{HAIKU}|{MINI})`"
        told = rf"{model} went from \d+\.\d% to \d+\.\d% \({number} points\): {parts}"
        assert re.fullmatch(told, said.removeprefix(begin)), said


# Tables from sources --------------------------------------------------------------------------------------------------

STREAM = ("autocomplete", "openrouter/auto")


def history(counts, stream=STREAM):
    found = SizeHistory(0, 10, 1)
    found.add(SizeCount(0, *stream, served, bound, n) for served, bound, n in counts)
    return found


def test_the_bounds_are_those_that_the_instrumentation_counts_with():
    assert list(BOUNDS) == SIZE_BOUNDS


def test_neighbours_among_our_bounds_stand_for_all_of_ours():
    table = history([(SONNET, 1024.0, 5), (SONNET, 2048.0, 7), (HAIKU, 1024.0, 1)]).table(STREAM)
    assert table.bounds == EDGES
    assert table.counts[:, 2:4].tolist() == [[5, 7], [1, 0]]


def test_other_bounds_are_brought_to_those_that_both_sides_have():
    fine = history([(SONNET, bound, 1) for bound in EDGES]).table(STREAM)
    coarse = history([(HAIKU, 1024.0, 10), (SONNET, 8192.0, 20), (SONNET, math.inf, 30)]).table(STREAM)
    found = sizes.pair(fine, coarse)
    assert found.bounds == (1024, 8192, math.inf)
    assert found.then.tolist() == [[3, 3, 5], [0, 0, 0]]
    assert found.now.tolist() == [[0, 20, 30], [10, 0, 0]]
    strange = history([(SONNET, 1000.0, 10), (SONNET, math.inf, 20)]).table(STREAM)
    assert sizes.pair(fine, strange).bounds == (math.inf,)


def test_names_that_only_repeat_what_was_requested_count_where_somebody_confirmed_them():
    counts = [(SONNET, 1024.0, 5), ("openrouter/auto", 1024.0, 7), ("", 1024.0, 9)]
    assert history(counts).table(STREAM).served == (SONNET,)
    assert history(counts).table(STREAM, ["openrouter/auto"]).served == (SONNET, "openrouter/auto")
    assert history(counts[1:]).table(STREAM) is None
    assert history(counts).table(("autocomplete", "gpt-5")) is None


# The adjusted share ---------------------------------------------------------------------------------------------------


def test_the_adjusted_share_weighs_buckets_as_the_reference_does():
    then = np.array([[450.0, 200.0, 20.0], [50.0, 300.0, 20.0]])
    now = np.array([[80.0, 90.0, 9.0], [20.0, 210.0, 0.0]])  # too few of the largest
    found = adjust(SizePair((SONNET, HAIKU), (1024, 4096, math.inf), then, now))
    assert found.share[1] == pytest.approx((500 * 0.2 + 500 * 0.7) / 1000)
    assert found.reference[1] == pytest.approx((500 * 0.1 + 500 * 0.6) / 1000)
    assert found.covered == pytest.approx(1000 / 1040)
    assert found.requests == pytest.approx(1 / (0.25 / 100 + 0.25 / 300))
    assert adjust(SizePair((SONNET, HAIKU), (1024, math.inf), then[:, :2], now[:, :2] / 100)) is None


def test_with_unchanged_sizes_it_is_the_share_and_says_as_much():
    table = drawn(np.random.default_rng(2), 50_000)[:, 2:9]
    found = adjust(SizePair(SERVED, EDGES[2:9], table, table / 10))
    assert found.share == pytest.approx(table.sum(axis=1) / table.sum())
    assert found.requests == pytest.approx(table.sum() / 10)
    calm = {"reference_requests": 50_000, "design_effect": 1, "concentration": 300, "factor": 1}
    assert score(found, **calm) == pytest.approx(0, abs=1e-3)


def test_its_wobble_is_the_routers_alone():
    rng = np.random.default_rng(8)

    def measured(restless, m):
        days = []
        for _ in range(60):
            log_size = restless * rng.standard_normal() + 1.2 * rng.standard_normal(8000)
            share = haiku_share(log_size + rng.standard_normal() / math.sqrt(m * 0.2) / 0.9)
            table = np.zeros((2, len(EDGES)))
            served = (rng.random(8000) < share).astype(int)
            np.add.at(table, (served, np.searchsorted(EDGES, 2000 * np.exp(log_size))), 1)
            days.append(SizeTable((SONNET, HAIKU), EDGES, table))
        whole = days[0]._replace(counts=np.sum([day.counts for day in days], axis=0))
        raw = np.array([day.counts.sum(axis=1) for day in days])
        return noise.concentration(raw, 1.0), concentration(whole, days, 1.0)

    raw, calm = measured(0.0, 300)
    assert calm == pytest.approx(raw, rel=0.1)
    raw, restless = measured(0.5, 300)
    assert raw < calm / 3
    assert restless == pytest.approx(calm, rel=0.4)
    assert measured(0.5, 60)[1] < restless / 2


@pytest.mark.timeout(300)
def test_the_adjusted_share_sees_the_router_and_does_not_take_our_traffic_for_it():
    found = {s.name: adjusted_share.compare(s, 15) for s in adjusted_share.SCENARIOS}
    shrunk = found["sizes steady, our requests shrink by half"]
    assert shrunk.change == pytest.approx(0.11, abs=0.02)
    assert shrunk.raw >= 0.7
    assert shrunk.adjusted == 0
    router = found["sizes restless, router +12 points"]
    assert router.raw <= 0.6
    assert router.adjusted >= 0.72
    assert router.adjusted_with_raw_noise < 0.3, "it needs the noise of its own"
    assert found["sizes restless, nothing changes"].adjusted == found["sizes steady, nothing changes"].adjusted == 0
