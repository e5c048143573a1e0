"""The embedded store's schema, and reading counts from it."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import Batch, Count, SizeCount, SourceError, TokenCount
from otel_llm_routing.analyze.sources.points import BUCKET as BUCKET  # noqa: PLC0414  (it is part of the format)
from otel_llm_routing.analyze.sources.series import KEY, PROVIDER, REQUESTED, SERVED, SURFACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.sources import Progress

APPLICATION_ID = 0x4C4C4D52  # "LLMR", https://www.sqlite.org/pragma.html#pragma_application_id
SCHEMA_VERSION = 2

SCHEMA = f"""
CREATE TABLE series (
  id INTEGER PRIMARY KEY, {", ".join(f"{name} TEXT NOT NULL" for name in KEY)}, UNIQUE ({", ".join(KEY)})
);
-- What a counter grew by in one time bucket; of a histogram, its count (metric 'NAME:count') and sum ('NAME:sum').
CREATE TABLE points (
  bucket INTEGER NOT NULL, metric TEXT NOT NULL, series INTEGER NOT NULL REFERENCES series (id), value REAL NOT NULL,
  PRIMARY KEY (metric, bucket, series)
) WITHOUT ROWID;
-- A histogram's bins, by upper bound ('+Inf' for the last); not cumulative over the bounds.
CREATE TABLE bins (
  bucket INTEGER NOT NULL, metric TEXT NOT NULL, series INTEGER NOT NULL REFERENCES series (id), bound TEXT NOT NULL,
  value REAL NOT NULL, PRIMARY KEY (metric, bucket, series, bound)
) WITHOUT ROWID;
-- The last point of every cumulative stream (its numbers as doubles), so that the next one is known as an increase, a
-- new beginning or a repetition. `time` is the sender's, in nanoseconds; `seen` is ours, in seconds.
CREATE TABLE streams (
  id BLOB PRIMARY KEY, time INTEGER NOT NULL, seen INTEGER NOT NULL, value BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX streams_seen ON streams (seen);
-- What must not be counted again: delta points, spans, the spans around those, and senders that count for themselves.
CREATE TABLE seen (id BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at);
"""

MOST = 1e18
"""The largest value of a row: a sum that would grow past it stays there."""

_WRONG = (
    f"typeof(value) != 'real' OR NOT value BETWEEN 0 AND {MOST} "  # noqa: S608  (our own words)
    "OR series NOT IN (SELECT id FROM series)"
)
_NO_COUNT = {
    "points": f"({_WRONG})",
    "bins": f"({_WRONG} OR typeof(bound) != 'text' OR bound GLOB '*[^0-9.e+-]*' AND bound != '+Inf' OR bound = '')",
}
"""True of a row that no server wrote: the file is damaged."""
_NO_TEXT = "names that are no text"


def explain(error: sqlite3.Error, path: str) -> str:
    """Return one line on what is wrong with the database at ``path`` and what to do."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return f"{path}: locked by another program; try again when it is done"
    if "unable to open" in text:
        return f"{path}: cannot be opened; check that the file and its folder may be read and written"
    if "readonly" in text:
        return f"{path}: may not be written; change its permissions, or name another file"
    if "is full" in text:
        return f"{path}: no space is left where it is; make room, or name a file elsewhere"
    return f"{path}: not a readable SQLite database ({text}); name another file, or restore this one from a copy"


def check(connection: sqlite3.Connection, path: str) -> None:
    """Raise ``SourceError`` unless the open database is one of ours, of this version."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise SourceError(explain(error, path)) from None
    if application != APPLICATION_ID:
        msg = f"{path}: a SQLite database of another program; it is left untouched, name another file"
        raise SourceError(msg)
    if version != SCHEMA_VERSION:
        msg = (
            f"{path}: written by another version (schema {version}, this one reads {SCHEMA_VERSION}); "
            "use that version, or name another file"
        )
        raise SourceError(msg)


class SQLiteSource:
    """Reads the database that ``otel-llm-routing serve`` writes, also while it is being written."""

    def __init__(self, path: str, *, progress: Progress | None = None) -> None:
        self.path = path
        self._progress = progress
        self.warnings: list[str] = []
        """A database is read as a whole or not at all: there are none."""
        if not Path(path).is_file():
            msg = f"{path}: no such file; start otel-llm-routing serve --db {path}, or name the database it writes"
            raise SourceError(msg)
        self._open().close()

    def warned(self, start: float) -> list[str]:  # noqa: ARG002  (see Source)
        """Return nothing."""
        return []

    def counts(self, start: float, end: float, step: int = 0) -> Iterator[Count]:
        """Yield the counts of the buckets that begin in ``[start, end)``, ``step`` seconds of them added up."""
        split: dict[int, tuple[tuple[object, ...], str]] = {}
        for at, rows, series in self.batches(start, end, step):
            if not split:
                for identifier, key in series.items():
                    count = Count.of(0, key, 0)
                    split[identifier] = count[1:-2], count.service
            for identifier, total in rows:
                words, service = split[identifier]
                yield Count._make((at, *words, round(total), service))

    def batches(self, start: float, end: float, step: int = 0) -> Iterator[Batch]:
        """Yield the counts of one step after the other; see ``Batched``."""
        yield from self._batches("points", ("series",), semconv.REQUESTS, start, end, step)

    def sizes(self, start: float, end: float, step: int = 0) -> Iterator[SizeCount]:
        """Yield how many requests were of which size; see ``Source.sizes``."""
        for at, rows, series in self._batches("bins", ("series", "bound"), semconv.INPUT_SIZE, start, end, step):
            totals: dict[tuple[str, str, str, float], float] = defaultdict(float)
            for identifier, bound, value in rows:
                key = series[identifier]
                totals[key[SURFACE], key[REQUESTED], key[SERVED], float(bound)] += value
            for (surface, requested, served, bound), total in sorted(totals.items()):
                yield SizeCount(at, surface, requested, served, bound, round(total))

    def tokens(self, start: float, end: float) -> Iterator[TokenCount]:
        """Yield how many tokens were read and written; see ``Source.tokens``."""
        step = max(math.ceil(end - start), 1)
        for metric in (semconv.INPUT_TOKENS_TOTAL, semconv.OUTPUT_TOKENS_TOTAL):
            for _, rows, series in self._batches("points", ("series",), metric, start, end, step):
                for identifier, value in rows:
                    key = series[identifier]
                    if tokens := round(value):
                        both = (tokens, 0) if metric == semconv.INPUT_TOKENS_TOTAL else (0, tokens)
                        yield TokenCount(key[SURFACE], key[PROVIDER], key[REQUESTED], key[SERVED], *both)

    def _batches(
        self, table: str, columns: tuple[str, ...], metric: str, start: float, end: float, step: int
    ) -> Iterator[Batch]:
        """Yield the rows of ``columns`` and the sum of their values, by steps of time.

        One query a step: a single one would have to sort all rows of all time before it gave the first.
        """
        origin, step = int(start), int(step)
        names = ", ".join(columns)
        within = f"FROM {table} WHERE metric = ? AND bucket >= ? AND bucket < ?"
        # The rows of one bucket are in order as they lie; those of several have to be sorted.
        one = f"SELECT {names}, value FROM {table} WHERE metric = ? AND bucket = ?"  # noqa: S608  (our own names)
        several = f"SELECT {names}, sum(value) {within} GROUP BY {names}"
        with closing(self._open()) as connection:

            def edge(which: str, begin: float, upto: float) -> int | None:
                found: int | None
                (found,) = connection.execute(f"SELECT {which}(bucket) {within}", (metric, begin, upto)).fetchone()
                return found

            try:
                # All that is read belongs to one moment, whatever is being written.
                connection.execute("BEGIN")
                series = names_of(connection)
                if connection.execute(
                    f"SELECT 1 {within} AND {_NO_COUNT[table]} LIMIT 1", (metric, start, end)
                ).fetchone():
                    raise sqlite3.DatabaseError("values that are no counts")
                first, last = edge("min", start, end), edge("max", start, end)
                at = first
                while at is not None and first is not None and last is not None:
                    slot = origin + (at - origin) // step * step if step else at
                    upto = min(slot + step, end) if step else at + 1
                    if edge("max", at, upto) == at:
                        rows = connection.execute(one, (metric, at)).fetchall()
                    else:
                        rows = connection.execute(several, (metric, at, upto)).fetchall()
                    yield Batch(slot, rows, series)
                    at = edge("min", upto, end)
                    if self._progress:
                        self._progress((last if at is None else at) - first, last - first)
            except sqlite3.Error as error:
                raise SourceError(explain(error, self.path)) from None

    def extent(self) -> tuple[int, int] | None:
        """Return when the first and the last bucket begin that hold requests; None if there are none."""
        with closing(self._open()) as connection:
            try:
                return edges(connection, "points", semconv.REQUESTS)
            except sqlite3.Error as error:
                raise SourceError(explain(error, self.path)) from None

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(f"{Path(self.path).resolve().as_uri()}?mode=ro", uri=True, timeout=5)
        except sqlite3.Error as error:
            raise SourceError(explain(error, self.path)) from None
        try:
            check(connection, self.path)
        except SourceError:
            connection.close()
            raise
        return connection


def edges(connection: sqlite3.Connection, table: str, metric: str) -> tuple[int, int] | None:
    """Return the first and the last bucket of ``metric`` in ``table``; None if there are none."""
    # Each of its own, which is one look: asked for both at once, SQLite reads every row.
    within = f"FROM {table} WHERE metric = ?"
    both = f"SELECT (SELECT min(bucket) {within}), (SELECT max(bucket) {within})"
    first, last = connection.execute(both, (metric, metric)).fetchone()
    return None if first is None else (first, last)


def names_of(connection: sqlite3.Connection) -> dict[int, tuple[str, ...]]:
    """Return the words of every series. Raises ``sqlite3.DatabaseError`` for what no server wrote."""
    try:
        found = {row[0]: row[1:] for row in connection.execute(f"SELECT id, {', '.join(KEY)} FROM series")}  # noqa: S608
    except UnicodeDecodeError:
        raise sqlite3.DatabaseError(_NO_TEXT) from None
    if not set(map(type, chain.from_iterable(found.values()))) <= {str}:
        raise sqlite3.DatabaseError(_NO_TEXT)
    return found
