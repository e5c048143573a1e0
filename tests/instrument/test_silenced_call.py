"""Beside an instrumentation that opens the call's span and then silences whatever is beneath it, as Logfire does."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Span, use_span
from sdk_drivers import OpenAIChat

from otel_llm_routing import surface

ASKED = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"}


@pytest.fixture
def silenced(telemetry):
    """Return what opens the span of a call, and silences what is beneath."""
    tracer = telemetry.tracer_provider.get_tracer("logfire.openai")

    @contextmanager
    def silenced(**attributes):
        name = "Chat Completion with {request_data[model]!r}"
        with tracer.start_as_current_span(name, attributes={**ASKED, **attributes}), suppress_instrumentation():
            yield

    return silenced


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_its_span_is_the_calls_span_and_the_call_counts_once(telemetry, provider, silenced, is_async):
    sdk = OpenAIChat(provider.url, is_async=is_async)
    with surface("digest"), silenced():
        await sdk.create()
    counted = telemetry.one()
    assert counted["llm_routing.surface"] == "digest"
    assert counted["gen_ai.response.model"] == "gpt-5-2025-08-07"
    assert telemetry.span().instrumentation_scope.name == "logfire.openai"


async def test_a_stream_that_outlives_the_span_is_counted_with_what_it_named(telemetry, provider, silenced):
    sdk = OpenAIChat(provider.url)
    with silenced():
        stream = await sdk.stream()
    await sdk.items(stream)
    [counted] = telemetry.counted()
    assert counted["gen_ai.response.model"] == "gpt-5-2025-08-07"
    assert len(telemetry.spans) == 1


async def test_a_call_for_something_else_stays_silent(telemetry, provider, silenced):
    with silenced():
        OpenAIChat(provider.url).client.embeddings.create(model="text-embedding-3-small", input="hello")
    assert telemetry.counted() == []


async def test_the_applications_own_silence_is_kept(telemetry, provider, silenced):
    sdk = OpenAIChat(provider.url)
    with suppress_instrumentation():
        await sdk.create()
        with silenced():
            await sdk.create()
    assert telemetry.counted() == []
    assert all("llm_routing.match" not in span.attributes for span in telemetry.exporter.get_finished_spans())


class Around(Span, ReadableSpan):
    """What Logfire puts into the context: a span of its own that hands everything to another."""

    def __init__(self, span):
        self.__dict__["span"] = span

    def __getattr__(self, name):
        return getattr(self.__dict__["span"], name)

    def end(self, end_time=None):
        self.span.end(end_time)

    def get_span_context(self):
        return self.span.get_span_context()

    def set_attributes(self, attributes):
        self.span.set_attributes(attributes)

    def set_attribute(self, key, value):
        self.span.set_attribute(key, value)

    def add_event(self, name, attributes=None, timestamp=None):
        self.span.add_event(name, attributes, timestamp)

    def update_name(self, name):
        self.span.update_name(name)

    def is_recording(self):
        return self.span.is_recording()

    def set_status(self, status, description=None):
        self.span.set_status(status, description)

    def record_exception(self, exception, attributes=None, timestamp=None, escaped=False):
        self.span.record_exception(exception, attributes, timestamp, escaped)


async def test_a_wrapped_span_of_a_provider_set_up_later_is_the_calls_span(telemetry, provider):
    span = Around(TracerProvider().get_tracer("logfire.openai").start_span("chat", attributes=ASKED))
    with use_span(span, end_on_exit=True), suppress_instrumentation():
        await OpenAIChat(provider.url).create()
    [counted] = telemetry.counted()
    assert counted["llm_routing.match"] == "resolved"
    assert span.attributes["llm_routing.match"] == "resolved"
    assert telemetry.spans == []
