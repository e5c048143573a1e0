"""The HTML report, opened from disk in a real browser without a network."""

from __future__ import annotations

import itertools
import re
import shutil
import socket
import subprocess
import sys
from datetime import timezone
from zoneinfo import ZoneInfo

import pytest
from browser import CONTRAST, Browser
from stored import AUTO, AUTOCOMPLETE, EXAMPLES, HAIKU, HOUR, MINI, SONNET, Traffic, at, key

from otel_llm_routing.analyze.report.build import build
from otel_llm_routing.analyze.report.html import MOST_CHARTS, as_html
from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.policy import loading
from otel_llm_routing.policy import reference as pinned

NEW = "gpt-5.1-2026-01-01"
SHIFTED = {SONNET: 60, HAIKU: 30, MINI: 5, NEW: 5}
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "'\"><b onmouseover=alert(1)>`${document.title='owned'}`",
    "line\u2028end\u2029\u202edessever\x00",
    "{{7*7}}{% raw %}&lt;",
    "datum['x'].y",
    "__proto__",
)
DRAWN = "document.documentElement?.dataset.drawn"
ADD = """new Promise((done) => {
  const e = document.createElement('%s'); %s; e.onload = e.onerror = () => done(1); document.body.append(e);
  setTimeout(() => done(1), 200);
})"""
POINT = """document.querySelectorAll('.bars_marks path').forEach((mark) => mark.dispatchEvent(
  new PointerEvent('pointermove', { bubbles: true, clientX: 5, clientY: 5 })))"""
EXPECTED_SIZE = 1_100_000


def report(traffic, end="2026-11-25", *, now=None, zone=timezone.utc, judged=True):
    return build(
        open_source(traffic.source),
        at(end) - 24 * HOUR,
        at(end),
        now=at(end) + HOUR if now is None else at(now),
        policy=loading.load(EXAMPLES / "policy.yaml") if judged else None,
        reference=pinned.load(EXAMPLES / "reference.yaml") if judged else None,
        name=traffic.source,
        zone=zone,
    )


