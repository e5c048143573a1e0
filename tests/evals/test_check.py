"""Comparing an eval with production: what it says, what chance explains, and what cannot be judged."""

from __future__ import annotations

import math
import random

import pytest
from eval_shop import AUTO, EVAL, FIRST, HAIKU, LAST, MINI, SONNET, call, cases, made_of, shop, traffic
from stored import at, folder

from otel_llm_routing.analyze.evals import distance
from otel_llm_routing.analyze.evals.cases import Case
from otel_llm_routing.analyze.evals.check import NotJudgedError, check
from otel_llm_routing.analyze.evals.distance import total_variation
from otel_llm_routing.analyze.evals.documents import of_check
from otel_llm_routing.analyze.evals.plan import plan
from otel_llm_routing.analyze.evals.production import read
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.policy.document import PolicyError
from otel_llm_routing.policy.loading import parse

__all__ = ["folder", "shop", "traffic"]

ROUTED = ((HAIKU, 69), (SONNET, 31))


def production(traffic):
    return read(open_source(traffic.source), at(FIRST), at(LAST))


def kinds(checked):
    return [(finding.kind, finding.surface) for finding in checked.findings]


def of_models(surface, served, size=100):
    """Return a case for each model."""
    return [Case(f"{surface}-{n}", surface, size, 1.0, (call(model),)) for n, model in enumerate(served)]


# The distance ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_distance_is_from_0_to_1_and_the_same_both_ways(seed):
    rng = random.Random(seed)
    one, other = ({rng.choice("abcdef"): rng.random() + 1e-9 for _ in range(rng.randint(1, 6))} for _ in range(2))
    one, other = distance.shares(one), distance.shares(other)
    assert 0 <= total_variation(one, other) <= 1
    assert total_variation(one, other) == total_variation(other, one)
    assert total_variation(one, one) == 0
    assert total_variation(one, {"z": 1.0}) == pytest.approx(1)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_an_eval_drawn_from_production_is_within_chance_99_times_of_100(n):
    rng = random.Random(n)
    traffic = {f"c{number}": rng.randint(1, 100) * 1000 for number in range(12)}
    beyond = 0
    for _ in range(200):
        drawn = rng.choices(list(traffic), list(traffic.values()), k=n)
        found = distance.compare({name: drawn.count(name) for name in set(drawn)}, traffic, 0.0)
        beyond += found.beyond
    assert beyond <= 8  # of 200, and 2 are expected


def test_production_of_few_requests_explains_more():
    many = distance.compare({"a": 60, "b": 40}, {"a": 9000, "b": 1000}, 0.1)
    few = distance.compare({"a": 60, "b": 40}, {"a": 9, "b": 1}, 0.1)
    assert many.value == few.value == pytest.approx(0.3)
    assert (many.beyond, few.beyond, few.too_few) == (True, False, True)


def test_traffic_that_a_small_eval_must_miss_is_no_finding():
    traffic = {f"c{number}": 1000.0 for number in range(50)}
    few = distance.missing({f"c{number}": 1 for number in range(20)}, traffic, 0.05)
    assert few.value == pytest.approx(0.6)
    assert few.too_few
    assert distance.missing({f"c{number}": 20 for number in range(20)}, traffic, 0.05).beyond


# Surfaces and sizes ---------------------------------------------------------------------------------------------------


def test_the_shop_says_what_is_wrong_with_its_eval(shop):
    checked = check(cases(), production(shop))
    assert kinds(checked) == [("served", "autocomplete"), ("cells", ""), ("sizes", "autocomplete")]
    [served, cells, sizes] = [finding.sentence for finding in checked.findings]
    assert "`autocomplete` is 70.0% of traffic and 20.0% of the eval" in cells
    assert "513 to 1,024 characters is 14.3% of its traffic and 65.0% of its cases" in sizes
    assert "the eval saw `claude-sonnet-4-5-20250929` for 80.0% of its calls, production for 21.4%" in served
    assert "The sizes of the cases explain it: at their sizes production has 71.2%." in served
    first = checked.cells[0]
    assert (first.cell.surface, first.cell.upto, first.cases) == ("autocomplete", 256, 4)
    assert first.gap == pytest.approx(0.02 - 0.4)
    tooltip = checked.surface("chart-tooltip")
    assert (tooltip.findings, tooltip.served.production_unknown) == ((), pytest.approx(0.1))
    assert checked.surface("nowhere") is None


