"""Counts of months, small enough for memory: all surfaces are kept, and one at a time is taken out to be judged."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from otel_llm_routing.analyze.history import History, Known, Unknown
from otel_llm_routing.analyze.sources import Batched
from otel_llm_routing.policy.thresholds import SILENT_REQUESTS, SLICE, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.analyze.sources import Count, Source

DAY = WINDOWS["24h"].slices
WEEK = WINDOWS["7d"].slices
HOUR = WINDOWS["1h"].slices
LEAST_GAP = HOUR
"""Slices without a request that are too few to speak of."""
NAMELESS, REST = "unknown", "any"
"""The two surfaces of ``Archive.whole``; the first is what requests without a surface are counted as."""

_Row = NDArray[np.unsignedinteger[Any]]


class Gap(NamedTuple):
    """Slices in which nobody measured: from ``begin`` on, up to and without ``end``."""

    begin: int
    end: int


class Archive:
    """Requests in ``size`` slices from ``start`` (seconds since the epoch) on; what is left out is as in ``History``.

    Every week of a series is kept in the smallest integers that hold it: mostly one byte a slice instead of eight.
    """

    def __init__(self, start: float, size: int) -> None:
        self.start = start
        self.size = size
        self.measured: NDArray[np.bool_] = np.zeros(size, dtype=bool)
        """Which slices hold requests of any surface, also cached and failed ones."""
        self._surfaces: dict[str, dict[Known | Unknown, dict[int, _Row]]] = defaultdict(dict)
        """What each surface counted: of each series, the weeks that hold requests, by their first slice."""
        self._total = np.zeros(size)
        self._nameless = np.zeros(size)

    @property
    def end(self) -> float:
        """The end of the last slice, in seconds since the epoch."""
        return self.start + self.size * SLICE

    def take(self, source: Source, progress: Callable[[int, int], None] = lambda _, __: None) -> None:
        """Read all of it. ``progress`` is told how many slices of how many are done. Raises ``SourceError``."""
        if not isinstance(source, Batched):
            # In one go: a source may have to begin from its beginning each time that it is asked.
            for number, counts in groupby(source.counts(self.start, self.end, SLICE), self._week_of):
                week = self._week(number)
                week.add(counts)
                self.add(week)
                progress(min((number + 1) * WEEK, self.size), self.size)
            return
        for number in range(-(-self.size // WEEK)):
            week = self._week(number)
            week.take(source, week.start, week.start + week.size * SLICE)
            self.add(week)
            progress(min((number + 1) * WEEK, self.size), self.size)

    def _week_of(self, count: Count) -> int:
        return int((count.start - self.start) // SLICE) // WEEK

    def _week(self, number: int) -> History:
        """Return an empty history of a week; the last may be shorter."""
        begin = number * WEEK
        return History(self.start + begin * SLICE, SLICE, min(WEEK, self.size - begin))

    def add(self, part: History) -> None:
        """Count what a history holds, which lies within this archive, at its slices."""
        begin = round((part.start - self.start) / SLICE)
        self.measured[begin : begin + part.size] |= part.measured
        sized: dict[np.dtype[Any], list[tuple[dict[int, _Row], NDArray[np.float64]]]] = defaultdict(list)
        for key, counts in chain[tuple[Known | Unknown, NDArray[np.float64]]](part.known.items(), part.unknown.items()):
            self._total[begin : begin + part.size] += counts
            if key.surface == NAMELESS:
                self._nameless[begin : begin + part.size] += counts
            weeks = self._surfaces[key.surface].setdefault(key, {})
            whole = counts + weeks[begin] if begin in weeks else counts
            sized[np.min_scalar_type(int(whole.max(initial=0)))].append((weeks, whole))
        for kind, rows in sized.items():
            # One block for all: small arrays between the large ones that go would keep the memory of both.
            block = np.empty((len(rows), part.size), dtype=kind)
            for row, (weeks, whole) in zip(block, rows, strict=True):
                row[:] = whole
                weeks[begin] = row

    def surfaces(self) -> list[str]:
        """Return every surface of which there are requests."""
        return sorted(self._surfaces)

    def of(self, surface: str) -> History:
        """Return what one surface counted."""
        found = History(self.start, SLICE, self.size)
        for key, weeks in self._surfaces.get(surface, {}).items():
            counts = found.known[key] if isinstance(key, Known) else found.unknown[key]
            for begin, week in weeks.items():
                counts[begin : begin + len(week)] += week
        return found

    def whole(self) -> History:
        """Return the requests of all surfaces as if they were two: those without a name, and the rest."""
        found = History(self.start, SLICE, self.size)
        found.known[Known(NAMELESS, "", "", "", "")] = self._nameless
        found.known[Known(REST, "", "", "", "")] = self._total - self._nameless
        return found

    def gaps(self) -> list[Gap]:
        """Return when nobody measured, between the first request and the end.

        Not one request of any surface, where at the same hours of other weeks (or days, in the first week) there were
        more than chance leaves out. A night or a weekend on which nobody works is none.
        """
        edges = np.flatnonzero(np.diff(~self.measured, prepend=False, append=False))
        runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        return [Gap(*run) for run in runs if run[0] > 0 and self._measured_elsewhere(*run)]

    def _measured_elsewhere(self, begin: int, end: int) -> bool:
        if end - begin < LEAST_GAP or not self.measured[:begin].any():
            return False
        others = np.ones(self.size)
        others[: int(self.measured.argmax())] = others[begin:end] = 0
        expected = self._expected(others, WEEK)
        by_day = self._expected(others, DAY)
        expected = np.where(np.isnan(expected), by_day, expected)[begin:end]
        return float(np.nansum(expected)) > SILENT_REQUESTS

    def _expected(self, others: NDArray[np.float64], period: int) -> NDArray[np.float64]:
        """Return the mean requests of the slices in ``others`` that are whole ``period``s away; NaN: there are none."""
        padding = (0, -self.size % period)
        requests = np.pad(self._total * others, padding).reshape(-1, period).sum(axis=0)
        times = np.pad(others, padding).reshape(-1, period).sum(axis=0)
        mean = np.divide(requests, times, out=np.full(period, np.nan), where=times > 0)
        return np.resize(mean, self.size)


def add_days(by_day: History, part: History, first: int) -> None:
    """Add up the known requests of ``part`` to days; ``first`` is its slice at which ``by_day`` begins."""
    for key, counts in part.known.items():
        of = counts[first : first + by_day.size * DAY]
        by_day.known[key] = by_day.known[key] + of.reshape(by_day.size, DAY).sum(axis=1)
