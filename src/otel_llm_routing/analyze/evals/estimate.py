"""A mean score over strata of known weight, with a 95 % interval.

The estimate is Σ W_h ȳ_h, its variance Σ W_h² s_h²/n_h, given how many cases each stratum has: post-stratification as
in Holt and Smith, "Post Stratification" (JRSS A 1979), and Lohr, "Sampling: Design and Analysis", section 4.4. One of
few cases tells little of its own variance, so s_h² is drawn to the one that the strata of its surface have in common,
as if that were known from ``PRIOR`` further cases. Degrees of freedom are Satterthwaite's. Of scores from 0 to 1 the
interval of a surface is Wilson's for as many cases as the variance is worth, as Korn and Graubard have it (see
``interval.wilson``): it does not collapse where every case passes. Intervals of several surfaces are put together as in
Zou, Huang and Zhang, "A note on confidence interval estimation for a linear function of binomial proportions"
(Computational Statistics & Data Analysis 2009): how far each end is from the estimate adds up as standard errors do.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze.interval import Z95, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PRIOR = 3.0
"""Cases that the common variance counts as, beside those of a stratum."""
LEAST_FREEDOM = 2
"""Degrees of freedom that strata must have in common for a common variance."""


class Observed(NamedTuple):
    """The score of one case, or of those of its runs that belong to one stratum."""

    case: int
    """Its number: the same case may be in several strata."""
    score: float
    size: float | None = None
    """Characters of its text; None: not known."""


class Stratum(NamedTuple):
    """Cases that stand for the same traffic."""

    group: str
    """The surface: its strata have a variance in common."""
    weight: float
    """The share of traffic, above 0."""
    observed: Sequence[Observed]
    """At least one."""


class Estimate(NamedTuple):
    """A mean score."""

    score: float
    low: float | None
    """Of the 95 % interval; None: it cannot be said."""
    high: float | None
    cases: int
    effective: float
    """As many equally weighted cases would say as much (Kish)."""


def estimate(strata: Sequence[Stratum], bounded: bool) -> Estimate | None:
    """Return the mean over ``strata`` by their weights; None: there are none. ``bounded``: scores are from 0 to 1.

    A case is of one group, and may be in several of its strata.
    """
    if not strata:
        return None
    groups: dict[str, list[Stratum]] = defaultdict(list)
    # In an order that does not depend on that of the cases.
    for of in sorted(strata, key=lambda of: (of.group, of.weight, sorted(one.score for one in of.observed))):
        groups[of.group].append(of)
    if not bounded:
        return _estimate([of for group in groups.values() for of in group], bounded)
    return _together([(sum(of.weight for of in group), _estimate(group, bounded)) for group in groups.values()])


def _together(parts: Sequence[tuple[float, Estimate]]) -> Estimate:
    """Return the mean over surfaces, given the weight and the estimate of each; scores are from 0 to 1."""
    if len(parts) == 1:
        return parts[0][1]
    whole = math.fsum(weight for weight, _ in parts)
    shares = [(weight / whole, of) for weight, of in parts]
    mean = min(max(math.fsum(share * of.score for share, of in shares), 0.0), 1.0)
    below = math.hypot(*(share * (of.score - of.low) for share, of in shares if of.low is not None))
    above = math.hypot(*(share * (of.high - of.score) for share, of in shares if of.high is not None))
    return Estimate(
        mean,
        max(mean - below, 0.0),
        min(mean + above, 1.0),
        sum(of.cases for _, of in shares),
        1 / math.fsum(share**2 / of.effective for share, of in shares),
    )


def _estimate(ordered: Sequence[Stratum], bounded: bool) -> Estimate:
    weights = np.array([of.weight for of in ordered])
    weights = weights / weights.sum()
    scores = [np.sort(np.array([one.score for one in of.observed])) for of in ordered]
    means = np.array([of.mean() for of in scores])
    n = np.array([len(of) for of in scores], dtype=np.float64)
    effective = float(1 / (weights**2 / n).sum())
    mean = float((weights * means).sum())
    if bounded:  # and not a rounding error beyond
        mean = min(max(mean, 0.0), 1.0)
    variance, freedom = _variance([of.group for of in ordered], weights, scores)
    if variance is not None:
        variance = max(variance + _shared(ordered, weights, means), 0.0)
    low, high = _interval(mean, variance, freedom, effective, bounded)
    return Estimate(mean, low, high, len({one.case for of in ordered for one in of.observed}), effective)


def _variance(
    groups: Sequence[str], weights: NDArray[np.float64], scores: Sequence[NDArray[np.float64]]
) -> tuple[float | None, float]:
    """Return the variance of the mean, and its degrees of freedom; None where nothing is known of it."""
    n = np.array([len(of) for of in scores], dtype=np.float64)
    squares = np.array([float(((of - of.mean()) ** 2).sum()) for of in scores])
    within: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    for group, each, count in zip(groups, squares, n, strict=True):
        within[group] += (each, count - 1)
    whole = np.sum(list(within.values()), axis=0)
    everything = np.concatenate(scores)
    if whole[1] < LEAST_FREEDOM:
        if len(everything) < LEAST_FREEDOM:
            return None, 0.0
        # Hardly any stratum has two cases: how far scores are apart at all is an upper bound.
        whole = np.array([float(((everything - everything.mean()) ** 2).sum()), len(everything) - 1.0])
    common = {group: of if of[1] >= LEAST_FREEDOM else whole for group, of in within.items()}
    prior = np.array([common[group][0] / common[group][1] for group in groups])
    freedom = n - 1 + np.minimum(PRIOR, [common[group][1] for group in groups])
    parts = weights**2 * (squares + PRIOR * prior) / (n - 1 + PRIOR) / n
    variance = float(parts.sum())
    return variance, float(variance**2 / (parts**2 / freedom).sum()) if variance else float(freedom.sum())


def _shared(strata: Sequence[Stratum], weights: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    """Return what cases that are in several strata add to the variance."""
    cases = [one.case for of in strata for one in of.observed]
    if len(set(cases)) == len(cases):
        return 0.0
    parts: dict[int, list[float]] = defaultdict(list)
    for of, weight, mean in zip(strata, weights, means, strict=True):
        for one in of.observed:
            parts[one.case].append(float(weight) * (one.score - float(mean)) / len(of.observed))
    several = [of for of in parts.values() if len(of) > 1]
    return math.fsum(math.fsum(of) ** 2 - math.fsum(part**2 for part in of) for of in several)


def _interval(
    mean: float, variance: float | None, freedom: float, effective: float, bounded: bool
) -> tuple[float | None, float | None]:
    spread = mean * (1 - mean)
    if bounded:
        # Without any difference between scores nothing is known but how many there are.
        n, z = (spread / variance, student(freedom)) if variance and spread > 0 else (effective, Z95)
        low, high = wilson(mean, n, z)
        return float(low), float(high)
    if not variance:
        return None, None
    half = student(freedom) * math.sqrt(variance)
    return mean - half, mean + half


def student(freedom: float) -> float:
    """Return the two-sided 95 % quantile of Student's distribution, of 1 degree of freedom or more.

    Exact for 1 and 2; from 3 on the expansion of Abramowitz and Stegun, 26.7.5, good to 0.004; between them linear.
    """
    exact = (12.7062, 4.3027, _expanded(3.0))
    if freedom >= len(exact):
        return _expanded(freedom)
    return float(np.interp(max(freedom, 1.0), (1.0, 2.0, 3.0), exact))


def _expanded(v: float) -> float:
    z = Z95
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )
