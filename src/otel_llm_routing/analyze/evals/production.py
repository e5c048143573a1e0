"""What production looked like in a window of time: requests by surface and size, and what served them.

Requests are counted by the counter; how large they are is told by the histogram of sizes, of which only the
distribution within a surface is used. Left out are answers from a cache, and failed calls that no known model served:
neither says what a model answers.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.sizes import grid
from otel_llm_routing.models import KNOWN_MATCHES, canonical, match

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_llm_routing.analyze.sources import Count, SizeCount, Source

NAMELESS = frozenset({"", "unknown"})
"""What stands for a surface where nobody has named one."""
ANY_SIZE = (math.inf,)
"""The bounds of a surface whose requests have no sizes: one bucket."""


class Cell(NamedTuple):
    """Requests of one surface and of sizes above ``above`` up to ``upto`` characters."""

    surface: str
    above: float
    upto: float
    """Infinite for the last one."""

    @property
    def sizes(self) -> str:
        """The sizes in words."""
        if self.upto == math.inf:
            return f"above {self.above:,.0f}" if self.above else "any size"
        return f"{self.above + 1:,.0f} to {self.upto:,.0f}" if self.above else f"up to {self.upto:,.0f}"


@dataclass(slots=True)
class SurfaceTraffic:
    """The requests of one surface. Served models are by ``canonical`` name; ``Production.name`` gives the usual one."""

    surface: str
    requests: int = 0
    served: Counter[str] = field(default_factory=Counter)
    """Requests by known served model."""
    unknown: int = 0
    """Requests whose served model nobody reported or confirmed: ``requests`` is these and ``served``."""
    requested: Counter[str] = field(default_factory=Counter)
    """Requests by requested identifier, as it was sent; empty where nobody said."""
    bounds: tuple[float, ...] = ANY_SIZE
    """The largest size of each bucket in characters, ascending; infinite for the last."""
    sizes: tuple[int, ...] = ()
    """Of the histogram: requests in each bucket. Empty: nothing is known of sizes."""
    served_by_size: tuple[Counter[str], ...] = ()
    """Of the histogram: requests in each bucket by known served model."""

    @property
    def known(self) -> int:
        """Requests with a known served model."""
        return self.requests - self.unknown

    def mix(self) -> dict[str, float]:
        """Return the share of each served model, of the requests with a known one."""
        return {model: count / self.known for model, count in self.served.items()}

    def cells(self) -> list[tuple[Cell, Fraction]]:
        """Return every cell of the surface with its share of the surface, the smallest sizes first."""
        if not self.sizes:
            return [(Cell(self.surface, 0, math.inf), Fraction(1))]
        total = sum(self.sizes)
        edges = (0.0, *self.bounds[:-1])
        return [
            (Cell(self.surface, above, upto), Fraction(count, total))
            for above, upto, count in zip(edges, self.bounds, self.sizes, strict=True)
        ]

    def bucket(self, size: float) -> int:
        """Return the number of the cell that a request of ``size`` characters belongs to."""
        return bisect_left(self.bounds, size) if self.sizes else 0


@dataclass(frozen=True, slots=True)
class Production:
    """What production looked like in ``[start, end)`` (seconds since the epoch)."""

    start: float
    end: float
    surfaces: Mapping[str, SurfaceTraffic]
    """The busiest first."""
    nameless: int
    """Requests for which nobody named a surface: they belong to none of ``surfaces``."""
    cached: int
    """Left out: answered from a cache."""
    failed: int
    """Left out: failed, and no known model served them."""
    names: Mapping[str, str]
    """The most frequent spelling of every served model, by its ``canonical`` name."""
    warnings: tuple[str, ...] = ()
    """What the source could not take in."""

    @property
    def requests(self) -> int:
        """Requests of all surfaces that have a name."""
        return sum(traffic.requests for traffic in self.surfaces.values())

    def shares(self) -> dict[str, float]:
        """Return the share of each surface in the requests of all of them."""
        total = self.requests
        return {surface: traffic.requests / total for surface, traffic in self.surfaces.items()}

    def cells(self) -> dict[Cell, Fraction]:
        """Return the share of every cell in the requests of all surfaces. They add up to 1, exactly."""
        total = self.requests
        return {
            cell: share * Fraction(traffic.requests, total)
            for traffic in self.surfaces.values()
            for cell, share in traffic.cells()
        }

    def without_sizes(self) -> list[str]:
        """Return the surfaces whose requests have no known size."""
        return [traffic.surface for traffic in self.surfaces.values() if not traffic.sizes]

    def name(self, model: str) -> str:
        """Return the usual spelling of a model's ``canonical`` name."""
        return self.names.get(model, model)

    def of(self, surfaces: Iterable[str]) -> Production:
        """Return the production of ``surfaces`` alone. Raises ``KeyError`` with the first that has no requests."""
        chosen = dict.fromkeys(surfaces)
        if missing := [name for name in chosen if name not in self.surfaces]:
            raise KeyError(missing[0])
        kept = {name: traffic for name, traffic in self.surfaces.items() if name in chosen}
        return Production(
            self.start, self.end, kept, self.nameless, self.cached, self.failed, self.names, self.warnings
        )


