"""The measured tables as Markdown, and where they stand in the page."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from backend.ingest import Ingested, Rate
    from backend.payloads import Load
    from backend.processes import Used

NAMES = ("by", "ingest", "memory", "past", "reading")
_MARKED = re.compile(r"(?m)^(<!-- backend: (?P<name>[a-z-]+) -->\n)(?:.+\n)*")
"""A place for a table: from its marker to the next empty line."""
MEBIBYTE = 1 << 20
SHORTEST = 0.05
"""Seconds of CPU time that can be told apart from none: the system counts hundredths."""


@dataclass
class Measured:
    """Everything that was measured."""

    by: str
    """The command, the machine, and what else ran on it."""
    ingested: dict[tuple[Load, str, str], list[Ingested]] = field(default_factory=dict)
    """By load, protocol and receiver, one for each round."""
    past: str = ""
    """What was read by the commands."""
    used: dict[str, Used] = field(default_factory=dict)
    """By command."""


def tables(measured: Measured) -> dict[str, str]:
    """Return the text of every place of the page."""
    return {
        "by": measured.by,
        "ingest": _ingest(measured),
        "memory": _memory(measured),
        "past": measured.past,
        "reading": _reading(measured),
    }


def lacking(page: Path) -> str:
    """Return why the tables cannot be written into ``page``; empty where they can."""
    try:
        text = page.read_text("utf-8")
    except (OSError, ValueError) as error:
        return f"cannot be read ({error})"
    names = set(NAMES) - {match["name"] for match in _MARKED.finditer(text)}
    return f"no place for {', '.join(sorted(names))}; it begins with a line <!-- backend: NAME -->" if names else ""


def write(page: Path, found: dict[str, str]) -> None:
    """Put the tables into their places in ``page``."""
    text = page.read_text("utf-8")
    page.write_text(_MARKED.sub(lambda m: f"{m[1]}{found[m['name']]}\n" if m["name"] in found else m[0], text), "utf-8")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ingest(measured: Measured) -> str:
    head = (
        "series, sent as",
        *("serve: points/s", "µs CPU a point", "µs, new series"),
        *("Collector: points/s", "µs CPU a point", "µs, new series"),
    )
    rows = []
    for load, protocol in _runs(measured):
        cells: list[str] = []
        for receiver in ("serve", "Collector"):
            found = measured.ingested.get((load, protocol, receiver))
            if found is None:
                cells += ["", "", ""]
                continue
            cells += [
                f"{_middle(found, lambda of: of.known.points / of.known.seconds):,.0f}",
                _each(found, lambda of: of.known),
                _each(found, lambda of: of.new),
            ]
        rows.append((_name(load, protocol), *cells))
    return _table(head, rows)


def _memory(measured: Measured) -> str:
    head = (
        "MiB",
        "serve, at the start",
        "serve, after all",
        "its file",
        "Collector, at the start",
        "Collector, after all",
    )
    rows = []
    for load, protocol in _runs(measured):
        cells: list[str] = []
        for receiver in ("serve", "Collector"):
            found = measured.ingested.get((load, protocol, receiver), [])
            cells += [_mebibytes(found, lambda of: of.before), _mebibytes(found, lambda of: of.after)]
            if receiver == "serve":
                cells.append(_mebibytes(found, lambda of: of.bytes or 0))
        rows.append((_name(load, protocol), *cells))
    return _table(head, rows)


def _reading(measured: Measured) -> str:
    rows = [
        (f"`{name}`", f"{used.cpu:,.1f}", f"{used.seconds:,.1f}", f"{used.peak / MEBIBYTE:,.0f}")
        for name, used in measured.used.items()
    ]
    return _table(("", "s of CPU time", "s", "MiB at most"), rows)


def _runs(measured: Measured) -> list[tuple[Load, str]]:
    return list(dict.fromkeys((load, protocol) for load, protocol, _ in measured.ingested))


def _name(load: Load, protocol: str) -> str:
    return f"{load.series:,}, {protocol}{', all metrics' if load.whole else ''}"


def _middle(found: Iterable[Ingested], of: Callable[[Ingested], float]) -> float:
    return statistics.median(map(of, found))


def _each(found: list[Ingested], of: Callable[[Ingested], Rate]) -> str:
    """Return the CPU time of a point in microseconds; nothing where all together took too little to be told."""
    if _middle(found, lambda one: of(one).cpu) < SHORTEST:
        return ""
    return f"{_middle(found, lambda one: of(one).cpu / of(one).points * 1e6):,.0f}"


def _mebibytes(found: list[Ingested], of: Callable[[Ingested], float]) -> str:
    return f"{_middle(found, of) / MEBIBYTE:,.0f}" if found else ""
