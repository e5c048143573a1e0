"""The report reads what the server wrote, says what is wrong in one line, and has a stable JSON form."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import pytest
from typer.testing import CliRunner

from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.cli.app import app
from otel_llm_routing.serve.receiver import Point
from otel_llm_routing.serve.store import Store


def point(number, value, surface="autocomplete", requested="auto", served="claude-sonnet-5", **more):
    now = int(time.time())
    columns = {
        "kind": "router",
        "match": "resolved" if served else "unreported",
        "source": "body",
        "cached": "",
        "error": "",
        **more,
    }
    key = (surface, "openai", "chat", requested, served, *columns.values(), "shop")
    return Point(
        bytes([number]), now * 10**9, True, now // BUCKET * BUCKET, "llm_routing.requests", key, (value,), None
    )


@pytest.fixture
def database(tmp_path):
    path = str(tmp_path / "t.db")
    store = Store(path)
    store.write(
        [
            point(1, 30.0),
            point(2, 10.0, served="claude-haiku-4-5-20251001"),
            point(3, 10.0, served=""),
            point(4, 5.0, cached="true"),
            point(5, 5.0, served="", error="RateLimitError", surface="[red]drafts"),
        ]
    )
    store.close()
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["report", *arguments], env={"COLUMNS": "160"})


def test_json(database):
    result = run("--source", f"sqlite:{database}", "--format", "json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["schema"] == "otel-llm-routing/report/v1"
    first, second = document["surfaces"]
    assert (first["surface"], first["requests"], first["known"], first["cached"]) == ("autocomplete", 55, 40, 5)
    assert [(s["served"], s["requests"], s["share"]) for s in first["served"]] == [
        ("claude-sonnet-5", 30, 0.75),
        ("claude-haiku-4-5-20251001", 10, 0.25),
    ]
    assert first["unknown_share"] == 0.2
    assert (second["known"], second["errors"], second["served"]) == (0, 5, [])


def test_terminal(database):
    result = run("--source", f"sqlite:{database}")
    assert "auto → claude-sonnet-5" in result.stdout
    assert "75.0%" in result.stdout
    assert "unreported" in result.stdout
    assert "[red]drafts" in result.stdout


def foreign(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"nothing" * 1000), "not a readable SQLite database"),
        (foreign, "another program"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, make, said):
    path = tmp_path / "x.db"
    make(path)
    result = run("--source", f"sqlite:{path}")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_window_without_calls_says_so(database):
    result = run("--source", f"sqlite:{database}", "--since", "2020-01-01", "--until", "2020-01-02")
    assert result.exit_code == 1
    assert "no calls between 2020-01-01" in result.stderr


@pytest.mark.parametrize("arguments", [["--source", "x"], ["--source", "sqlite:"], ["--source", "redis:x"]])
def test_an_unknown_source(arguments):
    result = run(*arguments)
    assert (result.exit_code, "write sqlite:PATH" in result.stderr) == (2, True)


def test_a_time_that_is_none(database):
    result = run("--source", f"sqlite:{database}", "--since", "yesterday")
    assert (result.exit_code, "--since 'yesterday'" in result.stderr) == (2, True)
