"""Logs of Inspect AI: ``.eval`` and ``.json``. A case is one sample; its epochs are repetitions of it.

Seen: inspect_ai 0.3.285 (log version 2). Every call of a sample is an event with the requested model, the provider's
response as it came (``call.response``, unless ``--no-log-model-api``), and ``output.model``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.draft import Draft, call
from otel_llm_routing.analyze.evals.reading.opening import within
from otel_llm_routing.analyze.evals.reading.response import served_of_body
from otel_llm_routing.models import UNREPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_llm_routing.analyze.evals.cases import CaseCall
    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes

LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Correct, partial, incorrect, no answer (``inspect_ai/scorer/_metric.py``, ``value_to_float``)."""
NO_PROVIDERS = frozenset({"mockllm", "none"})
"""Inspect's stand-ins, behind which there is no model."""
COPYING = frozenset({"bedrock", "grok", "hf", "nnterp", "transformer_lens"}) | NO_PROVIDERS
"""Providers for which Inspect writes the requested name into ``output.model`` (``inspect_ai/model/_providers``)."""
PROVIDERS = {
    "azureai": "azure.ai.inference",
    "google": "gcp.gemini",
    "grok": "x_ai",
    "litellm-proxy": "litellm",
    "vertex": "gcp.vertex_ai",
}
"""Inspect's names of providers, where they are not spellings that ``models`` knows."""
CLOUDS = frozenset({"azure", "bedrock", "vertex"})
"""What may stand between the provider and the model: ``anthropic/bedrock/…``."""
_ATTACHED = "attachment://"
_MOST_SPANS = 1000


def fits(value: Any) -> bool:
    """Return whether ``value`` is a log, its header, or a sample."""
    if not isinstance(value, dict):
        return False
    return _is_header(value) or ("epoch" in value and "target" in value and "input" in value)


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each sample tells."""
    spec: dict[str, Any] = {}
    for place, value in records:
        if not isinstance(value, dict) or not fits(value):
            notes.add("no sample of an Inspect log, left out", place)
        elif _is_header(value):
            spec = value["eval"]
            if value.get("status") in ("error", "cancelled", "started"):
                notes.add(f"a run that did not end well (status {value['status']}); its samples were read", place)
            for where, sample in within(place, "samples", value.get("samples")):
                if isinstance(sample, dict):
                    yield _draft(where, spec, sample)
                else:
                    notes.add("no sample of an Inspect log, left out", where)
        else:
            yield _draft(place, spec, value)


def _is_header(value: dict[str, Any]) -> bool:
    return isinstance(value.get("eval"), dict) and "task" in value["eval"]


def _draft(place: str, spec: dict[str, Any], sample: dict[str, Any]) -> Draft:
    attached = values.mapping(sample.get("attachments"))
    size = _length(sample.get("input"), attached)
    scored = values.mapping(sample.get("scores")) or {"score": sample.get("score")}  # one, in logs of 2024
    scores = dict(_scores(scored))
    index, task = values.text(sample.get("id"), values.ID), values.text(spec.get("task"))
    return Draft(
        place,
        {"eval": spec, **sample},
        id=f"{task}:{index}" if task and index else index,
        labels=(sample.get("metadata"), spec.get("metadata"), spec.get("task_args"), spec.get("tags")),
        size=size,
        score=None if sample.get("error") else _main(scores, _scorers(spec)),
        scores={} if sample.get("error") else scores,
        calls=_calls(spec, sample, attached, size),
    )


def _scorers(spec: dict[str, Any]) -> list[str]:
    return [name for one in values.objects(spec.get("scorers")) if isinstance(name := one.get("name"), str)]


def _main(scores: Mapping[str, Any], scorers: Sequence[str]) -> Any:
    """Return the score of the task's first scorer; where a sample has no score of that, none is the sample's."""
    of = {scorer: [name for name in scores if name == scorer or name.startswith(f"{scorer}.")] for scorer in scorers}
    named = next(iter(of.values())) if any(of.values()) else scores  # a log that was scored anew has others
    return scores[name] if (name := next(iter(named), None)) is not None else None


def _scores(scores: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the scores by the names of their scorers; one that is several is ``scorer.name``."""
    for scorer, score in scores.items():
        value = score.get("value") if isinstance(score, dict) else None
        if isinstance(value, dict):
            for name, one in value.items():
                yield f"{scorer}.{name}", _number(one)
        elif isinstance(score, dict) and not isinstance(value, list):
            yield scorer, _number(value)


def _number(value: Any) -> Any:
    return LETTERS.get(value, value) if isinstance(value, str) else value


# Calls ---------------------------------------------------------------------------------------------------------------


