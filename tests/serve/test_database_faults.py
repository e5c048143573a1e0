"""What befalls the file: no room or permission, deleted, replaced, damaged, another version, a wrong clock."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import components
import pytest
from embedded import COMMAND, DELTA, Server, export, grpc_call, refused, sizes

from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.sqlite import SCHEMA_VERSION, SQLiteSource


@pytest.fixture
def server(tmp_path):
    started = Server(tmp_path / "t.db")
    yield started
    started.process.kill()
    assert "Traceback" not in started.errors()


def long(number):
    """Return an export that takes some room."""
    return export((0, 10, 5), own={"llm_routing.surface": f"s{number}", "gen_ai.request.model": "m" * 200})


# No room, no permission -----------------------------------------------------------------------------------------------


def until_it_is_full(server):
    """Send until one is refused; return what was acknowledged, and the request that was not."""
    for number in range(3000):
        request = long(number)
        status, headers, body = server.post("/v1/metrics", request.SerializeToString())
        if status != 200:
            assert (status, headers["retry-after"]) == (503, "1")
            assert b"cannot be written now" in body
            return number, request
    pytest.fail("it was never full")


def test_a_full_disk_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room(server):
    # To the program a limit on the size of files is a full disk.
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    kept, request = until_it_is_full(server)
    assert grpc_call(server, request.SerializeToString()).name == "UNAVAILABLE"
    assert server.requests() == 5 * kept
    assert "could not be written" in server.errors()
    assert "failed_exports_total 2" in server.get("/metrics")
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    server.metrics(request)  # the sender tries again
    server.metrics(request)
    assert server.requests() == 5 * (kept + 1)
    assert server.stop() == 0


@pytest.fixture
def small(tmp_path):
    """A file system of its own, of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_file_system_without_space(small):
    server = Server(small / "t.db")
    kept, request = until_it_is_full(server)
    assert server.requests() == 5 * kept
    subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
    server.metrics(request)
    assert server.requests() == 5 * (kept + 1)
    assert server.stop() == 0


def test_a_file_system_without_space_for_a_beginning(small):
    with contextlib.suppress(OSError):
        (small / "other").write_bytes(b"x" * (2 << 20))
    assert "no space is left" in refused("--db", small / "t.db")
    (small / "other").unlink()
    server = Server(small / "t.db")
    server.metrics(export((0, 10, 5)))
    assert server.stop() == 0
    assert server.requests() == 5


