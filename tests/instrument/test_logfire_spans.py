"""What Logfire exports as spans beside the span of a call: the placeholder of one that begins, the log of a stream."""

from __future__ import annotations

import pytest

from otel_llm_routing import surface

ASKED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "elsewhere",
    "gen_ai.request.model": "auto",
    "gen_ai.response.model": "auto",
}


@pytest.fixture
def tracer(telemetry):
    return telemetry.tracer_provider.get_tracer("logfire.elsewhere")


def test_a_stream_of_a_model_that_no_adapter_sees_is_counted_once(telemetry, tracer):
    with surface("digest"):
        tracer.start_span("Message with 'auto'", attributes={**ASKED, "logfire.span_type": "span"}).end()
    log = {**ASKED, "gen_ai.response.model": "model-3", "logfire.span_type": "log"}
    tracer.start_span("streaming response from 'auto' took 0.01s", attributes=log).end()
    [counted] = telemetry.counted()
    assert counted["llm_routing.surface"] == "digest"
    assert counted["gen_ai.request.model"] == "auto"


@pytest.mark.parametrize("asked", [ASKED, {"openinference.span.kind": "LLM"}], ids=["genai", "openinference"])
@pytest.mark.parametrize("kind", ["log", "pending_span"])
def test_what_repeats_a_span_is_neither_counted_nor_marked(telemetry, tracer, asked, kind):
    tracer.start_span("auto", attributes={**asked, "logfire.span_type": kind}).end()
    assert telemetry.counted() == []
    [span] = telemetry.exporter.get_finished_spans()
    assert "llm_routing.surface" not in span.attributes