def _calls(
    spec: dict[str, Any], sample: dict[str, Any], attached: Mapping[str, Any], size: int | None
) -> tuple[CaseCall, ...]:
    events = values.objects(sample.get("events"))
    if not any(event.get("event") == "model" for event in events):
        return _call_of_output(spec, sample, size)
    pool = values.mapping(sample.get("events_data")).get("messages")
    graders = _scoring(events)
    return tuple(
        _call(event, pool if isinstance(pool, list) else [], attached)
        for event in events
        if event.get("event") == "model" and event.get("role") != "grader" and id(event) not in graders
    )


def _scoring(events: list[dict[str, Any]]) -> set[int]:
    """Return the identities of the events that belong to scorers: their calls are no calls of the case."""
    begun = [event for event in events if event.get("event") == "span_begin"]
    spans = {name: event for event in begun if isinstance(name := event.get("id"), str)}
    found: set[int] = set()
    depth = 0  # of steps, which logs before spans have
    for event in events:
        if event.get("event") == "step" and event.get("type") == "scorer":
            depth += 1 if event.get("action") == "begin" else -1
        span, steps = event.get("span_id"), 0
        inside = depth > 0
        while not inside and isinstance(span, str) and span in spans and steps < _MOST_SPANS:
            inside = spans[span].get("type") in ("scorers", "scorer")
            span, steps = spans[span].get("parent_id"), steps + 1
        if inside:
            found.add(id(event))
    return found


def _call(event: dict[str, Any], pool: list[Any], attached: Mapping[str, Any]) -> CaseCall:
    provider, requested, raw_provider = named(event.get("model"))
    output = values.model(values.mapping(event.get("output")).get("model"))
    response = values.mapping(event.get("call")).get("response")
    if isinstance(response, dict) and response:
        # What the provider said; Inspect's own field knows better where a fallback took over.
        said = served_of_body(response)
        served = (output if output and raw_provider == "anthropic" else said) if said else ""
    elif event.get("error") or raw_provider in COPYING:
        served = ""
    else:
        served = output
    return call(requested, served, provider)._replace(size=_length(_asked(event, pool), attached))


def _call_of_output(spec: dict[str, Any], sample: dict[str, Any], size: int | None) -> tuple[CaseCall, ...]:
    """Return the last call of a sample without events, which its output is of."""
    output = sample.get("output")
    if not isinstance(output, dict) or not (output.get("model") or output.get("choices")):
        return ()
    provider, requested, raw_provider = named(spec.get("model"))
    served = "" if raw_provider in COPYING else values.model(output.get("model"))
    if not requested and not served:
        return ()
    return (call(requested, served, provider, "" if served else UNREPORTED)._replace(size=size),)


def named(model: Any) -> tuple[str, str, str]:
    """Return the provider, the requested model and Inspect's provider of its name: ``openai/azure/gpt-5``."""
    parts = model.split("/") if isinstance(model, str) else []
    if len(parts) < 2 or parts[0] in NO_PROVIDERS:  # noqa: PLR2004  (provider and model)
        return "", "", parts[0] if parts else ""
    provider = ours = parts.pop(0)
    if len(parts) > 1 and (provider == "openai-api" or parts[0] in CLOUDS):
        ours = parts.pop(0)
    return PROVIDERS.get(ours, ours), values.model("/".join(parts)), provider


def _asked(event: dict[str, Any], pool: list[Any]) -> list[Any]:
    """Return the messages of a call; newer logs keep them once, and refer to them by ranges."""
    asked = event.get("input")
    found = list(asked) if isinstance(asked, list) else []
    refs = event.get("input_refs")
    for ref in refs if isinstance(refs, list) else ():
        if isinstance(ref, list) and len(ref) == 2 and all(type(at) is int and at >= 0 for at in ref):  # noqa: PLR2004
            found += pool[ref[0] : ref[1]]
    return found


def _length(value: Any, attached: Mapping[str, Any]) -> int | None:
    """Count characters as ``values.length`` does, of texts that are kept apart too."""
    if isinstance(value, str):
        return len(_whole(value, attached))
    if isinstance(value, list):
        return sum(_length_of_message(one, attached) for one in value) if value else None
    return None


def _length_of_message(message: Any, attached: Mapping[str, Any]) -> int:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return len(_whole(content, attached))
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return sum(len(_whole(text, attached)) for text in texts if isinstance(text, str))


def _whole(text: str, attached: Mapping[str, Any]) -> str:
    if not text.startswith(_ATTACHED):
        return text
    found = attached.get(text[len(_ATTACHED) :])
    return found if isinstance(found, str) else text
