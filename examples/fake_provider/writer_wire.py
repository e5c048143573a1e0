"""Writer's wire formats: chats in OpenAI's format at a path of their own, text completions, vision, translation.

Source: writer-sdk 3.0.0 ``resources/*.py`` for the paths, ``types/completion.py``, ``types/completion_chunk.py`` (no
model), ``types/vision_response.py``, ``types/translation_response.py``, ``_streaming.py`` (``event: error``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_provider import openai_wire, sse
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from fake_provider.wire import Asked


def completion(body: dict[str, Any], model: Any, asked: Asked) -> dict[str, Any]:
    """Return a text completion."""
    choices: Any = [{"text": openai_wire.text_of(body, asked.answers), "log_probs": None}]
    return openai_wire.named({"choices": None if _wrong(asked) else choices}, model, asked.answers)


def _wrong(asked: Asked) -> bool:
    return asked.answers.fault == "wrong_types"


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take what Writer's SDK sends: some of its paths are others' as well."""
    return "writer/python" in asked.headers.get("user-agent", "").lower()


def error(asked: Asked, status: int) -> Whole:
    """Return what the provider says when it fails."""
    return openai_wire.error(asked, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer the models' endpoints, and a no-code application's, which names no model."""
    path, body, answers = asked.path, asked.body, asked.answers
    if asked.method != "POST":
        return None
    model = asked.serve(str(body.get("model")), body)
    stream = body.get("stream") is True
    if path == "/v1/chat":
        if stream:
            return _events(openai_wire.chat_events(body, model, answers, asked.number))
        return Whole(openai_wire.chat(body, model, answers, asked.number))
    if path == "/v1/completions":
        if stream:
            tokens = replace(answers, chunks=2 * answers.chunks)
            pieces = openai_wire.pieces(openai_wire.text_of(body, answers), tokens)
            return _events((None, {"value": 17 if _wrong(asked) else piece}) for piece in pieces)
        return Whole(completion(body, model, asked))
    if path in ("/v1/vision", "/v1/translation"):
        return Whole({"data": 17 if _wrong(asked) else openai_wire.text_of({}, answers)})
    if path.startswith("/v1/applications/"):
        return Whole({"title": None, "suggestion": openai_wire.text_of(body, answers)})
    return None


def _events(events: Any) -> Parts:
    return sse.stream(events, done=True, error=("error", openai_wire.failure(500)))
