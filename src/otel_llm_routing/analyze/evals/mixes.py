"""Model mixes that a score is asked for: of production, of the reference, or of somebody's making."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.evals.distance import shares as shares_of
from otel_llm_routing.models import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_llm_routing.analyze.evals.production import Production, SurfaceTraffic
    from otel_llm_routing.policy.reference import Reference, ReferenceStream

LEAST = 20
"""Requests with a known served model in a bucket of sizes, for its mix to be taken; else it has that of its surface."""
ROUNDING = 0.01
"""How far shares that somebody wrote may be from adding up to 1."""


class MixError(Exception):
    """A mix that cannot be read; the message says why, and what to do."""


class Mix(NamedTuple):
    """A share for each served model on each surface."""

    name: str
    surfaces: Mapping[str, Sequence[Mapping[str, float]]]
    """Of each surface the shares by ``canonical`` name: one set for each bucket of its sizes, or one for all sizes."""
    names: Mapping[str, str] = {}
    """The usual spelling of models that nothing else names."""


def of_production(name: str, production: Production, like: Production) -> Mix:
    """Return the mix of ``production``, by the buckets of ``like``, whose traffic it is to be applied to."""
    found = {}
    for surface, of in production.surfaces.items():
        if not of.known:
            continue
        same = (wanted := like.surfaces.get(surface)) is not None and wanted.sizes and wanted.bounds == of.bounds
        found[surface] = _by_size(of) if same else [of.mix()]
    return Mix(name, found, production.names)


def _by_size(of: SurfaceTraffic) -> list[Mapping[str, float]]:
    whole = of.mix()
    return [shares_of(served) if sum(served.values()) >= LEAST else whole for served in of.served_by_size] or [whole]


def of_reference(name: str, reference: Reference, like: Production) -> Mix:
    """Return the mix that the reference holds: of every surface that of its streams, by their daily requests."""
    streams: dict[str, list[ReferenceStream]] = defaultdict(list)
    names: dict[str, str] = {}
    for stream in reference.streams:
        streams[stream.surface].append(stream)
        for model in stream.shares:
            names.setdefault(canonical(model), model)
    found: dict[str, Sequence[Mapping[str, float]]] = {}
    for surface, of in streams.items():
        whole: dict[str, float] = defaultdict(float)
        for stream in of:
            for model, share in stream.shares.items():
                whole[canonical(model)] += share * stream.requests / stream.days
        wanted = like.surfaces.get(surface)
        bounds = wanted.bounds if wanted and wanted.sizes else None
        by_size = [_sized(of, bucket, whole) for bucket in range(len(bounds))] if bounds and _same(of, bounds) else []
        found[surface] = by_size or [shares_of(whole)]
    return Mix(name, found, names)


def _same(streams: Sequence[ReferenceStream], bounds: tuple[float, ...]) -> bool:
    return all(stream.sizes is not None and (*stream.sizes.bounds, math.inf) == bounds for stream in streams)


def _sized(streams: Sequence[ReferenceStream], bucket: int, whole: Mapping[str, float]) -> Mapping[str, float]:
    served: dict[str, float] = defaultdict(float)
    requests = 0.0
    for stream in streams:
        if stream.sizes is not None:
            requests += stream.requests * stream.sizes.share[bucket]
            for model, row in stream.sizes.served.items():
                served[canonical(model)] += stream.requests / stream.days * stream.sizes.share[bucket] * row[bucket]
    return shares_of(served) if requests >= LEAST and sum(served.values()) > 0 else shares_of(whole)


def of_shares(name: str, shares: Mapping[str, Mapping[str, float]], rest: Mix, like: Production) -> Mix:
    """Return the mix that somebody wrote: surface, served model, share.

    Where the shares of a surface add up to less than 1, its other models keep their proportions among the rest.
    Surfaces that are not named keep the mix ``rest``. A written share is taken to be the same at all sizes. Raises
    ``MixError``.
    """
    found = dict(rest.surfaces)
    names: dict[str, str] = {}
    for surface, written in shares.items():
        if surface not in like.surfaces:
            has = ", ".join(repr(known) for known in list(like.surfaces)[:5])
            msg = f"the surface {surface[:80]!r} has no requests; production has {has}"
            raise MixError(msg)
        mine: dict[str, float] = defaultdict(float)
        for model, share in written.items():
            if not (0 <= share <= 1):
                msg = f"{model[:80]!r} on {surface!r}: {share:g} is no share from 0 to 1"
                raise MixError(msg)
            names.setdefault(canonical(model), model)
            mine[canonical(model)] += share
        total = sum(mine.values())
        if total > 1 + ROUNDING:
            msg = f"the shares of {surface!r} add up to {total:.3f}, more than 1"
            raise MixError(msg)
        if total < 1 - ROUNDING:
            mine |= _others(surface, mine, 1 - total, like)
        found[surface] = [shares_of(mine)]
    return Mix(name, found, {**rest.names, **names})


def _others(surface: str, mine: Mapping[str, float], left: float, like: Production) -> dict[str, float]:
    others = {model: n for model, n in like.surfaces[surface].served.items() if model not in mine}
    if not others:
        msg = (
            f"the shares of {surface!r} add up to {1 - left:.3f}, and no other model is known that could have the "
            "rest; write all shares"
        )
        raise MixError(msg)
    return {model: left * share for model, share in shares_of(others).items()}