def unprivileged():
    """Return what a command is started with so that permissions hold for it, for root as well."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write anywhere, and there is no setpriv here")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_a_database_that_may_not_be_written_is_refused_with_the_reason(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    server = Server(folder / "t.db")
    server.metrics(export((0, 10, 5)))
    assert server.stop() == 0
    (folder / "t.db").chmod(0o444 if what != "folder" else 0o644)
    folder.chmod(0o755 if what == "file" else 0o555)
    said = refused("--db", folder / "t.db", command=[*unprivileged(), *COMMAND])
    folder.chmod(0o755)
    assert str(folder / "t.db") in said
    assert "permissions" in said or "may be read and written" in said or "cannot be written" in said
    assert server.requests() == 5


@pytest.mark.parametrize("what", ["file", "folder"])
def test_permissions_that_are_taken_away_while_it_serves_cost_nothing_that_was_acknowledged(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    server = Server(folder / "t.db", command=[*unprivileged(), *COMMAND])
    server.metrics(export((0, 10, 5)))
    (folder / "t.db" if what == "file" else folder).chmod(0o444 if what == "file" else 0o555)
    status = server.post("/v1/metrics", export((0, 20, 8)).SerializeToString())[0]
    folder.chmod(0o755)
    assert status in (200, 503)
    assert server.requests() == (8 if status == 200 else 5)
    assert server.stop() == 0


# Deleted, replaced ----------------------------------------------------------------------------------------------------


def test_a_database_that_is_deleted_while_served_is_begun_anew_and_it_is_said(server):
    server.metrics(export((0, 10, 5)))
    for name in ("t.db", "t.db-wal", "t.db-shm"):
        Path(server.db).with_name(name).unlink()
    server.metrics(export((0, 20, 8)))
    assert server.requests() == 8
    assert "deleted or replaced" in server.errors()
    assert "database_replaced_total 1" in server.get("/metrics")
    assert server.stop() == 0
    assert server.requests() == 8


def test_a_database_that_is_moved_away_has_all_that_was_acknowledged(server, tmp_path):
    server.metrics(export((0, 10, 5)))
    Path(server.db).rename(tmp_path / "moved.db")
    server.metrics(export((0, 10, 3), own={"llm_routing.surface": "later"}))
    assert set(server.mixes()) == {"later"}
    moved = {m.surface: m.requests for m in mix(SQLiteSource(str(tmp_path / "moved.db")), 0, time.time() + 60)}
    assert moved == {"autocomplete": 5}
    assert server.stop() == 0


def test_a_log_that_is_deleted_while_it_is_served_loses_nothing(server):
    server.metrics(export((0, 10, 5)))
    Path(f"{server.db}-wal").unlink()
    server.metrics(export((0, 20, 8)))
    assert server.requests() == 8
    assert server.stop(signal.SIGKILL) == -9
    assert server.requests() == 8


def test_a_database_that_is_put_in_its_place_is_served(server, tmp_path):
    server.metrics(export((0, 10, 5)))
    other = Server(tmp_path / "other.db")
    other.metrics(export((0, 10, 2), own={"llm_routing.surface": "other"}))
    assert other.stop() == 0
    (tmp_path / "other.db").replace(server.db)
    server.metrics(export((0, 10, 1), own={"llm_routing.surface": "other"}, resource={"service.instance.id": "2"}))
    assert {m.surface: m.requests for m in server.mixes().values()} == {"other": 3}
    assert server.stop() == 0


def test_something_else_in_its_place_is_left_alone_and_nothing_is_acknowledged_until_it_is_gone(server, tmp_path):
    server.metrics(export((0, 10, 5)))
    Path(server.db).rename(tmp_path / "kept.db")
    Path(server.db).write_bytes(b"somebody's notes" * 100)
    request = export((0, 20, 8))
    assert server.post("/v1/metrics", request.SerializeToString())[0] == 503
    assert Path(server.db).read_bytes() == b"somebody's notes" * 100
    (tmp_path / "kept.db").replace(server.db)
    server.metrics(request)
    assert server.requests() == 8
    assert server.stop() == 0


# Damaged --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("sound") / "t.db")
    for number in range(60):
        server.metrics(long(number))
    assert server.stop() == 0
    return Path(server.db).read_bytes()


def read(path):
    """Read all there is to be read; what is damaged may be refused, and nothing else may happen."""
    with contextlib.suppress(SourceError):
        source = SQLiteSource(str(path))
        mix(source, 0, time.time() + 60)
        list(source.sizes(0, time.time() + 60, 3600))
        list(source.tokens(0, time.time() + 60))
        source.extent()


@pytest.mark.parametrize("how", ["flipped", "cut", "zeroed", "shuffled", "grown"])
def test_a_damaged_database_is_read_or_refused_with_one_line(sound, tmp_path, how):
    source = random.Random(how)
    path = tmp_path / "t.db"
    for _ in range(60):
        data = bytearray(sound)
        if how == "flipped":
            for _ in range(source.choice((1, 10, 300))):
                data[source.randrange(len(data))] = source.randrange(256)
        elif how == "cut":
            del data[source.randrange(len(data)) :]
        elif how == "zeroed":
            at = source.randrange(len(data))
            data[at : at + 5000] = bytes(len(data[at : at + 5000]))
        elif how == "shuffled":
            one, two = (4096 * source.randrange(len(data) // 4096) for _ in range(2))
            data[one : one + 4096], data[two : two + 4096] = data[two : two + 4096], data[one : one + 4096]
        else:
            data += source.randbytes(4096)
        path.write_bytes(data)
        read(path)


def test_a_damaged_database_is_not_served(sound, tmp_path):
    path = tmp_path / "t.db"
    path.write_bytes(sound[: len(sound) // 2])
    assert "restore this one from a copy" in refused("--db", path)
    assert path.read_bytes() == sound[: len(sound) // 2]


def test_a_database_with_a_name_that_is_no_text_is_not_served(sound, tmp_path):
    path = tmp_path / "t.db"
    path.write_bytes(sound.replace(b"claude-sonnet-5", b"\xff" * 15))
    assert "restore this one from a copy" in refused("--db", path)


@pytest.mark.parametrize("column", ["value", "bucket", "series", "metric"])
def test_values_of_a_wrong_kind_are_read_or_refused(sound, tmp_path, column):
    path = tmp_path / "t.db"
    for wrong in ("text", b"blob", 1e308, -1, 10**6, float("inf")):
        path.write_bytes(sound)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"UPDATE OR REPLACE points SET {column} = ?", (wrong,))  # noqa: S608
            connection.commit()
        read(path)


def test_a_log_that_is_lost_after_a_crash_costs_only_what_the_senders_say_again(server, tmp_path):
    server.metrics(export((0, 10, 5)))
    assert server.stop(signal.SIGKILL) == -9
    for name in ("t.db-wal", "t.db-shm"):
        Path(server.db).with_name(name).unlink(missing_ok=True)
    again = Server(server.db)
    again.metrics(export((0, 20, 8)))
    assert again.requests() == 8
    assert again.stop() == 0


@pytest.mark.parametrize("version", [SCHEMA_VERSION - 1, SCHEMA_VERSION + 1])
def test_an_older_and_a_newer_database_are_left_as_they_are(sound, tmp_path, version):
    path = tmp_path / "t.db"
    path.write_bytes(sound)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    assert "another version" in refused("--db", path)
    assert path.read_bytes() == before


# Clocks, and the end --------------------------------------------------------------------------------------------------


def at_another_time(db, ahead, *more):
    """Serve with a clock that is put ``ahead`` seconds as soon as the file ``leap`` beside the database exists."""
    leap = Path(db).with_name("leap")
    patched = (
        "import os, time; real = time.time; "
        f"time.time = lambda: real() + ({ahead} if os.path.exists({str(leap)!r}) else 0); "
        "from otel_llm_routing.serve import app; app.TIDY = 0.2; "
        "from otel_llm_routing.cli import main; main()"
    )
    return Server(db, *more, command=(sys.executable, "-c", patched, "serve")), leap


def test_a_clock_that_leaps_ahead_deletes_nothing(tmp_path):
    server, leap = at_another_time(tmp_path / "t.db", 400 * 86_400, "--retention", "30")
    server.metrics(export((0, 10, 5)))
    leap.touch()
    components.wait_for("line about the clock", lambda: "put forward" in server.errors(), 20)
    server.metrics(export((0, 10, 5)))
    server.metrics(export((0, 20, 8)))  # its stream is still known
    assert server.requests() == 5
    leap.unlink()
    server.metrics(export((0, 30, 10)))
    assert server.requests() == 7
    with contextlib.closing(sqlite3.connect(server.db)) as connection:
        assert connection.execute("SELECT sum(value) FROM points").fetchone() == (10,)
    assert server.stop() == 0


def test_a_clock_that_goes_back_counts_nothing_twice(tmp_path):
    server, leap = at_another_time(tmp_path / "t.db", -400 * 86_400)
    server.metrics(export((0, 10, 5)))
    server.metrics(export((0, 10, 2), temporality=DELTA))
    leap.touch()
    for _ in range(2):
        server.metrics(export((0, 10, 5)))
        server.metrics(export((0, 20, 8)))
        server.metrics(export((0, 10, 2), temporality=DELTA))
    leap.unlink()
    with contextlib.closing(sqlite3.connect(server.db)) as connection:
        assert connection.execute("SELECT sum(value) FROM points").fetchone() == (10,)
    assert server.stop() == 0


@pytest.mark.parametrize("off", [30 * 3_600, -30 * 3_600], ids=["ahead, then right", "right, then behind"])
def test_what_a_sender_counts_after_its_clock_was_put_back_is_counted_once(server, off):
    first = max(off, 0)
    later = first - 30 * 3_600
    for at, value in ((first, 5), (first + 10, 7), (first, 5)):
        server.metrics(export((-200_000, at, value)))
    for at, value in ((later + 20, 8), (later + 30, 12), (later + 20, 8), (first + 10, 7), (later + 40, 13)):
        server.metrics(export((-200_000, at, value)))
    with contextlib.closing(sqlite3.connect(server.db)) as connection:
        assert connection.execute("SELECT sum(value) FROM points").fetchone() == (13,)


def test_sizes_after_a_senders_clock_was_put_back_are_counted_once(server):
    for rows in ((90_000, 800, 1, 2, 0), (10, 1_200, 1, 2, 1), (90_000, 800, 1, 2, 0), (20, 1_100, 2, 1, 1)):
        server.metrics(sizes(rows))
    with contextlib.closing(sqlite3.connect(server.db)) as connection:
        assert connection.execute("SELECT sum(value) FROM bins").fetchone() == (4,)


def test_an_end_in_the_middle_of_writing_keeps_what_was_acknowledged(server):
    acknowledged = []

    def send(number):
        for at in range(1, 10_000):
            request = export((0, at, at), own={"llm_routing.surface": f"s{number}"})
            try:
                status = server.post("/v1/metrics", request.SerializeToString())[0]
            except OSError:
                return
            if status != 200:
                return
            acknowledged.append((number, at))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    components.wait_for("forty exports", lambda: len(acknowledged) >= 40)
    assert server.stop() == 0
    for thread in threads:
        thread.join()
    best = {}
    for number, at in acknowledged:
        best[f"s{number}"] = max(at, best.get(f"s{number}", 0))
    counted = {surface: found.requests for surface, found in server.mixes().items()}
    assert {surface: counted[surface] - least for surface, least in best.items()}.items() <= {
        (surface, more) for surface in best for more in (0, 1)
    }
