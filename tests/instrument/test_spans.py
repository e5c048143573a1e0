"""Calls that no adapter sees are counted from the spans their own instrumentations make; nothing is counted twice."""

from __future__ import annotations

import contextvars
import json

import pytest
from opentelemetry.trace import SpanKind, use_span
from sdk_drivers import OpenAIChat

from otel_llm_routing import surface


@pytest.fixture
def tracer(telemetry):
    return telemetry.tracer_provider.get_tracer("some.other.instrumentation")


def test_a_genai_span_of_an_sdk_without_an_adapter_is_counted(telemetry, tracer):
    with surface("digest"):
        span = tracer.start_span(
            "chat mistral-large-latest",
            kind=SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "mistral_ai",
                "gen_ai.request.model": "mistral-large-latest",
            },
        )
    span.set_attributes({"gen_ai.response.model": "mistral-large-2512", "gen_ai.usage.input_tokens": 9})
    span.end()
    [counted] = telemetry.counted()
    assert counted["llm_routing.surface"] == "digest"
    assert counted["gen_ai.response.model"] == "mistral-large-2512"
    assert counted["llm_routing.match"] == "resolved"
    assert telemetry.exporter.get_finished_spans()[0].attributes["llm_routing.surface"] == "digest"
    [(_, read)] = telemetry.points("llm_routing.input_tokens")
    assert read.value == 9
    assert telemetry.points("llm_routing.input_size") == []  # nobody said how long the request was


def test_a_span_that_names_no_served_model_is_unreported_never_copied(telemetry, tracer):
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "cohere",
        "gen_ai.request.model": "command-r",
    }
    tracer.start_span("chat", attributes=attributes).end()
    [counted] = telemetry.counted()
    assert counted["llm_routing.match"] == "unreported"
    assert "gen_ai.response.model" not in counted


def test_openinferences_model_name_is_the_served_model(telemetry, tracer):
    attributes = {
        "openinference.span.kind": "LLM",
        "llm.provider": "mistralai",
        "llm.model_name": "mistral-large-2512",
        "llm.invocation_parameters": json.dumps({"model": "mistral-large-latest", "temperature": 1}),
    }
    tracer.start_span("x", attributes=attributes).end()
    [counted] = telemetry.counted()
    assert counted["gen_ai.request.model"] == "mistral-large-latest"
    assert counted["gen_ai.response.model"] == "mistral-large-2512"


@pytest.mark.parametrize("operation", ["invoke_agent", "execute_tool", "create_agent", "invoke_workflow"])
def test_agents_tools_and_workflows_repeat_model_calls_and_are_not_counted(telemetry, tracer, operation):
    tracer.start_span("x", attributes={"gen_ai.operation.name": operation, "gen_ai.request.model": "gpt-5"}).end()
    assert telemetry.counted() == []


def test_a_framework_span_around_a_call_is_that_calls_span(telemetry, tracer, provider):
    driver = OpenAIChat(provider.url)
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"}
    with tracer.start_as_current_span("chat gpt-5", attributes=attributes):
        driver.client.chat.completions.create(**driver.arguments())
    assert telemetry.one()["gen_ai.response.model"] == driver.served


def test_a_framework_span_that_is_not_current_is_that_calls_span_too(telemetry, tracer, provider):
    driver = OpenAIChat(provider.url)
    span = tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat"})
    driver.client.chat.completions.create(**driver.arguments())
    span.end()
    assert telemetry.one()["gen_ai.response.model"] == driver.served


def test_a_framework_span_that_was_dropped_without_an_end_is_not_the_next_calls_span(telemetry, tracer, provider):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.provider.name": "openai"}
    tracer.start_span("chat gpt-5", attributes=attributes)  # nobody holds it, nobody will end it
    driver = OpenAIChat(provider.url)
    driver.client.chat.completions.create(**driver.arguments())
    [span] = telemetry.exporter.get_finished_spans()
    assert span.instrumentation_scope.name == "otel_llm_routing"
    assert len(telemetry.counted()) == 1


def test_the_second_call_inside_one_framework_span_has_a_span_of_its_own(telemetry, tracer, provider):
    driver = OpenAIChat(provider.url)
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        driver.client.chat.completions.create(**driver.arguments())
        driver.client.chat.completions.create(**driver.arguments())
    assert len(telemetry.counted()) == 2
    assert len(telemetry.spans) == 2


def test_model_spans_within_each_other_are_one_call(telemetry, tracer):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "mistral_ai", "gen_ai.request.model": "m"}
    with tracer.start_as_current_span("framework", attributes=attributes):
        tracer.start_span("sdk", attributes={**attributes, "gen_ai.response.model": "m-2512"}).end()
    [counted] = telemetry.counted()
    assert counted["gen_ai.response.model"] == "m-2512"


def test_a_span_of_an_adapted_provider_is_not_counted_again(telemetry, tracer, provider):
    OpenAIChat(provider.url)  # the SDK is imported, so its adapter counts its calls
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"}
    tracer.start_span("framework, seen afterwards", attributes=attributes).end()
    assert telemetry.counted() == []


def test_an_agent_span_around_a_call_stays_the_agents(telemetry, tracer, provider):
    driver = OpenAIChat(provider.url)
    agent = tracer.start_span("invoke_agent x", attributes={"gen_ai.operation.name": "invoke_agent"})
    with use_span(agent, end_on_exit=True):
        driver.client.chat.completions.create(**driver.arguments())
    telemetry.one()
    assert "llm_routing.surface" not in agent.attributes


