"""The report for terminals, Markdown, scripts and chats: what it says, and that no name makes it say anything else."""

from __future__ import annotations

import json
import re

import pytest
from markdown_it import MarkdownIt
from stored import AUTO, HAIKU, HOUR, LAST, MINI, SONNET, at, key

from otel_llm_routing import semconv
from otel_llm_routing.analyze.report.webhook import MOST_CHARACTERS, message
from otel_llm_routing.analyze.wording import points

HOSTILE = (
    "[bold red]x[/]",
    "a|b`c",
    "<!channel> <script>alert(1)</script>",
    "@team #1 ![x](https://evil.example/x.png)",
    "**x** _y_ ~z~ \\",
    "` `` ```",
    "日本語モデル-2026-11-01",
    "x" * 200,
)
LINE = (
    "2026-11-24 (UTC): 2 of 4 surfaces not as agreed: `autocomplete` (shifted), `long-form-draft` (pin violated). To "
    "note on 1: `chart-tooltip` (served model unknown)."
)
SHIFTED = (
    f"`{MINI}` served 43.0% of `{AUTO}` since 2026-11-24 (95%: 36.9% to 49.3%); reference 5.0%. Also `{SONNET}` 45.0%, "
    "reference 83.0%."
)


@pytest.fixture
def shifted(traffic):
    """The day on which Haiku took over, with everything else that there is to say."""
    traffic.steady(end="2026-11-24").steady(begin="2026-11-24", autocomplete={SONNET: 45, HAIKU: 12, MINI: 43})
    when = at("2026-11-24T10:00")
    return traffic.write(
        [
            (when, key("long-form-draft", SONNET, HAIKU), 3),
            (when, key("chart-tooltip", "gpt-5-mini", ""), 30),
            (when, key("chart-tooltip", "gpt-5-mini", MINI, cached="true"), 7),
            (when, key("nightly-digest", AUTO, "", error="Timeout"), 4),
        ]
    )


@pytest.fixture
def hostile(traffic):
    """Names that somebody has chosen with care, as surfaces, requested and served models."""
    return traffic.steady().write(
        (at("2026-11-24T10:00") + number, key(name[:64], name, name), 100 + number)
        for number, name in enumerate(HOSTILE)
    )


def day(run, *arguments, **options):
    result = run("--day", "2026-11-24", *arguments, **options)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


# The terminal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_name_is_broken_and_no_line_is_too_long(shifted, run, width):
    shown = day(run, width=width)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    for name in (SONNET, HAIKU, MINI):
        assert sum(re.search(rf"→ {name}\b", line) is not None for line in lines) >= 2, name
    assert "45.0%  ████▌" in shown


def test_what_a_narrow_terminal_shows(shifted, run):
    shown = [line.rstrip() for line in day(run, "--no-costs", width=80).splitlines()]
    begin = next(at for at, line in enumerate(shown) if line.startswith("long-form-draft"))
    assert shown[begin : begin + 7] == [
        "long-form-draft  pin violated  team-editor",
        f"  `{SONNET}` is pinned, and `{HAIKU}`",
        "  answered 3 of its 195 requests.",
        f"  {SONNET} → {SONNET}",
        "     98.5%  █████████▉    94.2 to 99.6  was 100.0%  -1.5  192 requests",
        f"  {SONNET} → {HAIKU}  substituted",
        "      1.5%  ▏               0.4 to 5.8  was      –  +1.5  3 requests",  # noqa: RUF001  (an absent share)
    ]


def test_what_a_wide_terminal_shows(shifted, run):
    shown = [" ".join(line.split()) for line in day(run, width=200).splitlines()]
    assert shown[:2] == [
        "Served models by surface, 2026-11-24T00:00:00Z to 2026-11-25T00:00:00Z",
        LINE,
    ]
    assert "requested → served share 95 % reference points requests" in shown
    assert f"{AUTO} → {SONNET} 45.0% ████▌ 38.9 to 51.3 83.0% -38.0 1,080 shifted" in shown
    assert "unreported: nothing named the served model: 30 (13.5%)" in shown
    assert "answered from a cache: 7 (3.1%)" in shown
    assert "failed, of all these: 4 (1.6%)" in shown
    order = ["autocomplete shifted", "long-form-draft pin", "chart-tooltip served model", "nightly-digest steady"]
    found = [next(at for at, line in enumerate(shown) if line.startswith(head)) for head in order]
    assert found == sorted(found)


def test_a_terminal_takes_no_name_for_markup(hostile, run):
    shown = day(run, width=600)
    for name in HOSTILE:
        assert f"{name} → {name}" in shown
    assert "\x1b" not in shown


