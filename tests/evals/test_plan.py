"""Plans of evals: they add up, they are like production, and a minimum costs what it is said to cost."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import components
import pytest
from backfill import load
from eval_shop import FIRST, LAST, at, made_of, rows, shop, traffic
from stored import HAIKU, MINI, SONNET, folder, key

from otel_llm_routing.analyze.evals.plan import PlanError, apportion, effective, plan
from otel_llm_routing.analyze.evals.production import Cell, of_counts, read
from otel_llm_routing.analyze.sources import Count, SizeCount, open_source

__all__ = ["folder", "shop", "traffic"]


def production(traffic, first=FIRST, last=LAST):
    return read(open_source(traffic.source), at(first), at(last))


def anything(seed, surfaces=6):
    """Return some production: few or many surfaces, requests of some of their sizes, some surfaces without sizes."""
    rng = random.Random(seed)
    cells = {}
    for number in range(rng.randint(1, surfaces)):
        if rng.random() < 0.2:
            cells[f"s{number}", None, SONNET] = rng.randint(1, 10**6)
            continue
        for power in range(10):
            if rng.random() < 0.8:
                cells[f"s{number}", 256 * 2**power, rng.choice([SONNET, HAIKU, MINI, ""])] = rng.randint(1, 10**6)
    return made_of(cells or {("s", 256, SONNET): 1})


# What production is ---------------------------------------------------------------------------------------------------


def test_the_shares_of_cells_add_up_to_one_exactly():
    for seed in range(50):
        assert sum(anything(seed).cells().values()) == 1


def test_surfaces_are_weighed_by_the_counter_and_sizes_by_the_histogram(traffic):
    # The histogram has half of the requests, as with a process that exports none: its surface weighs no less.
    traffic.write(rows([("a", "x", SONNET, {0: 30, 1: 10})]))
    traffic.write(rows([("a", "x", SONNET, {0: 40})], sizes=False))
    traffic.write(rows([("b", "x", SONNET, {2: 20})]))
    of = production(traffic)
    assert of.shares()["a"] == pytest.approx(0.8)
    shares = {(cell.surface, cell.upto): share for cell, share in of.cells().items() if share}
    assert shares == {("a", 256): Fraction(3, 5), ("a", 512): Fraction(1, 5), ("b", 1024): Fraction(1, 5)}


def test_cached_and_failed_calls_and_those_without_a_surface_are_counted_beside(traffic):
    day = at(FIRST) + 600
    traffic.write(
        [
            (day, key("a", "x", SONNET), 10),
            (day, key("a", "x", SONNET, cached="true"), 3),
            (day, key("a", "x", "", error="timeout"), 2),
            (day, key("a", "x", SONNET, error="content_filter"), 1),
            (day, key("a", "x", ""), 4),
            (day, key("unknown", "x", SONNET), 5),
        ]
    )
    of = production(traffic)
    assert (of.requests, of.nameless, of.cached, of.failed) == (15, 5, 3, 2)
    assert (of.surfaces["a"].known, of.surfaces["a"].unknown) == (11, 4)


def test_spellings_of_one_model_are_one_model(traffic):
    day = at(FIRST) + 600
    traffic.write([(day, key("a", "x", SONNET), 10), (day, key("a", "x", f"anthropic/{SONNET}"), 5)])
    of = production(traffic)
    assert of.surfaces["a"].mix() == {SONNET: 1.0}
    assert of.name(SONNET) == SONNET


def test_an_answer_that_only_repeats_an_alias_has_a_size_and_no_model():
    counts = [Count(0, "a", "", "chat", "gpt-5", "gpt-5", "alias", "unconfirmed", "body", False, "", 7)]
    of = of_counts(counts, [SizeCount(0, "a", "gpt-5", "gpt-5", 512.0, 7)])
    assert (of.surfaces["a"].known, of.surfaces["a"].unknown) == (0, 7)
    assert of.surfaces["a"].sizes[1] == 7
    assert not of.surfaces["a"].served_by_size[1]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 513, 131_072, 131_073, 10**9])
def test_a_size_is_in_the_cell_that_the_histogram_counts_it_in(size):
    of = made_of({("a", 256 * 2**power, SONNET): 1 for power in range(10)}).surfaces["a"]
    cell, _ = of.cells()[of.bucket(size)]
    assert cell.above < size <= cell.upto or (size == 0 and cell.above == 0)


def test_bounds_that_somebody_else_counts_with_are_kept():
    of = made_of({("a", 1000, SONNET): 3, ("a", 20_000, SONNET): 1, ("a", math.inf, SONNET): 1}).surfaces["a"]
    assert of.bounds == (1000, 20_000, math.inf)
    assert [cell.sizes for cell, _ in of.cells()] == ["up to 1,000", "1,001 to 20,000", "above 20,000"]


def test_one_surface_with_few_sizes_has_the_bounds_that_all_have():
    cells = {("busy", 256 * 2**power, SONNET): 5 for power in range(10)}
    of = made_of({**cells, ("quiet", 512, SONNET): 1, ("quiet", 4096, SONNET): 1})
    assert [cell.sizes for cell, share in of.surfaces["quiet"].cells() if share] == ["257 to 512", "2,049 to 4,096"]


# Plans ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_adds_up_and_is_within_one_case_of_production(seed):
    of = anything(seed)
    cases = random.Random(seed).randint(1, 3000)
    made = plan(of, cases)
    assert sum(cell.cases for cell in made.cells) == cases
    for cell in made.cells:
        assert abs(cell.cases - cell.share * cases) < 1
    assert sum(cell.weight * cell.cases for cell in made.cells) == pytest.approx(cases * (1 - made.uncovered))


@pytest.mark.parametrize("seed", range(40))
def test_a_minimum_is_kept_wherever_there_is_enough_traffic(seed):
    rng = random.Random(seed)
    of = anything(seed)
    least, minimum = rng.choice([0, 0.001, 0.01, 0.1]), rng.randint(1, 20)
    enough = [share for share in of.cells().values() if share and share >= Fraction(str(least))]
    cases = len(enough) * minimum + rng.randint(0, 500) or 1
    made = plan(of, cases, minimum, least)
    assert sum(cell.cases for cell in made.cells) == cases
    for cell in made.cells:
        assert cell.cases >= minimum or cell.share < least
    assert made.effective <= made.effective_without + 1e-9
    assert made.effective <= cases + 1e-9


def test_the_weights_of_a_plan_give_the_score_of_production():
    of = made_of({("a", 256, SONNET): 900, ("a", 512, SONNET): 80, ("b", 256, SONNET): 20})
    made = plan(of, 100, minimum=20)
    score = dict(zip([(cell.cell.surface, cell.cell.upto) for cell in made.cells], (0.9, 0.5, 0.1), strict=True))
    weighted = sum(one.weight * one.cases * score[one.cell.surface, one.cell.upto] for one in made.cells) / 100
    assert weighted == pytest.approx(0.9 * 0.9 + 0.08 * 0.5 + 0.02 * 0.1)
    # Kish: 1/Σ(W²/n), with 60, 20 and 20 cases.
    assert made.effective == pytest.approx(1 / (0.9**2 / 60 + 0.08**2 / 20 + 0.02**2 / 20))
    assert made.design_effect == pytest.approx(100 / made.effective)


def test_largest_remainders_and_equal_ones_by_share_and_name():
    cells = [Cell(name, 0, math.inf) for name in "abcd"]
    shares = dict(
        zip(cells, (Fraction(47, 100), Fraction(16, 100), Fraction(158, 1000), Fraction(212, 1000)), strict=True)
    )
    assert list(apportion(shares, 10, {}).values()) == [5, 2, 1, 2]
    equal = dict.fromkeys(reversed(cells), Fraction(1, 4))
    assert apportion(equal, 2, {}) == {cells[0]: 1, cells[1]: 1, cells[2]: 0, cells[3]: 0}


def test_a_plan_does_not_depend_on_the_order_of_the_source():
    cells = {(f"s{at}", 256 * 2**power, SONNET): 7 for at in range(5) for power in range(4)}
    backwards = dict(reversed(list(cells.items())))
    assert plan(made_of(cells), 33, 1, 0.0) == plan(made_of(backwards), 33, 1, 0.0)


def test_a_plan_that_cannot_be_made_says_why():
    of = made_of({("a", 256 * 2**power, SONNET): 10 for power in range(10)})
    with pytest.raises(PlanError, match=r"10 cells hold 1 % of the requests or more each, and 5 cases .* are 50"):
        plan(of, 49, 5)
    assert sum(cell.cases for cell in plan(of, 50, 5).cells) == 50
    for cases in (0, -3, 10**8):
        with pytest.raises(PlanError, match="no number of cases"):
            plan(of, cases)


def test_a_least_share_is_reached_by_exactly_that_share():
    of = made_of({("a", 256, SONNET): 99, ("a", 512, SONNET): 1})
    assert [cell.cases for cell in plan(of, 10, 2, 0.01).cells if cell.share] == [8, 2]
    assert [cell.cases for cell in plan(of, 10, 2, 0.011).cells if cell.share] == [10, 0]


def test_surfaces_without_sizes_are_planned_as_a_whole(traffic):
    traffic.write(rows([("a", "x", SONNET, {0: 30})], sizes=False))
    made = plan(production(traffic), 5)
    assert [(cell.cell.sizes, cell.cases) for cell in made.cells] == [("any size", 5)]
    assert made.without_sizes == ("a",)


def test_effective_size_of_equal_weights_is_the_number_of_cases():
    cells = [Cell(name, 0, math.inf) for name in "ab"]
    assert effective({cells[0]: Fraction(3, 4), cells[1]: Fraction(1, 4)}, {cells[0]: 75, cells[1]: 25}) == 100


# Sources --------------------------------------------------------------------------------------------------------------


def test_production_is_the_same_from_a_database_and_from_a_real_prometheus(traffic, folder):
    day, daily = at(FIRST), {0: 40, 1: 25, 4: 10}
    traffic.write(rows([("a", "openrouter/auto", SONNET, daily)], FIRST, "2026-11-11"))
    labels = f'llm_routing_surface="a",gen_ai_request_model="openrouter/auto",gen_ai_response_model="{SONNET}"'
    with (folder / "counts.om").open("w", encoding="utf-8") as file:
        file.write("# TYPE llm_routing_requests counter\n")
        points = [(when, 75 * (when > day + 3000)) for when in range(day, day + 7200, 300)]
        more = 'llm_routing_match="resolved",llm_routing_request_kind="router"'
        file.writelines(f"llm_routing_requests_total{{{labels},{more}}} {value} {when}\n" for when, value in points)
        file.write("# TYPE llm_routing_input_size histogram\n")
        for bucket in range(11):
            upto = "+Inf" if bucket == 10 else str(256.0 * 2**bucket)
            total = sum(count for at_, count in daily.items() if at_ <= bucket)
            for when, value in points:
                name = f'llm_routing_input_size_bucket{{{labels},le="{upto}"}}'
                file.write(f"{name} {total if value else 0} {when}\n")
        file.write("# EOF\n")
    load(folder, folder / "counts.om")
    with components.Prometheus(folder) as prometheus:
        found = read(open_source(f"prometheus:{prometheus.url}"), at(FIRST), at("2026-11-12"))
    stored = production(traffic)
    assert found.cells() == stored.cells()
    assert found.surfaces["a"].mix() == stored.surfaces["a"].mix() == {SONNET: 1.0}
    assert found.surfaces["a"].served_by_size == stored.surfaces["a"].served_by_size
