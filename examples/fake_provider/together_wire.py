"""Together's text completions: OpenAI's format, with names of its own for what it is.

Source: together 1.6.0 ``types/common.py`` (``ObjectType``), together 3.1.1 ``types/completion.py`` and
``types/completion_chunk.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fake_provider import openai_wire, sse
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.wire import Asked


def events(asked: Asked, model: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield the chunks of a streamed text completion."""
    for name, chunk in openai_wire.completion_events(asked.body, model, asked.answers, asked.number):
        yield name, {**chunk, "object": "completion.chunk"}


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take what Together's SDK sends to complete a text."""
    agent = asked.headers.get("user-agent", "").lower()
    return "together/" in agent and asked.path == "/v1/completions"


def error(asked: Asked, status: int) -> Whole:
    """Return what the provider says when it fails."""
    return openai_wire.error(asked, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer text completions."""
    body = asked.body
    model = asked.serve(str(body.get("model")), body)
    if body.get("stream") is True:
        return sse.stream(events(asked, model), done=True, error=(None, openai_wire.failure(500)))
    whole = openai_wire.completion(body, model, asked.answers, asked.number)
    return Whole({**whole, "object": "text.completion", "prompt": []})
