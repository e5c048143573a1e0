"""The benchmark of the embedded backend counts right: what it sends is stored, what it stores is read. No times."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import components
import pytest
from backend import commands, past, processes, tables
from backend.ingest import ingest
from backend.payloads import COUNTERS, MODELS, Load, turns
from backend.processes import FailedError
from backend.receivers import COLLECTOR, Collector, Serve

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources.sqlite import SQLiteSource

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
MEASURED = r"(?m)^<!-- backend: .*\n(?:.+\n)*"
SERIES, TURNS = 24, 3
DAY = 86_400


def stored(folder):
    return SQLiteSource(str(folder / "counts.db"))


@pytest.mark.parametrize("protocol", ["gRPC", "HTTP"])
def test_everything_that_is_sent_is_in_the_database_once(tmp_path, protocol):
    with Serve(tmp_path / "serve") as serve:
        found = ingest(serve, Load(SERIES, TURNS), protocol)
    assert (found.new.points, found.known.points) == (SERIES, SERIES * TURNS)
    assert found.bytes > 0
    held = {}
    for count in stored(serve.folder).counts(time.time() - DAY, time.time() + DAY):
        held[count.surface, count.served] = held.get((count.surface, count.served), 0) + count.requests
    pairs = [(f"surface-{n // MODELS}", f"model-{n % MODELS}") for n in range(SERIES)]
    assert held == dict.fromkeys(pairs, TURNS + 1)


def test_tokens_and_sizes_of_whole_exports_are_there_as_well(tmp_path):
    load = Load(SERIES, TURNS, whole=True)
    with Serve(tmp_path / "serve") as serve:
        found = ingest(serve, load, "gRPC")
    assert found.known.points == 5 * SERIES * TURNS
    source, window = stored(serve.folder), (time.time() - DAY, time.time() + DAY)
    read = sum(row.read for row in source.tokens(*window))
    assert read == load.requests * COUNTERS[semconv.INPUT_TOKENS_TOTAL]
    assert sum(row.requests for row in source.sizes(*window)) == load.requests


def test_the_collector_is_sent_the_same_and_has_the_same(tmp_path):
    components.tool("otelcol")
    assert COLLECTOR.is_file()
    load = Load(SERIES, TURNS, whole=True)
    for protocol in ("gRPC", "HTTP"):
        with Collector(tmp_path / protocol) as collector:
            assert ingest(collector, load, protocol).known.points == 5 * SERIES * TURNS
            assert collector.requests() == load.requests


def test_a_receiver_that_lacks_what_it_acknowledged_is_no_result(tmp_path):
    load = Load(SERIES, TURNS)
    without_the_last = turns(load)[:-1]
    with Serve(tmp_path / "serve") as serve, pytest.raises(FailedError, match=r"serve acknowledged 96 .* has 72"):
        ingest(serve, load, "HTTP", without_the_last)


def test_an_export_that_is_refused_is_no_result(tmp_path):
    with Serve(tmp_path / "serve") as serve, pytest.raises(FailedError, match="serve answered 400"):
        ingest(serve, Load(SERIES, 0), "HTTP", [[b"\xff"]])


def test_a_program_that_does_not_start_says_why(tmp_path):
    serve = Serve(tmp_path / "serve")
    (serve.folder / "counts.db").write_bytes(b"of somebody else")
    with pytest.raises(FailedError, match=r"serve does not start: .*counts\.db"), serve:
        pass
    assert serve.process.poll() is not None


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("past")
    return folder, past.write(folder, 3, 15)


def test_the_past_is_as_large_as_it_is_said_to_be(weeks):
    folder, held = weeks
    with contextlib.closing(sqlite3.connect(folder / past.DATABASE)) as connection:
        rows = connection.execute("SELECT count(*) FROM points").fetchone()[0]
        query = "SELECT sum(value), max(bucket) FROM points WHERE metric = ?"
        assert connection.execute(query, (semconv.REQUESTS,)).fetchone() == (held.requests, held.end - past.HOUR)
    assert rows == held.rows <= 3 * 8 * 3 * 15 * 24
    assert held.requests == pytest.approx(3 * 15 * past.A_DAY, rel=0.05)


@pytest.mark.parametrize("name", commands.commands(past.Past(0, 0, 0, 0), 1))
def test_every_command_that_is_measured_reads_that_past(weeks, name):
    folder, held = weeks
    used = commands.measure(folder, name, commands.commands(held, 15)[name], held)
    assert used.cpu > 0
    assert used.peak > 20 << 20


def test_a_report_that_did_not_read_every_request_is_no_result(weeks):
    folder, held = weeks
    asked = commands.commands(held, 15)[commands.REPORT]
    with pytest.raises(FailedError, match=f"counts {held.requests:,} requests of {held.requests + 1:,}"):
        commands.measure(folder, commands.REPORT, asked, held._replace(requests=held.requests + 1))


def test_a_command_that_fails_is_no_result_and_says_why(tmp_path):
    with pytest.raises(FailedError, match=r"ended with 2: .*nothing\.db"):
        processes.run([processes.COMMAND, "report", "--source", "sqlite:nothing.db"], tmp_path, tmp_path / "out")


BURNING = "import time\nwhile time.process_time() < 0.4: pass\n"


def test_peak_memory_is_the_commands_and_not_of_who_starts_it(tmp_path):
    held = bytearray(b"x" * (300 << 20))
    little = processes.run([sys.executable, "-c", "pass"], tmp_path, tmp_path / "little")
    much = processes.run([sys.executable, "-c", "x = b'x' * (200 << 20)"], tmp_path, tmp_path / "much")
    assert little.peak < 100 << 20 < len(held)
    assert 190 << 20 < much.peak - little.peak < 210 << 20


def test_cpu_time_is_counted_of_a_command_and_of_a_process_that_runs(tmp_path):
    assert 0.4 <= processes.run([sys.executable, "-c", BURNING], tmp_path, tmp_path / "out").cpu < 2
    waiting = [sys.executable, "-c", f"{BURNING}print(flush=True)\ninput()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert 0.38 <= processes.cpu(process.pid) < 2
        process.communicate(b"\n")


def benchmark(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "backend", *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT / "benchmarks"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_a_quick_run_writes_the_tables_that_the_page_has_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    ended = benchmark("--quick", "--surfaces", 2, "--days", 15, "--write", page)
    assert ended.returncode == 0, ended.stderr
    written = page.read_text("utf-8")
    assert written.count('`make backend ARGS="--quick"`, receiving 1 time') == 1
    assert "2 surfaces of 8 models, 15 days" in written
    assert re.sub(MEASURED, "", written) == re.sub(MEASURED, "", PAGE.read_text("utf-8"))


def test_the_page_has_every_table_once_and_of_a_full_run():
    text = PAGE.read_text("utf-8")
    assert sorted(re.findall(r"(?m)^<!-- backend: ([a-z]+) -->$", text)) == sorted(tables.PLACES.names)
    assert "`make backend`, receiving 3 times" in text
    assert "1,000 surfaces of 8 models, 28 days" in text


def test_a_page_without_a_place_for_a_table_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# No markers\n", "utf-8")
    ended = benchmark("--quick", "--write", page)
    assert ended.returncode == 2
    assert "no place for by, ingest, memory, past, reading" in ended.stderr
    assert page.read_text("utf-8") == "# No markers\n"
