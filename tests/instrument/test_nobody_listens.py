"""Before an application has set up OpenTelemetry nobody can learn of a call: it is left alone, all but our header."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openai")

CALLS = """
import sys, openai
from openai import _base_client
from opentelemetry import metrics, trace
from otel_llm_routing import LLMRoutingInstrumentor

httpx = getattr(_base_client, "httpx", None) or _base_client.httpx2
sent = []
def answer(request):
    sent.append(request.headers.get("x-llm-routing-surface"))
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-5-2025-08-07", "choices": [choice]}
    return httpx.Response(200, json=body)

def call():
    client.chat.completions.create(
        model="gpt-5", messages=[], extra_headers={"X-LLM-Routing-Surface": "digest", "x-other": "kept"}
    )

client = openai.OpenAI(api_key="none", http_client=httpx.Client(transport=httpx.MockTransport(answer)))
"""
BEFORE = """
LLMRoutingInstrumentor().instrument()
call()
"""
SPANS = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
"""
METRICS = """
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
def counted():
    data = reader.get_metrics_data()
    found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
    return [p.value for m in found if m.name == "llm_routing.requests" for p in m.data.data_points]
"""


def run(*parts):
    ended = subprocess.run(
        [sys.executable, "-c", "".join((CALLS, *parts))], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "could not" not in ended.stderr
    return ended.stdout.split()


def test_the_surface_header_is_not_sent_all_the_same():
    assert run(BEFORE, "print(sent)") == ["[None]"]


def test_calls_are_recorded_from_when_a_tracer_provider_is_set_up():
    said = """
trace.set_tracer_provider(provider)
call()
print([span.attributes["llm_routing.surface"] for span in spans.get_finished_spans()])
"""
    assert run(BEFORE, SPANS, said) == ["['digest']"]


def test_calls_are_counted_from_when_a_meter_provider_is_set_up():
    said = "metrics.set_meter_provider(MeterProvider([reader]))\ncall()\ncall()\nprint(counted())"
    assert run(BEFORE, METRICS, said) == ["[2]"]


def test_a_call_beneath_a_recorded_span_is_told_to_it_whatever_the_providers():
    said = """
LLMRoutingInstrumentor().instrument()
attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}
with provider.get_tracer("somebody").start_as_current_span("chat gpt-5", attributes=attributes) as span:
    call()
print(span.attributes["llm_routing.match"])
"""
    assert run(SPANS, said) == ["resolved"]


def test_a_meter_provider_given_to_the_instrumentor_counts_without_a_global_one():
    said = "LLMRoutingInstrumentor().instrument(meter_provider=MeterProvider([reader]))\ncall()\nprint(counted())"
    assert run(METRICS, said) == ["[1]"]
