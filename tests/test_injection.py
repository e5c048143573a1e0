"""Names that try to be something else, from the wire to everything that shows or loads them: they stay names.

One table of them goes over OTLP into the embedded backend, and from there through every command that reads it; what the
commands write is read by the programs that it is for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import components
import pytest
import yaml
from browser import Browser
from collectors import validate
from embedded import Server
from markdown_it import MarkdownIt

from otel_llm_routing.analyze.sources.series import clean
from otel_llm_routing.policy import loading

pytestmark = pytest.mark.timeout(600)

COMMAND = str(Path(sys.executable).parent / "otel-llm-routing")
NAMES = (
    "plain",
    "</script><script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=1">',
    "<!channel> <@U1> <https://evil.example|here>",
    "javascript:alert(1)",
    "${alert(1)} `${document.title='owned'}` $$HOME $(id) `id`",
    '{{ $labels.owner }} {{ printf "%s" .Values }}',
    '{{ end }}{{ define "x" }}',
    "{% raw %}{{7*7}}{% endraw %}",
    'x"} or vector(1) or {a="',
    "x', 'y'] | line_format",
    ".*|(?i)a.+",
    "$__all ${surface:raw} [[surface]]",
    "a | b `c` | [x](https://evil.example) ![y](z)",
    "**x** _y_ ~z~ # @team #1 \\",
    "line\nbreak\r\nX-Header: 1",
    "\x1b[31mred\x1b]0;title\x07\x1b]8;;https://evil.example\x07link",
    "\u202egnp.exe\u2066\u200f\u200b",
    "nul\0 del\x7f csi\x9b31m sep\u2028\u2029",
    "- key: value # comment",
    "&a *b !!python/object/apply:os.system ['id'] %TAG",
    "__proto__",
    "constructor",
    "%s %n %d {0.__class__} {self}",
    "../../etc/passwd",
    "=cmd|' /C calc'!A0",
    "'; DROP TABLE points; --",
    'a\\"b\\nc',
    "日本語 ünïcödé \U0001f600",
)  # fmt: skip
SHOWN = tuple(clean(name, 64) for name in NAMES)
DAYS = 16
STEP = 6 * 3600
EXECUTES = re.compile(r"<(script|img|iframe|svg|a|b|i|em|h\d)\b", re.IGNORECASE)


def words(text):
    return {"stringValue": text}


def send(server, begin, end):
    """Send two served models for each name, of which one's share moved in the last day."""
    points = []
    for number, name in enumerate(NAMES):
        for at in range(begin, end, STEP):
            late = at > end - 86_400
            for served, requests in ((name, 30 if late else 60), (f"{name[:40]} b", 70 if late else 40)):
                texts = {
                    "llm_routing.surface": name,
                    "gen_ai.provider.name": name,
                    "gen_ai.request.model": name,
                    "gen_ai.response.model": served,
                    "llm_routing.request.kind": ("router", "alias", "unknown")[number % 3],
                    "llm_routing.match": "resolved",
                    "llm_routing.served.source": "body",
                    "error.type": "",
                }
                points.append(
                    {
                        "startTimeUnixNano": str((at - 60) * 10**9),
                        "timeUnixNano": str(at * 10**9),
                        "asInt": str(requests),
                        "attributes": [{"key": key, "value": words(text)} for key, text in texts.items()],
                    }
                )
    data = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points}
    resource = {"attributes": [{"key": "service.name", "value": words(NAMES[1])}]}
    metrics = [{"name": "llm_routing.requests", "sum": data}]
    document = {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}
    status, _, body = server.post("/v1/metrics", json.dumps(document).encode(), "application/json")
    assert (status, body) == (200, b"{}")


