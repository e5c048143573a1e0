"""Anthropic's wire formats: messages and legacy completions, whole and as events; server-side fallbacks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fake_provider import sse
from fake_provider.openai_wire import named, pieces, text_of
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked


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
    trigger = {"type": "refusal", "category": None}
    return {"type": "fallback", "from": {"model": model}, "to": {"model": answers.fallback_to}, "trigger": trigger}


def message(body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return a message."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text_of(body, answers), "citations": None}]
    if answers.fallback_to:
        content.insert(0, fallback_block(answers, model))
    document = {"id": f"msg_{number}", "type": "message", "role": "assistant", "content": content}
    document |= {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage(answers, model), **answers.more}
    return named(document, model, answers)


def message_events(body: dict[str, Any], model: Any, answers: Answers, number: int) -> Iterator[tuple[str | None, Any]]:
    """Yield the events of a streamed message."""
    start = {**message(body, model, replace(answers, more={}), number), "content": [], "stop_reason": None}
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
    events.append({"type": "message_stop", **answers.more})
    for event in events:
        yield event["type"], event


def completion(body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return a legacy text completion."""
    document = {"id": f"compl_{number}", "type": "completion", "completion": text_of(body, answers)}
    return named({**document, "stop_reason": "stop_sequence"}, model, answers)


def completion_events(
    body: dict[str, Any], model: Any, answers: Answers, number: int
) -> Iterator[tuple[str | None, Any]]:
    """Yield the events of a streamed legacy completion, each with the text since the one before."""
    whole = completion(body, model, answers, number)
    for piece in pieces(whole["completion"], answers):
        yield "completion", {**whole, "completion": piece, "stop_reason": None}
    yield "completion", {**whole, "completion": ""}


def failure(status: int) -> dict[str, Any]:
    """Return the document that says that the provider failed."""
    kind = {429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": "the fake provider was told to fail"}}


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Take the Messages API, the legacy completions, and Vertex's prediction of a publisher's model."""
    return asked.path.endswith("/v1/complete") or "/v1/messages" in asked.path or _on_vertex(asked.path)


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the provider says when it fails."""
    return Whole(failure(status), status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer messages and completions, token counts and batches."""
    path, body, answers, number = asked.path, asked.body, asked.answers, asked.number
    if asked.method != "POST":
        return None
    requested = path.split("/models/", 1)[1].split(":", 1)[0] if _on_vertex(path) else str(body.get("model") or "")
    model = asked.serve(requested, body)
    if path.endswith("/count_tokens"):
        return Whole({"input_tokens": 9})
    if path.endswith("/messages/batches"):
        counts = dict.fromkeys(("canceled", "errored", "expired", "processing", "succeeded"), 0)
        batch = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended", "request_counts": counts}
        return Whole({**batch, "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"})
    error = ("error", failure(529))
    if path.endswith("/v1/complete"):
        if body.get("stream") is True:
            events = completion_events(body, model, answers, number)
            return sse.stream(events, done=False, error=error, malformed="completion")
        return Whole(completion(body, model, answers, number))
    if body.get("stream") is True or path.endswith(":streamRawPredict"):
        return sse.stream(
            message_events(body, model, answers, number), done=False, error=error, malformed="message_delta"
        )
    return Whole(message(body, model, answers, number))


def _on_vertex(path: str) -> bool:
    return path.endswith((":rawPredict", ":streamRawPredict"))
