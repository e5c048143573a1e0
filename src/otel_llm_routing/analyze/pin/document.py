"""The proposal as a document for scripts; ``docs/pin.md`` describes its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    from otel_llm_routing.analyze.pin.model import Part, Proposal

SCHEMA = "otel-llm-routing/pin/v1"


def as_json(made: Proposal, diff: str, written: bool) -> dict[str, Any]:
    """Return the proposal as JSON holds it."""
    return {
        "schema": SCHEMA,
        "surface": made.surface,
        "start": utc(made.start),
        "end": utc(made.end),
        "source": made.source,
        "policy": made.policy,
        "requests": made.requests,
        "known": made.known,
        "identifiers": [_part(part) for part in made.parts],
        "mix": [{**row._asdict(), "change": round(row.change, 6)} for row in made.mix],
        "limits_taken_out": [edge._asdict() for edge in made.violated],
        "prices": made.prices._asdict() if made.prices else None,
        "scores": [score._asdict() for score in made.scores],
        "notes": list(made.notes),
        "steps": list(made.steps),
        "diff": diff or None,
        "no_diff": made.unchanged or None,
        "written": written,
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "requested": part.requested,
        "kind": part.kind,
        "requests": part.requests,
        "known": part.known,
        "served": [{**one._asdict(), "spellings": list(one.spellings)} for one in part.candidates],
        "pin": part.chosen.model if part.chosen else None,
        "why_not": part.why_not or None,
        "doubts": list(part.doubts),
        "cost_per_thousand": None if part.money is None else part.money._asdict(),
    }
