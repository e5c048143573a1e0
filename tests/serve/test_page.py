"""The page of ``serve`` in a real browser: verdicts, shares with the reference, Vega's charts or the simple ones."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from browser import CONTRAST, Browser
from components import Program, free_port
from stored import AUTO, EXAMPLES, HAIKU, HOUR, MINI, SONNET, Traffic, key

COMMAND = Path(sys.executable).parent / "otel-llm-routing"
JUDGED = ("--policy", EXAMPLES / "policy.yaml", "--reference", EXAMPLES / "reference.yaml")
WITHOUT_HTML = "import sys; sys.modules['vl_convert'] = None; from otel_llm_routing.cli import main; main()"
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "it's`x`",
)
BARS = "document.querySelectorAll('.chart[data-drawn] .bars_marks path').length"


class Served(Program):
    """The server on the database of ``traffic``; a context manager."""

    def __init__(self, traffic, *options, command=(COMMAND,)):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        ports = ("--grpc-port", 0, "--http-port", self.port)
        super().__init__(
            traffic.path.parent, "serve", [*command, "serve", "--db", traffic.path, *ports, *options], self.url
        )

    def send(self, surface, requested, served, requests):
        """Send so many requests, as an exporter would."""
        names = ("llm_routing.surface", "gen_ai.request.model", "gen_ai.response.model")
        words = dict(zip(names, (surface, requested, served), strict=True))
        words |= {"llm_routing.match": "resolved", "llm_routing.request.kind": "router"}
        attributes = [{"key": name, "value": {"stringValue": word}} for name, word in words.items()]
        now = time.time_ns()
        point = {"startTimeUnixNano": str(now - 10**9), "timeUnixNano": str(now), "asInt": requests}
        points = {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [{**point, "attributes": attributes}]}
        document = {
            "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "llm_routing.requests", "sum": points}]}]}]
        }
        body = json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}v1/metrics", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200

    def get(self, path, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=names), timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


def lately(traffic):
    """Three days as the reference has them, then one with another mix, up to now."""
    now = int(time.time())
    rows = []
    for back in range(96, 0, -1):
        mix = {SONNET: 60, HAIKU: 35, MINI: 5} if back <= 24 else {SONNET: 83, HAIKU: 12, MINI: 5}
        rows += [(now - back * HOUR + 1800, key("autocomplete", AUTO, served), n) for served, n in mix.items()]
    return traffic.write(rows)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    with Served(lately(Traffic(tmp_path_factory.mktemp("judged") / "t.db")), *JUDGED) as served:
        yield served


def opened(browser, served, **look):
    browser.look(**look)
    browser.open(served.url)
    browser.wait(f"{BARS} > 0 && document.querySelector('.badge') !== null")
    return browser


def test_verdicts_reference_and_charts_are_on_the_page(browser, judged):
    opened(browser, judged)
    text = browser.tell("document.querySelector('main section').innerText")
    assert text.startswith("autocomplete")
    assert "shifted" in text
    assert f"of {AUTO}" in text
    row = browser.tell("document.querySelector('tbody tr').innerText.trim().split(/\\s+/)")
    assert row[-7:] == [SONNET, "60.0", "%", "83.0", "%", "\N{MINUS SIGN}23.0", "60"]
    assert browser.tell("document.querySelectorAll('.boundaries_marks line').length") == 2
    assert browser.tell("document.querySelectorAll('.chart .dots_marks path').length") > 0
    assert browser.tell("document.getElementById('simple').hidden")


def test_the_browser_complains_of_nothing_and_asks_this_server_alone(browser, judged):
    opened(browser, judged)
    assert browser.complaints == []
    assert {request.partition("?")[0].removeprefix(judged.url) for request in browser.requests} == {
        "",
        "api/mix",
        "api/verdicts",
        "api/charts",
        "vega.js",
    }


@pytest.mark.parametrize("look", [{"width": 360}, {"width": 1280}, {"scheme": "dark"}])
def test_the_page_is_readable_on_a_phone_and_in_the_dark(browser, judged, look):
    opened(browser, judged, **look)
    assert browser.tell("document.documentElement.scrollWidth === innerWidth")
    assert browser.tell(CONTRAST)[0][0] >= 4.5


def test_a_silent_surface_of_the_policy_is_named_with_its_verdict(browser, judged):
    opened(browser, judged)
    silent = browser.tell("[...document.querySelectorAll('section')].map((s) => s.innerText)")
    assert any(text.startswith("nightly-digest") and "silent" in text for text in silent)


def test_charts_follow_the_counts_without_being_drawn_anew(browser, tmp_path):
    with Served(Traffic(tmp_path / "t.db"), *JUDGED) as served:
        served.send("autocomplete", AUTO, SONNET, 3)
        browser.look()
        browser.open(served.url)
        browser.wait(f"{BARS} === 1")
        browser.tell("document.querySelector('.chart svg').seen = 'before'")
        served.send("autocomplete", AUTO, HAIKU, 1)
        browser.wait(f"{BARS} >= 2")
        assert browser.tell("document.querySelector('.chart svg').seen") == "before"
        assert browser.tell("document.querySelector('tbody tr').innerText.includes('75.0 %')")


def test_another_window_has_its_own_columns(browser, judged):
    opened(browser, judged)
    before = browser.tell(BARS)
    browser.tell("(() => { const s = document.getElementById('since'); s.value = '7d'; "
                 "s.dispatchEvent(new Event('change')); })()")  # fmt: skip
    browser.wait(f"{BARS} > 3 * {before}")
    assert browser.complaints == []


def test_hostile_names_are_shown_and_execute_nothing(browser, tmp_path):
    with Served(Traffic(tmp_path / "t.db")) as served:
        for surface in HOSTILE:
            for model in HOSTILE:
                served.send(surface, HOSTILE[0], model, 2)
        browser.look()
        browser.open(served.url)
        browser.wait(f"{BARS} >= {len(HOSTILE) ** 2}")
        assert browser.complaints == []
        assert browser.tell("document.title") == "Which model served"
        assert browser.tell("document.querySelectorAll('img').length") == 0
        text = browser.tell("document.querySelector('main').textContent")
        assert all(name in text for name in HOSTILE)


def test_without_the_extra_the_page_draws_simple_charts_and_says_so(browser, tmp_path):
    with Served(Traffic(tmp_path / "t.db"), command=(sys.executable, "-c", WITHOUT_HTML)) as served:
        served.send("autocomplete", AUTO, SONNET, 3)
        browser.look()
        browser.open(served.url)
        browser.wait(
            "document.querySelectorAll('.plot rect').length === 1 && !document.getElementById('simple').hidden"
        )
        assert "pip install 'otel-llm-routing[html]'" in browser.tell("document.getElementById('simple').textContent")
        assert f"{SONNET} 100.0 %" in browser.tell("document.querySelector('.plot desc').textContent")
        assert browser.complaints == []
        assert served.get("vega.js")[0] == 404


def test_where_nothing_names_the_surface_the_page_says_what_would(browser, tmp_path):
    with Served(Traffic(tmp_path / "t.db"), command=(sys.executable, "-c", WITHOUT_HTML)) as served:
        served.send("unknown", AUTO, SONNET, 3)
        served.send("autocomplete", AUTO, SONNET, 2)
        browser.look()
        browser.open(served.url)
        browser.wait("document.querySelectorAll('main section').length === 2")
        named = (
            "[...document.querySelectorAll('main section')].map((one) => one.innerText.includes('docs/surfaces.md'))"
        )
        assert browser.tell(named) == [True, False]


@pytest.mark.parametrize("path", ["vega.js", "api/charts", "api/verdicts"])
@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"sec_fetch_site": "cross-site"}])
def test_other_sites_get_nothing(judged, path, headers):
    assert judged.get(path, **headers)[0] == 403


def test_the_libraries_are_sent_once(judged):
    status, headers, body = judged.get("vega.js")
    assert status == 200
    assert headers["content-type"].startswith("text/javascript")
    assert headers["x-content-type-options"] == "nosniff"
    assert len(body) > 500_000
    assert judged.get("vega.js", if_none_match=headers["etag"])[0::2] == (304, b"")


@pytest.mark.parametrize("option", ["--policy", "--reference"])
@pytest.mark.parametrize("content", [None, "version: 1\nsurfaces: [\n", "version: 1\nnonsense: 2\n"])
def test_a_broken_file_is_an_error_before_anything_listens(tmp_path, option, content):
    path = tmp_path / "file.yaml"
    if content is not None:
        path.write_text(content, "utf-8")
    done = subprocess.run(
        [COMMAND, "serve", "--db", tmp_path / "t.db", "--grpc-port", "0", "--http-port", "0", option, path],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert str(path) in done.stderr
    assert not (tmp_path / "t.db").exists()
