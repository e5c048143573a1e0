"""Served models that are new, and those that vanished: the alerts' rules, and both on the last day of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.policy.thresholds import (
    MODEL_DESIGN_EFFECT,
    NEW_REQUESTS,
    NEW_SHARE,
    VANISHED_EXPECTED,
    VANISHED_SHARE,
    WINDOWS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from otel_llm_routing.policy.plan import StreamPlan

_DAY = WINDOWS["24h"].seconds
_SPANS = (1, WINDOWS["7d"].seconds // _DAY)
"""Days in which a model may have vanished, the shortest first: whole days cannot tell the six hours of the alert."""
_HALF = 0.5
"""Of a request: below it there is none."""


class NewModel(NamedTuple):
    """A served model that the reference does not have."""

    surface: str
    requested: str
    served: str
    since: float
    """When the first day began on which it had requests, in seconds since the epoch."""
    requests: int
    """On the last day."""
    share: float
    """On the last day, 0 to 1."""


class VanishedModel(NamedTuple):
    """A served model of the reference that no longer answers."""

    surface: str
    requested: str
    served: str
    reference: float
    """Its share in the reference, 0 to 1."""
    last: float | None
    """When the last day ended on which it had requests, in seconds since the epoch; None: there is none."""
    days: int
    """How many days without it are told from chance."""
    expected: float
    """Requests that were to be expected in them."""


def is_new(count: ArrayLike, n: ArrayLike, design_effect: float) -> NDArray[np.bool_]:
    """Return whether a model that the reference does not have is new: it served ``count`` of ``n`` requests."""
    c, total = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        often = c / total >= NEW_SHARE
    found: NDArray[np.bool_] = often & ((c + 0.5) / _bursts(design_effect) >= NEW_REQUESTS)
    return found


def has_vanished(count: ArrayLike, n: ArrayLike, share: float, design_effect: float) -> NDArray[np.bool_]:
    """Return whether a model whose share was ``share``, 0 to 1, has vanished: it served ``count`` of ``n`` requests."""
    c, total = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    expected = total * share / _bursts(design_effect)
    found: NDArray[np.bool_] = (c < _HALF) & (expected > VANISHED_EXPECTED) & (share >= VANISHED_SHARE)
    return found


def _bursts(design_effect: float) -> float:
    return min(design_effect, MODEL_DESIGN_EFFECT)


def new_models(
    stream: StreamPlan, models: Mapping[str, NDArray[np.float64]], total: NDArray[np.float64], start: float
) -> list[NewModel]:
    """Return the models that are new on the last day; the arrays hold requests by day, from ``start`` on."""
    found = []
    n = float(total[-1]) if len(total) else 0.0
    for served, counts in sorted(models.items()):
        if n <= 0 or served in stream.shares:
            continue
        c = float(counts[-1])
        if is_new(c, n, stream.design_effect):
            since = start + int((counts >= _HALF).argmax()) * _DAY
            found.append(NewModel(stream.surface, stream.requested, served, since, round(c), c / n))
    return found


def vanished_models(
    stream: StreamPlan, models: Mapping[str, NDArray[np.float64]], total: NDArray[np.float64], start: float
) -> list[VanishedModel]:
    """Return the models of the reference that have vanished by the last day; the arrays are as of ``new_models``."""
    found = []
    for served, p in sorted(stream.shares.items()):
        counts = models.get(served, np.zeros_like(total))
        for days in _SPANS:
            n = float(total[-days:].sum())
            if has_vanished(float(counts[-days:].sum()), n, p, stream.design_effect):
                last = None
                if (counts >= _HALF).any():
                    last = start + (int((counts >= _HALF).nonzero()[0][-1]) + 1) * _DAY
                gone = VanishedModel(stream.surface, stream.requested, served, p, last, min(days, len(total)), n * p)
                found.append(gone)
                break
    return found
