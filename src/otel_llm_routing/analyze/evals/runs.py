"""The cases of an eval as they are weighed: every case once, with all its runs, and what is known of each run."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from otel_llm_routing.analyze.evals.production import NAMELESS
from otel_llm_routing.models import KNOWN_MATCHES, UNREPORTED, canonical, match

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_llm_routing.analyze.evals.cases import Case, CaseCall

LARGEST_SCORE = 1e12
"""Beyond it, as with infinity, a number is no score: sums of such are not finite."""


class ServedBy(NamedTuple):
    """What served a run of a case."""

    kind: Literal["model", "several", "unknown", "none"]
    """``several``: different models; ``unknown``: of a call nobody reported or confirmed it; ``none``: no telemetry."""
    model: str = ""
    """Of ``model``: the served model's ``canonical`` name."""


class Run(NamedTuple):
    """One run of a case."""

    score: float | None
    calls: tuple[CaseCall, ...]
    """All that are known."""
    own: tuple[CaseCall, ...]
    """Those for the case's surface: a call for another one, such as a judge's, says nothing of what was tested."""

    def served_by(self) -> ServedBy:
        """Return what served the run."""
        if not self.own:
            return ServedBy("none")
        served = [served_model(call) for call in self.own]
        if not all(served):
            return ServedBy("unknown")
        return ServedBy("model", served[0]) if len(set(served)) == 1 else ServedBy("several")


@dataclass(frozen=True, slots=True)
class Unit:
    """One case with all its runs."""

    id: str
    surface: str
    """Empty where nobody said."""
    size: float | None
    """Characters of the text of a request; of several calls the median. None: not known."""
    runs: tuple[Run, ...]
    place: str = ""

    @property
    def score(self) -> float | None:
        """The mean over the runs that have one; None: none has."""
        return mean_score(self.runs)

    @property
    def silent(self) -> bool:
        """Whether no call of it is known."""
        return not any(run.calls for run in self.runs)


def mean_score(runs: Iterable[Run]) -> float | None:
    """Return the mean of the scores that there are, or None."""
    scores = [run.score for run in runs if run.score is not None]
    return math.fsum(scores) / len(scores) if scores else None


def served_model(call: CaseCall) -> str:
    """Return the ``canonical`` name of the model that served the call; empty where it is not known."""
    if not call.served:
        return ""
    found = call.match or match(call.requested or None, call.provider or None, call.served)
    return canonical(call.served) if found in KNOWN_MATCHES else ""


def why_unknown(call: CaseCall) -> str:
    """Return the match of a call whose served model is not known: ``unreported`` or ``unconfirmed``."""
    if not call.served:
        return call.match if call.match and call.match not in KNOWN_MATCHES else UNREPORTED
    return call.match or match(call.requested or None, call.provider or None, call.served)


def named(surface: str) -> str:
    """Return the name of a surface, empty where it only says that nobody has named one."""
    text = surface.strip()
    return "" if text in NAMELESS else text


def units(cases: Iterable[Case]) -> list[Unit]:
    """Return every case once. Runs of one ``id`` on one surface are of one case; the order of the input is kept."""
    found: dict[str, dict[str, list[Case]]] = {}
    for number, case in enumerate(cases):
        identity = f"id:{case.id}" if case.id else f"place:{case.place or number}"
        found.setdefault(identity, {}).setdefault(surface_of(case), []).append(case)
    for of in found.values():
        # A run that failed before it made a call may not know the surface that the others know.
        if "" in of and len(of) == 2:  # noqa: PLR2004
            nameless = of.pop("")
            next(iter(of.values())).extend(nameless)
    return [_unit(surface, same) for of in found.values() for surface, same in of.items()]


def surface_of(case: Case) -> str:
    """Return the surface that a case is of: what it says, or what all its calls say."""
    if surface := named(case.surface):
        return surface
    said = {named(call.surface) for call in case.calls}
    return said.pop() if len(said) == 1 else ""


def _unit(surface: str, cases: Sequence[Case]) -> Unit:
    runs = tuple(
        Run(usable(case.score), case.calls, tuple(call for call in case.calls if named(call.surface) in ("", surface)))
        for case in cases
    )
    measured = [call.size for run in runs for call in run.own if call.size is not None and call.size >= 0]
    sizes = sorted(measured or [case.size for case in cases if case.size is not None and case.size >= 0])
    size = float(sizes[(len(sizes) - 1) // 2]) if sizes else None
    return Unit(cases[0].id, surface, size, runs, cases[0].place)


def usable(score: float | None) -> float | None:
    """Return ``score`` if it is a number that can be averaged."""
    return score if score is not None and math.isfinite(score) and abs(score) <= LARGEST_SCORE else None


def spellings(units_: Iterable[Unit]) -> dict[str, str]:
    """Return the most frequent spelling of every served model of an eval, by its ``canonical`` name."""
    counts: Counter[tuple[str, str]] = Counter(
        (model, call.served)
        for unit in units_
        for run in unit.runs
        for call in run.calls
        if (model := served_model(call))
    )
    found: dict[str, str] = {}
    for (model, name), _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        found.setdefault(model, name)
    return found
