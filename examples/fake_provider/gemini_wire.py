"""Google's wire formats, of the Gemini API and of Vertex AI: content, its streams, embeddings, and interactions.

Sources: google-genai 3.6.1, ``models.py`` (paths and field names), ``_api_client.py`` (``?alt=sse``, errors within a
stream) and ``_gaos/types/interactions`` (events); 1.75.0, ``_interactions/types`` (the older events). Without
``alt=sse`` a stream is one JSON array, as google-cloud-aiplatform's REST transport reads it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from fake_provider import sse
from fake_provider.openai_wire import pieces, text_of
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked

_METHOD = re.compile(
    r"/(?:models|endpoints|tunedModels)/(?P<model>[^:/]+):"
    r"(?P<method>generateContent|streamGenerateContent|embedContent|batchEmbedContents|countTokens|predict)$"
)
_INTERACTIONS = re.compile(r"/interactions(?:/[^/]+)?(?:/cancel)?$")


def usage(answers: Answers) -> Any:
    """Return the usage of generated content."""
    if answers.fault == "wrong_types":
        return "many"
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 1, "cachedContentTokenCount": 2}
    return {**counts, "totalTokenCount": 14, **answers.usage}


def part(text: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return a part of content: the call of a function that the request declares and has no result of, or text."""
    declared = [f["name"] for tool in body.get("tools") or () for f in tool.get("functionDeclarations") or ()]
    said = json.dumps(body.get("contents"))
    if declared and '"functionResponse"' not in said:
        return {"functionCall": {"name": declared[0], "args": {}}}
    return {"text": text}


def content(
    text: str, body: dict[str, Any], model: Any, answers: Answers, number: int, *, last: bool
) -> dict[str, Any]:
    """Return generated content, or one chunk of it."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part(text, body)]}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    candidates: Any = "none" if answers.fault == "wrong_types" else [candidate]
    document = {"candidates": candidates, "usageMetadata": usage(answers), "responseId": f"resp-{number}"}
    if not answers.no_model:
        document["modelVersion"] = model
    return document


def content_chunks(body: dict[str, Any], model: Any, answers: Answers, number: int) -> Iterator[dict[str, Any]]:
    """Yield the chunks of streamed content."""
    texts = pieces(text_of({}, answers), answers)
    if "functionCall" in part("", body):
        yield content("", body, model, answers, number, last=True)
        return
    for i, text in enumerate(texts):
        name = answers.switch_to if answers.switch_to and i >= len(texts) / 2 else model
        yield content(text, body, name, answers, number, last=False)
    yield content("", {}, answers.switch_to or model, answers, number, last=True)


def embeddings(method: str, body: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """Return embeddings in the form of each method."""
    vector = {"values": "none" if answers.fault == "wrong_types" else [1.0, 0.0]}
    if method == "embedContent":
        return {"embedding": vector, "usageMetadata": {"promptTokenCount": 3}}
    if method == "batchEmbedContents":
        return {"embeddings": [vector for _ in body.get("requests") or [None]]}
    found = {**vector, "statistics": {"token_count": 3, "truncated": False}}
    return {"predictions": [{"embeddings": found} for _ in body.get("instances") or [None]]}


def failure(status: int) -> dict[str, Any]:
    """Return the document that says that the provider failed."""
    return {"error": {"code": status, "message": "the fake provider was told to fail", "status": "INTERNAL"}}


# Interactions -----------------------------------------------------------------------------------------------------


def interaction(body: dict[str, Any], model: Any, answers: Answers, number: int, status: str) -> dict[str, Any]:
    """Return an interaction, in the older form, with ``outputs``, and in the newer one, with ``steps``."""
    text = [{"type": "text", "text": text_of({}, answers)}]
    counts: Any = {
        "total_input_tokens": 9,
        "total_output_tokens": 4,
        "total_thought_tokens": 1,
        "total_cached_tokens": 2,
        "total_tokens": 14,
        **answers.usage,
    }
    document: dict[str, Any] = {
        "id": f"int-{number}",
        "object": "interaction",
        "status": status,
        "created": "2026-01-01T00:00:00Z",
        "updated": "2026-01-01T00:00:00Z",
        "role": "model",
    }
    if body.get("agent"):
        document["agent"] = body["agent"]
    elif not answers.no_model:
        document["model"] = model
    if status == "completed":
        document["outputs"] = text
        document["steps"] = [{"type": "model_output", "content": text}]
        document["usage"] = "many" if answers.fault == "wrong_types" else counts
    return document


def interaction_events(
    body: dict[str, Any], model: Any, answers: Answers, number: int, *, steps: bool
) -> Iterator[tuple[str | None, Any]]:
    """Yield the events of a streamed interaction: of ``steps``, or of the older contents."""
    created, completed, step = (
        ("interaction.created", "interaction.completed", "step")
        if steps
        else ("interaction.start", "interaction.complete", "content")
    )
    base = {k: v for k, v in interaction(body, model, answers, number, "in_progress").items() if k != "steps"}
    done = interaction(body, model, answers, number, "completed")
    texts = [{"type": "text", "text": piece} for piece in pieces(text_of(body, answers), answers)]
    start = {"step": {"type": "model_output"}} if steps else {"content": {"type": "text"}}
    events: list[dict[str, Any]] = [{"event_type": created, "interaction": base}]
    events.append({"event_type": f"{step}.start", "index": 0, **start})
    events += [{"event_type": f"{step}.delta", "index": 0, "delta": text} for text in texts]
    events.append({"event_type": f"{step}.stop", "index": 0})
    finished = {k: v for k, v in done.items() if k not in ("steps", "outputs")}
    events.append({"event_type": completed, "interaction": finished})
    for i, event in enumerate(events):
        yield event["event_type"], {**event, "event_id": str(i)}


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take the methods of a model, and interactions."""
    return _METHOD.search(asked.path) is not None or _INTERACTIONS.search(asked.path) is not None


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the provider says when it fails."""
    return Whole(failure(status), status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer the methods of a model, and interactions."""
    found = _METHOD.search(asked.path)
    if found is None:
        return _interaction(asked)
    body, answers, number = asked.body, asked.answers, asked.number
    model = asked.serve(found["model"], body)
    method = found["method"]
    if method == "countTokens":
        return Whole({"totalTokens": 9})
    if method == "generateContent":
        return Whole(content(_text(body, answers), body, model, answers, number, last=True))
    if method == "streamGenerateContent":
        chunks = content_chunks(body, model, answers, number)
        if asked.query.get("alt") == "sse":
            events = ((None, chunk) for chunk in chunks)
            return sse.stream(events, done=False, error=(None, failure(500)))
        return _array(chunks)
    return Whole(embeddings(method, body, answers))