def test_costs_and_what_is_not_known_of_them(traffic, run):
    pytest.importorskip("genai_prices")
    when = at("2026-11-24T10:00")
    asked = [(when, key("chat", "gpt-5", served, "openai"), 100) for served in (MINI, "gpt-99")]
    used = [
        (when, key("chat", "gpt-5", MINI, "openai"), number, metric)
        for number, metric in ((100_000, semconv.INPUT_TOKENS_TOTAL), (10_000, semconv.OUTPUT_TOKENS_TOTAL))
    ]
    traffic.write([*asked, *used])
    shown = " ".join(day(run, width=200).split())
    assert "per 1,000" in shown
    assert re.search(rf"gpt-5 → {MINI} .* \$0.45", shown)
    assert re.search(r"gpt-5 → gpt-99 .* unknown", shown)
    assert "Costs in US dollars by served model, list prices of 2026-11-24 (genai-prices " in shown
    assert "Not known: no token counts of `gpt-99`." in shown
    table = day(run, "--format", "markdown")
    assert re.search(rf"`{MINI}` \|.*\| \$0.45 \|", table)
    assert re.search(r"`gpt-99` \|.*\| unknown \|", table)


# Markdown -------------------------------------------------------------------------------------------------------------


def test_markdown_begins_with_one_line_that_says_it_all(shifted, run):
    text = day(run, "--format", "markdown", "--no-costs")
    assert text.splitlines()[:6] == [
        f"**{LINE}**",
        "",
        "- `autocomplete`, `team-editor`: **shifted**",
        f"  - {SHIFTED}",
        "- `long-form-draft`, `team-editor`: **pin violated**",
        f"  - `{SONNET}` is pinned, and `{HAIKU}` answered 3 of its 195 requests.",
    ]
    assert (
        f"| `autocomplete` | `{AUTO}` → `{SONNET}` **shifted** | 45.0% | 38.9 to 51.3 | 83.0% | -38.0 | 1,080 |" in text
    )
    assert (
        "Served model unknown, of all requests but cached ones: `chart-tooltip` 13.5%, `nightly-digest` 1.6%." in text
    )


def test_markdown_renders_to_a_table_and_lists(shifted, run):
    page = MarkdownIt().enable("table").render(day(run, "--format", "markdown"))
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    assert len(rows) == 1 + 8
    assert {len(re.findall(r"<t[hd]", row)) for row in rows} == {7}
    assert page.count("<ul>") >= 2


def test_markdown_takes_no_name_for_anything_but_a_name(hostile, run):
    text = day(run, "--format", "markdown")
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    assert {len(re.findall(r"<t[hd]", row)) for row in rows} == {7}
    assert not re.search(r"<script|<img|<a |<em>|<h\d|<del>", page)
    # Outside code spans there is nothing of a name: neither a mention nor an issue's number.
    outside = re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
    assert not re.search(r"team\b|#1|channel|evil", outside)
    assert page.count("日本語モデル-2026-11-01") >= 3


# The document ---------------------------------------------------------------------------------------------------------

FRACTION = (float, type(None))
TEXT = (str, type(None))
DOCUMENT = {
    "schema": str,
    "start": str,
    "end": str,
    "made": str,
    "over": bool,
    "source": str,
    "timezone": str,
    "policy": bool,
    "reference": bool,
    "judged": bool,
    "partial": list,
    "prices": (dict, type(None)),
    "prices_missing": str,
    "days": list,
    "surfaces": list,
}
SURFACE = {
    "surface": str,
    "requests": int,
    "known": int,
    "unreported": int,
    "unconfirmed": int,
    "unknown": int,
    "unknown_share": float,
    "cached": int,
    "errors": int,
    "served": list,
    "owner": str,
    "kinds": dict,
    "verdict": dict,
    "findings": list,
    "limits": list,
    "streams": list,
}
FINDING = {
    "kind": str,
    "level": str,
    "sentence": str,
    "evidence": str,
    "requested": TEXT,
    "served": str,
    "since": TEXT,
}
STREAM = {
    "requested": str,
    "kind": str,
    "requests": int,
    "unknown": int,
    "verdict": dict,
    "findings": list,
    "served": list,
    "pinned": TEXT,
    "pin_reason": str,
    "detectable": (dict, type(None)),
    "detectable_words": str,
    "closeness": FRACTION,
    "decomposition": (dict, type(None)),
    "days": list,
    "daily_requests": list,
}
ROW = {
    "served": str,
    "spellings": (list, tuple),
    "providers": (list, tuple),
    "matches": (list, tuple),
    "requests": int,
    "share": FRACTION,
    "surface_share": FRACTION,
    "interval": (dict, type(None)),
    "reference": FRACTION,
    "change": FRACTION,
    "wobble": FRACTION,
    "band": (dict, type(None)),
    "state": str,
    "adjusted": FRACTION,
    "cost": (dict, type(None)),
    "cost_unknown": str,
    "daily": list,
}
ANSWER = {"requested", "provider", "served", "kind", "match", "requests", "share"}
"""What the first version of the document had of each served model."""


