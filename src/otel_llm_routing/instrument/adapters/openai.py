"""The openai SDK: 1.x and 2.x over httpx, 3.x over httpx2; Azure and every OpenAI-compatible server.

Sources of the fields: openai 3.54.0 ``types/chat/chat_completion.py``, ``types/responses/response.py``,
``types/completion.py``, ``types/create_embedding_response.py``; OpenRouter's documentation for
``openrouter_metadata``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.fields import characters, count, field, first, text
from otel_llm_routing.instrument.adapters.stainless import Endpoint, StainlessAdapter

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call, CallRequest

AZURE = "azure.ai.openai"


def read_completion(call: Call, body: Any) -> None:
    """Read a chat completion, a legacy completion, an embedding response, or one chunk of a stream of the former."""
    fields = body if type(body) is dict else body.__dict__
    model = fields.get("model")
    if model != call.body_model:
        call.body(model)
        _once_per_answer(call, body)
    if (usage := fields.get("usage")) is not None:
        _usage(call, usage, "prompt", "completion")
        _once_per_answer(call, body)
    choice = first(fields.get("choices"))
    if choice is not None and (reason := text(field(choice, "finish_reason"))) is not None:
        call.details[semconv.FINISH_REASONS] = (reason,)
        choices = fields["choices"]
        if len(choices) > 1:
            reasons = [text(field(c, "finish_reason")) for c in choices]
            call.details[semconv.FINISH_REASONS] = tuple(r for r in reasons if r is not None)


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
    if (usage := field(response, "usage")) is not None:
        _usage(call, usage, "input", "output")
    status = text(field(response, "status"))
    if status is not None and status not in ("in_progress", "queued"):
        reason = text(field(field(response, "incomplete_details"), "reason"))
        call.details[semconv.FINISH_REASONS] = (reason or status,)


def _once_per_answer(call: Call, body: Any) -> None:
    details = call.details
    for attribute, name in (
        (semconv.RESPONSE_ID, "id"),
        (semconv.OPENAI_RESPONSE_TIER, "service_tier"),
        (semconv.OPENAI_FINGERPRINT, "system_fingerprint"),
    ):
        if (value := text(field(body, name))) is not None:
            details[attribute] = value
    metadata = field(body, "openrouter_metadata")
    if metadata is not None:
        call.gateway = call.gateway or "openrouter"
        attempts = field(metadata, "attempts")
        if type(attempts) is list and attempts:
            call.routed(field(attempts[-1], "model"), fallback=len(attempts) > 1)


def _usage(call: Call, usage: Any, read: str, written: str) -> None:
    details = call.details
    call.input_tokens = count(field(usage, f"{read}_tokens"))
    call.output_tokens = count(field(usage, f"{written}_tokens"))
    if call.input_tokens:
        details[semconv.INPUT_TOKENS] = call.input_tokens
    if call.output_tokens:
        details[semconv.OUTPUT_TOKENS] = call.output_tokens
    if cached := count(field(field(usage, f"{read}_tokens_details"), "cached_tokens")):
        details[semconv.CACHE_READ_TOKENS] = cached
    if reasoning := count(field(field(usage, f"{written}_tokens_details"), "reasoning_tokens")):
        details[semconv.REASONING_TOKENS] = reasoning


def _chat_size(body: dict[str, Any]) -> int:
    return characters(body.get("messages"))


def _responses_size(body: dict[str, Any]) -> int:
    return characters(body.get("input")) + characters(body.get("instructions"))


def _prompt_size(body: dict[str, Any]) -> int:
    return characters(body.get("prompt"))


def _input_size(body: dict[str, Any]) -> int:
    return characters(body.get("input"))


class OpenAIAdapter(StainlessAdapter):
    """Adds what is particular to OpenAI: Azure's Responses API, service tiers, OpenLLMetry's late span."""

    def refine(self, request: CallRequest, client: Any, options: Any, path: str) -> None:  # noqa: ARG002
        """Note the requested tier, and who is known to overwrite the body's model."""
        body = options.json_data
        if type(body) is dict:
            request.service_tier = text(body.get("service_tier"))
        if path.endswith("/responses"):
            # openai/openai-python issue 3271: the body repeats the deployment's name.
            request.overwrites_body = request.provider == AZURE
            request.late_span = _opens_late_spans()


def _opens_late_spans() -> bool:
    """Say whether OpenLLMetry has wrapped the Responses API: it opens its span once the call has returned."""
    module = sys.modules.get("openai.resources.responses.responses")
    method = getattr(module, "Responses", None) if "opentelemetry.instrumentation.openai.v1" in sys.modules else None
    wrapper = getattr(method.__dict__.get("create"), "_self_wrapper", None) if method is not None else None
    return getattr(wrapper, "__module__", "").startswith("opentelemetry.instrumentation.openai.")


ADAPTER = OpenAIAdapter(
    "openai",
    "openai",
    {
        "/chat/completions": Endpoint("chat", read_completion, _chat_size),
        "/responses": Endpoint("chat", read_response, _responses_size),
        "/completions": Endpoint("text_completion", read_completion, _prompt_size),
        "/embeddings": Endpoint("embeddings", read_completion, _input_size),
    },
    {"BaseAzureClient": AZURE},
)
