"""What is said of a name: by the policy and its waivers, by how long the model is offered, by what telemetry saw."""

from __future__ import annotations

import ast
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from stored import Traffic, key

from otel_llm_routing.analyze.audit import lifetimes
from otel_llm_routing.analyze.audit.lifetimes import Lifetimes, Prices, Told, of_anthropic
from otel_llm_routing.instrument import policy_file

TODAY = date.today()  # noqa: DTZ011  (asked for in UTC; a test at midnight may see the day before)
POLICY = """
version: 1
surfaces:
  autocomplete:
    uses: {router: openrouter/auto, alias: gpt-4o}
  chart-tooltip:
    uses: {alias: [gpt-5, gpt-4o]}
    commitment: none
    pin_when: It gets worse.
  digest:
    uses: {alias: gpt-5-mini, unknown: chat-prod}
    customer_facing: false
  draft:
    uses: {pinned: claude-sonnet-4-5-20250929, alias: our-own-alias}
"""


def day(days):
    return (TODAY + timedelta(days=days)).isoformat()


def rules(finding):
    return [(problem["rule"], problem["level"]) for problem in finding["problems"]]


# The policy -----------------------------------------------------------------------------------------------------------


def test_without_a_policy_what_moves_is_a_warning_and_what_is_pinned_is_fine(tree):
    said = tree.of(
        "a.py", 'A = "gpt-4o"; B = "openrouter/auto"; C = "gpt-4o-2024-08-06"; ask(model="chat-prod", tools=[])'
    )
    assert rules(said.one("gpt-4o")) == [("moving-name", "warning")]
    assert rules(said.one("openrouter/auto")) == [("moving-name", "warning")]
    assert rules(said.one("gpt-4o-2024-08-06")) == []
    assert rules(said.one("chat-prod")) == [("unknown-name", "note")]
    assert said.code == 0


def test_a_name_that_moves_where_customers_see_it_and_nobody_decided_is_an_error(tree):
    tree.write("policy.yaml", POLICY)
    said = tree.of("a.py", 'ask(model="openrouter/auto")')
    found = said.one("openrouter/auto")
    assert said.code == 1
    assert rules(found) == [("undecided-name", "error")]
    assert (
        "customers see what it serves on autocomplete (no commitment and no pin_when)" in found["problems"][0]["text"]
    )
    assert (found["surfaces"], found["customer_facing"]) == (["autocomplete"], True)


def test_what_was_decided_or_customers_do_not_see_is_a_note(tree):
    tree.write("policy.yaml", POLICY)
    said = tree.of("a.py", 'A = "gpt-5"; B = "gpt-5-mini"')
    assert rules(said.one("gpt-5")) == [("decided-name", "note")]
    assert rules(said.one("gpt-5-mini")) == [("decided-name", "note")]
    assert said.one("gpt-5-mini")["customer_facing"] is False
    assert said.code == 0


def test_one_undecided_surface_of_two_is_enough(tree):
    tree.write("policy.yaml", POLICY)
    found = tree.of("a.py", 'A = "gpt-4o"').one("gpt-4o")
    assert found["surfaces"] == ["autocomplete", "chart-tooltip"]
    assert rules(found) == [("undecided-name", "error")]
    assert "chart-tooltip" not in found["problems"][0]["text"]


def test_a_name_is_joined_with_the_policy_in_whatever_way_it_is_spelt(tree):
    tree.write("policy.yaml", POLICY)
    said = tree.of("a.py", 'Agent("openai:gpt-5"); litellm.completion("openai/gpt-5", messages=[])')
    assert [f["surfaces"] for f in said.document["findings"]] == [["chart-tooltip"]] * 2


def test_a_name_that_no_surface_uses_is_said(tree):
    tree.write("policy.yaml", POLICY)
    said = tree.of("a.py", 'A = "gpt-4o-mini"; B = "gpt-4o-2024-08-06"; C = "claude-sonnet-4-5-20250929"')
    assert rules(said.one("gpt-4o-mini")) == [("moving-name", "warning")]
    assert rules(said.one("gpt-4o-2024-08-06")) == [("unlisted-model", "note")]
    assert "unlisted-model" not in dict(rules(said.one("claude-sonnet-4-5-20250929")))


