"""The policy beside the reference: limits that the surface's own noise would break, and what only one of them has."""

from __future__ import annotations

import math
from collections import defaultdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.models import same_model
from otel_llm_routing.policy.document import brief
from otel_llm_routing.policy.findings import Note
from otel_llm_routing.policy.schema import Band, glob_matches
from otel_llm_routing.policy.thresholds import LEAST_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from otel_llm_routing.policy.reference import Reference, ReferenceStream
    from otel_llm_routing.policy.schema import Edge, Policy, SurfacePolicy

WOBBLES = 3
"""Standard deviations of a share's own wobble that an edge must keep away from the reference (docs/detection.md)."""
EXACT = 1e-9
LEAST_TOLERANCE = 0.5
"""Points; the schema takes no less."""


class Measured(NamedTuple):
    """What the reference says of the models that match one glob on one surface."""

    share: float
    """0 to 1, of the surface's requests."""
    noise: float
    """How far the share goes by itself, 0 to 1: 3·sqrt(p(1-p)/m)."""


def measured(glob: str, streams: Iterable[ReferenceStream]) -> Measured:
    """Return the share of the models that match ``glob`` over ``streams``, all of one surface, and its noise.

    Streams weigh what they have requests; m is the smallest of their concentrations.
    """
    streams = list(streams)
    matching = sum(
        stream.requests * share
        for stream in streams
        for served, share in stream.shares.items()
        if glob_matches(glob, served)
    )
    share = min(matching / sum(stream.requests for stream in streams), 1.0)
    concentration = min(stream.concentration for stream in streams)
    return Measured(share, WOBBLES * math.sqrt(share * (1 - share) / concentration))


def edges_within_noise(policy: Policy, reference: Reference) -> Iterator[Note]:
    """Yield every declared limit that is nearer to the reference than the share goes by itself."""
    streams = by_surface(reference)
    for surface in policy.resolved():
        for glob, edges in _edges(surface).items():
            if surface.name not in streams:
                continue
            known = measured(glob, streams[surface.name])
            near = [edge for edge in edges if abs(edge.share - known.share) < known.noise - EXACT]
            if not near:
                continue
            place = ("surfaces", surface.name, "expect", glob)
            if isinstance(surface.declared.expect[glob], Band):
                for edge in near:
                    yield Note((*place, edge.side), _too_near(edge, known, _room(edge, known)))
            else:
                edge = min(near, key=lambda edge: abs(edge.share - known.share))
                yield Note(place, _too_near(edge, known, _tolerance(edges, known)))


def _too_near(edge: Edge, known: Measured, todo: str) -> str:
    return (
        f"the limit of {_percent(edge.share)} is within the share's own noise: in the reference these models serve "
        f"{_percent(known.share)}, and that moves by up to {100 * known.noise:.1f} points with nothing changed, so the "
        f"alert would be false; {todo}"
    )


def _free(side: str, known: Measured) -> float:
    """Return the nearest limit outside the noise, rounded away from it to a tenth of a point; it may be no limit."""
    if side == "max":
        return math.ceil(1000 * (known.share + known.noise) - EXACT) / 1000
    return math.floor(1000 * (known.share - known.noise) + EXACT) / 1000


def _room(edge: Edge, known: Measured) -> str:
    """Say where an edge of a band could go."""
    free = _free(edge.side, known)
    if edge.side == "max":
        return f"write {_percent(free)} or more" if free < 1 else "take max out, as the noise goes up to 100 %"
    return f"write {_percent(free)} or less" if free > 0 else "take min out, as the noise goes down to 0 %"


def _tolerance(edges: Iterable[Edge], known: Measured) -> str:
    """Say what could stand in place of a share with a tolerance."""
    written = round(known.share, 3)
    points = max(math.ceil(1000 * (known.noise + abs(written - known.share)) - EXACT) / 10, LEAST_TOLERANCE)
    free = {edge.side: _free(edge.side, known) for edge in edges}
    band = ", ".join(f'{side}: "{_percent(share)}"' for side, share in free.items() if 0 < share < 1)
    wider = f'expect "{_percent(written)}" with a tolerance of {points:g} points or more'
    return f"{wider}, or write {{{band}}}" if band else f"{wider}, or take it out"


