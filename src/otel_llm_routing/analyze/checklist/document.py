"""The checklist as a document for scripts; ``docs/checklist.md`` describes its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.checklist.answers import QUESTIONS
from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    from otel_llm_routing.analyze.checklist.answers import Answer, Checklist, SurfaceAnswers

SCHEMA = "otel-llm-routing/checklist/v1"


def as_json(made: Checklist) -> dict[str, Any]:
    """Return the checklist as JSON holds it."""
    return {
        "schema": SCHEMA,
        "made": utc(made.made),
        "start": utc(made.start),
        "end": utc(made.end),
        "source": made.source,
        "policy": made.policy or None,
        "reference": made.reference or None,
        "cases": made.cases or None,
        "rules": made.rules or None,
        "notes": list(made.notes),
        "surfaces": [_surface(surface) for surface in made.surfaces],
    }


def _surface(surface: SurfaceAnswers) -> dict[str, Any]:
    return {
        "surface": surface.surface,
        "line": surface.line,
        "owner": surface.owner,
        "customer_facing": surface.customer_facing,
        "pinned": surface.pinned,
        "requests": surface.requests,
        "asked": [one._asdict() for one in surface.asked],
        "answers": {question: _answer(surface.answers[question]) for question in QUESTIONS},
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "verdict": answer.verdict,
        "evidence": [{"text": fact.text, "where": fact.where or None} for fact in answer.facts],
        "todo": list(answer.todo),
    }
