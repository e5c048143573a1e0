"""Whose request or function a call is made for, where the span that says so has ended, or says it in its name."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind, use_span
from sdk_drivers import OpenAIChat


@pytest.fixture
def call(telemetry, provider):
    driver = OpenAIChat(provider.url)
    return lambda: driver.client.chat.completions.create(**driver.arguments()).model


def surface_of(telemetry):
    [counted] = telemetry.counted()
    return counted["llm_routing.surface"], telemetry.span().attributes["llm_routing.surface.source"]


def test_a_background_task_of_fastapi(telemetry, call):
    for module in ("fastapi", "opentelemetry.instrumentation.fastapi"):
        pytest.importorskip(module, reason=f"{module} is not in this environment; make test has it")
    from fastapi import BackgroundTasks, FastAPI
    from fastapi.testclient import TestClient
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = FastAPI()

    def complete(user, tasks):
        tasks.add_task(call)

    complete.__annotations__ = {"user": str, "tasks": BackgroundTasks}  # as text they could not be resolved here
    app.get("/complete/{user}")(complete)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=telemetry.tracer_provider)
    try:
        assert TestClient(app).get("/complete/17").status_code == 200
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
    assert surface_of(telemetry) == ("/complete/{user}", "route")


def test_a_span_that_begins_once_its_request_has_ended(telemetry, call):
    tracer = telemetry.tracer_provider.get_tracer("a framework")
    request = tracer.start_span("GET /complete", kind=SpanKind.SERVER, attributes={"http.route": "/complete"})
    with use_span(request):
        request.end()
        with tracer.start_as_current_span("task"), tracer.start_as_current_span("part of it"):
            call()
    assert surface_of(telemetry) == ("/complete", "route")


@pytest.mark.parametrize("attribute", ["faas.invocation_id", "faas.execution"])
def test_a_function_of_aws_lambda_is_named_by_its_span(telemetry, call, attribute):
    tracer = telemetry.tracer_provider.get_tracer("opentelemetry.instrumentation.aws_lambda")
    with tracer.start_as_current_span("assistant", kind=SpanKind.SERVER, attributes={attribute: "8476a536"}):
        call()
    assert surface_of(telemetry) == ("assistant", "route")


def test_the_route_of_an_api_gateway_comes_before_the_functions_name(telemetry, call):
    tracer = telemetry.tracer_provider.get_tracer("opentelemetry.instrumentation.aws_lambda")
    attributes = {"faas.invocation_id": "8476a536", "http.route": "/complete"}
    with tracer.start_as_current_span("assistant", kind=SpanKind.SERVER, attributes=attributes):
        call()
    assert surface_of(telemetry) == ("/complete", "route")
