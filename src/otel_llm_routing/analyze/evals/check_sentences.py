"""What ``evals check`` says in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.evals.distance import total_variation
from otel_llm_routing.analyze.wording import many, percent, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otel_llm_routing.analyze.evals.check import Checked, SurfaceCheck
    from otel_llm_routing.analyze.evals.distance import Distance
    from otel_llm_routing.analyze.evals.production import Cell, Production
    from otel_llm_routing.analyze.evals.runs import Unit
    from otel_llm_routing.analyze.evals.served import ServedCheck

NAMED = 3
"""Cells, surfaces or cases that a sentence names."""
MOST_OF = 0.5
"""Of the whole distance: from here on the one over surfaces alone explains it."""


def cell(of: Cell) -> str:
    """Return a cell's name."""
    return f"{quoted(of.surface)}, {of.sizes}{' characters' if of.sizes != 'any size' else ''}"


def allowed(of: Distance, what: str = "cases") -> str:
    """Say what a distance is compared with."""
    chance = f"; with so few {what} chance alone gives up to {percent(of.chance)}" if of.chance > of.limit else ""
    return f"(limit {percent(of.limit)}{chance})"


def sizes(surface: str, of: Distance, traffic: Mapping[Cell, float], cases: Mapping[Cell, int]) -> str:
    """Say how the sizes of a surface's cases differ from those of its requests."""
    n, requests = sum(cases.values()), sum(traffic.values())
    gaps = {one: cases.get(one, 0) / n - traffic.get(one, 0.0) / requests for one in {**traffic, **cases}}
    most = min(gaps, key=lambda one: (-abs(gaps[one]), one))
    return (
        f"{percent(of.value)} of the cases of {quoted(surface)} would have to be of other sizes {allowed(of)}: "
        f"{most.sizes} characters is {percent(traffic.get(most, 0.0) / requests)} of its "
        f"traffic and {percent(cases.get(most, 0) / n)} of its cases."
    )


def served(surface: str, of: ServedCheck, today: bool = False) -> str:
    """Say how the models that served the eval differ from production's, and whether sizes explain it."""
    models = {**of.production, **of.eval}
    most = min(models, key=lambda name: (of.production.get(name, 0.0) - of.eval.get(name, 0.0), name))
    said = (
        f"On {quoted(surface)} the eval saw {quoted(most)} for {percent(of.eval.get(most, 0.0))} of its calls, "
        f"production{' lately' if today else ''} for {percent(of.production.get(most, 0.0))} of its requests "
        f"{allowed(of.distance, 'calls')}."
    )
    asked, asks = set(of.requested), set(of.production_requested)
    if asked and asks and not asked & asks and "" not in asked | asks:
        asks_for = _listed(of.production_requested)
        return f"{said} The eval asked for {_listed(of.requested)}, production asks for {asks_for}."
    if of.at_eval_sizes is not None:
        share = percent(of.at_eval_sizes.get(most, 0.0))
        explained = total_variation(of.eval, of.at_eval_sizes) <= max(of.distance.limit, of.distance.chance)
        said += (
            f" The sizes of the cases explain it: at their sizes production has {share}."
            if explained
            else f" The sizes of the cases do not explain it: at their sizes production has {share}."
        )
    return said


