"""Where a call's surface comes from, and that no context is held where it does not belong."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from opentelemetry import baggage, context
from opentelemetry.trace import SpanKind, use_span
from sdk_drivers import AnthropicMessages

from otel_llm_routing import LLMRoutingInstrumentor, surface
from otel_llm_routing.instrument import environment
from otel_llm_routing.instrument.surface import Cap, SurfaceResolver, clean


def here() -> str:
    resolver = SurfaceResolver(environment.Settings())
    return resolver.resolve(context.get_current(), None, None)[0]


def test_a_with_statement_names_the_surface_inside_and_only_there():
    with surface("autocomplete"):
        assert here() == "autocomplete"
        with surface("tooltip"):
            assert here() == "tooltip"
        assert here() == "autocomplete"
    assert here() == "unknown"


def test_one_object_may_be_entered_within_itself():
    s = surface("a")
    with s, s:
        assert here() == "a"
    assert here() == "unknown"


def test_a_decorated_function():
    @surface("a")
    def f(x):
        return here(), x

    assert f(1) == ("a", 1)
    assert f.__name__ == "f"


async def test_a_decorated_coroutine_function():
    @surface("a")
    async def f():
        await asyncio.sleep(0)
        return here()

    assert asyncio.iscoroutinefunction(f)
    assert await f() == "a"
    assert here() == "unknown"


def test_a_decorated_generator_holds_no_context_while_it_waits():
    closed = []

    @surface("a")
    def f():
        try:
            got = yield here()
            yield got, here()
            return "end"
        finally:
            closed.append(here())

    steps = f()
    assert next(steps) == "a"
    assert here() == "unknown"
    assert steps.send(7) == (7, "a")
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "end"
    steps = f()
    next(steps)
    steps.close()
    assert closed == ["a", "a"]
    assert here() == "unknown"


def test_an_exception_thrown_into_a_decorated_generator_reaches_it():
    @surface("a")
    def f():
        try:
            yield 1
        except KeyError:
            yield here()

    steps = f()
    next(steps)
    assert steps.throw(KeyError()) == "a"


async def test_a_decorated_asynchronous_generator_holds_no_context_while_it_waits():
    @surface("a")
    async def f():
        yield here()
        await asyncio.sleep(0)
        yield here()

    seen = [(item, here()) async for item in f()]
    assert seen == [("a", "unknown"), ("a", "unknown")]


def test_leaving_in_another_context_takes_nothing_back_and_logs_nothing(caplog):
    s = surface("a")
    contextvars.copy_context().run(s.__enter__)
    s.__exit__(None, None, None)
    assert here() == "unknown"
    assert caplog.records == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a", "a"),
        ("  a b ", "a b"),
        ("x" * 300, "x" * 64),
        ("a\nb\x00", "ab"),
        ("", None),
        (7, None),
        ("\u202eevil", "evil"),
    ],
)
def test_surfaces_are_made_printable_and_short(given, kept):
    assert clean(given) == kept


def test_no_more_than_so_many_surfaces_are_told_apart():
    cap = Cap(2)
    assert [cap(v) for v in ("a", "b", "c", "a", "d")] == ["a", "b", "other", "a", "other"]
    assert cap.overflowed == 2


def resolve(root=None, name=None, **settings):
    return SurfaceResolver(environment.Settings(**settings)).resolve(context.get_current(), name, root)


def test_the_order_of_evidence():
    rules = environment.parse_rules("autocomplete=/complete*;digest=task:send_digest;night=name:nightly *")
    route = {"http.route": "/complete/{id}"}
    assert resolve(route, surface_rules=rules, default_surface="d") == ("autocomplete", "rule")
    assert resolve({"http.route": "/other"}, surface_rules=rules, default_surface="d") == ("/other", "route")
    assert resolve({"celery.task_name": "send_digest"}, surface_rules=rules) == ("digest", "rule")
    assert resolve({"celery.task_name": "tidy"}, surface_rules=rules) == ("tidy", "route")
    assert resolve({}, "nightly job", surface_rules=rules) == ("night", "rule")
    assert resolve({}, surface_rules=rules, default_surface="d") == ("d", "default")
    assert resolve() == ("unknown", "unknown")
    with surface("mine"):
        assert resolve(route, surface_rules=rules) == ("mine", "context")


def test_a_path_is_matched_by_rules_but_never_becomes_a_surface_itself():
    rules = environment.parse_rules("autocomplete=/complete*")
    assert resolve({"url.path": "/complete/17"}, surface_rules=rules) == ("autocomplete", "rule")
    assert resolve({"url.path": "/users/17"}, surface_rules=rules) == ("unknown", "unknown")


def test_baggage_is_read_only_where_allowed_and_only_for_allowed_values():
    token = context.attach(baggage.set_baggage("llm_routing.surface", "chat"))
    try:
        assert resolve() == ("unknown", "unknown")
        assert resolve(baggage_surfaces=frozenset({"chat"})) == ("chat", "baggage")
        assert resolve(baggage_surfaces=frozenset({"other"})) == ("unknown", "unknown")
    finally:
        context.detach(token)


def test_rules_that_make_no_sense_are_said_once_and_left_out(caplog):
    assert environment.parse_rules("nonsense; a=/x ;=;b=") == (("a", "route", "/x"),)
    assert "nonsense" in caplog.text
    caplog.clear()


def test_the_surface_of_a_request_comes_from_its_route_with_no_change_to_the_code(telemetry, provider):
    driver = AnthropicMessages(provider.url)
    tracer = telemetry.tracer_provider.get_tracer("framework")
    root = tracer.start_span("GET /complete", kind=SpanKind.SERVER, attributes={"http.route": "/complete"})
    with use_span(root, end_on_exit=True), tracer.start_as_current_span("internal step"):
        driver.client.messages.create(**driver.arguments())
    assert telemetry.one()["llm_routing.surface"] == "/complete"
    assert telemetry.span().attributes["llm_routing.surface.source"] == "route"


def test_threads_that_carry_the_context_carry_the_surface(telemetry, provider):
    driver = AnthropicMessages(provider.url)
    with surface("digest"):
        carried = contextvars.copy_context()
    thread = threading.Thread(target=carried.run, args=(lambda: driver.client.messages.create(**driver.arguments()),))
    thread.start()
    thread.join()
    assert telemetry.one()["llm_routing.surface"] == "digest"


def test_the_environment_is_read_when_the_instrumentation_starts(telemetry, provider, monkeypatch):
    LLMRoutingInstrumentor().uninstrument()
    monkeypatch.setenv("OTEL_LLM_ROUTING_SURFACE", "batch")
    telemetry.instrument()
    driver = AnthropicMessages(provider.url)
    driver.client.messages.create(**driver.arguments())
    assert telemetry.one()["llm_routing.surface"] == "batch"
    assert telemetry.span().attributes["llm_routing.surface.source"] == "default"
