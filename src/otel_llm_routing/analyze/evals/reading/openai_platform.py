"""Output items of OpenAI's Evals API (``/v1/evals/{id}/runs/{id}/output_items``): one a line, or the pages of the list.

Built from the types of openai 3.54.0 (``openai/types/evals/runs/output_item_list_response.py``), whose parser the tests
hold the example against; no run of the platform was at hand. ``sample.model`` is the model that the sample came from.
The item does not say which was requested: a line with the run itself (``eval.run``) beside the items does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.draft import Draft, call
from otel_llm_routing.analyze.evals.reading.opening import within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.evals.cases import CaseCall
    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes

ITEM, RUN = "eval.run.output_item", "eval.run"


def fits(value: Any) -> bool:
    """Return whether ``value`` is an item, a page of items, or a run."""
    if not isinstance(value, dict):
        return False
    page = value.get("data")
    return value.get("object") in (ITEM, RUN) or (isinstance(page, list) and any(map(_is_item, page)))


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each item tells."""
    requested: dict[str, str] = {}
    for place, value in records:
        if not fits(value):
            notes.add("no output item of OpenAI's Evals API, left out", place)
        elif value.get("object") == RUN:
            model = values.member(value, "data_source.model")
            requested[values.text(value.get("id"))] = "" if model is values.MISSING else values.model(model)
        elif value.get("object") == ITEM:
            yield _draft(place, value, requested)
        else:
            for where, item in within(place, "data", value["data"]):
                if _is_item(item):
                    yield _draft(where, item, requested)
                else:
                    notes.add("no output item of OpenAI's Evals API, left out", where)


def _is_item(value: Any) -> bool:
    return isinstance(value, dict) and value.get("object") == ITEM


def _draft(place: str, item: dict[str, Any], requested: dict[str, str]) -> Draft:
    source, sample = values.mapping(item.get("datasource_item")), values.mapping(item.get("sample"))
    graded = values.objects(item.get("results"))
    error = values.mapping(sample.get("error"))
    failed = bool(error.get("code") or error.get("message"))
    size = values.length(sample.get("input")) if isinstance(sample.get("input"), list) else None
    index = values.text(item.get("datasource_item_id"))
    return Draft(
        place,
        item,
        id=f"item-{index}" if index else values.text(item.get("id"), values.ID),
        labels=(source, source.get("metadata"), source.get("item"), item.get("metadata")),
        size=size,
        score=None if failed else _main(graded),
        scores={} if failed else {values.text(one.get("name"), 256): one.get("score") for one in graded},
        calls=_calls(sample, requested.get(values.text(item.get("run_id")), ""), size),
    )


def _main(graded: list[dict[str, Any]]) -> Any:
    """Return the score of the only grader; of several, whether all passed, as the platform counts it."""
    if len(graded) == 1:
        return graded[0].get("score", graded[0].get("passed"))
    passed = [one.get("passed") for one in graded]
    return all(passed) if passed and all(isinstance(one, bool) for one in passed) else None


def _calls(sample: dict[str, Any], requested: str, size: int | None) -> tuple[CaseCall, ...]:
    served = values.model(sample.get("model"))
    if not served and not requested:
        return ()
    return (call(requested, served, "openai")._replace(size=size),)