def written(path, made):
    path.write_text(as_html(made), "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    """Three weeks with a day of which nothing is known, a surface that fell silent, and a shift on the 21st."""
    traffic = Traffic(tmp_path_factory.mktemp("shifted") / "t.db")
    traffic.steady("2026-11-03", "2026-11-12")
    traffic.steady("2026-11-13", "2026-11-21")
    return traffic.steady("2026-11-21", "2026-11-25", autocomplete=SHIFTED, without=("nightly-digest",))


@pytest.fixture(scope="module")
def page(shifted):
    return written(shifted.path.with_name("report.html"), report(shifted))


@pytest.fixture
def opened(browser, page):
    browser.look()
    browser.open(page)
    browser.wait(DRAWN)
    return browser


# What it loads --------------------------------------------------------------------------------------------------------


def test_the_file_asks_for_nothing_and_the_browser_complains_of_nothing(opened, page):
    assert opened.requests == [page]
    assert opened.complaints == []


def test_what_the_browser_complains_of_would_be_noticed(opened):
    opened.tell("console.error('here'); setTimeout(() => { throw new Error('there'); }); 1")
    opened.wait("new Promise((done) => setTimeout(() => done(true), 20))")
    assert len(opened.complaints) == 2


def test_the_security_policy_lets_no_request_leave_and_no_script_be_added(opened):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert opened.tell(f"fetch('{address}').then(() => 'sent', () => 'refused')") == "refused"
        for element in ("img", "script", "video"):
            opened.tell(ADD % (element, f"e.src = '{address}'"))
        opened.tell(ADD % ("script", "e.text = 'window.ran = 1'"))
        assert opened.tell("window.ran === undefined")
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_the_libraries_are_in_the_file_once(page, shifted):
    text = shifted.path.with_name("report.html").read_text("utf-8")
    assert text.count("window.vegaEmbed = vegaEmbed") + text.count("window.vegaEmbed=") == 1
    assert len(text.encode()) < EXPECTED_SIZE
    markup = re.sub(r"(?s)(<script)>.*?</script>", r"\1>", text)
    assert "<script>" in markup
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", markup)


# What it shows --------------------------------------------------------------------------------------------------------


def test_verdicts_come_first_then_tables_and_charts(opened):
    assert opened.tell("document.querySelector('main h2').textContent") == "Verdicts"
    first = opened.tell("document.querySelector('.verdicts li').innerText")
    assert "autocomplete" in first
    assert "shifted" in first
    assert f"{SONNET} served 60.0% of {AUTO} since 2026-11-21" in first
    order = opened.tell("[...document.querySelectorAll('.verdicts, .shares, .chart')].map((e) => e.className)")
    assert [name.split()[0] for name in order[:4]] == ["verdicts", "shares", "chart", "chart"]


def test_a_chart_has_a_part_for_each_model_and_day_and_gaps_are_gaps(opened):
    mix = "document.querySelector('.chart[data-chart=mix] svg')"
    # 21 measured days of 22; four models from the 21st on, three before.
    assert opened.tell(f"{mix}.querySelectorAll('.bars_marks path').length") == 17 * 3 + 4 * 4
    assert opened.tell(f"{mix}.querySelectorAll('.gaps_marks path').length") == 1
    assert "no data" in opened.tell(f"{mix}.textContent")
    change = "document.querySelector('.chart[data-chart=change] svg')"
    line = f"{change}.querySelector('.mark-line path').getAttribute('d')"
    assert opened.tell(line).count("M") == 2  # the line is broken once
    assert opened.tell(f"{change}.querySelectorAll('.bands_marks path').length") == 3


def test_the_charts_show_the_shares(opened):
    heights = opened.tell(
        "[...document.querySelectorAll('.chart[data-chart=mix] svg')].map((svg) => [...svg.querySelectorAll("
        "'.bars_marks path')].slice(-4).map((p) => [p.getAttribute('fill'), p.getBBox().height]))[0]"
    )
    last = opened.tell("document.querySelector('.chart[data-chart=mix] svg .bars_marks').getBBox().height")
    # The rows of a chart come by model: the last four are the new model's last four days.
    assert [round(height / last, 2) for _, height in heights] == [0.05] * 4


def test_a_model_has_one_colour_in_all_charts_and_its_table(opened):
    of = opened.tell(
        "[...document.querySelectorAll('.shares tbody tr')].map((row) => [row.querySelector('code').textContent,"
        "row.querySelector('rect').getAttribute('fill'), row.querySelector('.sign').textContent.trim()])"
    )
    assert len({name for name, *_ in of}) == len({tuple(one) for one in of}) == 4
    colours = {colour for _, colour, _ in of}
    drawn = opened.tell("[...document.querySelectorAll('.bars_marks path')].map((p) => p.getAttribute('fill'))")
    assert set(drawn) == colours


def test_the_numbers_of_the_charts_are_in_a_table(opened):
    opened.tell("document.querySelector('details').open = true")
    rows = opened.tell(
        "[...document.querySelectorAll('details')[0].querySelectorAll('tbody tr')].map((r) => r.innerText)"
    )
    cells = {row.split("\t")[0]: row.split("\t")[1:] for row in rows}
    assert cells["reference"][:3] == ["83.0%", "12.0%", "5.0%"]
    assert cells["2026-11-20"] == ["83.0%", "12.0%", "5.0%", "0.0%", "2,400"]
    assert cells["2026-11-24"] == ["60.0%", "30.0%", "5.0%", "5.0%", "2,400"]
    assert cells["2026-11-12"] == ["nothing was counted of any surface", "0"]


def test_a_tooltip_names_the_day_the_model_and_its_share(opened):
    opened.tell("document.querySelector('.figures').scrollIntoView()")
    x, y = opened.tell(
        "(() => { const r = document.querySelector('.bars_marks path').getBoundingClientRect();"
        "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )
    opened.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    text = opened.wait("document.querySelector('.tip')?.innerText")
    assert all(word in text for word in ("2026-11-03", SONNET, "83.0%"))


def test_a_day_that_is_not_over_says_so(browser, shifted, tmp_path):
    made = report(shifted, now="2026-11-24T20:00")
    browser.open(written(tmp_path / "r.html", made))
    browser.wait(DRAWN)
    assert "This range is not over" in browser.tell("document.body.textContent")
    assert "2026-11-24, not over" in browser.tell("document.querySelector('details').textContent")
    faint = "[...document.querySelectorAll('.chart[data-chart=mix]')[0].querySelectorAll('.bars_marks path')]"
    assert browser.tell(f"{faint}.filter((p) => p.getAttribute('opacity') < 1).length") == 4


# Readers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_has_to_be_scrolled_sideways(browser, page, width):
    browser.look(width=width)
    browser.open(page)
    browser.wait(DRAWN)
    assert browser.tell("document.documentElement.scrollWidth") == width
    out = "[...document.querySelectorAll('.chart svg, .shares td, .shares th[scope=row], p')]"
    assert browser.tell(f"{out}.filter((e) => e.getBoundingClientRect().right > {width}).map((e) => e.outerHTML)") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_it_needs(browser, page, scheme):
    browser.look(scheme=scheme)
    browser.open(page)
    browser.wait(DRAWN)
    found = browser.tell(CONTRAST)
    assert len(found) > 100
    assert found[0][0] >= 4.5, found[:3]
    lightness = sum(map(int, re.findall(r"\d+", browser.tell("getComputedStyle(document.body).backgroundColor"))[:3]))
    assert (lightness > 700) == (scheme == "light")


def test_print_is_dark_on_white_whatever_the_reader_prefers(browser, page):
    browser.look(scheme="dark", media="print")
    browser.open(page)
    browser.wait(DRAWN)
    assert browser.tell("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.tell(CONTRAST)[0][0] >= 4.5
    browser.look()


def test_structure_is_there_for_those_who_do_not_see_it(opened):
    assert opened.tell("document.documentElement.lang") == "en"
    assert opened.tell("['header', 'main', 'footer'].map((e) => document.querySelectorAll(e).length)") == [1, 1, 1]
    levels = opened.tell("[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert opened.tell("document.querySelectorAll('th:not([scope])').length") == 0
    assert opened.tell("[...document.querySelectorAll('th')].filter((h) => !h.textContent.trim()).length") == 0
    assert opened.tell("new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size") == opened.tell(
        "document.querySelectorAll('[id]').length"
    )
    charts = opened.tell("[...document.querySelectorAll('.chart')].map((c) => [c.getAttribute('role'), c.ariaLabel])")
    assert {role for role, _ in charts} == {"img"}
    assert f"On 2026-11-24: {SONNET} 60.0%, {HAIKU} 30.0%" in charts[0][1]
    opened.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert opened.tell("getComputedStyle(document.activeElement).outlineStyle") == "solid"


# What comes from outside ----------------------------------------------------------------------------------------------


def test_hostile_names_are_shown_and_execute_nothing(browser, tmp_path):
    traffic = Traffic(tmp_path / "t.db")
    rows = [
        (at("2026-11-24") + hour * HOUR, key(surface, asked, served), 5 + number)
        for hour in range(0, 24, 6)
        for number, served in enumerate(HOSTILE)
        for surface, asked in ((HOSTILE[0], HOSTILE[1]), (HOSTILE[1], HOSTILE[2]), (HOSTILE[3], HOSTILE[0]))
    ]
    browser.look()
    browser.open(written(tmp_path / "r.html", report(traffic.write(rows), judged=False)))
    browser.wait(DRAWN)
    # Every mark is pointed at: a name must do nothing in a tooltip either.
    browser.tell(POINT)
    assert browser.complaints == []
    assert len(browser.requests) == 1
    assert "owned" not in browser.tell("document.title")
    assert browser.tell("document.querySelectorAll('img, b[onmouseover], script').length") == 3
    assert browser.tell("document.querySelectorAll('.bars_marks path').length") == 3 * len(HOSTILE)
    text = browser.tell("document.body.textContent")
    assert all(name in text for name in HOSTILE if name.isprintable())
    assert "line\\u2028end\\u2029\\u202edessever" in text


def test_many_streams_have_tables_all_and_charts_the_first(tmp_path):
    traffic = Traffic(tmp_path / "t.db")
    many = MOST_CHARTS + 3
    traffic.write([(at("2026-11-24") + HOUR, key(f"s{number}", AUTO, SONNET), 5) for number in range(many)])
    text = as_html(report(traffic, judged=False))
    assert text.count('data-chart="mix"') == MOST_CHARTS
    assert text.count('<table class="shares"') == many
    assert text.count(f"Charts are drawn for the first {MOST_CHARTS} only") == 3


def test_a_day_that_comes_twice_when_clocks_go_back_is_two_days(tmp_path):
    traffic = Traffic(tmp_path / "t.db")
    hours = range(at("2026-10-24"), at("2026-10-27"), HOUR)
    traffic.write([(hour, key(*AUTOCOMPLETE, SONNET), 1) for hour in hours])
    # In Vienna the 25th has 25 hours: both 00:30 and 23:30 of it are beginnings of a day before 23:30 on the 26th.
    made = report(traffic, "2026-10-26T22:30", zone=ZoneInfo("Europe/Vienna"), judged=False)
    labels = re.findall(r'<th scope="row">(2026-10-[^<]*)</th>', as_html(made))
    assert labels == ["2026-10-24", "2026-10-25", "2026-10-25 23:30"]


def test_nothing_counted_is_a_page_as_well(browser, tmp_path):
    browser.open(written(tmp_path / "r.html", report(Traffic(tmp_path / "t.db"), judged=False)))
    browser.wait("Boolean(document.querySelector('main'))")
    assert "Nothing was counted in this range." in browser.tell("document.querySelector('main').textContent")
    assert browser.complaints == []


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_writes_the_page(traffic, run, folder):
    traffic.steady("2026-11-20")
    done = run("--since", "2026-11-24", "--until", "2026-11-25", "--format", "html", "-o", "r.html")
    assert done.exit_code == 0, done.output
    assert (folder / "r.html").read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("missing", ["altair", "vl_convert", "jinja2"])
def test_without_the_extra_the_command_fails_in_one_line(traffic, folder, missing):
    traffic.steady("2026-11-24")
    program = f"import sys; sys.modules[{missing!r}] = None; from otel_llm_routing.cli import main; main()"
    arguments = ["report", "--source", traffic.source, "--since", "2026-11-24", "--format", "html"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"{missing} is not installed; --format html needs" in done.stderr


@pytest.mark.parametrize("missing", ["altair", "vl_convert", "jinja2"])
def test_without_the_extra_the_module_says_what_to_install(missing):
    program = f"import sys; sys.modules[{missing!r}] = None; import otel_llm_routing.analyze.report.html"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"{missing} is not installed; the HTML report needs: pip install 'otel-llm-routing[html]'")


def test_the_scripts_are_sound_for_another_reader_than_the_browser(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on PATH")
    text = as_html(report(Traffic(tmp_path / "t.db").steady("2026-11-24"), judged=False))
    for number, script in enumerate(re.findall(r"<script>(.*?)</script>", text, re.DOTALL)):
        path = tmp_path / f"{number}.js"
        path.write_text(script, "utf-8")
        subprocess.run([node, "--check", str(path)], check=True)
