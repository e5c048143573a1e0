"""The project's own file of cases: JSON Lines, a case a line. The pytest plugin writes it; anybody may.

``{"schema": "otel-llm-routing/cases/v1", "id": …, "surface": …, "input_size": …, "score": …, "calls": [{"surface": …,
"input_size": …, "provider": …, "requested_model": …, "served_model": …, "match": …}]}``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.draft import Draft, call
from otel_llm_routing.models import KNOWN_MATCHES, MATCHES, UNREPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.evals.cases import CaseCall
    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes

SCHEMA = "otel-llm-routing/cases/v1"
FAMILY = "otel-llm-routing/cases/"


def fits(value: Any) -> bool:
    """Return whether ``value`` is a case of ours, of any version."""
    schema = value.get("schema") if isinstance(value, dict) else None
    return isinstance(schema, str) and schema.startswith(FAMILY)


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each line tells."""
    for place, value in records:
        if not fits(value):
            notes.add(f"no line of {SCHEMA}, left out", place)
        elif value["schema"] != SCHEMA:
            notes.add(f"a case of another version than {SCHEMA}, left out; update otel-llm-routing", place)
        else:
            calls = value.get("calls")
            if calls is not None and not isinstance(calls, list):
                notes.add("calls that are no list; read as a case without telemetry", place)
                calls = None
            yield Draft(
                place,
                value,
                id=values.text(value.get("id"), values.ID),
                labels=({name: value[name] for name in ("surface", "input_size") if name in value},),
                score=value.get("score"),
                scores={"score": value.get("score")},
                calls=tuple(found for one in calls or () if (found := _call(one, place, notes)) is not None),
            )


def _call(one: Any, place: str, notes: Notes) -> CaseCall | None:
    if not isinstance(one, dict):
        notes.add("a call that is no object, left out", place)
        return None
    served, match = values.model(one.get("served_model")), values.text(one.get("match"))
    said = one.get("match") not in (None, "")
    if said and match not in MATCHES:
        notes.add("a match that is none of the known ones; decided from the names instead", place)
        match = ""
    elif match in KNOWN_MATCHES and not served:
        notes.add("a match without a served model; read as unreported", place)
        match = UNREPORTED
    requested, provider = values.model(one.get("requested_model")), values.text(one.get("provider"))
    read = call(requested, served, provider, match, reported=said or bool(served))
    return read._replace(surface=values.text(one.get("surface")), size=values.size(one.get("input_size")))
