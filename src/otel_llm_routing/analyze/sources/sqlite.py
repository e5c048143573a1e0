"""The embedded store's schema, and reading counts from it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.sources import Count, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x4C4C4D52  # "LLMR", https://www.sqlite.org/pragma.html#pragma_application_id
SCHEMA_VERSION = 1
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
)

SCHEMA = f"""
CREATE TABLE series (
  id INTEGER PRIMARY KEY, {", ".join(f"{name} TEXT NOT NULL" for name in KEY)}, UNIQUE ({", ".join(KEY)})
);
-- What came in one time bucket; of a counter or of a histogram's count, by metric.
CREATE TABLE points (
  bucket INTEGER NOT NULL, metric TEXT NOT NULL, series INTEGER NOT NULL REFERENCES series (id), value REAL NOT NULL,
  PRIMARY KEY (metric, bucket, series)
) WITHOUT ROWID;
-- Size histograms, by upper bound in characters ('+Inf' for the last).
CREATE TABLE sizes (
  bucket INTEGER NOT NULL, series INTEGER NOT NULL REFERENCES series (id), bound TEXT NOT NULL, value REAL NOT NULL,
  PRIMARY KEY (bucket, series, bound)
) WITHOUT ROWID;
-- The last point of every stream, so that its next one is known as an increase, a restart or a repetition.
CREATE TABLE streams (
  id BLOB PRIMARY KEY, start INTEGER NOT NULL, time INTEGER NOT NULL, value TEXT NOT NULL
) WITHOUT ROWID;
-- Spans that were counted, so that a retry is not counted again, nor a span around a counted one.
CREATE TABLE spans (id BLOB PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX spans_seen ON spans (seen);
"""


def check(connection: sqlite3.Connection, path: str) -> None:
    """Raise ``SourceError`` unless the open database is one of ours, of this version."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "busy" in str(error):
            msg = f"{path}: locked by another program; try again when it is done"
        else:
            msg = f"{path}: not a readable SQLite database ({error}); name another file, or restore this one"
        raise SourceError(msg) from None
    if application != APPLICATION_ID:
        msg = f"{path}: a SQLite database of another program; it is left untouched, name another file"
        raise SourceError(msg)
    if version != SCHEMA_VERSION:
        msg = (
            f"{path}: written by another version (schema {version}, this one reads {SCHEMA_VERSION}); use that version"
        )
        raise SourceError(msg)


class SQLiteSource:
    """Reads the database that ``otel-llm-routing serve`` writes, also while it is being written."""

    def __init__(self, path: str) -> None:
        self.path = path
        if not Path(path).is_file():
            msg = f"{path}: no such file; start otel-llm-routing serve --db {path}, or name the database it writes"
            raise SourceError(msg)
        with closing(self._open()):
            pass

    def counts(self, start: float, end: float) -> Iterator[Count]:
        """Yield the counts of the buckets that begin in ``[start, end)``."""
        query = (
            f"SELECT bucket, {', '.join(KEY)}, value FROM points JOIN series ON series.id = points.series "  # noqa: S608
            "WHERE metric = 'llm_routing.requests' AND bucket >= ? AND bucket < ?"
        )
        with closing(self._open()) as connection:
            try:
                for row in connection.execute(query, (int(start), int(end) + (end > int(end)))):
                    yield Count(*(*row[:9], row[9] == "true", row[10], round(row[11])))
            except sqlite3.DatabaseError as error:
                msg = f"{self.path}: damaged or unreadable ({error}); restore it from a copy, or start a new one"
                raise SourceError(msg) from None

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(f"{Path(self.path).resolve().as_uri()}?mode=ro", uri=True, timeout=5)
        except sqlite3.Error as error:
            msg = f"{self.path}: cannot be opened ({error})"
            raise SourceError(msg) from None
        try:
            check(connection, self.path)
        except SourceError:
            connection.close()
            raise
        return connection
