"""The OpenAI formats, which many providers speak: completions, embeddings, the Responses API.

Sources of the fields: openai 3.54.0 ``types/chat/chat_completion.py``, ``types/responses/response.py``,
``types/completion.py``, ``types/create_embedding_response.py``. What others name otherwise: groq 1.7.0
``types/chat/chat_completion_chunk.py`` (a stream's usage in ``x_groq``), writer-sdk 3.0.0
``types/chat_completion_usage.py`` (``prompt_token_details``), DeepSeek's documentation, "Context Caching"
(``prompt_cache_hit_tokens``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.fields import MAX_TEXT, characters, count, field, members, text
from otel_llm_routing.instrument.adapters.stainless import Endpoint
from otel_llm_routing.instrument.adapters.traces import read_traces

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call


def read_completion(call: Call, body: Any) -> None:
    """Read a chat completion, a legacy completion, an embedding response, or one chunk of a stream of the former."""
    if type(body) is dict:
        fields = body
    else:
        fields = body.__dict__
        try:
            if (
                fields["choices"][0].__dict__["finish_reason"] is None
                and fields["usage"] is None
                and fields["model"] == call.body_model
            ):
                return  # one of a stream's many chunks that say nothing new: it has to be seen at once
        except (AttributeError, IndexError, KeyError, TypeError):
            pass  # it may say something all the same
    model, usage = fields.get("model"), fields.get("usage")
    choices: Any = fields.get("choices")
    choice = choices[0] if type(choices) is list and choices else None
    if model is None:
        model = field(body, "model")  # sent, though the SDK's type of a chunk lacks it: together's completions
    if model != call.body_model or usage is not None:
        if model != call.body_model:
            call.body(model)
        if usage is not None:
            _usage(call, usage, _CHAT_USAGE)
        _once_per_answer(call, body)
    if choice is None:
        read_traces(call, body)
    elif (reason := text(field(choice, "finish_reason"))) is not None:
        call.details[semconv.FINISH_REASONS] = (reason,)
        if len(choices) > 1:
            reasons = [text(field(c, "finish_reason")) for c in choices]
            call.details[semconv.FINISH_REASONS] = tuple(r for r in reasons if r is not None)
        if usage is None and (usage := field(field(body, "x_groq"), "usage")) is not None:
            _usage(call, usage, _CHAT_USAGE)
        read_traces(call, body)


def read_response(call: Call, body: Any) -> None:
    """Read a response of the Responses API, or one event of its stream that carries the response so far."""
    fields = body if type(body) is dict else body.__dict__
    response = fields.get("response")
    if response is None:
        if fields.get("object") != "response":
            return  # an event of the stream between those that carry the response
        response = body
    call.body(field(response, "model"))
    _once_per_answer(call, response)
    read_traces(call, response)
    if (usage := field(response, "usage")) is not None:
        _usage(call, usage, _RESPONSE_USAGE)
    status = text(field(response, "status"))
    if status is not None and status not in ("in_progress", "queued"):
        reason = text(field(field(response, "incomplete_details"), "reason"))
        call.details[semconv.FINISH_REASONS] = (reason or status,)


_ONCE = (
    (semconv.RESPONSE_ID, "id"),
    (semconv.OPENAI_RESPONSE_TIER, "service_tier"),
    (semconv.OPENAI_FINGERPRINT, "system_fingerprint"),
)


def _once_per_answer(call: Call, body: Any) -> None:
    fields, details = members(body), call.details
    for attribute, name in _ONCE:
        if type(value := fields.get(name)) is str and value:
            details[attribute] = value[:MAX_TEXT]


# Tokens read and written, and where the details of each stand.
_CHAT_USAGE = (
    "prompt_tokens",
    "completion_tokens",
    ("prompt_tokens_details", "prompt_token_details"),
    "prompt_cache_hit_tokens",
    "completion_tokens_details",
)
_RESPONSE_USAGE = (
    "input_tokens",
    "output_tokens",
    ("input_tokens_details", "input_token_details"),
    "input_cache_hit_tokens",
    "output_tokens_details",
)


def _usage(call: Call, usage: Any, names: tuple[str, str, tuple[str, str], str, str]) -> None:
    read, written, read_details, hits, written_details = names
    fields, details = members(usage), call.details
    if (tokens := fields.get(read)) and (tokens := count(tokens)):
        call.input_tokens = details[semconv.INPUT_TOKENS] = tokens
    if (tokens := fields.get(written)) and (tokens := count(tokens)):
        call.output_tokens = details[semconv.OUTPUT_TOKENS] = tokens
    parts = fields.get(read_details[0]) or fields.get(read_details[1])
    if (tokens := (parts and field(parts, "cached_tokens")) or fields.get(hits)) and (tokens := count(tokens)):
        details[semconv.CACHE_READ_TOKENS] = tokens
    parts = fields.get(written_details)
    if parts and (tokens := field(parts, "reasoning_tokens")) and (tokens := count(tokens)):
        details[semconv.REASONING_TOKENS] = tokens


def chat_size(body: dict[str, Any]) -> int:
    """Count the characters of a chat's messages."""
    return characters(body.get("messages"))


def prompt_size(body: dict[str, Any]) -> int:
    """Count the characters of a legacy completion's prompt."""
    return characters(body.get("prompt"))


def _responses_size(body: dict[str, Any]) -> int:
    return characters(body.get("input")) + characters(body.get("instructions"))


def _input_size(body: dict[str, Any]) -> int:
    return characters(body.get("input"))


def endpoints(prefix: str = "") -> dict[str, Endpoint]:
    """Return the paths of OpenAI's API that are calls to a model, each behind ``prefix``."""
    return {
        f"{prefix}/chat/completions": Endpoint("chat", read_completion, chat_size),
        f"{prefix}/responses": Endpoint("chat", read_response, _responses_size),
        f"{prefix}/completions": Endpoint("text_completion", read_completion, prompt_size),
        f"{prefix}/embeddings": Endpoint("embeddings", read_completion, _input_size),
    }
