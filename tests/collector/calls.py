"""A shop that calls models for two surfaces, instrumented by us or by another: half, a line read, and the rest."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from contextvars import ContextVar

from openai import OpenAI
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

REQUESTED = ["openrouter/auto"] * 6 + ["gpt-5", "gpt-5-2025-08-07", "gpt-4o-mini", "openrouter/auto"]
provider_url, instrumentation, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
traces, metrics = sys.argv[4:]
current = ContextVar("surface", default="unknown")


class Named(SpanProcessor):
    """Writes the surface on every span, as a service does whose instrumentation knows of none."""

    def on_start(self, span, parent_context=None):
        span.set_attribute("llm_routing.surface", current.get())


@contextmanager
def named(name):
    token = current.set(name)
    try:
        yield
    finally:
        current.reset(token)


resource = Resource.create({"service.name": instrumentation, "service.instance.id": "shop-1"})
tracers = TracerProvider(resource=resource)
if traces != "none":
    exporter = OTLPSpanExporter(traces)
    tracers.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=10_000, schedule_delay_millis=200))
readers = []
if metrics != "none":
    readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(metrics), export_interval_millis=200))
providers = {"tracer_provider": tracers, "meter_provider": MeterProvider(readers, resource=resource)}
if instrumentation == "ours":
    from otel_llm_routing import LLMRoutingInstrumentor, surface

    LLMRoutingInstrumentor().instrument(**providers)
else:
    surface = named
    tracers.add_span_processor(Named())
    instrumentor = importlib.import_module(instrumentation).OpenAIInstrumentor()
    instrumentor.instrument(skip_dep_check=True, **providers)

client = OpenAI(api_key="test", base_url=f"{provider_url}/v1")
for number in range(calls):
    if number == calls // 2:
        print("half", flush=True)
        sys.stdin.readline()
    name = "drafts" if number % 4 == 0 else "autocomplete"
    with surface(name):
        model = REQUESTED[number // 4 % len(REQUESTED)]
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": name}])
for of in providers.values():
    of.shutdown()
