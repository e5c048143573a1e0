"""Which alerts the rules raise, computed from counts: for cron, for CI, and to try a policy on the past.

Conditions are those of the generated rules, at every slice of a history; ``firing`` adds how long they must hold.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import shift
from otel_llm_routing.analyze.novelty import has_vanished, is_new
from otel_llm_routing.models import SUBSTITUTED
from otel_llm_routing.models.rules import ALIAS, ROUTER
from otel_llm_routing.policy.schema import glob_matches
from otel_llm_routing.policy.thresholds import (
    ALERTS,
    LEAST_UNKNOWN,
    MODEL_DESIGN_EFFECT,
    NO_REFERENCE_REQUESTS,
    SHIFT_RULES,
    SILENT_REQUESTS,
    SLICE,
    UNKNOWN_SURFACE_LIMIT,
    VANISHED_SHARE,
    WINDOWS,
    Level,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.history import History, Known, Unknown
    from otel_llm_routing.policy.plan import Plan, StreamPlan, SurfacePlan

BAND_WINDOWS = (WINDOWS["1h"], WINDOWS["24h"])
WEEK = WINDOWS["7d"].slices
OTHER = "other"
"""What surfaces and models past a process's limit are counted as."""
SPAN = WINDOWS["7d"].seconds + WINDOWS["24h"].seconds + max(rule.hold + rule.keep for rule in ALERTS.values())
"""Seconds of history that a verdict looks at: the longest window, a day at this time a week ago, and for how long an
alert may have been held back or kept."""


class Verdict(NamedTuple):
    """One alert's condition over time."""

    alert: str
    level: Level
    surface: str
    requested: str
    served: str
    band: str
    window: str
    active: NDArray[np.bool_]
    """Whether it holds, slice by slice."""
    value: NDArray[np.float64]
    """The value the alert shows: mostly the share now, 0 to 1."""
    score: NDArray[np.float64] | None = None
    """J of a shift rule where the share moved far enough, elsewhere minus infinity; of other alerts None."""


def rolling(counts: NDArray[np.float64], slices: int) -> NDArray[np.float64]:
    """Return the sum over the last ``slices`` slices, at each slice."""
    total = np.cumsum(counts, dtype=np.float64)
    summed = total.copy()
    summed[slices:] -= total[:-slices]
    return summed


def firing(verdict: Verdict) -> NDArray[np.bool_]:
    """Return whether the alert fires, slice by slice, as Prometheus decides it when it evaluates at every slice.

    It fires once its condition has held for its ``hold``, and goes on for its ``keep`` from the first slice on at which
    the condition no longer holds; a condition that comes back in that time need not be held anew. Source: ``Eval`` in
    ``rules/alerting.go`` of Prometheus.
    """
    rule = ALERTS[verdict.alert, verdict.window]
    hold, keep = math.ceil(rule.hold / SLICE), math.ceil(rule.keep / SLICE)
    fires = np.zeros(len(verdict.active), dtype=bool)
    edges = np.flatnonzero(np.diff(verdict.active, prepend=False, append=False))
    kept_until = -1
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        first = begin if begin <= kept_until else begin + hold
        if first < end:
            kept_until = end + keep
            fires[first:kept_until] = True
    return fires


def evaluate(history: History, plan: Plan) -> list[Verdict]:
    """Return every condition that holds at some slice of ``history``, whose step must be a slice's."""
    if history.step != SLICE:
        msg = f"a history in steps of {SLICE} s is needed, not of {history.step} s"
        raise ValueError(msg)
    judge = _Judge(history, plan)
    return [verdict for verdict in judge.all() if verdict.active.any()]


