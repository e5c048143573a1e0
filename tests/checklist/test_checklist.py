"""``otel-llm-routing checklist`` without a Prometheus: what it answers from a real store, the policy and an eval."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import stored
from stored import AUTO, HAIKU, MINI, SONNET, key
from typer.testing import CliRunner

from otel_llm_routing import semconv
from otel_llm_routing.cli.app import app

NOW = int(time.time()) // 3600 * 3600 - 3600
DAY = 24
PINNED = "gpt-9-mini-2031-01-31"
"""No price list and no SDK says when this one ends."""
POLICY = """\
version: 1
defaults: {owner: team-platform, unknown_limit: "5 %"}
surfaces:
  search:
    owner: team-search
    uses: {router: openrouter/auto}
    commitment: https://example.com/promises
    pin_when: Haiku `serves` <b>more</b>.
    unpin_when: It holds for a week.
  digest:
    uses: {pinned: gpt-9-mini-2031-01-31}
    customer_facing: false
  tooltip:
    uses: {alias: gpt-5-mini}
    commitment: none
    pin_when: The wording changes.
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


@pytest.fixture
def store(here):
    return stored.Traffic(here / "t.db")


def asked(surface, requested, served, requests, hours=2, **more):
    return (NOW - hours * 3600, key(surface, requested, served, **more), requests)


def run(*arguments):
    command = ["checklist", "--source", "sqlite:t.db", *map(str, arguments)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "120", "NO_COLOR": "1"})


def answers(*arguments):
    result = run("--json", *arguments)
    assert result.exit_code in (0, 1), result.output
    found = json.loads(result.stdout)
    assert found["schema"] == "otel-llm-routing/checklist/v1"
    return {one["surface"]: one for one in found["surfaces"]}


def answer(question, surface="search", *arguments):
    return answers(*arguments)[surface]["answers"][question]


def said(found):
    return [fact["text"] for fact in found["evidence"]]


# 1. Logged ------------------------------------------------------------------------------------------------------------


def test_a_model_that_is_known_of_nearly_all_requests_is_logged_with_its_numbers_and_its_query(store):
    store.write(
        [
            asked("search", AUTO, SONNET, 150),
            asked("search", AUTO, HAIKU, 44),
            asked("search", AUTO, "", 6),
            asked("search", AUTO, "", 900, error="Timeout"),
            asked("search", AUTO, SONNET, 30, cached="true"),
        ]
    )
    found = answer("logged")
    assert found["verdict"] == "yes"
    assert said(found)[0] == (
        f"The served model of 97.0% of 200 requests in 28 days is known: `{SONNET}` 77.3%, `{HAIKU}` 22.7%."
    )
    where = found["evidence"][0]["where"]
    assert where.startswith("otel-llm-routing report --source sqlite:t.db --since 20")
    shown = CliRunner().invoke(app, [*where.split()[1:], "--format", "json", "--no-costs"])
    assert json.loads(shown.stdout)["surfaces"][0]["surface"] == "search"
    at = time.gmtime(NOW - 2 * 3600)
    assert said(found)[1:] == [
        f"Unreported, as nothing named the served model: 6 (`{AUTO}` at `openrouter` 6).",
        "Left out: 900 failed calls that no model is known to have served and 30 answered from a gateway's cache.",
        f"The last request was on {time.strftime('%Y-%m-%d', at)}, in the hour from {at.tm_hour:02}:00 UTC.",
    ]


def test_more_unknown_than_the_policy_allows_is_partly(store):
    store.write([asked("search", AUTO, SONNET, 90), asked("search", AUTO, AUTO, 10, match="unconfirmed")])
    found = answer("logged")
    assert found["verdict"] == "partly"
    assert "Unknown are 10.0%; the limit is 5.0%." in said(found)
    assert any(text.startswith("Unconfirmed, as only the requested name came back") for text in said(found))
    assert "LLMRoutingServedModelUnknown" in found["todo"][0]


