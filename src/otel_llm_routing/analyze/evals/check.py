"""Does an eval look like production? Its cases by surface and size, and the models that served them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from otel_llm_routing.analyze.evals import check_sentences, distance
from otel_llm_routing.analyze.evals.check_sentences import Words
from otel_llm_routing.analyze.evals.limits import limits
from otel_llm_routing.analyze.evals.production import Cell
from otel_llm_routing.analyze.evals.runs import spellings, units
from otel_llm_routing.analyze.evals.served import ServedCheck, by_surface, why_not
from otel_llm_routing.analyze.evals.served import compare as compare_served
from otel_llm_routing.analyze.wording import many, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otel_llm_routing.analyze.evals.cases import Case
    from otel_llm_routing.analyze.evals.distance import Distance
    from otel_llm_routing.analyze.evals.production import Production, SurfaceTraffic
    from otel_llm_routing.analyze.evals.runs import Unit
    from otel_llm_routing.analyze.evals.served import Placed
    from otel_llm_routing.policy.schema import Policy

Kind = Literal["cells", "missing", "unplaced", "sizes", "served"]
NAMED = 3
"""Surfaces that an error names."""


class NotJudgedError(Exception):
    """The cases cannot be compared with this traffic; the message says why, and what to do."""


class Finding(NamedTuple):
    """One thing in which the eval is further from production than the limits allow, and than chance explains."""

    kind: Kind
    """``cells``: over surfaces and sizes; ``missing``: traffic without a case; ``unplaced``: cases without traffic;
    ``sizes``: of one surface; ``served``: the models that served one surface."""
    surface: str
    """Empty where it is about the eval as a whole."""
    distance: Distance
    sentence: str


@dataclass(frozen=True, slots=True)
class SurfaceCheck:
    """One surface of production."""

    surface: str
    requests: int
    cases: int
    traffic_share: float
    """Of the requests of all surfaces, 0 to 1."""
    eval_share: float
    """Of the cases that have a surface, 0 to 1."""
    sizes: Distance | None
    """Between the sizes of its cases and those of its requests; None: not compared, see ``sizes_unsaid``."""
    sizes_unsaid: str
    missing: float
    """The share of its own traffic that is of sizes without a case; 1 where it has no case."""
    served: ServedCheck | None
    """None: not compared, see ``served_unsaid``."""
    served_unsaid: str
    today: ServedCheck | None
    """The same against production's latest models, where these are given and known: a router may have moved."""
    findings: tuple[Finding, ...]
    """Those about this surface. None, and it has cases: in what was compared, its eval is near enough to traffic."""


class CellCheck(NamedTuple):
    """One cell: a surface and a bucket of sizes."""

    cell: Cell
    traffic_share: float
    eval_share: float
    cases: int

    @property
    def gap(self) -> float:
        """The eval's share less that of traffic."""
        return self.eval_share - self.traffic_share


@dataclass(frozen=True, slots=True)
class Checked:
    """An eval compared with production."""

    start: float
    end: float
    requests: int
    cases: int
    """Each once, however often it ran."""
    runs: int
    no_surface: int
    """Cases that name no surface; they are compared with nothing."""
    unseen: Mapping[str, int]
    """Cases of surfaces that have no requests, by surface."""
    unsized: int
    """Cases of surfaces with requests whose size nobody knows; they count for the surface alone."""
    silent: int
    """Cases of which no call is known: there is no telemetry of them."""
    cells_distance: Distance
    surfaces_distance: float
    """Over surfaces alone."""
    missing: Distance
    unplaced: Distance
    surfaces: tuple[SurfaceCheck, ...]
    """All surfaces with requests, the busiest first."""
    cells: tuple[CellCheck, ...]
    """The largest gap first."""
    findings: tuple[Finding, ...]
    """The furthest beyond its limit first. None: the eval is near enough to production."""
    notes: tuple[str, ...]
    """What was not compared and why, one sentence each."""

    @property
    def judged(self) -> bool:
        """Whether calm means anything: with few cases, an eval far away from production may be so by chance."""
        return bool(self.findings) or not self.cells_distance.too_few

    def surface(self, name: str) -> SurfaceCheck | None:
        """Return what there is to say of one surface; None where it has no requests."""
        return next((one for one in self.surfaces if one.surface == name), None)


