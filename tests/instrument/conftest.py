"""Real SDKs, a fake provider on a real socket, and OpenTelemetry's own in-memory exporters."""

from __future__ import annotations

import gc
import logging
import os
from collections import Counter
from pathlib import Path

import pytest
from compatibility import Compatibility
from fake_provider import FakeProvider
from metric_points import metric_points
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llm_routing import LLMRoutingInstrumentor
from otel_llm_routing.instrument import instrumentor
from otel_llm_routing.instrument.adapters.adapter import Adapter

os.environ.setdefault("ANTHROPIC_OPEN_TELEMETRY", "false")  # its own spans have a test module of their own
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
# Every client loads the certificates of the world's authorities, which takes 50 ms; nothing here speaks TLS.
os.environ.setdefault("SSL_CERT_FILE", str(Path(__file__).with_name("no_authority.pem")))

LLM_OPERATIONS = {"chat", "text_completion", "embeddings", "generate_content"}


class Telemetry:
    """What was exported: spans, and the points of each metric as (attributes, point)."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader])

    def instrument(self):
        LLMRoutingInstrumentor().instrument(tracer_provider=self.tracer_provider, meter_provider=self.meter_provider)

    @property
    def spans(self):
        return [
            s
            for s in self.exporter.get_finished_spans()
            if s.attributes.get("gen_ai.operation.name") in LLM_OPERATIONS
            or s.attributes.get("openinference.span.kind") == "LLM"
            or "llm_routing.match" in s.attributes
        ]

    def span(self):
        spans = self.spans
        assert len(spans) == 1, [(s.name, dict(s.attributes)) for s in spans]
        return spans[0]

    def points(self, name):
        return metric_points(self.reader, name)

    def counted(self):
        """Every request that was counted, as its attributes, one entry a request."""
        return [attributes for attributes, point in self.points("llm_routing.requests") for _ in range(point.value)]

    def surface(self):
        """The surface of the only request counted, and what named it."""
        [counted] = self.counted()
        return counted["llm_routing.surface"], self.span().attributes["llm_routing.surface.source"]

    def one(self):
        """The attributes of the only request counted, beside the only span, which agree."""
        counted, span = self.counted(), self.span()
        assert len(counted) == 1, counted
        for name in (
            "llm_routing.surface",
            "gen_ai.request.model",
            "gen_ai.response.model",
            "llm_routing.match",
            "llm_routing.served.source",
            "llm_routing.request.kind",
        ):
            assert counted[0].get(name) == span.attributes.get(name), name
        return counted[0]


def pytest_addoption(parser):
    parser.addoption("--compatibility", metavar="FILE", help="write what the conformance suite found of each SDK")


def pytest_configure(config):
    if config.getoption("compatibility", None):
        config.pluginmanager.register(Compatibility(config.getoption("compatibility")))
    config.addinivalue_line(
        "markers", "where(*flags, mode=None): a test of the conformance suite for drivers that have the flags"
    )


def pytest_generate_tests(metafunc):
    if "mode" in metafunc.fixturenames:
        modes = metafunc.cls.driver.modes
        for mark in metafunc.definition.iter_markers("where"):
            modes = [mode for mode in modes if mark.kwargs.get("mode", mode) == mode]
        metafunc.parametrize("mode", modes or [None])  # of none, pytest would make a skip


def pytest_collection_modifyitems(config, items):
    """Leave out what does not apply to a driver: that is no skip, as there is nothing that could run."""
    out = [item for item in items if getattr(item, "cls", None) is not None and not _applies(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


def _applies(item):
    if "mode" in item.fixturenames and item.callspec.params["mode"] is None:
        return False
    return all(getattr(item.cls.driver, flag) for mark in item.iter_markers("where") for flag in mark.args)


_modules = Counter()


@pytest.fixture(autouse=True)
def the_sdks_are_not_searched_for_garbage(request):
    """Every test collects garbage; what an SDK has allocated by a module's second test, and keeps, is none of it."""
    _modules[request.module] += 1
    if _modules[request.module] <= 2:
        gc.collect()  # what the test before has left must not be kept for ever
        gc.freeze()


@pytest.fixture
def adapter(telemetry):
    """The adapter of an SDK of a test's own."""
    adapter = Adapter("acme", "acme")
    adapter._tracker = instrumentor._state["tracker"]
    yield adapter
    adapter.uninstrument()


@pytest.fixture
def provider():
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def telemetry():
    telemetry = Telemetry()
    telemetry.instrument()
    yield telemetry
    LLMRoutingInstrumentor().uninstrument()


@pytest.fixture(autouse=True)
def nothing_of_ours_or_opentelemetrys_is_logged(caplog):
    """No 'Failed to detach context', no swallowed exception, but where a test has looked at it and cleared it."""
    caplog.set_level(logging.WARNING)
    yield
    gc.collect()
    for record in caplog.records:
        if record.name.startswith("opentelemetry") or record.name == "otel_llm_routing":
            assert record.levelno < logging.WARNING, record.getMessage()
    assert trace.get_current_span() is trace.INVALID_SPAN
