"""Mistral's wire formats: chat, agents, fill-in-the-middle, embeddings, and conversations; whole and as events.

Chunks and whole answers are those of OpenAI's chat completions; a stream's usage comes with its last chunk, unasked.
The Responses API, which is OpenAI's as well, is left to that format.

Source: mistralai 3.7.0, ``client/chat.py``, ``agents.py``, ``fim.py``, ``conversations.py`` (paths), ``client/models``
(fields: ``chatcompletionresponse.py``, ``completionchunk.py``, ``conversationresponse.py``, ``conversationevents.py``),
``gcp/client/_hooks/registration.py`` (Google Cloud's path).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fake_provider import openai_wire, sse
from fake_provider.wire import Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked, Parts

_COMPLETIONS = re.compile(
    r"/v1/(?:fim|agents)/completions\Z|/publishers/mistralai/models/[^/:]+:(?:streamR|r)awPredict\Z"
)
_CONVERSATIONS = re.compile(r"/v1/conversations(?:/[^/]+(?:/restart)?)?\Z")
_AGENT_RUNS = "mistral-medium-2508"
"""What an agent's definition names as its model, where a request names none."""


def completion_events(
    body: dict[str, Any], model: Any, answers: Answers, number: int
) -> Iterator[tuple[str | None, Any]]:
    """Yield the chunks of a streamed completion."""
    events = list(openai_wire.chat_events(body, model, answers, number))
    events[-1][1]["usage"] = openai_wire.usage(answers)
    yield from events


def conversation(body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return what a conversation's agents put out."""
    message = {"object": "entry", "type": "message.output", "role": "assistant", "id": f"msg_{number}"}
    message["content"] = openai_wire.text_of(body, answers)
    outputs: Any = [openai_wire.named(message, model, answers)]
    if answers.fault == "wrong_types":
        outputs = "none"
    document = {"object": "conversation.response", "conversation_id": f"conv_{number}", "outputs": outputs}
    return {**document, "usage": openai_wire.usage(answers)}


def conversation_events(
    body: dict[str, Any], model: Any, answers: Answers, number: int
) -> Iterator[tuple[str | None, Any]]:
    """Yield the events of a streamed conversation."""
    parts = openai_wire.pieces(openai_wire.text_of(body, answers), answers)
    events: list[dict[str, Any]] = [{"type": "conversation.response.started", "conversation_id": f"conv_{number}"}]
    for i, part in enumerate(parts):
        name = answers.switch_to if answers.switch_to and i >= len(parts) / 2 else model
        delta = {"type": "message.output.delta", "id": f"msg_{number}", "role": "assistant", "content": part}
        events.append(openai_wire.named(delta, name, answers))
    events.append({"type": "conversation.response.done", "usage": openai_wire.usage(answers)})
    for event in events:
        yield event["type"], event


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Say whether this is a request of Mistral's own paths, or one of its SDK's to a path that others have as well."""
    if _COMPLETIONS.search(asked.path) or _CONVERSATIONS.search(asked.path):
        return True
    mistral = "mistral" in asked.headers.get("user-agent", "")
    return mistral and asked.path.endswith(("/chat/completions", "/embeddings"))


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what Mistral says when it fails."""
    return Whole(failure(status), status)


def failure(status: int) -> dict[str, Any]:
    """Return the document that says that Mistral failed."""
    document = {"object": "error", "message": "the fake provider was told to fail", "type": "internal_server_error"}
    return {**document, "param": None, "code": str(status)}


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer what is a call to a model."""
    path, body, answers, number = asked.path, asked.body, asked.answers, asked.number
    if asked.method != "POST":
        return None
    model = asked.serve(str(body.get("model") or _AGENT_RUNS), body)
    stream = body.get("stream") is True
    if path.endswith("/embeddings"):
        document = openai_wire.embeddings(body, model, answers)
        return Whole({**document, "id": f"emb-{number}", "usage": {**document["usage"], "completion_tokens": 0}})
    if _CONVERSATIONS.search(path):
        if stream:
            failed = {"type": "conversation.response.error", "message": "told to fail", "code": 500}
            events = conversation_events(body, model, answers, number)
            return sse.stream(events, done=False, error=("conversation.response.error", failed), malformed="message")
        return Whole(conversation(body, model, answers, number))
    if stream:
        events = completion_events(body, model, answers, number)
        return sse.stream(events, done=True, error=(None, failure(500)))
    return Whole(openai_wire.chat(body, model, answers, number))
