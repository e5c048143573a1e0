"""promptfoo's results: ``promptfoo eval -o results.json`` or ``.jsonl``.

A case is one test with one prompt; the same with other providers, and repeats (``--repeat``, which promptfoo numbers as
tests of their own), are repetitions of it.

Seen: promptfoo 0.121.20 and 0.123.1. The answer's own model is there where the provider keeps the raw response (OpenAI
Responses, HTTP and others), or where a header names it; OpenAI chat and Anthropic messages keep neither.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.evals.reading import values
from otel_llm_routing.analyze.evals.reading.draft import Draft, call
from otel_llm_routing.analyze.evals.reading.opening import within
from otel_llm_routing.analyze.evals.reading.response import overwrites, served_of_body, served_of_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.evals.cases import CaseCall
    from otel_llm_routing.analyze.evals.reading.opening import Record
    from otel_llm_routing.analyze.evals.reading.problems import Notes

ERROR = 2
"""``failureReason`` of a test that could not be run (promptfoo, ``ResultFailureReason``)."""
UNJUDGED = "No assertions"
"""The reason of a test with nothing to check, which promptfoo gives the score 1."""
STRIPPED = "[prompt stripped]"
"""Stands for a prompt that promptfoo was told to leave out (``PROMPTFOO_STRIP_PROMPT_TEXT``)."""
NO_MODEL = frozenset(
    [
        "browser",
        "echo",
        "exec",
        "file",
        "golang",
        "http",
        "https",
        "mcp",
        "package",
        "promptfoo",
        "python",
        "ruby",
        "sequence",
        "webhook",
        "websocket",
        "ws",
        "wss",
    ]
)
"""Kinds of providers whose id names no model."""
OPERATIONS = frozenset(["agents", "chat", "completion", "completions", "converse", "messages", "responses", "text"])
"""What may stand between the provider and the model: ``openai:chat:gpt-5``."""
PROVIDERS = {
    "vertex": "gcp.vertex_ai",
    "google": "gcp.gemini",
    "azureopenai": "azure.ai.openai",
    "togetherai": "together",
}
"""promptfoo's names of providers, where they are not spellings that ``models`` knows."""


def fits(value: Any) -> bool:
    """Return whether ``value`` is a document of results, or the line of one."""
    if not isinstance(value, dict):
        return False
    if _results(value) is not None:
        return True
    return "promptIdx" in value and "testIdx" in value


def wide(value: Any) -> bool:
    """Return whether ``value`` is a row of promptfoo's CSV, which has columns for each provider and names no models."""
    return isinstance(value, dict) and "Score" in value and value.get("Status") in ("PASS", "FAIL", "ERROR")


def drafts(records: Iterator[Record], notes: Notes) -> Iterator[Draft]:
    """Yield what each result tells."""
    tests: dict[bytes, str] = {}
    for place, value in records:
        results = _results(value) if isinstance(value, dict) else None
        if results is not None:
            for where, result in within(place, "results", results):
                yield from _draft(where, result, tests, notes)
        else:
            yield from _draft(place, value, tests, notes)


def _results(value: dict[str, Any]) -> list[Any] | None:
    """Return the list of results: ``results`` within ``results``, or, of what ``promptfoo.evaluate`` returns, alone."""
    results = value.get("results")
    if any("provider" in one and ("vars" in one or "testIdx" in one) for one in values.objects(results)):
        return list(results or ())
    if not isinstance(results, dict) or results.keys().isdisjoint(("prompts", "stats", "version")):
        return None
    inner = results.get("results")
    return inner if isinstance(inner, list) else None


def _draft(place: str, result: Any, tests: dict[bytes, str], notes: Notes) -> Iterator[Draft]:
    if not isinstance(result, dict) or not ("testIdx" in result or "vars" in result):
        notes.add("no result of promptfoo, left out", place)
        return
    test = values.mapping(result.get("testCase"))
    response = values.mapping(result.get("response"))
    raw = values.mapping(result.get("prompt")).get("raw")
    size = values.length(raw) if isinstance(raw, str) and raw != STRIPPED else None
    grading = values.mapping(result.get("gradingResult"))
    failed = result.get("failureReason") == ERROR or (result.get("error") and not grading)
    judged = grading.get("reason") != UNJUDGED
    index = _number(result, test, tests)
    prompt = values.text(result.get("promptId"), 8)
    yield Draft(
        place,
        result,
        id=":".join(part for part in (f"test-{index}", prompt) if part) if index else "",
        labels=(test.get("metadata"), result.get("metadata"), result.get("vars"), test.get("vars")),
        size=size,
        score=result.get("score") if judged and not failed else None,
        scores={} if failed else {**values.mapping(result.get("namedScores"))},
        calls=_calls(result, response, size),
    )


def _number(result: dict[str, Any], test: dict[str, Any], tests: dict[bytes, str]) -> str:
    """Return the number of a test; of a repeat, that of the first of ``tests`` that asked and expected the same."""
    index, asked = values.text(result.get("testIdx")), result.get("vars") or test.get("vars")
    if not asked:  # or they were taken out (PROMPTFOO_STRIP_TEST_VARS), and tests look alike
        return index
    try:
        content = json.dumps([asked, test], sort_keys=True).encode("utf-8", "surrogatepass")
    except RecursionError:
        return index
    return tests.setdefault(hashlib.blake2b(content, digest_size=16).digest(), index)


def _calls(result: dict[str, Any], response: dict[str, Any], size: int | None) -> tuple[CaseCall, ...]:
    provider, operation, requested = named(result.get("provider"))
    if not response and not requested:
        return ()
    http = values.mapping(values.mapping(response.get("metadata")).get("http"))
    headers = {name.lower(): value for name, value in values.mapping(http.get("headers")).items()}
    if served := served_of_headers(headers):
        one = call(requested, served, provider, overwritten=False)
    else:
        raw = response.get("raw")
        body = values.mapping(raw) if isinstance(raw, (str, dict)) else None
        unanswered = bool(response.get("error")) and "output" not in response
        one = call(
            requested,
            served_of_body(body or {}),
            provider,
            # Of an answer without its raw response nothing says whether it named a model.
            reported=bool(body) or unanswered,
            overwritten=overwrites(headers) or (provider == "azure" and operation == "responses") or None,
        )
    return (one._replace(size=size),)


def named(provider: Any) -> tuple[str, str, str]:
    """Return the provider, the operation and the requested model of promptfoo's name: ``openai:chat:gpt-5``."""
    if isinstance(provider, dict):
        provider = provider.get("id")
    name, _, rest = provider.partition(":") if isinstance(provider, str) else ("", "", "")
    if name in NO_MODEL or not rest:
        return "", "", ""
    operation, colon, model = rest.partition(":")
    if operation not in OPERATIONS:
        operation, model = "", rest
    elif not colon:
        model = ""
    return PROVIDERS.get(name, name), operation, "" if model.startswith("//") else values.model(model)