def test_an_eval_that_follows_its_plan_is_fine(shop):
    of = production(shop)
    made = [
        Case(f"{cell.cell.surface}-{cell.cell.upto}-{n}", cell.cell.surface, int(cell.cell.above) + 1, 1.0)
        for cell in plan(of, 300).cells
        for n in range(cell.cases)
    ]
    checked = check(made, of)
    assert checked.findings == ()
    assert checked.cells_distance.value < 0.01
    assert checked.notes[-1] == "What served `chart-tooltip` is not compared: no call of its cases is known."
    assert "No case has telemetry: which models served them is not known, and is not compared." in checked.notes


def test_cells_without_a_case_are_named_the_largest_first():
    of = made_of({("a", 256, SONNET): 60, ("a", 512, SONNET): 10, ("b", 256, SONNET): 30})
    checked = check([Case(str(n), "a", 500) for n in range(100)], of)
    assert checked.missing.value == pytest.approx(0.9)
    [sentence] = [finding.sentence for finding in checked.findings if finding.kind == "missing"]
    assert sentence.endswith(": `a`, up to 256 characters (60.0%); `b`, any size (30.0%).")
    assert checked.surface("b").missing == 1
    assert "`b` has no case; it is 30.0% of traffic." in checked.notes


def test_cases_without_a_surface_and_of_an_unseen_one_are_named_and_counted():
    of = made_of({("a", 256, SONNET): 60})
    made = [Case(str(n), "a", 100) for n in range(80)]
    made += [Case("x", "unknown", 100, place="cases.csv:7"), Case("y", " ", 100, place="cases.csv:8")]
    made += [Case(f"z{n}", "old", 100) for n in range(18)]
    checked = check(made, of)
    assert (checked.no_surface, dict(checked.unseen)) == (2, {"old": 18})
    assert ("unplaced", "") in kinds(checked)
    assert "2 cases without a surface: `cases.csv:7`, `cases.csv:8`." in checked.notes
    assert checked.cells_distance.value == pytest.approx(18 / 98)


def test_cases_without_a_size_count_for_their_surface_alone():
    of = made_of({("a", 256, SONNET): 50, ("a", 512, SONNET): 50, ("b", 256, SONNET): 100})
    made = [Case(f"1{n}", "a", 100) for n in range(10)] + [Case(f"2{n}", "a", 300) for n in range(10)]
    made += [Case(f"3{n}", "a") for n in range(30)] + [Case(f"4{n}", "b") for n in range(50)]
    checked = check(made, of)
    assert checked.cells_distance.value == pytest.approx(0)
    assert checked.unsized == 80
    assert checked.surface("a").sizes.value == pytest.approx(0)
    assert checked.surface("b").sizes_unsaid == "the size of none of its cases is known"


def test_runs_of_one_case_are_one_case():
    of = made_of({("a", 256, SONNET): 50, ("b", 256, SONNET): 50})
    made = [Case("1", "a", 100), *[Case("2", "b", 100)] * 9]
    checked = check(made, of)
    assert (checked.cases, checked.runs) == (2, 10)
    assert checked.cells_distance.value == 0


def test_one_id_on_two_surfaces_is_two_cases_and_a_run_that_knows_no_surface_is_of_the_others():
    of = made_of({("a", 256, SONNET): 50, ("b", 256, SONNET): 50})
    checked = check([Case("1", "a", 100), Case("1", "b", 100), Case("2", "a", 100), Case("2", "", None)], of)
    assert (checked.cases, checked.no_surface, checked.runs) == (3, 0, 4)


def test_the_surface_and_the_size_of_a_case_may_be_told_by_its_calls():
    of = made_of({("a", 256, SONNET): 50, ("a", 512, SONNET): 50})
    told = [Case(str(n), "", 9999, 1.0, (call(SONNET, surface="a", size=100 + 300 * (n % 2)),)) for n in range(10)]
    assert check(told, of).cells_distance.value == 0
    torn = [Case("x", "", 10, 1.0, (call(SONNET, surface="a"), call(SONNET, surface="b")))]
    assert check([*told, *torn], of).no_surface == 1


# What served ----------------------------------------------------------------------------------------------------------