class _Judge:
    def __init__(self, history: History, plan: Plan) -> None:
        self.history = history
        self.plan = plan
        self.zero = np.zeros(history.size)
        self.streams = history.streams()
        for stream in plan.streams:
            models = self.streams.setdefault((stream.surface, stream.requested), {})
            for served in stream.shares:
                models.setdefault(served, self.zero)
        self.named = {surface.name: surface for surface in plan.surfaces}
        self.referenced = {(s.surface, s.requested): s for s in plan.streams}
        self.of: dict[str, list[dict[str, NDArray[np.float64]]]] = {name: [] for name in self.named}
        """The streams of each surface."""
        for (surface, _), models in self.streams.items():
            self.of.setdefault(surface, []).append(models)
        self.unknown: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        for nameless, counts in history.unknown.items():
            self.of.setdefault(nameless.surface, [])
            self.unknown[nameless.surface].append(counts)
        self.moving: dict[str, dict[str, NDArray[np.float64]]] = defaultdict(dict)
        """Requests of each surface for an alias or a router, by that name."""
        both: list[tuple[Known | Unknown, NDArray[np.float64]]] = [*history.known.items(), *history.unknown.items()]
        for key, counts in both:
            if key.kind in (ALIAS, ROUTER) and key.surface in self.named and self.named[key.surface].pinned:
                found = self.moving[key.surface]
                found[key.requested] = found.get(key.requested, self.zero) + counts
        self.daily: dict[str, float] = defaultdict(float)
        """Independent requests a day of each surface when the reference was pinned."""
        for stream in plan.streams:
            self.daily[stream.surface] += stream.independent_daily

    def all(self) -> Iterator[Verdict]:
        for key, models in self.streams.items():
            if (reference := self.referenced.get(key)) is not None:
                yield from self._shifts(reference, models)
            else:
                requests = rolling(self._total(models), WEEK)
                yield _verdict("LLMRoutingNoReference", key, requests >= NO_REFERENCE_REQUESTS, requests)
        for surface in self.plan.surfaces:
            yield from self._bands(surface)
            if surface.pinned:
                yield from self._unpinned(surface)
        yield from self._substituted()
        yield from self._measurement()

    def _shifts(self, reference: StreamPlan, models: dict[str, NDArray[np.float64]]) -> Iterator[Verdict]:
        key = (reference.surface, reference.requested)
        total = self._total(models)
        for rule in SHIFT_RULES:
            n = rolling(total, rule.window.slices)
            effective = shift.effective_requests(
                n, reference.requests, reference.design_effect, reference.concentration, rule.window.factor
            )
            for served, counts in models.items():
                if served not in reference.shares:
                    continue
                c, p = rolling(counts, rule.window.slices), reference.shares[served]
                share = _ratio(c, n)
                moved = (n > 0) & (np.abs(share - p) >= reference.points[rule.window.name])
                score = np.full(self.history.size, -np.inf)
                score[moved] = shift.score(c[moved], n[moved], p, effective[moved])
                far = score > reference.threshold + rule.above_threshold
                yield _verdict(rule.alert, key, far, share, served, rule.window)._replace(score=score)
        day = WINDOWS["24h"]
        n = rolling(total, day.slices)
        for served, counts in models.items():
            if served not in reference.shares:
                c = rolling(counts, day.slices)
                new = is_new(c, n, reference.design_effect)
                yield _verdict("LLMRoutingNewServedModel", key, new, _ratio(c, n), served)
            elif (p := reference.shares[served]) >= VANISHED_SHARE:
                gone = np.zeros(self.history.size, dtype=bool)
                for window in (WINDOWS["6h"], WINDOWS["7d"]):
                    of_it, of_all = rolling(counts, window.slices), rolling(total, window.slices)
                    gone |= has_vanished(of_it, of_all, p, reference.design_effect)
                yield _verdict("LLMRoutingServedModelVanished", key, gone, self.zero + p, served)

    def _bands(self, surface: SurfacePlan) -> Iterator[Verdict]:
        mine = [one for models in self.of[surface.name] for one in models.items()]
        total = sum((counts for _, counts in mine), self.zero)
        for edge in surface.edges:
            counts = sum((c for served, c in mine if glob_matches(edge.glob, served)), self.zero)
            for window in BAND_WINDOWS:
                c, n = rolling(counts, window.slices), rolling(total, window.slices)
                active = shift.beyond(c, n, edge.share, edge.side, surface.design_effect)
                alert = "LLMRoutingShareAboveBand" if edge.side == "max" else "LLMRoutingShareBelowBand"
                yield _verdict(alert, (surface.name, ""), active, _ratio(c, n), window=window, band=edge.glob)

    def _unpinned(self, surface: SurfacePlan) -> Iterator[Verdict]:
        for requested, counts in self.moving[surface.name].items():
            hour = rolling(counts, WINDOWS["1h"].slices)
            yield _verdict("LLMRoutingUnpinnedTraffic", (surface.name, requested), hour > 0, hour)

    def _substituted(self) -> Iterator[Verdict]:
        found: dict[tuple[str, str, str], NDArray[np.float64]] = {}
        for key, counts in self.history.known.items():
            if key.match == SUBSTITUTED:
                of = (key.surface, key.requested, key.served)
                found[of] = found.get(of, self.zero) + counts
        for (surface, requested, served), counts in found.items():
            recent = rolling(counts, 3)
            yield _verdict("LLMRoutingPinViolated", (surface, requested), recent > 0, recent, served)

    def _measurement(self) -> Iterator[Verdict]:
        hours, day = WINDOWS["6h"], WINDOWS["24h"]
        everything, nameless = self.zero, self.zero
        for name, streams in self.of.items():
            unknown = sum(self.unknown[name], self.zero)
            requests = sum((self._total(models) for models in streams), unknown)
            everything = everything + requests
            if name == "unknown":
                nameless = requests
            lost = rolling(unknown, hours.slices)
            share = _ratio(lost, rolling(requests, hours.slices))
            limit = self.named[name].unknown_limit if name in self.named else self.plan.unknown_limit
            over = (share > limit) & (lost >= LEAST_UNKNOWN)
            yield _verdict("LLMRoutingServedModelUnknown", (name, ""), over, share)
            yield self._silent(name, requests)
        for key, models in self.streams.items():
            merged = models if OTHER in key else {OTHER: models[OTHER]} if OTHER in models else {}
            if merged:
                hour = rolling(self._total(merged), WINDOWS["1h"].slices)
                yield _verdict("LLMRoutingSeriesOverflow", key, hour > 0, hour)
        share = _ratio(rolling(nameless, day.slices), rolling(everything, day.slices))
        yield _verdict("LLMRoutingUnknownSurface", ("unknown", ""), share > UNKNOWN_SURFACE_LIMIT, share)

    def _silent(self, name: str, requests: NDArray[np.float64]) -> Verdict:
        hours, day = rolling(requests, WINDOWS["6h"].slices), rolling(requests, WINDOWS["24h"].slices)
        rested, busy = np.zeros((2, self.history.size), dtype=bool)
        if (old := self.history.size - WEEK) > 0:
            rested[WEEK:] = day[:old] <= 0
            busy[WEEK:] = hours[:old] > SILENT_REQUESTS * MODEL_DESIGN_EFFECT
        looked = np.arange(self.history.size) >= WINDOWS["24h"].slices
        expected = looked & (self.daily[name] >= SILENT_REQUESTS) & ~rested
        silent = ((day <= 0) & expected) | ((hours <= 0) & busy)
        return _verdict("LLMRoutingSurfaceSilent", (name, ""), silent, self.zero)

    def _total(self, models: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        return sum(models.values(), self.zero)


def _ratio(count: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(count, n, out=np.zeros_like(count), where=n > 0)


def _verdict(
    alert: str,
    stream: tuple[str, str],
    active: NDArray[np.bool_],
    value: NDArray[np.float64],
    served: str = "",
    window: Window | None = None,
    band: str = "",
) -> Verdict:
    name = window.name if window else ""
    return Verdict(alert, ALERTS[alert, name].level, *stream, served, band, name, active, value)
