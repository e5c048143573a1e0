"""What is particular to the openrouter SDK: routers, routing traces, lists of models, presets."""

from __future__ import annotations

import contextlib

import pytest
from conformance import CallHeader, Calls, Retries, Streams
from driver import MESSAGES, Driver, settled

openrouter = pytest.importorskip("openrouter", reason="the package openrouter is not installed")

from openrouter import utils  # noqa: E402  (where there is an SDK at all)
from openrouter.utils.eventstreaming import EventStream  # noqa: E402

HAIKU, SONNET = "anthropic/claude-haiku-4.5", "anthropic/claude-sonnet-4.5"


class OpenRouterDriver(Driver):
    distribution = provider = "openrouter"
    requested, served = "openrouter/auto", "claude-haiku-4-5-20251001"
    kind = "router"
    closes = hasattr(EventStream, "close")
    resource, verb = "chat", "send"

    def __init__(self, url, *, is_async=False, **options):
        self.suffix = "_async" if is_async else ""
        self.client = openrouter.OpenRouter(api_key="k", server_url=f"{url}/api/v1", retry_config=None, **options)

    def method(self):
        resource = self.client
        for name in self.resource.split("."):
            resource = getattr(resource, name)
        return getattr(resource, self.verb + self.suffix)

    def arguments(self, extra_headers=None, **more):
        headers = {} if extra_headers is None else {"http_headers": extra_headers}
        return {"model": self.requested, **self.text(), **headers, **more}

    def text(self):
        return {"messages": MESSAGES}

    async def create(self, **more):
        return await settled(self.method()(**self.arguments(**more)))

    async def stream(self, **more):
        return await self.create(stream=True, **more)

    async def retrying(self, retries):
        backoff = utils.BackoffStrategy(10, 20, 1.5, 5000)
        return await self.create(retries=utils.RetryConfig("backoff", backoff, retry_connection_errors=False))


class Chat(OpenRouterDriver):
    label = "chat.send"
    has_error_event = False  # it is a chunk like any other, with the error as a field


class Responses(OpenRouterDriver):
    label = "responses.send"
    has_error_event = False  # an event like any other
    resource = "responses" if hasattr(openrouter.OpenRouter, "responses") else "beta.responses"

    def text(self):
        return {"input": "hello"}


class Embeddings(OpenRouterDriver):
    label = "embeddings.generate"
    operation = "embeddings"
    requested = served = "openai/text-embedding-3-small"
    kind, match = "pinned", "exact"
    reports = frozenset({"input_tokens"})
    resource, verb = "embeddings", "generate"

    def text(self):
        return {"input": ["ab", "cde"]}


class TestChat(Calls, Streams, Retries, CallHeader):
    driver = Chat


class TestResponses(Calls, Streams, Retries, CallHeader):
    driver = Responses


class TestEmbeddings(Calls, Retries, CallHeader):
    driver = Embeddings


@pytest.fixture
def client(provider, telemetry):
    return Chat(provider.url).client


@pytest.mark.parametrize("sdk", [Chat, Responses, Embeddings])
async def test_a_long_request_tells_what_a_short_one_does(provider, telemetry, sdk):
    text = 'é "x"\n' * 20_000
    texts = {Chat: {"messages": [{"role": "user", "content": text}]}, Responses: {"input": text, "instructions": "be"}}
    await sdk(provider.url).create(**texts.get(sdk, {"input": [text, "cde"]}))
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.operation.name"]) == (sdk.requested, sdk.operation)
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == len(text) + {Chat: 0, Responses: 2, Embeddings: 3}[sdk]


def test_a_long_request_to_several_models_asks_for_the_first(client, telemetry):
    client.chat.send(models=[HAIKU, SONNET], messages=[{"role": "user", "content": "x" * 50_000}], service_tier="flex")
    assert telemetry.one()["gen_ai.request.model"] == HAIKU
    assert telemetry.span().attributes["openai.request.service_tier"] == "flex"


