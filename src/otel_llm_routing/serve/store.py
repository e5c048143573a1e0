"""The SQLite file behind ``otel-llm-routing serve``: one transaction an export, readable while written."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import threading
import time
from typing import TYPE_CHECKING

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources.points import SEEN_KEPT, grown
from otel_llm_routing.analyze.sources.series import KEY
from otel_llm_routing.analyze.sources.sqlite import MOST, explain, names_of
from otel_llm_routing.serve import forgetting
from otel_llm_routing.serve.limits import Limits
from otel_llm_routing.serve.notices import Notices
from otel_llm_routing.serve.opening import StoreError, connect, fresh, identity, only_one

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_llm_routing.analyze.sources.points import Point
    from otel_llm_routing.serve.spans import CountedSpan

STREAMS_KEPT = 30 * 86_400
"""Seconds after which a cumulative stream that says nothing is forgotten; if it spoke again, all of it would count."""
STREAMS_SPARED = 6 * 3_600
"""Seconds in which it is not forgotten, however many there are: it may only be asleep."""
REFRESH = 3_600
"""Seconds in which what is unchanged is not written again."""
_GROWS = f"ON CONFLICT DO UPDATE SET value = min(value + excluded.value, {MOST})"
_ADD = f"INSERT INTO points VALUES (?, ?, ?, ?) {_GROWS}"  # noqa: S608  (our own words, here and below)
_ADD_BINS = f"INSERT INTO bins VALUES (?, ?, ?, ?, ?) {_GROWS}"  # noqa: S608


class BusyError(Exception):
    """The database cannot be written at this moment; the sender should try again."""


class Store:
    """Writes to the database at ``path``, which it creates if there is none. Raises ``StoreError``."""

    def __init__(self, path: str, *, limits: Limits | None = None) -> None:
        self.path = path
        self.limits = limits or Limits()
        self.notices = Notices()
        self._mutex = threading.Lock()
        self._series: dict[tuple[str, ...], int] = {}
        self._added: list[tuple[str, ...]] = []
        self._text = 0
        self._streams = 0
        self._seen = 0
        """At most so many rows; some were there before and are counted twice."""
        # Looked at before the lock is taken, so that nothing is left beside a file that is not ours.
        fresh(path)
        self._lock = only_one(path)
        try:
            self._open()
        except BaseException:
            self._lock.close()
            raise

    @property
    def held(self) -> dict[str, int]:
        """How many series and streams there are, and the bytes of the file that are used."""
        with self._mutex, contextlib.suppress(sqlite3.Error):
            return {
                "series": len(self._series),
                "streams": self._streams,
                "bytes": forgetting.used(self._connection),
            }
        return {}

    def write(self, points: Iterable[Point], spans: Iterable[CountedSpan] = (), senders: Iterable[bytes] = ()) -> int:
        """Store all of one export, or nothing; on return it survives a crash, also of the machine.

        ``senders`` count for themselves: spans of theirs are not counted. Returns how many points there was no room to
        take in. Raises ``BusyError`` and ``StoreError``.
        """
        now = int(time.time())
        with self._mutex:
            self._added.clear()
            before = None
            refused = 0
            try:
                self._look_around()
                self._connection.execute("BEGIN IMMEDIATE")
                self._catch_up()
                before = self._streams, self._text, self.notices.overflowed
                for sender in senders:
                    self._mark(b"r" + sender, now)
                for point in points:
                    refused += not self._point(point, now)
                for span in spans:
                    self._span(span, now)
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._take_back(before)
                if isinstance(error, (sqlite3.Error, StoreError)):
                    raise self._failed(error) from None
                raise
            self.notices.refused += refused
        if refused:
            self.notices.log(
                "refused",
                "%s: %d streams, the most there may be; new ones are refused",
                self.path,
                self.limits.streams,
            )
        return refused

    def forget(self, before: float, now: float | None = None) -> None:
        """Delete buckets that began before ``before`` (seconds since the epoch), and what no longer can be repeated."""
        now = int(time.time() if now is None else now)
        with self._mutex, self._tidying():
            run = self._connection.execute
            forgetting.delete_before(self._connection, int(before))
            self._streams -= run("DELETE FROM streams WHERE seen < ?", (now - STREAMS_KEPT,)).rowcount
            self._seen -= run("DELETE FROM seen WHERE at < ?", (now - SEEN_KEPT,)).rowcount
            if self._seen > self.limits.seen:
                self._seen = forgetting.trim(self._connection, self.limits.seen)
            if self._full() and time.monotonic() - self._pruned > REFRESH:
                run(forgetting.UNUSED)
                self._load()
        self._shrink()

    def close(self) -> None:
        """Close the database and let others serve it."""
        with self._mutex:
            self._connection.close()
            self._lock.close()

    # The file ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._connection = connect(self.path)
        found = identity(self.path)
        try:
            self._load()
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(explain(error, self.path)) from None
        self._identity = found

    def _load(self) -> None:
        """Read what is known of the database without looking at it again."""
        self._series = {words: identifier for identifier, words in names_of(self._connection).items()}
        self._text = sum(len(word) for key in self._series for word in key)
        (self._streams,) = self._connection.execute("SELECT count(*) FROM streams").fetchone()
        (self._seen,) = self._connection.execute("SELECT count(*) FROM seen").fetchone()
        self._pruned = time.monotonic()
        self._version = self._connection.execute("PRAGMA data_version").fetchone()

    def _look_around(self) -> None:
        """Serve the file that is at the path now, if it is another: what is written to one deleted would be lost."""
        if identity(self.path) == self._identity:
            return
        with contextlib.suppress(sqlite3.Error):
            # So that the log of the one is not taken for that of the other, and a file moved away has all it should.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._identity = ()  # whatever comes of it, that one is closed
        self._open()
        self.notices.replaced += 1
        self.notices.log(
            "replaced", "%s: deleted or replaced while it was served; now serving what is there", self.path
        )

    def _catch_up(self) -> None:
        """Read anew what another program may have changed."""
        if self._connection.execute("PRAGMA data_version").fetchone() != self._version:
            self._load()

    def _take_back(self, before: tuple[int, int, int] | None) -> None:
        """Undo a transaction; ``before`` is what was counted at its beginning, if it came so far."""
        for series in self._added:
            self._series.pop(series, None)
        if before is not None:
            self._streams, self._text, self.notices.overflowed = before
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _failed(self, error: Exception) -> Exception:
        """Return what the sender is told, having told the log."""
        self.notices.failed += 1
        if isinstance(error, StoreError):
            self.notices.log("failed", "an export could not be written: %s", error)
            return BusyError("it was deleted or replaced")
        self.notices.log("failed", "an export could not be written: %s: %s", self.path, error)
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            return StoreError(explain(error, self.path))
        return BusyError(str(error))

    @contextlib.contextmanager
    def _tidying(self) -> Iterator[None]:
        """Leave for the next time what cannot be done at this; whoever sends is told of a database that is broken."""
        try:
            yield
        except sqlite3.Error as error:
            self.notices.log("tidying", "%s: nothing was deleted (%s)", self.path, error)

    def _shrink(self) -> None:
        """Delete the oldest counts while the file is too large, with the exports that wait in between."""
        while True:
            with self._mutex, self._tidying():
                if forgetting.used(self._connection) <= self.limits.bytes:
                    return
                seconds = forgetting.delete_oldest(self._connection)
                self.notices.shortened += seconds
                if seconds:
                    self.notices.log("shortened", "%s: %d bytes, the most there may be; the oldest counts are deleted",
                                     self.path, self.limits.bytes)  # fmt: skip
                    continue
            return

    # Within a transaction ----------------------------------------------------------------------------------------

    def _point(self, point: Point, now: int) -> bool:
        """Count a point; return False if there was no room for its stream."""
        increase = point.values
        if point.cumulative:
            latest = point.time
            row = self._connection.execute(
                "SELECT time, seen, value FROM streams WHERE id = ?", (point.stream,)
            ).fetchone()
            if row is None:
                if not self._room(now):
                    return False
                self._streams += 1
            else:
                last = struct.unpack(f"<{len(row[2]) // 8}d", row[2])
                if not point.follows(row[0], last):
                    return True  # a repetition, or one that was overtaken: what it says is known
                if last == point.values:
                    # Written only now and then, to say that the stream lives.
                    if row[1] < now - REFRESH:
                        self._connection.execute("UPDATE streams SET seen = ? WHERE id = ?", (now, point.stream))
                    return True
                increase = grown(point.values, last)
                latest = max(latest, row[0])
            self._connection.execute(
                "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?)",
                (point.stream, latest, now, struct.pack(f"<{len(point.values)}d", *point.values)),
            )
        elif not self._first(b"d" + point.stream, now):
            return True
        if not any(increase):
            return True
        series = self._series_id(point.key)
        if point.bounds is None:
            self._add(point.bucket, point.metric, series, increase[0])
            return True
        self._add(point.bucket, f"{point.metric}:count", series, increase[0])
        self._add(point.bucket, f"{point.metric}:sum", series, increase[1])
        self._connection.executemany(
            _ADD_BINS,
            [
                (point.bucket, point.metric, series, bound, value)
                for bound, value in zip(point.bounds, increase[2:], strict=True)
                if value
            ],
        )
        return True

    def _room(self, now: int) -> bool:
        """Return whether one more stream may be remembered, in the place of one long silent if there is no other.

        Not in the place of one that may speak again: all that it ever counted would be counted again.
        """
        if self._streams < self.limits.streams:
            return True
        done = self._connection.execute(
            "DELETE FROM streams WHERE id IN (SELECT id FROM streams WHERE seen < ? ORDER BY seen LIMIT 1000)",
            (now - STREAMS_SPARED,),
        )
        self._streams -= done.rowcount
        return done.rowcount > 0

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
        self._seen += 1
        return self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (identifier, now)).rowcount == 1

    def _mark(self, identifier: bytes, now: int) -> None:
        self._seen += 1
        self._connection.execute(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at WHERE at < excluded.at - ?",
            (identifier, now, REFRESH),
        )

    def _add(self, bucket: int, metric: str, series: int, value: float) -> None:
        self._connection.execute(_ADD, (bucket, metric, series, value))

    def _full(self) -> bool:
        """Return whether new series are merged into ``other``."""
        return len(self._series) >= self.limits.series or self._text >= self.limits.text

    def _series_id(self, key: tuple[str, ...]) -> int:
        found = self._series.get(key)
        if found is not None:
            return found
        if self._full():
            self.notices.overflowed += 1
            if self.notices.overflowed == 1:
                self.notices.log(
                    "overflowed",
                    "%s: %d series, the most there may be; new ones are counted as 'other' (--max-series)",
                    self.path,
                    len(self._series),
                )
            key = _other(key)
            if key in self._series:
                return self._series[key]
        marks = ", ".join("?" * len(KEY))
        cursor = self._connection.execute(f"INSERT INTO series ({', '.join(KEY)}) VALUES ({marks})", key)  # noqa: S608
        identifier = cursor.lastrowid or 0
        self._series[key] = identifier
        self._text += sum(map(len, key))
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
