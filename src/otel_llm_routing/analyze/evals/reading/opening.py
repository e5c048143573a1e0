"""What is in a file, as records: JSON values, the rows of a table, or the parts of an Inspect log."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import shutil
import tempfile
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from otel_llm_routing.analyze.evals.reading.problems import CasesError, Notes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST = 1 << 26
"""Characters of the longest line, field or sample (64 Mi)."""
LARGEST = 1 << 29
"""Characters of the largest JSON document that is no line (512 Mi): it is held as a whole."""
UNPACKED = 1 << 33
"""Bytes that a packed file may unpack to (8 GiB)."""
AHEAD = 32
"""Records that tell the format, and lines that tell lines from a document."""

GZIP, ZIP, PARQUET = b"\x1f\x8b", b"PK", b"PAR1"
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What a gzip raises that is cut or damaged."""
_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""Bytes that are no UTF-8, as the decoder keeps them (``surrogateescape``)."""
_ENDS = ("\n", "\r")
UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Record(NamedTuple):
    """One value of a file."""

    place: str
    """Where it is: ``cases.jsonl:12``."""
    value: Any


def within(place: str, name: str, items: Any) -> Iterator[Record]:
    """Yield what the list ``name`` of the document at ``place`` holds: ``log.json:samples[3]``; nothing of no list."""
    file = place.rpartition(":")[0]
    for number, item in enumerate(items if isinstance(items, list) else ()):
        yield Record(f"{file}:{name}[{number}]", item)


class Contents(NamedTuple):
    """The records of a file."""

    head: list[Record]
    """The first of them."""
    records: Iterator[Record]
    """All of them, the first ones too."""


@contextmanager
def contents(path: Path, notes: Notes) -> Iterator[Contents]:
    """Open ``path``, whatever it is. Raises ``CasesError`` at once or while its records are read."""
    try:
        with _unpacked(path) as (raw, start):
            if not start:
                msg = f"{path}: empty; name a file with cases"
                raise CasesError(msg)
            records = _records(path, raw, start, notes)
            head = list(itertools.islice(records, AHEAD))
            yield Contents(head, itertools.chain(head, records))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror or error}); name a file of cases"
        raise CasesError(msg) from None


def is_json(path: Path) -> bool:
    """Return whether a file begins as JSON does; one that cannot be read is left to whoever opens it."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] in (b"{", b"[")
    except OSError:
        return True


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[BinaryIO, bytes]]:
    """Yield the bytes of a file, or what its gzip holds, and what they begin with."""
    with path.open("rb") as raw:
        start = raw.peek(4)[:4]  # BufferedReader: nothing is read over
        if start[:2] != GZIP:
            yield raw, start
            return
        held = io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=raw), path))
        with suppress(*DAMAGED):  # whoever reads on says so
            start = held.peek(4)[:4]
        if start != PARQUET and start[:2] != ZIP:
            yield held, start
            return
        with tempfile.TemporaryFile() as file:  # these two are not read from beginning to end
            try:
                shutil.copyfileobj(held, file)
            except DAMAGED:
                msg = f"{path}: its gzip ends early or is damaged; pack it anew"
                raise CasesError(msg) from None
            file.seek(0)
            yield file, start


def _records(path: Path, raw: BinaryIO, start: bytes, notes: Notes) -> Iterator[Record]:
    if start == PARQUET:
        from otel_llm_routing.analyze.evals.reading.parquet import rows  # noqa: PLC0415  (an extra)

        return rows(path, raw, notes)
    if start[:2] == ZIP:
        from otel_llm_routing.analyze.evals.reading.archive import parts  # noqa: PLC0415

        return parts(path, raw, notes)
    return _of_text(path, raw, start, notes)


def _of_text(path: Path, raw: BinaryIO, start: bytes, notes: Notes) -> Iterator[Record]:
    encoding, errors = ("utf-16", "replace") if start[:2] in UTF16 else ("utf-8-sig", "surrogateescape")
    lines = _lines(path, io.TextIOWrapper(raw, encoding, errors, newline=""), notes)
    head = list(itertools.islice(lines, AHEAD))
    lines = itertools.chain(head, lines)
    first = head[0][1].lstrip() if head else ""
    if first[:1] in ("{", "["):
        return _objects(path, lines, notes) if _by_line(head) else _documents(path, lines, notes)
    from otel_llm_routing.analyze.evals.reading.table import rows  # noqa: PLC0415

    return rows(path, lines, notes)


