"""When a share left its reference: the profile likelihood of the day of change."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze.evidence import BetaBinomial
from otel_llm_routing.analyze.shift import LEAST_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = 64
"""Shares that are tried, evenly spaced in logits."""
UNDECIDED = 2.0
"""Days whose log-likelihood is within this of the best are as good."""


class Onset(NamedTuple):
    """The day of change, as an index."""

    day: int
    as_early_as_seen: bool
    """Whether the share may have been a different one on the first day already."""


def onset(
    count: NDArray[np.float64], n: NDArray[np.float64], concentration: float, before: float, *, above: bool
) -> Onset:
    """Return the day from which on a new share explains the counts best, where it was ``before`` up to then.

    ``count`` of ``n`` are by day, in independent requests, and end with the day of the alarm; days without requests
    decide nothing. The new share is the likeliest one ``above``, or below, ``before``.
    """
    p = min(max(before, LEAST_SHARE), 1 - LEAST_SHARE)
    most = np.log1p(-LEAST_SHARE / 10) - np.log(LEAST_SHARE / 10)
    logits = np.linspace(np.log(p / (1 - p)), most if above else -most, GRID + 1)
    each = BetaBinomial(1 / (1 + np.exp(-logits)), concentration).log_likelihood(count[:, None], n[:, None])
    gained = each[:, 1:] - each[:, :1]
    since = gained[::-1].cumsum(axis=0)[::-1].max(axis=1)
    measured = np.flatnonzero(n > 0)
    best = measured[since[measured].argmax()]
    return Onset(int(best), bool(since[measured[0]] > since[best] - UNDECIDED))
