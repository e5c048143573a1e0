"""`otel-llm-routing check`: on a real store, what it prints, how it exits, and that its document stays what it is."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime, timezone

import pytest
from components import ROOT
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app
from otel_llm_routing.serve.receiver import Point
from otel_llm_routing.serve.store import Store

AT = "2026-11-10T12:00"
END = int(datetime(2026, 11, 10, 12, tzinfo=timezone.utc).timestamp())
HOUR, DAYS = 3600, 9
SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
AUTO = "openrouter/auto"
EXAMPLES = ROOT / "examples" / "policy"


def row(ago, served, requests, surface="autocomplete", requested=AUTO, match="resolved", kind="router", **more):
    """``requests`` of one series, ``ago`` seconds before the end."""
    columns = {"source": "body", "cached": "", "error": "", **more}
    key = (surface, "openrouter", "chat", requested, served, kind, match, *columns.values(), "shop")
    return END - ago, key, requests


def fill(path, rows):
    store = Store(str(path))
    store.write(
        Point(str(number).encode(), at * 10**9, True, at // 10 * 10, "llm_routing.requests", key, (float(n),), None)
        for number, (at, key, n) in enumerate(rows)
    )
    store.close()
    return f"sqlite:{path}"


def steady(hours=DAYS * 24, until=0):
    """Every surface of the example as its reference has it, each hour from ``hours`` to ``until`` before the end."""
    for back in range(until, hours):
        ago = back * HOUR + 600
        yield from (row(ago, SONNET, 83), row(ago, HAIKU, 12), row(ago, MINI, 5))
        yield row(ago, MINI, 8, "chart-tooltip", "gpt-5-mini", kind="alias")
        yield row(ago, SONNET, 8, "long-form-draft", SONNET, match="exact", kind="pinned")
        yield from (row(ago, SONNET, 6, "nightly-digest"), row(ago, MINI, 4, "nightly-digest"))


def shift(hours):
    """Haiku takes most of the autocomplete, for the last ``hours``."""
    for row_ in steady(DAYS * 24):
        at, key, requests = row_
        recent = at >= END - hours * HOUR and key[0] == "autocomplete"
        yield at, key, {SONNET: 24, HAIKU: 71, MINI: 5}[key[4]] if recent else requests


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the two example files, as a repository of policies has them."""
    for name in ("policy.yaml", "reference.yaml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(source, *arguments, at=AT, width=120):
    command = ["check", "--source", source, "--at", at, *map(str, arguments)]
    return CliRunner().invoke(app, command, env={"COLUMNS": str(width)})


def words(text):
    """The text of a table, however its lines are broken."""
    return " ".join(re.sub(r"[─│╭╰]", " ", text).split())


def found(result):
    """The alerts of a document, as {(surface, alert): …}."""
    return {(one["surface"], one["alert"]): one for one in json.loads(result.stdout)["alerts"]}


# What it finds --------------------------------------------------------------------------------------------------------


def test_a_calm_source(folder):
    result = run(fill(folder / "t.db", steady()))
    assert result.exit_code == 0, result.output
    assert result.stdout == "4 surfaces, nothing to report; requests up to 2026-11-10T11:55:00Z\n"
    assert result.stderr == ""


def test_a_shift_is_said_in_words_with_its_owner_and_severity(folder):
    result = run(fill(folder / "t.db", shift(3)))
    assert result.exit_code == 1
    said = words(result.stdout)
    assert "page team-editor autocomplete LLMRoutingMixShiftFast" in said
    alerts = found(run("sqlite:t.db", "--json"))
    fast = alerts["autocomplete", "LLMRoutingMixShiftFast"]
    assert (fast["severity"], fast["owner"], fast["requested"]) == ("page", "team-editor", AUTO)
    assert fast["description"].startswith("autocomplete: ")
    assert f"`{AUTO}` in the last hour; reference" in fast["description"]
    assert alerts["autocomplete", "LLMRoutingShareAboveBand"]["limit"] == 0.25
    assert {surface for surface, _ in alerts} == {"autocomplete"}


def test_the_level_decides_what_makes_it_fail(folder):
    source = fill(folder / "t.db", [*steady(), row(900, "gemini-3-flash-001", 30, "nightly-digest")])
    codes = {level: run(source, "--level", level).exit_code for level in ("page", "ticket", "info")}
    assert codes == {"page": 0, "ticket": 1, "info": 1}
    assert "LLMRoutingNewServedModel" in run(source, "--level", "page").stdout


def test_an_alert_of_information_fails_only_where_asked_for(folder):
    source = fill(folder / "t.db", [*steady(), *(row(b * HOUR, "x", 9, "stray", "auto") for b in range(1, 49))])
    assert [run(source, "--level", level).exit_code for level in ("page", "ticket", "info")] == [0, 0, 1]
    [(key, alert)] = found(run(source, "--json")).items()
    assert key == ("stray", "LLMRoutingNoReference")
    assert (alert["owner"], alert["severity"], alert["value"]) == ("team-platform", "info", 432)


def test_a_condition_must_hold_as_long_as_the_rule_says(folder):
    # A page must hold for 5 minutes: it fires one slice after it begins.
    source = fill(folder / "t.db", [*steady(until=1), row(200, HAIKU, 400)])
    names = [("autocomplete", "LLMRoutingMixShiftFast") in found(run(source, "--json", at=at)) for at in _minutes(0, 5)]
    assert names == [False, True]
    # It holds until the hour is over, and is kept for a quarter of an hour more.
    kept = {at: found(run(source, "--json", at=at)) for at in _minutes(55, 60, 70, 75)}
    states = [one.get(("autocomplete", "LLMRoutingMixShiftFast"), {}).get("holds") for one in kept.values()]
    assert states == [True, False, False, None]
    assert "It no longer holds" in words(run(source, at=_minutes(60)[0]).stdout)


def _minutes(*after):
    return [datetime.fromtimestamp(END + 60 * m, timezone.utc).strftime("%Y-%m-%dT%H:%M") for m in after]


def test_requests_that_named_no_model_are_a_stream_of_their_own(folder):
    rows = [*steady(), *(row(b * HOUR + 600, MINI, 9, requested="", kind="unknown") for b in range(48))]
    alerts = found(run(fill(folder / "t.db", rows), "--json"))
    assert alerts["autocomplete", "LLMRoutingNoReference"]["requested"] == ""
    assert "for requests without a model in the last 7 days" in words(run("sqlite:t.db").stdout)


def test_names_are_never_read_as_markup(folder):
    rows = [*steady(), row(600, "[red]m[/red]", 2, "[bold]s", "gpt-5-2025-08-07", match="substituted", kind="pinned")]
    said = words(run(fill(folder / "t.db", rows)).stdout)
    assert "[bold]s LLMRoutingPinViolated [red]m[/red] served 2 requests" in said


def test_only_the_past_of_the_given_time_counts(folder):
    source = fill(folder / "t.db", shift(3))
    assert run(source, at="2026-11-10T09:00").exit_code == 0
    assert run(source, at="2026-11-10T10:00").exit_code == 1


# How fresh the source is ----------------------------------------------------------------------------------------------


def test_a_source_that_has_stopped_is_not_calm(folder):
    source = fill(folder / "t.db", steady(until=9))
    result = run(source)
    assert result.exit_code == 0
    assert "nothing to report" not in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last == "4 surfaces, no request since 2026-11-10T02:55:00Z, 9 hours before: calm would mean nothing"
    assert json.loads(run(source, "--json").stdout)["stale"] is True
    assert json.loads(run(source, "--json", at="2026-11-10T08:50").stdout)["stale"] is False


def test_cached_and_failed_calls_show_that_a_source_is_alive(folder):
    for number, more in enumerate(({"cached": "true"}, {"error": "Timeout", "match": "unreported"})):
        rows = [*steady(until=9), row(600, "" if "error" in more else SONNET, 1, **more)]
        document = json.loads(run(fill(folder / f"{number}.db", rows), "--json").stdout)
        assert (document["stale"], document["last_request"]) == (False, "2026-11-10T11:55:00Z")


def test_a_silent_surface_is_reported(folder):
    rows = [r for r in steady() if r[1][0] != "chart-tooltip" or r[0] < END - 25 * HOUR]
    result = run(fill(folder / "t.db", rows), "--level", "info")
    assert result.exit_code == 1
    assert "info team-charts chart-tooltip LLMRoutingSurfaceSilent no request was counted" in words(result.stdout)


def test_a_source_that_holds_nothing_in_the_window_is_an_error(folder):
    source = fill(folder / "t.db", steady())
    result = run(source, at="2026-12-24")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nothing can be judged; there are some from 2026-11-01T12:50:00Z to 2026-11-10T11:50:00Z" in result.stderr
    result = run(fill(folder / "empty.db", []), "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "none were ever received" in result.stderr


# The two files --------------------------------------------------------------------------------------------------------


def test_without_a_reference_limits_are_still_judged(folder):
    (folder / "reference.yaml").unlink()
    result = run(fill(folder / "t.db", shift(3)), "--json")
    assert result.exit_code == 1
    assert result.stderr == (
        "otel-llm-routing: reference.yaml: no such file; without it no shift, new or vanished model is seen\n"
    )
    names = {alert for _, alert in found(result)}
    assert names == {"LLMRoutingShareAboveBand", "LLMRoutingNoReference"}


def test_without_a_policy_shifts_are_still_judged(folder):
    (folder / "policy.yaml").unlink()
    result = run(fill(folder / "t.db", shift(3)), "--json")
    assert result.exit_code == 1
    assert result.stderr.startswith("otel-llm-routing: policy.yaml: no such file; without it nothing is declared")
    fast = found(result)["autocomplete", "LLMRoutingMixShiftFast"]
    assert (fast["owner"], fast["severity"]) == ("unowned", "page")


def test_without_both_it_says_what_to_do(folder):
    source = fill(folder / "t.db", steady())
    (folder / "policy.yaml").unlink()
    (folder / "reference.yaml").unlink()
    result = run(source)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    for todo in ("--policy", "--reference", "policy init", "reference pin"):
        assert todo in result.stderr


@pytest.mark.parametrize("option", ["--policy", "--reference"])
def test_a_named_file_must_be_there(folder, option):
    result = run(fill(folder / "t.db", steady()), option, "other.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "other.yaml: no such file" in result.stderr


def test_files_elsewhere(folder):
    source = fill(folder / "t.db", steady())
    for name in ("policy.yaml", "reference.yaml"):
        (folder / name).rename(folder / f"my-{name}")
    result = run(source, "--policy", "my-policy.yaml", "--reference", "my-reference.yaml")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_broken_policy_is_named_with_its_line(folder):
    (folder / "policy.yaml").write_text("version: 1\nsurfaces:\n  a: {uses: {ruter: x}}\n")
    result = run(fill(folder / "t.db", steady()))
    assert result.exit_code == 2
    assert "policy.yaml:3: " in result.stderr


def test_a_broken_reference_is_an_error(folder):
    (folder / "reference.yaml").write_text("version: 1\npins: []\n")
    result = run(fill(folder / "t.db", steady()))
    assert result.exit_code == 2
    assert "reference.yaml" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "sqlite:nowhere.db"], "nowhere.db: no such file"),
        (["--source", "redis:x"], "not a kind of source"),
        (["--source", "sqlite:t.db", "--at", "yesterday"], "--at 'yesterday'"),
        (["--source", "sqlite:t.db", "--level", "loud"], "--level"),
        ([], "--source"),
    ],
)
def test_bad_input_exits_with_2(folder, arguments, said):
    fill(folder / "t.db", steady(2))
    result = CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "160"})
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_source_that_answers_in_part_says_so_in_both_forms(folder):
    point = {"asInt": "5", "timeUnixNano": f"{END - HOUR}000000000", "startTimeUnixNano": f"{END - 2 * HOUR}000000000"}
    total = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [point]}
    metrics = {"scopeMetrics": [{"metrics": [{"name": "llm_routing.requests", "sum": total}]}]}
    (folder / "m.json").write_text(json.dumps({"resourceMetrics": [metrics]}) + '\n{"resourceMetrics": [{"sc\n{}\n')
    [warning] = json.loads(run("otlp:m.json", "--json").stdout)["partial"]
    assert "m.json" in warning
    assert f"the source answered in part only: {warning}\n" in run("otlp:m.json").stdout


