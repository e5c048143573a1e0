"""Rows of one case each, whoever wrote them: JSON Lines, CSV, TSV, Parquet, with columns of known names or mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.columns import COLUMNS
from otel_llm_routing.analyze.evals.reading.draft import SAID, Draft
from otel_llm_routing.analyze.evals.reading.values import MISSING, member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes

NAMES = (*COLUMNS, *(name for names in SAID.values() for name in names))


def fits(value: Any, columns: Mapping[str, str]) -> bool:
    """Return whether ``value`` is a row with anything in it that a case has."""
    if not isinstance(value, dict):
        return False
    return any(member(value, name) is not MISSING for name in (*NAMES, *columns.values()))


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each row tells."""
    for place, value in records:
        if not isinstance(value, dict):
            notes.add("no row of named values, left out", place)
            continue
        text = value.get("input")
        yield Draft(
            place,
            value,
            id=values.text(value.get("id"), values.ID),
            labels=(value, values.mapping(value.get("metadata"))),
            size=values.length(text) if text else None,
            score=value.get("score"),
            scores={"score": value["score"]} if "score" in value else {},
        )
