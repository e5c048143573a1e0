"""Counts over time, as arrays: what noise is estimated from and verdicts are given on."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze.sources import Batched, Count
from otel_llm_routing.models import KNOWN_MATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.sources import Batch, Source

LEFT_OUT = -1


class Known(NamedTuple):
    """A series of requests with a known served model."""

    surface: str
    requested: str
    served: str
    match: str
    kind: str


class Unknown(NamedTuple):
    """A series of requests, not failed, whose served model nobody reported or confirmed."""

    surface: str
    requested: str
    kind: str


class History:
    """Requests in ``size`` slices of ``step`` seconds from ``start`` (seconds since the epoch) on.

    Cached answers are left out: no model was chosen. So are failed calls whose served model is not known.
    """

    def __init__(self, start: float, step: int, size: int) -> None:
        self.start = start
        self.step = step
        self.size = size
        # Not a method of its own: a history that refers to itself is freed late, and holds much.
        empty = partial(np.zeros, size)
        self.known: dict[Known, NDArray[np.float64]] = defaultdict(empty)
        self.unknown: dict[Unknown, NDArray[np.float64]] = defaultdict(empty)
        self.measured: NDArray[np.bool_] = np.zeros(size, dtype=bool)
        """Which slices hold requests, also cached and failed ones."""

    @property
    def last(self) -> int | None:
        """The last slice that holds requests, also cached and failed ones; None: there are none."""
        found = np.flatnonzero(self.measured)
        return int(found[-1]) if len(found) else None

    def add(self, counts: Iterable[Count]) -> None:
        """Count what a source yields; what lies outside is left out."""
        for count in counts:
            at = int((count.start - self.start) // self.step)
            if not 0 <= at < self.size:
                continue
            self.measured[at] = True
            key = _series(count)
            if isinstance(key, Known):
                self.known[key][at] += count.requests
            elif key is not None:
                self.unknown[key][at] += count.requests

    def take(self, source: Source, start: float, end: float) -> None:
        """Count what ``source`` holds in ``[start, end)``, by slice. Raises ``SourceError``."""
        if isinstance(source, Batched):
            self._add_batches(source.batches(start, end, self.step))
        else:
            self.add(source.counts(start, end, self.step))

    def _add_batches(self, batches: Iterable[Batch]) -> None:
        """Count as ``add`` does, a slice at a time instead of a series at a time."""
        rows: dict[Known | Unknown, int] = {}
        counts, row_of = np.zeros((0, self.size)), np.zeros(0, dtype=np.intp)
        for start, found, series in batches:
            if not len(row_of):
                row_of = np.full(max(series) + 1, LEFT_OUT, dtype=np.intp)
                for number, words in series.items():
                    if (key := _series(Count.of(0, words, 0))) is not None:
                        row_of[number] = rows.setdefault(key, len(rows))
                counts = np.zeros((len(rows), self.size))
            at = int((start - self.start) // self.step)
            if not 0 <= at < self.size:
                continue
            self.measured[at] = True
            flat = np.fromiter(chain.from_iterable(found), np.float64, 2 * len(found))
            row = row_of[flat[::2].astype(np.intp)]
            used = row != LEFT_OUT
            counts[:, at] += np.bincount(row[used], np.rint(flat[1::2][used]), len(rows))
        for key, number in rows.items():
            if not counts[number].any():
                continue
            if isinstance(key, Known):
                self.known[key] = self.known[key] + counts[number] if key in self.known else counts[number]
            else:
                self.unknown[key] = self.unknown[key] + counts[number] if key in self.unknown else counts[number]

    def streams(self) -> dict[tuple[str, str], dict[str, NDArray[np.float64]]]:
        """Return the known requests of each (surface, requested identifier), by served model; not to be written to."""
        found: dict[tuple[str, str], dict[str, NDArray[np.float64]]] = {}
        for key, counts in self.known.items():
            models = found.setdefault((key.surface, key.requested), {})
            models[key.served] = models[key.served] + counts if key.served in models else counts
        return found


def _series(count: Count) -> Known | Unknown | None:
    """Return what ``count`` is counted as; None: it is left out."""
    if count.cached:
        return None
    if count.match in KNOWN_MATCHES:
        return Known(count.surface, count.requested, count.served, count.match, count.kind)
    return None if count.error else Unknown(count.surface, count.requested, count.kind)


def read(source: Source, end: float, seconds: int, step: int) -> History:
    """Return the ``seconds`` before ``end`` in slices of ``step`` seconds. Raises ``SourceError``."""
    size = seconds // step
    start = end - size * step
    history = History(start, step, size)
    history.take(source, start, end)
    return history
