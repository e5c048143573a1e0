"""What is said of a policy that can be read: limits within noise are errors, what people forget are warnings."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import pytest

from otel_llm_routing import models
from otel_llm_routing.instrument import policy_file
from otel_llm_routing.instrument.patterns import RULE_KINDS, kind_and_glob
from otel_llm_routing.policy import reference as reference_file
from otel_llm_routing.policy.advice import MATCH_KINDS, MAX_PATTERN_CHARACTERS, MAX_PATTERNS, advise, split
from otel_llm_routing.policy.loading import parse, read
from otel_llm_routing.policy.reference import Reference

EXAMPLES = Path(__file__).parents[2] / "examples" / "policy"
AT = "2026-11-02T09:00:00Z"


@pytest.fixture(autouse=True)
def _built_in_rules_only(monkeypatch):
    monkeypatch.delenv(models.RULES_VARIABLE, raising=False)
    models.forget()
    yield
    models.forget()


def reference(*streams):
    """Build a reference of streams ``(surface, requested, requests, concentration, shares)``."""
    return Reference.model_validate(
        {
            "pins": [{"id": 1, "at": AT, "reason": "r", "start": "2026-10-05T09:00:00Z", "end": AT, "source": "s"}],
            "streams": [
                {
                    "surface": surface,
                    "requested": requested,
                    "pin": 1,
                    "requests": requests,
                    "days": 28,
                    "design_effect": 1.5,
                    "concentration": concentration,
                    "shares": shares,
                }
                for surface, requested, requests, concentration, shares in streams
            ],
        }
    )


ONE = reference(("a", "auto", 1000, 400, {"big-1": 0.8, "small-1": 0.2}))
"""20 % small, which goes 3·√(0.2·0.8/400) = 6 points by itself."""


def policy(more, uses="uses: {router: auto}"):
    return f"version: 1\nsurfaces:\n  a:\n    {uses}\n    customer_facing: false\n{more}"


def said(text, reference=None, level=None):
    return [f for f in advise(parse(text), reference) if level in (None, f.level)]


def test_nothing_is_said_of_the_example():
    assert advise(read(EXAMPLES / "policy.yaml"), reference_file.load(EXAMPLES / "reference.yaml")) == []


# Limits within noise --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("band", "error"),
    [
        ('{max: "26.1 %"}', None),
        ('{max: "26 %"}', None),
        ('{max: "25.9 %"}', "26 % or more"),
        ('{max: "20 %"}', "26 % or more"),
        ('{max: "15 %"}', "26 % or more"),
        ('{min: "14 %"}', None),
        ('{min: "14.1 %"}', "14 % or less"),
        ('{min: "25 %"}', "14 % or less"),
    ],
)
def test_a_limit_nearer_than_three_wobbles_is_an_error_that_says_where_it_could_go(band, error):
    found = said(policy(f'    expect:\n      "small*": {band}\n'), ONE, "error")
    assert len(found) == (error is not None)
    if error:
        (one,) = found
        assert (one.line, one.place) == (7, f"surfaces.a.expect.small*.{band[1:4]}")
        assert "within the share's own noise: in the reference these models serve 20 %" in one.text
        assert "moves by up to 6.0 points with nothing changed" in one.text
        assert one.text.endswith(f"write {error}")


def test_what_is_proposed_is_accepted():
    shares = {"x": 0.137, "y": 0.863}
    found = said(
        policy("    expect: {x: {min: 13 %, max: 14 %}}\n"), reference(("a", "auto", 9, 77.7, shares)), "error"
    )
    low, high = (one.text.rsplit("write ", 1)[1].split(" or ")[0] for one in found)
    low, high = sorted((low, high), key=lambda text: float(text.split()[0]))
    noise = 300 * math.sqrt(0.137 * 0.863 / 77.7)
    assert 0 <= 13.7 - noise - float(low.split()[0]) < 0.1
    assert 0 <= float(high.split()[0]) - 13.7 - noise < 0.1
    moved = policy(f"    expect: {{x: {{min: {low}, max: {high}}}}}\n")
    assert said(moved, reference(("a", "auto", 9, 77.7, shares)), "error") == []


def test_an_edge_has_no_place_where_noise_reaches_the_end():
    rough = reference(("a", "auto", 1000, 50, {"big-1": 0.96, "small-1": 0.04}))
    found = said(policy("    expect: {big*: {max: 97 %}, small*: {min: 2 %}}\n"), rough, "error")
    assert [one.text.rsplit("; ", 1)[1] for one in found] == [
        "take max out, as the noise goes up to 100 %",
        "take min out, as the noise goes down to 0 %",
    ]


def test_a_share_with_too_little_tolerance_is_one_error_that_says_how_much_it_takes():
    (one,) = said(policy("    expect: {small*: 20 %}\n    tolerance: 5.9\n"), ONE, "error")
    assert (one.line, one.place) == (6, "surfaces.a.expect.small*")
    assert one.text.endswith('expect "20 %" with a tolerance of 6 points or more, or write {min: "14 %", max: "26 %"}')
    assert said(policy("    expect: {small*: 20 %}\n    tolerance: 6\n"), ONE, "error") == []
    assert said(policy("    expect: {small*: 20 %}\n"), ONE, "error") == []  # the default tolerance is 10 points


@pytest.mark.parametrize("share", [0.003, 0.0137, 0.12345, 0.5, 0.77777, 0.95, 0.9993])
@pytest.mark.parametrize("concentration", [50, 333, 2000])
def test_the_share_tolerance_and_band_that_are_proposed_are_accepted(share, concentration):
    known = reference(("a", "auto", 1000, concentration, {"x": share, "rest": 1 - share}))
    (one,) = said(policy(f"    expect: {{x: {share}}}\n    tolerance: 0.5\n"), known, "error") or [None]
    if one is None:
        assert 3 * math.sqrt(share * (1 - share) / concentration) <= 0.005
        return
    expected, points = re.search(r'expect "(.*?)" with a tolerance of ([\d.]+) points', one.text).groups()
    assert said(policy(f"    expect: {{x: {expected}}}\n    tolerance: {points}\n"), known, "error") == []
    if band := re.search(r"write (\{.*\})$", one.text):
        assert said(policy(f"    expect: {{x: {band[1]}}}\n"), known, "error") == []


def test_streams_weigh_what_they_have_requests_and_the_roughest_of_them_counts():
    two = reference(
        ("a", "auto", 3000, 400, {"big-1": 1.0}),
        ("a", "other", 1000, 100, {"small-1": 0.8, "big-1": 0.2}),
        ("b", "auto", 10**6, 50, {"small-1": 1.0}),
    )
    uses = "uses: {router: [auto, other]}"
    # p = 0.8 · 1000/4000 = 20 %, m = 100: 3·√(0.16/100) = 12 points
    assert said(policy("    expect: {small*: {max: 32 %}}\n", uses), two, "error") == []
    (one,) = said(policy("    expect: {small*: {max: 31.9 %}}\n", uses), two, "error")
    assert "serve 20 %, and that moves by up to 12.0 points" in one.text


def test_all_models_that_match_the_glob_count_together():
    three = reference(("a", "auto", 1000, 400, {"small-1": 0.1, "small-2": 0.1, "big": 0.8}))
    assert said(policy("    expect: {small*: {max: 26 %}}\n"), three, "error") == []
    assert len(said(policy("    expect: {small*: {max: 25 %}}\n"), three, "error")) == 1


def test_a_share_that_never_moved_has_no_noise():
    fixed = reference(("a", "auto", 1000, 400, {"big-1": 1.0}))
    assert said(policy("    expect: {big*: {min: 99.9 %}}\n"), fixed, "error") == []


def test_a_limit_that_the_reference_is_already_beyond_is_a_warning():
    (one,) = said(policy("    expect: {small*: {max: 5 %}}\n"), ONE)
    assert (one.level, one.place) == ("warning", "surfaces.a.expect.small*.max")
    assert "already beyond the limit of 5 %: these models serve 20 %" in one.text
    (one,) = said(policy("    expect: {small*: {min: 50 %}}\n"), ONE)
    assert "already beyond the limit of 50 %" in one.text


def test_without_a_reference_nothing_is_said_of_shares():
    assert said(policy("    expect: {small*: {max: 20.1 %}}\n")) == []


# What only one of the two files has -----------------------------------------------------------------------------------


def test_a_glob_that_matches_no_model_of_the_reference_is_named_with_those_there_are():
    (one,) = said(policy("    expect:\n      tiny*: {max: 5 %}\n"), ONE)
    assert (one.line, one.level) == (7, "warning")
    assert one.text == "matches no model of the reference, which has big-1, small-1; correct the glob"
    (one,) = said(policy("    expect: {Small*: {max: 50 %}}\n"), ONE)
    assert one.text.endswith("; case counts")


def test_a_surface_that_only_one_file_has_and_which_may_be_meant():
    text = "version: 1\nsurfaces:\n  chart-tootip:\n    uses: {router: auto}\n    customer_facing: false\n"
    other = reference(("chart-tooltip", "auto", 9, 400, {"x": 1.0}), ("z", "auto", 9, 400, {"x": 1.0}))
    found = said(text, other)
    assert [(f.line, f.place) for f in found] == [(2, "surfaces"), (2, "surfaces"), (3, "surfaces.chart-tootip")]
    here, also_here, there = (f.text for f in found)
    assert here.startswith("the reference has a surface chart-tooltip, which is not here")
    assert here.endswith("add it, or correct a name (chart-tootip?)")
    assert also_here.startswith("the reference has a surface z, which is not here")
    assert also_here.endswith("add it, or correct a name")
    assert there.startswith("the reference does not have this surface, so no shift of its mix is seen")
    assert there.endswith("correct the name (chart-tooltip?), or pin a reference when it has 14 days of traffic")


def test_a_name_that_is_asked_for_but_not_listed():
    two = reference(
        ("a", "auto", 900, 400, {"x": 1.0}),
        ("a", "autom", 100, 400, {"x": 1.0}),
        ("a", "", 10, 400, {"x": 1.0}),
    )
    (one,) = said(policy(""), two)
    assert (one.place, one.line) == ("surfaces.a.uses", 4)
    assert one.text.startswith("9.9 % of its requests in the reference asked for autom, which is not listed")
    assert said(policy("", "uses: {router: auto, unknown: openai/AUTOM}"), two) == []  # spelt otherwise, and the same


def test_names_of_the_reference_cannot_break_a_line():
    hostile = reference(("a\nb\x1b[31m", "auto", 9, 400, {"x\ny": 1.0}), ("a", "q\rr", 9, 400, {"x\ny": 1.0}))
    found = said(policy("    expect: {tiny*: {max: 5 %}}\n"), hostile)
    assert len(found) == 3
    assert all(one.text.isprintable() for one in found)


# What the surface asks for --------------------------------------------------------------------------------------------

FACING = "version: 1\nsurfaces:\n  a:\n    uses: {%s: my-own}\n"


@pytest.mark.parametrize("kind", ["alias", "router", "unknown"])
def test_customers_see_a_surface_that_is_not_pinned_and_nothing_is_said_of_changes(kind):
    (one,) = said(FACING % kind)
    assert (one.level, one.place, one.line) == ("warning", "surfaces.a", 3)
    assert "my-own is not pinned" in one.text
    assert "write commitment (" in one.text
    assert "and pin_when (" in one.text


def test_only_what_is_missing_is_asked_for():
    (one,) = said(FACING % "router" + "    commitment: none\n")
    assert "commitment (" not in one.text
    (one,) = said(FACING % "router" + "    pin_when: never\n")
    assert "pin_when (" not in one.text
    assert said(FACING % "router" + "    pin_when: never\n    commitment: none\n") == []
    assert said(FACING % "pinned") == []
    assert said(FACING % "router" + "    customer_facing: false\n") == []


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        ("pinned: gpt-5", "alias"),
        ("pinned: openrouter/auto", "router"),
        ("pinned: [claude-sonnet-4-5-20250929, gemini-flash-latest]", "alias"),
        ("alias: claude-sonnet-4-5-20250929", "pinned"),
        ("router: gpt-5-2025-08-07", "pinned"),
    ],
)
def test_a_name_listed_as_what_it_is_known_not_to_be(listed, known):
    (one,) = said(policy("", f"uses: {{{listed}}}"))
    at = int("[" in listed)
    assert (one.level, one.place) == ("warning", f"surfaces.a.uses.{listed.split(':')[0]}[{at}]")
    assert f"but is known as {known} (rule " in one.text


@pytest.mark.parametrize("uses", ["pinned: our-own", "unknown: gpt-5", "alias: openrouter/auto", "alias: our-own"])
def test_a_name_that_nobody_knows_or_that_moves_either_way_is_taken_at_its_word(uses):
    assert said(policy("", f"uses: {{{uses}}}")) == []


def test_the_rules_of_the_user_are_asked_first(tmp_path, monkeypatch):
    rules = tmp_path / "rules.json"
    rules.write_text('{"rules": [{"id": "ours", "kind": "pinned", "pattern": "gpt-5", "source": "deployed by us"}]}')
    monkeypatch.setenv(models.RULES_VARIABLE, str(rules))
    models.forget()
    assert models.kind_of("gpt-5") == "pinned"
    assert said(policy("", "uses: {pinned: gpt-5}")) == []


def test_a_surface_that_uses_nothing():
    (one,) = said(policy("", "uses: {}"))
    assert (one.place, one.line) == ("surfaces.a.uses", 4)
    assert "names nothing" in one.text


# How its calls are recognised -----------------------------------------------------------------------------------------


def test_a_pattern_is_read_as_the_instrumentation_reads_it():
    assert MATCH_KINDS == RULE_KINDS
    for pattern in (
        "/a",
        "task:b",
        "task: b ",
        "route:/c",
        "Task:b",
        "a:b",
        ":b",
        "name:",
        "rpc:x:y",
        "/v1/{n}:predict",
    ):
        assert split(pattern) == kind_and_glob(pattern)


def test_more_patterns_than_an_application_reads():
    assert (MAX_PATTERNS, MAX_PATTERN_CHARACTERS) == (policy_file.MAX_RULES, policy_file.MAX_CHARACTERS)
    many = "version: 1\nsurfaces:\n" + "".join(
        f"  s{n}: {{uses: {{pinned: x}}, match: [{', '.join(f'/{n}/{i}' for i in range(500))}]}}\n" for n in range(4)
    )
    assert said(many) == []
    (one,) = said(f"{many}  more: {{uses: {{pinned: x}}, match: /more}}\n")
    assert (one.line, one.place) == (2, "surfaces")
    assert one.text.startswith("2,001 patterns of match; an application reads none")
    long = "x" * 1999
    (one,) = said(policy(f"    match: [{', '.join(f'/{long[i:]}' for i in range(150))}]\n"))
    assert one.text.startswith("150 patterns of match")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("taks:send", "taks: is not a kind, so this is matched against HTTP routes; did you mean task:?"),
        ("Task:send", "Task: is not a kind, so this is matched against HTTP routes; did you mean task:?"),
        ("queue:send", "the kinds are route:, task:, message:, rpc:, faas:, name:"),
        ("task:", "has nothing after its colon, so it never matches"),
        ("https://shop.example/api", "is an address, and only the path is matched"),
        ("GET /api", "a route holds no method; write /api, or name:GET /api"),
    ],
)
def test_a_pattern_that_can_never_match(pattern, text):
    (one,) = said(policy(f'    match:\n      - /fine\n      - "{pattern}"\n'))
    assert (one.level, one.place, one.line) == ("warning", "surfaces.a.match[1]", 8)
    assert text in one.text


@pytest.mark.parametrize(
    "pattern",
    [
        "/v1/{name}:predict",
        "*/complete",
        "api/x",
        "name:GET /api",
        "task: send",
        "rpc:shop.Cart/*",
        "route:a:b",
        "message:a:b",
    ],
)
def test_a_pattern_that_can_match_is_left_alone(pattern):
    assert said(policy(f'    match: "{pattern}"\n')) == []


def two_surfaces(first, second):
    text = f'version: 1\nsurfaces:\n  a:\n    uses: {{pinned: x}}\n    match: ["{first}"]\n'
    return said(f'{text}  b:\n    uses: {{pinned: x}}\n    match: [/other, "{second}"]\n')


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/api/x", "/api/x"),
        ("/api/x", "route:/api/x"),
        ("task:x[ab]", "task:x[ab]"),
        ("/api/*", "/api/complete*"),
        ("/ap*", "/api/?"),
        ("/a*b*c", "/a?bbbc"),
        ("/a*", "/a"),
    ],
)
def test_a_pattern_that_an_earlier_surface_leaves_nothing(first, second):
    (one,) = two_surfaces(first, second)
    assert (one.level, one.place, one.line) == ("warning", "surfaces.b.match[1]", 8)
    assert f"{second} never matches: the pattern of a in line 5 comes first" in one.text


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/api/complete*", "/api/*"),
        ("/api/*", "task:/api/x"),
        ("/a?", "/a*"),
        ("*]", "/x[ab]"),
        ("/[ab]*", "/a"),
        ("/ab*ba", "/aba"),
        ("/a*x*b", "/ab*xb?"),
    ],
)
def test_a_pattern_that_an_earlier_surface_leaves_something_or_may(first, second):
    assert two_surfaces(first, second) == []


def test_the_same_pattern_twice_in_one_surface_does_no_harm():
    assert said(policy("    match: [/a, /a]\n")) == []


# What is expected of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", ["{min: 0, max: 1}", "{max: 1}", "{max: 100 %}", "{min: 0 %}"])
def test_a_band_without_a_limit(expected):
    (one,) = said(policy(f"    expect:\n      c*: {expected}\n"))
    assert (one.line, one.place) == (7, "surfaces.a.expect.c*")
    assert "which no share can pass" in one.text


def test_a_tolerance_that_tolerates_everything():
    (one,) = said(policy("    expect: {c*: 50 %}\n    tolerance: 50\n"))
    assert one.text.startswith("with this tolerance the limits are 0 % and 100 %")


def test_lowest_shares_that_cannot_all_be_kept():
    (one,) = said(policy("    expect: {a*: {min: 60 %}, b*: {min: 70 %}}\n"))
    assert one.text == "the lowest shares add up to 130 %, so one is always missed; lower them"
    assert said(policy('    expect: {a*: {min: 60 %}, "*b": {min: 70 %}}\n')) == []  # ab is both
    assert said(policy("    expect: {a*: {min: 30 %}, b*: {min: 70 %}}\n")) == []


@pytest.mark.parametrize(
    ("text", "line"), [("defaults: {false_alarms_per_month: 0.001}\n", 6), ("    false_alarms_per_month: 0.001\n", 6)]
)
def test_fewer_false_alarms_than_the_rules_can_promise(text, line):
    (one,) = said(policy(text))
    assert one.line == line
    assert one.text == "0.001 is fewer than the rules can promise, which is 0.011; write that or more"
    assert said(policy(text.replace("0.001", "0.011"))) == []


def test_quotation_marks_of_a_word_processor():
    (one,) = said(policy("", "uses: {pinned: \u201cour-own\u201d}"))
    assert one.place == "surfaces.a.uses.pinned[0]"
    assert "typographic" in one.text


# All of it ------------------------------------------------------------------------------------------------------------


def test_findings_come_in_the_order_of_the_file_errors_first():
    found = said(policy("    expect: {small*: {max: 21 %}, x*: {max: 2 %}}\n    match: taks:x\n", "uses: {}"), ONE)
    assert [(f.line, f.level) for f in found] == [
        (4, "warning"),
        (4, "warning"),
        (6, "error"),
        (6, "warning"),
        (7, "warning"),
    ]


def test_a_thousand_surfaces_are_checked_within_seconds():
    names = [f"s{n}" for n in range(1000)]
    text = "version: 1\nsurfaces:\n" + "".join(f"  {n}: {{uses: {{pinned: x}}, match: /{n}/*}}\n" for n in names)
    loaded = parse(text)
    other = reference(*((f"t{n}", "x", 9, 400, {"x": 1.0}) for n in range(1000)))
    began = time.process_time()
    assert len(advise(loaded, other)) == 2000
    assert time.process_time() - began < 5
