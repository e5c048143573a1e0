"""Evidence, day by day, that shares have left their bands.

A beta-binomial mixture Shiryaev-Roberts e-detector: Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework
for sequential change detection" (New England Journal of Statistics in Data Science 2024, arXiv 2203.03532).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from otel_llm_routing.analyze.log_gamma import log_gamma

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TILTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
"""How far beyond the band's end a share may have gone, in logits: one bet each."""
TOGETHER = 1000
"""Rows that are computed at a time: few enough for the processor's cache, which is three times as fast."""
MOST_REQUESTS = 1e9
"""Of a day. More say nothing more, as the share's own wobble remains, and would cost the logarithms their precision."""


class BetaBinomial:
    """Counts of n requests whose share wobbles around q as a beta distribution of concentration m does."""

    def __init__(self, q: ArrayLike, concentration: ArrayLike) -> None:
        q, m = np.asarray(q, dtype=np.float64), np.asarray(concentration, dtype=np.float64)
        self._alpha: NDArray[np.float64] = m * q
        self._beta: NDArray[np.float64] = m * (1 - q)
        self._norm: NDArray[np.float64] = log_gamma(self._alpha) + log_gamma(self._beta)

    def log_likelihood(
        self, count: NDArray[np.float64], n: NDArray[np.float64], rows: NDArray[np.intp] | slice = slice(None)
    ) -> NDArray[np.float64]:
        """Return ln of the likelihood of ``count`` in ``n`` for ``rows`` of q, but for what does not depend on q.

        The counts may be fractions: requests divided by the design effect.
        """
        scale = MOST_REQUESTS / np.maximum(n, MOST_REQUESTS)
        count, rest = count * scale, (n - count) * scale
        found: NDArray[np.float64] = log_gamma(count + self._alpha[rows])
        found += log_gamma(rest + self._beta[rows])
        return found - self._norm[rows]


class Bets:
    """Bets that shares lie above the ends of their bands: (rows, tilts). Of "below", bet on the rest of the requests.

    A bet of one day is an e-value: of a share that wobbles around a mean within the band, its expectation is at most 1.
    """

    def __init__(self, edges: NDArray[np.float64], concentration: NDArray[np.float64]) -> None:
        logits = np.log(edges / (1 - edges))[:, None] + np.array([0.0, *TILTS])
        self._models = BetaBinomial(1 / (1 + np.exp(-logits)), concentration[:, None])

    def log_e(
        self, count: NDArray[np.float64], n: NDArray[np.float64], rows: NDArray[np.intp] | slice = slice(None)
    ) -> NDArray[np.float64]:
        """Return ln e of one day for each of ``rows`` and each tilt."""
        found = self._models.log_likelihood(count[:, None], n[:, None], rows)
        return found[:, 1:] - found[:, :1]


class Evidence:
    """M, the evidence of each bet: M ← (1 + M)·e with every day. Rows of one unit are neighbours.

    The mean of M over a unit's bets grows by at most 1 a day while nothing has shifted, in expectation: so it takes A
    days on average, or more, before it reaches A.
    """

    def __init__(self, edges: NDArray[np.float64], concentration: NDArray[np.float64], sizes: NDArray[np.intp]) -> None:
        """``sizes`` are the rows of each unit, all above 0."""
        self._bets = Bets(edges, concentration)
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self._unit = np.repeat(np.arange(len(sizes)), sizes)
        self._sizes = sizes
        self.log_m = np.full((len(edges), len(TILTS)), -np.inf)

    def add(self, count: NDArray[np.float64], n: NDArray[np.float64], seen: NDArray[np.bool_]) -> None:
        """Take in one day's counts of each row, in independent requests; units not ``seen`` are left as they are."""
        taken = np.flatnonzero(seen[self._unit])
        for begin in range(0, len(taken), TOGETHER):
            rows = taken[begin : begin + TOGETHER]
            bet = self._bets.log_e(count[rows], n[rows], rows)
            self.log_m[rows] = np.logaddexp(0, self.log_m[rows]) + bet

    def log_means(self) -> NDArray[np.float64]:
        """Return ln of the mean of M over each unit's bets."""
        summed: NDArray[np.float64] = np.logaddexp.reduceat(self.log_m.ravel(), self._starts * len(TILTS))
        return summed - np.log(self._sizes * len(TILTS))

    def log_rows(self, unit: int) -> NDArray[np.float64]:
        """Return ln of the sum of M over the bets of each of a unit's rows."""
        found: NDArray[np.float64] = np.logaddexp.reduce(self.log_m[self._rows(unit)], axis=1)
        return found

    def restart(self, unit: int) -> None:
        """Forget what was taken in of a unit."""
        self.log_m[self._rows(unit)] = -np.inf

    def _rows(self, unit: int) -> slice:
        return slice(int(self._starts[unit]), int(self._starts[unit] + self._sizes[unit]))
