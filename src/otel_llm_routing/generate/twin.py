"""What the rules should make of given traffic, worked out a second time in Python, for the generated tests.

The formulas are those of ``docs/detection.md`` and the numbers those of the plan. Nothing here reads the rules'
expressions: where the two disagree, the generated tests fail.
"""

from __future__ import annotations

from functools import lru_cache
from math import log, sqrt
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.generate import alerts
from otel_llm_routing.generate.promql import REQUESTED, SERVED, SURFACE
from otel_llm_routing.generate.templates import Moment, expand
from otel_llm_routing.policy.plan import UNKNOWN_LIMIT, UNOWNED, StreamPlan
from otel_llm_routing.policy.schema import glob_matches
from otel_llm_routing.policy.thresholds import (
    ALERTS,
    BAND_CONCENTRATION,
    BAND_THRESHOLD,
    LEAST_UNKNOWN,
    MODEL_DESIGN_EFFECT,
    NEW_REQUESTS,
    NEW_SHARE,
    NO_REFERENCE_REQUESTS,
    SHIFT_RULES,
    SILENT_REQUESTS,
    SLICE,
    UNKNOWN_SURFACE_LIMIT,
    VANISHED_EXPECTED,
    VANISHED_SHARE,
    WINDOWS,
    Level,
    least_points,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_llm_routing.policy.plan import Plan, SurfacePlan

DAY = WINDOWS["24h"].slices
_WORDS = {"1h": "hour", "6h": "6 hours", "24h": "24 hours", "7d": "7 days"}
Labels = tuple[tuple[str, str], ...]
Stream = tuple[str, str]


class Series(NamedTuple):
    """The requests that one process counts under one set of labels."""

    surface: str
    requested: str
    served: str
    """Empty where nobody reported the served model."""
    match: str
    kind: str
    counts: Sequence[int]
    """Requests in each slice; the series begins with its first request."""


class Firing(NamedTuple):
    """One alert that fires, as Alertmanager would get it."""

    alert: str
    labels: Labels
    annotations: Labels


class Twin:
    """Evaluates the rules at the end of every slice, as promtool does."""

    def __init__(self, plan: Plan | None, traffic: Sequence[Series], runbooks: str) -> None:
        self._plan = plan
        self._runbooks = runbooks
        self._slices = max(len(series.counts) for series in traffic)
        self._known: dict[Stream, dict[str, list[int]]] = {}
        self._unknown: dict[str, list[int]] = {}
        self._born: dict[tuple[str, ...], int] = {}
        for series in traffic:
            running = [0]
            for count in series.counts:
                running.append(running[-1] + count)
            first = next(at for at, total in enumerate(running) if total) if running[-1] else self._slices + 1
            if series.served:
                into = self._known.setdefault((series.surface, series.requested), {})
                place: tuple[str, ...] = (series.surface, series.requested, series.served)
                into[series.served] = _added(into.get(series.served), running)
            else:
                place = (series.surface,)
                self._unknown[series.surface] = _added(self._unknown.get(series.surface), running)
            self._born[place] = min(first, self._born.get(place, first))
        self._traffic = traffic
        self._surfaces: dict[str, SurfacePlan] = {} if plan is None else {s.name: s for s in plan.surfaces}
        self._streams: dict[Stream, StreamPlan] = (
            {} if plan is None else {(s.surface, s.requested): s for s in plan.streams}
        )
        self._referenced = lru_cache(maxsize=None)(self._trailing) if plan is None else self._pinned

    # Counts. A window is a number of slices that ends with slice `at`; slice 0 is before all traffic.

    def _requests(self, stream: Stream, window: str, at: int) -> dict[str, int]:
        """Return the requests of every served model that has a series, those of the reference included."""
        start = max(at - WINDOWS[window].slices, 0)
        reference = self._referenced(stream, at)
        found = dict.fromkeys(() if reference is None else reference.shares, 0)
        for served, running in self._known.get(stream, {}).items():
            if self._born[(*stream, served)] <= at:
                found[served] = running[at] - running[start]
        return found

    def _pinned(self, stream: Stream, _: int) -> StreamPlan | None:
        return self._streams.get(stream)

    def _trailing(self, stream: Stream, at: int) -> StreamPlan | None:
        """Return what stands in for a reference: the week that ended a day ago."""
        if at < DAY:
            return None
        counts = self._requests(stream, "7d", at - DAY)
        total = sum(counts.values())
        if not total:
            return None
        shares = {served: count / total for served, count in counts.items() if count}
        points = {rule.window.name: least_points(rule, None) / 100 for rule in SHIFT_RULES}
        return StreamPlan(*stream, total, 7, 3, 100, shares, 14, points)

    def _every_stream(self) -> Iterator[Stream]:
        yield from dict.fromkeys([*self._streams, *self._known])

    def _surface_requests(self, window: str, at: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for stream in self._every_stream():
            if counts := self._requests(stream, window, at):
                found[stream[0]] = found.get(stream[0], 0) + sum(counts.values())
        for surface, requests in self._unknown_requests(window, at).items():
            found[surface] = found.get(surface, 0) + requests
        return found

    def _unknown_requests(self, window: str, at: int) -> dict[str, int]:
        start = max(at - WINDOWS[window].slices, 0)
        return {s: running[at] - running[start] for s, running in self._unknown.items() if self._born[(s,)] <= at}

    # The alerts, each as its labels and value at the end of a slice.

    def _shifted(self, window: str, at: int) -> Iterator[tuple[Labels, float]]:
        rule = next(r for r in SHIFT_RULES if r.window.name == window)
        for stream in self._every_stream():
            reference = self._referenced(stream, at)
            counts = self._requests(stream, window, at)
            n = sum(counts.values())
            if reference is None or not n:
                continue
            limit = _as_written(reference.threshold) + rule.above_threshold
            for served, share in reference.shares.items():
                p, c = _as_written(share), counts[served]
                moved = abs(c / n - p) >= _as_written(reference.points[window])
                if moved and _score(c, n, p) * _effective(reference, window, n) > limit:
                    yield _labels(stream, served), c / n

    def _new(self, at: int) -> Iterator[tuple[Labels, float]]:
        for stream in self._every_stream():
            reference = self._referenced(stream, at)
            counts = self._requests(stream, "24h", at)
            n = sum(counts.values())
            if reference is None or not n:
                continue
            for served, c in counts.items():
                enough = (c + 0.5) / _of_one_model(reference) >= NEW_REQUESTS
                if served not in reference.shares and c / n >= NEW_SHARE and enough:
                    yield _labels(stream, served), c / n

    def _vanished(self, at: int) -> Iterator[tuple[Labels, float]]:
        for stream in self._every_stream():
            reference = self._referenced(stream, at)
            if reference is None:
                continue
            counted = [self._requests(stream, window, at) for window in (("6h", "7d") if self._plan else ("6h",))]
            for served, share in reference.shares.items():
                p = _as_written(share)
                expected = (p * (sum(c.values()) / _of_one_model(reference)) for c in counted if not c[served])
                if p >= VANISHED_SHARE and any(e > VANISHED_EXPECTED for e in expected):
                    yield _labels(stream, served), p

    def _beyond(self, side: str, window: str, at: int) -> Iterator[tuple[Labels, float]]:
        for surface in self._surfaces.values():
            if not surface.edges:
                continue
            streams = [s for s in self._every_stream() if s[0] == surface.name]
            counts = [self._requests(stream, window, at) for stream in streams]
            n = sum(sum(of.values()) for of in counts)
            for edge in surface.edges if n else ():
                if edge.side != side:
                    continue
                c = sum(r for of in counts for served, r in of.items() if glob_matches(edge.glob, served))
                e = min(max(edge.share, 0.001), 0.999)
                score = _score(c, n, e) / (_as_written(surface.design_effect) / n + 1 / BAND_CONCENTRATION)
                outside = c / n > edge.share if side == "max" else c / n < edge.share
                if outside and score > BAND_THRESHOLD:
                    yield ((SURFACE, surface.name), ("llm_routing_band", edge.glob)), c / n

    def _substituted(self, at: int) -> Iterator[tuple[Labels, float]]:
        yield from self._sums(lambda s: s.match == "substituted" and bool(s.served), 3, at, by_served=True)

    def _unpinned(self, at: int) -> Iterator[tuple[Labels, float]]:
        pinned = {name for name, surface in self._surfaces.items() if surface.pinned}
        yield from self._sums(lambda s: s.kind in ("alias", "router") and s.surface in pinned, 12, at)

    def _merged(self, at: int) -> Iterator[tuple[Labels, float]]:
        seen: set[Labels] = set()
        for field in ("surface", "requested", "served"):
            for labels, value in self._sums(lambda s, f=field: bool(s.served) and getattr(s, f) == "other", 12, at):  # type: ignore[misc]
                if labels not in seen:
                    seen.add(labels)
                    yield labels, value

    def _sums(
        self, chosen: Callable[[Series], bool], slices: int, at: int, *, by_served: bool = False
    ) -> Iterator[tuple[Labels, float]]:
        found: dict[Labels, int] = {}
        for series in self._traffic:
            if chosen(series):
                labels = _labels((series.surface, series.requested), series.served if by_served else "")
                found[labels] = found.get(labels, 0) + sum(series.counts[max(at - slices, 0) : at])
        yield from ((labels, float(total)) for labels, total in found.items() if total)

    def _unknown_served(self, at: int) -> Iterator[tuple[Labels, float]]:
        default = UNKNOWN_LIMIT if self._plan is None else self._plan.unknown_limit
        everything = self._surface_requests("6h", at)
        for surface, requests in self._unknown_requests("6h", at).items():
            limit = self._surfaces[surface].unknown_limit if surface in self._surfaces else default
            share = requests / everything[surface] if everything[surface] else 0
            if share > _as_written(limit) and requests >= LEAST_UNKNOWN:
                yield ((SURFACE, surface),), share

    def _silent(self, at: int) -> Iterator[tuple[Labels, float]]:
        if at < DAY:
            return
        looked = self._surface_requests("24h", at - DAY)
        daily: dict[str, float] = {}
        for stream in self._every_stream():
            if reference := self._referenced(stream, at):
                expected = _as_written(reference.requests / reference.days) / _of_one_model(reference)
                daily[stream[0]] = daily.get(stream[0], 0) + expected
        for surface, requests in self._surface_requests("24h", at).items():
            if not requests and surface in looked and daily.get(surface, 0) >= SILENT_REQUESTS:
                yield ((SURFACE, surface),), 0.0

    def _unreferenced(self, at: int) -> Iterator[tuple[Labels, float]]:
        for stream in self._every_stream() if self._plan else ():
            requests = sum(self._requests(stream, "7d", at).values())
            if requests >= NO_REFERENCE_REQUESTS and self._referenced(stream, at) is None:
                yield _labels(stream, ""), float(requests)

    def _nameless(self, at: int) -> Iterator[tuple[Labels, float]]:
        everything = self._surface_requests("24h", at)
        total = sum(everything.values())
        if total and everything.get("unknown", 0) / total > UNKNOWN_SURFACE_LIMIT:
            yield ((SURFACE, "unknown"),), everything["unknown"] / total

    def _raised(self, alert: str, window: str, at: int) -> Iterator[tuple[Labels, float]]:
        if alert in _SHIFTS:
            return self._shifted(window, at)
        if alert in _EDGES:
            return self._beyond(_EDGES[alert], window, at)
        alone = {
            "LLMRoutingNewServedModel": self._new,
            "LLMRoutingServedModelVanished": self._vanished,
            "LLMRoutingPinViolated": self._substituted,
            "LLMRoutingUnpinnedTraffic": self._unpinned,
            "LLMRoutingServedModelUnknown": self._unknown_served,
            "LLMRoutingSurfaceSilent": self._silent,
            "LLMRoutingNoReference": self._unreferenced,
            "LLMRoutingSeriesOverflow": self._merged,
            "LLMRoutingUnknownSurface": self._nameless,
        }
        return alone[alert](at)

    # From what holds to what fires, and what it says.

    def run(self) -> list[list[Firing]]:
        """Return what fires at the end of every slice, from slice 0."""
        found: list[list[Firing]] = [[] for _ in range(self._slices + 1)]
        for alert, window in ALERTS:
            if self._plan is None and alert in _NEED_FILES:
                continue
            about = ALERTS[alert, window]
            since: dict[Labels, int] = {}
            until: dict[Labels, int] = {}
            said: dict[Labels, Firing] = {}
            for at in range(self._slices + 1):
                holds = dict(self._raised(alert, window, at))
                for labels, value in holds.items():
                    since.setdefault(labels, at)
                    if (firing := self._firing(alert, window, labels, value, at)) is None:
                        continue
                    if labels in said or (at - since[labels]) * SLICE >= about.hold:
                        said[labels] = firing
                        until.pop(labels, None)
                for labels in [labels for labels in since if labels not in holds]:
                    ended = until.setdefault(labels, at)
                    if labels not in said or (at - ended) * SLICE >= about.keep:
                        del since[labels], until[labels]
                        said.pop(labels, None)
                found[at] += said.values()
        return found

    def _firing(self, alert: str, window: str, labels: Labels, value: float, at: int) -> Firing | None:
        named = {name: text for name, text in labels if text}
        if (route := self._route(alert, named.get(SURFACE, ""), ALERTS[alert, window].level)) is None:
            return None
        text = _text(alert, window)
        extra = {"llm_routing_window": window} if window else {}
        everything = {**named, **route, **extra, "alertname": alert}
        moment = Moment(everything, value, lambda name, by: self._lookup(name, by, at))
        annotations = (
            ("summary", expand(text.summary, moment)),
            ("description", expand(text.description, moment)),
            ("runbook_url", f"{self._runbooks.rstrip('/')}/{alert}.md"),
        )
        del everything["alertname"]
        return Firing(alert, tuple(everything.items()), annotations)

    def _route(self, alert: str, surface: str, level: Level) -> dict[str, str] | None:
        if self._plan is None:
            return {"owner": UNOWNED, "severity": "ticket" if level == "page" else level}
        if (known := self._surfaces.get(surface)) is not None:
            return {"owner": known.owner, "severity": known.severity[level]}
        return {"owner": self._plan.owner, "severity": level} if alert in _ANYWHERE else None

    def _lookup(self, name: str, by: Mapping[str, str], at: int) -> float | None:
        surface = by[SURFACE]
        if name == "llm_routing:policy:unknown_limit":
            return float(self._surfaces[surface].unknown_limit) if surface in self._surfaces else None
        if name == "llm_routing:band:edge":
            edges = self._surfaces[surface].edges
            return next((e.share for e in edges if e.glob == by["llm_routing_band"] and e.side == by["side"]), None)
        stream = (surface, by[REQUESTED])
        reference = self._referenced(stream, at)
        if reference is None or by[SERVED] not in reference.shares:
            return None
        p = float(_as_written(reference.shares[by[SERVED]]))
        if name == "llm_routing:reference:share":
            return p
        window = name.removeprefix("llm_routing:wobble_points:")
        n = sum(self._requests(stream, window, at).values())
        return 200 * sqrt(p * (1 - p) / _effective(reference, window, n)) if n else None


_SHIFTS = {rule.alert for rule in SHIFT_RULES}
_EDGES = {"LLMRoutingShareAboveBand": "max", "LLMRoutingShareBelowBand": "min"}
_NEED_FILES = {*_EDGES, "LLMRoutingUnpinnedTraffic", "LLMRoutingNoReference"}
_ANYWHERE = {
    "LLMRoutingPinViolated",
    "LLMRoutingServedModelUnknown",
    "LLMRoutingSurfaceSilent",
    "LLMRoutingNoReference",
    "LLMRoutingSeriesOverflow",
    "LLMRoutingUnknownSurface",
}
_TEXTS = {
    "LLMRoutingNewServedModel": alerts.NEW,
    "LLMRoutingServedModelVanished": alerts.VANISHED,
    "LLMRoutingPinViolated": alerts.PIN_VIOLATED,
    "LLMRoutingUnpinnedTraffic": alerts.UNPINNED,
    "LLMRoutingServedModelUnknown": alerts.UNKNOWN_SERVED,
    "LLMRoutingSurfaceSilent": alerts.SILENT,
    "LLMRoutingNoReference": alerts.NO_REFERENCE,
    "LLMRoutingSeriesOverflow": alerts.OVERFLOW,
    "LLMRoutingUnknownSurface": alerts.UNKNOWN_SURFACE,
}


def _text(alert: str, window: str) -> alerts.Text:
    if alert in _SHIFTS:
        return alerts.shift(window, _WORDS[window])
    return alerts.edge(_EDGES[alert], _WORDS[window]) if alert in _EDGES else _TEXTS[alert]


def _labels(stream: Stream, served: str) -> Labels:
    return ((SURFACE, stream[0]), (REQUESTED, stream[1]), (SERVED, served))


def _added(one: list[int] | None, other: list[int]) -> list[int]:
    return other if one is None else [a + b for a, b in zip(one, other, strict=True)]


def _as_written(value: float) -> float:
    """Return ``value`` as the rules hold it, which is with ten digits."""
    return float(format(value, ".10g"))


def _of_one_model(reference: StreamPlan) -> float:
    return min(_as_written(reference.design_effect), MODEL_DESIGN_EFFECT)


def _effective(reference: StreamPlan, window: str, n: int) -> float:
    phi, m = _as_written(reference.design_effect), _as_written(reference.concentration)
    return 1 / (phi / n + phi / reference.requests + 1 / (WINDOWS[window].factor * m))


def _score(c: int, n: int, p: float) -> float:
    """Return half the PSI between a share and ``p``: J for one effective request."""
    p = min(max(p, 0.001), 0.999)
    return 0.5 * ((c + 0.5) / (n + 1) - p) * (log((c + 0.5) / (0.5 - c + n)) - log(p / (1 - p)))
