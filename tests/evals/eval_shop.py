"""A shop's production in a real store, the cases of its eval, and production made of counts alone."""

from __future__ import annotations

import itertools
import json

import pytest
from stored import AUTO, DAY, HAIKU, MINI, SONNET, at, folder, key, traffic
from typer.testing import CliRunner

from otel_llm_routing import semconv
from otel_llm_routing.analyze.evals.cases import Case, CaseCall
from otel_llm_routing.analyze.evals.production import of_counts
from otel_llm_routing.analyze.evals.reading.ours import SCHEMA
from otel_llm_routing.analyze.sources import Count, SizeCount
from otel_llm_routing.cli.app import app

__all__ = ["AUTO", "HAIKU", "MINI", "SONNET", "call", "cases", "folder", "made_of", "run", "shop", "traffic", "write"]

FIRST, LAST = "2026-11-10", "2026-11-24"
DAILY = (
    # surface, requested, served, how many requests of which bucket of sizes
    ("autocomplete", AUTO, HAIKU, {0: 400, 1: 150}),
    ("autocomplete", AUTO, SONNET, {1: 50, 2: 100}),
    ("long-form-draft", SONNET, SONNET, {3: 40, 4: 60, 5: 100}),
    ("chart-tooltip", "gpt-5-mini", MINI, {1: 90}),
    ("chart-tooltip", "gpt-5-mini", "", {1: 10}),
)
"""Requests a day: 70 % are of autocomplete, of which a haiku serves 78.6 %."""
EVAL = (
    # surface, requested, served, size, cases, how many of them pass
    ("autocomplete", AUTO, HAIKU, 200, 4, 2),
    ("autocomplete", AUTO, HAIKU, 400, 4, 3),
    ("autocomplete", AUTO, SONNET, 500, 6, 6),
    ("autocomplete", AUTO, SONNET, 900, 26, 25),
    ("long-form-draft", SONNET, SONNET, 2000, 40, 38),
    ("long-form-draft", SONNET, SONNET, 4000, 60, 57),
    ("long-form-draft", SONNET, SONNET, 8000, 40, 39),
    ("chart-tooltip", "gpt-5-mini", MINI, 300, 20, 18),
)


def rows(daily=DAILY, first=FIRST, last=LAST, sizes=True):
    """Yield what the store is given for each day, in the form of ``Traffic.write``."""
    for day in range(at(first), at(last), DAY):
        for surface, requested, served, buckets in daily:
            words = key(surface, requested, served)
            total = sum(buckets.values())
            yield day + 600, words, total
            if sizes:
                bins = [float(buckets.get(bucket, 0)) for bucket in range(11)]
                yield day + 600, words, (float(total), 0.0, *bins), semconv.INPUT_SIZE


def call(served, requested=AUTO, surface="", size=None, match="resolved"):
    return CaseCall(surface, size, "openrouter", requested, served, match if served else "unreported")


def cases(of=EVAL):
    """Return the cases of an eval."""
    number = itertools.count()
    return [
        Case(f"case-{next(number)}", surface, size, float(at < passed), (call(served, requested, surface, size),))
        for surface, requested, served, size, count, passed in of
        for at in range(count)
    ]


def as_json(case):
    """Return ``case`` as the object of one line."""
    return {
        "schema": SCHEMA,
        "id": case.id,
        "surface": case.surface,
        "input_size": case.size,
        "score": case.score,
        "calls": [
            {
                "surface": one.surface,
                "input_size": one.size,
                "provider": one.provider,
                "requested_model": one.requested,
                "served_model": one.served,
                "match": one.match,
            }
            for one in case.calls
        ],
    }


def write(path, of):
    path.write_text("".join(json.dumps(as_json(case)) + "\n" for case in of), "utf-8")
    return path


def made_of(cells):
    """Return production of (surface, largest size, served model): requests."""
    counts, sizes = [], []
    for (surface, upto, served), requests in cells.items():
        match = "resolved" if served else "unreported"
        counts.append(
            Count(0, surface, "openrouter", "chat", AUTO, served, "router", match, "body", False, "", requests)
        )
        if upto is not None:
            sizes.append(SizeCount(0, surface, AUTO, served, float(upto), requests))
    return of_counts(counts, sizes)


@pytest.fixture
def shop(traffic):
    """The shop's production, of two weeks."""
    return traffic.write(rows())


@pytest.fixture
def run(folder):
    """Call ``evals`` on the shop."""

    def of_the_shop(*arguments, width=100):
        when = ["--source", "sqlite:llm-routing.db", "--since", FIRST, "--until", LAST]
        command = ["evals", *map(str, arguments), *when]
        return CliRunner().invoke(app, command, env={"COLUMNS": str(width), "NO_COLOR": "1"})

    return of_the_shop