def test_the_models_of_the_eval_are_compared_with_those_of_production():
    of = made_of({("a", 256, HAIKU): 690, ("a", 256, SONNET): 310})
    checked = check(of_models("a", [SONNET] * 96 + [HAIKU] * 4), of)
    [finding] = checked.findings
    assert finding.kind == "served"
    assert finding.distance.value == pytest.approx(0.65)
    assert "for 96.0% of its calls, production for 31.0% of its requests (limit 20.0%)" in finding.sentence
    assert "do not explain it: at their sizes production has 31.0%." in finding.sentence
    assert check(of_models("a", [SONNET] * 31 + [HAIKU] * 69), of).findings == ()


def test_a_router_that_has_moved_since_is_seen_in_what_serves_today():
    of = made_of({("a", 256, HAIKU): 100, ("a", 256, SONNET): 2700})
    today = made_of({("a", 256, HAIKU): 90, ("a", 256, SONNET): 10})
    made = of_models("a", [SONNET] * 100)
    assert check(made, of).findings == ()
    checked = check(made, of, today=today)
    [finding] = checked.findings
    assert "for 100.0% of its calls, production lately for 10.0% of its requests" in finding.sentence
    assert checked.surface("a").today.production == {HAIKU: 0.9, SONNET: 0.1}
    assert not checked.surface("a").served.distance.beyond
    assert check(made, of, today=made_of({})).surface("a").today is None


def test_spellings_of_one_model_are_no_difference():
    of = made_of({("a", 256, SONNET): 100})
    served = check(of_models("a", [f"anthropic/{SONNET.upper()}"] * 30), of).surface("a").served
    assert served.distance.value == 0
    assert served.eval == served.production == {SONNET: 1.0}


def test_a_requested_model_is_never_taken_for_the_served_one():
    of = made_of({("a", 256, SONNET): 100})
    silent = [Case(str(n), "a", 100, 1.0, (call("", requested=SONNET),)) for n in range(30)]
    checked = check(silent, of).surface("a")
    assert checked.served is None
    assert checked.served_unsaid == "the served model is known of none of its 30 calls"


def test_calls_whose_served_model_is_not_known_stand_beside():
    of = made_of({("a", 256, SONNET): 100})
    made = [*of_models("a", [SONNET] * 20), Case("u", "a", 100, 1.0, (call(""), call(AUTO, match="unconfirmed")))]
    checked = check(made, of)
    served = checked.surface("a").served
    assert (served.calls, dict(served.unknown), served.eval) == (20, {"unconfirmed": 1, "unreported": 1}, {SONNET: 1.0})
    said = (
        "Of 2 calls of the eval for `a` the served model is not known (unconfirmed 1, unreported 1), of 20 calls it is."
    )
    assert said in checked.notes


def test_without_a_match_the_identifiers_decide():
    of = made_of({("a", 256, SONNET): 100})
    told = [Case("1", "a", 100, 1.0, (call(SONNET, match=""), call("gpt-5", requested="gpt-5", match="")))]
    served = check(told, of).surface("a").served
    assert (served.eval, dict(served.unknown)) == ({SONNET: 1.0}, {"unconfirmed": 1})


def test_calls_of_a_judge_are_not_those_of_the_surface():
    of = made_of({("a", 256, SONNET): 100, ("judge", 256, MINI): 1})
    made = [Case(str(n), "a", 100, 1.0, (call(SONNET), call(MINI, surface="judge"))) for n in range(30)]
    assert check(made, of).surface("a").served.eval == {SONNET: 1.0}
    assert check(made, of).surface("judge").served.eval == {MINI: 1.0}


def test_many_calls_of_one_case_are_not_many_witnesses():
    of = made_of({("a", 256, HAIKU): 500, ("a", 256, SONNET): 500})
    one = [Case("1", "a", 100, 1.0, (call(SONNET),) * 100)]
    found = check(one, of).surface("a").served.distance
    assert (found.value, found.beyond, found.too_few) == (0.5, False, True)
    assert check(of_models("a", [SONNET] * 100), of).surface("a").served.distance.beyond


def test_an_eval_that_asks_for_another_model_is_told_so():
    of = made_of({("a", 256, HAIKU): 500})
    made = [Case(str(n), "a", 100, 1.0, (call(SONNET, requested=SONNET, match="exact"),)) for n in range(30)]
    [finding] = check(made, of).findings
    assert finding.sentence.endswith(f"The eval asked for `{SONNET}`, production asks for `{AUTO}`.")


