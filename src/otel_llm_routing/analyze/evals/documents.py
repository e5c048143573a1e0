"""What the commands print for scripts; ``docs/evals.md`` says what every field means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_llm_routing.analyze.evals.check import Checked, Finding, SurfaceCheck
    from otel_llm_routing.analyze.evals.distance import Distance
    from otel_llm_routing.analyze.evals.estimate import Estimate
    from otel_llm_routing.analyze.evals.plan import EvalPlan
    from otel_llm_routing.analyze.evals.production import Cell, Production
    from otel_llm_routing.analyze.evals.score import MixScore, Scored, Slice, SurfaceScore
    from otel_llm_routing.analyze.evals.served import ServedCheck


def of_plan(made: EvalPlan) -> dict[str, Any]:
    """Return the document of a plan."""
    return {
        "schema": "otel-llm-routing/evals-plan/v1",
        **_range(made),
        "requests": made.requests,
        "requests_without_surface": made.nameless,
        "cases": made.cases,
        "minimum": made.minimum,
        "least_share": made.least,
        "uncovered": made.uncovered,
        "effective_cases": made.effective,
        "effective_cases_without_minimum": made.effective_without,
        "design_effect": made.design_effect,
        "surfaces_without_sizes": list(made.without_sizes),
        "partial": list(made.warnings),
        "cells": [
            {**_cell(one.cell), "share": one.share, "cases": one.cases, "weight": one.weight} for one in made.cells
        ],
    }


def of_check(checked: Checked, production: Production) -> dict[str, Any]:
    """Return the document of a comparison."""
    return {
        "schema": "otel-llm-routing/evals-check/v1",
        **_range(checked),
        "requests": checked.requests,
        "requests_without_surface": production.nameless,
        "cases": checked.cases,
        "runs": checked.runs,
        "cases_without_surface": checked.no_surface,
        "cases_of_unseen_surfaces": dict(checked.unseen),
        "cases_without_size": checked.unsized,
        "cases_without_telemetry": checked.silent,
        "fine": checked.judged and not checked.findings,
        "judged": checked.judged,
        "distance": _distance(checked.cells_distance),
        "surfaces_distance": checked.surfaces_distance,
        "missing": _distance(checked.missing),
        "unplaced": _distance(checked.unplaced),
        "findings": [_finding(one) for one in checked.findings],
        "notes": list(checked.notes),
        "partial": list(production.warnings),
        "surfaces": [_checked_surface(one) for one in checked.surfaces],
        "cells": [
            {
                **_cell(one.cell),
                "traffic_share": one.traffic_share,
                "eval_share": one.eval_share,
                "gap": one.gap,
                "cases": one.cases,
            }
            for one in checked.cells
        ],
    }


def _checked_surface(one: SurfaceCheck) -> dict[str, Any]:
    return {
        "surface": one.surface,
        "requests": one.requests,
        "cases": one.cases,
        "traffic_share": one.traffic_share,
        "eval_share": one.eval_share,
        "sizes": None if one.sizes is None else _distance(one.sizes),
        "sizes_unsaid": one.sizes_unsaid or None,
        "missing": one.missing,
        "served": _served(one.served),
        "served_unsaid": one.served_unsaid or None,
        "served_today": _served(one.today),
        "findings": [_finding(finding) for finding in one.findings],
    }


def _served(of: ServedCheck | None) -> dict[str, Any] | None:
    if of is None:
        return None
    return {
        **_distance(of.distance),
        "eval": dict(of.eval),
        "production": dict(of.production),
        "calls": of.calls,
        "unknown_calls": dict(of.unknown),
        "production_unknown": of.production_unknown,
        "production_at_eval_sizes": None if of.at_eval_sizes is None else dict(of.at_eval_sizes),
        "requested": dict(of.requested),
        "production_requested": dict(of.production_requested),
    }


def of_score(scored: Scored) -> dict[str, Any]:
    """Return the document of the scores."""
    return {
        "schema": "otel-llm-routing/evals-score/v1",
        **_range(scored),
        "requests": scored.requests,
        "cases": scored.cases,
        "scored": scored.scored,
        "scored_without_surface": scored.no_surface,
        "scored_of_unseen_surfaces": dict(scored.unseen),
        "scored_without_telemetry": scored.silent,
        "score": _estimate(scored.weighted),
        "unweighted": _estimate(scored.unweighted),
        "covered": scored.covered,
        "uncovered": dict(scored.uncovered),
        "borrowed": scored.borrowed,
        "partial": list(scored.warnings),
        "surfaces": [_scored_surface(one) for one in scored.surfaces],
        "served": _slices(scored.slices),
        "mixes": [_mix(one) for one in scored.mixes],
    }


def _scored_surface(one: SurfaceScore) -> dict[str, Any]:
    return {
        "surface": one.surface,
        "traffic_share": one.traffic_share,
        "cases": one.cases,
        "score": _estimate(one.weighted),
        "unweighted": _estimate(one.unweighted),
        "borrowed": one.borrowed,
        "cases_of_no_traffic": one.idle,
        "cases_without_size": one.unsized,
        "unknown_share": one.unknown,
        "served": _slices(one.slices),
    }


def _slices(slices: Sequence[Slice]) -> list[dict[str, Any]]:
    return [
        {
            "served": one.name or None,
            "kind": one.served.kind,
            "cases": one.cases,
            "runs": one.runs,
            "score": _estimate(one.weighted),
            "unweighted": _estimate(one.unweighted),
        }
        for one in slices
    ]


def _mix(one: MixScore) -> dict[str, Any]:
    return {
        "mix": one.mix,
        "score": _estimate(one.score),
        "covered": one.covered,
        "lowest": one.lowest,
        "highest": one.highest,
        "gaps": [{**gap._asdict(), "model": gap.model or None} for gap in one.gaps],
        "surfaces": [{"surface": name, "score": _estimate(of)} for name, of in one.surfaces.items()],
    }


def _range(of: EvalPlan | Checked | Scored) -> dict[str, str]:
    return {"start": utc(of.start), "end": utc(of.end)}


def _cell(cell: Cell) -> dict[str, Any]:
    upto = None if cell.upto == math.inf else cell.upto
    return {"surface": cell.surface, "size_above": cell.above, "size_up_to": upto}


def _distance(of: Distance) -> dict[str, Any]:
    return {"distance": of.value, "chance": of.chance, "limit": of.limit, "beyond": of.beyond}


def _finding(of: Finding) -> dict[str, Any]:
    return {"kind": of.kind, "surface": of.surface or None, **_distance(of.distance), "sentence": of.sentence}


def _estimate(of: Estimate | None) -> dict[str, Any] | None:
    return None if of is None else of._asdict()
