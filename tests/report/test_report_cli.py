"""`otel-llm-routing report`: ranges, files, exit codes, and the delivery to a chat, through a real HTTP server."""

from __future__ import annotations

import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from stored import AUTO, DAY, HAIKU, HOUR, LAST, MINI, SONNET, at, key
from typer.testing import CliRunner

from otel_llm_routing.analyze.report.webhook import WebhookError, send
from otel_llm_routing.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text("utf-8")
SHIFTED = {SONNET: 45, HAIKU: 12, MINI: 43}
SECRET = "T0000-B0000-verysecret"


@pytest.fixture
def shifted(traffic):
    return traffic.steady(end="2026-11-24").steady(begin="2026-11-24", autocomplete=SHIFTED)


def document(run, *arguments):
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# Ranges ---------------------------------------------------------------------------------------------------------------


def test_a_day_is_from_midnight_to_midnight(traffic, run):
    found = document(traffic.steady() and run, "--day", "2026-11-24")
    assert (found["start"], found["end"]) == ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")
    assert found["surfaces"][0]["requests"] == 2400


def test_a_day_in_another_time_zone_has_its_own_midnights(traffic, run):
    traffic.steady()
    found = document(run, "--day", "2026-11-23", "--timezone", "America/New_York")
    assert (found["start"], found["end"]) == ("2026-11-23T05:00:00Z", "2026-11-24T05:00:00Z")
    assert found["timezone"] == "America/New_York"
    # The clocks went back on the first of November.
    found = document(run, "--since", "2026-11-01", "--until", "2026-11-25")
    assert found["start"] == "2026-11-01T00:00:00Z"
    result = run("--day", "2026-11-01", "--timezone", "America/New_York", "--format", "json")
    longer = json.loads(result.stdout)
    assert (longer["start"], longer["end"]) == ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z")


@pytest.mark.parametrize("name", ["today", "yesterday"])
def test_today_and_yesterday(traffic, run, name):
    result = run("--day", name, "--format", "json")
    found = json.loads(result.stdout)
    assert at(found["end"][:-1]) - at(found["start"][:-1]) == DAY
    assert found["over"] is (name == "yesterday")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--day", "tomorrow"], "--day 'tomorrow' is no day such as 2026-11-24"),
        (["--day", "2026-13-01"], "--day '2026-13-01'"),
        (["--day", "9999-12-31"], "--day"),
        (["--day", "2999-01-01"], "has not begun"),
        (["--day", "1969-12-31"], "before 1970"),
        (["--day", "2026-11-24", "--since", "24h"], "--day is a range by itself"),
        (["--since", "1h", "--until", "2h"], "--since is not before --until"),
        (["--since", "yesterday"], "--since 'yesterday'"),
        (["--timezone", "Mars/Olympus"], "--timezone 'Mars/Olympus'"),
        (["--timezone", "../../etc/passwd"], "--timezone"),
        (["--timezone", "Europe"], "--timezone"),
        (["--policy", "other.yaml"], "other.yaml: no such file"),
        (["--reference", "other.yaml"], "other.yaml: no such file"),
        (["--webhook", ""], "--webhook is empty"),
        (["--webhook", "hooks.example.com/x"], "the webhook is not an address"),
        (["--webhook", "env:"], "the webhook is not an address"),
        (["--webhook", "env:NOWHERE"], "the environment variable NOWHERE is empty"),
        (["--day", "2026-11-24", "-o", "llm-routing.db/report.txt"], "llm-routing.db/report.txt: cannot be written"),
        (["--false-alarm-days", "0"], "--false-alarm-days"),
        (["--false-alarm-days", "inf"], "--false-alarm-days"),
        (["--false-alarm-days", "1e308"], "--false-alarm-days"),
        (["--format", "pdf"], "--format"),
    ],
)
def test_bad_input_exits_with_2(traffic, run, arguments, said):
    traffic.steady("2026-11-24")
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_what_standard_output_cannot_write_does_not_stop_the_report(shifted, folder):
    shifted.write([(at("2026-11-24"), key("検索", AUTO, SONNET), 5)])
    program = [sys.executable, "-c", "from otel_llm_routing.cli import main; main()"]
    arguments = ["report", "--source", shifted.source, "--day", "2026-11-24"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*program, *arguments], check=False, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n??  no reference" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("form", ["terminal", "json"])
