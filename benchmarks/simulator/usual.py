"""The rules that teams write first, on the same counts: what they would cry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from otel_llm_routing.analyze.shift import LEAST_SHARE
from otel_llm_routing.analyze.verdicts import rolling
from simulator.shipped import LOOK_BACK
from simulator.traffic import BEGIN, DAY, HOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NAMES = (
    "24 h share moved more than 5 points",
    "1 h share 10 points from that of the last 7 days",
    "PSI of 24 h above 0.1",
    "z of the 24 h share above 3",
)


def firing(counts: Array) -> dict[str, NDArray[np.bool_]]:
    """Return whether each of them fires, slice by slice of the month; it goes on for an hour, so as not to flap.

    ``counts`` is (slices, models) of one surface.
    """
    used = counts[:, counts.any(axis=0)]
    p = used[:BEGIN].sum(axis=0) / used[:BEGIN].sum()
    recent = used[BEGIN - LOOK_BACK :]
    n = {window: np.maximum(_sums(recent, window).sum(axis=1, keepdims=True), 1) for window in (HOUR, DAY, 7 * DAY)}
    hour, day, week = (_sums(recent, window) / total for window, total in n.items())
    a, b = np.maximum(day, LEAST_SHARE), np.maximum(p, LEAST_SHARE)
    normal = np.sqrt(np.maximum(p * (1 - p), LEAST_SHARE) / n[DAY])
    active = (
        np.abs(day - p).max(axis=1) > 0.05,  # noqa: PLR2004  (the limits are in NAMES)
        (np.abs(hour - week).max(axis=1) > 0.1) & (_sums(recent, HOUR).sum(axis=1) > 0),  # noqa: PLR2004
        ((a - b) * np.log(a / b)).sum(axis=1) > 0.1,  # noqa: PLR2004
        (np.abs(day - p) / normal).max(axis=1) > 3,  # noqa: PLR2004
    )
    return {
        name: rolling(of.astype(np.float64), HOUR + 1)[LOOK_BACK:] > 0 for name, of in zip(NAMES, active, strict=True)
    }


def _sums(counts: Array, slices: int) -> Array:
    return np.stack([rolling(of, slices) for of in counts.T], axis=1)