def test_none_known_or_none_at_all_is_no(store):
    store.write([asked("search", AUTO, "", 90), asked("tooltip", "gpt-5-mini", "", 5, error="Timeout")])
    assert answer("logged")["verdict"] == "no"
    assert said(answer("logged"))[0] == "Of none of 90 requests in 28 days is the served model known."
    assert answer("logged", "tooltip")["todo"] == ["see why its calls fail, or why a cache answers all of them"]
    assert said(answer("logged", "digest")) == ["No request in 28 days."]
    assert answer("logged", "digest")["verdict"] == "no"


def test_a_surface_that_rests_for_a_week_is_partly_and_one_that_rests_longer_is_not_seen(store):
    store.write([asked("search", AUTO, SONNET, 90, hours=9 * DAY), asked("tooltip", "gpt-5-mini", MINI, 5, 40 * DAY)])
    found = answer("logged")
    assert found["verdict"] == "partly"
    assert "There was no request in the last 7 days, so this may no longer be so." in said(found)
    assert said(answer("logged", "tooltip")) == ["No request in 28 days."]
    assert said(answer("logged", "tooltip", "--days", "60"))[0].startswith("The served model of 100.0% of 5 requests")


# Which surfaces -------------------------------------------------------------------------------------------------------


def test_surfaces_of_the_traffic_that_the_policy_lacks_are_asked_about_and_nameless_calls_are_noted(store):
    store.write(
        [
            asked("search", AUTO, SONNET, 90),
            asked("new", "gpt-5-mini", MINI, 5),
            asked("pinned-one", PINNED, PINNED, 5, kind="pinned", match="exact"),
            asked("unknown", "gpt-5-mini", MINI, 25),
        ]
    )
    found = answers()
    assert list(found) == ["search", "digest", "tooltip", "new", "pinned-one"]
    assert (found["new"]["line"], found["search"]["line"]) == (None, 4)
    verdicts = {question: one["verdict"] for question, one in found["new"]["answers"].items()}
    assert (verdicts["commitment"], verdicts["conditions"]) == ("no", "no")
    pinned = {question: one["verdict"] for question, one in found["pinned-one"]["answers"].items()}
    assert (pinned["commitment"], pinned["conditions"]) == ("does not apply", "does not apply")
    result = run()
    assert "> 25 requests, 20.0% of all, came without a surface (`unknown`)" in result.stdout


def test_only_the_named_surfaces_are_answered_and_a_misspelt_one_is_refused(store):
    store.write([asked("search", AUTO, SONNET, 90)])
    assert list(answers("tooltip", "search")) == ["tooltip", "search"]
    result = run("serch")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'serch' is a surface neither of the policy nor of the traffic; did you mean 'search'?" in result.stderr


def test_without_a_policy_the_traffic_alone_is_asked_about(store, here):
    (here / "policy.yaml").unlink()
    assert run().exit_code == 2
    store.write([asked("search", AUTO, SONNET, 90)])
    result = run()
    assert result.exit_code == 1
    assert "policy.yaml: no such file; without it nothing is declared" in result.stderr
    assert "no policy; no reference; no eval; no rules were asked about" in result.stdout


# 4. and 5. Declared ---------------------------------------------------------------------------------------------------


def test_what_the_policy_declares_is_quoted_with_its_lines(store):
    store.write([asked("search", AUTO, SONNET, 90)])
    found = answer("commitment")
    assert found["verdict"] == "yes"
    assert found["evidence"][0] == {
        "text": "What is promised is at `https://example.com/promises`; nobody opened it now.",
        "where": "policy.yaml:7",
    }
    assert said(found)[1].startswith(f"It asks for `{AUTO}` (router, 100.0% of its requests) (rule ")
    found = answer("conditions")
    assert found["verdict"] == "yes"
    assert found["evidence"] == [
        {"text": "To a pin when: Haiku 'serves' <b>more</b>.", "where": "policy.yaml:8"},
        {"text": "Back when: It holds for a week.", "where": "policy.yaml:9"},
    ]


