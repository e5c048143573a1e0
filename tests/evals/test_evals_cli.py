"""`otel-llm-routing evals`: what it prints, what it writes, how it exits, and what its page says."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import pytest
from eval_shop import EVAL, HAIKU, SONNET, at, call, cases, folder, rows, run, shop, traffic, write
from stored import key
from typer.testing import CliRunner

from otel_llm_routing.analyze.evals.cases import Case
from otel_llm_routing.cli.app import app

__all__ = ["folder", "run", "shop", "traffic"]

PAGE = (Path(__file__).parents[2] / "docs" / "evals.md").read_text("utf-8")
LIKE_PRODUCTION = tuple(
    (surface, requested, served, 200 * 2**bucket, n // 10, n // 10)
    for surface, requested, served, buckets in (
        ("autocomplete", "openrouter/auto", HAIKU, {0: 400, 1: 150}),
        ("autocomplete", "openrouter/auto", SONNET, {1: 50, 2: 100}),
        ("long-form-draft", SONNET, SONNET, {3: 40, 4: 60, 5: 100}),
        ("chart-tooltip", "gpt-5-mini", "gpt-5-mini-2025-08-07", {1: 100}),
    )
    for bucket, n in buckets.items()
)


@pytest.fixture
def evaluated(shop, folder):
    """The shop, with the cases of its eval in a file."""
    write(folder / "cases.jsonl", cases())
    return folder


def document(run, *arguments, code=0):
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


# plan -----------------------------------------------------------------------------------------------------------------


def test_a_plan_is_the_same_as_a_table_as_csv_and_as_json(shop, folder, run):
    assert run("plan", "-n", 100, "--minimum", 8, "-o", "plan.csv").exit_code == 0
    assert run("plan", "-n", 100, "--minimum", 8, "-o", "deep/plan.json").exit_code == 0
    with (folder / "plan.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    made = json.loads((folder / "deep" / "plan.json").read_text("utf-8"))
    assert made == document(run, "plan", "-n", 100, "--minimum", 8)
    assert sum(int(row["cases"]) for row in table) == 100 == sum(cell["cases"] for cell in made["cells"])
    assert len(table) == len(made["cells"])
    for row, cell in zip(table, made["cells"], strict=True):
        assert (row["surface"], int(row["cases"])) == (cell["surface"], cell["cases"])
        assert int(row["size_above"] or 0) == cell["size_above"]
        assert (int(row["size_up_to"]) if row["size_up_to"] else None) == cell["size_up_to"]
        assert float(row["share"]) == pytest.approx(cell["share"], abs=1e-6)
    assert made["effective_cases"] < made["effective_cases_without_minimum"]
    shown = run("plan", "-n", 100, "--minimum", 8).stdout
    assert "100 cases, worth" in shown


def test_a_plan_of_one_surface(shop, run):
    made = document(run, "plan", "-n", 50, "--surface", "chart-tooltip")
    assert [(cell["surface"], cell["cases"]) for cell in made["cells"] if cell["cases"]] == [("chart-tooltip", 50)]


def test_a_plan_says_what_it_leaves_out(shop, run):
    shop.write([(at("2026-11-12"), key("unknown", "x", SONNET), 14_000)])
    shop.write(rows([("plain", "x", SONNET, {0: 1})], sizes=False))
    result = run("plan", "-n", 50)
    assert "50.0% of all requests name no surface; no case is planned for them" in result.stderr
    assert "plain: the source has no sizes of its requests" in result.stderr


# check ----------------------------------------------------------------------------------------------------------------


def test_check_says_what_is_wrong_and_exits_with_1(evaluated, run):
    result = run("check", "cases.jsonl")
    assert result.exit_code == 1
    assert "`autocomplete` is 70.0% of traffic and 20.0% of the eval" in " ".join(result.stdout.split())
    found = document(run, "check", "cases.jsonl", code=1)
    assert found["fine"] is False
    assert [finding["kind"] for finding in found["findings"]] == ["served", "cells", "sizes"]


def test_check_is_calm_about_an_eval_that_is_like_production(shop, folder, run):
    write(folder / "cases.jsonl", cases(LIKE_PRODUCTION))
    result = run("check", "cases.jsonl")
    assert result.exit_code == 0, result.stdout
    assert "100 cases, near enough to production" in result.stdout
    assert document(run, "check", "cases.jsonl")["findings"] == []


def test_check_is_not_calm_about_cases_too_few_to_judge(shop, folder, run):
    write(folder / "cases.jsonl", cases([("long-form-draft", SONNET, SONNET, 2000, 2, 2)]))
    result = run("check", "cases.jsonl")
    assert result.exit_code == 1  # two of two are of a surface that one in five requests is of
    write(
        folder / "cases.jsonl", cases([("autocomplete", "x", HAIKU, 400, 2, 2), ("chart-tooltip", "x", "", 300, 1, 1)])
    )
    result = run("check", "cases.jsonl")
    assert result.exit_code == 2
    assert "3 cases, too few to judge; " in result.stdout
    assert "too few cases to judge" in result.stderr
    found = document(run, "check", "cases.jsonl", code=2)
    assert (found["fine"], found["judged"], found["findings"]) == (False, False, [])


def test_check_takes_its_limits_from_the_policy(evaluated, run):
    text = (evaluated / "policy.yaml").read_text("utf-8")
    (evaluated / "policy.yaml").write_text(f"{text}\nevals: {{distance: 90 %, served_distance: 90 %}}\n", "utf-8")
    assert run("check", "cases.jsonl").exit_code == 0
    (evaluated / "policy.yaml").write_text(f"{text}\nevals: {{distance: 900 %}}\n", "utf-8")
    result = run("check", "cases.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.search(r"policy\.yaml:\d+: evals\.distance: 900 % is not a share", result.stderr)


def test_check_of_one_surface_looks_at_no_other(evaluated, run):
    found = document(run, "check", "cases.jsonl", "--surface", "long-form-draft")
    assert [one["surface"] for one in found["surfaces"]] == ["long-form-draft"]
    assert (found["cases"], found["fine"]) == (140, True)


@pytest.mark.parametrize("number", ["0", "10000001"])
def test_a_number_of_cases_that_no_plan_has_is_refused_before_the_source_is_read(run, number):
    result = run("plan", "-n", number)  # and there is no source
    assert result.exit_code == 2
    assert "is no number of cases from 1 to 10,000,000" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "other.jsonl"], "other.jsonl"),
        (["check", "empty.jsonl"], "empty.jsonl"),
        (["check", "cases.jsonl", "--surface", "nowhere"], "--surface 'nowhere' has no requests in that time"),
        (["check", "cases.jsonl", "--column", "surface"], "--column surface: write what it is and where"),
        (["check", "cases.jsonl", "--format", "nothing"], "nothing"),
        (["check", "cases.jsonl", "--policy", "none.yaml"], "none.yaml: no such file"),
        (["check", "strangers.jsonl"], "no surface is in both: the cases are of `[red]x`"),
        (["plan", "-n", "0"], "0 is no number of cases"),
        (["plan", "-n", "5", "--minimum", "5"], "plan with more cases"),
        (["plan", "-n", "5", "-o", "plan.xlsx"], "a plan is written as CSV or as JSON"),
        (["plan"], "--cases"),
        (["score", "cases.jsonl", "--mix", "autocomplete"], "'autocomplete' is no part of a mix"),
        (["score", "cases.jsonl", "--mix", "autocomplete:gpt=140%"], "'gpt=140%' is no part of a mix"),
        (["score", "cases.jsonl", "--mix", "autocomplete:=4%"], "'=4%' is no part of a mix"),
        (["score", "cases.jsonl", "--mix", "autocomplete:gpt=40%,gpt=50%"], "'gpt' a second time"),
        (["score", "cases.jsonl", "--mix", "nowhere:gpt=40%"], "the surface 'nowhere' has no requests"),
        (["score", "cases.jsonl", "--mix", "mix.json"], "mix.json: cannot be read (No such file or directory)"),
        (["score", "cases.jsonl", "--mix", "broken.json"], "broken.json:2: not JSON"),
        (["score", "cases.jsonl", "--mix", "twice.json"], "the key 'a' a second time"),
        (["score", "cases.jsonl", "--mix", "wrong.json"], "'autocomplete', 'x': no share from 0 to 1"),
        (["score", "cases.jsonl", "--mix", "deep.json"], "deep.json: not JSON"),
        (["score", "cases.jsonl", "--today", "soon"], "--today 'soon'"),
        (["score", "cases.jsonl", "--at-least", "nan"], "--at-least is no score"),
        (["plan", "-n", "5", "--least", "nan"], "--least"),
        (["score", "strangers.jsonl"], "no scored case is of a surface that has requests"),
    ],
)
def test_bad_input_exits_with_2(evaluated, run, arguments, said):
    (evaluated / "empty.jsonl").write_text("")
    (evaluated / "broken.json").write_text('{"a":\n nonsense}')
    (evaluated / "twice.json").write_text('{"a": {"x": 1}, "a": {"y": 1}}')
    (evaluated / "wrong.json").write_text('{"autocomplete": {"x": true}}')
    (evaluated / "deep.json").write_text("[" * 200_000)
    write(evaluated / "strangers.jsonl", [Case("1", "[red]x", 5, 1.0)])
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_a_time_without_requests_is_named(evaluated):
    when = ["--source", "sqlite:llm-routing.db", "--since", "2026-01-01", "--until", "2026-01-02"]
    result = CliRunner().invoke(app, ["evals", "check", "cases.jsonl", *when])
    assert result.exit_code == 2
    assert "there are no requests in that time; there are some from 2026-11-10T00:10:00Z to" in result.stderr


def test_names_from_outside_are_printed_as_they_are(traffic, folder, run):
    name, model = "[red]a", "m[/red]"
    traffic.write(rows([(name, "x", model, {0: 10}), ("b\x1b[2J", "x\x1b[0m", "m\x1b[31m", {0: 10})]))
    write(folder / "cases.jsonl", [Case(str(n), name, 5, 1.0, (call(model),)) for n in range(9)])
    for command in (["check", "cases.jsonl"], ["score", "cases.jsonl"], ["plan", "-n", "3"]):
        result = run(*command)
        assert result.exit_code == (1 if "check" in command else 0), result.output
        assert "\x1b" not in result.stdout
        assert "[red]a" in result.stdout


# score ----------------------------------------------------------------------------------------------------------------


def test_the_score_moves_with_the_weights_and_with_the_mix(evaluated, run):
    found = document(run, "score", "cases.jsonl")
    passed = sum(group[-1] for group in EVAL) / sum(group[-2] for group in EVAL)
    assert found["unweighted"]["score"] == pytest.approx(passed)
    assert found["score"]["score"] < passed - 0.1
    mixes = {mix["mix"]: mix for mix in found["mixes"]}
    assert list(mixes) == ["today", "reference"]
    assert mixes["today"]["score"]["score"] < 0.8
    assert mixes["reference"]["score"]["score"] > 0.9
    [gap] = mixes["reference"]["gaps"]
    assert (gap["surface"], gap["model"], gap["share"]) == (
        "autocomplete",
        "gpt-5-mini-2025-08-07",
        pytest.approx(0.05),
    )


def test_a_mix_may_be_written_or_be_a_file(evaluated, run):
    (evaluated / "mix.json").write_text(json.dumps({"autocomplete": {HAIKU: "30 %", SONNET: 0.7}}))
    written = f"autocomplete:{HAIKU}=30%,anthropic/{SONNET}=.7"
    found = document(run, "score", "cases.jsonl", "--mix", written, "--mix", "mix.json", "--mix", "production")
    scores = {mix["mix"]: mix["score"]["score"] for mix in found["mixes"]}
    assert list(scores) == ["today", "reference", written, "mix.json", "production"]
    assert scores[written] == pytest.approx(scores["mix.json"])
    assert scores["today"] == pytest.approx(scores["production"])  # every day of the shop is the same


def test_a_mix_of_a_name_that_serves_nothing_says_which_may_be_meant(evaluated, run):
    result = run("score", "cases.jsonl", "--mix", "autocomplete:claude-haiku-4-5=30%")
    assert result.exit_code == 0
    assert f"claude-haiku-4-5 serves nothing in production; if you mean {HAIKU}, write that" in result.stderr
    assert "`claude-haiku-4-5` serves 30.0% of `autocomplete`, and no scored case ran on it" in " ".join(
        result.stdout.split()
    )


def test_a_least_score_is_an_exit_code(evaluated, run):
    assert run("score", "cases.jsonl", "--at-least", "0.7").exit_code == 0
    result = run("score", "cases.jsonl", "--at-least", "0.9")
    assert result.exit_code == 1
    assert "the score 0.759 is lower than 0.9" in result.stderr


def test_a_score_that_does_not_speak_for_the_traffic_is_not_judged(evaluated, run):
    write(evaluated / "cases.jsonl", [case for case in cases() if case.surface != "autocomplete"])
    result = run("score", "cases.jsonl", "--at-least", "0.5")
    assert result.exit_code == 2
    assert "70.0% of traffic is of surfaces without a scored case" in result.stderr
    assert run("score", "cases.jsonl", "--at-least", "0.5", "--surface", "long-form-draft").exit_code == 0


# The page -------------------------------------------------------------------------------------------------------------


def test_the_examples_of_the_page(evaluated):
    found = re.findall(r"```console\n\$ (otel-llm-routing evals (\w+) .*?)\n(.*?)```", PAGE, re.DOTALL)
    assert [name for _, name, _ in found] == ["plan", "check", "score"]
    for command, name, printed in found:
        arguments = shlex.split(command.replace("\\\n", ""))[1:]
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100", "NO_COLOR": "1"})
        assert result.exit_code == (1 if name == "check" else 0), result.output
        lines = [line.rstrip() for line in result.stdout.splitlines()]
        assert [line for line in lines if line] == [line for line in printed.splitlines() if line], result.stdout


def test_the_page_names_every_option():
    for name in ("plan", "check", "score"):
        shown = CliRunner().invoke(app, ["evals", name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
        options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", shown)) - {"--help"}
        assert len(options) >= 8
        for option in options:
            assert f"`{option}" in PAGE, option


def fields(value):
    """Yield every key of a document, but those that are names of models or surfaces."""
    if isinstance(value, list):
        for one in value:
            yield from fields(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if re.fullmatch(r"[a-z_]+", name):
                yield name
                yield from fields(one)


def test_the_page_names_every_field_of_the_documents(evaluated, run):
    made = [document(run, "plan", "-n", 20), document(run, "check", "cases.jsonl", code=1)]
    made.append(document(run, "score", "cases.jsonl"))
    for name in sorted({name for one in made for name in fields(one)}):
        assert f"`{name}`" in PAGE, name
