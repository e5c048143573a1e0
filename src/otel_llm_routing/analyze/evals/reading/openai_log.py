"""Logs of OpenAI's ``evals`` package (``oaieval``): events, one a line. A case is one sample.

Seen: evals 3.0.1.post1. Its OpenAI completion functions log the response's model with each ``sampling``; its solvers
for Anthropic and Gemini log the model they asked for, and others none. The log holds nothing of a sample's metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.draft import Draft, call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.evals.cases import CaseCall
    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes

COPYING = ("claude", "gemini", "models/gemini")
"""How the models begin whose solvers log what they asked for (``evals/solvers/providers``)."""
MAIN = ("score", "accuracy", "correct")
"""Which of several metrics is a sample's score, where it has no ``match``."""


def fits(value: Any) -> bool:
    """Return whether ``value`` is an event, the spec of a run, or its final report."""
    if not isinstance(value, dict):
        return False
    event = "sample_id" in value and "event_id" in value and "type" in value
    return event or "final_report" in value or "completion_fns" in values.mapping(value.get("spec"))


class _Sample:
    """What the events of one sample say; they come mixed with those of others."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.asked: list[dict[str, Any]] = []
        self.matches: list[bool] = []
        self.last: dict[str, Any] = {}
        self.failed = False


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each sample tells, once all of its events are read."""
    spec: dict[str, Any] = {}
    samples: dict[tuple[str, str], _Sample] = {}
    for place, value in records:
        if not fits(value):
            notes.add("no event of an evals log, left out", place)
        elif "spec" in value:
            spec = values.mapping(value["spec"])
        elif "sample_id" in value and (name := values.text(value["sample_id"], values.ID)):
            sample = samples.setdefault((values.text(value.get("run_id")), name), _Sample(place))
            _take(sample, value)
    for (_, name), sample in samples.items():
        yield _draft(name, sample, spec)


def _take(sample: _Sample, event: dict[str, Any]) -> None:
    kind, data = event.get("type"), values.mapping(event.get("data"))
    if kind == "sampling":
        sample.asked.append(data)
    elif kind == "match" and isinstance(data.get("correct"), bool):
        sample.matches.append(data["correct"])
    elif kind == "error":
        sample.failed = True
    if isinstance(kind, str):
        sample.last[kind] = data


def _draft(name: str, sample: _Sample, spec: dict[str, Any]) -> Draft:
    metrics = values.mapping(sample.last.get("metrics"))
    scores = {key: value for key, value in metrics.items() if isinstance(value, (int, float))}
    if sample.matches:
        scores = {"match": sum(sample.matches) / len(sample.matches), **scores}
    main = next((scores[key] for key in ("match", *MAIN) if key in scores), None)
    if main is None and len(scores) == 1:
        main = next(iter(scores.values()))
    asked = sample.asked
    if len(asked) > 1 and "modelgraded" in values.text(values.member(spec, "run_config.eval_spec.cls"), 200):
        asked = asked[:-1]  # the grader's
    requested = _requested(spec)
    sizes = [values.length(one.get("prompt")) for one in asked]
    return Draft(
        sample.place,
        {"spec": spec, "sample_id": name, **sample.last},
        id=name,
        labels=(
            sample.last.get("raw_sample"),
            values.mapping(sample.last.get("raw_sample")).get("metadata"),
            sample.last.get("extra"),
            metrics,
        ),
        size=sizes[0] if sizes else None,
        score=None if sample.failed else main,
        scores={} if sample.failed else scores,
        calls=tuple(_call(one, requested)._replace(size=size) for one, size in zip(asked, sizes, strict=True)),
    )


def _requested(spec: dict[str, Any]) -> str:
    """Return the first completion function, if that is a model: others are paths such as ``generation/direct/…``."""
    functions = spec.get("completion_fns")
    first = functions[0] if isinstance(functions, list) and functions else ""
    return "" if not isinstance(first, str) or "/" in first else values.model(first)


def _call(asked: dict[str, Any], requested: str) -> CaseCall:
    named = values.model(asked.get("model"))
    if named.startswith(COPYING):
        return call(named, "", "", reported=False)
    return call(requested, named, "openai" if named else "", reported=bool(named))