def test_a_commitment_to_nothing_is_partly_and_a_missing_condition_is_named(store):
    store.write([asked("tooltip", "gpt-5-mini", MINI, 90)])
    assert answer("commitment", "tooltip")["verdict"] == "partly"
    found = answer("conditions", "tooltip")
    assert found["verdict"] == "partly"
    assert said(found)[1] == "The policy has no `unpin_when`."
    assert found["todo"] == ["write `unpin_when` in words, before it is needed"]


def test_questions_about_pinning_do_not_apply_to_a_pinned_surface_unless_it_asks_for_more(store):
    store.write([asked("digest", PINNED, PINNED, 90, kind="pinned", match="exact")])
    for question in ("commitment", "conditions"):
        assert answer(question, "digest")["verdict"] == "does not apply"
    store.write([asked("digest", "gpt-5-mini", MINI, 10)])
    found = answers()["digest"]
    assert found["pinned"] is False
    assert found["answers"]["conditions"]["verdict"] == "no"
    assert said(found["answers"]["conditions"])[0] == (
        "The policy lists pinned models only, and its traffic asks for `gpt-5-mini` too."
    )


def test_a_pinned_model_that_ends_is_said_with_its_source(store, here):
    store.write([asked("digest", PINNED, PINNED, 90, kind="pinned", match="exact")])
    (here / "ends.yaml").write_text(f"lifetimes:\n- {{model: {PINNED}, retires: 2020-02-03, source: its page}}\n")
    found = answer("commitment", "digest", "--lifetimes", "ends.yaml")
    assert found["verdict"] == "partly"
    assert found["evidence"][-1] == {
        "text": f"`{PINNED}` is offered no longer, since 2020-02-03.",
        "where": "ends.yaml:2 (its page)",
    }


# 2. Evaluated ---------------------------------------------------------------------------------------------------------


def sized(surface, requested, served, requests, number):
    """Requests and their histogram, all within one bucket of sizes."""
    words = (surface, "openrouter", "", requested, served, "", "", "", "", "", "shop")
    bins = [0.0] * 11
    bins[number] = float(requests)
    values = (float(requests), requests * 300.0, *bins)
    return [
        asked(surface, requested, served, requests),
        (NOW - 2 * 3600, words, values, semconv.INPUT_SIZE),
    ]


def write_cases(path, surface, size, served, count):
    with path.open("a") as file:
        for number in range(count):
            call = {"surface": surface, "input_size": size, "provider": "openrouter", "requested_model": AUTO,
                    "served_model": served, "match": "resolved"}  # fmt: skip
            case = {"schema": "otel-llm-routing/cases/v1", "id": f"{surface}-{size}-{served}-{number}",
                    "surface": surface, "score": 1.0, "calls": [call]}  # fmt: skip
            file.write(f"{json.dumps(case)}\n")


def test_an_eval_slice_like_the_traffic_is_yes_and_one_that_saw_another_model_is_partly(store, here):
    store.write([*sized("search", AUTO, SONNET, 300, 1), *sized("tooltip", "gpt-5-mini", MINI, 100, 0)])
    write_cases(here / "cases.jsonl", "search", 400, SONNET, 60)
    found = answers("--cases", "cases.jsonl")
    good = found["search"]["answers"]["evaluated"]
    assert good["verdict"] == "yes"
    assert said(good)[0] == "It is 75.0% of all traffic, and 100.0% of the eval: 60 cases."
    assert found["tooltip"]["answers"]["evaluated"]["verdict"] == "no"
    assert found["digest"]["answers"]["evaluated"]["verdict"] == "cannot be said"
    (here / "cases.jsonl").unlink()
    write_cases(here / "cases.jsonl", "search", 400, HAIKU, 60)
    other = answer("evaluated", "search", "--cases", "cases.jsonl")
    assert other["verdict"] == "partly"
    assert any(HAIKU in text and "100" in text for text in said(other))


