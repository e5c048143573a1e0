"""The SQLite file behind ``otel-llm-routing serve``: one writer, one transaction an export, readable while written."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.sqlite import APPLICATION_ID, KEY, SCHEMA, SCHEMA_VERSION, check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.serve.receiver import CountedSpan, Point

MAX_SERIES = 100_000
STREAMS_KEPT = 7 * 86_400
"""Seconds after which a stream that says nothing is forgotten, and a span may no longer be repeated."""


class StoreError(SourceError):
    """A database that cannot be served; the message says why and what to do."""


class BusyError(Exception):
    """The database is locked at this moment; the sender should try again."""


class Store:
    """Writes to the database at ``path``, which it creates if there is none. Raises ``StoreError``."""

    def __init__(self, path: str, max_series: int = MAX_SERIES) -> None:
        self.path = path
        self.overflowed = 0
        """Points whose series was merged into ``other`` for want of room."""
        self._max_series = max_series
        self._mutex = threading.Lock()
        self._series: dict[tuple[str, ...], int] = {}
        self._lock = _only_one(path)
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> sqlite3.Connection:
        existed = Path(self.path).exists() and Path(self.path).stat().st_size > 0
        try:
            connection = sqlite3.connect(self.path, timeout=5, isolation_level=None, check_same_thread=False)
            if existed:
                check(connection, self.path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if not existed:
                connection.executescript(
                    f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            rows = connection.execute(f"SELECT id, {', '.join(KEY)} FROM series").fetchall()  # noqa: S608
        except SourceError as error:
            raise StoreError(str(error)) from None
        except sqlite3.Error as error:
            msg = f"{self.path}: cannot be used as a database ({error}); name another file with --db"
            raise StoreError(msg) from None
        self._series = {tuple(row[1:]): row[0] for row in rows}
        return connection

    def write(self, points: Iterable[Point], spans: Iterable[CountedSpan] = ()) -> None:
        """Store all of one export, or nothing. Raises ``BusyError``; on return the data survive a crash."""
        with self._mutex:
            known = dict(self._series)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    for point in points:
                        self._point(point)
                    for span in spans:
                        self._span(span)
                    self._connection.execute("COMMIT")
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    self._series = known
                    raise
            except sqlite3.OperationalError as error:
                raise BusyError(str(error)) from None

    def forget(self, before: float) -> None:
        """Delete buckets that began before ``before`` (seconds since the epoch), and streams long silent."""
        old = int((time.time() - STREAMS_KEPT) * 1e9)
        with self._mutex:
            self._connection.execute("DELETE FROM points WHERE bucket < ?", (int(before),))
            self._connection.execute("DELETE FROM sizes WHERE bucket < ?", (int(before),))
            self._connection.execute("DELETE FROM streams WHERE time < ?", (old,))
            self._connection.execute("DELETE FROM spans WHERE seen < ?", (old // 10**9,))

    def close(self) -> None:
        """Close the database and let others serve it."""
        with self._mutex:
            self._connection.close()
            self._lock.close()

    # Within a transaction ----------------------------------------------------------------------------------------

    def _point(self, point: Point) -> None:
        row = self._connection.execute("SELECT time, value FROM streams WHERE id = ?", (point.stream,)).fetchone()
        last = None
        if row is not None:
            if point.time <= row[0]:
                return  # a repetition, or one that was overtaken: what it says is known
            last = [float(v) for v in row[1].split()]
        values = point.values
        if point.cumulative and last is not None and len(last) == len(values):
            grown = [new - old for new, old in zip(values, last, strict=True)]
            # A value that falls is a counter that began anew.
            values = values if any(step < 0 for step in grown) else grown
        self._connection.execute(
            "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?)",
            (point.stream, point.start, point.time, " ".join(repr(v) for v in point.values)),
        )
        if not any(values):
            return
        series = self._series_id(point.key)
        if point.bounds is None:
            self._add(point.bucket, point.metric, series, values[0])
            return
        for bound, value in zip((*point.bounds, "+Inf"), values, strict=True):
            if value:
                self._connection.execute(
                    "INSERT INTO sizes VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
                    (point.bucket, series, str(bound), value),
                )

    def _span(self, span: CountedSpan) -> None:
        seen = int(time.time())
        known = self._connection.execute("SELECT 1 FROM spans WHERE id = ?", (span.id,)).fetchone()
        if known is not None:
            return  # counted before, or around a span that was
        ids = [(span.id, seen)] + ([(span.parent, seen)] if span.parent is not None else [])
        self._connection.executemany("INSERT OR IGNORE INTO spans VALUES (?, ?)", ids)
        series = self._series_id(span.key)
        self._add(span.bucket, "llm_routing.requests", series, 1.0)

    def _add(self, bucket: int, metric: str, series: int, value: float) -> None:
        self._connection.execute(
            "INSERT INTO points VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            (bucket, metric, series, value),
        )

    def _series_id(self, key: tuple[str, ...]) -> int:
        found = self._series.get(key)
        if found is not None:
            return found
        if len(self._series) >= self._max_series:
            self.overflowed += 1
            other = ("other", "other", key[2][:16], "other", "other", *key[5:9], "")
            if other in self._series or len(self._series) < self._max_series + 1000:
                key = other
            else:
                return next(iter(self._series.values()))
            if key in self._series:
                return self._series[key]
        marks = ", ".join("?" * len(KEY))
        cursor = self._connection.execute(f"INSERT INTO series ({', '.join(KEY)}) VALUES ({marks})", key)  # noqa: S608
        identifier = cursor.lastrowid or 0
        self._series[key] = identifier
        return identifier


def _only_one(path: str) -> IO[str]:
    """Take the lock that says that this process serves ``path``; the system lets go of it when the process dies."""
    name = f"{path}.lock"
    try:
        handle = open(name, "a+", encoding="utf-8")  # noqa: PTH123, SIM115  (it stays open while we serve)
    except OSError as error:
        msg = f"{path}: its folder cannot be written to ({error.strerror}); name another place with --db"
        raise StoreError(msg) from None
    try:
        import fcntl  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        msg = f"{path}: another otel-llm-routing serve has this database; stop it, or name another file with --db"
        raise StoreError(msg) from None
    return handle
