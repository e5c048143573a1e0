"""OpenAI's wire formats: chat completions, responses, legacy completions, embeddings; whole and as events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers

WORDS = ["lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit"]


def text_of(body: dict[str, Any], answers: Answers) -> str:
    """Return the answer's text: words, or a JSON object where the request asks for a schema."""
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    schema = schema or ((body.get("text") or {}).get("format") or {}).get("schema")
    schema = schema or ((body.get("output_config") or {}).get("format") or body.get("output_format") or {}).get(
        "schema"
    )
    if schema:
        return json.dumps({name: value_of(kind) for name, kind in (schema.get("properties") or {}).items()})
    return " ".join(WORDS[i % len(WORDS)] for i in range(max(1, answers.chunks)))


def value_of(schema: dict[str, Any]) -> Any:
    """Return a value that fits a simple schema."""
    return {"string": "lorem", "number": 1.5, "integer": 1, "boolean": True, "array": []}.get(
        schema.get("type", ""), {}
    )


def pieces(text: str, answers: Answers) -> list[str]:
    """Cut ``text`` into the chunks of a stream."""
    n = max(1, answers.chunks)
    size = max(1, -(-len(text) // n))
    return [text[i : i + size] for i in range(0, len(text), size)]


def usage(answers: Answers) -> Any:
    """Return the usage of a completion."""
    if answers.fault == "wrong_types":
        return "many"
    return {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
        **answers.usage,
    }


def named(document: dict[str, Any], model: Any, answers: Answers) -> dict[str, Any]:
    """Add what both whole answers and chunks may name."""
    if not answers.no_model:
        document["model"] = model
    if answers.service_tier:
        document["service_tier"] = answers.service_tier
    if answers.system_fingerprint:
        document["system_fingerprint"] = answers.system_fingerprint
    return document


def chat(body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return a chat completion."""
    message = {"role": "assistant", "content": text_of(body, answers), "refusal": None}
    choices: Any = [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
    if answers.fault == "wrong_types":
        choices = None
    document = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1_760_000_000, "choices": choices}
    return named({**document, "usage": usage(answers)}, model, answers)


def chat_events(body: dict[str, Any], model: Any, answers: Answers, number: int) -> Iterator[tuple[str | None, Any]]:
    """Yield the chunks of a streamed chat completion, as (event name, data)."""
    base = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1_760_000_000}
    parts = pieces(text_of(body, answers), answers)
    for i, part in enumerate(parts):
        name = answers.switch_to if answers.switch_to and i >= len(parts) / 2 else model
        delta: dict[str, Any] = {"content": part, **({"role": "assistant"} if i == 0 else {})}
        choices: Any = None if answers.fault == "wrong_types" else [{"index": 0, "delta": delta, "finish_reason": None}]
        yield None, named({**base, "choices": choices}, name, answers)
    name = answers.switch_to or model
    yield None, named({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, name, answers)
    if (body.get("stream_options") or {}).get("include_usage"):
        yield None, named({**base, "choices": [], "usage": usage(answers)}, name, answers)


def completion(body: dict[str, Any], model: Any, answers: Answers, number: int) -> dict[str, Any]:
    """Return a legacy completion."""
    choices = [{"index": 0, "text": text_of(body, answers), "finish_reason": "stop", "logprobs": None}]
    document = {"id": f"cmpl-{number}", "object": "text_completion", "created": 1_760_000_000, "choices": choices}
    return named({**document, "usage": usage(answers)}, model, answers)


def completion_events(
    body: dict[str, Any], model: Any, answers: Answers, number: int
) -> Iterator[tuple[str | None, Any]]:
    """Yield the chunks of a streamed legacy completion."""
    base = {"id": f"cmpl-{number}", "object": "text_completion", "created": 1_760_000_000}
    for part in pieces(text_of(body, answers), answers):
        choices = [{"index": 0, "text": part, "finish_reason": None, "logprobs": None}]
        yield None, named({**base, "choices": choices}, model, answers)


def embeddings(body: dict[str, Any], model: Any, answers: Answers) -> dict[str, Any]:
    """Return embeddings, in the encoding the request asks for."""
    inputs = body.get("input")
    n = len(inputs) if isinstance(inputs, list) else 1
    vector: Any = "AACAPwAAAAA=" if body.get("encoding_format") == "base64" else [1.0, 0.0]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(n)]
    return named({"object": "list", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}, model, answers)


def response(body: dict[str, Any], model: Any, answers: Answers, number: int, status: str) -> dict[str, Any]:
    """Return a response of the Responses API."""
    done = status == "completed"
    content = [{"type": "output_text", "text": text_of(body, answers), "annotations": []}]
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed", "content": content}
    read = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13, **answers.usage}
    details = {"input_tokens_details": {"cached_tokens": 2}, "output_tokens_details": {"reasoning_tokens": 1}}
    document = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": [message] if done else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": ("many" if answers.fault == "wrong_types" else {**read, **details}) if done else None,
    }
    return named(document, model, answers)


def response_events(
    body: dict[str, Any], model: Any, answers: Answers, number: int
) -> Iterator[tuple[str | None, Any]]:
    """Yield the events of a streamed response."""
    events: list[dict[str, Any]] = []
    item = f"msg_{number}"
    at = {"item_id": item, "output_index": 0, "content_index": 0}
    text = text_of(body, answers)
    message = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    events.append({"type": "response.created", "response": response(body, model, answers, number, "in_progress")})
    events.append({"type": "response.in_progress", "response": response(body, model, answers, number, "in_progress")})
    events.append({"type": "response.output_item.added", "output_index": 0, "item": message})
    events.append({"type": "response.content_part.added", **at, "part": part})
    events += [
        {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in pieces(text, answers)
    ]
    whole = {**part, "text": text}
    events.append({"type": "response.output_text.done", **at, "text": text, "logprobs": []})
    events.append({"type": "response.content_part.done", **at, "part": whole})
    done = {**message, "status": "completed", "content": [whole]}
    events.append({"type": "response.output_item.done", "output_index": 0, "item": done})
    events.append({"type": "response.completed", "response": response(body, model, answers, number, "completed")})
    for sequence, event in enumerate(events):
        yield event["type"], {**event, "sequence_number": sequence}


def error(status: int) -> dict[str, Any]:
    """Return an error's body."""
    return {"error": {"message": "the fake provider was told to fail", "type": "server_error", "code": str(status)}}
