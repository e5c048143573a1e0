"""reference pin, show and diff over a real store: what is written, what is kept, what is said."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from otel_llm_routing.cli.files import replace
from otel_llm_routing.policy import reference as files
from otel_llm_routing.policy.reference import Reference, load

FILE = Path("reference.yaml")
AUTOCOMPLETE = ("autocomplete", "openrouter/auto")
SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
ABSENT = "\N{EN DASH}"
TOOLTIP = ("chart-tooltip", "gpt-5-mini")
DRAFT = ("long-form-draft", "openrouter/auto")


def pin(run, database, until, reason="first", *more):
    return run("pin", "--source", database.source, "--reason", reason, "--until", until, *more)


def said(result):
    """Return what was printed, without the breaks that a narrow terminal makes."""
    return " ".join((result.stdout + result.stderr).split())


# Pinning --------------------------------------------------------------------------------------------------------------


def test_a_pin_holds_the_mix_its_noise_and_its_reason(run, database, day):
    database.add(range(28)).add(range(28), {"gpt-5-mini-2025-08-07": 1.0}, TOOLTIP, 2)
    result = pin(run, database, day(28), "agreed in the review")
    assert result.exit_code == 0
    assert "reference.yaml: pinned 2 streams of 2025-03-03T00:00:00Z to 2025-03-31T00:00:00Z" in result.stdout
    reference = load(FILE)
    act = reference.pins[0]
    assert (act.id, act.reason, act.source, act.gaps) == (1, "agreed in the review", database.source, ())
    busy, single = reference.streams
    assert (busy.surface, busy.requested, busy.days) == ("autocomplete", "openrouter/auto", 28)
    assert list(busy.shares.values()) == pytest.approx([0.83, 0.12, 0.05], abs=0.02)
    assert busy.requests == pytest.approx(20 * 24 * 28, rel=0.05)
    assert 1 <= busy.design_effect < 1.3
    assert busy.concentration > 500
    assert (single.shares, single.design_effect, single.concentration) == ({"gpt-5-mini-2025-08-07": 1.0}, 1, 400)


def test_only_requests_with_a_known_served_model_count(run, database, day):
    database.add(range(28), {"a": 1.0}, an_hour=5)
    database.add(range(28), {"openrouter/auto": 1.0}, an_hour=50, match="unconfirmed")
    assert pin(run, database, day(28)).exit_code == 0
    assert load(FILE).streams[0].shares == {"a": 1.0}


def test_pinning_again_keeps_history_and_reasons(run, database, day):
    database.add(range(28)).add(range(28, 56), {"new": 1.0})
    pin(run, database, day(28), "first")
    pin(run, database, day(56), "moved on purpose")
    pin(run, database, day(56), "once more")
    reference = load(FILE)
    assert [(act.id, act.reason) for act in reference.pins] == [(1, "first"), (2, "moved on purpose"), (3, "once more")]
    stream = reference.streams[0]
    assert [mix.pin for mix in (stream, *stream.before)] == [3, 2, 1]
    assert stream.shares == {"new": 1.0}
    assert stream.before[1].shares["claude-sonnet-4-5-20250929"] == pytest.approx(0.83, abs=0.02)


def test_one_surface_pinned_anew_leaves_the_others_as_they_were(run, database, day):
    database.add(range(56)).add(range(28), {"old": 1.0}, DRAFT).add(range(28, 56), {"new": 1.0}, DRAFT)
    pin(run, database, day(28))
    kept = load(FILE).streams[0]
    result = pin(run, database, day(56), "draft moved", "--surface", "long-form-draft")
    assert "pinned 1 stream of" in result.stdout
    first, second = load(FILE).streams
    assert first == kept
    assert (second.pin, second.shares, second.before[0].shares) == (2, {"new": 1.0}, {"old": 1.0})


def test_a_surface_without_requests_is_named_and_nothing_is_written(run, database, day):
    database.add(range(28))
    pin(run, database, day(28))
    before = FILE.read_text()
    result = pin(run, database, day(28), "typo", "--surface", "autocomplete", "--surface", "autocomplet")
    assert result.exit_code == 2
    assert "autocomplet: no requests with a known served model; nothing was pinned" in said(result)
    assert FILE.read_text() == before


def test_a_stream_that_is_no_more_is_retired_and_comes_back_with_its_history(run, database, day):
    database.add(range(90)).add(range(28), {"m": 1.0}, DRAFT).add(range(62, 90), {"m": 1.0}, DRAFT)
    pin(run, database, day(28))
    result = pin(run, database, day(60), "draft is gone")
    assert "retired long-form-draft / openrouter/auto: no requests with a known served model" in said(result)
    reference = load(FILE)
    assert [s.surface for s in reference.streams] == ["autocomplete"]
    assert [(s.surface, s.pin, s.retired_by) for s in reference.retired] == [("long-form-draft", 1, 2)]
    assert "retired by pin 2: long-form-draft" in said(run("show"))
    assert "retired" not in said(pin(run, database, day(60), "again")), "it is said once"
    pin(run, database, day(90), "back")
    reference = load(FILE)
    assert reference.retired == ()
    assert [mix.pin for mix in reference.stream(*DRAFT).before] == [1]


def test_streams_without_a_reference_are_named_with_the_reason(run, database, day):
    database.add(range(28))
    database.add(range(28), {"m": 1.0}, TOOLTIP, 0.04)
    database.add(range(20, 28), {"m": 1.0}, DRAFT)
    database.add(range(15), {"m": 1.0}, ("digest", ""))
    out = said(pin(run, database, day(28)))
    assert re.search(r"no reference for chart-tooltip / gpt-5-mini: \d+ requests with a known served model; a ref", out)
    assert "no reference for long-form-draft / openrouter/auto: 8 days with counts, from its first request on" in out
    assert "no reference for digest / (not said): no request in the last 13 days" in out
    assert len(load(FILE).streams) == 1


# What the source lacks ------------------------------------------------------------------------------------------------


def test_a_source_that_begins_later_makes_a_shorter_reference(run, database, day):
    database.add(range(10, 28))
    result = pin(run, database, day(28))
    assert load(FILE).streams[0].days == 18
    assert len(load(FILE).pins[0].gaps) == 10
    assert "1 stream with fewer than 28 days, down to 18: alerts on them are slower" in said(result)


def test_too_short_a_source_makes_none(run, database, day):
    database.add(range(16, 28))
    result = pin(run, database, day(28))
    assert result.exit_code == 2
    assert "12 days with counts, from its first request on; a reference needs 14" in said(result)
    assert not FILE.exists()


def test_an_outage_of_the_measurement_is_a_gap_and_not_a_zero(run, database, day):
    database.add([*range(10), *range(13, 28)])
    result = pin(run, database, day(28))
    reference = load(FILE)
    assert [str(gap) for gap in reference.pins[0].gaps] == ["2025-03-13", "2025-03-14", "2025-03-15"]
    assert "no counts of anything on 3 days, left out: 2025-03-13, 2025-03-14, 2025-03-15" in said(result)
    stream = reference.streams[0]
    assert stream.days == 25
    assert stream.requests / stream.days == pytest.approx(480, rel=0.05)


def test_a_day_without_requests_of_one_stream_is_a_zero(run, database, day):
    database.add(range(28)).add([*range(10), *range(13, 28)], {"m": 1.0}, DRAFT)
    pin(run, database, day(28))
    assert load(FILE).stream(*DRAFT).days == 28
    assert load(FILE).pins[0].gaps == ()


def test_weekends_on_which_nobody_works_are_no_gap(run, database, day):
    database.add([d for d in range(1, 33) if d % 7 < 5])
    pin(run, database, day(33))  # 28 days from a Saturday on
    assert load(FILE).streams[0].days == 28
    assert load(FILE).pins[0].gaps == ()


def test_a_night_before_the_first_request_does_not_shorten_the_reference(run, database, day):
    database.add(range(29), hours=[0])
    pin(run, database, f"{day(28)[:10]}T23:00")
    assert load(FILE).streams[0].days == 28


def test_a_series_counted_under_two_names_is_one_stream(run, database, day):
    database.add(range(28), {"a": 0.5, "b": 0.5}, match="resolved").add(range(28), {"a": 1.0}, match="exact")
    pin(run, database, day(28))
    assert load(FILE).streams[0].shares["a"] == pytest.approx(0.75, abs=0.02)


def test_a_mix_that_follows_the_hour_of_the_day_is_told_of(run, database, day):
    database.add(range(28), {"a": 0.9, "b": 0.1}, an_hour=2000, hours=range(12))
    database.add(range(28), {"a": 0.3, "b": 0.7}, an_hour=2000, hours=range(12, 24))
    result = pin(run, database, day(28))
    assert "restless autocomplete / openrouter/auto: LLMRoutingMixShiftFast would have fired on 28 of these" in said(
        result
    )
    assert re.search(r"set tolerance: 3\d in the policy", said(result))


def test_a_mix_that_only_wobbles_is_not_called_restless(run, database, day):
    assert "restless" not in said(pin(run, database.add(range(28)), day(28)))


# What can go wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reason", "  "], "--reason is empty"),
        (["--reason", "x", "--days", "13"], "13 days are too few; a reference needs 14"),
        (["--reason", "x", "--until", "9999-01-01"], "--until is in the future"),
        (["--reason", "x", "--until", "soon"], "--until 'soon'"),
        (["--reason", "x", "--until", "1970-01-02"], "no stream has enough requests in these 28 days"),
    ],
)
def test_what_cannot_be_pinned(run, database, arguments, words):
    result = run("pin", "--source", database.add(range(3)).source, *arguments)
    assert result.exit_code == 2
    assert words in said(result)
    assert not FILE.exists()


def test_without_a_reason_nothing_is_pinned(run, database):
    assert run("pin", "--source", database.source).exit_code == 2


@pytest.mark.parametrize("content", ["version: 1\npins: [", "", "version: 2\n", "\0\0", "version: 1\nsurfaces: {}\n"])
def test_a_file_that_cannot_be_read_is_never_overwritten(run, database, day, content):
    FILE.write_text(content)
    result = pin(run, database.add(range(28)), day(28))
    assert result.exit_code == 2
    assert re.search(r"reference\.yaml:\d+: ", said(result))
    assert FILE.read_text() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_leaves_the_file(run, database, day):
    pin(run, database.add(range(28)), day(28))
    before = FILE.read_text()
    Path().absolute().chmod(0o500)
    try:
        result = pin(run, database, day(28), "again")
    finally:
        Path().absolute().chmod(0o700)
    assert result.exit_code == 2
    assert FILE.read_text() == before


def test_credentials_stay_out_of_the_file_and_the_selector_in():
    from otel_llm_routing.analyze.reference import without_secrets

    address = 'prometheus:https://host:9090/path?selector=job="shop"'
    assert without_secrets(address.replace("//", "//user:p%40ss@")) == address
    assert without_secrets(address.replace("//", "//user:p@ss@")) == address
    assert without_secrets("sqlite:/srv//a@b.db") == "sqlite:/srv//a@b.db"


class Prometheus(BaseHTTPRequestHandler):
    """Answers every query with 10 requests in every 5 minutes."""

    on_query = staticmethod(lambda: None)

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.on_query()
        start, end, step = (int(form[name][0]) for name in ("start", "end", "step"))
        labels = {
            "llm_routing_surface": "autocomplete",
            "gen_ai_request_model": "auto",
            "gen_ai_response_model": "m",
            "llm_routing_match": "resolved",
        }
        series = {"metric": labels, "values": [[at, "10"] for at in range(start, end + 1, step)]}
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series]}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def prometheus():
    """Return how to start a Prometheus API that calls a function at every query; its address, with a password."""
    with contextlib.ExitStack() as stack:

        def start(on_query):
            handler = type("Handler", (Prometheus,), {"on_query": staticmethod(on_query)})
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"prometheus:http://reader:s3cret@127.0.0.1:{server.server_port}"

        yield start


def test_a_reference_is_pinned_from_a_prometheus_api(run, prometheus):
    result = run("pin", "--source", prometheus(lambda: None), "--reason", "first", "--until", "2025-03-31")
    assert result.exit_code == 0
    reference = load(FILE)
    assert reference.streams[0].requests == 28 * 24 * 12 * 10
    assert reference.pins[0].source.startswith("prometheus:http://127.0.0.1:")
    assert "s3cret" not in FILE.read_text()


def test_a_file_that_somebody_writes_meanwhile_is_left_to_them(run, prometheus):
    source = prometheus(lambda: FILE.write_text("theirs"))
    result = run("pin", "--source", source, "--reason", "first", "--until", "2025-03-31")
    assert result.exit_code == 2
    assert "somebody else has written it meanwhile; nothing was written, pin again" in said(result)
    assert FILE.read_text() == "theirs"


WRITER = """
import sys
from pathlib import Path
from otel_llm_routing.cli.files import replace
for number in range(10**9):
    replace({Path(sys.argv[1]): sys.argv[2] * 200_000})
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_no_half_a_file(tmp_path):
    path = tmp_path / "reference.yaml"
    for letter in "abc":
        with subprocess.Popen([sys.executable, "-c", WRITER, path, letter], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        assert path.read_text() == letter * 200_000


def test_two_writers_do_not_mix_their_texts(tmp_path):
    path = tmp_path / "reference.yaml"
    texts = {letter * 300_000 for letter in "abcd"}
    seen = set()

    def write(text):
        for _ in range(20):
            replace({path: text})
            seen.add(path.read_text())

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen <= texts
    assert [file.name for file in tmp_path.iterdir()] == ["reference.yaml"]


def test_a_rewritten_file_keeps_its_permissions_and_its_link(tmp_path):
    target, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    replace({link: "new"})
    assert (link.is_symlink(), target.read_text(), target.stat().st_mode & 0o777) == (True, "new", 0o640)


# Showing and comparing ------------------------------------------------------------------------------------------------


@pytest.fixture
def pinned(run, database, day):
    database.add(range(28))
    pin(run, database, day(28), "agreed")
    return database


def test_show_says_what_is_normal_and_what_would_be_seen(run, pinned):
    out = said(run("show"))
    assert "agreed" in out
    assert re.search(r"openrouter/auto → claude-sonnet-4-5-20250929 8[23]\.\d% ±\d\.\d", out)
    assert re.search(
        r"with this traffic the smallest shift seen within 24 h is \d+ points, within 7 days \d+ points", out
    )


def test_show_as_json(run, pinned):
    document = json.loads(run("show", "--json").stdout)
    stream = document["streams"][0]
    assert set(stream["detectable"]) == {"24h", "7d"}
    assert 0.02 <= stream["detectable"]["7d"] < stream["detectable"]["24h"] < 0.2
    shown = said(run("show"))
    assert set(stream["wobble"]) == set(stream["shares"])
    for served, wobble in stream["wobble"].items():
        assert f"{served} {stream['shares'][served]:.1%} ±{100 * wobble:.1f} " in shown


def test_an_unchanged_mix_is_not_called_shifted(run, pinned, day):
    pinned.add(range(28, 35))
    result = run("diff", "--source", pinned.source, "--since", day(28), "--until", day(35))
    assert result.exit_code == 0
    assert not re.search("shifted|new|gone", result.stdout)


def test_diff_says_what_moved_in_points(run, pinned, day):
    shares = {"claude-sonnet-4-5-20250929": 0.68, "claude-haiku-4-5-20251001": 0.3, "gpt-6": 0.02}
    pinned.add(range(28, 35), shares).add(range(28, 35), {"m": 1.0}, TOOLTIP)
    result = run("diff", "--source", pinned.source, "--since", day(28), "--until", day(35))
    out = said(result)
    assert re.search(r"→ claude-haiku-4-5-20251001 1[12]\.\d% (28|29|30|31|32)\.\d% \+1\d\.\d ±\d\.\d shifted", out), (
        out
    )
    assert re.search(r"→ claude-sonnet-4-5-20250929 8\d\.\d% 6\d\.\d% -1\d\.\d ±\d\.\d shifted", out)
    assert re.search(r"→ gpt-5-mini-2025-08-07 5\.\d% 0\.0% -5\.\d ±\d\.\d gone", out)
    assert re.search(rf"→ gpt-6 {ABSENT} [12]\.\d% \+[12]\.\d new", out)
    assert "with this traffic the smallest shift seen within 24 h" in out
    assert "no reference: chart-tooltip / gpt-5-mini" in out


def test_diff_as_json(run, pinned, day):
    pinned.add(range(28, 35), {"claude-sonnet-4-5-20250929": 0.5, "claude-haiku-4-5-20251001": 0.5})
    result = run("diff", "--source", pinned.source, "--since", day(28), "--until", day(35), "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == "otel-llm-routing/reference-diff/v1"
    haiku = next(s for s in document["streams"][0]["served"] if s["served"] == "claude-haiku-4-5-20251001")
    assert haiku["change"] == pytest.approx(0.38, abs=0.03)
    assert (haiku["shifted"], haiku["gone"]) == (True, False)


def test_a_small_move_of_huge_traffic_is_no_shift(run, database, day):
    shares = {"a": 0.995, "b": 0.005}
    database.add(range(28), shares, an_hour=20_000, hours=range(0, 24, 6))
    pin(run, database, day(28))
    database.add(range(28, 35), {"a": 0.98, "b": 0.02}, an_hour=20_000, hours=range(0, 24, 6))
    result = run("diff", "--source", database.source, "--since", day(28), "--until", day(35), "--json")
    served = json.loads(result.stdout)["streams"][0]["served"]
    assert [one["shifted"] for one in served] == [False, False], "the rules heed no move below 2 points"


def test_a_time_without_requests_is_an_error_for_scripts(run, pinned, day):
    result = run("diff", "--source", pinned.source, "--since", day(40), "--until", day(41))
    assert result.exit_code == 1
    assert "no requests with a known served model in this time" in said(result)


@pytest.mark.parametrize("command", [["show"], ["diff", "--source", "sqlite:x.db"]])
def test_a_missing_reference_says_how_to_write_one(run, command):
    result = run(*command)
    assert result.exit_code == 2
    assert "reference.yaml: no such file; write one with otel-llm-routing reference pin" in said(result)


def test_what_a_file_holds_is_no_command_to_the_terminal(run):
    name = "[bold]x[/bold]\x1b[31m\n"
    mix = {"pin": 1, "requests": 1000, "days": 28, "design_effect": 1, "concentration": 400, "shares": {name: 1.0}}
    moment = "2026-01-01T00:00:00Z"
    whole = {"id": 1, "at": moment, "reason": "r\x1b[2J", "start": moment, "end": moment, "source": "s"}
    made = Reference.model_validate({"pins": [whole], "streams": [{**mix, "surface": name, "requested": name}]})
    FILE.write_text(files.dump(made), "utf-8")
    result = run("show")
    assert "\x1b" not in result.stdout
    assert r"[bold]x[/bold]\x1b[31m\n" in result.stdout


# The page -------------------------------------------------------------------------------------------------------------

PINNED_AT = re.compile(r"^(pin \d+ ) \S+")
PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def steady(days, shares, stream=AUTOCOMPLETE, an_hour=20):
    """Return (day, hour, stream, served, requests), drawn by a generator that is the same in every Python."""
    drawn = random.Random(f"{stream} {shares}")
    for day, hour in itertools.product(days, range(24)):
        answers = drawn.choices(list(shares), list(shares.values()), k=an_hour)
        yield from ((day, hour, stream, served, answers.count(served)) for served in shares)


def test_the_page_shows_what_the_commands_print(run, open_database):
    database = open_database("llm-routing.db")
    database.write(steady(range(28), {SONNET: 0.83, HAIKU: 0.12, MINI: 0.05}))
    database.write(steady(range(28), {MINI: 1.0}, TOOLTIP, 8))
    database.write(steady(range(28, 35), {SONNET: 0.66, HAIKU: 0.31, "gpt-5-nano-2025-08-07": 0.03}))
    database.write(steady(range(28, 63), {MINI: 1.0}, TOOLTIP, 8))
    database.write(steady(range(35, 63), {SONNET: 0.66, HAIKU: 0.31, MINI: 0.03}))
    page = PAGE.read_text("utf-8")
    asked = re.findall(r"```console\n\$ (.*?)\n```", page.replace("\\\n", " "), re.DOTALL)
    assert len(asked) == 4
    for command, _, printed in (block.partition("\n") for block in asked):
        program, group, *arguments = shlex.split(command)
        assert (program, group) == ("otel-llm-routing", "reference")
        result = run(*arguments, COLUMNS="118")
        lines = [PINNED_AT.sub(r"\1 2025-04-01T09:00:00Z", line.rstrip()) for line in result.stdout.splitlines()]
        assert "\n".join(line for line in lines if line) == printed, command
    excerpt = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]
    assert excerpt in FILE.read_text("utf-8")


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        replace({pipe: "text"})
        assert reader.communicate(timeout=60)[0] == "text"
    assert pipe.is_fifo()
