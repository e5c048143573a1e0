"""Groq's chat completions: OpenAI's format, with what Groq adds in ``x_groq`` and ``usage_breakdown``.

Source: groq 1.7.0 ``types/chat/chat_completion.py`` and ``chat_completion_chunk.py``: a stream has ``x_groq`` in its
first chunk (the id of the request) and in its last (usage, and the breakdown of a compound system).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fake_provider import openai_wire, sse
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.wire import Asked

PATH = "/openai/v1/chat/completions"
BREAKDOWN = "usage_breakdown"


def events(asked: Asked, model: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield the chunks of a streamed chat completion."""
    answers = asked.answers
    request = {"id": f"req_{asked.number}"}
    for i, (name, chunk) in enumerate(openai_wire.chat_events(asked.body, model, answers, asked.number)):
        added = dict(request) if i == 0 else {}
        if _finished(chunk):
            added |= {**request, "usage": openai_wire.usage(answers)}
        if BREAKDOWN in chunk:
            added[BREAKDOWN] = chunk.pop(BREAKDOWN)
        yield name, {**chunk, **({"x_groq": added} if added else {})}


def _finished(chunk: dict[str, Any]) -> bool:
    return any(choice["finish_reason"] is not None for choice in chunk["choices"] or ())


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take Groq's path, which is also that of Azure's API of the same name; that one has a key of its own."""
    return asked.path == PATH and "api-key" not in asked.headers


def error(asked: Asked, status: int) -> Whole:
    """Return what the provider says when it fails."""
    return openai_wire.error(asked, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer chat completions."""
    body, answers = asked.body, asked.answers
    model = asked.serve(str(body.get("model")), body)
    if body.get("stream") is True:
        return sse.stream(events(asked, model), done=True, error=(None, openai_wire.failure(500)))
    document = openai_wire.chat(body, model, answers, asked.number)
    return Whole({**document, "x_groq": {"id": f"req_{asked.number}"}})