def test_without_cases_or_with_ones_of_nothing_it_cannot_be_said(store, here):
    store.write([asked("search", AUTO, SONNET, 300)])
    assert answer("evaluated")["verdict"] == "cannot be said"
    write_cases(here / "cases.jsonl", "elsewhere", 400, SONNET, 6)
    found = answer("evaluated", "search", "--cases", "cases.jsonl")
    assert found["verdict"] == "cannot be said"
    assert "no surface is in both" in said(found)[0]
    result = run("--cases", "absent.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "absent.jsonl" in result.stderr


# What comes out -------------------------------------------------------------------------------------------------------


def test_the_exit_code_is_by_the_worst_answer_that_counts(store):
    store.write([asked("search", AUTO, SONNET, 300)])
    assert run("search").exit_code == 1
    assert run("search", "--fail-on", "partly").exit_code == 0
    assert run("tooltip", "--fail-on", "no").exit_code == 1
    assert run("tooltip", "--fail-on", "never").exit_code == 0


def test_markdown_holds_a_table_and_every_answer_and_takes_nothing_for_markup(store, here):
    store.write([asked("search", AUTO, SONNET, 300), asked("x|y`z\x1b[31m@all", AUTO, "a|b", 3)])
    now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S}"
    result = run("--at", now, "-o", "out.md")
    assert (result.exit_code, result.stdout) == (1, "")
    text = (here / "out.md").read_text()
    assert text == run("--at", now).stdout
    assert "| `search` | yes | cannot be said | cannot be said | yes | yes |" in text
    assert "## `search`" in text
    assert "\x1b" not in text
    assert r"| `x\|y'z [31m@all` | yes |" in text
    assert "   - To a pin when: Haiku 'serves' \\<b\\>more\\</b\\>. (`policy.yaml:8`)" in text
    for number in range(1, 6):
        assert len(re.findall(rf"^{number}\. .*\*\*.*\.\*\*$", text, re.MULTILINE)) == 4


def test_what_cannot_be_read_is_an_error_and_no_answer(store, here):
    store.write([asked("search", AUTO, SONNET, 300)])
    for option, file in (("--policy", "p.yaml"), ("--reference", "r.yaml"), ("--lifetimes", "l.yaml")):
        (here / file).write_text("{not this")
        result = run(option, file)
        assert (result.exit_code, result.stdout) == (2, "")
        assert file in result.stderr


# A server that is none ------------------------------------------------------------------------------------------------


@pytest.fixture
def serving():
    """Return what serves an answer to whatever is asked, and its address."""
    servers = []

    def serve(status, body, kind="application/json"):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.do_GET()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "expected"),
    [
        (404, b"no", "text/plain", "answers 404"),
        (200, b"<html>", "text/html", "answers with text/html instead of JSON"),
        (200, b'{"status":"success","data":{"groups":7}}', "application/json", "answers without rule groups"),
        (
            200,
            b'{"status":"error","errorType":"x","error":"\\u001b[31mno"}',
            "application/json",
            "answers 200, x, [31mno",
        ),
    ],
)
def test_a_server_that_was_named_and_does_not_answer_is_an_error(store, serving, status, body, kind, expected):
    store.write([asked("search", AUTO, SONNET, 300)])
    url = serving(status, body, kind)
    result = run("--prometheus", url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{url} {expected}" in result.stderr


def test_rules_of_wrong_types_are_left_out_and_hostile_texts_stay_text(store, serving):
    store.write([asked("search", AUTO, SONNET, 300)])
    good = {"name": "LLMRoutingMixShiftDay", "type": "alerting", "health": "err", "lastError": "\x1b[31m`x` <b>\n| y",
            "labels": {"llm_routing_window": "24h"}, "lastEvaluation": "nonsense", "alerts": 5, "query": 7}  # fmt: skip
    groups = [None, 7, {"rules": 5}, {"rules": [None, {"name": 5}, good], "interval": "x", "file": 9}]
    url = serving(200, json.dumps({"status": "success", "data": {"groups": groups}}).encode())
    found = answer("alerted", "search", "--prometheus", url)
    assert found["verdict"] == "no"
    text = run("--prometheus", url).stdout
    assert "\x1b" not in text
    assert "`LLMRoutingMixShiftDay` fails (`" in text
    assert "<b>" not in re.sub("`[^`]*`", "", text)
