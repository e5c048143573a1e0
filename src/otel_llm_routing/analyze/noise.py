"""How much a model mix moves by itself: the noise that a shift has to stand out from.

Two parts. Requests come in bursts of one session, so a block of n requests says less than n independent ones: the
design effect. And the mix wobbles from day to day although nothing changed: the concentration. Both are of one stream
(surface and requested identifier), over all its served models. ``docs/detection.md`` derives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS = (1, 6, 24)
"""Hours of a block, the shortest first."""
LEAST_PER_BLOCK = 5
"""Requests that a block with any must hold on average."""
LEAST_PAIRS = 7
"""Neighbouring blocks that both hold requests: fewer tell nothing about bursts."""
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
    one request. Hours and days without requests say nothing, and are passed over.
    """
    spread = _spread(hours)
    if spread == 0:
        return Noise(DESIGN_EFFECT[0], _concentration(0.0, 0.0))
    phi = _design_effect(hours, spread)
    return Noise(phi, _concentration(*_wobble(_blocks(hours, 24), spread, phi)))


def concentration(days: NDArray[np.float64], design_effect: float) -> float:
    """Return m from the counts of days, (days, served models), and the design effect of their requests."""
    spread = _spread(days) if days.sum() else 0.0
    return _concentration(*(_wobble(days, spread, design_effect) if spread else (0.0, 0.0)))


def _spread(hours: NDArray[np.float64]) -> float:
    """Return Σp(1-p): the variance of one request's model."""
    shares = hours.sum(axis=0) / hours.sum()
    return float((shares * (1 - shares)).sum())


def _design_effect(hours: NDArray[np.float64], spread: float) -> float:
    for size in BLOCKS:
        blocks = _blocks(hours, size)
        n = blocks.sum(axis=1)
        both = (n[:-1] > 0) & (n[1:] > 0)
        if n.sum() >= LEAST_PER_BLOCK * (n > 0).sum() and both.sum() >= LEAST_PAIRS:
            break
    else:  # A weekly job, or hardly any requests: neighbours are those that have some, however far apart.
        blocks, n = blocks[n > 0], n[n > 0]
        both = np.ones(len(n) - 1, dtype=bool)
    if not both.any():
        return DESIGN_EFFECT[0]
    before, after = n[:-1][both], n[1:][both]
    moved = blocks[:-1][both] / before[:, None] - blocks[1:][both] / after[:, None]
    # Each pair weighs by its requests. With plain sums the quietest blocks decide, which hold one session each, if a
    # whole one: φ = 6 came out as 2.7 at 200 requests a day, and now does as 4.9. tests/reference/test_noise.py
    weight = 1 / (1 / before + 1 / after)
    phi = float((weight**2 * (moved**2).sum(axis=1)).sum() / weight.sum()) / spread
    return min(max(phi, DESIGN_EFFECT[0]), DESIGN_EFFECT[1])


def _wobble(days: NDArray[np.float64], spread: float, phi: float) -> tuple[float, float]:
    """Return 1/m as the days alone tell it, and how many days' worth they tell.

    A day weighs as far as its wobble is not drowned in sampling noise: n/(n + 300φ). Unweighted, two requests on a
    Sunday would outshout a week: of weekdays and near-empty weekends came m within a factor of 2.3, and now 1.4.
    """
    n = days.sum(axis=1)
    days, n = days[n > 0], n[n > 0]
    weight = n / (n + phi * PRIOR_CONCENTRATION)
    total = float(weight.sum())
    freedom = total - float((weight**2).sum()) / total
    if len(n) == 1 or freedom <= 0:  # one day does not differ from itself
        return 0.0, 0.0
    shares = days / n[:, None]
    mean = (weight[:, None] * shares).sum(axis=0) / total
    squares = float((weight[:, None] * (shares - mean) ** 2).sum())
    sampling = phi * spread * (float((weight / n).sum()) - float((weight**2 / n).sum()) / total)
    return max(squares - sampling, 0.0) / freedom / spread, total


def _concentration(wobble: float, informative: float) -> float:
    shrunk = (informative * wobble + PRIOR_DAYS / PRIOR_CONCENTRATION) / (informative + PRIOR_DAYS)
    return min(max(1 / (SHRINK * shrunk), CONCENTRATION[0]), CONCENTRATION[1])


def _blocks(hours: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    padded = np.pad(hours, ((0, -len(hours) % size), (0, 0)))
    blocks: NDArray[np.float64] = padded.reshape(-1, size, hours.shape[1]).sum(axis=1)
    return blocks
