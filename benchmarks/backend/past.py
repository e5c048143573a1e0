"""A past to report on: a real database with some weeks of many surfaces, its policy, and a reference of before."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import yaml

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources.points import Point
from otel_llm_routing.policy.reference import Mix, Pin, Reference, ReferenceStream, dump
from otel_llm_routing.serve.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_llm_routing.analyze.sources import Progress

DAY, HOUR = 86_400, 3_600
REQUESTED = "openrouter/auto"
SHARES = (0.3, 0.2, 0.15, 0.1, 0.1, 0.07, 0.05, 0.03)
"""Of the models of every surface."""
A_DAY = 1_000
"""Requests of a surface in a day."""
TOKENS = {semconv.INPUT_TOKENS_TOTAL: 700, semconv.OUTPUT_TOKENS_TOTAL: 90}
"""Of a request."""
DATABASE, POLICY, REFERENCE = "counts.db", "policy.yaml", "reference.yaml"


class Past(NamedTuple):
    """What was written."""

    end: int
    """When it ends, in seconds since the epoch."""
    requests: int
    rows: int
    """Counts of one metric and series in one time bucket; there is none where nothing was counted."""
    bytes: int


def write(folder: Path, surfaces: int, days: int, each: int = HOUR, progress: Progress | None = None) -> Past:
    """Write the three files into ``folder``: counts every ``each`` seconds, until the last full hour.

    The server writes the series; the counts are put into its tables.
    """
    end = int(time.time()) // HOUR * HOUR
    start = end - days * DAY
    _series(folder, surfaces, start)
    requests, rows = _counts(folder, surfaces, range(start, end, each), progress)
    (folder / POLICY).write_text(_policy(surfaces), "utf-8")
    (folder / REFERENCE).write_text(_reference(surfaces, start), "utf-8")
    return Past(end, requests, rows, (folder / DATABASE).stat().st_size)


def _series(folder: Path, surfaces: int, at: int) -> None:
    store = Store(str(folder / DATABASE))
    known = ("openrouter", "chat", REQUESTED)
    store.write(
        Point(
            f"{n} {model}".encode(),
            at * 10**9,
            False,
            at,
            semconv.REQUESTS,
            (f"surface-{n}", *known, f"model-{model}", "router", "resolved", "body", "", "", "shop"),
            (1.0,),
            None,
        )
        for n in range(surfaces)
        for model in range(len(SHARES))
    )
    store.close()


def _counts(folder: Path, surfaces: int, buckets: range, progress: Progress | None) -> tuple[int, int]:
    """Put the counts into the tables, drawn anew for each bucket; return how many requests and rows there are."""
    drawn = np.random.default_rng(7)
    expected = np.tile(SHARES, surfaces) * A_DAY * buckets.step / DAY
    total = rows = 0
    with contextlib.closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        found = connection.execute("SELECT id, surface, served FROM series").fetchall()
        numbers = {(surface, served): number for number, surface, served in found}
        ids = [numbers[f"surface-{n}", f"model-{m}"] for n in range(surfaces) for m in range(len(SHARES))]
        connection.execute("DELETE FROM points")
        for done, at in enumerate(buckets):
            counts = drawn.poisson(expected).astype(float)
            total += int(counts.sum())
            rows += int(np.count_nonzero(counts)) * (1 + len(TOKENS))
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?)", _rows(at, ids, counts.tolist()))
            connection.execute("COMMIT")
            if progress:
                progress(done + 1, len(buckets))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return total, rows


def _rows(at: int, ids: list[int], counts: list[float]) -> Iterator[tuple[int, str, int, float]]:
    for metric, each in {semconv.REQUESTS: 1, **TOKENS}.items():
        for number, count in zip(ids, counts, strict=True):
            if count:
                yield at, metric, number, count * each


def _policy(surfaces: int) -> str:
    one = {"uses": {"router": REQUESTED}, "expect": {"model-0*": {"max": "60 %"}}}
    document = {"version": 1, "surfaces": {f"surface-{n}": dict(one) for n in range(surfaces)}}
    return yaml.dump(document, sort_keys=False)


def _reference(surfaces: int, start: int) -> str:
    """Return a reference of the 28 days before ``start``, with the shares as they would then have been found."""
    end = datetime.fromtimestamp(start, timezone.utc)
    begin = datetime.fromtimestamp(start - 28 * DAY, timezone.utc)
    act = Pin(id=1, at=end, reason="benchmark", start=begin, end=end, source="before")
    shares = {f"model-{n}": share for n, share in enumerate(SHARES)}
    mix = Mix(pin=1, requests=28 * A_DAY, days=28, design_effect=1, concentration=3_000, shares=shares)
    streams = (
        ReferenceStream(**mix.model_dump(), surface=f"surface-{n}", requested=REQUESTED) for n in range(surfaces)
    )
    return dump(Reference(pins=(act,), streams=tuple(streams)))
