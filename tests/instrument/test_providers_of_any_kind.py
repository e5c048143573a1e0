"""Providers that are not OpenTelemetry's own: what wraps one may be equal by value, unhashable, or have slots."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field

import pytest
from metric_points import metric_points
from opentelemetry.metrics import MeterProvider as AnyMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sdk_drivers import OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor


@dataclass
class Proxy(AnyMeterProvider):
    """Equal by value, and so without a hash, as Logfire's is."""

    provider: AnyMeterProvider = field(compare=False)

    def get_meter(self, *args, **kwargs):
        return self.provider.get_meter(*args, **kwargs)


class Slotted:
    """Nothing can refer to it weakly."""

    __slots__ = ("provider",)

    def __init__(self, provider):
        self.provider = provider

    def get_meter(self, *args, **kwargs):
        return self.provider.get_meter(*args, **kwargs)


@pytest.fixture
def instrument(telemetry):
    """Return what instruments anew with a meter provider; it returns the reader behind it."""
    readers = {}

    def instrument(make, name="only"):
        if name not in readers:
            reader = InMemoryMetricReader()
            readers[name] = reader, make(MeterProvider([reader]))
        LLMRoutingInstrumentor().uninstrument()
        reader, meter_provider = readers[name]
        LLMRoutingInstrumentor().instrument(tracer_provider=telemetry.tracer_provider, meter_provider=meter_provider)
        return reader

    return instrument


def counts(reader):
    return [point.value for _, point in metric_points(reader, "llm_routing.requests")]


@pytest.mark.parametrize("kind", [Proxy, Slotted])
def test_calls_are_counted_once_however_often_it_is_instrumented(instrument, provider, kind):
    sdk = OpenAIChat(provider.url)
    for _ in range(2):
        reader = instrument(kind)
        sdk.client.chat.completions.create(**sdk.arguments())
    assert counts(reader) == [2]


def test_providers_that_are_equal_are_told_apart(instrument, provider):
    sdk = OpenAIChat(provider.url)
    for name, calls in (("one", 1), ("other", 3)):
        reader = instrument(Proxy, name)
        for _ in range(calls):
            sdk.client.chat.completions.create(**sdk.arguments())
        assert counts(reader) == [calls]


def test_a_provider_is_not_kept():
    meter_provider = Proxy(MeterProvider())
    LLMRoutingInstrumentor().instrument(meter_provider=meter_provider)
    LLMRoutingInstrumentor().uninstrument()
    gone = weakref.ref(meter_provider)
    del meter_provider
    gc.collect()
    assert gone() is None
