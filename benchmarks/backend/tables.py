"""The measured tables as Markdown, and where they stand in the page."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pages import Places, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backend.ingest import Ingested, Rate
    from backend.payloads import Load
    from backend.processes import Used

PLACES = Places("backend", ("by", "ingest", "memory", "past", "reading"))
NUMBERS = "---:"
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
    return table(head, rows, NUMBERS)


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
    return table(head, rows, NUMBERS)


def _reading(measured: Measured) -> str:
    rows = [
        (f"`{name}`", f"{used.cpu:,.1f}", f"{used.seconds:,.1f}", f"{used.peak / MEBIBYTE:,.0f}")
        for name, used in measured.used.items()
    ]
    return table(("", "s of CPU time", "s", "MiB at most"), rows, NUMBERS)


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
