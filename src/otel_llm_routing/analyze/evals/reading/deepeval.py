"""DeepEval's results: a case is one test case.

They are the files of ``DEEPEVAL_RESULTS_FOLDER``, ``.deepeval/.latest_test_run.json``, and the JSON of what
``evaluate`` returns.

Seen: deepeval 4.3.1. It sees texts, not calls: no model is in them but what ``hyperparameters`` (the requested one) and
the metadata of the test case say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.draft import Draft
from otel_llm_routing.analyze.evals.reading.opening import within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes

LISTS = ("testCases", "conversationalTestCases", "test_results")


def fits(value: Any) -> bool:
    """Return whether ``value`` is a test run, or what ``evaluate`` returned."""
    return isinstance(value, dict) and any(isinstance(_run(value).get(name), list) for name in LISTS)


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each test case tells."""
    for place, value in records:
        if not fits(value):
            notes.add("no test run of DeepEval, left out", place)
            continue
        run = _run(value)
        hyper = {"requested_model": values.mapping(run.get("hyperparameters")).get("model")}
        for name in LISTS:
            for where, case in within(place, name, run.get(name)):
                if isinstance(case, dict):
                    yield _draft(where, case, hyper)
                else:
                    notes.add("no test case of DeepEval, left out", where)


def _run(value: dict[str, Any]) -> dict[str, Any]:
    inner = value.get("testRunData")
    return inner if isinstance(inner, dict) else value


def _draft(place: str, case: dict[str, Any], hyper: dict[str, Any]) -> Draft:
    metrics = values.objects(case.get("metricsData", case.get("metrics_data")))
    failed = any(one.get("error") for one in metrics)
    metadata = case.get("metadata") or case.get("additionalMetadata") or case.get("additional_metadata")
    return Draft(
        place,
        case,
        id=values.text(case.get("name"), values.ID),
        labels=(metadata, case.get("tags"), hyper),
        size=values.length(case.get("input")) if case.get("input") is not None else _turns(case),
        score=case.get("success") if metrics and not failed else None,
        scores={values.text(one.get("name"), 256): None if one.get("error") else one.get("score") for one in metrics},
    )


def _turns(case: dict[str, Any]) -> int | None:
    """Count the text of a conversation: all that was said before its last answer."""
    turns = case.get("turns")
    if not isinstance(turns, list) or not turns:
        return None
    last = max((at for at, turn in enumerate(turns) if values.mapping(turn).get("role") == "assistant"), default=-1)
    return values.length(turns[:last] if last >= 0 else turns)