def read(source: Source, start: float, end: float) -> Production:
    """Return what ``source`` holds in ``[start, end)``. Raises ``SourceError``."""
    step = max(math.ceil(end - start), 1)
    counts = list(source.counts(start, end, step))
    sizes = list(source.sizes(start, end, step))
    return of_counts(counts, sizes, start, end, tuple(source.warned(start)))


def of_counts(
    counts: Iterable[Count],
    sizes: Iterable[SizeCount],
    start: float = 0.0,
    end: float = 0.0,
    warnings: tuple[str, ...] = (),
) -> Production:
    """Return what the two say together, in whatever order they come."""
    surfaces: dict[str, SurfaceTraffic] = {}
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    confirmed: set[tuple[str, str, str]] = set()
    nameless = cached = failed = 0
    for count in counts:
        known = count.match in KNOWN_MATCHES and bool(count.served)
        if count.cached:
            cached += count.requests
        elif count.error and not known:
            failed += count.requests
        elif count.surface in NAMELESS:
            nameless += count.requests
        elif count.requests > 0:
            of = surfaces.setdefault(count.surface, SurfaceTraffic(count.surface))
            of.requests += count.requests
            of.requested[count.requested] += count.requests
            if known:
                of.served[canonical(count.served)] += count.requests
                spellings[canonical(count.served)][count.served] += count.requests
                confirmed.add((count.surface, count.requested, count.served))
            else:
                of.unknown += count.requests
    _add_sizes(surfaces, list(sizes), confirmed)
    ordered = sorted(surfaces.values(), key=lambda one: (-one.requests, one.surface))
    return Production(
        start,
        end,
        {one.surface: one for one in ordered},
        nameless,
        cached,
        failed,
        {model: min(found, key=lambda name: (-found[name], name)) for model, found in spellings.items()},
        warnings,
    )


def _add_sizes(
    surfaces: Mapping[str, SurfaceTraffic], sizes: list[SizeCount], confirmed: set[tuple[str, str, str]]
) -> None:
    """Put what the histogram says into ``surfaces``."""
    sizes = [one for one in sizes if not math.isnan(one.bound)]
    everywhere = {one.bound for one in sizes}
    rows: dict[str, list[SizeCount]] = defaultdict(list)
    for one in sizes:
        rows[one.surface].append(one)
    for surface, found in rows.items():
        if (of := surfaces.get(surface)) is None or not any(one.requests > 0 for one in found):
            continue
        of.bounds = grid({one.bound for one in found}, everywhere)
        counts = [0] * len(of.bounds)
        served: list[Counter[str]] = [Counter() for _ in of.bounds]
        for one in found:
            at = bisect_left(of.bounds, one.bound)
            counts[at] += max(one.requests, 0)
            if one.served and one.requests > 0 and _is_known(one, confirmed):
                served[at][canonical(one.served)] += one.requests
        of.sizes, of.served_by_size = tuple(counts), tuple(served)


def _is_known(one: SizeCount, confirmed: set[tuple[str, str, str]]) -> bool:
    """Return whether the served model counts: the histogram does not say which answers only repeat what was asked."""
    return (one.surface, one.requested, one.served) in confirmed or match(
        one.requested, None, one.served
    ) in KNOWN_MATCHES
