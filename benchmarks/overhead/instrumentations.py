"""How each contender is switched on, in its own environment. Nothing is imported before it is asked for."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def bare() -> None:
    """Switch nothing on: the SDK as it is."""


def ours() -> None:
    """Switch on this project."""
    from otel_llm_routing import LLMRoutingInstrumentor  # noqa: PLC0415

    LLMRoutingInstrumentor().instrument()


def floor() -> None:
    """Write by hand the least that records both models: one span of eight attributes, a counter and a histogram."""
    import anthropic.resources.messages  # noqa: PLC0415
    import openai.resources.chat.completions  # noqa: PLC0415
    import openai.resources.responses  # noqa: PLC0415
    import wrapt  # noqa: PLC0415
    from opentelemetry import metrics, trace  # noqa: PLC0415

    meter = metrics.get_meter("floor")
    counter, histogram = meter.create_counter("floor.calls"), meter.create_histogram("floor.duration", "s")
    tracer = trace.get_tracer("floor")

    def before(provider: str, model: str) -> tuple[Any, float]:
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "server.address": "api.example.com",
        }
        return tracer.start_span(
            f"chat {model}", kind=trace.SpanKind.CLIENT, attributes=attributes
        ), time.perf_counter()

    def after(span: Any, began: float, provider: str, requested: str, result: Any, read: str, written: str) -> None:
        served, usage = getattr(result, "model", None), getattr(result, "usage", None)
        if served is not None and span.is_recording():
            span.set_attributes(
                {
                    "gen_ai.response.model": served,
                    "gen_ai.response.id": result.id,
                    "gen_ai.usage.input_tokens": getattr(usage, read),
                    "gen_ai.usage.output_tokens": getattr(usage, written),
                }
            )
        span.end()
        attributes = {
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": requested,
            "gen_ai.response.model": served or "none",
        }
        counter.add(1, attributes)
        histogram.record(time.perf_counter() - began, attributes)

    def create(
        provider: str,
        read: str,
        written: str,
        wrapped: Any,
        _instance: Any,
        args: Any,
        kwargs: Any,
    ) -> Any:
        span, began = before(provider, kwargs["model"])
        with trace.use_span(span):
            result = wrapped(*args, **kwargs)
        after(span, began, provider, kwargs["model"], result, read, written)
        return result

    async def create_async(
        provider: str,
        read: str,
        written: str,
        wrapped: Any,
        _instance: Any,
        args: Any,
        kwargs: Any,
    ) -> Any:
        span, began = before(provider, kwargs["model"])
        with trace.use_span(span):
            result = await wrapped(*args, **kwargs)
        after(span, began, provider, kwargs["model"], result, read, written)
        return result

    prompt, messages = ("openai", "prompt_tokens", "completion_tokens"), ("anthropic", "input_tokens", "output_tokens")
    responses = ("openai", *messages[1:])
    for owner, wrapper, said in (
        (openai.resources.chat.completions.Completions, create, prompt),
        (openai.resources.chat.completions.AsyncCompletions, create_async, prompt),
        (openai.resources.responses.Responses, create, responses),
        (anthropic.resources.messages.Messages, create, messages),
    ):
        wrapt.wrap_function_wrapper(owner, "create", functools.partial(wrapper, *said))


def genai() -> None:
    """Switch on OpenTelemetry's own."""
    from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor  # noqa: PLC0415
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor  # noqa: PLC0415

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def openllmetry() -> None:
    """Switch on OpenLLMetry."""
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor  # noqa: PLC0415
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor  # noqa: PLC0415

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def openinference() -> None:
    """Switch on OpenInference."""
    from openinference.instrumentation.anthropic import AnthropicInstrumentor  # noqa: PLC0415
    from openinference.instrumentation.openai import OpenAIInstrumentor  # noqa: PLC0415

    OpenAIInstrumentor().instrument()
    AnthropicInstrumentor().instrument()


def logfire() -> None:
    """Switch on Logfire, with the providers that are there."""
    import logfire as log  # noqa: PLC0415

    log.instrument_openai()
    log.instrument_anthropic()


def openlit() -> None:
    """Switch on OpenLIT, with the providers that are there. It instruments every SDK that it finds."""
    import openlit as lit  # noqa: PLC0415

    lit.init(disable_events=True)


SWITCH_ON: dict[str, Callable[[], None]] = {
    function.__name__: function for function in (bare, floor, ours, genai, openllmetry, openinference, logfire, openlit)
}
