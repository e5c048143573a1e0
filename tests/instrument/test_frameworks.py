"""Surfaces with no change to the code: the route or the task, from the frameworks' own instrumentations."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind, use_span
from sdk_drivers import OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor


def need(*modules):
    for module in modules:
        pytest.importorskip(module, reason=f"{module} is not in this environment; make test has it")


@pytest.fixture
def call(telemetry, provider):
    driver = OpenAIChat(provider.url)
    return lambda: driver.client.chat.completions.create(**driver.arguments()).model


def test_fastapi(telemetry, call):
    need("fastapi", "opentelemetry.instrumentation.fastapi")
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = FastAPI()
    app.get("/complete/{user}")(lambda user: call())
    FastAPIInstrumentor.instrument_app(app, tracer_provider=telemetry.tracer_provider)
    assert TestClient(app).get("/complete/17").status_code == 200
    assert telemetry.surface() == ("/complete/{user}", "route")


def test_flask(telemetry, call):
    need("flask", "opentelemetry.instrumentation.flask")
    from flask import Flask
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    app = Flask(__name__)
    app.add_url_rule("/complete/<user>", "complete", lambda user: call())
    FlaskInstrumentor().instrument_app(app, tracer_provider=telemetry.tracer_provider)
    assert app.test_client().get("/complete/17").status_code == 200
    assert telemetry.surface() == ("/complete/<user>", "route")


def test_django(telemetry, call):
    need("django", "opentelemetry.instrumentation.django")
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import path
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    urls = type("urls", (), {"urlpatterns": [path("complete/<user>", lambda request, user: HttpResponse(call()))]})
    settings.configure(ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], MIDDLEWARE=[], SECRET_KEY="k")
    DjangoInstrumentor().instrument(tracer_provider=telemetry.tracer_provider)
    try:
        django.setup()
        assert Client().get("/complete/17").status_code == 200
    finally:
        DjangoInstrumentor().uninstrument()
    assert telemetry.surface() == ("complete/<user>", "route")


def test_celery_with_a_rule(telemetry, call, monkeypatch):
    need("celery", "opentelemetry.instrumentation.celery")
    from celery import Celery
    from opentelemetry.instrumentation.celery import CeleryInstrumentor

    LLMRoutingInstrumentor().uninstrument()
    monkeypatch.setenv("OTEL_LLM_ROUTING_SURFACES", "digest=task:reports.send_digest")
    telemetry.instrument()
    app = Celery("reports", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True

    @app.task(name="reports.send_digest")
    def send_digest():
        return call()

    CeleryInstrumentor().instrument(tracer_provider=telemetry.tracer_provider)
    try:
        send_digest.delay().get()
    finally:
        CeleryInstrumentor().uninstrument()
    assert telemetry.surface() == ("digest", "rule")


def test_a_background_task_of_fastapi(telemetry, call):
    need("fastapi", "opentelemetry.instrumentation.fastapi")
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
    assert telemetry.surface() == ("/complete/{user}", "route")


def test_a_span_that_begins_once_its_request_has_ended(telemetry, call):
    tracer = telemetry.tracer_provider.get_tracer("a framework")
    request = tracer.start_span("GET /complete", kind=SpanKind.SERVER, attributes={"http.route": "/complete"})
    with use_span(request):
        request.end()
        with tracer.start_as_current_span("task"), tracer.start_as_current_span("part of it"):
            call()
    assert telemetry.surface() == ("/complete", "route")


@pytest.mark.parametrize("attribute", ["faas.invocation_id", "faas.execution"])
def test_a_function_of_aws_lambda_is_named_by_its_span(telemetry, call, attribute):
    tracer = telemetry.tracer_provider.get_tracer("opentelemetry.instrumentation.aws_lambda")
    with tracer.start_as_current_span("assistant", kind=SpanKind.SERVER, attributes={attribute: "8476a536"}):
        call()
    assert telemetry.surface() == ("assistant", "route")


def test_the_route_of_an_api_gateway_comes_before_the_functions_name(telemetry, call):
    tracer = telemetry.tracer_provider.get_tracer("opentelemetry.instrumentation.aws_lambda")
    attributes = {"faas.invocation_id": "8476a536", "http.route": "/complete"}
    with tracer.start_as_current_span("assistant", kind=SpanKind.SERVER, attributes=attributes):
        call()
    assert telemetry.surface() == ("/complete", "route")
