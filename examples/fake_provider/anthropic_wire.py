"""Anthropic's wire formats: messages and legacy completions, whole and as events; server-side fallbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fake_provider.openai_wire import named, pieces, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers


def usage(answers: Answers, model: Any) -> Any:
    """Return a message's usage, with its iterations where a fallback happened."""
    if answers.fault == "wrong_types":
        return "many"
    found: dict[str, Any] = {"input_tokens": 9, "output_tokens": 4, **answers.usage}
    if answers.fallback_to:
        one = {"input_tokens": 9, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
        found["iterations"] = [
            {"type": "message", "model": model, **one},
            {"type": "fallback_message", "model": answers.fallback_to, **one, "output_tokens": 4},
        ]
    return found


def fallback_block(answers: Answers, model: Any) -> dict[str, Any]:
    """Return the content block that says that another model took over."""
    return {"type": "fallback", "from": {"model": model}, "to": {"model": answers.fallback_to}}


def message(body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return a message."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text_of(body, answers), "citations": None}]
    if answers.fallback_to:
        content.insert(0, fallback_block(answers, model))
    document = {"id": f"msg_{number}", "type": "message", "role": "assistant", "content": content}
    document |= {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage(answers, model)}
    return named(document, model, answers)


def message_events(body: dict[str, Any], model: Any, answers: Answers, number: int) -> Iterator[tuple[str | None, Any]]:
    """Yield the events of a streamed message."""
    start = {**message(body, model, answers, number), "content": [], "stop_reason": None}
    if isinstance(start["usage"], dict):
        start["usage"] = {k: v for k, v in start["usage"].items() if k != "iterations"} | {"output_tokens": 1}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    index = 0
    if answers.fallback_to:
        events.append({"type": "content_block_start", "index": 0, "content_block": fallback_block(answers, model)})
        events.append({"type": "content_block_stop", "index": 0})
        index = 1
    block = {"type": "text", "text": "", "citations": None}
    events.append({"type": "content_block_start", "index": index, "content_block": block})
    events.append({"type": "ping"})
    events += [
        {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": piece}}
        for piece in pieces(text_of(body, answers), answers)
    ]
    events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": usage(answers, model)})
    events.append({"type": "message_stop"})
    for event in events:
        yield event["type"], event


def completion(body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return a legacy text completion."""
    document = {"id": f"compl_{number}", "type": "completion", "completion": text_of(body, answers)}
    return named({**document, "stop_reason": "stop_sequence"}, model, answers)


def error(status: int) -> dict[str, Any]:
    """Return an error's body."""
    kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": "the fake provider was told to fail"}}