def _interaction(asked: Asked) -> Whole | Parts | None:
    body, answers, number = asked.body, asked.answers, asked.number
    if asked.method == "DELETE":
        return Whole({})
    if asked.method != "POST" or asked.path.endswith("/cancel"):
        return Whole(interaction({}, "gemini-3.8-flash-001", answers, number, "completed"))
    model = asked.serve(str(body.get("model") or body.get("agent") or ""), body)
    if body.get("stream") is True:
        events = interaction_events(body, model, answers, number, steps=_knows_steps(asked))
        failed = {"event_type": "error", "error": {"code": "internal", "message": "told to fail"}}
        return sse.stream(events, done=True, error=("error", failed), malformed="step.delta")
    return Whole(interaction(body, model, answers, number, "completed"))


def _knows_steps(asked: Asked) -> bool:
    # The service asks the same question of the headers that name the SDK's version.
    return not asked.headers.get("x-goog-api-client", "").startswith("google-genai-sdk/1.")


def _text(body: dict[str, Any], answers: Answers) -> str:
    config = body.get("generationConfig") or {}
    schema = config.get("responseSchema") or config.get("responseJsonSchema")
    return text_of({"output_config": {"format": {"schema": schema}}} if schema else {}, answers)


def _array(chunks: Iterator[dict[str, Any]]) -> Parts:
    def parts() -> Iterator[bytes]:
        for i, chunk in enumerate(chunks):
            yield (b",\r\n" if i else b"[") + json.dumps(chunk).encode()

    return Parts(
        parts(), "application/json", end=b"]", error=b",\r\n" + json.dumps(failure(500)).encode(), malformed=b",tru"
    )
