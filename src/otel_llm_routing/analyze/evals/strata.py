"""Which cases stand for which traffic of a surface: those of the same size."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.evals.estimate import Observed, Stratum

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_llm_routing.analyze.evals.production import SurfaceTraffic


class Spread(NamedTuple):
    """The cases of one surface, or of one model on it, by size."""

    strata: list[Stratum]
    borrowed: float
    """The share of the traffic, 0 to 1, that is of sizes without a case: the other sizes stand for it."""
    idle: int
    """Cases of sizes that no request has; they count nothing."""


def spread(of: SurfaceTraffic, weight: float, sizes: Sequence[float], observed: Sequence[Observed]) -> Spread:
    """Let ``observed`` (at least one) stand for traffic of ``weight`` above 0.

    ``sizes`` are the shares of the surface's buckets in that traffic, and add up to 1. Cases whose size is not known
    stand for as large a part of it as they are of the cases. Where no case is of a size that requests have, all of them
    stand for all of it.
    """
    buckets: dict[int, list[Observed]] = defaultdict(list)
    unsized: list[Observed] = []
    for one in observed:
        if one.size is None or not of.sizes:
            unsized.append(one)
        else:
            buckets[of.bucket(one.size)].append(one)
    idle = sum(len(found) for bucket, found in buckets.items() if not sizes[bucket])
    covered = sum(sizes[bucket] for bucket in buckets)
    if covered <= 0:
        return Spread([Stratum(of.surface, weight, observed)], 0.0 if not of.sizes or unsized else 1.0, 0)
    told = 1 - len(unsized) / len(observed)
    strata = [
        Stratum(of.surface, weight * told * sizes[bucket] / covered, found)
        for bucket, found in sorted(buckets.items())
        if sizes[bucket]
    ]
    if unsized:
        strata.append(Stratum(of.surface, weight * (1 - told), unsized))
    return Spread(strata, max(1 - covered, 0.0), idle)
