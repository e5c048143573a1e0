"""How many alarms of a shift each threshold L would have raised, and which L keeps a budget of false alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from otel_llm_routing.analyze.verdicts import firing
from otel_llm_routing.policy.thresholds import SHIFT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.verdicts import Verdict

THRESHOLDS = (5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 15.0, 20.0, 30.0, 50.0, 100.0)
"""L that are tried; the policy's budgets reach up to 15, and what more would take is no noise."""
_ABOVE = {(rule.alert, rule.window.name): rule.above_threshold for rule in SHIFT_RULES}


def with_threshold(verdict: Verdict, limit: float) -> Verdict:
    """Return the verdict of a shift rule as if its stream's L were ``limit``; it must have been judged with a lower L.

    Verdicts of other rules have no score and are returned as they are.
    """
    if verdict.score is None:
        return verdict
    return verdict._replace(active=verdict.score > limit + _ABOVE[verdict.alert, verdict.window])


def begins(fires: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the slices at which something begins to fire."""
    before = np.concatenate([[False], fires[:-1]])
    begun: NDArray[np.bool_] = fires & ~before
    return begun


def shift_alarms(verdicts: Iterable[Verdict], counted: NDArray[np.bool_], replayed: NDArray[np.bool_]) -> int:
    """Return how often shift alerts begin to fire on a surface on which none does, in the slices that are ``counted``.

    The budgets of ``thresholds.json`` were measured so: rules, models and windows that fire together are one alarm.
    What fires at the first of the slices that are ``replayed`` begins there.
    """
    fires = np.zeros(len(counted), dtype=bool)
    for verdict in verdicts:
        if verdict.score is not None and verdict.active.any():
            fires |= firing(verdict)
    return int((begins(fires & replayed) & counted).sum())


def by_threshold(verdicts: list[Verdict], counted: NDArray[np.bool_], replayed: NDArray[np.bool_]) -> dict[float, int]:
    """Return the number of shift alarms under each of ``THRESHOLDS``, from verdicts judged with the lowest."""
    return {
        limit: shift_alarms((with_threshold(v, limit) for v in verdicts), counted, replayed) for limit in THRESHOLDS
    }


def least_threshold(alarms: Mapping[float, int], most: float) -> float | None:
    """Return the lowest L from which on there are at most ``most`` alarms; None: not even the highest has so few."""
    found = None
    for limit in sorted(alarms, reverse=True):
        if alarms[limit] > most:
            break
        found = limit
    return found
