"""Served models that are new, and those that vanished, on the last day of a history: by the alerts' rules, by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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

    import numpy as np
    from numpy.typing import NDArray

    from otel_llm_routing.policy.plan import StreamPlan

_DAY = WINDOWS["24h"].seconds
_SPANS = (1, WINDOWS["7d"].seconds // _DAY)
"""Days in which a model may have vanished, the shortest first: whole days cannot tell the six hours of the alert."""
_HALF = 0.5


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


def new_models(
    stream: StreamPlan, models: Mapping[str, NDArray[np.float64]], total: NDArray[np.float64], start: float
) -> list[NewModel]:
    """Return the models that are new on the last day; the arrays hold requests by day, from ``start`` on."""
    found = []
    n = float(total[-1]) if len(total) else 0.0
    phi, key = min(stream.design_effect, MODEL_DESIGN_EFFECT), (stream.surface, stream.requested)
    for served, counts in sorted(models.items()):
        if n <= 0 or served in stream.shares:
            continue
        c = float(counts[-1])
        if c >= _HALF and c / n >= NEW_SHARE and (c + 0.5) / phi >= NEW_REQUESTS:
            since = start + int((counts >= _HALF).argmax()) * _DAY
            found.append(NewModel(*key, served, since, round(c), c / n))
    return found


def vanished_models(
    stream: StreamPlan, models: Mapping[str, NDArray[np.float64]], total: NDArray[np.float64], start: float
) -> list[VanishedModel]:
    """Return the models of the reference that have vanished by the last day; the arrays are as of ``new_models``."""
    found = []
    phi, key = min(stream.design_effect, MODEL_DESIGN_EFFECT), (stream.surface, stream.requested)
    for served, p in sorted(stream.shares.items()):
        counts = models.get(served)
        for days in _SPANS:
            expected = float(total[-days:].sum()) * p
            gone = counts is None or float(counts[-days:].sum()) < _HALF
            if p >= VANISHED_SHARE and gone and expected / phi > VANISHED_EXPECTED:
                last = None
                if counts is not None and (counts >= _HALF).any():
                    last = start + (int((counts >= _HALF).nonzero()[0][-1]) + 1) * _DAY
                found.append(VanishedModel(*key, served, p, last, min(days, len(total)), expected))
                break
    return found
