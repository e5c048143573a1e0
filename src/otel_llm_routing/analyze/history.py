"""Counts over time, as arrays: what noise is estimated from and verdicts are given on."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.models import KNOWN_MATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.sources import Count, Source


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
        self.known: dict[Known, NDArray[np.float64]] = defaultdict(self._empty)
        self.unknown: dict[Unknown, NDArray[np.float64]] = defaultdict(self._empty)
        self.last: int | None = None
        """The last slice that holds requests, also cached and failed ones; None: there are none."""

    def _empty(self) -> NDArray[np.float64]:
        return np.zeros(self.size)

    def add(self, counts: Iterable[Count]) -> None:
        """Count what a source yields; what lies outside is left out."""
        for count in counts:
            at = int((count.start - self.start) // self.step)
            if not 0 <= at < self.size:
                continue
            if self.last is None or at > self.last:
                self.last = at
            if count.cached:
                continue
            if count.match in KNOWN_MATCHES:
                key = Known(count.surface, count.requested, count.served, count.match, count.kind)
                self.known[key][at] += count.requests
            elif not count.error:
                self.unknown[Unknown(count.surface, count.requested, count.kind)][at] += count.requests

    def streams(self) -> dict[tuple[str, str], dict[str, NDArray[np.float64]]]:
        """Return the known requests of each (surface, requested identifier), by served model; not to be written to."""
        found: dict[tuple[str, str], dict[str, NDArray[np.float64]]] = {}
        for key, counts in self.known.items():
            models = found.setdefault((key.surface, key.requested), {})
            models[key.served] = models[key.served] + counts if key.served in models else counts
        return found


def read(source: Source, end: float, seconds: int, step: int) -> History:
    """Return the ``seconds`` before ``end`` in slices of ``step`` seconds. Raises ``SourceError``."""
    size = seconds // step
    start = end - size * step
    history = History(start, step, size)
    history.add(source.counts(start, end, step))
    return history
