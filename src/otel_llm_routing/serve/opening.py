"""Taking a database into service: made where there is none, refused where it is not ours, for one server at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import IO

from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.sqlite import APPLICATION_ID, SCHEMA, SCHEMA_VERSION, check, explain
from otel_llm_routing.serve.forgetting import UNUSED
from otel_llm_routing.whole_file import is_device

PATIENCE = 2
"""Seconds to wait for another program that has the database locked."""
LOG_KEPT = 64 << 20
"""Bytes of the write-ahead log that stay on disk after a burst."""
NOWHERE = ("", ":memory:")
"""What is no file to SQLite, but a database that is gone when it is closed, and that nobody else can read."""


class StoreError(SourceError):
    """A database that cannot be served; the message says why and what to do."""


def connect(path: str) -> sqlite3.Connection:
    """Return a connection that may write to the database at ``path``, made if there is none. Raises ``StoreError``."""
    new = fresh(path)
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise StoreError(explain(error, path)) from None
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_KEPT}")
        if new:
            connection.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(" ".join(verdict.split())[:80])
        connection.execute(UNUSED)  # also the proof that the file may be written
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(explain(error, path)) from None
    return connection


def identity(path: str) -> tuple[object, ...]:
    """Return what tells the database's two files from others that come to lie in their places."""
    return tuple(_identity(name) for name in (path, f"{path}-wal"))


def _identity(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116  (for each export: a Path would take longer than the look)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def fresh(path: str) -> bool:
    """Return whether ``path`` is to be made into a database. Raises ``StoreError`` if it is another program's."""
    if path in NOWHERE:
        msg = f"{path!r} would be kept nowhere; name a file with --db"
        raise StoreError(msg)
    file = Path(path)
    if file.is_dir():
        msg = f"{path}: a folder; name a file in it with --db"
        raise StoreError(msg)
    try:
        if is_device(file):
            msg = f"{path}: a device, a pipe or a socket; name a file with --db"
            raise StoreError(msg)
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


def only_one(path: str) -> IO[str]:
    """Take the lock that says that this process serves ``path``; the system lets go of it when the process dies."""
    try:
        # Not Path.resolve: it raises something else where symbolic links go round in a circle.
        handle = open(f"{os.path.realpath(path)}.lock", "a+", encoding="utf-8")  # noqa: PTH123, SIM115  (it stays open)
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
