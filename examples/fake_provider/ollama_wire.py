"""Ollama's wire format: JSON documents, and streams of one JSON document a line.

Source: the server's ``docs/api.md`` and ``api/types.go`` (ChatResponse, GenerateResponse, EmbedResponse), as the
ollama SDK 0.6.3 reads them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fake_provider.openai_wire import pieces, text_of
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked

CREATED = "2025-10-09T08:53:20.000000Z"
PATHS = frozenset(
    {
        "/api/chat",
        "/api/generate",
        "/api/embed",
        "/api/embeddings",
        "/api/pull",
        "/api/show",
        "/api/tags",
        "/v1/systemone",
    }
)


def mine(asked: Asked) -> bool:
    """Take Ollama's own paths."""
    return asked.path in PATHS


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the server says when it fails."""
    return Whole({"error": "the fake provider was told to fail"}, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer the endpoints that are calls to a model, and some that manage models."""
    path, body, answers = asked.path, asked.body, asked.answers
    if path == "/api/tags":
        return Whole({"models": []})
    if path == "/api/show":
        return Whole({"details": {"family": "llama"}, "model_info": {}, "capabilities": ["completion"]})
    if path == "/api/pull":
        return Whole({"status": "success"})
    model = asked.serve(str(body.get("model")), body)
    if path == "/v1/systemone":
        one = {"answers": {"q": {"type": "noul", "noul": 0.5}}, "usage": {"input_tokens": 9, "output_tokens": 4}}
        return Whole(named(one, answers, model))
    if path == "/api/embeddings":
        return Whole({"embedding": [1.0, 0.0]})
    if path == "/api/embed":
        inputs = body.get("input")
        vectors: Any = [[1.0, 0.0]] * (len(inputs) if isinstance(inputs, list) else 1)
        return Whole(
            named({"embeddings": vectors, "prompt_eval_count": usage(answers)["prompt_eval_count"]}, answers, model)
        )
    key = "message" if path == "/api/chat" else "response"
    if body.get("stream") is False:
        return Whole(last(text_of(body, answers), key, answers, model))
    return Parts(
        (line(part) for part in parts(key, asked, model)),
        "application/x-ndjson",
        error=line({"error": "the fake provider was told to fail"}),
        malformed=b'{"model": tru\n',
    )


def parts(key: str, asked: Asked, model: Any) -> Iterator[dict[str, Any]]:
    """Yield the parts of a stream."""
    answers = asked.answers
    texts = pieces(text_of(asked.body, answers), answers)
    for i, text in enumerate(texts):
        name = answers.switch_to if answers.switch_to and i >= len(texts) / 2 else model
        yield said(text, key, answers, name, done=False)
    yield last("", key, answers, answers.switch_to or model)


def said(text: str, key: str, answers: Answers, model: Any, *, done: bool) -> dict[str, Any]:
    """Return text of an answer, as a chat or as a completion has it."""
    value: Any = {"role": "assistant", "content": text} if key == "message" else text
    return named({"created_at": CREATED, key: value, "done": done}, answers, model)


def last(text: str, key: str, answers: Answers, model: Any) -> dict[str, Any]:
    """Return a whole answer, or the last part of a stream."""
    durations = {"total_duration": 4_000, "load_duration": 1_000, "prompt_eval_duration": 1_000, "eval_duration": 2_000}
    return {**said(text, key, answers, model, done=True), "done_reason": "stop", **durations, **usage(answers)}


def named(document: dict[str, Any], answers: Answers, model: Any) -> dict[str, Any]:
    """Add the model; where the server passed the request on, ``fallback_to`` is the model that ran there."""
    if not answers.no_model:
        document["model"] = model
    if answers.fallback_to:
        document.update(remote_model=answers.fallback_to, remote_host="https://ollama.com:443")
    return document


def usage(answers: Answers) -> dict[str, Any]:
    """Return the counts of tokens."""
    if answers.fault == "wrong_types":
        return {"prompt_eval_count": "many", "eval_count": "many"}
    return {"prompt_eval_count": 9, "eval_count": 4, **answers.usage}


def line(document: dict[str, Any]) -> bytes:
    """Return one line of a stream."""
    return json.dumps(document).encode() + b"\n"
