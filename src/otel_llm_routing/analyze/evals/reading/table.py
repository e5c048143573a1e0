"""The rows of CSV and TSV."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.evals.reading import opening
from otel_llm_routing.analyze.evals.reading.opening import Record
from otel_llm_routing.analyze.evals.reading.problems import CasesError, Notes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEPARATORS = ",\t;|"


def rows(path: Path, lines: Iterator[tuple[int, str]], notes: Notes) -> Iterator[Record]:
    """Yield each row as a dictionary, by the names of the first one."""
    numbered = _Numbered(lines)
    first = next(numbered, "")
    while first and not first.strip():
        first = next(numbered, "")
    before = csv.field_size_limit(opening.LONGEST)  # of the process; a prompt is easily longer than the usual 128 KiB
    try:
        yield from _rows(path, first, numbered, notes)
    finally:
        csv.field_size_limit(before)


class _Numbered:
    """Lines, and the number of the last one."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> _Numbered:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        return line.replace("\0", "")  # the csv module of Python 3.10 stops at one


def _rows(path: Path, first: str, lines: _Numbered, notes: Notes) -> Iterator[Record]:
    begins = lines.number
    reader = csv.reader(itertools.chain([first], lines), delimiter=max(SEPARATORS, key=first.count))
    try:
        header = _unique(next(reader, []))
    except csv.Error as error:
        msg = f"{path}:{begins}: no header can be read ({error}); write the names of the columns first"
        raise CasesError(msg) from None
    while True:
        begins = lines.number + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            notes.add(f"a row that cannot be read ({error}), left out", f"{path}:{begins}")
            continue
        if row is None:
            return
        while len(row) > len(header) and not row[-1].strip():
            row.pop()
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            # One that was cut, or has a separator without quotes: its cells may be under the wrong names.
            notes.add("a row with more or fewer fields than the header, left out", f"{path}:{begins}")
            continue
        yield Record(f"{path}:{begins}", dict(zip(header, row, strict=True)))


def _unique(header: list[str]) -> list[str]:
    """Return the names of the columns; one that comes again gets a number, as pandas gives it."""
    names: list[str] = []
    for name in map(str.strip, header):
        number, unique = 1, name
        while unique in names:
            unique, number = f"{name}.{number}", number + 1
        names.append(unique)
    return names