# Limits ---------------------------------------------------------------------------------------------------------------


def policy(text):
    return parse(f"version: 1\n{text}\n").policy


def test_limits_are_those_of_the_policy_the_surface_first():
    of = made_of({("a", 256, HAIKU): 690, ("a", 256, SONNET): 310, ("b", 256, HAIKU): 690, ("b", 256, SONNET): 310})
    made = [*of_models("a", [SONNET] * 500), *of_models("b", [SONNET] * 500)]
    assert kinds(check(made, of)) == [("served", "a"), ("served", "b")]
    lax = "surfaces:\n  a: {uses: {router: x}, evals: {served_distance: 70 %}}\n  b: {uses: {router: x}}"
    assert kinds(check(made, of, policy(lax))) == [("served", "b")]
    assert kinds(check(made, of, policy(f"evals: {{served_distance: 0.7}}\n{lax}"))) == []
    strict = lax.replace("70 %", "10 %")
    assert kinds(check(made, of, policy(f"evals: {{served_distance: 0.7}}\n{strict}"))) == [("served", "a")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evals: {distance: 130 %}", "policy.yaml:2: evals.distance: 130 % is not a share"),
        ("evals: {distanz: 0.1}", "policy.yaml:2: evals.distanz: unknown key; did you mean distance?"),
        ("evals: 0.2", "policy.yaml:2: evals: 0.2 is not a mapping"),
        ("evals: {missing: yes}", "policy.yaml:2: evals.missing: true is not a share"),
    ],
)
def test_limits_that_cannot_be_read_are_named_with_their_line(text, said):
    with pytest.raises(PolicyError) as error:
        policy(f"{text}\nsurfaces: {{a: {{uses: {{router: x}}}}}}")
    assert str(error.value).startswith(said)


def test_limits_of_a_surface_that_cannot_be_read_are_named_too():
    with pytest.raises(
        PolicyError, match=r"surfaces\.a\.evals\.unplaced: unknown key; the keys here are distance, served_distance"
    ):
        policy("surfaces:\n  a: {uses: {router: x}, evals: {unplaced: 0.1}}")


def test_the_application_reads_the_rules_of_a_policy_with_limits(tmp_path):
    from otel_llm_routing.instrument.policy_file import rules

    file = tmp_path / "policy.yaml"
    file.write_text(
        "version: 1\nevals: {distance: 10 %}\nsurfaces:\n  a: {match: /a*, uses: {router: x}, evals: {distance: 1 %}}\n"
    )
    assert rules(str(file)) == (("a", "route", "/a*"),)


# What cannot be judged, and what does not matter ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "there is no case"),
        ([Case("1", "", 5)], "none of 1 case names a surface"),
        ([Case("1", "b", 5)], "no surface is in both: the cases are of `b`, and production is of `a`"),
    ],
)
def test_what_cannot_be_judged_says_why(made, said):
    with pytest.raises(NotJudgedError, match=said):
        check(made, made_of({("a", 256, SONNET): 60}))


def test_without_traffic_nothing_is_judged():
    with pytest.raises(NotJudgedError, match="there are no requests in that time"):
        check([Case("1", "a", 5)], made_of({}))
    with pytest.raises(NotJudgedError, match="none of 7 requests names a surface"):
        check([Case("1", "a", 5)], made_of({("unknown", None, SONNET): 7}))


def test_the_order_of_cases_and_counts_does_not_matter():
    cells = {("a", 256 * 2**n, model): 10 * n + 7 for n in range(8) for model in (SONNET, HAIKU)}
    made = cases(EVAL) + [Case(f"n{n}", "a", n * 300, 1.0, (call(HAIKU),)) for n in range(50)]
    shuffled = random.Random(1).sample(made, len(made))
    one = of_check(check(made, made_of(cells)), made_of(cells))
    backwards = made_of(dict(reversed(list(cells.items()))))
    assert of_check(check(shuffled, backwards), backwards) == one


def test_names_and_sizes_that_nobody_would_write_are_no_reason_to_stop():
    of = made_of({("[bold]a\x1b", 256, "m\x1b[0m"): 60, ("`b`", math.inf, ""): 3})
    made = [Case("", "[bold]a\x1b", -5, float("nan")), Case("", "`b`", 10**30, 1e300), Case("", "`b`", 0, None)]
    checked = check(made, of)
    assert (checked.cases, checked.unsized) == (3, 1)