class Place:
    """A folder with a served database, and the files made of it."""

    def __init__(self, folder):
        self.folder = folder
        self.server = Server(folder / "t.db")
        end = int(time.time()) // 3600 * 3600
        send(self.server, end - DAYS * 86_400, end)
        source = ["--source", f"sqlite:{folder / 't.db'}"]
        self.run("policy", "init", *source)
        self.run("reference", "pin", *source, "--reason", NAMES[6], "--days", "15", "--until", "1d")
        for kind, *more in (["prometheus", "--kubernetes"], ["alertmanager"], ["grafana"], ["collector"]):
            self.run("generate", kind, *more, "-o", "out")

    def run(self, *arguments, codes=(0,)):
        """Run a command as in a wide terminal that shows colours; return what it printed."""
        done = subprocess.run(
            [COMMAND, *arguments], check=False, capture_output=True, text=True, cwd=self.folder, timeout=500,
            env={**os.environ, "COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"},
        )  # fmt: skip
        assert done.returncode in codes, (arguments, done.stdout[-2000:], done.stderr[-2000:])
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("injection"))
    yield place
    assert place.server.stop() == 0


SOURCE = ("--source", "sqlite:t.db")
TERMINAL = (
    ("report", *SOURCE),
    ("report", *SOURCE, "--format", "markdown"),
    ("reference", "show"),
    ("reference", "diff", *SOURCE),
    ("policy", "check"),
    ("check", *SOURCE),
    ("backtest", *SOURCE, "--days", "3"),
    ("checklist", *SOURCE),
    ("pin", "plain", *SOURCE),
    ("models", "explain", NAMES[1]),
)


