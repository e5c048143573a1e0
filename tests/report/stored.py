"""A real store with traffic of the example policy's surfaces in it, and the two example files."""

from __future__ import annotations

import itertools
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from otel_llm_routing import semconv
from otel_llm_routing.cli.app import app
from otel_llm_routing.serve.receiver import Point
from otel_llm_routing.serve.store import Store

EXAMPLES = Path(__file__).parents[2] / "examples" / "policy"
HOUR, DAY = 3600, 86_400
SONNET, HAIKU, MINI = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001", "gpt-5-mini-2025-08-07"
AUTO = "openrouter/auto"
AUTOCOMPLETE = ("autocomplete", AUTO)
MIX = {
    AUTOCOMPLETE: {SONNET: 83, HAIKU: 12, MINI: 5},
    ("chart-tooltip", "gpt-5-mini"): {MINI: 8},
    ("long-form-draft", SONNET): {SONNET: 8},
    ("nightly-digest", AUTO): {SONNET: 6, MINI: 4},
}
"""Requests an hour, as the reference has them."""
FIRST, LAST = "2026-11-03", "2026-11-25"
"""The traffic's days: from the first on, up to the last."""


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp())


class Traffic:
    """The embedded store, and what is written to it."""

    def __init__(self, path):
        self.path = path
        self.source = f"sqlite:{path}"
        self._number = itertools.count()
        Store(str(path)).close()

    def write(self, rows):
        """Write (seconds since the epoch, series key, number), or with the metric's name at the end.

        Of sizes the number is a histogram's count, sum and bins.
        """
        store = Store(str(self.path))
        store.write([self._point(*row) for row in rows])
        store.close()
        return self

    def _point(self, when, key, number, metric=semconv.REQUESTS):
        name = next(self._number).to_bytes(8, "big") + metric.encode()
        if metric == semconv.INPUT_SIZE:
            values, bounds = number, (*(str(256 * 2**n) for n in range(10)), "+Inf")
        else:
            values, bounds = (float(number),), None
        return Point(name, when * 10**9, True, when // 10 * 10, metric, key, values, bounds)

    def steady(self, begin=FIRST, end=LAST, without=(), **changes):
        """Every surface as the reference has it, but for ``changes``: streams by surface, and their mixes."""
        rows = []
        for hour in range(at(begin), at(end), HOUR):
            for (surface, requested), mix in MIX.items():
                if surface not in without:
                    for served, requests in changes.get(surface.replace("-", "_"), mix).items():
                        rows += [(hour + 600, key(surface, requested, served), requests)] if requests else []
        return self.write(rows)


def key(surface, requested, served, provider="openrouter", **more):
    kinds = {AUTO: "router", "gpt-5-mini": "alias", SONNET: "pinned"}
    kind = kinds.get(requested, "unknown")
    known = ("exact" if served == requested else "substituted") if kind == "pinned" else "resolved"
    words = {
        "kind": kind,
        "match": known if served else "unreported",
        "source": "body",
        "cached": "",
        "error": "",
        **more,
    }
    return (surface, provider, "chat", requested, served, *words.values(), "shop")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the two example files."""
    for name in ("policy.yaml", "reference.yaml"):
        (tmp_path / name).write_text((EXAMPLES / name).read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def traffic(folder):
    return Traffic(folder / "llm-routing.db")


@pytest.fixture
def run():
    def call(*arguments, width=120, **environment):
        command = ["report", "--source", "sqlite:llm-routing.db", *map(str, arguments)]
        return CliRunner().invoke(app, command, env={"COLUMNS": str(width), "NO_COLOR": "1", **environment})

    return call
