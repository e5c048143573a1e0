"""What an eval scores if its cases count as much as the traffic that they stand for, and under which model mix."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.evals.check import NotJudgedError, no_traffic
from otel_llm_routing.analyze.evals.estimate import Estimate, Observed, Stratum, estimate
from otel_llm_routing.analyze.evals.runs import ServedBy, mean_score, spellings, units
from otel_llm_routing.analyze.evals.strata import spread
from otel_llm_routing.analyze.wording import many

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_llm_routing.analyze.evals.cases import Case
    from otel_llm_routing.analyze.evals.mixes import Mix
    from otel_llm_routing.analyze.evals.production import Production, SurfaceTraffic
    from otel_llm_routing.analyze.evals.runs import Unit

LEAST_COVERED = 0.95
"""Of the traffic under a mix, for which there must be cases, for a score to be given."""


class Slice(NamedTuple):
    """The runs that one model served, or of which it is not known."""

    served: ServedBy
    name: str
    """The model's usual spelling; empty where it is no model."""
    cases: int
    """With a score. A case whose runs were served by several models is in several slices."""
    runs: int
    """With a score; every one is in one slice."""
    unweighted: Estimate
    """The plain mean over its cases."""
    weighted: Estimate
    """As if it had served all requests of the surface, of whatever size; of the whole eval the plain mean."""


@dataclass(frozen=True, slots=True)
class SurfaceScore:
    """One surface of production."""

    surface: str
    traffic_share: float
    cases: int
    """With a score."""
    weighted: Estimate | None
    """None: none of its cases has a score."""
    unweighted: Estimate | None
    borrowed: float
    """The share of its traffic that is of sizes without a scored case: its other cases stand for it."""
    idle: int
    """Scored cases of sizes that no request has; they count nothing."""
    unsized: int
    """Scored cases whose size is not known."""
    unknown: float
    """The share of its requests whose served model is not known."""
    slices: tuple[Slice, ...]


class Gap(NamedTuple):
    """A part of a mix of which nothing can be said: no case ran on that model."""

    surface: str
    model: str
    """Its usual spelling; empty: the mix of the surface itself is not known."""
    share: float
    """Of the surface's requests."""
    traffic_share: float
    """Of all requests."""


class MixScore(NamedTuple):
    """What the score would be under a mix."""

    mix: str
    score: Estimate | None
    """Over the traffic that can be said; None: that is less than 95 % of it."""
    covered: float
    """The share of traffic that can be said: served by models that cases ran on."""
    lowest: float | None
    """Whatever the rest would score; None: scores are not from 0 to 1, or nothing can be said."""
    highest: float | None
    gaps: tuple[Gap, ...]
    """The rest, the largest first."""
    surfaces: Mapping[str, Estimate | None]
    """The same of each surface."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An eval's scores."""

    start: float
    end: float
    requests: int
    cases: int
    """Each once, however often it ran."""
    scored: int
    no_surface: int
    """Scored cases that name no surface: they are in ``unweighted`` alone."""
    unseen: Mapping[str, int]
    """Scored cases of surfaces that have no requests, by surface: as above."""
    silent: int
    """Scored cases of which no call is known."""
    weighted: Estimate
    """Over the surfaces that have scored cases, by their traffic."""
    unweighted: Estimate
    """The plain mean over all cases with a score, which an eval usually reports."""
    uncovered: Mapping[str, float]
    """Surfaces without a scored case, and their share of traffic; ``weighted`` does not speak for them."""
    borrowed: float
    """The share of all traffic that is of sizes without a scored case, on surfaces that have some."""
    bounded: bool
    """Whether all scores are from 0 to 1."""
    surfaces: tuple[SurfaceScore, ...]
    """The busiest first."""
    slices: tuple[Slice, ...]
    """Of the whole eval."""
    mixes: tuple[MixScore, ...]
    warnings: tuple[str, ...]

    @property
    def covered(self) -> float:
        """The share of traffic that ``weighted`` speaks for."""
        return 1 - sum(self.uncovered.values())


