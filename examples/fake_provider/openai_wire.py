"""OpenAI's wire formats: chat completions, responses, legacy completions, embeddings; whole and as events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fake_provider import sse
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked

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


def tool_calls(body: dict[str, Any], answers: Answers, number: int) -> list[dict[str, Any]]:
    """Return the tool calls of the answer: of the tool that the request forces, or of the one that the test wants."""
    functions = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or () if "function" in tool}
    choice = body.get("tool_choice")
    name = choice["function"]["name"] if isinstance(choice, dict) and "function" in choice else None
    messages = body.get("messages") or [{}]
    if name is None and answers.call_tool and functions and messages[-1].get("role") != "tool":
        name = next(iter(functions))
    if name not in functions:
        return []
    properties = functions[name].get("parameters", {}).get("properties") or {}
    arguments = json.dumps({key: value_of(kind) for key, kind in properties.items()})
    return [{"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}]


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
    message: dict[str, Any] = {"role": "assistant", "content": text_of(body, answers), "refusal": None}
    reason = "stop"
    if called := tool_calls(body, answers, number):
        message, reason = {**message, "content": None, "tool_calls": called}, "tool_calls"
    choices: Any = [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}]
    if answers.fault == "wrong_types":
        choices = None
    document = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1_760_000_000, "choices": choices}
    return named({**document, "usage": usage(answers), **answers.more}, model, answers)


def chat_events(body: dict[str, Any], model: Any, answers: Answers, number: int) -> Iterator[tuple[str | None, Any]]:
    """Yield the chunks of a streamed chat completion, as (event name, data)."""
    base = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1_760_000_000}
    called = [{"index": i, **call} for i, call in enumerate(tool_calls(body, answers, number))]
    if called:
        delta: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": called}
        yield None, named({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}, model, answers)
    parts = [] if called else pieces(text_of(body, answers), answers)
    for i, part in enumerate(parts):
        name = answers.switch_to if answers.switch_to and i >= len(parts) / 2 else model
        delta = {"content": part, **({"role": "assistant"} if i == 0 else {})}
        choices: Any = None if answers.fault == "wrong_types" else [{"index": 0, "delta": delta, "finish_reason": None}]
        yield None, named({**base, "choices": choices}, name, answers)
    name = answers.switch_to or model
    reason = "tool_calls" if called else "stop"
    last: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield None, named({**base, **last}, name, answers)
        last = {"choices": [], "usage": usage(answers)}
    yield None, named({**base, **last, **answers.more}, name, answers)


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
    yield None, named({**base, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}, model, answers)


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
    content = [{"type": "output_text", "text": text_of(body, answers), "annotations": [], "logprobs": []}]
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
        "max_output_tokens": None,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
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
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
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


def failure(status: int) -> dict[str, Any]:
    """Return the document that says that the provider failed."""
    return {"error": {"message": "the fake provider was told to fail", "type": "server_error", "code": str(status)}}


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:  # noqa: ARG001
    """Take every request that nobody else took: most providers speak this format."""
    return True


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the provider says when it fails."""
    return Whole(failure(status), status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer the endpoints of OpenAI that are calls to a model, and some that are not."""
    path, body, answers, number = asked.path, asked.body, asked.answers, asked.number
    if asked.method != "POST":
        if "/responses/" in path:
            return Whole(response({}, "gpt-5-2025-08-07", answers, number, "completed"))
        return None
    model = asked.serve(str(body.get("model") or _deployment(path)), body)
    stream = body.get("stream") is True
    if path.endswith("/chat/completions"):
        if stream:
            return _events(chat_events(body, model, answers, number), done=True)
        return Whole(chat(body, model, answers, number))
    if path.endswith("/responses"):
        if "/openai/" in path and answers.model is None:
            model = body.get("model")  # Azure repeats the deployment's name
        if stream:
            return _events(response_events(body, model, answers, number), done=False)
        return Whole(response(body, model, answers, number, "completed"))
    if path.endswith("/responses/input_tokens"):
        return Whole({"object": "response.input_tokens", "input_tokens": 9})
    if path.endswith("/cancel"):
        return Whole(response({}, "gpt-5-2025-08-07", answers, number, "cancelled"))
    if path.endswith("/completions"):
        if stream:
            return _events(completion_events(body, model, answers, number), done=True)
        return Whole(completion(body, model, answers, number))
    if path.endswith("/embeddings"):
        return Whole(embeddings(body, model, answers))
    if path.endswith("/files"):
        file = {"id": "file-1", "object": "file", "bytes": 2, "created_at": 1, "filename": "a.jsonl"}
        return Whole({**file, "purpose": "batch", "status": "processed"})
    if path.endswith("/batches"):
        batch = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "f"}
        return Whole({**batch, "completion_window": "24h", "created_at": 1, "status": "validating"})
    if path.endswith("/moderations"):
        return Whole({"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": []})
    return None


def _events(events: Iterator[tuple[str | None, Any]], *, done: bool) -> Parts:
    return sse.stream(events, done=done, error=(None, failure(500)))


def _deployment(path: str) -> str:
    """Return the deployment that one of Azure's paths names."""
    return path.split("/deployments/", 1)[1].split("/", 1)[0] if "/deployments/" in path else ""