def differences(policy: Policy, reference: Reference) -> Iterator[Note]:
    """Yield what the two files do not agree on."""
    streams = by_surface(reference)
    unmeasured = [name for name in policy.surfaces if name not in streams]
    undeclared = [name for name in streams if name not in policy.surfaces]
    for surface in policy.resolved():
        if surface.name in streams:
            yield from _globs(surface, streams[surface.name])
            yield from _requested(surface, streams[surface.name])
        else:
            yield Note(
                ("surfaces", surface.name),
                "the reference does not have this surface, so no shift of its mix is seen; correct the name"
                f"{_near(surface.name, undeclared)}, or pin a reference when it has {LEAST_DAYS} days of traffic",
            )
    for name in undeclared:
        yield Note(
            ("surfaces",),
            f"the reference has a surface {brief(name)}, which is not here, so it has no limits; add it, or correct a "
            f"name{_near(name, unmeasured)}",
        )


def _globs(surface: SurfacePolicy, streams: list[ReferenceStream]) -> Iterator[Note]:
    served = list(dict.fromkeys(model for stream in streams for model in stream.shares))
    for glob in surface.declared.expect:
        place = ("surfaces", surface.name, "expect", glob)
        if not any(glob_matches(glob, model) for model in served):
            names = ", ".join(brief(model) for model in served[:5])
            more = f" and {len(served) - 5} more" if len(served) > 5 else ""  # noqa: PLR2004
            case = "; case counts" if any(glob_matches(glob.lower(), model.lower()) for model in served) else ""
            yield Note(place, f"matches no model of the reference, which has {names}{more}; correct the glob{case}")
            continue
        known = measured(glob, streams)
        for edge in _edges(surface).get(glob, ()):
            beyond = known.share - edge.share if edge.side == "max" else edge.share - known.share
            if beyond >= known.noise - EXACT and beyond > EXACT:
                band = isinstance(surface.declared.expect[glob], Band)
                yield Note(
                    (*place, edge.side) if band else place,
                    f"the reference is already beyond the limit of {_percent(edge.share)}: these models serve "
                    f"{_percent(known.share)}, so its alert fires at once; move it, unless that is what you want",
                )


def _requested(surface: SurfacePolicy, streams: list[ReferenceStream]) -> Iterator[Note]:
    listed = surface.uses.identifiers
    total = sum(stream.requests for stream in streams)
    for stream in streams:
        if stream.requested and not any(same_model(stream.requested, name) for name in listed):
            share = _percent(stream.requests / total)
            yield Note(
                ("surfaces", surface.name, "uses"),
                f"{share} of its requests in the reference asked for {brief(stream.requested)}, which is not listed; "
                f"add it, or correct a name{_near(stream.requested, listed)}",
            )


def by_surface(reference: Reference) -> dict[str, list[ReferenceStream]]:
    """Return the streams of each surface."""
    streams: dict[str, list[ReferenceStream]] = defaultdict(list)
    for stream in reference.streams:
        streams[stream.surface].append(stream)
    return dict(streams)


def _edges(surface: SurfacePolicy) -> dict[str, list[Edge]]:
    edges: dict[str, list[Edge]] = defaultdict(list)
    for edge in surface.edges:
        edges[edge.glob].append(edge)
    return dict(edges)


def _near(name: str, names: Sequence[str]) -> str:
    """Return the one of ``names`` that may be meant; each comparison takes a while, so of many none is tried."""
    close = get_close_matches(name, names, 1) if len(names) <= 50 else []  # noqa: PLR2004
    return f" ({brief(close[0])}?)" if close else ""


def _percent(share: float) -> str:
    return f"{round(100 * share, 1):g} %"