def has(found, kinds):
    assert set(found) == set(kinds)
    for name, kind in kinds.items():
        assert isinstance(found[name], kind), name


def test_the_document_has_the_fields_that_scripts_rely_on(shifted, run):
    document = json.loads(day(run, "--format", "json"))
    has(document, DOCUMENT)
    assert document["schema"] == "otel-llm-routing/report/v1"
    assert (document["start"], document["end"]) == ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")
    assert [s["surface"] for s in document["surfaces"]] == [
        "autocomplete",
        "nightly-digest",
        "chart-tooltip",
        "long-form-draft",
    ]
    for surface in document["surfaces"]:
        has(surface, SURFACE)
        assert surface["requests"] == surface["known"] + surface["unknown"] + surface["cached"]
        for served in surface["served"]:
            assert set(served) == ANSWER
        for finding in (surface["verdict"], *surface["findings"]):
            has(finding, FINDING)
        for stream in surface["streams"]:
            has(stream, STREAM)
            assert len(stream["days"]) == len(stream["daily_requests"]) == len(document["days"])
            for row in stream["served"]:
                has(row, ROW)
                assert len(row["daily"]) == len(document["days"])
    [row] = document["surfaces"][2]["streams"][0]["served"]
    assert set(row["interval"]) == {"low", "high"}
    assert set(row["band"]) == {"low", "high", "low_declared", "high_declared"}


def test_a_day_without_a_measurement_is_null_in_the_document(traffic, run):
    traffic.steady(end="2026-11-22").steady(begin="2026-11-23")
    stream = json.loads(day(run, "--format", "json"))["surfaces"][0]["streams"][0]
    assert stream["days"][-3:] == ["gap", "measured", "measured"]
    assert stream["served"][0]["daily"][-3:] == [None, 0.83, 0.83]


def test_the_document_gives_names_as_they_are(hostile, run):
    document = json.loads(day(run, "--format", "json"))
    served = {row["served"] for s in document["surfaces"] for stream in s["streams"] for row in stream["served"]}
    assert {*HOSTILE} <= served


# The message ----------------------------------------------------------------------------------------------------------


def built(traffic):
    from test_report_model import report

    return report(traffic)


def test_a_message_has_a_line_and_what_is_not_calm(shifted):
    body = message(built(shifted))
    assert body["text"].startswith("2026-11-24 (UTC): 2 of 4 surfaces not as agreed: `autocomplete` (shifted)")
    first, second = (block["text"] for block in body["blocks"])
    assert first["type"] == second["type"] == "mrkdwn"
    assert first["text"] == body["text"]
    lines = second["text"].splitlines()
    assert [line.partition(",")[0] for line in lines] == ["`autocomplete`", "`long-form-draft`", "`chart-tooltip`"]
    assert f"`{HAIKU}` answered 3 of its 195 requests." in lines[1]


def test_a_calm_message_is_one_line(traffic):
    body = message(built(traffic.steady()))
    assert body["text"] == "2026-11-24 (UTC): 4 surfaces, no shift."
    assert len(body["blocks"]) == 1


def test_a_message_mentions_and_links_nobody(hostile):
    said = json.dumps(message(built(hostile)), ensure_ascii=False)
    assert not re.search("[<>]", said)
    assert "&lt;!channel&gt;" in said


def test_a_message_is_small_however_many_surfaces_there_are(traffic):
    traffic.steady().write(
        (at(LAST) - HOUR + n, key(f"surface-{n:03}", "auto-" + "x" * 200, MINI), 100) for n in range(200)
    )
    body = message(built(traffic))
    assert all(len(block["text"]["text"]) <= MOST_CHARACTERS + 2 for block in body["blocks"])
    assert len(json.dumps(body)) < 8000


@pytest.mark.parametrize(
    ("change", "said"), [(-0.0004, "+0.0"), (0.0, "+0.0"), (-0.0006, "-0.1"), (0.0006, "+0.1"), (-1.0, "-100.0")]
)
def test_no_change_has_no_sign_of_a_loss(change, said):
    assert points(change) == said
