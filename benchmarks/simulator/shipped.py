"""The rules as shipped, on simulated counts: the reference pinned, the plan made, the verdicts of the Python twin."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from otel_llm_routing.analyze import noise, verdicts
from otel_llm_routing.analyze.history import History, Known
from otel_llm_routing.models.rules import ROUTER
from otel_llm_routing.policy.plan import Plan, plan
from otel_llm_routing.policy.reference import Pin, Reference, ReferenceStream
from otel_llm_routing.policy.thresholds import SHIFT_RULES, SLICE
from simulator.scenarios import REFERENCE_DAYS
from simulator.traffic import BEGIN, DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = NDArray[np.float64]
    Firing = Mapping[str, NDArray[np.bool_]]
    """Whether an alert fires, by its name and by slice of the month that is judged."""

SHIFTS = tuple(rule.alert for rule in SHIFT_RULES)
ALERTS = (*SHIFTS, "LLMRoutingNewServedModel", "LLMRoutingServedModelVanished")
"""The five that compare with the reference. Bands are declared, and the others are no statistics."""
REQUESTED = "openrouter/auto"
LOOK_BACK = 8 * DAY
"""Slices before the month that the rules have seen when it begins."""
_WHENEVER = datetime(2001, 1, 1, tzinfo=timezone.utc)


def watched(counts: Array) -> Plan:
    """Return the plan of surfaces whose reference is pinned from the days before the month; there is no policy."""
    pin = Pin(id=1, at=_WHENEVER, reason="simulated", start=_WHENEVER, end=_WHENEVER, source="simulated")
    streams = [_stream(f"surface-{n}", of[:BEGIN]) for n, of in enumerate(counts)]
    return plan(None, Reference(pins=(pin,), streams=tuple(streams)))


def _stream(surface: str, counts: Array) -> ReferenceStream:
    hours = counts.reshape(-1, HOUR, counts.shape[1]).sum(axis=1)
    requests = hours.sum(axis=0)
    found = noise.estimate(hours[:, requests > 0])
    return ReferenceStream(
        pin=1,
        surface=surface,
        requested=REQUESTED,
        requests=round(float(requests.sum())),
        days=REFERENCE_DAYS,
        design_effect=found.design_effect,
        concentration=found.concentration,
        shares={_model(k): float(n / requests.sum()) for k, n in enumerate(requests) if n > 0},
    )


def firing(counts: Array, plan: Plan) -> list[Firing]:
    """Return what fires of the five alerts in the month on each stream of ``plan``, whichever model it is about."""
    of = {stream.surface: dict[str, NDArray[np.bool_]]() for stream in plan.streams}
    for verdict in verdicts.evaluate(month(counts, plan, BEGIN - LOOK_BACK), plan):
        if verdict.alert in ALERTS:
            fires = verdicts.firing(verdict)[LOOK_BACK:]
            mine = of[verdict.surface]
            mine[verdict.alert] = mine.get(verdict.alert, False) | fires
    return [*of.values()]


def month(counts: Array, plan: Plan, first: int) -> History:
    """Return the counts of the plan's streams from slice ``first`` on, which is time 0."""
    history = History(0, SLICE, counts.shape[1] - first)
    for stream, of in zip(plan.streams, counts, strict=True):
        for model in np.flatnonzero(of[first:].any(axis=0)).tolist():
            key = Known(stream.surface, REQUESTED, _model(model), "resolved", ROUTER)
            history.known[key] = np.ascontiguousarray(of[first:, model])
    return history


def with_threshold(plan: Plan, threshold: float) -> Plan:
    """Return the plan with another L on every stream."""
    return plan._replace(streams=tuple(stream._replace(threshold=threshold) for stream in plan.streams))


def only(plan: Plan, positions: list[int]) -> Plan:
    """Return the plan of some of its streams."""
    return plan._replace(streams=tuple(plan.streams[n] for n in positions))


def _model(position: int) -> str:
    return f"model-{position}"