class Words:
    """What there is to say of an eval as a whole."""

    def __init__(self, checked: Checked, production: Production, nameless: Sequence[Unit]) -> None:
        self._checked = checked
        self._production = production
        self._nameless = nameless

    def cells(self) -> str:
        """Say how far the cases are from traffic, and where most."""
        of = self._checked
        said = (
            f"{percent(of.cells_distance.value)} of the cases would have to be of other surfaces or sizes "
            f"{allowed(of.cells_distance)}: "
        )
        shares = {one.surface: (one.traffic_share, one.eval_share) for one in of.surfaces}
        shares |= {name: (0.0, count / (of.cases - of.no_surface)) for name, count in of.unseen.items()}
        if of.surfaces_distance >= MOST_OF * of.cells_distance.value:
            most = min(shares, key=lambda name: (-abs(shares[name][1] - shares[name][0]), name))
            traffic, cases = map(percent, shares[most])
            return f"{said}{quoted(most)} is {traffic} of traffic and {cases} of the eval."
        row = of.cells[0]
        traffic, cases = percent(row.traffic_share), percent(row.eval_share)
        return f"{said}{cell(row.cell)}: {traffic} of traffic and {cases} of the eval."

    def missing(self) -> str:
        """Say which traffic has no case."""
        of = self._checked
        empty = sorted((row for row in of.cells if not row.cases and row.traffic_share), key=lambda row: row.gap)
        listed = "; ".join(f"{cell(row.cell)} ({percent(row.traffic_share)})" for row in empty[:NAMED])
        more = f"; and {len(empty) - NAMED} more" if len(empty) > NAMED else ""
        return (
            f"{percent(of.missing.value)} of traffic is of surfaces and sizes without a case {allowed(of.missing)}: "
            f"{listed}{more}."
        )

    def unplaced(self) -> str:
        """Say which cases belong to no traffic."""
        of = self._checked
        return (
            f"{percent(of.unplaced.value)} of the cases stand for no traffic (limit {percent(of.unplaced.limit)}): "
            f"{of.no_surface:,} name no surface, {sum(of.unseen.values()):,} name one that has no requests."
        )

    def notes(self) -> Iterator[str]:
        """Yield what was not compared, and why."""
        of, production = self._checked, self._production
        for warning in production.warnings:
            yield f"The source answered in part: {warning}"
        if production.nameless:
            share = production.nameless / (production.nameless + production.requests)
            yield f"{percent(share)} of all requests name no surface; they are compared with nothing."
        if self._nameless:
            places = [unit.place or unit.id for unit in self._nameless]
            yield f"{many(len(places), 'case')} without a surface: {_listed(places)}."
        if of.unseen:
            listed = _listed([f"{name} ({count})" for name, count in of.unseen.items()])
            yield f"No requests are of these surfaces of the cases: {listed}."
        if without := production.without_sizes():
            yield f"The source has no sizes of the requests of {_listed(without)}; they are compared as a whole."
        if of.unsized:
            yield f"Of {many(of.unsized, 'case')} the size is not known; they count for their surface alone."
        if of.silent == of.cases:
            yield "No case has telemetry: which models served them is not known, and is not compared."
        elif of.silent:
            yield f"{of.silent:,} of {many(of.cases, 'case')} have no telemetry: what served them is not known."
        for what, one in (("surfaces and sizes", of.cells_distance), ("traffic without a case", of.missing)):
            if one.too_few:
                yield (
                    f"Of {what}, {many(of.cases, 'case')} are too few to judge: {percent(one.value)} is above the "
                    f"limit of {percent(one.limit)}, and chance alone gives up to {percent(one.chance)}."
                )
        for surface in of.surfaces:
            yield from _of_surface(surface)


def _of_surface(of: SurfaceCheck) -> Iterator[str]:
    name = quoted(of.surface)
    if not of.cases:
        yield f"{name} has no case; it is {percent(of.traffic_share)} of traffic."
        return
    if of.sizes is not None and of.sizes.too_few:
        yield (
            f"The {many(of.cases, 'case')} of {name} are too few to judge their sizes: {percent(of.sizes.value)} would "
            f"have to be of other sizes, and chance alone gives up to {percent(of.sizes.chance)}."
        )
    if of.served is None:
        yield f"What served {name} is not compared: {of.served_unsaid}."
        return
    if unknown := sum(of.served.unknown.values()):
        reasons = ", ".join(f"{match} {count:,}" for match, count in of.served.unknown.items())
        yield (
            f"Of {many(unknown, 'call')} of the eval for {name} the served model is not known ({reasons}), of "
            f"{many(of.served.calls, 'call')} it is."
        )
    if of.served.distance.too_few:
        yield (
            f"The calls for {name} are too few to judge what served them: the distance is "
            f"{percent(of.served.distance.value)}, and chance alone gives up to {percent(of.served.distance.chance)}."
        )


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - NAMED:,} more" if len(listed) > NAMED else ""
    return ", ".join(quoted(name) for name in listed[:NAMED]) + more