def test_a_narrow_terminal_and_a_pipe_lose_nothing(folder):
    fill(folder / "t.db", shift(3))
    command = ["check", "--source", "sqlite:t.db", "--at", AT]
    assert words(run("sqlite:t.db", width=40).stdout) == words(run("sqlite:t.db", width=80).stdout)
    piped = CliRunner().invoke(app, command, env={"COLUMNS": None}).stdout
    for alert in json.loads(run("sqlite:t.db", "--json").stdout)["alerts"]:
        assert alert["description"].removeprefix(f"{alert['surface']}: ") in piped


# The document ---------------------------------------------------------------------------------------------------------

KINDS = {
    "alert": str,
    "severity": str,
    "owner": str,
    "surface": str,
    "requested": str,
    "served": str,
    "band": str,
    "window": str,
    "value": float,
    "reference": (float, type(None)),
    "wobble": (float, type(None)),
    "limit": (float, type(None)),
    "since": str,
    "holds": bool,
    "description": str,
}


def test_the_document_has_the_fields_that_scripts_rely_on(folder):
    document = json.loads(run(fill(folder / "t.db", shift(3)), "--json").stdout)
    assert document["schema"] == "otel-llm-routing/check/v1"
    assert (document["start"], document["end"]) == ("2026-11-02T05:00:00Z", "2026-11-10T12:00:00Z")
    assert (document["last_request"], document["stale"]) == ("2026-11-10T11:55:00Z", False)
    assert document["surfaces"] == ["autocomplete", "chart-tooltip", "long-form-draft", "nightly-digest"]
    assert document["partial"] == []
    for alert in document["alerts"]:
        assert set(alert) == set(KINDS)
        for field, kind in KINDS.items():
            assert isinstance(alert[field], kind), field
        assert re.fullmatch(r"2026-11-10T\d\d:\d\d:00Z", alert["since"])


def test_the_page_names_every_field_and_option():
    page = (ROOT / "docs" / "check.md").read_text("utf-8")
    for field in (*KINDS, "schema", "start", "end", "last_request", "stale", "surfaces", "alerts", "partial"):
        assert f"`{field}`" in page, field
    for option in ("--source", "--policy", "--reference", "--at", "--level", "--json"):
        assert f"`{option}`" in page, option


def test_the_example_of_the_page(folder):
    page = (ROOT / "docs" / "check.md").read_text("utf-8")
    [(command, printed)] = re.findall(r"```console\n\$ (otel-llm-routing check .*?)\n(.*?)```", page, re.DOTALL)
    fill(folder / "llm-routing.db", shift(3))
    result = CliRunner().invoke(app, shlex.split(command)[1:], env={"COLUMNS": "100"})
    assert result.exit_code == 1
    shown = [line.rstrip() for line in result.stdout.splitlines()]
    assert shown == printed.splitlines(), result.stdout
