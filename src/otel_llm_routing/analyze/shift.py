"""Is a share further from its reference than noise explains? The score of the alert rules, over arrays.

The generated Prometheus rules compute the same; a test holds the two together. ``docs/detection.md`` explains.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from otel_llm_routing.policy.thresholds import BAND_CONCENTRATION, BAND_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEAST_SHARE = 0.001
"""A reference share is taken to be at least this and at most one minus this: nobody is sure of never or always."""
HALVINGS = 30
"""Steps of the search for a change: to 1e-9."""


def effective_requests(
    n: ArrayLike, reference_requests: float, design_effect: float, concentration: float, factor: float
) -> NDArray[np.float64]:
    """Return n_eff = 1 / (φ/n + φ/n_ref + 1/(f·m)), 0 where ``n`` is 0.

    ``n`` are the window's requests, ``factor`` is f of the window.
    """
    count = np.asarray(n, dtype=np.float64)
    with np.errstate(divide="ignore"):
        effective: NDArray[np.float64] = 1 / (
            design_effect / count + design_effect / reference_requests + 1 / (factor * concentration)
        )
    return effective


def score(count: ArrayLike, n: ArrayLike, reference_share: ArrayLike, effective: ArrayLike) -> NDArray[np.float64]:
    """Return J = n_eff/2 · (p̃ - p)(logit p̃ - logit p): half the two-bin PSI of one model against the rest, times n_eff.

    ``count`` of ``n`` requests went to the model; p̃ = (count + ½)/(n + 1).
    """
    c, total = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    p = np.clip(np.asarray(reference_share, dtype=np.float64), LEAST_SHARE, 1 - LEAST_SHARE)
    now = (c + 0.5) / (total + 1)
    logit_now = np.log((c + 0.5) / (total + 0.5 - c))
    found: NDArray[np.float64] = 0.5 * np.asarray(effective) * (now - p) * (logit_now - np.log(p / (1 - p)))
    return found


def beyond(
    count: ArrayLike, n: ArrayLike, limit: float, side: Literal["min", "max"], design_effect: float
) -> NDArray[np.bool_]:
    """Return whether a share is beyond a limit that the policy declares, further than noise explains."""
    c, total = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = c / total
        effective = 1 / (design_effect / total + 1 / BAND_CONCENTRATION)
    outside = share > limit if side == "max" else share < limit
    found: NDArray[np.bool_] = outside & (score(c, total, limit, effective) > BAND_THRESHOLD)
    return found


def wobble(share: ArrayLike, effective: ArrayLike) -> NDArray[np.float64]:
    """Return two standard errors of a share that has not changed, 0 to 1: what is normal."""
    p = np.asarray(share, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return 2 * np.sqrt(p * (1 - p) / np.asarray(effective, dtype=np.float64))


def detectable(
    share: ArrayLike, effective: ArrayLike, threshold: float, requests: float = math.inf
) -> NDArray[np.float64]:
    """Return the smallest change of a share, 0 to 1, whose score is ``threshold``; 1 where there is none.

    It is the change towards one half, the harder one to see. √(2L·p(1-p)/n_eff) comes close where the change is small,
    and is too small where the share is near 0 or 1. ``requests`` are those of the window: a few say too little even
    where all of them moved, since their p̃ is never more than (n + ½)/(n + 1).
    """
    p, n = np.broadcast_arrays(
        np.clip(np.asarray(share, dtype=np.float64), LEAST_SHARE, 1 - LEAST_SHARE),
        np.asarray(effective, dtype=np.float64),
    )
    rare = np.minimum(p, 1 - p)  # the score is the same for the rest of the stream
    logit = np.log(rare / (1 - rare))
    most = np.maximum(1 - 0.5 / (requests + 1) - rare, 0.0)
    low, high = np.zeros(p.shape), most
    for _ in range(HALVINGS):
        change = (low + high) / 2
        now = rare + change
        seen = n / 2 * change * (np.log(now / (1 - now)) - logit) > threshold
        low, high = np.where(seen, low, change), np.where(seen, change, high)
    return np.where(high < most, high, 1.0)
