"""How far two distributions are apart, and how far chance alone would put them.

The distance is the total variation, half the sum of the differences of shares: which share of the cases would have to
be other ones. An eval of few cases cannot match exactly, so beside every distance stands what chance gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

QUANTILE = 0.99
"""Of the distances of evals that are drawn from production."""
DRAWS = (200, 2000)
"""How many evals are drawn: fewer over many cells."""
MOST_NUMBERS = 4_000_000
"""Drawn at most: over a second's work."""
SEED = 20261125
FULL = 100
"""So many times as many requests as cases are as good as all of production."""

K = TypeVar("K")


class Distance(NamedTuple):
    """A distance that is judged. All are shares, 0 to 1."""

    value: float
    chance: float
    """What 99 of 100 evals of as many cases, drawn from production at random, would not exceed."""
    limit: float

    @property
    def beyond(self) -> bool:
        """Whether it is above the limit, and above what chance gives."""
        return self.value > self.limit and self.value > self.chance

    @property
    def too_few(self) -> bool:
        """Whether it is above the limit, and there are too few cases to say that this is not chance."""
        return self.limit < self.value <= self.chance


def total_variation(one: Mapping[K, float], other: Mapping[K, float]) -> float:
    """Return the distance of two sets of shares that each add up to 1; between 0 and 1."""
    keys = {*one, *other}
    return min(max(sum(sorted(abs(one.get(key, 0.0) - other.get(key, 0.0)) for key in keys)) / 2, 0.0), 1.0)


def shares(counts: Mapping[K, float]) -> dict[K, float]:
    """Return what each count is of the sum, which must not be 0."""
    total = float(sum(counts.values()))
    return {key: float(count) / total for key, count in counts.items()}


def compare(
    cases: Mapping[K, float], traffic: Mapping[K, float], limit: float, effective: float | None = None
) -> Distance:
    """Return the distance between the counts of two, neither of them without any.

    ``effective`` is how many independent cases ``cases`` are worth, where that is fewer. For the chance, both are drawn
    from the two taken together: that is production, unless production has hardly any requests itself.
    """
    n, requests = float(sum(cases.values())), float(sum(traffic.values()))
    size = max(round(n if effective is None else min(effective, n)), 1)
    value = total_variation(shares(cases), shares(traffic))
    # In an order that does not depend on that of the input.
    keys = sorted({*cases, *traffic}, key=repr)
    counted = np.array([[of.get(key, 0.0) for key in keys] for of in (cases, traffic)], dtype=np.float64)
    counted[0] *= size / n
    pooled = counted.sum(axis=0) / counted.sum()
    drawn = _drawn(size, pooled) / size
    others = pooled[None, :] if requests >= FULL * size else _drawn(max(round(requests), 1), pooled, 1) / requests
    chance = float(np.quantile(np.abs(drawn - others).sum(axis=1) / 2, QUANTILE))
    return Distance(value, min(chance, 1.0), limit)


def missing(cases: Mapping[K, float], traffic: Mapping[K, float], limit: float) -> Distance:
    """Return the share of traffic in the cells that have no case, judged like a distance."""
    of = shares(traffic)
    keys = sorted(of, key=repr)
    p = np.array([of[key] for key in keys])
    value = sum(sorted(share for key, share in of.items() if not cases.get(key)))
    drawn = _drawn(max(round(sum(cases.values())), 1), p)
    return Distance(min(value, 1.0), float(np.quantile((drawn == 0) @ p, QUANTILE)), limit)


def _drawn(size: int, p: NDArray[np.float64], stream: int = 0) -> NDArray[np.float64]:
    """Return the counts of evals of ``size`` cases, (draws, cells); the same ones each time."""
    draws = int(np.clip(MOST_NUMBERS // len(p), *DRAWS))
    found: NDArray[np.float64] = (
        np.random.default_rng([SEED, stream]).multinomial(size, p / p.sum(), draws).astype(np.float64)
    )
    return found