def check(
    cases: Iterable[Case], production: Production, policy: Policy | None = None, today: Production | None = None
) -> Checked:
    """Compare ``cases`` with ``production``, by the limits of ``policy``.

    ``today`` is the last part of it: what served the eval is compared with what serves there as well. Raises
    ``NotJudgedError``.
    """
    return _Check(units(cases), production, policy, today).result()


class _Check:
    def __init__(
        self, found: list[Unit], production: Production, policy: Policy | None, today: Production | None
    ) -> None:
        self._units = found
        self._production = production
        self._shares = production.shares()
        self._policy = policy
        self._today = today.surfaces if today else {}
        self._names = {**spellings(found), **production.names}
        self._by_surface: dict[str, list[Unit]] = defaultdict(list)
        for unit in found:
            if unit.surface:
                self._by_surface[unit.surface].append(unit)
        self._calls = by_surface(found)
        self._placed = sum(map(len, self._by_surface.values()))
        self._unseen = {
            name: len(of) for name, of in sorted(self._by_surface.items()) if name not in production.surfaces
        }
        self._refuse()
        self._counts = {name: self._cells(name) for name in [*production.surfaces, *self._unseen]}

    def _refuse(self) -> None:
        if not self._units:
            raise NotJudgedError("there is no case")
        if not self._production.surfaces:
            raise NotJudgedError(no_traffic(self._production))
        if not self._placed:
            msg = f"none of {many(len(self._units), 'case')} names a surface; write it into them, or say where it is"
            raise NotJudgedError(msg)
        if len(self._unseen) == len(self._by_surface):
            of, has = _listed(self._unseen), _listed(self._production.surfaces)
            msg = f"no surface is in both: the cases are of {of}, and production is of {has}"
            raise NotJudgedError(msg)

    def _cells(self, surface: str) -> _Cells:
        """Return the cells of a surface; it is one cell where its cases cannot be told apart by size."""
        of, cases = self._production.surfaces.get(surface), self._by_surface.get(surface, [])
        sized = [unit.size for unit in cases if unit.size is not None]
        if of is None or not of.sizes or not sized:
            cell = Cell(surface, 0, math.inf)
            return _Cells({cell: of.requests} if of else {}, {cell: len(cases)} if cases else {}, 1.0, len(cases))
        cells = of.cells()
        counts = Counter(cells[of.bucket(size)][0] for size in sized)
        return _Cells(
            {cell: float(share * of.requests) for cell, share in cells if share},
            counts,
            len(cases) / len(sized),
            len(sized),
        )

    def result(self) -> Checked:
        """Return all there is to say."""
        traffic = {cell: count for of in self._counts.values() for cell, count in of.traffic.items()}
        cases = {cell: count * of.factor for of in self._counts.values() for cell, count in of.cases.items()}
        effective = sum(of.told for of in self._counts.values())
        limit = limits(self._policy)
        no_surface = len(self._units) - self._placed
        surfaces = tuple(self._surface(of) for of in self._production.surfaces.values())
        checked = Checked(
            start=self._production.start,
            end=self._production.end,
            requests=self._production.requests,
            cases=len(self._units),
            runs=sum(len(unit.runs) for unit in self._units),
            no_surface=no_surface,
            unseen=self._unseen,
            unsized=sum(unit.size is None for unit in self._units if unit.surface in self._production.surfaces),
            silent=sum(unit.silent for unit in self._units),
            cells_distance=distance.compare(cases, traffic, limit.distance, effective),
            surfaces_distance=distance.total_variation(
                distance.shares({name: len(of) for name, of in self._by_surface.items()}),
                self._shares,
            ),
            missing=distance.missing(cases, traffic, limit.missing),
            unplaced=distance.Distance(
                (no_surface + sum(self._unseen.values())) / len(self._units), 0.0, limit.unplaced
            ),
            surfaces=surfaces,
            cells=self._rows(traffic, cases),
            findings=(),
            notes=(),
        )
        words = Words(checked, self._production, [unit for unit in self._units if not unit.surface])
        whole: list[tuple[Kind, Distance, str]] = [
            ("cells", checked.cells_distance, words.cells()),
            ("missing", checked.missing, words.missing()),
            ("unplaced", checked.unplaced, words.unplaced()),
        ]
        findings = [Finding(kind, "", of, sentence) for kind, of, sentence in whole if of.beyond]
        findings += [finding for one in surfaces for finding in one.findings]
        findings.sort(key=lambda finding: finding.distance.limit - finding.distance.value)
        return replace(checked, findings=tuple(findings), notes=tuple(words.notes()))

    def _rows(self, traffic: Mapping[Cell, float], cases: Mapping[Cell, float]) -> tuple[CellCheck, ...]:
        requests = self._production.requests
        rows = [
            CellCheck(
                cell,
                traffic.get(cell, 0.0) / requests,
                cases.get(cell, 0.0) / self._placed,
                int(self._counts[cell.surface].cases.get(cell, 0)),
            )
            for cell in {**traffic, **cases}
        ]
        return tuple(sorted(rows, key=lambda row: (-abs(row.gap), row.cell)))

    def _surface(self, of: SurfaceTraffic) -> SurfaceCheck:
        name, cells, cases = of.surface, self._counts[of.surface], self._by_surface.get(of.surface, [])
        limit = limits(self._policy, name)
        sizes, unsaid = None, ""
        if not cases:
            unsaid = "it has no case"
        elif not of.sizes:
            unsaid = "the source has no sizes of its requests"
        elif not any(unit.size is not None for unit in cases):
            unsaid = "the size of none of its cases is known"
        else:
            sizes = distance.compare(cells.cases, cells.traffic, limit.distance)
        calls = self._calls.get(name, [])
        reason = why_not(calls, of)
        served = None if reason else compare_served(calls, of, self._names, limit.served_distance)
        checked = SurfaceCheck(
            surface=name,
            requests=of.requests,
            cases=len(cases),
            traffic_share=self._shares[name],
            eval_share=len(cases) / self._placed,
            sizes=sizes,
            sizes_unsaid=unsaid,
            missing=sum(n for cell, n in cells.traffic.items() if not cells.cases.get(cell)) / of.requests,
            served=served,
            served_unsaid=reason,
            today=self._served_today(calls, name, limit.served_distance),
            findings=(),
        )
        return replace(checked, findings=tuple(self._found(checked)))

    def _served_today(self, calls: Sequence[Placed], surface: str, limit: float) -> ServedCheck | None:
        of = self._today.get(surface)
        return None if of is None or why_not(calls, of) else compare_served(calls, of, self._names, limit)

    def _found(self, of: SurfaceCheck) -> Iterator[Finding]:
        """Yield what is beyond the limits of a surface."""
        cells = self._counts[of.surface]
        if of.sizes is not None and of.sizes.beyond:
            said = check_sentences.sizes(of.surface, of.sizes, cells.traffic, cells.cases)
            yield Finding("sizes", of.surface, of.sizes, said)
        beyond = [one for one in (of.served, of.today) if one is not None and one.distance.beyond]
        if beyond:
            most = max(beyond, key=lambda one: one.distance.value)
            said = check_sentences.served(of.surface, most, most is not of.served)
            yield Finding("served", of.surface, most.distance, said)


class _Cells(NamedTuple):
    """One surface by size."""

    traffic: Mapping[Cell, float]
    """Requests."""
    cases: Mapping[Cell, int]
    """Those whose cell is known."""
    factor: float
    """How many cases each of these stands for: those without a size are taken to be like the others."""
    told: int
    """How many these are."""


def no_traffic(production: Production) -> str:
    """Say why there is no production to compare with."""
    if production.nameless:
        return f"none of {many(production.nameless, 'request')} names a surface; docs/surfaces.md says how to name them"
    return "there are no requests in that time"


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(quoted(name) for name in listed[:NAMED]) + more
