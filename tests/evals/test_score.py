"""Scores as production weighs them: unbiased, with honest intervals, and silent where nothing can be said."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from eval_shop import AUTO, FIRST, HAIKU, LAST, MINI, SONNET, call, cases, made_of, shop, traffic
from stored import EXAMPLES, at, folder

from otel_llm_routing.analyze.evals.cases import Case
from otel_llm_routing.analyze.evals.check import NotJudgedError
from otel_llm_routing.analyze.evals.documents import of_score
from otel_llm_routing.analyze.evals.estimate import Observed, Stratum, estimate, student
from otel_llm_routing.analyze.evals.mixes import MixError, of_production, of_reference, of_shares
from otel_llm_routing.analyze.evals.production import read
from otel_llm_routing.analyze.evals.score import score
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.policy.reference import load

__all__ = ["folder", "shop", "traffic"]

SIZES = (256, 512, 1024, 2048)


def scored(of, *groups, **more):
    """Score (surface, size, number, mean score) cases that pass or fail."""
    made = [
        Case(f"{at}-{n}", surface, size, float(n < round(number * mean)))
        for at, (surface, size, number, mean) in enumerate(groups)
        for n in range(number)
    ]
    return score(made, of, **more)


# The weighted score ---------------------------------------------------------------------------------------------------


def test_each_case_counts_as_much_as_the_traffic_that_it_stands_for():
    of = made_of({("a", 256, SONNET): 700, ("a", 512, SONNET): 100, ("b", 256, SONNET): 200})
    found = scored(of, ("a", 100, 10, 0.5), ("a", 300, 40, 1.0), ("b", 100, 50, 0.8))
    assert found.weighted.score == pytest.approx(0.7 * 0.5 + 0.1 * 1.0 + 0.2 * 0.8)
    assert found.unweighted.score == pytest.approx((5 + 40 + 40) / 100)
    assert found.weighted.effective == pytest.approx(1 / (0.7**2 / 10 + 0.1**2 / 40 + 0.2**2 / 50))
    first = found.surfaces[0]
    assert (first.surface, first.traffic_share, first.cases) == ("a", 0.8, 50)
    assert first.weighted.score == pytest.approx((0.7 * 0.5 + 0.1) / 0.8)
    assert first.unweighted.score == pytest.approx(0.9)
    assert found.covered == 1


def test_an_eval_that_is_like_production_has_the_plain_mean():
    of = made_of({("a", 256, SONNET): 700, ("a", 512, SONNET): 100, ("b", 256, SONNET): 200})
    found = scored(of, ("a", 100, 70, 0.6), ("a", 300, 10, 0.9), ("b", 100, 20, 0.3))
    assert found.weighted.score == pytest.approx(found.unweighted.score)
    assert found.weighted.effective == pytest.approx(100)


def test_sizes_without_a_case_are_stood_for_by_their_surface_and_that_is_said():
    of = made_of({("a", 256, SONNET): 600, ("a", 512, SONNET): 200, ("a", 1024, SONNET): 200})
    found = scored(of, ("a", 100, 10, 0.5), ("a", 300, 10, 1.0))
    assert found.weighted.score == pytest.approx((0.6 * 0.5 + 0.2 * 1.0) / 0.8)
    assert (found.borrowed, found.covered) == (pytest.approx(0.2), 1)


def test_surfaces_without_a_case_are_not_spoken_for_and_that_is_said():
    of = made_of({("a", 256, SONNET): 600, ("b", 512, SONNET): 400})
    found = scored(of, ("a", 100, 10, 0.5))
    assert found.weighted.score == pytest.approx(0.5)
    assert dict(found.uncovered) == {"b": pytest.approx(0.4)}
    assert found.covered == pytest.approx(0.6)


def test_cases_of_sizes_that_nobody_sends_count_nothing_unless_there_are_no_others():
    of = made_of({("a", 256 * 2**power, SONNET): 100 for power in range(4)})
    found = scored(of, ("a", 100, 10, 0.5), ("a", 10**6, 90, 1.0))
    assert (found.weighted.score, found.surfaces[0].idle) == (0.5, 90)
    only = scored(of, ("a", 10**6, 90, 1.0))
    assert (only.weighted.score, only.surfaces[0].idle, only.borrowed) == (1.0, 0, 1.0)


def test_cases_without_a_size_stand_for_their_surface():
    of = made_of({("a", 256, SONNET): 900, ("a", 512, SONNET): 100})
    found = scored(of, ("a", 100, 10, 1.0), ("a", 300, 10, 0.0), ("a", None, 20, 0.5))
    assert found.weighted.score == pytest.approx(0.5 * 0.9 + 0.5 * 0.5)
    assert found.surfaces[0].unsized == 20


def test_runs_of_a_case_are_one_case_with_their_mean():
    of = made_of({("a", 256, SONNET): 900})
    made = [Case("1", "a", 100, value) for value in (1.0, 0.0, 0.0, 0.0)]
    made += [Case("2", "a", 100, 1.0), Case("3", "a", 100, 1.0), Case("3", "a", 100, None)]
    found = score(made, of)
    assert (found.cases, found.scored) == (3, 3)
    assert found.weighted.score == pytest.approx((0.25 + 1 + 1) / 3)


def test_what_has_no_score_or_no_surface_is_counted_and_not_lost():
    of = made_of({("a", 256, SONNET): 900})
    made = [Case("1", "a", 100, 1.0), Case("2", "a", 100, None), Case("3", "a", 100, float("nan"))]
    made += [Case("4", "", 100, 0.0), Case("5", "old", 100, 0.0), Case("6", "a", 100, math.inf)]
    found = score(made, of)
    assert (found.cases, found.scored, found.no_surface, dict(found.unseen)) == (6, 3, 1, {"old": 1})
    assert (found.weighted.score, found.unweighted.score) == (1.0, pytest.approx(1 / 3))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "there is no case"),
        ([Case("1", "a", 5)], "none of 1 case has a score"),
        ([Case("1", "b", 5, 1.0)], "no scored case is of a surface that has requests: the cases are of 'b'"),
        ([Case("1", "", 5, 1.0)], "the cases are of no surface"),
    ],
)
def test_what_cannot_be_scored_says_why(made, said):
    with pytest.raises(NotJudgedError, match=said):
        score(made, made_of({("a", 256, SONNET): 60}))


# Intervals ------------------------------------------------------------------------------------------------------------


class Truth:
    """An eval that prefers the cells in which it scores well, and what production would score."""

    def __init__(self, seed, kind):
        self.rng = np.random.default_rng(seed)
        self.kind = kind
        self.cells = [(surface, size) for surface in "ab" for size in SIZES]
        self.requests = self.rng.integers(20_000, 300_000, len(self.cells))
        self.mean = self.rng.uniform(0.3, 0.95, len(self.cells))
        self.score = float((self.requests * self.mean).sum() / self.requests.sum())
        drawn = np.sort(self.rng.dirichlet(np.full(len(self.cells), 4.0)))
        self.drawn = drawn[np.argsort(np.argsort(self.mean))]

    def eval(self, cases):
        """Return the cells and the scores of an eval: a case of each cell, the others drawn."""
        number = self.rng.multinomial(cases - len(self.cells), self.drawn) + 1
        at = np.repeat(np.arange(len(self.cells)), number)
        mean = self.mean[at]
        if self.kind == "pass or fail":
            return at, (self.rng.random(cases) < mean).astype(float)
        if self.kind == "graded":
            return at, self.rng.beta(4 * mean, 4 * (1 - mean))
        return at, mean + self.rng.normal(0, 1, cases)


@pytest.mark.parametrize("kind", ["pass or fail", "graded", "any number"])
def test_the_weighted_score_is_unbiased_where_the_plain_one_is_not(kind):
    truth = Truth(7, kind)
    of = made_of({(*cell, SONNET): int(n) for cell, n in zip(truth.cells, truth.requests, strict=True)})
    weighted, plain = [], []
    for _ in range(100):
        at, scores = truth.eval(100)
        found = score(
            [Case(str(n), *truth.cells[c], float(s)) for n, (c, s) in enumerate(zip(at, scores, strict=True))], of
        )
        weighted.append(found.weighted.score)
        plain.append(found.unweighted.score)
    error = np.std(weighted) / math.sqrt(100)
    assert abs(np.mean(weighted) - truth.score) < 3 * error < abs(np.mean(plain) - truth.score)


@pytest.mark.parametrize("cases", [40, 200])
@pytest.mark.parametrize("kind", ["pass or fail", "graded", "any number"])
def test_the_interval_covers_the_truth_as_often_as_it_says(kind, cases):
    truth = Truth(11 + cases, kind)
    covered, times = 0, 800
    for _ in range(times):
        at, scores = truth.eval(cases)
        strata = [
            Stratum(surface, float(requests), [Observed(int(n), float(scores[n])) for n in np.flatnonzero(at == cell)])
            for cell, ((surface, _), requests) in enumerate(zip(truth.cells, truth.requests, strict=True))
        ]
        found = estimate(strata, bounded=kind != "any number")
        covered += found.low <= truth.score <= found.high
    assert 0.925 <= covered / times <= 0.98, covered / times


def test_an_interval_does_not_collapse_where_all_cases_pass():
    of = made_of({("a", 256, SONNET): 900})
    found = scored(of, ("a", 100, 20, 1.0)).weighted
    assert found.score == found.high == 1
    assert found.low == pytest.approx(20 / (20 + 1.96**2), abs=0.001)


def test_a_surface_of_few_cases_that_all_pass_leaves_the_whole_as_uncertain_as_itself():
    few = Stratum("a", 0.6, [Observed(n, 1.0) for n in range(18)])
    many = Stratum("b", 0.4, [Observed(n + 18, float(n % 20 > 0)) for n in range(400)])
    whole, alone = estimate([few, many], bounded=True), estimate([few], bounded=True)
    assert whole.score == pytest.approx(0.6 + 0.4 * 0.95)
    assert whole.score - whole.low == pytest.approx(0.6 * (1 - alone.low), rel=0.02)


@pytest.mark.parametrize("means", [(0.99, 0.9), (0.97, 0.6), (0.5, 0.98)])
def test_the_interval_covers_the_truth_where_a_surface_nearly_always_passes(means):
    rng = np.random.default_rng(3)
    truth, covered, times = 0.7 * means[0] + 0.3 * means[1], 0, 600
    for _ in range(times):
        passed = [(rng.random(25) < mean).astype(float) for mean in means]
        strata = [
            Stratum(name, weight, [Observed(100 * at + n, float(one)) for n, one in enumerate(scores)])
            for at, (name, weight, scores) in enumerate(zip("ab", (0.7, 0.3), passed, strict=True))
        ]
        found = estimate(strata, bounded=True)
        covered += found.low <= truth <= found.high
    assert covered / times >= 0.925


@pytest.mark.parametrize("numbers", [(2, 2, 20, 4, 4, 4, 2, 2), (4, 10, 26, 40, 60, 40, 10, 10)])
def test_the_interval_covers_the_truth_less_often_where_the_busiest_cell_has_hardly_a_case(numbers):
    weights, means = (0.4, 0.2, 0.1, 0.04, 0.06, 0.1, 0.05, 0.05), (0.5, 0.8, 0.95, 0.9, 0.9, 0.95, 0.7, 0.6)
    rng = np.random.default_rng(5)
    truth, covered, times = float(np.dot(weights, means)), 0, 600
    for _ in range(times):
        number = itertools.count()
        strata = [
            Stratum(name, weight, [Observed(next(number), float(one)) for one in rng.beta(4 * mean, 4 - 4 * mean, n)])
            for name, weight, mean, n in zip("aaabbbcc", weights, means, numbers, strict=True)
        ]
        found = estimate(strata, bounded=True)
        covered += found.low <= truth <= found.high
    assert 0.8 <= covered / times <= 0.93, covered / times


def test_of_one_case_hardly_anything_is_known():
    of = made_of({("a", 256, SONNET): 900})
    found = score([Case("1", "a", 5, 1.0)], of).weighted
    assert found.low < 0.25
    unbounded = score([Case("1", "a", 5, 70.0)], of).weighted
    assert (unbounded.score, unbounded.low, unbounded.high) == (70, None, None)


def test_cells_of_one_case_each_have_an_interval_all_the_same():
    of = made_of({("a", 256 * 2**power, SONNET): 100 for power in range(10)})
    made = [Case(str(power), "a", 200 * 2**power, float(power % 3 > 0)) for power in range(10)]
    found = score(made, of).weighted
    assert found.low < found.score - 0.15 < found.score + 0.15 < found.high


def test_the_same_cases_in_two_strata_are_not_twice_as_many_witnesses():
    values = [float(n % 2) for n in range(40)]
    same = [Stratum("a", 1.0, [Observed(n, value) for n, value in enumerate(values)]) for _ in range(2)]
    other = [Stratum("a", 1.0, [Observed(n + 40 * at, value) for n, value in enumerate(values)]) for at in range(2)]
    once = estimate(same[:1], bounded=True)
    assert estimate(same, bounded=True).low == pytest.approx(once.low, abs=0.01)
    assert estimate(other, bounded=True).low > once.low + 0.03


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1e6, 1.960)]
)
def test_student(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, abs=0.005)


# By the model that served ---------------------------------------------------------------------------------------------


def of_model(model, number, mean, size=100, surface="a", match="resolved"):
    return [
        Case(f"{model}-{size}-{n}", surface, size, float(n < round(number * mean)), (call(model, match=match),))
        for n in range(number)
    ]


def test_scores_are_sliced_by_what_served_and_nothing_is_lost():
    of = made_of({("a", 256, SONNET): 900, ("a", 256, HAIKU): 100})
    made = [*of_model(SONNET, 10, 0.9), *of_model(HAIKU, 5, 0.4), *of_model(f"anthropic/{HAIKU}", 5, 0.4)]
    made += [Case("silent", "a", 100, 1.0), Case("both", "a", 100, 1.0, (call(HAIKU), call(SONNET)))]
    made += [Case("unknown", "a", 100, 0.0, (call(""),)), Case("half", "a", 100, 0.0, (call(""), call(HAIKU)))]
    found = score(made, of)
    slices = {(one.served.kind, one.name): (one.cases, one.unweighted.score) for one in found.surfaces[0].slices}
    assert slices == {
        ("model", SONNET): (10, pytest.approx(0.9)),
        ("model", HAIKU): (10, pytest.approx(0.4)),
        ("several", ""): (1, 1.0),
        ("unknown", ""): (2, 0.0),
        ("none", ""): (1, 1.0),
    }
    assert sum(one.runs for one in found.slices) == found.scored == len(made)
    assert found.silent == 1


def test_models_are_compared_at_the_same_sizes():
    # The haiku got the easy, short ones only in the eval; each model is as good as the other at each size.
    of = made_of({("a", 256, SONNET): 500, ("a", 512, SONNET): 500})
    made = [*of_model(SONNET, 10, 0.9), *of_model(SONNET, 90, 0.5, 300)]
    made += [*of_model(HAIKU, 90, 0.9), *of_model(HAIKU, 10, 0.5, 300)]
    slices = {one.name: one for one in score(made, of).surfaces[0].slices}
    assert slices[SONNET].weighted.score == pytest.approx(0.7) == slices[HAIKU].weighted.score
    assert slices[SONNET].unweighted.score < 0.55
    assert slices[HAIKU].unweighted.score > 0.85


def test_epochs_of_one_case_that_different_models_served_are_in_both_slices():
    of = made_of({("a", 256, SONNET): 500})
    made = [Case("1", "a", 100, 1.0, (call(SONNET),)), Case("1", "a", 100, 0.0, (call(HAIKU),))]
    found = score(made, of)
    assert found.scored == 1
    assert {one.name: one.weighted.score for one in found.slices} == {SONNET: 1.0, HAIKU: 0.0}


# Under a mix ----------------------------------------------------------------------------------------------------------


def under(of, made, mix):
    [found] = score(made, of, [mix]).mixes
    return found


def test_the_score_under_a_mix_is_that_of_its_models():
    of = made_of({("a", 256, SONNET): 900, ("a", 256, HAIKU): 100})
    made = [*of_model(SONNET, 50, 0.9), *of_model(HAIKU, 50, 0.5)]
    now = of_production("today", of, of)
    assert under(of, made, now).score.score == pytest.approx(0.9 * 0.9 + 0.1 * 0.5)
    mine = of_shares("mine", {"a": {HAIKU: 0.4}}, now, of)
    assert under(of, made, mine).score.score == pytest.approx(0.6 * 0.9 + 0.4 * 0.5)
    assert score(made, of).weighted.score == pytest.approx(0.7)  # as the eval ran


def test_the_score_at_todays_mix_knows_that_the_router_looks_at_sizes():
    # The haiku serves the short ones, and is bad at long ones, which it never gets.
    of = made_of({("a", 256, HAIKU): 800, ("a", 512, SONNET): 200})
    made = [*of_model(HAIKU, 50, 0.9), *of_model(HAIKU, 50, 0.1, 300), *of_model(SONNET, 50, 0.9, 300)]
    found = under(of, made, of_production("today", of, of))
    assert found.score.score == pytest.approx(0.9)


@pytest.mark.parametrize("routed", [0.2, 0.8])
def test_the_score_under_a_mix_is_unbiased_and_its_interval_covers_the_truth(routed):
    rng = np.random.default_rng(int(100 * routed))
    mean = {(HAIKU, 256): 0.6, (HAIKU, 512): 0.3, (SONNET, 256): 0.9, (SONNET, 512): 0.8}
    share = {(HAIKU, 256): 0.7 * routed, (HAIKU, 512): 0.3 * routed / 2}
    share |= {(SONNET, 256): 0.7 * (1 - routed), (SONNET, 512): 0.3 * (1 - routed / 2)}
    of = made_of({("a", size, model): round(100_000 * part) for (model, size), part in share.items()})
    truth = sum(part * mean[cell] for cell, part in share.items())
    estimates, covered = [], 0
    for _ in range(100):
        made = [
            Case(f"{model}{size}{n}", "a", size, float(rng.random() < mean[model, size]), (call(model),))
            for model, size in mean
            for n in range(30)
        ]
        found = under(of, made, of_production("today", of, of)).score
        estimates.append(found.score)
        covered += found.low <= truth <= found.high
    assert abs(np.mean(estimates) - truth) < 3 * np.std(estimates) / math.sqrt(100)
    assert covered >= 90


def test_a_model_that_no_case_ran_on_cannot_be_said():
    of = made_of({("a", 256, SONNET): 600, ("a", 256, HAIKU): 400, ("b", 256, SONNET): 1000})
    made = [*of_model(SONNET, 50, 0.9), *of_model(SONNET, 50, 0.7, surface="b")]
    found = under(of, made, of_production("today", of, of))
    assert found.score is None
    assert found.covered == pytest.approx(0.8)
    [gap] = found.gaps
    assert (gap.surface, gap.model, gap.share, gap.traffic_share) == (
        "a",
        HAIKU,
        pytest.approx(0.4),
        pytest.approx(0.2),
    )
    assert found.lowest == pytest.approx(0.3 * 0.9 + 0.5 * 0.7)
    assert found.highest == pytest.approx(found.lowest + 0.2)
    assert found.surfaces["a"] is None
    assert found.surfaces["b"].score == pytest.approx(0.7)


def test_cases_without_telemetry_say_nothing_under_a_mix():
    of = made_of({("a", 256, SONNET): 600})
    found = under(of, [Case(str(n), "a", 100, 1.0) for n in range(9)], of_production("today", of, of))
    assert (found.score, found.covered, found.lowest, [gap.model for gap in found.gaps]) == (None, 0, None, [SONNET])


def test_a_surface_whose_mix_nobody_knows_cannot_be_said():
    of = made_of({("a", 256, ""): 600, ("b", 256, SONNET): 400})
    made = [*of_model(SONNET, 9, 1.0), *of_model(SONNET, 9, 1.0, surface="b")]
    found = under(of, made, of_production("today", of, of))
    assert (found.score, found.covered) == (None, pytest.approx(0.4))
    assert [(gap.surface, gap.model, gap.share) for gap in found.gaps] == [("a", "", 1.0)]


def test_the_mix_of_the_reference(shop):
    of = read(open_source(shop.source), at(FIRST), at(LAST))
    reference = load(EXAMPLES / "reference.yaml")
    mix = of_reference("reference", reference, of)
    [whole, *_] = mix.surfaces["autocomplete"]
    said = reference.stream("autocomplete", AUTO).shares
    assert whole == {model: pytest.approx(share, abs=0.01) for model, share in said.items()}
    found = score(cases(), of, [of_production("today", of, of), mix])
    today, then = found.mixes
    assert then.score.score > today.score.score + 0.1
    assert [(gap.surface, gap.model) for gap in then.gaps] == [("autocomplete", MINI)]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"b": {HAIKU: 0.4}}, "the surface 'b' has no requests; production has 'a'"),
        ({"a": {HAIKU: 0.7, SONNET: 0.7}}, "the shares of 'a' add up to 1.400, more than 1"),
        ({"a": {HAIKU: -0.7}}, "-0.7 is no share"),
        ({"a": {HAIKU: 0.5, SONNET: 0.4}}, "no other model is known that could have the rest"),
        ({"a": {HAIKU: float("nan")}}, "nan is no share"),
    ],
)
def test_a_mix_that_makes_no_sense_says_why(shares, said):
    of = made_of({("a", 256, SONNET): 600, ("a", 256, HAIKU): 400})
    with pytest.raises(MixError, match=said):
        of_shares("mine", shares, of_production("today", of, of), of)


def test_the_order_of_cases_does_not_matter(shop):
    of = read(open_source(shop.source), at(FIRST), at(LAST))
    made = [*cases(), *cases()[:30], Case("x", "autocomplete", None, 0.5)]
    mixes = [of_production("today", of, of)]
    one = of_score(score(made, of, mixes))
    assert of_score(score(random.Random(2).sample(made, len(made)), of, mixes)) == one
