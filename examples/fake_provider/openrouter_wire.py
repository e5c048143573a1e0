"""OpenRouter's wire formats, behind ``/api/v1``: OpenAI's, with usage in every stream and a routing trace on request.

Sources: openrouter 1.3.84, ``chat.py``, ``responses.py``, ``embeddings.py`` (paths), ``components/chatresult.py``,
``chatstreamchunk.py``, ``openroutermetadata.py``; OpenRouter's documentation, "Router Metadata" (the header; in a
stream, on the last chunk) and "Streaming" (an error within one).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_provider import openai_wire, sse
from fake_provider.wire import Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked, Parts

METADATA = "x-openrouter-metadata"


def trace(requested: Any, model: Any, tried: tuple[str, ...]) -> dict[str, Any]:
    """Return the routing trace of an answer by ``model``, after those that were ``tried`` had failed."""
    attempts = [{"model": name, "provider": "Fake", "status": 502} for name in tried]
    document = {
        "requested": requested,
        "strategy": "fallback" if tried else "auto",
        "attempt": len(tried) + 1,
        "endpoints": {"available": [{"model": model, "provider": "Fake", "selected": True}], "total": 1},
        "is_byok": False,
        "region": "iad",
        "summary": "available=1, selected=Fake",
    }
    if tried:
        document["attempts"] = [*attempts, {"model": model, "provider": "Fake", "status": 200}]
    return document


def chat_events(
    body: dict[str, Any], model: Any, answers: Answers, number: int, metadata: dict[str, Any] | None
) -> Iterator[tuple[str | None, Any]]:
    """Yield the chunks of a streamed chat completion; the last one has the usage, and the routing trace."""
    events = list(openai_wire.chat_events({**body, "stream_options": {"include_usage": True}}, model, answers, number))
    if metadata is not None:
        events[-1][1]["openrouter_metadata"] = metadata
    yield from events


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Say whether this is a request to OpenRouter's paths."""
    return asked.path.startswith("/api/v1/")


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what OpenRouter says when it fails."""
    return Whole(failure(status), status)


def failure(status: int) -> dict[str, Any]:
    """Return the document that says that OpenRouter failed."""
    return {"error": {"code": status, "message": "the fake provider was told to fail"}}


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer what is a call to a model, and leave the rest to OpenAI's format."""
    path, body, answers, number = asked.path, asked.body, asked.answers, asked.number
    if asked.method != "POST" or "/presets/" in path or not path.endswith(("/chat/completions", "/responses")):
        return openai_wire.answer(asked)
    requested = body.get("model") or (body.get("models") or [""])[0]
    model = answers.fallback_to or asked.serve(str(requested), body)
    tried = (str(requested),) if answers.fallback_to else ()
    metadata = trace(requested, model, tried) if asked.headers.get(METADATA) == "enabled" else None
    if path.endswith("/responses"):
        return _response(replace(asked, body={**body, "model": model}, serve=lambda *_: model), metadata)
    if body.get("stream") is True:
        failed = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1_760_000_000}
        failed.update(model=model, choices=[], **failure(500))
        return sse.stream(chat_events(body, model, answers, number, metadata), done=True, error=(None, failed))
    document = openai_wire.chat(body, model, answers, number)
    document.setdefault("system_fingerprint", None)
    return Whole(document if metadata is None else {**document, "openrouter_metadata": metadata})


def _response(asked: Asked, metadata: dict[str, Any] | None) -> Whole | Parts | None:
    """Return a response, or its events, with the fields that OpenRouter's never lack."""
    body, answers, number = asked.body, asked.answers, asked.number
    model = asked.serve("", body)

    def complete(document: dict[str, Any]) -> dict[str, Any]:
        nothing = {"completed_at": None, "frequency_penalty": None, "presence_penalty": None}
        return {**document, **nothing, **({} if metadata is None else {"openrouter_metadata": metadata})}

    def events() -> Iterator[tuple[str | None, Any]]:
        for name, event in openai_wire.response_events(body, model, answers, number):
            yield name, {**event, "response": complete(event["response"])} if "response" in event else event

    if body.get("stream") is True:
        failed = {"type": "error", "code": "server_error", "message": "told to fail", "param": None}
        return sse.stream(events(), done=True, error=("error", {**failed, "sequence_number": 99}))
    return Whole(complete(openai_wire.response(body, model, answers, number, "completed")))