@pytest.mark.parametrize("arguments", TERMINAL, ids=lambda arguments: " ".join(arguments[:2]))
def test_no_command_prints_what_a_terminal_would_obey(place, arguments):
    shown = place.run(*arguments, codes=(0, 1, 2))
    assert len(shown) > 40
    odd = {c for c in shown if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")}
    assert not odd


def test_every_name_is_in_the_report_as_it_came_but_for_what_cannot_be_printed(place):
    document = json.loads(place.run("report", *SOURCE, "--format", "json"))
    assert {surface["surface"] for surface in document["surfaces"]} == set(SHOWN)
    shown = place.run("report", *SOURCE)
    assert [name for name in SHOWN if name not in shown] == []


def test_markdown_has_the_same_cells_in_every_row_and_nothing_that_a_name_made(place):
    text = place.run("report", *SOURCE, "--format", "markdown")
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    assert len(rows) > len(NAMES)
    assert len({len(re.findall(r"<t[hd]", row)) for row in rows}) == 1
    assert not EXECUTES.search(page.replace("<em>unknown", ""))


def test_the_message_of_the_webhook_neither_links_nor_mentions(place):
    with components.Webhook() as hook:
        place.run("report", *SOURCE, "--webhook", hook.url)
    [(_, body)] = hook.received
    said = json.dumps(body, ensure_ascii=False)
    assert "shifted" in said
    # Slack takes what is in angle brackets, and nothing else, for a link or a mention.
    assert "<" not in said
    assert ">" not in said
    assert all(len(block["text"]["text"]) <= 3000 for block in body["blocks"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


def read(browser, address, ready):
    browser.look()
    browser.open(address)
    browser.wait(ready)
    assert browser.complaints == []
    assert browser.tell("document.title") not in ("owned", "1")
    assert (
        browser.tell("document.querySelectorAll('img, iframe, object, a[href^=http], a[href^=javascript]').length") == 0
    )
    return browser.tell("document.body.textContent")


def test_the_page_of_the_last_days_has_every_name(place, browser):
    browser.look()
    browser.open(place.server.http + "/")
    browser.wait(
        "document.querySelector('main') !== null && document.getElementById('state').textContent !== 'loading'"
    )
    browser.tell("(() => { const s = document.getElementById('since'); s.value = '28d'; "
                 "s.dispatchEvent(new Event('change')); })()")  # fmt: skip
    browser.wait(f"document.querySelectorAll('main section').length >= {len(NAMES)}")
    text = browser.tell("document.querySelector('main').textContent")
    assert [name for name in SHOWN if name not in text] == []
    assert browser.complaints == []
    assert browser.tell("document.querySelectorAll('main img, main iframe, main a, main script').length") == 0


def test_the_html_report_shows_names_and_runs_none(place, browser):
    place.run("report", *SOURCE, "--format", "html", "-o", "report.html")
    text = read(browser, (place.folder / "report.html").as_uri(), "document.documentElement?.dataset.drawn")
    assert [name for name in SHOWN if name not in text] == []


# What other programs load --------------------------------------------------------------------------------------------


def test_the_policy_that_was_made_has_the_names(place):
    assert set(loading.load(place.folder / "policy.yaml").surfaces) == set(SHOWN)


def test_prometheus_checks_tests_and_loads_the_rules(place, tmp_path):
    out = place.folder / "out"
    promtool = components.tool("promtool")
    with ThreadPoolExecutor() as pool:
        checked = pool.submit(components.run, promtool, "check", "rules", out / "llm-routing.rules.yaml")
        tested = pool.submit(components.run, promtool, "test", "rules", out / "llm-routing.tests.yaml")
        checked.result(), tested.result()
    with components.Prometheus(tmp_path, rules=[out / "llm-routing.rules.yaml"]) as prometheus:
        found = [rule for group in prometheus.rules() for rule in group["rules"]]
        # Those with braces are recorded by an expression, for vmalert, which takes labels for templates.
        plain = {name for name in SHOWN if "{{" not in name}
        assert {rule["labels"].get("llm_routing_surface") for rule in found} >= plain
        assert "err" not in {rule["health"] for rule in found}


def test_alertmanager_loads_the_routes(place):
    file = place.folder / "out" / "llm-routing.alertmanager.yaml"
    assert "SUCCESS" in components.run(components.tool("amtool"), "check-config", file)


def test_an_alert_about_a_hostile_name_is_rendered_as_it_is(place, tmp_path):
    # What Alertmanager's template makes of the label: names are data, and are not read as templates again.
    (tmp_path / "none.tmpl").write_text("")
    data = tmp_path / "data.json"
    alerts = [
        {"status": "firing", "labels": {"llm_routing_surface": name}, "annotations": {"summary": f"{name}: x"}}
        for name in SHOWN
    ]
    data.write_text(json.dumps({"receiver": "r", "status": "firing", "alerts": alerts}), "utf-8")
    shown = components.run(
        *(components.tool("amtool"), "template", "render", f"--template.glob={tmp_path / 'none.tmpl'}"),
        "--template.text={{ range .Alerts }}{{ .Annotations.summary }}\x01{{ end }}",
        f"--template.data={data}",
    )
    assert shown.split("\x01")[:-1] == [f"{name}: x" for name in SHOWN]


@pytest.mark.parametrize("name", ["agent.yaml", "derive-from-spans.yaml", "gateway-tier2.yaml"])
def test_the_collector_takes_its_configurations(place, name):
    code, said = validate(place.folder / "out" / name)
    assert (code, said) == (0, ""), said


def test_grafanas_files_are_what_they_were_and_hold_no_name_where_a_query_is(place):
    out = place.folder / "out"
    boards = sorted(out.rglob("*.json"))
    assert boards
    for board in boards:
        text = board.read_text("utf-8")
        json.loads(text)
        assert not [name for name in SHOWN[1:] if json.dumps(name)[1:-1] in text]
    for file in out.rglob("*.y*ml"):
        for document in yaml.safe_load_all(file.read_text("utf-8")):
            assert document is None or isinstance(document, (dict, list, str))


def test_grafanas_provisioning_expands_no_name(place):
    # Grafana puts the environment's values where a provisioning file has $NAME or ${NAME}; $$ is a dollar.
    for file in (place.folder / "out").rglob("*.y*ml"):
        if "provisioning" in file.parts or "alerting" in file.parts:
            assert not re.findall(r"(?<!\$)(?:\$\$)*\$(?:HOME|\{surface|\{alert)", file.read_text("utf-8")), file
