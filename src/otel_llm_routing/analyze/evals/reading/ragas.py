"""Ragas' results: ``result.to_pandas()`` written as CSV, JSON or Parquet. A case is one row.

Seen: ragas 0.4.3. It sees texts, not calls: a model is in them only where a column of the user's own says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.draft import SAID, Draft
from otel_llm_routing.analyze.evals.reading.opening import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_llm_routing.analyze.evals.reading.problems import Notes

INPUTS = frozenset(
    [
        "user_input",
        "response",
        "reference",
        "retrieved_contexts",
        "reference_contexts",
        "rubrics",
        "rubric",
        "multi_responses",
        "reference_tool_calls",
        "reference_topics",
        "retrieved_context_ids",
        "reference_context_ids",
        "question",
        "answer",
        "contexts",
        "ground_truth",
        "ground_truths",
        "persona_name",
        "query_style",
        "query_length",
    ]
)
"""Columns of a sample, of all versions since 0.1; any other one that holds a number is a metric."""
OTHERS = frozenset(
    ("id", "surface", "metadata", "input", "", "Unnamed: 0", *SAID, *(n for s in SAID.values() for n in s))
)


def fits(value: Any) -> bool:
    """Return whether ``value`` is a row, or a table by columns."""
    if not isinstance(value, dict):
        return False
    old = "question" in value and "answer" in value and ("contexts" in value or "ground_truth" in value)
    return ("user_input" in value and not value.keys().isdisjoint(("response", "reference"))) or old


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each row tells."""
    metrics = _Metrics()
    held: list[Record] = []  # until it is known which column is the first metric: its first cells may be empty
    for row in _rows(records, notes):
        if metrics.first is None:
            metrics.look_at(row.value)
            held.append(row)
        else:
            yield _draft(row, metrics.first)
        if metrics.first is not None:
            yield from (_draft(one, metrics.first) for one in held)
            held.clear()
    yield from (_draft(one, metrics.found()) for one in held)


class _Metrics:
    """Which columns hold metrics. The first of them is the score, also of a row in which it is empty."""

    def __init__(self) -> None:
        self.first: str | None = None
        self._columns: dict[str, bool] = {}
        """Columns of the user's or of a metric, in their order, and whether a number was in it."""
        self._texts: set[str] = set()

    def look_at(self, row: Mapping[str, Any]) -> None:
        """Take what is in the columns of ``row``."""
        for name, value in row.items():
            if name in INPUTS or name in OTHERS:
                continue
            number = _is_number(value)
            self._columns[name] = number or self._columns.get(name, False)
            if not number and value not in (None, ""):
                self._texts.add(name)
        first = next((name for name in self._columns if name not in self._texts), None)
        self.first = first if first is not None and self._columns[first] else None

    def found(self) -> str | None:
        """Return the first column in which there was a number, once there are no more rows."""
        return next((name for name, number in self._columns.items() if number and name not in self._texts), None)


def _rows(records: Iterator[Record], notes: Notes) -> Iterator[Record]:
    for place, value in records:
        if not fits(value):
            notes.add("no row of Ragas' results, left out", place)
        elif (columns := _columns(value)) is not None:
            for index in columns:
                row = {
                    name: cells[index] for name, cells in value.items() if isinstance(cells, dict) and index in cells
                }
                yield Record(f"{place.rpartition(':')[0]}:row[{index}]", row)
        else:
            yield Record(place, value)


def _columns(value: dict[str, Any]) -> list[str] | None:
    """Return the rows' names in a table that was written by columns, which is how pandas writes JSON; else None."""
    asked = value.get("user_input", value.get("question"))
    return list(asked) if isinstance(asked, dict) else None


def _draft(record: Record, main: str | None) -> Draft:
    place, row = record
    asked = row.get("user_input", row.get("question"))
    scores = {
        name: value for name, value in row.items() if name not in INPUTS and name not in OTHERS and _is_number(value)
    }
    return Draft(
        place,
        row,
        id=values.text(row.get("id"), values.ID),
        labels=(row, values.mapping(row.get("metadata"))),
        size=values.length(asked) if asked is not None else None,
        score=scores.get(main) if main is not None else None,
        scores=scores,
    )


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float, str)):
        return False
    try:
        float(value)
    except (ValueError, OverflowError):
        return False
    return True
