"""How precisely a share is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Z95 = 1.959964
"""The normal distribution's quantile of a two-sided 95 %."""


class Interval(NamedTuple):
    """The shares, 0 to 1, that the counts are compatible with."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def wilson(share: ArrayLike, effective: ArrayLike, z: float = Z95) -> Interval:
    """Return Wilson's score interval of ``share``, 0 to 1, known from ``effective`` independent requests.

    No request gives 0 to 1. Sources: Wilson, "Probable inference, the law of succession, and statistical inference"
    (JASA 1927); the effective size in place of the count for clustered data, as Korn and Graubard, "Confidence
    intervals for proportions with small expected number of positive counts" (Survey Methodology 1998), have it.
    """
    p, n = np.broadcast_arrays(np.asarray(share, dtype=np.float64), np.asarray(effective, dtype=np.float64))
    square = z * z
    middle = (n * p + square / 2) / (n + square)
    half = z / (n + square) * np.sqrt(n * p * (1 - p) + square / 4)
    return Interval(np.clip(middle - half, 0, p), np.clip(middle + half, p, 1))


def effective_requests(requests: ArrayLike, design_effect: float, concentration: float) -> float:
    """Return how many independent requests the mean share over days of ``requests`` is worth: φ and m as in ``noise``.

    n_eff = 1 / (φ/Σn + Σn²/(m (Σn)²)): bursts average out with the requests, the wobble of the share with the days.
    """
    n = np.asarray(requests, dtype=np.float64)
    total = float(n.sum())
    if total <= 0:
        return 0.0
    return 1 / (design_effect / total + float(((n / total) ** 2).sum()) / concentration)
