"""Surfaces with no change to the code: the route or the task, from the frameworks' own instrumentations."""

from __future__ import annotations

import pytest
from sdk_drivers import OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor


def need(*modules):
    for module in modules:
        pytest.importorskip(module, reason=f"{module} is not in this environment; make test has it")


@pytest.fixture
def call(telemetry, provider):
    driver = OpenAIChat(provider.url)
    return lambda: driver.client.chat.completions.create(**driver.arguments()).model


def surface_of(telemetry):
    [counted] = telemetry.counted()
    source = telemetry.span().attributes["llm_routing.surface.source"]
    return counted["llm_routing.surface"], source


def test_fastapi(telemetry, call):
    need("fastapi", "opentelemetry.instrumentation.fastapi")
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = FastAPI()
    app.get("/complete/{user}")(lambda user: call())
    FastAPIInstrumentor.instrument_app(app, tracer_provider=telemetry.tracer_provider)
    assert TestClient(app).get("/complete/17").status_code == 200
    assert surface_of(telemetry) == ("/complete/{user}", "route")


def test_flask(telemetry, call):
    need("flask", "opentelemetry.instrumentation.flask")
    from flask import Flask
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    app = Flask(__name__)
    app.add_url_rule("/complete/<user>", "complete", lambda user: call())
    FlaskInstrumentor().instrument_app(app, tracer_provider=telemetry.tracer_provider)
    assert app.test_client().get("/complete/17").status_code == 200
    assert surface_of(telemetry) == ("/complete/<user>", "route")


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
    assert surface_of(telemetry) == ("complete/<user>", "route")


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
    assert surface_of(telemetry) == ("digest", "rule")
