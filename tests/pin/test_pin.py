"""``otel-llm-routing pin``: what it proposes from a real store, what that costs, what it writes, what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import stored
from stored import AUTO, EXAMPLES, HAIKU, MINI, SONNET, key
from typer.testing import CliRunner

from otel_llm_routing import semconv
from otel_llm_routing.cli.app import app
from otel_llm_routing.policy.loading import load

ROOT = Path(__file__).parents[2]
NOW = int(time.time()) // 3600 * 3600 - 3600
POLICY = """\
# ours
version: 1
surfaces:
  search:  # the box
    uses:
      router: openrouter/auto  # cheap
      alias: [gpt-5-mini, "claude-sonnet-4-5"]
    expect:
      "*haiku*": {max: "25 %"}
      # less than nothing
      "*sonnet*": {min: "40 %", max: "90 %"}
    commitment: none
    unpin_when: never
  digest:
    uses: {pinned: claude-sonnet-4-5-20250929}
  empty:
    uses: {}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


@pytest.fixture
def store(here):
    return stored.Traffic(here / "t.db")


def asked(requested, served, requests, surface="search", hours=5, **more):
    return (NOW - hours * 3600, key(surface, requested, served, **more), requests)


def pin(*arguments, **environment):
    command = ["pin", *arguments, "--source", "sqlite:t.db"]
    return CliRunner().invoke(app, command, env={"COLUMNS": "100", "NO_COLOR": "1", **environment})


