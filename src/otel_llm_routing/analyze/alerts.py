"""The alerts that fire at the end of a history, with what their text needs: what Prometheus would send at that time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import shift, verdicts
from otel_llm_routing.policy.plan import LEVELS
from otel_llm_routing.policy.thresholds import SHIFT_RULES, SLICE, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.analyze.history import History
    from otel_llm_routing.analyze.verdicts import Verdict
    from otel_llm_routing.policy.plan import Plan, StreamPlan
    from otel_llm_routing.policy.thresholds import Level

_SHIFTS = frozenset(rule.alert for rule in SHIFT_RULES)
_SIDES = {"LLMRoutingShareAboveBand": "max", "LLMRoutingShareBelowBand": "min"}


class Alert(NamedTuple):
    """One alert that fires. Fields that do not belong to its kind are empty or None."""

    alert: str
    severity: Level
    owner: str
    surface: str
    requested: str
    served: str
    band: str
    """The glob of the served models that a declared limit is about."""
    window: str
    value: float
    """Mostly a share, 0 to 1, and a number of requests where the alert is about requests; of the last slice at which
    the condition held."""
    reference: float | None
    """The share when the reference was pinned, 0 to 1."""
    wobble: float | None
    """Two standard errors of a share that has not changed, in points."""
    limit: float | None
    """The share that the policy allows, 0 to 1."""
    since: float
    """When the condition began to hold, in seconds since the epoch; what came within the time that an alert is kept
    is one alert."""
    holds: bool
    """Whether the condition holds now; False: the alert is kept firing for a while."""


def alerts(history: History, plan: Plan) -> list[Alert]:
    """Return the alerts that fire at the end of ``history``, the most urgent first."""
    streams = {(s.surface, s.requested): s for s in plan.streams}
    surfaces = {s.name: s for s in plan.surfaces}
    counted = history.streams()
    found: list[Alert] = []
    for verdict in verdicts.evaluate(history, plan):
        fires = verdicts.firing(verdict)
        if not fires[-1]:
            continue
        last = int(np.flatnonzero(verdict.active)[-1])
        surface, stream = surfaces.get(verdict.surface), streams.get((verdict.surface, verdict.requested))
        severity = surface.severity[verdict.level] if surface else verdict.level
        limit = None
        if (side := _SIDES.get(verdict.alert)) and surface:
            limit = next(edge.share for edge in surface.edges if (edge.glob, edge.side) == (verdict.band, side))
        elif verdict.alert == "LLMRoutingServedModelUnknown":
            limit = surface.unknown_limit if surface else plan.unknown_limit
        found.append(
            Alert(
                alert=verdict.alert,
                severity=severity,
                owner=surface.owner if surface else plan.owner,
                surface=verdict.surface,
                requested=verdict.requested,
                served=verdict.served,
                band=verdict.band,
                window=verdict.window,
                value=float(verdict.value[last]),
                reference=stream.shares.get(verdict.served) if stream else None,
                wobble=_wobble(verdict, stream, counted.get((stream.surface, stream.requested), {}), last)
                if stream and verdict.alert in _SHIFTS
                else None,
                limit=limit,
                since=history.start + (_begin(verdict, fires) + 1) * SLICE,
                holds=bool(verdict.active[-1]),
            )
        )
    return sorted(found, key=lambda a: (LEVELS.index(a.severity), a.surface, a.alert, a.window, a.requested, a.served))


def surfaces(history: History, plan: Plan) -> list[str]:
    """Return every surface that is judged: those of the plan, and those of which there are requests."""
    seen = [*(key.surface for key in history.known), *(key.surface for key in history.unknown)]
    return sorted({*(s.name for s in plan.surfaces), *seen})


def _begin(verdict: Verdict, fires: np.ndarray) -> int:
    """Return the slice at which the condition that fires now began to hold."""
    quiet = np.flatnonzero(~fires)
    fired = int(quiet[-1]) + 1 if len(quiet) else 0
    before = np.flatnonzero(~verdict.active[: fired + 1])
    return int(before[-1]) + 1 if len(before) else 0


def _wobble(verdict: Verdict, stream: StreamPlan, models: Mapping[str, np.ndarray], last: int) -> float:
    window = WINDOWS[verdict.window]
    n = sum(float(counts[max(last + 1 - window.slices, 0) : last + 1].sum()) for counts in models.values())
    effective = shift.effective_requests(n, stream.requests, stream.design_effect, stream.concentration, window.factor)
    return 100 * float(shift.wobble(stream.shares[verdict.served], effective))
