"""How large the requests of a stream are, by served model: tables of counts, and two of them on the same buckets.

Sizes are the characters of a request's text, known before a model is chosen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.models import KNOWN_MATCHES, match
from otel_llm_routing.policy.reference import Sizes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.sources import SizeCount, Source
    from otel_llm_routing.policy.reference import Mix

BOUNDS = tuple(256.0 * 2**n for n in range(10))
"""Upper bounds that the instrumentation counts with, in characters; one more bucket is above them."""

Stream = tuple[str, str]
"""Surface and requested identifier."""


class SizeTable(NamedTuple):
    """The requests of one stream by served model and size."""

    served: tuple[str, ...]
    bounds: tuple[float, ...]
    """The largest size of each bucket in characters, ascending; infinite for the last."""
    counts: NDArray[np.float64]
    """(served models, buckets)"""

    def of(self, models: Collection[str]) -> SizeTable:
        """Return the table without requests that other models served."""
        kept = [row for row, name in enumerate(self.served) if name in models]
        return SizeTable(tuple(self.served[row] for row in kept), self.bounds, self.counts[kept])


class SizePair(NamedTuple):
    """The requests of one stream in two periods, over the same served models and buckets."""

    served: tuple[str, ...]
    bounds: tuple[float, ...]
    then: NDArray[np.float64]
    """(served models, buckets)"""
    now: NDArray[np.float64]
    """(served models, buckets)"""


class SizeHistory:
    """Sizes of requests in ``size`` slices of ``step`` seconds from ``start`` (seconds since the epoch) on."""

    def __init__(self, start: float, step: int, size: int) -> None:
        self.start = start
        self.step = step
        self.size = size
        self._counts: dict[Stream, dict[str, dict[float, NDArray[np.float64]]]] = {}

    def add(self, counts: Iterable[SizeCount]) -> None:
        """Count what a source yields; what lies outside, or has no served model, is left out."""
        for count in counts:
            at = int((count.start - self.start) // self.step)
            if not 0 <= at < self.size or not count.served or math.isnan(count.bound):
                continue
            stream = self._counts.setdefault((count.surface, count.requested), {})
            bins = stream.setdefault(count.served, {})
            if count.bound not in bins:
                bins[count.bound] = np.zeros(self.size)
            bins[count.bound][at] += count.requests

    def streams(self) -> list[Stream]:
        """Return the surface and requested identifier of every stream with a size."""
        return sorted(self._counts)

    def slices(self, stream: Stream, known: Collection[str] = ()) -> list[SizeTable]:
        """Return the table of each slice, on the same models and buckets; none where nothing is known of ``stream``.

        ``known`` are its served models that somebody has confirmed. The histogram of sizes does not say which answers
        only repeat the name that was requested: such a name counts where it is among ``known``, and nowhere else.
        """
        models = self._counts.get(stream, {})
        served = [name for name in models if name in known or match(stream[1], None, name) in KNOWN_MATCHES]
        if not served:
            return []
        bounds = grid({bound for bins in models.values() for bound in bins})
        nothing = np.zeros(self.size)
        counts = np.array([[models[name].get(bound, nothing) for bound in bounds] for name in served])
        return [SizeTable(tuple(served), bounds, counts[:, :, at]) for at in range(self.size)]

    def table(self, stream: Stream, known: Collection[str] = ()) -> SizeTable | None:
        """Return the table of all slices together; see ``slices``."""
        slices = self.slices(stream, known)
        return slices[0]._replace(counts=np.sum([of.counts for of in slices], axis=0)) if slices else None


def read(source: Source, start: float, end: float) -> SizeHistory:
    """Return the sizes in ``[start, end)`` as one slice. Raises ``SourceError``."""
    history = SizeHistory(start, max(math.ceil(end - start), 1), 1)
    history.add(source.sizes(start, end, history.step))
    return history


def of_reference(mix: Mix) -> SizeTable | None:
    """Return the table of what a pin found, to the digits that the file holds; None where it has no sizes."""
    sizes = mix.sizes
    if sizes is None:
        return None
    shares = np.array(list(sizes.served.values()))
    counts = shares / np.maximum(shares.sum(axis=0), 1e-9) * np.array(sizes.share)
    return SizeTable(tuple(sizes.served), (*sizes.bounds, math.inf), counts / counts.sum() * mix.requests)


def for_reference(table: SizeTable, concentration: float) -> Sizes:
    """Return what the reference keeps of ``table``: three digits of every share. It must hold a request."""
    n = table.counts.sum(axis=0)
    shares = table.counts / np.maximum(n, 1)
    return Sizes(
        bounds=table.bounds[:-1],
        share=tuple(map(_brief, n / n.sum())),
        served={name: tuple(map(_brief, row)) for name, row in zip(table.served, shares, strict=True)},
        concentration=round(concentration, 1),
    )


def _brief(share: float) -> float:
    return float(f"{share:.3g}")


def pair(then: SizeTable, now: SizeTable) -> SizePair:
    """Return two tables on the buckets that both can be counted in."""
    served = tuple(dict.fromkeys([*then.served, *now.served]))
    common = sorted({*then.bounds} & {*now.bounds} | {math.inf})
    return SizePair(served, tuple(common), _placed(then, served, common), _placed(now, served, common))


def _placed(table: SizeTable, served: tuple[str, ...], bounds: list[float]) -> NDArray[np.float64]:
    placed = np.zeros((len(served), len(bounds)))
    rows = [served.index(name) for name in table.served]
    for column, at in enumerate(np.searchsorted(bounds, table.bounds)):
        placed[rows, at] += table.counts[:, column]
    return placed


def grid(seen: set[float], everywhere: set[float] | None = None) -> tuple[float, ...]:
    """Return the bounds that a stream was counted with, of which only those ``seen`` show that hold requests.

    They are taken for all of ours where they are among ours and those that show ``everywhere`` (by default in this
    stream) are neighbours: ones with a hole between them are of somebody else, who counts with fewer; those that do not
    show are then not known.
    """
    finite = sorted(bound for bound in seen if bound < math.inf)
    known = {*BOUNDS}
    if known.issuperset(finite):
        ours = sorted(BOUNDS.index(bound) for bound in (seen if everywhere is None else everywhere) & known)
        if not ours or ours == list(range(ours[0], ours[-1] + 1)):
            return (*BOUNDS, math.inf)
    return (*finite, math.inf)