def test_spans_of_other_kinds_are_left_alone(telemetry, tracer):
    with tracer.start_as_current_span("GET /", attributes={"http.route": "/"}):
        pass
    [span] = telemetry.exporter.get_finished_spans()
    assert dict(span.attributes) == {"http.route": "/"}


def test_a_span_that_says_what_it_is_after_its_start_is_the_calls_span(telemetry, tracer, provider):
    driver = OpenAIChat(provider.url)
    with tracer.start_as_current_span("component") as span:
        span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"})
        driver.client.chat.completions.create(**driver.arguments())
    assert telemetry.one()["gen_ai.response.model"] == driver.served
    assert telemetry.span().name == "component"


def test_a_chat_span_is_not_the_span_of_an_embedding_inside_it(telemetry, tracer, provider):
    driver = OpenAIChat(provider.url)
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}):
        driver.client.embeddings.create(model="text-embedding-3-small", input="x")
    [counted] = [c for c in telemetry.counted() if c["gen_ai.operation.name"] == "embeddings"]
    assert counted["gen_ai.response.model"] == "text-embedding-3-small"
    [embeddings] = [s for s in telemetry.spans if s.attributes["gen_ai.operation.name"] == "embeddings"]
    assert embeddings.instrumentation_scope.name == "otel_llm_routing"


@pytest.mark.parametrize(
    ("method", "written"),
    [
        ("set_attribute", ("gen_ai.response.model", "gpt-5")),
        ("set_attributes", ({"gen_ai.response.model": "gpt-5"},)),
    ],
)
def test_what_the_evidence_says_stays_when_the_spans_owner_writes_the_requested_model_over_it(
    telemetry, tracer, provider, method, written
):
    driver = OpenAIChat(provider.url)
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}
    with tracer.start_as_current_span("chat gpt-5", attributes=attributes) as span:
        driver.client.chat.completions.create(**driver.arguments())
        getattr(span, method)(*written)
        span.set_attributes({"theirs": 1})
    assert telemetry.span().attributes["gen_ai.response.model"] == driver.served
    assert telemetry.span().attributes["theirs"] == 1


def refused(span, key):
    """Return with what a span refuses a key: an error in older SDKs, None where it only warns."""
    try:
        span.set_attribute(key, 1)
    except TypeError as error:
        return str(error)
    return None


def test_an_adopted_span_takes_and_refuses_what_any_span_does(telemetry, tracer, provider):
    driver = OpenAIChat(provider.url)
    usual = refused(tracer.start_span("any"), ["no", "key"])
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span:
        driver.client.chat.completions.create(**driver.arguments())
        assert refused(span, ["no", "key"]) == usual
        span.set_attribute(key="theirs", value=1)
        span.set_attributes(attributes={"also": 2, "gen_ai.response.model": "gpt-5"})
        span.update_name("theirs")
    assert telemetry.span().name == "theirs"
    attributes = telemetry.span().attributes
    assert (attributes["theirs"], attributes["also"]) == (1, 2)
    assert attributes["gen_ai.response.model"] == driver.served


@pytest.fixture
def unseen(telemetry):
    """Make a framework's span as its callbacks do: never current, and saying what it is when it ends."""
    tracer = telemetry.tracer_provider.get_tracer("openinference.instrumentation.some_framework")

    def around(act, *, model, provider, **more):
        span = contextvars.Context().run(tracer.start_span, "model", **more)  # in a task of its own
        act()
        parameters = json.dumps({"model": model})
        span.set_attributes({"openinference.span.kind": "LLM", "llm.provider": provider})
        span.set_attributes({"llm.model_name": model, "llm.invocation_parameters": parameters})
        span.end()

    return around


@pytest.mark.parametrize("provider_name", ["openai", "azure", "elsewhere"])
def test_a_span_that_nothing_connects_with_the_call_inside_it_is_not_counted(
    telemetry, provider, unseen, provider_name
):
    driver = OpenAIChat(provider.url)
    unseen(lambda: driver.client.chat.completions.create(**driver.arguments()), model="gpt-5", provider=provider_name)
    [counted] = telemetry.counted()
    assert (counted["gen_ai.provider.name"], counted["gen_ai.response.model"]) == ("openai", driver.served)


def test_a_span_for_another_model_than_the_calls_inside_it_is_counted(telemetry, provider, unseen):
    driver = OpenAIChat(provider.url)
    unseen(lambda: driver.client.chat.completions.create(**driver.arguments()), model="llama-4", provider="elsewhere")
    assert sorted(c["gen_ai.response.model"] for c in telemetry.counted()) == [driver.served, "llama-4"]


def test_a_span_beside_which_another_request_makes_a_call_is_counted(telemetry, tracer, provider, unseen):
    driver = OpenAIChat(provider.url)

    def another_request():
        with tracer.start_as_current_span("GET /"):
            driver.client.chat.completions.create(**driver.arguments())

    unseen(another_request, model="gpt-5", provider="elsewhere")
    assert sorted(c["gen_ai.provider.name"] for c in telemetry.counted()) == ["elsewhere", "openai"]


def test_a_providers_other_name_is_counted_under_its_own(telemetry, tracer):
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.system": "mistralai", "gen_ai.request.model": "m"}
    tracer.start_span("chat", attributes=attributes).end()
    assert telemetry.counted()[0]["gen_ai.provider.name"] == "mistral_ai"
