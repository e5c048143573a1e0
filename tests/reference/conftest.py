"""A real store with traffic of known shares in it, for the commands about the reference."""

from __future__ import annotations

import contextlib
import itertools
from datetime import datetime, timezone

import numpy as np
import pytest
from typer.testing import CliRunner

from otel_llm_routing.analyze.sources.sqlite import BUCKET
from otel_llm_routing.cli.app import app
from otel_llm_routing.serve.receiver import Point
from otel_llm_routing.serve.store import Store

HOUR = 3600
START = int(datetime(2025, 3, 3, tzinfo=timezone.utc).timestamp())
"""A Monday; the traffic's days are counted from here."""
AUTOCOMPLETE = ("autocomplete", "openrouter/auto")
SHARES = {"claude-sonnet-4-5-20250929": 0.83, "claude-haiku-4-5-20251001": 0.12, "gpt-5-mini-2025-08-07": 0.05}


class Database:
    """The embedded store, and what is written to it."""

    def __init__(self, path):
        self.path = path
        self._store = Store(str(path))
        self._number = itertools.count()
        self._random = np.random.default_rng(11)

    @property
    def source(self):
        return f"sqlite:{self.path}"

    def add(self, days, shares=SHARES, stream=AUTOCOMPLETE, an_hour=20.0, match="resolved", hours=range(24)):
        """Write requests in these ``hours`` of these ``days``, drawn at random."""
        mean = [an_hour * share for share in shares.values()]
        counts = []
        for day, hour in itertools.product(days, hours):
            drawn = self._random.poisson(mean)
            counts += [(day, hour, stream, served, n) for served, n in zip(shares, drawn, strict=True)]
        return self.write(counts, match)

    def write(self, counts, match="resolved"):
        """Write (day, hour, stream, served, requests)."""
        self._store.write([self._point(*count, match) for count in counts if count[-1]])
        return self

    def _point(self, day, hour, stream, served, requests, match):
        at = START + day * 86_400 + hour * HOUR
        key = (stream[0], "openai", "chat", stream[1], served, "router", match, "body", "", "", "shop")
        name = next(self._number).to_bytes(4, "big")
        return Point(
            name, at * 10**9, False, at // BUCKET * BUCKET, "llm_routing.requests", key, (float(requests),), None
        )

    def measure(self, counts, bounds):
        """Write (day, stream, served, requests in each bucket): the sizes of one day's requests."""
        self._store.write([self._histogram(*count, (*map(str, bounds), "+Inf")) for count in counts])
        return self

    def _histogram(self, day, stream, served, bins, bounds):
        at = START + day * 86_400 + 12 * HOUR
        key = (stream[0], "openai", "", stream[1], served, "", "", "", "", "", "shop")
        name = next(self._number).to_bytes(4, "big")
        values = (float(sum(bins)), 0.0, *map(float, bins))
        return Point(name, at * 10**9, False, at // BUCKET * BUCKET, "llm_routing.input_size", key, values, bounds)

    def close(self):
        self._store.close()


@pytest.fixture
def open_database():
    """Return how to make a database at a path."""
    with contextlib.ExitStack() as stack:
        yield lambda path: stack.enter_context(contextlib.closing(Database(path)))


@pytest.fixture
def database(tmp_path, open_database):
    return open_database(tmp_path / "counts.db")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return how to run a command about the reference in an empty folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    runner = CliRunner()
    return lambda *arguments, **environment: runner.invoke(
        app, ["reference", *map(str, arguments)], env={"COLUMNS": "150", "NO_COLOR": "1", **environment}
    )


@pytest.fixture
def day():
    """Return the time of a day of the traffic as options take it."""
    return lambda number: datetime.fromtimestamp(START + number * 86_400, timezone.utc).strftime("%Y-%m-%dT%H:%M")
