"""What the Gemini models' requests and responses look like, in every SDK of Google's that calls them.

Sources of the fields: google-genai 3.6.1 ``types.py`` (``GenerateContentResponse``,
``GenerateContentResponseUsageMetadata``, ``Content``, ``Part``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.fields import MAX_DEPTH, count, field, first, members, text
from otel_llm_routing.instrument.surface import CALL_HEADER
from otel_llm_routing.models import provider_of_host

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call, CallRequest

GEMINI = "gcp.gemini"
VERTEX = "gcp.vertex_ai"
GENERATE_CONTENT = "generate_content"


def read_content(call: Call, response: Any) -> None:
    """Read generated content, or one chunk of it: a dictionary, or an object of the SDK's."""
    fields, details = members(response), call.details
    model = fields.get("model_version")
    if model != call.body_model:
        call.body(model)
    if semconv.RESPONSE_ID not in details and (value := text(fields.get("response_id"))) is not None:
        details[semconv.RESPONSE_ID] = value
    if (usage := fields.get("usage_metadata")) is not None:
        read_usage(call, usage)
    candidates: Any = fields.get("candidates")
    if (reason := _finished(first(candidates))) is not None:
        reasons = [_finished(candidate) for candidate in candidates] if len(candidates) > 1 else [reason]
        details[semconv.FINISH_REASONS] = tuple(r for r in reasons if r is not None)


def read_usage(call: Call, usage: Any) -> None:
    """Read the tokens so far; the last chunk's are those of the answer."""
    fields = members(usage)  # every chunk has them
    take_tokens(
        call,
        prompt=count(fields.get("prompt_token_count")),
        tools=count(fields.get("tool_use_prompt_token_count")),
        answer=count(fields.get("candidates_token_count")),
        thoughts=count(fields.get("thoughts_token_count")),
        cached=count(fields.get("cached_content_token_count")),
    )


def take_tokens(call: Call, *, prompt: int, tools: int, answer: int, thoughts: int, cached: int) -> None:
    """Take the tokens as Google counts them: what tools read beside the prompt, and thoughts beside the answer.

    The conventions' totals include both.
    """
    details = call.details
    if read := prompt + tools:
        call.input_tokens = details[semconv.INPUT_TOKENS] = read
    if written := answer + thoughts:
        call.output_tokens = details[semconv.OUTPUT_TOKENS] = written
    if thoughts:
        details[semconv.REASONING_TOKENS] = thoughts
    if cached:
        details[semconv.CACHE_READ_TOKENS] = cached


def _finished(candidate: Any) -> str | None:
    if candidate is None:
        return None
    reason = field(candidate, "finish_reason")
    if reason is None:
        return None
    value = text(getattr(reason, "value", reason))
    return None if value is None else value.lower()


def size(value: Any, depth: int = 0) -> int:
    """Count the characters of text in contents: strings, contents, parts, or lists of them; not of files and images."""
    if type(value) is str:
        return len(value)
    if value is None or depth > MAX_DEPTH:
        return 0
    if type(value) is list or type(value) is tuple:
        return sum([size(item, depth + 1) for item in value])
    said = field(value, "text")
    if type(said) is str:
        return len(said)
    if (parts := field(value, "parts")) is not None:
        return size(parts, depth + 1)
    if (content := field(value, "content")) is not None:
        return size(content, depth + 1)
    return _strings(field(field(value, "function_response"), "response"), depth)


def _strings(value: Any, depth: int) -> int:
    if type(value) is str:
        return len(value)
    if depth > MAX_DEPTH:
        return 0
    if type(value) is dict:
        return sum([_strings(item, depth + 1) for item in value.values()])
    if type(value) is list:
        return sum([_strings(item, depth + 1) for item in value])
    return 0


def aim(request: CallRequest, url: Any) -> None:
    """Note where ``url`` leads: the server, and whose it is where the request does not say."""
    request.address, request.port, provider = _place(str(url))
    if request.provider == GEMINI and provider is not None:
        request.provider = provider


def surface(headers: Any) -> str | None:
    """Return the surface that one of ``headers`` names."""
    if type(headers) is dict:
        for name, value in headers.items():
            if type(name) is str and name.lower() == CALL_HEADER:
                return value if type(value) is str else None
    return None


def remove_surface(headers: Any) -> None:
    """Take that header out of ``headers``, those of a request about to be sent."""
    for name in [name for name in headers if name.lower() == CALL_HEADER]:
        del headers[name]


@lru_cache(maxsize=64)
def _place(url: str) -> tuple[str | None, int | None, str | None]:
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.hostname is None:
        return None, None, None
    port = parts.port or (80 if parts.scheme in ("http", "ws") else 443)
    return parts.hostname, port, provider_of_host(parts.hostname)