def test_a_disk_that_is_full_is_said_in_one_line(shifted, form):
    program = [sys.executable, "-c", "from otel_llm_routing.cli import main; main()"]
    arguments = ["report", "--source", shifted.source, "--day", "2026-11-24", "--format", form]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*program, *arguments], check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "otel-llm-routing: [Errno 28] No space left on device; nothing more was written\n"


# Files ----------------------------------------------------------------------------------------------------------------


def test_the_two_files_are_found_by_their_names(shifted, folder, run):
    assert document(run, "--day", "2026-11-24")["surfaces"][0]["verdict"]["kind"] == "shifted"
    for name in ("policy.yaml", "reference.yaml"):
        (folder / name).rename(folder / f"my-{name}")
    without = document(run, "--day", "2026-11-24")
    assert (without["policy"], without["reference"]) == (False, False)
    named = document(run, "--day", "2026-11-24", "--policy", "my-policy.yaml", "--reference", "my-reference.yaml")
    assert named["surfaces"][0]["verdict"]["kind"] == "shifted"


def test_a_broken_policy_is_named_with_its_line(traffic, folder, run):
    (folder / "policy.yaml").write_text("version: 1\nsurfaces:\n  a: {uses: {ruter: x}}\n")
    result = run("--day", "2026-11-24")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "policy.yaml:3: " in result.stderr


@pytest.mark.parametrize("form", ["terminal", "markdown", "json"])
def test_a_report_in_a_file_is_what_is_printed(shifted, folder, run, form):
    printed = run("--day", "2026-11-24", "--format", form, "--no-costs", COLUMNS=None)
    result = run("--day", "2026-11-24", "--format", form, "--no-costs", "-o", "report.txt")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    written = (folder / "report.txt").read_text("utf-8")
    made = r'"made": ".*?"'
    assert re.sub(made, "", written) == re.sub(made, "", printed.stdout)


def test_the_source_is_named_without_its_password(traffic, folder, run):
    result = run("--source", "prometheus:http://me:hunter2@127.0.0.1:1/", "--day", "2026-11-24")
    assert result.exit_code == 2
    assert "hunter2" not in result.output


def test_lines_are_broken_for_a_terminal_and_for_nothing_else(shifted, run):
    shifted.write([(at("2026-11-24"), key("drafts", "x" * 200, "y" * 200), 5)])
    sentence = "`gpt-5-mini-2025-08-07` served 43.0% of `openrouter/auto` since 2026-11-24"
    piped = run("--day", "2026-11-24", COLUMNS=None).stdout
    assert sentence in piped
    assert f"{'x' * 200} → {'y' * 200}" in piped
    assert max(len(line.rstrip()) for line in run("--day", "2026-11-24", width=40).stdout.splitlines()) <= 40