def test_the_policy_tells_the_kind_of_a_name_that_no_rule_knows(tree):
    tree.write("policy.yaml", POLICY)
    said = tree.of("a.py", 'ask(model="our-own-alias"); ask(model="chat-prod")')
    assert (said.one("our-own-alias")["kind"], said.one("our-own-alias")["level"]) == ("alias", "error")
    assert (said.one("chat-prod")["kind"], rules(said.one("chat-prod"))) == ("unknown", [("unknown-name", "note")])


@pytest.mark.parametrize(("level", "code"), [("error", 1), ("warning", 1), ("note", 1), ("never", 0)])
def test_the_level_that_fails_is_chosen(tree, level, code):
    tree.write("policy.yaml", POLICY)
    tree.write("a.py", 'A = "gpt-4o"')
    assert tree.json("--fail-on", level).code == code
    tree.write("a.py", 'A = "gpt-4o-2024-08-06"')
    assert tree.json("--fail-on", level).code == (1 if level == "note" else 0)


def test_a_policy_that_cannot_be_read_is_refused_with_its_line(tree):
    tree.write("policy.yaml", POLICY + "  x: {uses: {routr: y}}\n")
    said = tree.json()
    assert (said.code, said.out) == (2, "")
    assert "policy.yaml:15: surfaces.x.uses.routr: unknown key; did you mean router?" in said.err


# Waivers --------------------------------------------------------------------------------------------------------------


def waiver(**more):
    said = {"model": "gpt-4o", "reason": "moving to a pin in spring", "until": day(30), **more}
    return POLICY + f"waivers:\n  - {{{', '.join(f'{k}: {v!r}' for k, v in said.items())}}}\n"


def test_a_waiver_leaves_a_name_alone_until_its_day(tree):
    tree.write("policy.yaml", waiver(model="gpt-4*"))
    said = tree.of("a.py", 'A = "gpt-4o"')
    found = said.one("gpt-4o")
    assert (said.code, found["level"], found["problems"]) == (0, "none", [])
    assert found["waived"] == {"reason": "moving to a pin in spring", "until": day(30), "line": 16}
    assert [problem["rule"] for problem in found["waived_problems"]] == ["undecided-name"]


@pytest.mark.parametrize(("days", "code"), [(1, 0), (-2, 1)])
def test_a_waiver_that_is_over_is_an_error_in_the_policy_and_waives_nothing(tree, days, code):
    tree.write("policy.yaml", waiver(model="gpt-5-mini", until=day(days)))
    said = tree.of("a.py", 'A = "gpt-5-mini"')
    assert said.code == code
    if code:
        over = next(f for f in said.document["findings"] if f["file"] == "policy.yaml")
        assert (over["line"], rules(over)) == (16, [("expired-waiver", "error")])
        assert said.found(file="a.py", waived=None) == ["1: gpt-5-mini"]


def test_a_waiver_of_a_path_holds_there_only(tree):
    tree.write("policy.yaml", waiver(path="legacy/"))
    tree.write("legacy/a.py", 'A = "gpt-4o"')
    tree.write("new/a.py", 'A = "gpt-4o"')
    assert {f["file"]: f["level"] for f in tree.json().document["findings"]} == {
        "legacy/a.py": "none",
        "new/a.py": "error",
    }


def test_a_waiver_of_a_surface_leaves_the_others(tree):
    tree.write("policy.yaml", waiver(surface="autocomplete"))
    found = tree.of("a.py", 'A = "gpt-4o"').one("gpt-4o")
    assert rules(found) == [("decided-name", "note")]  # chart-tooltip
    assert [problem["rule"] for problem in found["waived_problems"]] == ["undecided-name"]


