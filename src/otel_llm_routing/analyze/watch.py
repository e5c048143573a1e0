"""Which shares the detector watches, and the band in which each may move: from the reference, or as declared."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from otel_llm_routing.analyze.shift import LEAST_SHARE
from otel_llm_routing.policy.schema import glob_matches
from otel_llm_routing.policy.thresholds import BAND_CONCENTRATION, SHIFT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from otel_llm_routing.policy.plan import Plan, StreamPlan, SurfacePlan
    from otel_llm_routing.policy.schema import Edge

Side = Literal["above", "below"]
LEAST_CHANGE = 0.01
"""A band is at least this far from the reference, whatever the noise."""
RARE = 0.25
"""A band keeps this part of a rare share, and of the rest beside a share that is nearly all."""
EXACT = 1e-9
_Counts = dict[tuple[str, str], dict[str, "NDArray[np.float64]"]]


class Watched(NamedTuple):
    """One side of the band of one share."""

    served: str
    """The served model; empty where a glob is watched."""
    band: str
    """The glob of a declared limit, or empty."""
    side: Side
    edge: float
    """The end of the band on this side, above 0 and below 1."""
    reference: float | None
    """The share when the reference was pinned, 0 to 1."""
    counts: NDArray[np.float64]
    """Requests by day."""


class Unit(NamedTuple):
    """Shares that are watched together: one evidence, and one restart. A stream, or a surface's declared limits."""

    surface: str
    requested: str | None
    """None: the declared limits of the whole surface."""
    design_effect: float
    concentration: float
    total: NDArray[np.float64]
    """Requests with a known served model by day."""
    watched: tuple[Watched, ...]


def units(counts: _Counts, plan: Plan, days: int) -> list[Unit]:
    """Return what ``plan`` watches in ``counts``: by stream and served model, the requests of each of ``days``.

    A limit that the policy declares for one model of a surface that asks for one thing replaces the reference's band of
    that side. It is about the whole surface and about all models that its glob matches, so it is watched by surface.
    """
    none = np.zeros(days)
    of: dict[str, list[StreamPlan]] = defaultdict(list)
    for stream in plan.streams:
        of[stream.surface].append(stream)
    edges = {surface.name: surface.edges for surface in plan.surfaces}
    found = []
    for stream in plan.streams:
        models = counts.get((stream.surface, stream.requested), {})
        declared = _replaced(edges.get(stream.surface, ()), of[stream.surface])
        watched = [
            Watched(served, "", side, edge, stream.shares[served], models.get(served, none))
            for served in sorted(stream.shares)
            for side, edge in band(stream, served).items()
            if (served, side) not in declared
        ]
        total = sum(models.values(), none)
        found.append(
            Unit(stream.surface, stream.requested, stream.design_effect, stream.concentration, total, tuple(watched))
        )
    by_surface: dict[str, list[Mapping[str, NDArray[np.float64]]]] = defaultdict(list)
    for (surface, _), models in counts.items():
        by_surface[surface].append(models)
    found += (_limits(s, of[s.name], by_surface[s.name], none) for s in plan.surfaces if s.edges)
    return found


def band(stream: StreamPlan, served: str) -> dict[Side, float]:
    """Return the ends of the band around the reference of ``served``; a side that has no room beyond is left out.

    The share's own wobble of a day or one point or the tolerance that the policy declares, and on top the error of the
    reference. Its requests count as its bursts let them: taken for independent ones, there were 1.5 to 2 times
    the false alarms at 20 requests a day. The two sides mirror each other: more of one model is less of the rest.
    """
    p = stream.shares[served]
    variance = p * (1 - p)
    reference_error = math.sqrt(variance * (stream.design_effect / stream.requests + 1 / (4 * stream.concentration)))
    away = max(LEAST_CHANGE, math.sqrt(variance / stream.concentration), _tolerance(stream)) + reference_error
    ends: dict[Side, float] = {"above": min(p + away, 1 - RARE * (1 - p)), "below": max(p - away, RARE * p)}
    return {side: edge for side, edge in ends.items() if EXACT < edge < 1 - EXACT}


def _tolerance(stream: StreamPlan) -> float:
    """Return the change that the policy says to put up with, 0 to 1; 0 where it says nothing."""
    tickets = [rule for rule in SHIFT_RULES if rule.level == "ticket"]
    said = [stream.points[rule.window.name] for rule in tickets]
    silent = all(math.isclose(points, rule.points / 100) for points, rule in zip(said, tickets, strict=True))
    return 0.0 if silent else min(said)


def _replaced(edges: tuple[Edge, ...], streams: list[StreamPlan]) -> set[tuple[str, Side]]:
    """Return the sides of models whose band is declared."""
    if len(streams) != 1:
        return set()
    found: set[tuple[str, Side]] = set()
    for edge in edges:
        matching = [served for served in streams[0].shares if glob_matches(edge.glob, served)]
        if len(matching) == 1:
            found.add((matching[0], _side(edge)))
    return found


def _limits(
    surface: SurfacePlan,
    streams: list[StreamPlan],
    counts: list[Mapping[str, NDArray[np.float64]]],
    none: NDArray[np.float64],
) -> Unit:
    total = sum((c for models in counts for c in models.values()), none)
    watched = tuple(_limited(edge, streams, counts, none) for edge in surface.edges)
    # As policy check has it: the most restless of the surface's streams.
    concentration = min((stream.concentration for stream in streams), default=BAND_CONCENTRATION)
    return Unit(surface.name, None, surface.design_effect, concentration, total, watched)


def _limited(
    edge: Edge,
    streams: list[StreamPlan],
    counts: list[Mapping[str, NDArray[np.float64]]],
    none: NDArray[np.float64],
) -> Watched:
    def matching(models: Mapping[str, float]) -> Iterator[str]:
        return (served for served in models if glob_matches(edge.glob, served))

    matched = sum((c for models in counts for served, c in models.items() if glob_matches(edge.glob, served)), none)
    requests = sum(stream.requests for stream in streams)
    share = sum(stream.requests * stream.shares[served] for stream in streams for served in matching(stream.shares))
    served = {served for stream in streams for served in matching(stream.shares)}
    return Watched(
        next(iter(served)) if len(served) == 1 else "",
        edge.glob,
        _side(edge),
        min(max(edge.share, LEAST_SHARE), 1 - LEAST_SHARE),
        min(share / requests, 1.0) if requests else None,
        matched,
    )


def _side(edge: Edge) -> Side:
    return "above" if edge.side == "max" else "below"
