"""The SQLite file behind ``otel-llm-routing serve``: one writer, one transaction an export, readable while written."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import struct
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.points import SEEN_KEPT, grown
from otel_llm_routing.analyze.sources.series import KEY
from otel_llm_routing.analyze.sources.sqlite import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, check, explain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.analyze.sources.points import Point
    from otel_llm_routing.serve.spans import CountedSpan

MAX_SERIES = 100_000
STREAMS_KEPT = 30 * 86_400
"""Seconds after which a cumulative stream that says nothing is forgotten; if it spoke again, all of it would count."""
MAX_STREAMS = 2_000_000
MAX_SEEN = 5_000_000
REFRESH = 3_600
"""Seconds in which what is unchanged is not written again."""
PATIENCE = 2
"""Seconds to wait for another program that has the database locked."""

_logger = logging.getLogger(__name__)


class StoreError(SourceError):
    """A database that cannot be served; the message says why and what to do."""


class BusyError(Exception):
    """The database cannot be written at this moment; the sender should try again."""


class Store:
    """Writes to the database at ``path``, which it creates if there is none. Raises ``StoreError``."""

    def __init__(self, path: str, max_series: int = MAX_SERIES) -> None:
        self.path = path
        self.overflowed = 0
        """Points and spans since the start whose series was merged into ``other`` for want of room."""
        self._max_series = max_series
        self._mutex = threading.Lock()
        self._series: dict[tuple[str, ...], int] = {}
        self._added: list[tuple[str, ...]] = []
        # Looked at before the lock is taken, so that nothing is left beside a file that is not ours.
        _fresh(path)
        self._lock = _only_one(path)
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.close()
            raise

    def write(self, points: Iterable[Point], spans: Iterable[CountedSpan] = (), senders: Iterable[bytes] = ()) -> None:
        """Store all of one export, or nothing; on return it survives a crash, also of the machine.

        ``senders`` count for themselves: spans of theirs are not counted. Raises ``BusyError`` and ``StoreError``.
        """
        now = int(time.time())
        with self._mutex:
            self._added.clear()
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                for sender in senders:
                    self._mark(b"r" + sender, now)
                for point in points:
                    self._point(point, now)
                for span in spans:
                    self._span(span, now)
                self._connection.execute("COMMIT")
            except BaseException as error:
                for series in self._added:
                    self._series.pop(series, None)
                with contextlib.suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise BusyError(str(error)) from None
                if isinstance(error, sqlite3.DatabaseError):
                    raise StoreError(explain(error, self.path)) from None
                raise

    def forget(self, before: float) -> None:
        """Delete buckets that began before ``before`` (seconds since the epoch), and what no longer can be repeated."""
        now = int(time.time())
        with self._mutex, contextlib.suppress(sqlite3.OperationalError):  # busy: the next time will do
            run = self._connection.execute
            run("DELETE FROM points WHERE bucket < ?", (int(before),))
            run("DELETE FROM bins WHERE bucket < ?", (int(before),))
            run("DELETE FROM streams WHERE seen < ?", (now - STREAMS_KEPT,))
            run("DELETE FROM seen WHERE at < ?", (now - SEEN_KEPT,))
            for table, column, most in (("streams", "seen", MAX_STREAMS), ("seen", "at", MAX_SEEN)):
                (held,) = run(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
                if held > most:
                    run(
                        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY {column} LIMIT ?)",  # noqa: S608
                        (held - most,),
                    )

    def close(self) -> None:
        """Close the database and let others serve it."""
        with self._mutex:
            self._connection.close()
            self._lock.close()

    # Opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        fresh = _fresh(self.path)
        try:
            connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise StoreError(explain(error, self.path)) from None
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if fresh:
                connection.executescript(
                    f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(" ".join(verdict.split())[:80])
            # Series that retention emptied make room for new ones. Also the proof that the file may be written.
            connection.execute(
                "DELETE FROM series WHERE id NOT IN (SELECT series FROM points UNION SELECT series FROM bins)"
            )
            rows = connection.execute(f"SELECT id, {', '.join(KEY)} FROM series").fetchall()  # noqa: S608
        except sqlite3.Error as error:
            connection.close()
            raise StoreError(explain(error, self.path)) from None
        self._series = {tuple(row[1:]): row[0] for row in rows}
        return connection

    # Within a transaction ----------------------------------------------------------------------------------------

    def _point(self, point: Point, now: int) -> None:
        increase = point.values
        if point.cumulative:
            row = self._connection.execute(
                "SELECT time, seen, value FROM streams WHERE id = ?", (point.stream,)
            ).fetchone()
            if row is not None:
                if point.time <= row[0]:
                    return  # a repetition, or one that was overtaken: what it says is known
                last = struct.unpack(f"<{len(row[2]) // 8}d", row[2])
                if last == point.values:
                    # Written only now and then, to say that the stream lives.
                    if row[1] < now - REFRESH:
                        self._connection.execute("UPDATE streams SET seen = ? WHERE id = ?", (now, point.stream))
                    return
                increase = grown(point.values, last)
            self._connection.execute(
                "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?)",
                (point.stream, point.time, now, struct.pack(f"<{len(point.values)}d", *point.values)),
            )
        elif not self._first(b"d" + point.stream, now):
            return
        if not any(increase):
            return
        series = self._series_id(point.key)
        if point.bounds is None:
            self._add(point.bucket, point.metric, series, increase[0])
            return
        self._add(point.bucket, f"{point.metric}:count", series, increase[0])
        self._add(point.bucket, f"{point.metric}:sum", series, increase[1])
        self._connection.executemany(
            "INSERT INTO bins VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
            [
                (point.bucket, point.metric, series, bound, value)
                for bound, value in zip(point.bounds, increase[2:], strict=True)
                if value
            ],
        )

    def _span(self, span: CountedSpan, now: int) -> None:
        if self._known(b"r" + span.sender):
            return  # its process counts for itself
        if span.parent is not None:
            if self._known(b"s" + span.parent):
                return  # the span around it was counted, and stands for it
            # Also when this span is not counted: of spans within spans, only the innermost is.
            self._mark(b"p" + span.parent, now)
        if self._known(b"p" + span.id) or not self._first(b"s" + span.id, now):
            return
        self._add(span.bucket, semconv.REQUESTS, self._series_id(span.key), 1.0)

    def _known(self, identifier: bytes) -> bool:
        return self._connection.execute("SELECT 1 FROM seen WHERE id = ?", (identifier,)).fetchone() is not None

    def _first(self, identifier: bytes, now: int) -> bool:
        """Note ``identifier``, and return whether it is new."""
        return self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (identifier, now)).rowcount == 1

    def _mark(self, identifier: bytes, now: int) -> None:
        self._connection.execute(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at WHERE at < excluded.at - ?",
            (identifier, now, REFRESH),
        )

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
            if not self.overflowed:
                _logger.warning(
                    "%s: %d series, the most there may be; new ones are counted as 'other' (--max-series)",
                    self.path,
                    self._max_series,
                )
            self.overflowed += 1
            key = _other(key)
            if key in self._series:
                return self._series[key]
        marks = ", ".join("?" * len(KEY))
        cursor = self._connection.execute(f"INSERT INTO series ({', '.join(KEY)}) VALUES ({marks})", key)  # noqa: S608
        identifier = cursor.lastrowid or 0
        self._series[key] = identifier
        self._added.append(key)
        return identifier


def _other(key: tuple[str, ...]) -> tuple[str, ...]:
    """Return the series that takes in ``key`` when there is no room: only words of which there are few stay."""
    _, _, operation, requested, served, kind, match, source, cached, error, _ = key
    return (
        "other",
        "other",
        operation if operation in semconv.MODEL_OPERATIONS else "",
        requested and "other",
        served and "other",
        kind,
        match,
        source,
        cached,
        error and "other",
        "other",
    )


def _fresh(path: str) -> bool:
    """Return whether ``path`` is to be made into a database. Raises ``StoreError`` if it is another program's."""
    file = Path(path)
    if file.is_dir():
        msg = f"{path}: a folder; name a file in it with --db"
        raise StoreError(msg)
    try:
        if not file.exists() or file.stat().st_size == 0:
            return True
    except OSError as error:
        msg = f"{path}: cannot be looked at ({error.strerror}); name another place with --db"
        raise StoreError(msg) from None
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)
        with contextlib.closing(connection):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if application == 0 and tables == 0:
                return True  # begun, and interrupted before the tables were there
            check(connection, path)
    except sqlite3.Error as error:
        raise StoreError(explain(error, path)) from None
    except SourceError as error:
        raise StoreError(str(error)) from None
    return False


def _only_one(path: str) -> IO[str]:
    """Take the lock that says that this process serves ``path``; the system lets go of it when the process dies."""
    try:
        name = f"{Path(path).resolve()}.lock"
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