def test_a_waiver_of_a_surface_does_not_keep_a_model_alive(tree):
    tree.write("policy.yaml", waiver(surface="draft", model="claude-sonnet-4-5-20250929"))
    tree.write("l.yaml", f"lifetimes: [{{model: claude-sonnet-*, retires: {day(-3)}, source: the vendor}}]")
    found = tree.of("a.py", 'A = "claude-sonnet-4-5-20250929"', "--lifetimes", "l.yaml").one(
        "claude-sonnet-4-5-20250929"
    )
    assert rules(found) == [("retired-model", "error")]


def test_a_waiver_of_nothing_is_a_note(tree):
    tree.write("policy.yaml", waiver(model="gpt-3*"))
    tree.write("a.py", 'A = "gpt-5"')
    said = tree.json(".")
    assert said.found(file="policy.yaml") == ["16: gpt-3*"]
    assert rules(said.one("gpt-3*")) == [("unused-waiver", "note")]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"until": "soon"}, "waivers[0].until: soon is not a day; write a day such as 2026-12-31"),
        ({"until": 20261231}, "waivers[0].until: 20261231 is not a day"),
        ({"reason": ""}, "waivers[0].reason: empty; write a sentence"),
        ({"modle": "x"}, "waivers[0].modle: unknown key; did you mean model?"),
        ({"path": "!"}, "waivers[0].path: ! is no glob of files"),
    ],
)
def test_a_waiver_that_is_none_is_refused(tree, more, text):
    tree.write("policy.yaml", waiver(**more))
    said = tree.json()
    assert said.code == 2
    assert f"policy.yaml:16: {text}" in said.err


def test_an_application_reads_its_surfaces_from_a_policy_with_waivers(tree):
    path = tree.write("policy.yaml", waiver().replace("  digest:\n", "  digest:\n    match: /digest\n"))
    assert policy_file.rules(str(path)) == (("digest", "route", "/digest"),)


def test_the_policy_check_warns_of_a_waiver_that_is_over_and_of_an_unknown_surface(tree):
    from otel_llm_routing.policy.advice import advise
    from otel_llm_routing.policy.loading import read

    path = tree.write("policy.yaml", waiver(until=day(-3), surface="autocompleet"))
    said = {f.place: (f.level, f.text) for f in advise(read(path)) if f.place.startswith("waivers")}
    assert said["waivers[0].until"][0] == "warning"
    assert "is over, so the audit counts gpt-4o again" in said["waivers[0].until"][1]
    assert "autocompleet is not a surface of this policy; did you mean autocomplete?" in said["waivers[0].surface"][1]


# How long models are offered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "options", "expected"),
    [
        (-2, [], ("retired-model", "error")),
        (2, [], ("retiring-model", "warning")),
        (60, [], ("retiring-model", "warning")),
        (60, ["--retiring-within", "10"], ("deprecated-model", "warning")),
        (400, [], ("deprecated-model", "warning")),
    ],
)
def test_the_end_of_a_model_is_said_with_its_source(tree, days, options, expected):
    tree.write(
        "l.yaml",
        f"lifetimes:\n  - {{model: gpt-4o-2024-*, provider: openai, retires: {day(days)}, source: their page}}\n",
    )
    said = tree.of("a.py", 'A = "gpt-4o-2024-08-06"', "--lifetimes", "l.yaml", *options)
    found = said.one("gpt-4o-2024-08-06")
    assert rules(found) == [expected]
    assert found["lifetime"]["on"] == day(days)
    assert found["lifetime"]["source"] == "l.yaml:2 (their page)"
    assert said.code == (1 if expected[1] == "error" else 0)


