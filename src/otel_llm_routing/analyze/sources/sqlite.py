"""The embedded store's schema, and reading counts from it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import Count, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x4C4C4D52  # "LLMR", https://www.sqlite.org/pragma.html#pragma_application_id
SCHEMA_VERSION = 2
BUCKET = 10
"""Seconds of one time bucket."""

KEY = (
    "surface",
    "provider",
    "operation",
    "requested",
    "served",
    "kind",
    "match",
    "served_source",
    "cached",
    "error",
    "service",
)

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


def explain(error: sqlite3.Error, path: str) -> str:
    """Return one line on what is wrong with the database at ``path`` and what to do."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return f"{path}: locked by another program; try again when it is done"
    if "unable to open" in text:
        return f"{path}: cannot be opened; check that the file and its folder may be read and written"
    if "readonly" in text:
        return f"{path}: may not be written; change its permissions, or name another file"
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

    def __init__(self, path: str) -> None:
        self.path = path
        if not Path(path).is_file():
            msg = f"{path}: no such file; start otel-llm-routing serve --db {path}, or name the database it writes"
            raise SourceError(msg)
        self._open().close()

    def counts(self, start: float, end: float, step: int = 0) -> Iterator[Count]:
        """Yield the counts of the buckets that begin in ``[start, end)``, ``step`` seconds of them added up."""
        first = int(start)
        slot = f"{first} + (bucket - {first}) / {int(step)} * {int(step)}" if step else "bucket"
        query = (
            f"SELECT slot, {', '.join(KEY)}, total FROM "  # noqa: S608  (numbers and our own names)
            f"(SELECT {slot} AS slot, series, sum(value) AS total FROM points "
            "WHERE metric = ? AND bucket >= ? AND bucket < ? GROUP BY 1, 2) JOIN series ON series.id = series"
        )
        with closing(self._open()) as connection:
            try:
                for row in connection.execute(query, (semconv.REQUESTS, start, end)):
                    yield Count(*(*row[:9], row[9] == "true", row[10], round(row[12]), row[11]))
            except sqlite3.Error as error:
                raise SourceError(explain(error, self.path)) from None

    def extent(self) -> tuple[int, int] | None:
        """Return when the first and the last bucket begin that hold requests; None if there are none."""
        with closing(self._open()) as connection:
            try:
                first, last = connection.execute(
                    "SELECT min(bucket), max(bucket) FROM points WHERE metric = ?", (semconv.REQUESTS,)
                ).fetchone()
            except sqlite3.Error as error:
                raise SourceError(explain(error, self.path)) from None
        return None if first is None else (first, last)

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
