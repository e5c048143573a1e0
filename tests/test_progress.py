"""The bar of long reads: on a terminal, when they take their time, and without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")

PROGRAM = Path(sys.executable).parent / "otel-llm-routing"
EXAMPLES = Path(__file__).parents[1] / "examples" / "policy"
ENVIRONMENT = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
COMMANDS = {
    "report": ["report", "--no-costs"],
    "check": ["check"],
    "pin": ["reference", "pin", "--reason", "agreed", "-o", "new.yaml"],
    "diff": ["reference", "diff"],
    "init": ["policy", "init", "-o", "new.yaml"],
}
SAID = {"report": "counting the requests of the range", "pin": "reading counts"}


@pytest.fixture
def folder(tmp_path):
    for name in ("policy.yaml", "reference.yaml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text("utf-8"), "utf-8")
    return tmp_path


@pytest.fixture
def served():
    """Return the address of a Prometheus API without data, and what its answers wait for."""
    answers = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            answers.wait(100)
            body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    answers.set()
    server.shutdown()
    server.server_close()


@contextlib.contextmanager
def terminal():
    """Give a terminal: the end that a program writes to, and the one that shows it."""
    shows, writes = pty.openpty()
    with os.fdopen(shows, "rb", buffering=0) as screen, os.fdopen(writes, "wb", buffering=0) as error:
        yield screen, error


def rest_of(screen):
    """Return what the screen still shows, once nobody writes to it any more."""
    found = b""
    with contextlib.suppress(OSError):  # a terminal's way of saying that it is closed
        while piece := screen.read(4096):
            found += piece
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_read_that_takes_its_time_shows_a_bar_and_takes_it_away(folder, served, name):
    address, answers = served
    command = [PROGRAM, *COMMANDS[name], "--source", address]
    with terminal() as (screen, error):
        begun = time.monotonic()
        program = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=error)
        error.close()
        shown = b""
        while SAID.get(name, "reading").encode() not in shown:
            piece = screen.read(4096)
            assert piece, shown
            shown += piece
        assert time.monotonic() - begun > 1
        answers.set()
        shown += rest_of(screen)
        stdout, _ = program.communicate(timeout=100)
    # The last thing that is done to the bar's line is to clear it; what follows is text alone.
    bar, _, after = shown.decode().rpartition("\x1b[2K")
    assert SAID.get(name, "reading") in bar
    assert not re.search("[\u2501\u2578\u257a]", after)
    assert b"\x1b[2K" not in stdout


def test_a_quick_read_shows_none(folder, served):
    address, answers = served
    answers.set()
    # A busy machine may take more than a second for what is quick.
    patient = "from otel_llm_routing.cli import main, progress; progress.PATIENCE = 100; main()"
    command = [sys.executable, "-c", patient, "reference", "diff", "--source", address]
    with terminal() as (screen, error):
        program = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=error)
        error.close()
        shown = rest_of(screen).decode()
        program.communicate(timeout=100)
    assert re.fullmatch(r"otel-llm-routing: no requests with a known served model [^\x1b]*", shown)


def test_what_is_no_terminal_gets_none(folder, served):
    address, answers = served
    command = [PROGRAM, "reference", "diff", "--source", address]
    threading.Timer(2.5, answers.set).start()  # well past the time after which a terminal would see it
    done = subprocess.run(
        command, cwd=folder, env={**ENVIRONMENT, "FORCE_COLOR": "1"}, check=False, capture_output=True
    )
    assert re.fullmatch(rb"otel-llm-routing: no requests with a known served model [^\x1b]*", done.stderr), done
