"""Which models served an eval's calls for a surface, against those that serve production's."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.evals import distance
from otel_llm_routing.analyze.evals.runs import named, served_model, why_unknown
from otel_llm_routing.analyze.wording import many

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_llm_routing.analyze.evals.cases import CaseCall
    from otel_llm_routing.analyze.evals.distance import Distance
    from otel_llm_routing.analyze.evals.production import SurfaceTraffic
    from otel_llm_routing.analyze.evals.runs import Unit

LEAST_COVERED = 0.8
"""Of the eval's calls, that must be of a size that production has known models of, to say what it has at such sizes."""


class ServedCheck(NamedTuple):
    """What served the eval's calls for a surface, and what served production's."""

    distance: Distance
    eval: Mapping[str, float]
    """Share of each served model in the eval's calls with a known one, by its usual spelling; the largest first."""
    production: Mapping[str, float]
    """The same of production's requests."""
    calls: int
    """Calls of the eval with a known served model."""
    unknown: Mapping[str, int]
    """Calls of the eval whose served model is not known, by their match."""
    production_unknown: float
    """The share of production's requests whose served model is not known."""
    at_eval_sizes: Mapping[str, float] | None
    """Production's shares if its requests had the sizes of the eval's calls; None: cannot be said."""
    requested: Mapping[str, int]
    """What the eval's calls asked for; empty where nobody said."""
    production_requested: Mapping[str, int]


class Placed(NamedTuple):
    """A call, and the case that made it."""

    case: int
    size: float | None
    call: CaseCall


def by_surface(units: Iterable[Unit]) -> dict[str, list[Placed]]:
    """Return the calls for each surface, also those of cases that stand for another one."""
    found: dict[str, list[Placed]] = defaultdict(list)
    for number, unit in enumerate(units):
        for run in unit.runs:
            for call in run.calls:
                size = unit.size if call.size is None else call.size
                found[named(call.surface) or unit.surface].append(Placed(number, size, call))
    return found


def why_not(calls: Sequence[Placed], of: SurfaceTraffic) -> str:
    """Say why what served the ``calls`` for a surface cannot be compared; empty: it can."""
    if not calls:
        return "no call of its cases is known"
    if not any(served_model(one.call) for one in calls):
        return f"the served model is known of none of its {many(len(calls), 'call')}"
    return "" if of.known else "the served model is known of none of its requests"


def compare(calls: Sequence[Placed], of: SurfaceTraffic, names: Mapping[str, str], limit: float) -> ServedCheck:
    """Compare what served the ``calls`` for a surface with what serves its requests; see ``why_not``."""
    known = [one for one in calls if served_model(one.call)]
    counts = Counter(served_model(one.call) for one in known)
    # Calls of one case are alike: Kish's effective size, of as many cases as there are.
    each = Counter(one.case for one in known).values()
    effective = len(known) ** 2 / sum(n * n for n in each)
    return ServedCheck(
        distance=distance.compare(counts, of.served, limit, effective),
        eval=_named(distance.shares(counts), names),
        production=_named(of.mix(), names),
        calls=len(known),
        unknown=_ordered(Counter(why_unknown(one.call) for one in calls if not served_model(one.call))),
        production_unknown=of.unknown / of.requests,
        at_eval_sizes=_at_sizes(known, of, names),
        requested=_ordered(Counter(one.call.requested for one in calls)),
        production_requested=_ordered(of.requested),
    )


def _at_sizes(known: Sequence[Placed], of: SurfaceTraffic, names: Mapping[str, str]) -> dict[str, float] | None:
    """Return the mix that production's models would have at the sizes of these calls."""
    mixed: dict[str, float] = defaultdict(float)
    told = 0
    if not of.sizes:
        return None
    for bucket, calls in Counter(of.bucket(one.size) for one in known if one.size is not None).items():
        if served := of.served_by_size[bucket]:
            told += calls
            for model, share in distance.shares(served).items():
                mixed[model] += calls * share
    return _named(distance.shares(mixed), names) if told >= LEAST_COVERED * len(known) else None


def _named(shares: Mapping[str, float], names: Mapping[str, str]) -> dict[str, float]:
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return {names.get(model, model): share for model, share in ordered}


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
