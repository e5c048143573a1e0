"""How many of N eval cases belong to each surface and size, and what a minimum for each of them costs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_llm_routing.analyze.evals.production import Cell, Production

MOST_CASES = 10_000_000


class PlanError(Exception):
    """A plan that cannot be made; the message says why, and what to do."""


class PlannedCell(NamedTuple):
    """One cell of production."""

    cell: Cell
    share: float
    """Of the requests, 0 to 1."""
    cases: int
    weight: float
    """What each of its cases counts in a mean score, for the mean to be production's; 1 on average. 0: no case."""


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """How N cases are spread over production."""

    start: float
    end: float
    requests: int
    cases: int
    minimum: int
    least: float
    cells: tuple[PlannedCell, ...]
    """All cells with requests, the busiest surface first, the smallest sizes first."""
    uncovered: float
    """The share of requests in cells without a case."""
    effective: float
    """How many equally weighted cases the plan is worth, for a score over all of production (Kish)."""
    effective_without: float
    """The same of a plan without a minimum: what the minimum costs is the difference."""
    without_sizes: tuple[str, ...]
    """Surfaces planned as a whole: the source has no sizes of their requests."""
    nameless: int
    """Requests that name no surface; no case is planned for them."""
    warnings: tuple[str, ...] = ()

    @property
    def design_effect(self) -> float:
        """How many times as large the variance of the score is, for the unequal weights."""
        return self.cases / self.effective


def refuse(cases: int, minimum: int, least: float) -> None:
    """Raise ``PlanError`` where no production has a plan for what is asked."""
    if not 1 <= cases <= MOST_CASES:
        msg = f"{cases:,} is no number of cases from 1 to {MOST_CASES:,}"
        raise PlanError(msg)
    if not 0 <= least <= 1 or minimum < 0:
        raise PlanError("a minimum is not below 0, and a least share is from 0 to 1")


def plan(production: Production, cases: int, minimum: int = 0, least: float = 0.01) -> EvalPlan:
    """Spread ``cases`` over the cells of ``production`` as its requests are, by largest remainders (Hamilton).

    A cell with at least the share ``least`` of requests gets ``minimum`` cases or more; what that takes is taken from
    the others in proportion. The cases of all cells add up to ``cases``. Raises ``PlanError``.
    """
    refuse(cases, minimum, least)
    if not production.requests:
        raise PlanError("there are no requests to plan for")
    shares = {cell: share for cell, share in production.cells().items() if share}
    raised = [cell for cell, share in shares.items() if minimum and share >= Fraction(str(least))]
    if len(raised) * minimum > cases:
        msg = (
            f"{len(raised):,} cells hold {100 * least:g} % of the requests or more each, and {minimum:,} cases for "
            f"each of them are {len(raised) * minimum:,}, more than {cases:,}; plan with more cases, a lower minimum, "
            "or a higher least share"
        )
        raise PlanError(msg)
    counts = apportion(shares, cases, dict.fromkeys(raised, minimum))
    proportional = apportion(shares, cases, {}) if raised else counts
    return EvalPlan(
        production.start,
        production.end,
        production.requests,
        cases,
        minimum,
        least,
        tuple(_planned(cell, share, counts[cell], cases) for cell, share in shares.items()),
        float(sum(share for cell, share in shares.items() if not counts[cell])),
        effective(shares, counts),
        effective(shares, proportional),
        tuple(production.without_sizes()),
        production.nameless,
        production.warnings,
    )


def apportion(shares: Mapping[Cell, Fraction], seats: int, least: Mapping[Cell, int]) -> dict[Cell, int]:
    """Return how many of ``seats`` each cell gets: by largest remainders, but not fewer than ``least``.

    Cells that would get fewer are given their minimum, the others share the rest, until none is below. Equal remainders
    go to the larger share, then to the first in order of name and size. ``least`` must not add up to more than
    ``seats``. Source of the method: Balinski and Young, "Fair Representation" (1982), quota method of Hamilton.
    """
    fixed: dict[Cell, int] = {}
    while True:
        free = {cell: share for cell, share in shares.items() if cell not in fixed}
        rest, total = seats - sum(fixed.values()), sum(free.values())
        quotas = {cell: rest * share / total for cell, share in free.items()}
        below = [cell for cell, quota in quotas.items() if quota < least.get(cell, 0)]
        if not below:
            break
        fixed |= {cell: least[cell] for cell in below}
    counts = {cell: int(quota) for cell, quota in quotas.items()}
    order = sorted(free, key=lambda cell: (counts[cell] - quotas[cell], -free[cell], cell))
    for cell in order[: rest - sum(counts.values())]:
        counts[cell] += 1
    return {cell: fixed.get(cell, counts.get(cell, 0)) for cell in shares}


def effective(shares: Mapping[Cell, Fraction], counts: Mapping[Cell, int]) -> float:
    """Return Kish's effective size, (Σw)²/Σw² over all cases, each of the weight share/count of its cell.

    Source: Kish, "Survey Sampling" (1965), section 11.7.
    """
    covered = [(float(share), counts[cell]) for cell, share in shares.items() if counts[cell]]
    return sum(share for share, _ in covered) ** 2 / sum(share**2 / count for share, count in covered)


def _planned(cell: Cell, share: Fraction, count: int, cases: int) -> PlannedCell:
    return PlannedCell(cell, float(share), count, float(share * cases / count) if count else 0.0)


def rows(made: EvalPlan) -> Sequence[tuple[str, str, str, str, int, str]]:
    """Return the plan as a table: surface, sizes above and up to, share, cases, weight. Empty sizes: no bound."""
    return [
        (
            one.cell.surface,
            f"{one.cell.above:.0f}" if one.cell.above else "",
            "" if one.cell.upto == float("inf") else f"{one.cell.upto:.0f}",
            f"{one.share:.6f}",
            one.cases,
            f"{one.weight:.6g}",
        )
        for one in made.cells
    ]
