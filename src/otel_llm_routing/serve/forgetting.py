"""Deleting what is too old, or the oldest of what is too much, a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.sources.sqlite import edges

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

PIECE = 3_600
"""Seconds of counts that are deleted at a time, where there are too many."""
TABLES = ("points", "bins")
UNUSED = "DELETE FROM series WHERE id NOT IN (SELECT series FROM points UNION SELECT series FROM bins)"
"""Series that retention emptied make room for new ones."""


def used(connection: sqlite3.Connection) -> int:
    """Return the bytes of the file that hold something."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def delete_before(connection: sqlite3.Connection, before: int) -> int:
    """Delete the buckets that began before ``before`` (seconds since the epoch); return how many rows there were."""
    rows = 0
    for table in TABLES:
        for metric in _metrics(connection, table):
            # By its metric, because the rows lie in that order: without it every row would be looked at.
            done = connection.execute(f"DELETE FROM {table} WHERE metric = ? AND bucket < ?", (metric, before))  # noqa: S608
            rows += done.rowcount
    return rows


def delete_oldest(connection: sqlite3.Connection) -> int:
    """Delete the first hour that has counts, of all metrics; return how many seconds' buckets went, 0 if none are left.

    An hour that would take everything is left: what arrives now is what is looked at.
    """
    found = [
        edge
        for table in TABLES
        for metric in _metrics(connection, table)
        if (edge := edges(connection, table, metric)) is not None
    ]
    if not found:
        return 0
    first, last = min(low for low, _ in found), max(high for _, high in found)
    before = min((first // PIECE + 1) * PIECE, last)
    return before - first if before > first and delete_before(connection, before) else 0


def trim(connection: sqlite3.Connection, most: int) -> int:
    """Delete the oldest of what would be known again until there are ``most``; return how many there are."""
    (held,) = connection.execute("SELECT count(*) FROM seen").fetchone()
    if held > most:
        old = "SELECT id FROM seen ORDER BY at LIMIT ?"
        connection.execute(f"DELETE FROM seen WHERE id IN ({old})", (held - most,))  # noqa: S608
    return int(min(held, most))


def _metrics(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    """Yield the metrics of ``table``, each found with one look: DISTINCT would read every row."""
    metric = ""
    while True:
        (found,) = connection.execute(f"SELECT min(metric) FROM {table} WHERE metric > ?", (metric,)).fetchone()  # noqa: S608
        if found is None:
            return
        metric = found
        yield metric
