"""What is watched, and how: the policy and the reference put together.

The generated rules and the analysis both start from here, so that they judge by the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.policy.thresholds import (
    BAND_DESIGN_EFFECT,
    MODEL_DESIGN_EFFECT,
    SHIFT_RULES,
    least_points,
    threshold,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.policy.reference import Reference, Sizes
    from otel_llm_routing.policy.schema import Edge, Policy
    from otel_llm_routing.policy.thresholds import Level

LEVELS: tuple[Level, ...] = ("page", "ticket", "info")
"""The most urgent first."""
UNOWNED = "unowned"
UNKNOWN_LIMIT = 0.05


class StreamPlan(NamedTuple):
    """One surface and requested identifier that has a reference."""

    surface: str
    requested: str
    requests: int
    days: float
    design_effect: float
    concentration: float
    shares: Mapping[str, float]
    threshold: float
    points: Mapping[str, float]
    """The least change that counts, as a fraction, by window."""
    sizes: Sizes | None = None
    """How its requests were spread over sizes, where that is known."""

    @property
    def independent_daily(self) -> float:
        """Independent requests a day when the reference was pinned: bursts count once, within limits."""
        return self.requests / self.days / min(self.design_effect, MODEL_DESIGN_EFFECT)


class SurfacePlan(NamedTuple):
    """One surface that the policy or the reference names."""

    name: str
    owner: str
    severity: Mapping[Level, Level]
    """What an alert of each level is at most, on this surface."""
    pinned: bool
    unknown_limit: float
    edges: tuple[Edge, ...]
    design_effect: float


class Plan(NamedTuple):
    """What is watched."""

    streams: tuple[StreamPlan, ...]
    surfaces: tuple[SurfacePlan, ...]
    owner: str
    """Of surfaces that neither file names."""
    unknown_limit: float
    """Of surfaces that neither file names."""


def plan(policy: Policy | None, reference: Reference | None) -> Plan:
    """Put the two files together; either may be missing. The order is theirs, the policy's surfaces first."""
    declared = {} if policy is None else {s.name: s for s in policy.resolved()}
    measured = () if reference is None else reference.streams
    default = None if policy is None else policy.defaults
    owner = UNOWNED if default is None else default.owner
    limit = UNKNOWN_LIMIT if default is None else default.unknown_limit
    streams = []
    for stream in measured:
        said = declared.get(stream.surface)
        tolerance = said.tolerance if said else default.tolerance if default else None
        budget = said.false_alarms_per_month if said else default.false_alarms_per_month if default else None
        streams.append(
            StreamPlan(
                stream.surface,
                stream.requested,
                stream.requests,
                stream.days,
                stream.design_effect,
                stream.concentration,
                stream.shares,
                threshold(budget, stream.days, stream.concentration),
                {rule.window.name: round(least_points(rule, tolerance) / 100, 6) for rule in SHIFT_RULES},
                stream.sizes,
            )
        )
    effects: dict[str, float] = {}
    for stream in measured:
        effects[stream.surface] = max(effects.get(stream.surface, 1.0), stream.design_effect)
    surfaces = []
    for name in dict.fromkeys([*declared, *effects]):
        said = declared.get(name)
        cap: Level = said.severity if said else default.severity or "page" if default else "page"
        surfaces.append(
            SurfacePlan(
                name,
                said.owner if said else owner,
                {level: max(level, cap, key=LEVELS.index) for level in LEVELS},
                said.pinned if said else False,
                said.unknown_limit if said else limit,
                said.edges if said else (),
                effects.get(name, BAND_DESIGN_EFFECT),
            )
        )
    return Plan(tuple(streams), tuple(surfaces), owner, limit)
