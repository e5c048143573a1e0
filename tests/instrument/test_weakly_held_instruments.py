"""A meter provider that refers to meters and instruments only weakly, to make them anew: as Logfire's does."""

from __future__ import annotations

import gc
from weakref import WeakSet

from metric_points import metric_points
from opentelemetry.metrics import MeterProvider as AnyMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from sdk_drivers import OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor


class Configurable(AnyMeterProvider):
    def __init__(self):
        self.meters = WeakSet()
        self.configure()

    def configure(self):
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        for meter in self.meters:
            meter.configure(self.provider)

    def get_meter(self, *args, **kwargs):
        meter = Meter(self.provider, args)
        self.meters.add(meter)
        return meter


class Meter:
    def __init__(self, provider, scope):
        self.scope = scope
        self.instruments = WeakSet()
        self.configure(provider)

    def configure(self, provider):
        self.meter = provider.get_meter(*self.scope)
        for instrument in self.instruments:
            instrument.configure(self.meter)

    def create_observable_counter(self, name, callbacks, **kwargs):
        instrument = Instrument(name, callbacks, kwargs)
        instrument.configure(self.meter)
        self.instruments.add(instrument)
        return instrument

    def create_histogram(self, *args, **kwargs):
        return self.meter.create_histogram(*args, **kwargs)


class Instrument:
    def __init__(self, *made):
        self.made = made

    def configure(self, meter):
        name, callbacks, kwargs = self.made
        meter.create_observable_counter(name, callbacks, **kwargs)


def test_calls_are_counted_after_it_is_configured_again(telemetry, provider):
    meter_provider = Configurable()
    LLMRoutingInstrumentor().uninstrument()
    LLMRoutingInstrumentor().instrument(tracer_provider=telemetry.tracer_provider, meter_provider=meter_provider)
    gc.collect()
    meter_provider.configure()
    sdk = OpenAIChat(provider.url)
    sdk.client.chat.completions.create(**sdk.arguments())
    assert [point.value for _, point in metric_points(meter_provider.reader, "llm_routing.requests")] == [1]
