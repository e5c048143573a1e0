"""IBM watsonx.ai: chats, text generation and embeddings, of models and of deployments.

Source: ibm-watsonx-ai 1.8.1, ``href_definitions.py`` (paths), ``foundation_models/inference/*.py`` (which fields and
events are read); IBM's watsonx.ai API reference for the documents around them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from fake_provider import sse
from fake_provider.openai_wire import WORDS
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.wire import Asked

PATH = re.compile(r"/ml/v1/(?:deployments/(?P<deployment>[^/]+)/)?text/(?P<what>\w+)")
BEHIND_A_DEPLOYMENT = "ibm/granite-3-8b-instruct"


def mine(asked: Asked) -> bool:
    """Take what watsonx.ai has under a path of its own."""
    return PATH.fullmatch(asked.path) is not None


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the provider says when it fails."""
    errors = [{"code": "server_error", "message": "the fake provider was told to fail"}]
    return Whole({"errors": errors, "trace": "1", "status_code": status}, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer chats, text generation, embeddings and tokenization."""
    found = PATH.fullmatch(asked.path)
    if found is None:
        return None
    requested = BEHIND_A_DEPLOYMENT if found["deployment"] else str(asked.body.get("model_id"))
    served = asked.serve(requested, asked.body)
    make = {"chat": _chat, "generation": _generation, "embeddings": _embeddings, "tokenization": _tokens}
    if (whole := make.get(found["what"])) is not None:
        return Whole(whole(asked, served))
    events = {"chat_stream": _chat_events, "generation_stream": _generation_events}.get(found["what"])
    if events is None:
        return None
    failure = {"errors": [{"code": "server_error", "message": "the fake provider was told to fail"}]}
    return Parts(
        (sse.event("message", json.dumps(event)) for event in events(asked, served)),
        "text/event-stream",
        error=sse.event("error", json.dumps(failure)),
        malformed=sse.event("message", '{"generated_text": "delta'),
    )


def _named(asked: Asked, served: Any, document: dict[str, Any], *, late: bool = False) -> dict[str, Any]:
    answers = asked.answers
    if not answers.no_model:
        document["model_id"] = answers.switch_to if late and answers.switch_to else served
    return {**document, "created_at": "2026-01-01T00:00:00.000Z", "model_version": "1.0.0"}


def _usage(asked: Asked) -> Any:
    if asked.answers.fault == "wrong_types":
        return "many"
    return {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, **asked.answers.usage}


def _chat(asked: Asked, served: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": " ".join(_words(asked))}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    named = _named(asked, served, {"id": f"chat-{asked.number}", "created": 1_760_000_000, "choices": choices})
    if "model_id" in named:
        named["model"] = named["model_id"]
    return {**named, "usage": _usage(asked)}


def _chat_events(asked: Asked, served: Any) -> Iterator[dict[str, Any]]:
    words = _words(asked)
    for i, word in enumerate([*words, ""]):
        last = i == len(words)
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": "stop" if last else None}
        event = _named(asked, served, {"id": f"chat-{asked.number}", "choices": [choice]}, late=i >= len(words) / 2)
        yield {**event, "usage": _usage(asked)} if last else event


def _result(asked: Asked, words: list[str], written: int, reason: str) -> dict[str, Any]:
    read: Any = "many" if asked.answers.fault == "wrong_types" else 9
    counts = {"generated_token_count": written, "input_token_count": read}
    return {"generated_text": " ".join(words), **counts, "stop_reason": reason}


def _generation(asked: Asked, served: Any) -> dict[str, Any]:
    return _named(asked, served, {"results": [_result(asked, _words(asked), 4, "eos_token")]})


def _generation_events(asked: Asked, served: Any) -> Iterator[dict[str, Any]]:
    words = _words(asked)
    for i, word in enumerate([*words, ""]):
        result = _result(asked, [word], i + 1, "eos_token" if i == len(words) else "not_finished")
        if i:
            result["input_token_count"] = 0
        yield _named(asked, served, {"results": [result]}, late=i >= len(words) / 2)


def _embeddings(asked: Asked, served: Any) -> dict[str, Any]:
    read: Any = "many" if asked.answers.fault == "wrong_types" else 9
    results = [{"embedding": [1.0, 0.0]} for _ in asked.body.get("inputs") or []]
    return _named(asked, served, {"results": results, "input_token_count": read})


def _tokens(asked: Asked, served: Any) -> dict[str, Any]:
    return _named(asked, served, {"result": {"token_count": 3, "tokens": ["a", "b", "c"]}})


def _words(asked: Asked) -> list[str]:
    return [WORDS[i % len(WORDS)] for i in range(max(1, asked.answers.chunks))]