def score(cases: Iterable[Case], production: Production, mixes: Sequence[Mix] = ()) -> Scored:
    """Score ``cases`` as ``production`` weighs them, and under each of ``mixes``. Raises ``NotJudgedError``."""
    return _Score(units(cases), production, mixes).result()


class _Score:
    def __init__(self, found: list[Unit], production: Production, mixes: Sequence[Mix]) -> None:
        self._production = production
        self._shares = production.shares()
        self._all = found
        self._mixes = mixes
        self._scores = {number: of for number, unit in enumerate(found) if (of := unit.score) is not None}
        self._bounded = all(run.score is None or 0 <= run.score <= 1 for unit in found for run in unit.runs)
        self._by_surface: dict[str, list[int]] = defaultdict(list)
        for number in self._scores:
            self._by_surface[found[number].surface].append(number)
        self._names = {**spellings(found)}
        for mix in mixes:
            self._names |= mix.names
        self._names |= production.names
        self._refuse()
        self._served = {number: _served(number, found[number]) for number in self._scores}

    def _refuse(self) -> None:
        if not self._all:
            raise NotJudgedError("there is no case")
        if not self._scores:
            msg = f"none of {many(len(self._all), 'case')} has a score; write one into them, or say where it is"
            raise NotJudgedError(msg)
        if not self._production.surfaces:
            raise NotJudgedError(no_traffic(self._production))
        if not self._by_surface.keys() & self._production.surfaces.keys():
            of = ", ".join(repr(name) for name in list(self._by_surface)[:3] if name) or "no surface"
            has = ", ".join(repr(name) for name in list(self._production.surfaces)[:3])
            msg = f"no scored case is of a surface that has requests: the cases are of {of}, production is of {has}"
            raise NotJudgedError(msg)

    def result(self) -> Scored:
        """Return all there is to say."""
        production = self._production
        surfaces, strata = [], []
        for of in production.surfaces.values():
            one, parts = self._surface(of)
            surfaces.append(one)
            strata += parts
        weighted = estimate(strata, self._bounded)
        plain = self._plain(self._observed(self._scores))
        if weighted is None or plain is None:  # pragma: no cover  (refused before)
            raise NotJudgedError("no scored case is of a surface that has requests")
        return Scored(
            start=production.start,
            end=production.end,
            requests=production.requests,
            cases=len(self._all),
            scored=len(self._scores),
            no_surface=len(self._by_surface.get("", ())),
            unseen={
                name: len(of)
                for name, of in sorted(self._by_surface.items())
                if name and name not in production.surfaces
            },
            silent=sum(self._all[number].silent for number in self._scores),
            weighted=weighted,
            unweighted=plain,
            uncovered={one.surface: one.traffic_share for one in surfaces if one.weighted is None},
            borrowed=sum(one.borrowed * one.traffic_share for one in surfaces),
            bounded=self._bounded,
            surfaces=tuple(surfaces),
            slices=self._slices(self._scores, None),
            mixes=tuple(self._under(mix) for mix in self._mixes),
            warnings=production.warnings,
        )

    def _observed(self, numbers: Iterable[int]) -> list[Observed]:
        return [Observed(number, self._scores[number], self._all[number].size) for number in numbers]

    def _plain(self, observed: Sequence[Observed]) -> Estimate | None:
        return estimate([Stratum("", 1.0, observed)] if observed else [], self._bounded)

    def _surface(self, of: SurfaceTraffic) -> tuple[SurfaceScore, list[Stratum]]:
        numbers = self._by_surface.get(of.surface, [])
        observed = self._observed(numbers)
        share = self._shares[of.surface]
        found = spread(of, share, _sizes(of), observed) if observed else None
        strata = found.strata if found else []
        return (
            SurfaceScore(
                surface=of.surface,
                traffic_share=share,
                cases=len(observed),
                weighted=estimate(strata, self._bounded),
                unweighted=self._plain(observed),
                borrowed=found.borrowed if found else 0.0,
                idle=found.idle if found else 0,
                unsized=sum(one.size is None for one in observed),
                unknown=of.unknown / of.requests,
                slices=self._slices(numbers, of),
            ),
            strata,
        )

    # By what served ---------------------------------------------------------------------------------------------------

    def _slices(self, numbers: Iterable[int], of: SurfaceTraffic | None) -> tuple[Slice, ...]:
        runs: dict[ServedBy, int] = defaultdict(int)
        observed: dict[ServedBy, list[Observed]] = defaultdict(list)
        for number in numbers:
            for served, (one, count) in self._served[number].items():
                observed[served].append(one)
                runs[served] += count
        slices = []
        for served, found in observed.items():
            plain = self._plain(found)
            weighted = estimate(spread(of, 1.0, _sizes(of), found).strata, self._bounded) if of else plain
            if plain is not None and weighted is not None:
                slices.append(Slice(served, self._name(served.model), len(found), runs[served], plain, weighted))
        return tuple(sorted(slices, key=lambda one: (one.served.kind != "model", -one.runs, one.served)))

    def _name(self, model: str) -> str:
        return self._names.get(model, model)

    # Under a mix ------------------------------------------------------------------------------------------------------

    def _under(self, mix: Mix) -> MixScore:
        strata: list[Stratum] = []
        gaps: list[Gap] = []
        surfaces: dict[str, Estimate | None] = {}
        for of in self._production.surfaces.values():
            mine, missing = self._surface_under(of, mix)
            gaps += missing
            strata += mine
            said = 1 - sum(gap.share for gap in missing)
            surfaces[of.surface] = estimate(mine, self._bounded) if said >= LEAST_COVERED else None
        gaps.sort(key=lambda gap: (-gap.traffic_share, gap))
        covered = min(max(1 - sum(gap.traffic_share for gap in gaps), 0.0), 1.0) if strata else 0.0
        found = estimate(strata, self._bounded)
        lowest = covered * found.score if found and self._bounded else None
        return MixScore(
            mix.name,
            found if covered >= LEAST_COVERED else None,
            covered,
            lowest,
            None if lowest is None else lowest + 1 - covered,
            tuple(gaps),
            surfaces,
        )

    def _surface_under(self, of: SurfaceTraffic, mix: Mix) -> tuple[list[Stratum], list[Gap]]:
        """Return the strata of a surface by model and size, and the models of the mix that no case ran on."""
        traffic_share = self._shares[of.surface]
        shares = mix.surfaces.get(of.surface)
        if not shares:
            return [], [Gap(of.surface, "", 1.0, traffic_share)]
        sizes = _sizes(of)
        by_size = shares if len(shares) == len(sizes) else [shares[0]] * len(sizes)
        observed: dict[str, list[Observed]] = defaultdict(list)
        for number in self._by_surface.get(of.surface, ()):
            for served, (one, _) in self._served[number].items():
                if served.kind == "model":
                    observed[served.model].append(one)
        strata: list[Stratum] = []
        gaps: list[Gap] = []
        for model in sorted({model for one in by_size for model in one}):
            parts = [size * one.get(model, 0.0) for size, one in zip(sizes, by_size, strict=True)]
            if (share := sum(parts)) <= 0:
                continue
            if model in observed:
                weight = traffic_share * share
                strata += spread(of, weight, [part / share for part in parts], observed[model]).strata
            else:
                gaps.append(Gap(of.surface, self._name(model), share, share * traffic_share))
        return strata, gaps


def _served(number: int, unit: Unit) -> dict[ServedBy, tuple[Observed, int]]:
    """Return the mean score of a case's runs by what served them, and how many these are."""
    runs = defaultdict(list)
    for run in unit.runs:
        if run.score is not None:
            runs[run.served_by()].append(run)
    return {
        served: (Observed(number, mean, unit.size), len(found))
        for served, found in runs.items()
        if (mean := mean_score(found)) is not None
    }


def _sizes(of: SurfaceTraffic) -> list[float]:
    """Return the share of each bucket in the requests of a surface."""
    return [float(share) for _, share in of.cells()]