def test_what_cannot_be_done_is_refused_before_the_source_is_read(traffic, folder, run):
    """A long read that ends with an option that was wrong from the beginning is a long read for nothing."""
    nowhere = ("--source", "prometheus:http://127.0.0.1:1/")
    for arguments, said in (
        (("--webhook", "hooks.example.com"), "the webhook is not an address"),
        (("-o", "policy.yaml/report.txt"), "policy.yaml/report.txt: cannot be written (Not a directory)"),
        (("-o", "."), ".: cannot be written (Is a directory)"),
    ):
        result = run(*nowhere, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
        assert "127.0.0.1" not in result.stderr


# Exit codes -----------------------------------------------------------------------------------------------------------


def test_a_shift_is_an_exit_code_where_that_was_asked_for(shifted, run):
    assert run("--day", "2026-11-24").exit_code == 0
    assert run("--day", "2026-11-24", "--exit-code").exit_code == 1
    assert run("--day", "2026-11-23", "--exit-code").exit_code == 0


def test_what_is_only_worth_a_note_is_calm(traffic, run):
    traffic.steady().write([(at("2026-11-24T10:00"), key("beta", "auto", ""), 400)])
    assert run("--day", "2026-11-24", "--exit-code").exit_code == 0


def test_a_day_without_traffic_says_so_and_is_not_calm(traffic, run):
    traffic.steady(end="2026-11-20")
    for arguments, code in (((), 1), (("--exit-code",), 2)):
        result = run("--day", "2026-11-24", *arguments)
        assert result.exit_code == code
        assert result.stderr == (
            "otel-llm-routing: no calls between 2026-11-24T00:00:00Z and 2026-11-25T00:00:00Z; there are some from "
            "2026-11-03T00:10:00Z to 2026-11-19T23:10:00Z\n"
        )
        assert "autocomplete  silent" in result.stdout
    result = run("--day", "2026-11-24", "--format", "markdown")
    assert result.stdout.startswith("**No requests were counted in 2026-11-24 (UTC).**\n")


def test_an_exit_code_needs_something_to_judge_by(traffic, folder, run):
    traffic.steady()
    for name in ("policy.yaml", "reference.yaml"):
        (folder / name).unlink()
    result = run("--day", "2026-11-24", "--exit-code")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--exit-code judges by reference.yaml or policy.yaml" in result.stderr
    assert run("--day", "2026-11-24").exit_code == 0


def test_calm_that_rests_on_a_part_of_the_counts_is_not_calm(traffic, folder, run):
    from test_report_model import hours, otlp

    otlp(folder / "metrics.json", hours({SONNET: 83, HAIKU: 12, MINI: 5}, "2026-11-24", LAST), broken=True)
    command = ["report", "--source", "otlp:metrics.json", "--day", "2026-11-24"]
    assert CliRunner().invoke(app, command).exit_code == 0
    result = CliRunner().invoke(app, [*command, "--exit-code"])
    assert result.exit_code == 2
    assert "in part only" in result.stderr


# The chat -------------------------------------------------------------------------------------------------------------


class Chat:
    """An HTTP server that answers with one status after the other, and keeps what was sent."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.sent = []
        self.hold = threading.Event()
        chat = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                chat.sent.append((self.path, dict(self.headers), json.loads(body)))
                status = chat.statuses.pop(0) if chat.statuses else 200
                if status == 0:
                    chat.hold.wait(30)
                    return
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("location", f"/elsewhere/{SECRET}")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.host}/services/{SECRET}"

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.hold.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@contextmanager
def chat(*statuses):
    with Chat(*statuses).running() as running:
        yield running


def test_the_message_arrives_beside_the_report(shifted, run):
    with chat(200) as running:
        result = run("--day", "2026-11-24", "--webhook", running.url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Served models by surface")
    [(path, headers, body)] = running.sent
    assert path == f"/services/{SECRET}"
    assert {name.lower(): value for name, value in headers.items()}["content-type"] == "application/json"
    assert set(body) == {"text", "blocks"}
    assert body["text"] == "2026-11-24 (UTC): 1 of 4 surfaces not as agreed: `autocomplete` (shifted)."


def test_the_address_may_come_from_the_environment(shifted, run):
    with chat(200) as running:
        result = run("--day", "2026-11-24", "--webhook", "env:CHAT", "--exit-code", CHAT=f" {running.url}\n")
    assert (result.exit_code, len(running.sent)) == (1, 1)


def test_nothing_is_sent_that_nobody_asked_for(shifted, run):
    with chat(200) as running:
        run("--day", "2026-11-24", CHAT=running.url)
    assert running.sent == []


def test_a_day_without_traffic_is_sent_too(traffic, run):
    with chat(200) as running:
        assert run("--day", "2026-11-24", "--webhook", running.url).exit_code == 1
    assert running.sent[0][2]["text"] == "No requests were counted in 2026-11-24 (UTC)."


@pytest.mark.parametrize(
    ("statuses", "tries", "said"),
    [
        ((500, 200), 2, None),
        ((429, 204), 2, None),
        ((500, 503, 200), 2, "it answered 503, twice"),
        ((404,), 1, "it answered 404; is the webhook still valid?"),
        ((400,), 1, "it answered 400; does it take Slack's format?"),
        ((302,), 1, "it answered 302; redirects are not followed"),
        ((308,), 1, "it answered 308; redirects are not followed"),
        ((0, 0), 2, "no answer within 1 s, twice"),
    ],
)
def test_what_a_chat_answers(statuses, tries, said):
    with chat(*statuses) as running:
        if said is None:
            send(running.url, {"text": "x"}, timeout=60, pause=0)
        else:
            with pytest.raises(WebhookError) as raised:
                send(running.url, {"text": "x"}, timeout=1 if 0 in statuses else 60, pause=0)
            assert said in str(raised.value)
            assert str(raised.value).startswith(f"webhook {running.host}: ")
            assert SECRET not in str(raised.value)
        assert [path for path, *_ in running.sent] == [f"/services/{SECRET}"] * tries


def test_a_chat_that_is_not_there():
    with chat() as running:
        pass
    with pytest.raises(WebhookError) as raised:
        send(running.url, {"text": "x"}, pause=0)
    assert "it cannot be reached (Connection refused), twice" in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("url", ["hooks.example.com/x", "file:///etc/passwd", "https://", "http://[x/", "http://a b/c"])
def test_what_is_no_address(url):
    with pytest.raises(WebhookError, match="the webhook is not an address"):
        send(url, {}, pause=0)


def test_a_report_that_was_not_delivered_is_an_error_after_it_was_printed(shifted, run):
    with chat(404) as running:
        result = run("--day", "2026-11-24", "--webhook", running.url)
    assert result.exit_code == 2
    assert result.stdout.startswith("Served models by surface")
    assert result.stderr.count("\n") == 1
    assert SECRET not in result.output


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_names_every_option():
    shown = CliRunner().invoke(app, ["report", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).stdout
    options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", shown)) - {"--help"}
    assert len(options) >= 13
    for option in options:
        assert f"`{option}`" in PAGE, option


def test_the_page_names_every_field_of_the_document():
    from test_report_formats import DOCUMENT, FINDING, ROW, STREAM, SURFACE

    for field in (*DOCUMENT, *SURFACE, *FINDING, *STREAM, *ROW):
        assert f"`{field}`" in PAGE, field


def test_the_page_explains_every_verdict():
    from otel_llm_routing.analyze.report.model import LEVELS

    for kind, level in LEVELS.items():
        assert re.search(rf"\| `{kind}` \| {level} \|", PAGE), kind


def test_the_example_of_the_page(traffic, run):
    [(command, printed)] = re.findall(r"```console\n\$ (otel-llm-routing report .*?)\n(.*?)```", PAGE, re.DOTALL)
    traffic.steady(end="2026-11-21").steady(begin="2026-11-21", autocomplete={SONNET: 71, HAIKU: 24, MINI: 5})
    traffic.write([(at("2026-11-24") + 9 * HOUR, key("chart-tooltip", "gpt-5-mini", ""), 21)])
    result = CliRunner().invoke(app, shlex.split(command)[1:], env={"COLUMNS": "100", "NO_COLOR": "1"})
    assert result.exit_code == 1
    assert [line.rstrip() for line in result.stdout.splitlines()] == printed.splitlines(), result.stdout
