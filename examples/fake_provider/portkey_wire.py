"""Portkey's gateway: the format of the provider behind it (OpenAI's here), saved prompts, and headers of its own.

Source: portkey-ai 2.3.4 ``api_resources/apis/generation.py`` (paths of prompts), ``base_client.py`` (headers of a
request), ``streaming.py`` (``event: error``); Portkey's documentation, "Response Schema" (headers of an answer).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fake_provider import openai_wire, sse
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from fake_provider.wire import Asked

TEMPLATE = "gpt-5"
"""The model that a saved prompt asks for where the call names none."""


def _prompt(asked: Asked) -> Whole | Parts | None:
    if asked.path.endswith("/render"):
        return Whole({"success": True, "data": {"model": TEMPLATE, "messages": []}})
    if not asked.path.endswith("/completions"):
        return None
    body, answers = asked.body, asked.answers
    model = asked.serve(str(body.get("model") or TEMPLATE), body)
    if body.get("stream") is True:
        events = openai_wire.chat_events(body, model, answers, asked.number)
        return sse.stream(events, done=True, error=("error", openai_wire.failure(500)))
    return Whole(openai_wire.chat(body, model, answers, asked.number))


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take what is sent with a key of Portkey's."""
    return "x-portkey-api-key" in asked.headers


def error(asked: Asked, status: int) -> Whole:
    """Return what the provider says when it fails."""
    return openai_wire.error(asked, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer as the gateway does: what the provider says, with headers of its own."""
    found = _prompt(asked) if "/prompts/" in asked.path else openai_wire.answer(asked)
    headers = {"x-portkey-trace-id": f"trace-{asked.number}", "x-portkey-last-used-option-index": "config"}
    return None if found is None else replace(found, headers=headers)
