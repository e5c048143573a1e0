"""How OpenTelemetry is set up while calls are timed."""

from __future__ import annotations

from typing import Any

MODES = ("exporting", "unsampled", "no-op")
"""Everything goes to exporters that discard it; the sampler drops every span; no provider is set up at all."""


def set_up(mode: str, *, threads: bool = True) -> None:
    """Set the global providers, as an application does before it instruments anything.

    Without ``threads`` nothing is exported, and everything happens in the thread that makes the calls.
    """
    if mode == "no-op":
        return
    from opentelemetry import metrics, trace  # noqa: PLC0415  (the no-op case must not import the SDK)
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
        InMemoryMetricReader,
        MetricExporter,
        MetricExportResult,
        PeriodicExportingMetricReader,
    )
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON  # noqa: PLC0415

    class Spans(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002
            return SpanExportResult.SUCCESS

    class Metrics(MetricExporter):
        def export(self, metrics_data: Any, timeout_millis: float = 0, **kwargs: Any) -> MetricExportResult:  # noqa: ARG002
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis: float = 0) -> bool:  # noqa: ARG002
            return True

        def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None:
            pass

    tracers = TracerProvider(sampler=ALWAYS_OFF if mode == "unsampled" else ALWAYS_ON)
    if threads:
        tracers.add_span_processor(BatchSpanProcessor(Spans()))
    trace.set_tracer_provider(tracers)
    # Histograms and counters cost what they cost only where somebody collects them.
    reader = PeriodicExportingMetricReader(Metrics()) if threads else InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