def test_the_end_at_one_provider_is_not_that_at_another(tree):
    tree.write(
        "l.json",
        f'{{"lifetimes": [{{"model": "gpt-4o", "provider": "azure", "retires": "{day(-9)}", "source": "x"}}]}}',
    )
    said = tree.of("a.py", 'ChatOpenAI("gpt-4o"); AzureChatOpenAI(model="gpt-4o")', "--lifetimes", "l.json")
    ends = {f["provider"]: f["lifetime"] and f["lifetime"]["state"] for f in said.document["findings"]}
    assert ends == {"openai": None, "azure.ai.openai": "retired"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "has no list of lifetimes"),
        ("- a", "has no list of lifetimes"),
        ("lifetimes: 5", "has no list of lifetimes"),
        ("lifetimes:\n  - 5\n", "l.yaml:2: lifetimes[0]: 5 is no entry"),
        ("lifetimes:\n  - {model: x, source: y}\n", "l.yaml:2: lifetimes[0]: says nothing"),
        ("lifetimes:\n  - {model: x, retires: 2026-01-01}\n", "lifetimes[0].source: missing, or not text"),
        ("lifetimes:\n  - {model: x, source: y, retires: soon}\n", "lifetimes[0].retires: soon is not a day"),
        ("lifetimes:\n  - {model: x, source: y, retires: 5, until: 3}\n", "lifetimes[0].until: unknown key"),
        ("lifetimes: [", "l.yaml:1: not YAML"),
    ],
)
def test_a_file_of_lifetimes_that_is_none_is_refused_with_its_line(tree, text, problem):
    tree.write("l.yaml", text)
    said = tree.json("--lifetimes", "l.yaml")
    assert said.code == 2
    assert problem in said.err
    assert "policy" not in said.err


def test_the_table_of_the_anthropic_sdk_is_read_without_importing_it():
    table = pytest.importorskip("anthropic.resources.messages.messages").DEPRECATED_MODELS
    told = of_anthropic()
    assert {one.model for one in told} == set(table)
    assert all(one.retires is not None for one in told)
    assert all(one.source.startswith("anthropic ") and "DEPRECATED_MODELS" in one.source for one in told)
    assert "import anthropic" not in Path(lifetimes.__file__).read_text("utf-8")


def test_a_table_elsewhere_or_with_another_date_is_read_and_other_code_is_not_run(tree):
    tree.write(
        "sdk/resources/messages/messages.py",
        "open('ran', 'w')\n"
        "DEPRECATED_MODELS = {'claude-a': 'May 1st, 2026', 'claude-b': 'some day', 'claude-c': '2027-02-03', 5: 6}\n",
    )
    told = {one.model: (one.retires, one.note) for one in of_anthropic(tree.path / "sdk")}
    assert told == {
        "claude-a": (date(2026, 5, 1), ""),
        "claude-b": (None, "some day"),
        "claude-c": (date(2027, 2, 3), ""),
    }
    assert not (tree.path / "ran").exists()
    assert of_anthropic(tree.path / "nothing") == []


def test_an_installed_end_is_for_its_provider_only():
    known = Lifetimes(installed=[Told("claude-x-20250101", "anthropic", TODAY, "the SDK")])
    assert known.of("claude-x-20250101", "anthropic", TODAY).state == "retiring"
    assert known.of("anthropic/claude-x-20250101", None, TODAY).state == "retiring"
    assert known.of("anthropic:claude-x-20250101", "anthropic", TODAY).on == TODAY.isoformat()
    assert known.of("anthropic.claude-x-20250101-v1:0", "aws.bedrock", TODAY) is None


def prices(comment, *, deprecated):
    from genai_prices import types

    model = types.ModelInfo(id="m-1", match=types.ClauseEquals("m-1"), price_comments=comment)
    model.deprecated = deprecated
    provider = types.Provider(id="google", name="G", api_pattern="x", models=[model])
    return Prices(type("List", (), {"providers": [provider]}), {"gcp.gemini": "google"})


