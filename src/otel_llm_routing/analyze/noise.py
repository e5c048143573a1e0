"""How much a model mix moves by itself: the noise that a shift has to stand out from.

Two parts. Requests come in bursts of one session, so a block of n requests says less than n independent ones: the
design effect. And the mix wobbles from day to day although nothing changed: the concentration. Both are of one stream
(surface and requested identifier), over all its served models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCKS = (1, 6, 24)
"""Hours of a block, the shortest first."""
LEAST_PER_BLOCK = 10
"""Requests that an average block must hold."""
DESIGN_EFFECT = (1.0, 20.0)
CONCENTRATION = (50.0, 2000.0)
PRIOR_CONCENTRATION = 300.0
PRIOR_DAYS = 10
SHRINK = 0.75


class Noise(NamedTuple):
    """The noise of one stream."""

    design_effect: float
    """φ: the variance of a block's share over that of as many independent requests."""
    concentration: float
    """m: from day to day a share p wobbles by √(p(1-p)/m), as a beta distribution of that concentration would."""


def estimate(hours: NDArray[np.float64]) -> Noise:
    """Estimate the noise of a stream from its counts.

    ``hours`` is (hours, served models): requests in each hour, whole days from the first row on. It must hold at least
    one request.
    """
    requests = hours.sum()
    shares = hours.sum(axis=0) / requests
    spread = float((shares * (1 - shares)).sum())  # Σp(1-p): the variance of one request's model
    if spread == 0:
        return Noise(DESIGN_EFFECT[0], _concentration(0.0, 0.0))
    phi = _design_effect(hours, spread)
    days = _blocks(hours, 24)
    n = days.sum(axis=1)
    days, n = days[n > 0], n[n > 0]
    wobble, informative = 0.0, 0.0
    if len(n) > 1:
        daily = days / n[:, None]
        variance = float(daily.var(axis=0, ddof=1).sum())
        sampling = spread * float((1 / n).mean())
        wobble = max(variance - phi * sampling, 0.0) / spread
        # A day tells of the wobble as far as it is not drowned in sampling noise.
        informative = float((n / (n + phi * PRIOR_CONCENTRATION)).sum())
    return Noise(phi, _concentration(wobble, informative))


def _design_effect(hours: NDArray[np.float64], spread: float) -> float:
    for size in BLOCKS:
        blocks = _blocks(hours, size)
        n = blocks.sum(axis=1)
        if n.mean() >= LEAST_PER_BLOCK or size == BLOCKS[-1]:
            break
    both = (n[:-1] > 0) & (n[1:] > 0)
    if not both.any():
        return DESIGN_EFFECT[0]
    before, after = n[:-1][both], n[1:][both]
    moved = blocks[:-1][both] / before[:, None] - blocks[1:][both] / after[:, None]
    # Each pair weighs the same. Summed first, the quietest blocks would decide, which hold one session each and so
    # show less of what a busy block's bursts do: in simulation φ = 3 came out as 1.8 at 200 requests a day.
    phi = float(((moved**2).sum(axis=1) / (1 / before + 1 / after)).mean()) / spread
    return min(max(phi, DESIGN_EFFECT[0]), DESIGN_EFFECT[1])


def _concentration(wobble: float, informative: float) -> float:
    shrunk = (informative * wobble + PRIOR_DAYS / PRIOR_CONCENTRATION) / (informative + PRIOR_DAYS)
    return min(max(1 / (SHRINK * shrunk), CONCENTRATION[0]), CONCENTRATION[1])


def _blocks(hours: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    whole = len(hours) // size * size
    blocks: NDArray[np.float64]
    if whole == 0:
        blocks = hours.sum(axis=0, keepdims=True)
    else:
        blocks = hours[:whole].reshape(-1, size, hours.shape[1]).sum(axis=1)
    return blocks