ASK_FOR_THE_TRACE = {"http_headers": {"X-OpenRouter-Metadata": "enabled"}}


@pytest.mark.parametrize("stream", [False, True])
def test_a_gateway_is_recognised_without_a_trace(client, telemetry, stream):
    result = client.chat.send(model="openrouter/auto", messages=MESSAGES, stream=stream)
    if stream:
        list(result)
    assert telemetry.one()["llm_routing.served.source"] == "body"
    assert telemetry.span().attributes["llm_routing.gateway"] == "openrouter"
    assert "llm_routing.fallback" not in telemetry.span().attributes


@pytest.mark.parametrize("stream", [False, True])
def test_a_routing_trace_beats_the_body(client, telemetry, provider, stream):
    provider.answers(fallback_to=SONNET)
    result = client.chat.send(model=HAIKU, messages=MESSAGES, stream=stream, **ASK_FOR_THE_TRACE)
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == HAIKU
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (SONNET, "trace")
    assert counted["llm_routing.match"] == "substituted"
    assert telemetry.span().attributes["llm_routing.fallback"] is True


@pytest.mark.parametrize("stream", [False, True])
def test_a_router_that_tried_one_model_fell_back_on_none(client, telemetry, provider, stream):
    provider.answers(model=SONNET)
    result = client.chat.send(model="openrouter/auto", messages=MESSAGES, stream=stream, **ASK_FOR_THE_TRACE)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (SONNET, "trace")
    assert counted["llm_routing.match"] == "resolved"
    assert "llm_routing.fallback" not in telemetry.span().attributes


def test_a_trace_of_the_responses_api(provider, telemetry):
    provider.answers(fallback_to=SONNET)
    driver = Responses(provider.url)
    send = driver.method()
    send(model=HAIKU, input="hello", **ASK_FOR_THE_TRACE)
    list(send(model=HAIKU, input="hello", stream=True, **ASK_FOR_THE_TRACE))
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == [SONNET] * 2
    assert {c["llm_routing.served.source"] for c in telemetry.counted()} == {"trace"}


def test_of_a_list_of_models_the_first_is_the_requested_one(client, telemetry, provider):
    provider.answers(model=SONNET)
    client.chat.send(models=[HAIKU, SONNET], messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == (HAIKU, SONNET)


def test_where_no_model_is_requested_the_answer_names_it(client, telemetry, provider):
    provider.answers(model=SONNET)
    client.chat.send(messages=MESSAGES)
    counted = telemetry.one()
    assert "gen_ai.request.model" not in counted
    assert counted["gen_ai.response.model"] == SONNET


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(model=HAIKU, switch_to=SONNET, chunks=6)
    list(client.chat.send(model="openrouter/auto", messages=MESSAGES, stream=True))
    assert telemetry.one()["gen_ai.response.model"] == SONNET
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4
    assert telemetry.span().attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_tiers_are_on_the_span(client, telemetry, provider):
    provider.answers(service_tier="flex")
    try:
        client.chat.send(model=HAIKU, messages=MESSAGES, service_tier="auto")
    except TypeError:
        pytest.skip("this openrouter has no service tiers")
    assert telemetry.span().attributes["openai.request.service_tier"] == "auto"
    assert telemetry.span().attributes["openai.response.service_tier"] == "flex"


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    asked = [
        client.models.list,
        client.credits.get_credits,
        lambda: client.generations.get_generation(id="g"),
    ]
    if hasattr(type(client), "presets") or "presets" in getattr(client, "_sub_sdk_map", {}):
        asked.append(lambda: client.presets.create_presets_chat_completions(slug="s", model=HAIKU, messages=MESSAGES))
    if "rerank" in getattr(client, "_sub_sdk_map", {}):
        asked.append(lambda: client.rerank.rerank(model="cohere/rerank-v3.5", query="hello", documents=["a"]))
    for ask in asked:
        with contextlib.suppress(Exception):  # what comes back is of no interest
            ask()
    assert len(provider.requests) == len(asked)
    assert telemetry.spans == []
    assert telemetry.counted() == []
