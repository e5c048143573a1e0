"""How far an eval may be from production before ``evals check`` says so: the policy's ``evals``, or the defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from otel_llm_routing.policy.schema import Policy


class Limits(NamedTuple):
    """The limits of one surface, or of the eval as a whole. All are shares, 0 to 1."""

    distance: float = 0.25
    """The highest total variation distance between cases and traffic, over surfaces and sizes."""
    served_distance: float = 0.2
    """The highest total variation distance between the models that served the eval and those of production."""
    missing: float = 0.05
    """The largest share of traffic that may be of surfaces and sizes without a case. Of the eval as a whole."""
    unplaced: float = 0.1
    """The largest share of cases that may name no surface, or one that has no traffic. Of the eval as a whole."""


def limits(policy: Policy | None, surface: str | None = None) -> Limits:
    """Return the limits of the whole, or of ``surface``: what it says itself, else the file, else the defaults."""
    said: dict[str, float] = {}
    if policy is not None:
        of = policy.surfaces.get(surface) if surface is not None else None
        for level in (policy.evals, of.evals if of else None):
            if level is not None:
                said |= level.model_dump(exclude_none=True)
    return Limits(**said)