def document(*arguments):
    result = pin(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def identifier(found, requested):
    return next(one for one in found["identifiers"] if one["requested"] == requested)


# What is proposed -----------------------------------------------------------------------------------------------------


def test_the_model_that_serves_most_is_proposed_for_each_identifier_with_the_mix_that_follows(store):
    store.write(
        [
            asked(AUTO, SONNET, 60),
            asked(AUTO, HAIKU, 30),
            asked(AUTO, "", 10),
            asked(AUTO, HAIKU, 500, cached="true"),
            asked(AUTO, "", 500, error="Timeout"),
            asked("gpt-5-mini", MINI, 10),
            asked(AUTO, HAIKU, 9000, surface="other"),
        ]
    )
    found = document("search", "--no-costs")
    assert identifier(found, AUTO)["pin"] == SONNET
    assert identifier(found, "gpt-5-mini")["pin"] == MINI
    quiet = identifier(found, "claude-sonnet-4-5")
    assert quiet["pin"] is None
    assert quiet["why_not"].startswith("no request asked for it in 28 days")
    assert (found["requests"], found["known"]) == (110, 100)
    assert found["mix"] == [
        {"model": SONNET, "now": 0.6, "pinned": 0.9, "change": 0.3},
        {"model": HAIKU, "now": 0.3, "pinned": 0.0, "change": -0.3},
        {"model": MINI, "now": 0.1, "pinned": 0.1, "change": 0.0},
    ]
    assert any("not pinned as a whole" in note for note in found["notes"])


def test_spellings_of_one_model_are_one_and_the_commonest_is_asked_for(store):
    store.write(
        [
            asked(AUTO, "anthropic/claude-sonnet-4.5-20250929", 40),
            asked(AUTO, SONNET, 30),
            asked(AUTO, HAIKU, 60),
        ]
    )
    one = identifier(document("search", "--no-costs"), AUTO)
    assert one["pin"] == "anthropic/claude-sonnet-4.5-20250929"
    assert [(model["requests"], model["spellings"]) for model in one["served"]] == [(70, [SONNET]), (60, [])]
    assert any("the same model" in doubt for doubt in one["doubts"])


def test_what_served_as_much_is_named(store):
    store.write([asked(AUTO, SONNET, 200), asked(AUTO, HAIKU, 200)])
    one = identifier(document("search", "--no-costs"), AUTO)
    assert one["pin"] == HAIKU
    assert f"`{SONNET}` serves as much of it: name the one that is wanted with --model." in one["doubts"]


def test_the_unknown_rest_may_be_of_a_model_that_was_never_named(store):
    store.write([asked(AUTO, SONNET, 200), asked(AUTO, "", 201)])
    assert "another model may serve most" in identifier(document("search", "--no-costs"), AUTO)["doubts"][0]
    store.write([asked(AUTO, SONNET, 100)])
    assert "another model may serve most" not in identifier(document("search", "--no-costs"), AUTO)["doubts"][0]


def test_one_request_is_one_request(store):
    store.write([asked(AUTO, SONNET, 1)])
    assert "which served 100.0% of 1 request\n" in pin("search", "--no-costs").stdout


def test_a_request_by_another_spelling_belongs_to_the_identifier_of_the_policy(store):
    store.write([asked("openai/gpt-5-mini", MINI, 40)])
    found = document("search", "--no-costs")
    assert identifier(found, "gpt-5-mini")["pin"] == MINI
    assert not any("does not list" in note for note in found["notes"])


def test_what_the_policy_does_not_list_is_said_and_stays_in_the_mix(store):
    store.write([asked(AUTO, SONNET, 75), asked("mystery", HAIKU, 25)])
    found = document("search", "--no-costs")
    assert any(note.startswith("25.0% of its requests asked for `mystery`") for note in found["notes"])
    assert {row["model"]: row["pinned"] for row in found["mix"]} == {SONNET: 0.75, HAIKU: 0.25}


def test_another_of_the_models_that_served_can_be_named_and_only_one_identifier_moved(store):
    store.write([asked(AUTO, SONNET, 60), asked(AUTO, HAIKU, 40), asked("gpt-5-mini", MINI, 10)])
    found = document("search", "--no-costs", "--model", f"anthropic/{HAIKU}", "--requested", AUTO)
    assert identifier(found, AUTO)["pin"] == HAIKU
    assert any(doubt == f"`{SONNET}` serves more of it: 60.0%." for doubt in identifier(found, AUTO)["doubts"])
    assert identifier(found, "gpt-5-mini")["pin"] is None


def test_unknown_requests_that_could_change_the_order_are_a_doubt(store):
    store.write([asked(AUTO, SONNET, 400), asked(AUTO, HAIKU, 300), asked(AUTO, "", 150)])
    doubt = identifier(document("search", "--no-costs"), AUTO)["doubts"][0]
    assert doubt.startswith("Of 17.6% of its requests the served model is not known: more than")
    store.write([asked(AUTO, SONNET, 4000)])
    doubt = identifier(document("search", "--no-costs"), AUTO)["doubts"][0]
    assert doubt.endswith("the served model is not known.")


def test_a_router_that_changed_its_mind_since_is_a_doubt(store):
    store.write([asked(AUTO, SONNET, 4000, hours=24 * 20), asked(AUTO, HAIKU, 700), asked(AUTO, SONNET, 300)])
    one = identifier(document("search", "--no-costs"), AUTO)
    assert one["pin"] == SONNET
    assert one["doubts"][0].startswith(f"In the last 7 days `{HAIKU}` served most of it, 70.0%, and `{SONNET}` 30.0%")
    assert identifier(document("search", "--no-costs", "--days", "7"), AUTO)["pin"] == HAIKU


def test_few_requests_are_called_few(store):
    store.write([asked(AUTO, SONNET, 3)])
    assert "It had 3 requests with a known served model: few to go by." in pin("search").stdout


# What it costs --------------------------------------------------------------------------------------------------------


def tokens(requested, served, read, written):
    # Of this counter: surface, provider, requested and served model.
    words = ("search", "openrouter", "", requested, served, "", "", "", "", "", "shop")
    return [
        (NOW - 5 * 3600, words, read, semconv.INPUT_TOKENS_TOTAL),
        (NOW - 5 * 3600, words, written, semconv.OUTPUT_TOKENS_TOTAL),
    ]


def priced(served, read, written):
    import genai_prices

    usage = genai_prices.Usage(input_tokens=read, output_tokens=written)
    return float(genai_prices.calc_price(usage, served, provider_id="openrouter").total_price)


def test_costs_are_of_the_tokens_counted_and_what_moves_is_as_the_average_request(store):
    sonnet, haiku = "anthropic/claude-sonnet-4.5", "anthropic/claude-haiku-4.5"
    rules = {"rules": [{"id": "dated", "kind": "pinned", "pattern": ".*(sonnet|haiku)-4[.-]5", "source": "the test"}]}
    Path("rules.json").write_text(json.dumps(rules))
    store.write([asked(AUTO, sonnet, 30), asked(AUTO, haiku, 10)])
    store.write([*tokens(AUTO, sonnet, 30_000, 6_000), *tokens(AUTO, haiku, 50_000, 2_000)])
    from otel_llm_routing.models import forget

    forget()
    try:
        result = pin("search", "--json", OTEL_LLM_ROUTING_MODEL_RULES="rules.json")
    finally:
        forget()
    one = identifier(json.loads(result.stdout), AUTO)
    assert one["pin"] == sonnet
    now = (30 * priced(sonnet, 1000, 200) + 10 * priced(haiku, 5000, 200)) / 40
    pinned = (30 * priced(sonnet, 1000, 200) + 10 * priced(sonnet, 2000, 200)) / 40
    assert one["cost_per_thousand"] == {
        "now": pytest.approx(1000 * now),
        "pinned": pytest.approx(1000 * pinned),
        "unsaid": "",
    }


def test_a_cost_that_nobody_knows_is_not_said(store):
    store.write([asked(AUTO, SONNET, 30), asked(AUTO, "house-model-1", 10)])
    result = pin("search")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert f"What 1,000 requests for {AUTO} cost, now and pinned, cannot be said: no token counts of" in said
    store.write([*tokens(AUTO, SONNET, 3000, 600), *tokens(AUTO, "house-model-1", 1000, 200)])
    said = " ".join(pin("search").stdout.split())
    assert "cannot be said" in said
    assert "unknown price of" in said
    assert "house-model-1" in said


# What an eval gave ----------------------------------------------------------------------------------------------------


def test_scores_are_shown_by_the_model_that_served_the_case(store, here):
    store.write([asked(AUTO, SONNET, 60), asked(AUTO, HAIKU, 40)])
    by_sonnet = [{"requested_model": AUTO, "served_model": SONNET, "match": "resolved"}]
    cases = [
        {"id": "1", "surface": "search", "score": 1.0, "calls": by_sonnet},
        {"id": "2", "surface": "search", "score": 0.5, "calls": by_sonnet},
        {"id": "3", "surface": "digest", "score": 0.1, "calls": by_sonnet},
        {"id": "4", "surface": "search", "score": 0.2},
    ]
    lines = (json.dumps({"schema": "otel-llm-routing/cases/v1", **case}) for case in cases)
    (here / "cases.jsonl").write_text("\n".join(lines))
    found = document("search", "--no-costs", "--cases", "cases.jsonl")
    assert found["scores"] == [{"model": SONNET, "cases": 2, "mean": 0.75}]
    shown = pin("search", "--no-costs", "--cases", "cases.jsonl").stdout
    assert re.search(rf"{SONNET} .* 0.75 \(2\)", shown)
    assert re.search(rf"{HAIKU} .* no case", shown)


# The change -----------------------------------------------------------------------------------------------------------


def test_the_difference_is_printed_and_nothing_is_written_unless_asked(store, here):
    store.write([asked(AUTO, SONNET, 95), asked(AUTO, HAIKU, 5)])
    result = pin("search")
    assert result.exit_code == 0
    assert (here / "policy.yaml").read_text() == POLICY
    diff = result.stdout[result.stdout.index("--- policy.yaml\n") :].splitlines()
    day = time.strftime("%Y-%m-%d", time.gmtime())
    note = f"Pinned on {day} to {SONNET}, which served 95.0% of 100 requests for {AUTO} in 28 days"
    assert [line for line in diff if line[0] in "+-"] == [
        "--- policy.yaml",
        "+++ policy.yaml",
        "-      router: openrouter/auto  # cheap",
        f"+      pinned: {SONNET}  # cheap",
        '-      "*sonnet*": {min: "40 %", max: "90 %"}',
        '+      "*sonnet*": {min: "40 %"}',
        f"+    pin_when: {note}",
    ]
    assert "Taken out of expect, as the pin passes it: *sonnet* max 90.0%." in result.stdout


@pytest.mark.parametrize("tool", [("patch", "-p0"), ("git", "apply", "-p0")])
def test_all_that_is_printed_can_be_piped_into_what_applies_it(store, here, tool):
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not on PATH")
    store.write([asked(AUTO, SONNET, 95), asked(AUTO, HAIKU, 5), asked("x", HAIKU, 5)])
    printed = pin("search").stdout
    done = subprocess.run(tool, input=printed, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    applied = (here / "policy.yaml").read_text()
    (here / "policy.yaml").write_text(POLICY)
    assert pin("search", "--write").exit_code == 0
    assert (here / "policy.yaml").read_text() == applied


def test_where_a_model_is_asked_for_by_another_name_that_is_said(store):
    store.write([asked(AUTO, SONNET, 60, provider="azure.ai.openai")])
    assert any("name of a deployment" in one for one in identifier(document("search", "--no-costs"), AUTO)["doubts"])


def test_written_it_is_a_policy_that_its_check_takes_and_the_rest_is_as_it_was(store, here):
    store.write([asked(AUTO, SONNET, 95), asked("gpt-5-mini", MINI, 5)])
    before = load("policy.yaml")
    result = pin("search", "--write")
    assert result.exit_code == 0
    assert "policy.yaml: written" in result.stderr
    after = load("policy.yaml")
    assert set(after.surfaces["search"].uses.pinned) == {SONNET, MINI}
    assert after.surfaces["search"].uses.alias == ("claude-sonnet-4-5",)
    assert after.surfaces["digest"] == before.surfaces["digest"]
    assert {"# ours", "# the box", "# less than nothing"} <= set(re.findall("# .*", Path("policy.yaml").read_text()))
    assert CliRunner().invoke(app, ["policy", "check"]).exit_code == 0
    again = pin("search")
    assert again.exit_code == 2
    assert "`claude-sonnet-4-5`: no request asked for it in 28 days" in again.stderr


def test_a_policy_elsewhere_is_named_as_patch_finds_it_from_here(store, here):
    store.write([asked(AUTO, SONNET, 95)])
    (here / "deploy").mkdir()
    Path("policy.yaml").rename(here / "deploy" / "p.yaml")
    for named in ("deploy/p.yaml", str(here / "deploy" / "p.yaml")):
        assert "\n--- deploy/p.yaml\n" in pin("search", "--policy", named).stdout


def test_a_policy_with_anchors_that_cannot_be_changed_is_said_after_the_numbers(store):
    store.write([asked(AUTO, SONNET, 95)])
    text = "version: 1\nsurfaces:\n  search: &s\n    uses: {router: openrouter/auto}\n  b: *s\n"
    Path("policy.yaml").write_text(text)
    result = pin("search", "--write")
    assert result.exit_code == 2
    assert "cannot be changed in place" in result.stderr
    assert "100.0%" in result.stdout
    assert Path("policy.yaml").read_text() == text


def test_the_example_policy_and_its_reference_take_every_pin_it_can_propose(here):
    for name in ("policy.yaml", "reference.yaml"):
        (here / name).write_text((EXAMPLES / name).read_text("utf-8"), "utf-8")
    store = stored.Traffic(here / "t.db")
    store.write(
        [
            asked(requested, served, 100 * requests, surface=surface)
            for (surface, requested), mix in stored.MIX.items()
            for served, requests in mix.items()
        ]
    )
    for surface in ("autocomplete", "chart-tooltip", "nightly-digest"):
        result = pin(surface, "--write")
        assert result.exit_code == 0, result.output
        assert "re-pin the reference" in " ".join(result.stdout.split())
        checked = CliRunner().invoke(app, ["policy", "check", "--json"])
        assert not [one for one in json.loads(checked.stdout)["problems"] if one["level"] == "error"]
    assert load("policy.yaml").surface("autocomplete").pinned


# What is refused ------------------------------------------------------------------------------------------------------


def refused(*arguments):
    result = pin(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    return result.stderr


def test_a_surface_without_traffic_or_policy_or_anything_to_move_is_refused(store):
    assert "no request in 28 days" in refused("search")
    store.write([asked(AUTO, SONNET, 5, hours=24 * 40), asked(AUTO, SONNET, 7, surface="searching")])
    assert "no request in 28 days that could say what to pin (the source holds some up to" in refused("search")
    assert "no surface 'serch'; did you mean 'search'?" in refused("serch")
    assert "no surface 'searching'; it has 7 requests; write it into the policy first" in refused("searching")
    assert f"digest: asks for pinned models only ({SONNET}); nothing to move" in refused("digest")
    assert "empty: the policy lists nothing that it uses" in refused("empty")
    assert "'x' is not among what it uses unpinned" in refused("search", "--requested", "x")
    assert "absent.yaml: no such file" in refused("search", "--policy", "absent.yaml")


def test_where_no_served_model_is_known_nothing_is_pinned_on_it(store):
    store.write([asked(AUTO, "", 50), asked(AUTO, AUTO, 20, match="unconfirmed")])
    said = refused("search")
    assert "the served model is known of none of its 70 requests (20 unconfirmed, 50 unreported)" in said


@pytest.mark.parametrize(
    ("served", "said"),
    [
        ("claude-sonnet-4-5", "which is an alias itself (rule"),
        ("openrouter/auto-2", "and nobody knows whether that name moves"),
    ],
)
def test_a_served_name_that_moves_itself_is_no_pin_and_others_are_named(store, served, said):
    store.write([asked("gpt-5-mini", served, 60), asked("gpt-5-mini", MINI, 40)])
    text = refused("search", "--requested", "gpt-5-mini")
    assert said in text
    assert f"or name one of these with --model: `{MINI}` (40.0%)" in text


def test_a_model_that_hardly_served_is_not_moved_to(store):
    store.write([asked(AUTO, SONNET, 995), asked(AUTO, HAIKU, 5)])
    assert "served only 0.5% (5) of its requests, less than 1 %" in refused("search", "--model", HAIKU)
    assert f"`{MINI}` served none of its requests in 28 days; these did: `{SONNET}` 99.5%" in refused(
        "search", "--model", MINI
    )


def test_a_model_that_is_no_longer_offered_is_not_moved_to_and_one_that_ends_is_said(store, here):
    store.write([asked(AUTO, SONNET, 60), asked(AUTO, HAIKU, 40)])
    entry = "lifetimes:\n- {{model: {}, retires: {}, source: the provider's page}}\n"
    (here / "ends.yaml").write_text(entry.format(SONNET, "2020-01-31"))
    assert "is said to be offered no longer since 2020-01-31" in refused("search", "--lifetimes", "ends.yaml")
    (here / "ends.yaml").write_text(entry.format(SONNET, "2099-01-31"))
    found = document("search", "--no-costs", "--lifetimes", "ends.yaml")
    assert any("is offered until 2099-01-31" in doubt for doubt in identifier(found, AUTO)["doubts"])


def test_names_from_outside_reach_the_terminal_as_text(store):
    store.write([asked(AUTO, SONNET, 60), asked(AUTO, "[red]x\x1b[31m`evil`", 40)])
    result = pin("search")
    assert result.exit_code == 0
    assert "\x1b[31m" not in result.stdout
    assert "[red]x" in result.stdout