@pytest.mark.parametrize(
    ("comment", "deprecated", "state", "on"),
    [
        ("", True, "deprecated", ""),
        ("Retires on 2026-01-30. And more.", True, "retired", "2026-01-30"),
        ("shut down Oct 2, 2026); migrate", True, "retired", "2026-10-02"),
        ("should be retired 2025-07-15", True, "retired", "2025-07-15"),
        ('Listed as "(Shut down)" in the catalog', True, "retired", ""),
        ("Retired on 2025-06-16; kept for history", False, "retired", "2025-06-16"),
        ("The 1M context beta was retired on 2026-04-30; requests now fail", False, None, None),
        (None, False, None, None),
    ],
)
def test_what_the_price_list_says_of_a_model_is_believed_and_no_more(comment, deprecated, state, on):
    known = Lifetimes(prices=prices(comment, deprecated=deprecated))
    found = known.of("m-1", "gcp.gemini", date(2026, 11, 25))
    assert (found and found.state, found and found.on) == (state, on)
    assert known.of("m-1", "gcp.vertex_ai", date(2026, 11, 25)) is None
    if found:
        assert found.source.startswith("genai-prices ")
        assert found.source.endswith(", google/m-1")


# Telemetry ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(tree):
    now = int(time.time()) // 3600 * 3600
    pin, other = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
    rows = [
        (now - 3600, key("autocomplete", "openrouter/auto", pin), 30),
        (now - 3600, key("autocomplete", "openrouter/auto", other), 60),
        (now - 3600, key("autocomplete", "openrouter/auto", ""), 10),
        (now - 3600, key("autocomplete", "openrouter/auto", other, cached="true"), 500),
        (now - 40 * 86_400, key("autocomplete", "openrouter/auto", pin), 7000),
        (now - 3600, key("draft", pin, pin), 97),
        (now - 3600, key("draft", pin, other), 3),
    ]
    Traffic(tree.path / "t.db").write(rows)
    return tree


def test_telemetry_says_what_a_name_resolved_to_per_surface_over_what_is_known(seen):
    found = seen.of("a.py", 'A = "openrouter/auto"', "--source", "sqlite:t.db").one("openrouter/auto")
    (surface,) = found["seen"]
    assert (surface["surface"], surface["requests"], surface["unreported"]) == ("autocomplete", 100, 10)
    assert [(s["model"], s["requests"], round(s["share"], 4)) for s in surface["served"]] == [
        ("claude-haiku-4-5-20251001", 60, 0.6667),
        ("claude-sonnet-4-5-20250929", 30, 0.3333),
    ]


def test_a_pin_that_another_model_served_is_a_warning(seen):
    found = seen.of("a.py", 'A = "claude-sonnet-4-5-20250929"', "--source", "sqlite:t.db").one(
        "claude-sonnet-4-5-20250929"
    )
    (text,) = [problem["text"] for problem in found["problems"] if problem["rule"] == "pin-not-held"]
    assert text == (
        "`claude-haiku-4-5-20251001` served 3.0% of the 100 requests for `claude-sonnet-4-5-20250929` on draft whose "
        "model is known"
    )


def test_what_telemetry_did_not_see_is_said_and_what_it_was_not_asked_is_not(seen):
    assert seen.of("a.py", 'A = "gpt-5"', "--source", "sqlite:t.db").one("gpt-5")["seen"] == []
    assert seen.json("a.py").one("gpt-5")["seen"] is None
    assert "not seen" in seen.audit("a.py", "--source", "sqlite:t.db").out
    assert "not seen" not in seen.audit("a.py").out


def test_the_days_that_are_looked_back_are_chosen(seen):
    found = seen.of("a.py", 'A = "openrouter/auto"', "--source", "sqlite:t.db", "--days", "60").one("openrouter/auto")
    assert found["seen"][0]["requests"] == 7100


def test_a_source_that_is_none_is_refused(tree):
    said = tree.json("--source", "sqlite:nothing.db")
    assert (said.code, said.out) == (2, "")


def test_nothing_here_imports_what_it_reads():
    for file in Path(lifetimes.__file__).parent.glob("*.py"):
        names = {
            alias.name
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        assert names.isdisjoint({"importlib", "runpy", "pickle", "subprocess"}), file
