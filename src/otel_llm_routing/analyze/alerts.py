"""The alerts that fire at a time, with what their text needs: what Prometheus would send."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import shift, verdicts
from otel_llm_routing.policy.plan import LEVELS
from otel_llm_routing.policy.thresholds import SHIFT_RULES, SLICE, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

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
    return Judged(history, plan).at(history.size - 1)


class Judged:
    """Every alert that fires at some slice of a history."""

    def __init__(self, history: History, plan: Plan, found: Iterable[Verdict] | None = None) -> None:
        """``found`` is what ``verdicts.evaluate`` returned of the two, where that is known already."""
        self._start = history.start
        self._plan = plan
        self._streams = {(s.surface, s.requested): s for s in plan.streams}
        self._surfaces = {s.name: s for s in plan.surfaces}
        self._counted = history.streams()
        judged = verdicts.evaluate(history, plan) if found is None else found
        self.fires = [(verdict, verdicts.firing(verdict)) for verdict in judged]
        """Every verdict, and whether its alert fires, slice by slice."""

    def at(self, slice_: int) -> list[Alert]:
        """Return the alerts that fire at the end of a slice, the most urgent first."""
        found = [self.alert(verdict, fires, slice_) for verdict, fires in self.fires if fires[slice_]]
        order = LEVELS.index
        return sorted(found, key=lambda a: (order(a.severity), a.surface, a.alert, a.window, a.requested, a.served))

    def begins(self, alert: str, after: int) -> int | None:
        """Return the first slice later than ``after`` at which one more alert of that name fires; None if none does."""
        begun = [
            int(slices[0]) + after + 1
            for verdict, fires in self.fires
            if verdict.alert == alert and len(slices := np.flatnonzero(fires[after + 1 :] & ~fires[after:-1]))
        ]
        return min(begun, default=None)

    def alert(self, verdict: Verdict, fires: NDArray[np.bool_], at: int) -> Alert:
        """Return what is sent of an alert that fires at a slice."""
        last = int(np.flatnonzero(verdict.active[: at + 1])[-1])
        surface = self._surfaces.get(verdict.surface)
        stream = self._streams.get((verdict.surface, verdict.requested))
        limit = None
        if (side := _SIDES.get(verdict.alert)) and surface:
            limit = next(edge.share for edge in surface.edges if (edge.glob, edge.side) == (verdict.band, side))
        elif verdict.alert == "LLMRoutingServedModelUnknown":
            limit = surface.unknown_limit if surface else self._plan.unknown_limit
        wobble = None
        if stream and verdict.alert in _SHIFTS:
            wobble = _wobble(verdict, stream, self._counted.get((stream.surface, stream.requested), {}), last)
        return Alert(
            alert=verdict.alert,
            severity=surface.severity[verdict.level] if surface else verdict.level,
            owner=surface.owner if surface else self._plan.owner,
            surface=verdict.surface,
            requested=verdict.requested,
            served=verdict.served,
            band=verdict.band,
            window=verdict.window,
            value=float(verdict.value[last]),
            reference=stream.shares.get(verdict.served) if stream else None,
            wobble=wobble,
            limit=limit,
            since=self._start + (_begin(verdict.active[: at + 1], fires[: at + 1]) + 1) * SLICE,
            holds=bool(verdict.active[at]),
        )


def surfaces(history: History, plan: Plan) -> list[str]:
    """Return every surface that is judged: those of the plan, and those of which there are requests."""
    seen = [*(key.surface for key in history.known), *(key.surface for key in history.unknown)]
    return sorted({*(s.name for s in plan.surfaces), *seen})


def _begin(active: NDArray[np.bool_], fires: NDArray[np.bool_]) -> int:
    """Return the slice at which the condition that fires at the end began to hold."""
    quiet = np.flatnonzero(~fires)
    fired = int(quiet[-1]) + 1 if len(quiet) else 0
    before = np.flatnonzero(~active[: fired + 1])
    return int(before[-1]) + 1 if len(before) else 0


def _wobble(verdict: Verdict, stream: StreamPlan, models: Mapping[str, NDArray[np.float64]], last: int) -> float:
    window = WINDOWS[verdict.window]
    n = sum(float(counts[max(last + 1 - window.slices, 0) : last + 1].sum()) for counts in models.values())
    effective = shift.effective_requests(n, stream.requests, stream.design_effect, stream.concentration, window.factor)
    return 100 * float(shift.wobble(stream.shares[verdict.served], effective))