# Text ----------------------------------------------------------------------------------------------------------------


class _Bounded(io.RawIOBase):
    """Bytes that end in an error where there are too many of them: a small file can unpack to an enormous one."""

    def __init__(self, packed: gzip.GzipFile, path: Path) -> None:
        self._packed = packed
        self._path = path
        self._left = UNPACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._packed.readinto(buffer)
        self._left -= read
        if self._left < 0:
            msg = f"{self._path}: unpacks to more than {UNPACKED >> 30} GiB; split it"
            raise CasesError(msg)
        return read


def _lines(path: Path, text: io.TextIOWrapper, notes: Notes) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers; those that are empty or too long are left out."""
    number = 0
    try:
        while line := text.readline(LONGEST):
            number += 1
            if len(line) == LONGEST and not line.endswith(_ENDS):
                notes.add(f"a line of more than {LONGEST:,} characters, left out", f"{path}:{number}")
                while (line := text.readline(LONGEST)) and not line.endswith(_ENDS):
                    pass
                continue
            if not line.isascii() and _NO_UTF8.search(line):
                notes.add(
                    "bytes that are no UTF-8, read as \N{REPLACEMENT CHARACTER}; save it as UTF-8", f"{path}:{number}"
                )
                line = _NO_UTF8.sub("\N{REPLACEMENT CHARACTER}", line)
            yield number, line
    except DAMAGED:
        notes.add("its gzip ends early or is damaged from here on; what comes before was read", f"{path}:{number + 1}")


# JSON ----------------------------------------------------------------------------------------------------------------

_decoder = json.JSONDecoder()
_SPACE = " \t\r\n,"


def _by_line(head: list[tuple[int, str]]) -> bool:
    """Tell lines of objects from a document over several lines, also where the first line is broken."""
    return any(line.startswith("{") and _whole(line) for _, line in head[1:]) or (
        head[0][1].lstrip().startswith("{") and _whole(head[0][1])
    )


def _whole(line: str) -> bool:
    try:
        return bool(isinstance(json.loads(line), dict))
    except (ValueError, RecursionError):
        return False


def _objects(path: Path, lines: Iterator[tuple[int, str]], notes: Notes) -> Iterator[Record]:
    for number, line in lines:
        if not (text := line.strip()):
            continue
        place = f"{path}:{number}"
        try:
            value = json.loads(text)
        except RecursionError:
            notes.add("JSON nested too deeply, left out", place)
        except ValueError:
            notes.add("no whole JSON, left out", place)
        else:
            yield Record(place, value)


def _documents(path: Path, lines: Iterator[tuple[int, str]], notes: Notes) -> Iterator[Record]:
    """Yield the values of a document: the items of a list, or objects, one after the other."""
    held: list[str] = []
    size = 0
    for _, part in lines:
        held.append(part)
        size += len(part)
        if size > LARGEST:
            msg = f"{path}: a JSON document of more than {LARGEST >> 20} MiB; write one object a line (JSONL)"
            raise CasesError(msg)
    text = "".join(held)
    del held
    at, end = _skip(text, 0), len(text)
    listed = text[at : at + 1] == "["
    at = _skip(text, at + 1) if listed else at
    line, number = 1 + text.count("\n", 0, at), 0
    while at < end and not (listed and text[at] == "]"):
        try:
            value, following = _decoder.raw_decode(text, at)
        except RecursionError:
            notes.add("JSON nested too deeply; the rest was left out", f"{path}:{line}")
            return
        except json.JSONDecodeError as error:
            notes.add(f"no whole JSON from here on ({error.msg}), left out", f"{path}:{error.lineno}")
            return
        except ValueError:
            notes.add("no whole JSON from here on (so large a number), left out", f"{path}:{line}")
            return
        yield Record(f"{path}:[{number}]" if listed else f"{path}:{line}", value)
        number += 1
        following = _skip(text, following)
        line += text.count("\n", at, following)
        at = following


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
