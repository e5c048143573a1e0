"""The dashboards: importable as they are, made of what is really emitted, and full for every value of a variable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import filled
import pytest
from boards import BOARDS, combinations, put_in, queries
from simulation import DAY
from typer.testing import CliRunner

from otel_llm_routing import semconv
from otel_llm_routing.cli.app import app

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[2]
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
QUERIES = queries()
RANGE = 2 * DAY
"""Seconds that the boards show here."""


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    made = filled.fill(tmp_path_factory.mktemp("month"))
    with made.running() as prometheus:
        yield made, prometheus


def test_there_are_the_five_boards():
    assert {board["title"] for board in BOARDS.values()} == {
        f"LLM routing / {name}" for name in ("Overview", "Surface", "Router", "Traffic or router", "Pipeline health")
    }


# Data --------------------------------------------------------------------------------------------------------------


def test_every_query_has_data_for_every_value_of_every_variable(month):
    made, prometheus = month
    now = time.time()
    empty, full = defaultdict(list), set()
    for query, chosen in combinations(QUERIES, prometheus, made.end):
        expr = put_in(query.target["expr"], chosen, RANGE)
        # What the running programs say of themselves is of now; the month ended some minutes ago.
        at = now if "prometheus_rule" in expr or "otelcol_" in expr else made.end
        found = (
            prometheus.query(expr, at) if query.target.get("instant") else prometheus.range(expr, at - RANGE, at, 1800)
        )
        if found or (at == now and prometheus.query(expr, at)):
            full.add(query.name)
        else:
            empty[query.name].append(chosen)
    # Where a panel says what it means to be empty, some value of the variables has to fill it.
    may = {query.name for query in QUERIES if query.panel["fieldConfig"]["defaults"].get("noValue")}
    assert {name: chosen for name, chosen in empty.items() if name not in may or name not in full} == {}


def test_the_smallest_shift_is_about_what_the_exact_solution_says(month):
    from otel_llm_routing.analyze.shift import detectable

    made, prometheus = month
    [target] = [q.target for q in QUERIES if q.panel["title"] == "Smallest shift seen"]
    for surface, requested in (("autocomplete", filled.AUTO), ("nightly-digest", filled.AUTO)):
        where = {"surface": surface, "requested": requested, "window": "24h"}
        [(_, shown)] = prometheus.query(put_in(target["expr"], where, RANGE), made.end)
        labels = f'{{llm_routing_surface="{surface}"}}'
        references = prometheus.query(f"llm_routing:reference:share{labels}", made.end)
        [(_, effective)] = prometheus.query(f"llm_routing:effective_requests:24h{labels}", made.end)
        exact = max(float(detectable(share, effective, 10.0)) for _, share in references)
        assert shown == pytest.approx(100 * exact, rel=0.25)


# What a query may name ----------------------------------------------------------------------------------------------


def test_every_metric_and_label_is_emitted_or_recorded(month):
    made, prometheus = month
    import yaml

    recorded = {
        rule["record"]
        for group in yaml.safe_load(made.rules.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    emitted = {_prometheus_name(name, unit) + suffix for name, unit, suffixes in EMITTED for suffix in suffixes}
    own = {"ALERTS", "target_info"}
    unknown = []
    given = defaultdict(lambda: "1h")
    for query in QUERIES:
        expr = re.sub(r'\{__name__=~"(\w+)\(_total\)\?"\}', r"\1", put_in(query.target["expr"], given, RANGE))
        for metric in re.findall(r"[a-zA-Z_:][\w:]*(?=\{|\[)", re.sub(r'"[^"]*"', '""', expr)):
            known = metric in recorded | emitted | own or metric.startswith(("prometheus_rule_", "otelcol_"))
            if not known or not prometheus.query(f"count(last_over_time({metric}[1d]))"):
                unknown.append((query.name, metric))
    assert unknown == []


EMITTED = (
    (semconv.REQUESTS, "", ("_total",)),
    (semconv.INPUT_TOKENS_TOTAL, "", ("_total",)),
    (semconv.OUTPUT_TOKENS_TOTAL, "", ("_total",)),
    (semconv.DURATION, "_seconds", ("_bucket", "_count", "_sum")),
    (semconv.INPUT_SIZE, "", ("_bucket", "_count", "_sum")),
)


def _prometheus_name(name, unit):
    return name.replace(".", "_") + unit


def test_every_label_is_one_that_series_have(month):
    _, prometheus = month
    import components

    have = set(components.get(f"{prometheus.url}/api/v1/labels")["data"])
    ours = {name.replace(".", "_") for name in semconv.REQUEST_ATTRIBUTES}
    made_here = {"group"}  # by label_replace
    for query in QUERIES:
        expr = query.target["expr"]
        named = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", expr))
        for listed in re.findall(r"(?:by|on|without|ignoring) \(([^)]*)\)", expr):
            named |= {label.strip() for label in listed.split(",") if label.strip()}
        named |= set(re.findall(r"\{\{(\w+)\}\}", query.target.get("legendFormat", "")))
        assert named - made_here <= have | ours | {"otel_metric_overflow", "error_type"}, query.name


# The rules of Grafana's dashboard-linter, those that apply ----------------------------------------------------------
# Not applied: template-job-rule and template-instance-rule, target-job-rule and target-instance-rule (the boards are
# of surfaces, over all jobs and instances; shares of one instance mean nothing), template-label-promql-rule (no such
# variable), panel-job-instance-rule (the same), target-counter-agg-rule (recordings are sums of increases already).


@pytest.mark.parametrize("name", BOARDS)
def test_the_data_source_is_a_variable(name):
    board = BOARDS[name]
    [variable] = [v for v in board["templating"]["list"] if v["type"] == "datasource"]
    assert (variable["name"], variable["query"], variable["label"]) == ("datasource", "prometheus", "Data source")
    assert board["templating"]["list"][0] is variable
    text = json.dumps(board)
    assert set(re.findall(r'"uid": "([^"]*)"', text)) - {board["uid"]} <= {"${datasource}", "-- Grafana --"}
    assert board["editable"] is True
    assert board.get("id") is None


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=[f"{n}: {p['title']}" for n, p in PANELS])
def test_a_panel_says_what_it_is_and_what_to_conclude(name, panel):
    assert panel["title"]
    assert len(panel["description"]) > 60
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    unit = panel["fieldConfig"]["defaults"].get("unit")
    assert unit or panel["type"] == "table"
    if panel["type"] == "stat":
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q.name)
def test_a_query_is_valid_and_rates_use_the_rate_interval(query):
    expr = query.target["expr"]
    for window in re.findall(r"(?:rate|irate)\([^[]*\[([^\]]*)\]", expr):
        assert window == "$__rate_interval"
    for window in re.findall(r"increase\([^[]*\[([^\]]*)\]", expr):
        assert window == "$__range"
    for counter in re.findall(r"(\w+_total)\b", expr):
        assert re.search(
            rf"(rate|increase|count by \([^)]*\) \(|last_over_time|count)\(?\(?{counter}|{counter}.*\[", expr
        )
    assert query.target["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap_and_fit_a_small_screen(name):
    taken = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        assert at["w"] >= 6  # at 1280 px a column of 24 is some 51 px
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in BOARDS[name]["panels"]}) == len(BOARDS[name]["panels"])


# One look for one thing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=[f"{n}: {p['title']}" for n, p in PANELS])
def test_a_model_has_the_colour_of_its_name(name, panel):
    if panel["type"] == "timeseries":
        assert panel["fieldConfig"]["defaults"]["color"]["mode"] == "palette-classic-by-name"
        for target in panel["targets"]:  # the colour is of the whole name
            assert "gen_ai_response_model" not in target["legendFormat"].replace("{{gen_ai_response_model}}", "", 1)
            if "gen_ai_response_model" in target["legendFormat"]:
                assert target["legendFormat"] == "{{gen_ai_response_model}}"


def test_shares_are_percent():
    for name, panel in PANELS:
        if "share" in panel["title"].lower() and panel["type"] != "table":
            assert panel["fieldConfig"]["defaults"]["unit"] == "percentunit", (name, panel["title"])


@pytest.mark.parametrize("name", BOARDS)
def test_boards_lead_to_each_other_with_their_variables_and_time(name):
    board = BOARDS[name]
    [link] = board["links"]
    assert (link["type"], link["tags"], link["includeVars"], link["keepTime"]) == (
        "dashboards",
        ["llm-routing"],
        True,
        True,
    )
    assert "llm-routing" in board["tags"]
    annotations = {a["name"] for a in board["annotations"]["list"]}
    assert annotations >= {"Deployments", "Reference pinned again", "Alerts"}


def test_annotations_mark_deployments_and_alerts(month):
    made, prometheus = month
    marks = {a["name"]: a for a in BOARDS["llm-routing-surface.json"]["annotations"]["list"] if a.get("expr")}
    for name in ("Deployments", "Alerts"):
        expr = put_in(marks[name]["expr"], {}, RANGE)
        assert prometheus.range(expr, made.end - 8 * DAY, made.end, 300), name
    expr = put_in(marks["Reference pinned again"]["expr"], {}, RANGE)
    assert prometheus.range(expr, made.end - 2 * DAY, made.end, 300) == []  # nobody did


# Made again ---------------------------------------------------------------------------------------------------------


def test_the_boards_are_what_their_code_makes():
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk needs Python 3.11")
    code = "import json, sys; from dashboards.__main__ import documents; json.dump(documents(), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tools", capture_output=True, text=True, check=True)
    assert {name: json.loads(text) for name, text in json.loads(done.stdout).items()} == BOARDS


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_survives_the_sdks_types(name):
    models = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard", reason="grafana-foundation-sdk needs Python 3.11"
    )
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    again = json.loads(JSONEncoder(sort_keys=True).encode(models.Dashboard.from_json(BOARDS[name])))
    for number, panel in enumerate(again["panels"], start=1):
        panel["id"] = number
    assert again == BOARDS[name]


def test_what_is_committed_is_what_is_generated():
    examples = ROOT / "examples" / "policy"
    files = ["--policy", str(examples / "policy.yaml"), "--reference", str(examples / "reference.yaml")]
    rules = ["--rules", "../collector/rules/llm-routing.rules.yaml"]
    done = CliRunner().invoke(app, ["generate", "grafana", "-o", str(ROOT / "grafana"), *files, *rules, "--check"])
    assert done.exit_code == 0, done.output
