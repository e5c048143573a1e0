"""A flood of distinct names leaves series and memory bounded, and says so: what is past a limit is ``other``.

The floods go through the real calls' own path, from the adapter's request to the collected metrics, with a tracer
provider that samples nothing, so that thousands of names take seconds. ``FLOOD=1000000`` makes it a million.
"""

from __future__ import annotations

import gc
import os
import sys
from contextvars import copy_context

import httpx
import pytest
from driver import MESSAGES
from opentelemetry import baggage
from opentelemetry.context import attach, detach
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from outcomes import Observed
from overhead.resident import resident

from otel_llm_routing import surface
from otel_llm_routing.instrument.call import CallRequest
from otel_llm_routing.instrument.instrumentor import _processor, _state

FLOOD = int(os.environ.get("FLOOD", "4000"))
SERIES = 1800 + 100 + 8
"""What ``metrics.py`` allows: its limit, what is kept apart for surfaces past it, and the last few."""


@pytest.fixture
def quiet():
    """The instrumentation without spans."""
    return Observed(InMemoryMetricReader(), TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))


def call(i, *, model="gpt-5", served="gpt-5-2025-08-07", provider="openai", error=None, name=None, operation="chat"):
    request = CallRequest(operation, provider, model, lambda *_: None)
    request.address, request.surface = f"host-{i}.example", name
    started = _state["tracker"].start(request)
    started.body(served)
    started.end(error)


FLOODS = {
    "surfaces": lambda i: call(i, name=f"surface-{i}"),
    "requested models": lambda i: call(i, model=f"gpt-{i}"),
    "served models": lambda i: call(i, served=f"gpt-{i}"),
    "providers": lambda i: call(i, provider=f"provider-{i}"),
    "errors": lambda i: call(i, error=f"error-{i}"),
    # Half of the names come back, in ever new combinations: the others are seen once.
    "all at once": lambda i: call(
        i,
        name=f"s{i if i % 2 else i % 997}",
        model=f"m{i if i % 2 else i % 991}",
        served=f"m{i if i % 2 else i % 983}",
        provider=f"p{i if i % 2 else i % 977}",
        error=f"e{i if i % 2 else i % 971}",
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_names_is_counted_in_full_and_grows_neither_series_nor_memory(quiet, flood):
    send = FLOODS[flood]
    full = 9000 if flood == "all at once" else 1000  # calls after which every table is full
    with quiet.on():
        for i in range(full):
            send(i)
        quiet.points("llm_routing.requests")
        gc.collect()
        before = resident()
        for i in range(full, full + FLOOD):
            send(i)
        quiet.points("llm_routing.requests")
        gc.collect()
        grown = resident() - before
        points = quiet.points("llm_routing.requests")
        durations = quiet.points("llm_routing.duration")
    assert sum(point.value for _, point in points) == full + FLOOD
    assert sum(point.count for _, point in durations) == full + FLOOD
    assert len(points) <= SERIES
    assert len(durations) <= SERIES
    assert grown < 8_000_000, f"{grown / 1e6:.1f} MB"
    print(f"{flood}: {full + FLOOD} calls, {len(points)} series, {grown / 1e6:.1f} MB more after the first {full}")
    named = {v for attributes, _ in points for v in attributes.values() if isinstance(v, str)}
    assert "other" in named
    assert len(points) > 50


def test_baggage_that_nobody_allowed_names_no_surface(quiet):
    with quiet.on():
        for i in range(2000):
            token = attach(baggage.set_baggage("llm_routing.surface", f"surface-{i}"))
            call(i)
            detach(token)
        [(attributes, point)] = quiet.points("llm_routing.requests")
    assert attributes["llm_routing.surface"] == "unknown"
    assert point.value == 2000


def test_baggage_names_only_surfaces_that_are_allowed(quiet, monkeypatch):
    monkeypatch.setenv("OTEL_LLM_ROUTING_BAGGAGE_SURFACES", "tooltip,digest")
    with quiet.on():
        for name in ["tooltip", *(f"surface-{i}" for i in range(500)), "digest", "tooltip\x00", "x" * 9000]:
            token = attach(baggage.set_baggage("llm_routing.surface", name))
            call(0)
            detach(token)
        named = {a["llm_routing.surface"]: p.value for a, p in quiet.points("llm_routing.requests")}
    assert named == {"tooltip": 2, "digest": 1, "unknown": 501}


def test_providers_at_many_hosts_are_one_series(provider, quiet):
    """An SDK pointed at a host a tenant chose: the host is on the span, and never on a metric."""
    openai = pytest.importorskip("openai")

    def to_us(request):
        request.url = httpx.URL(provider.url + request.url.path)

    http = openai.DefaultHttpxClient(event_hooks={"request": [to_us]})
    with quiet.on():
        for i in range(60):
            client = openai.OpenAI(api_key="k", base_url=f"http://tenant-{i}.example/v1", http_client=http)
            client.chat.completions.create(model="gpt-5", messages=MESSAGES)
        [(attributes, point)] = quiet.points("llm_routing.requests")
    assert point.value == 60
    assert attributes["gen_ai.provider.name"] == "openai"
    assert "tenant" not in str(attributes)


def test_names_from_a_provider_are_cut_and_printable(provider, observed):
    openai = pytest.importorskip("openai")
    provider.answers(model="gpt\x00-\u202e" + "5" * 100_000)
    client = openai.OpenAI(api_key="k", base_url=f"{provider.url}/v1")
    with observed.on(), surface("s" * 100_000):
        client.chat.completions.create(model="m" * 100_000, messages=MESSAGES)
        [(attributes, _)] = observed.points("llm_routing.requests")
    lengths = {name: len(value) for name, value in attributes.items() if isinstance(value, str)}
    assert max(lengths.values()) <= 256
    assert lengths["llm_routing.surface"] == 64
    assert all(value.isprintable() for value in attributes.values() if isinstance(value, str))


def test_other_libraries_spans_name_no_more_series_than_there_may_be(observed):
    tracer = observed.tracer_provider.get_tracer("somebody.else")
    with observed.on():
        for i in range(4000):
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": f"provider-{i}",
                "gen_ai.request.model": f"m-{i}",
                "gen_ai.response.model": f"m-{i}",
                "error.type": f"e-{i}",
            }
            tracer.start_span("chat", attributes=attributes).end()
        points = observed.points("llm_routing.requests")
    assert sum(point.value for _, point in points) == 4000
    assert len(points) <= SERIES
    assert len({a.get("gen_ai.provider.name") for a, _ in points}) <= 101


def test_model_spans_of_a_tracer_provider_that_is_not_ours_are_forgotten_when_they_are_gone(observed):
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("somebody.else")
    with observed.on():
        before = len(_processor._nodes)
        for i in range(300):
            with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span:
                call(i)
            assert span.attributes["gen_ai.response.model"] == "gpt-5-2025-08-07"
        del span
        assert len(observed.since()[0]) == 300
        assert len(_processor._nodes) == before


def test_spans_that_their_library_never_ends_are_not_kept_for_ever(observed, monkeypatch):
    monkeypatch.setattr("otel_llm_routing.instrument.spans.MAX_OPEN", 500)
    tracer = observed.tracer_provider.get_tracer("somebody.else")
    with observed.on():
        for _ in range(3000):  # in a context of their own, or they would be the spans of the next test's calls
            copy_context().run(tracer.start_span, "chat", attributes={"gen_ai.operation.name": "chat"})
        assert len(_processor._roots) <= 500
        assert len(_processor._nodes) <= 500
