"""The anthropic SDK: 0.x over httpx, 1.x and 2.x; its Bedrock, Vertex and Foundry clients.

Sources of the fields: anthropic 2.12.0 ``types/message.py``, ``types/raw_message_start_event.py``,
``types/beta/beta_fallback_*.py`` and ``types/beta/beta_usage.py`` for server-side fallbacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.fields import characters, count, field, members, text
from otel_llm_routing.instrument.adapters.stainless import Endpoint, StainlessAdapter
from otel_llm_routing.instrument.adapters.traces import read_traces

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call, CallRequest


def read_message(call: Call, body: Any) -> None:
    """Read a message, a legacy completion, or one event of a stream."""
    fields = body if type(body) is dict else body.__dict__
    kind = fields.get("type")
    if kind == "content_block_delta":
        return
    if kind == "message_start":
        _message(call, fields.get("message"))
    elif kind == "message_delta":
        _usage(call, fields.get("usage"))
        _stop(call, field(fields.get("delta"), "stop_reason"))
    elif kind == "content_block_start":
        _fallback_block(call, fields.get("content_block"))
    elif kind in ("message", "completion"):
        _message(call, body)
        read_traces(call, body)
    elif kind == "message_stop":
        read_traces(call, body)


def _message(call: Call, message: Any) -> None:
    fields = members(message)
    call.body(fields.get("model"))
    if (value := text(fields.get("id"))) is not None:
        call.details[semconv.RESPONSE_ID] = value
    content = fields.get("content")
    if type(content) is list:
        for block in content:
            _fallback_block(call, block)
    _usage(call, fields.get("usage"))
    _stop(call, fields.get("stop_reason"))


def _stop(call: Call, reason: Any) -> None:
    if (value := text(reason)) is not None:
        call.details[semconv.FINISH_REASONS] = (value,)


def _fallback_block(call: Call, block: Any) -> None:
    if field(block, "type") == "fallback":
        call.routed(field(field(block, "to"), "model"), fallback=True)


def _usage(call: Call, usage: Any) -> None:
    if usage is None:
        return
    fields, details = members(usage), call.details
    read = count(fields.get("cache_read_input_tokens"))
    wrote = count(fields.get("cache_creation_input_tokens"))
    # Anthropic counts cached input apart; the conventions' input tokens include it. Events repeat totals, so the
    # last one stands; an event that leaves the input out does not erase it.
    if (total := count(fields.get("input_tokens")) + read + wrote) > 0:
        call.input_tokens = details[semconv.INPUT_TOKENS] = total
    if read:
        details[semconv.CACHE_READ_TOKENS] = read
    if wrote:
        details[semconv.CACHE_WRITE_TOKENS] = wrote
    if written := count(fields.get("output_tokens")):
        call.output_tokens = details[semconv.OUTPUT_TOKENS] = written
    written_details = fields.get("output_tokens_details")
    if written_details and (thinking := count(field(written_details, "thinking_tokens"))):
        details[semconv.REASONING_TOKENS] = thinking
    iterations = fields.get("iterations")
    if type(iterations) is list:
        for iteration in iterations:
            if field(iteration, "type") == "fallback_message":
                call.routed(field(iteration, "model"), fallback=True)


def _messages_size(body: dict[str, Any]) -> int:
    return characters(body.get("messages")) + characters(body.get("system"))


def _prompt_size(body: dict[str, Any]) -> int:
    return characters(body.get("prompt"))


class AnthropicAdapter(StainlessAdapter):
    """Adds what is particular to Anthropic: the SDK's own spans."""

    def tells(self, client: Any) -> bool:
        """Say whether ``client`` has been given a tracer provider of its own."""
        chosen = getattr(client, "_open_telemetry", None) or {}
        return chosen.get("tracer_provider") is not None

    def refine(self, request: CallRequest, client: Any, options: Any, path: str) -> None:  # noqa: ARG002
        """Note whether the SDK is about to open a span of its own for the call."""
        if getattr(client, "_tracer", None) is None or not getattr(options, "span_name", None):
            return
        chosen = getattr(client, "_open_telemetry", None) or {}
        provider = chosen.get("tracer_provider") or trace.get_tracer_provider()
        if isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
            return  # its spans go nowhere
        request.native_span = True
        if self._tracker is not None:
            self._tracker.processor.attach(provider)


ADAPTER = AnthropicAdapter(
    "anthropic",
    "anthropic",
    {
        "/v1/messages": Endpoint("chat", read_message, _messages_size),
        "/v1/complete": Endpoint("text_completion", read_message, _prompt_size),
    },
    {
        "BaseBedrockClient": "aws.bedrock",
        "AnthropicBedrock": "aws.bedrock",
        "AsyncAnthropicBedrock": "aws.bedrock",
        "BaseMantleClient": "aws.bedrock",
        "AnthropicBedrockMantle": "aws.bedrock",
        "AsyncAnthropicBedrockMantle": "aws.bedrock",
        "BaseVertexClient": "gcp.vertex_ai",
        "AnthropicVertex": "gcp.vertex_ai",
        "AsyncAnthropicVertex": "gcp.vertex_ai",
    },
)
