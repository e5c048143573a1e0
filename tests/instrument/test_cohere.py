"""What is particular to the cohere SDK: two versions of its API, answers that name no model, raw clients, batches."""

from __future__ import annotations

import contextlib
import inspect

import pytest
from conformance import CallHeader, Calls, Retries, Streams
from driver import MESSAGES, Driver, entered, settled

from otel_llm_routing import LLMRoutingInstrumentor, surface

cohere = pytest.importorskip("cohere", reason="the package cohere is not installed")

NO_RETRIES = {"max_retries": 0} if "max_retries" in inspect.signature(cohere.Client.__init__).parameters else {}


class CohereDriver(Driver):
    """``verb`` and ``streaming`` name the client's methods."""

    distribution = provider = "cohere"
    requested, served = "command-r", None
    match = halfway = "unreported"
    source = "none"
    not_visible = "Cohere's answers name no model."
    version = ""
    verb, streaming = "chat", "chat_stream"
    lazy = True
    closes = hasattr(cohere.Client, "with_raw_response")  # earlier ones swallow what closes a generator, and go on
    enters = False  # the streams are generators
    has_error_event = False  # it is an event like any other

    def __init__(self, url, *, is_async=False, **options):
        cls = getattr(cohere, ("AsyncClient" if is_async else "Client") + self.version)
        self.client = cls("k", base_url=url, **NO_RETRIES, **options)

    def arguments(self, extra_headers=None, request_options=None, **more):
        options = dict(request_options or {})
        if extra_headers is not None:
            options["additional_headers"] = extra_headers
        return {"model": self.requested, **self.text(), "request_options": options, **more}

    async def create(self, **more):
        return await settled(getattr(self.client, self.verb)(**self.arguments(**more)))

    async def stream(self, **more):
        return getattr(self.client, self.streaming)(**self.arguments(**more))

    async def retrying(self, retries):
        return await self.create(request_options={"max_retries": retries})


class ChatV1(CohereDriver):
    label = "Client.chat"
    size = 14

    def text(self):
        return {"message": "hello", "chat_history": [{"role": "USER", "message": "hi"}], "preamble": "be nice"}


class GenerateV1(CohereDriver):
    label = "Client.generate"
    operation = "text_completion"
    verb, streaming = "generate", "generate_stream"

    def text(self):
        return {"prompt": "hello"}


class EmbedV1(CohereDriver):
    label = "Client.embed"
    operation = "embeddings"
    requested, kind = "embed-english-v3.0", "unknown"
    reports = frozenset({"id", "input_tokens"})
    verb = "embed"

    def text(self):
        return {"texts": ["ab", "cde"], "input_type": "search_query", "embedding_types": ["float"]}


class ChatV2(CohereDriver):
    label = "ClientV2.chat"
    version = "V2"

    def text(self):
        return {"messages": MESSAGES}


class EmbedV2(EmbedV1):
    label = "ClientV2.embed"
    version = "V2"


class TestChatV1(Calls, Streams, Retries, CallHeader):
    driver = ChatV1


class TestGenerateV1(Calls, Streams, Retries, CallHeader):
    driver = GenerateV1


class TestEmbedV1(Calls):
    driver = EmbedV1


class TestChatV2(Calls, Streams, Retries, CallHeader):
    driver = ChatV2


class TestEmbedV2(Calls, Retries, CallHeader):
    driver = EmbedV2


@pytest.fixture
def client(provider, telemetry):
    return ChatV1(provider.url).client


@pytest.fixture
def client_v2(provider, telemetry):
    return ChatV2(provider.url).client


@pytest.mark.parametrize("stream", [False, True])
def test_a_gateways_header_names_the_model_that_cohere_does_not(client_v2, telemetry, provider, stream):
    provider.answers(headers={"cf-aig-model": "command-r-08-2024"})
    if stream:
        list(client_v2.chat_stream(model="command-r", messages=MESSAGES))
    else:
        client_v2.chat(model="command-r", messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("command-r-08-2024", "header")
    assert counted["llm_routing.match"] == "resolved"
    assert telemetry.span().attributes["llm_routing.gateway"] == "cloudflare"


async def test_an_asynchronous_streams_header_is_seen_too(provider, telemetry):
    provider.answers(headers={"cf-aig-model": "command-r-08-2024"})
    client = ChatV2(provider.url, is_async=True).client
    async for _ in client.chat_stream(model="command-r", messages=MESSAGES):
        pass
    assert telemetry.one()["gen_ai.response.model"] == "command-r-08-2024"


@pytest.mark.parametrize("driver", [ChatV1, ChatV2, GenerateV1])
def test_a_streams_last_event_has_the_usage(provider, telemetry, driver):
    sdk = driver(provider.url)
    list(getattr(sdk.client, sdk.streaming)(**sdk.arguments()))
    attributes = telemetry.span().attributes
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (9, 4)
    assert attributes["gen_ai.response.finish_reasons"] == ("COMPLETE",)
    assert attributes["gen_ai.response.id"].startswith(("gen-", "msg-"))


def test_messages_of_the_sdks_own_types_have_a_size(client_v2, telemetry):
    client_v2.chat(model="command-r", messages=[cohere.UserChatMessageV2(content="hello")])
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 5


def test_no_model_need_be_requested(client, telemetry):
    client.chat(message="hello")
    counted = telemetry.one()
    assert "gen_ai.request.model" not in counted
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("unknown", "unreported")


async def test_an_embedding_in_batches_is_one_call(provider, telemetry):
    for is_async in (False, True):
        sdk = EmbedV1(provider.url, is_async=is_async)
        await sdk.create(texts=["ab"] * 200)
    assert len(provider.requests) == 6
    assert len(telemetry.counted()) == len(telemetry.spans) == 2
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert (size.count, size.sum) == (2, 800)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_made_before_is_seen_as_well(provider, telemetry, stream):
    LLMRoutingInstrumentor().uninstrument()
    client = ChatV1(provider.url).client  # which keeps some of its methods as they are now
    telemetry.instrument()
    if not hasattr(cohere.Client, "with_raw_response"):
        pytest.skip("this cohere has no raw clients beneath its clients")
    if stream:
        list(client.chat_stream(model="command-r", message="hello"))
    else:
        client.chat(model="command-r", message="hello")
    assert telemetry.one()["gen_ai.request.model"] == "command-r"


def test_a_stream_belongs_to_the_surface_that_asked_for_it(client_v2, telemetry):
    with surface("asked"):
        stream = client_v2.chat_stream(model="command-r", messages=MESSAGES)
    with surface("read"):
        list(stream)
    assert telemetry.one()["llm_routing.surface"] == "asked"


# Raw clients ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sync", "async"])
def raw(request, provider, telemetry):
    client = ChatV2(provider.url, is_async=request.param == "async").client
    if not hasattr(client, "with_raw_response"):
        pytest.skip("this cohere has no raw clients")
    return client.with_raw_response


async def test_a_raw_response_is_a_call(raw, telemetry):
    answer = await settled(raw.chat(model="command-r", messages=MESSAGES))
    assert answer.data.id.startswith("msg-")
    assert telemetry.one()["gen_ai.operation.name"] == "chat"
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 9


async def read(response):
    if hasattr(response.data, "__aiter__"):
        return [event async for event in response.data]
    return list(response.data)


async def test_a_raw_stream_is_a_call(raw, telemetry, provider):
    provider.answers(headers={"cf-aig-model": "command-r-08-2024"})
    async with entered(raw.chat_stream(model="command-r", messages=MESSAGES)) as response:
        assert telemetry.spans == []
        assert len(await read(response)) > 3
    assert telemetry.one()["gen_ai.response.model"] == "command-r-08-2024"
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4
    assert telemetry.span().attributes["gen_ai.response.time_to_first_chunk"] > 0


async def test_a_raw_stream_left_unread_ends_with_its_with_statement(raw, telemetry):
    async with entered(raw.chat_stream(model="command-r", messages=MESSAGES)):
        pass
    assert "error.type" not in telemetry.one()


async def test_a_raw_stream_that_fails_is_counted_with_its_error(raw, telemetry, provider):
    with pytest.raises(KeyError):
        async with entered(raw.chat_stream(model="command-r", messages=MESSAGES)):
            raise KeyError("the application's own")
    assert telemetry.one()["error.type"] == "KeyError"
    provider.answers(fault="status:500")
    with pytest.raises(Exception) as raised:
        async with entered(raw.chat_stream(model="command-r", messages=MESSAGES)):
            pass
    assert [c["error.type"] for c in telemetry.counted()] == ["KeyError", type(raised.value).__qualname__]


def test_what_is_not_a_call_to_a_model_is_not_counted(client, client_v2, telemetry, provider):
    asked = [
        lambda: client.rerank(model="rerank-v3.5", query="hello", documents=["a"]),
        lambda: client.classify(inputs=["hello"], examples=[]),
        lambda: client.tokenize(text="hello", model="command-r", offline=False),
        lambda: client_v2.rerank(model="rerank-v3.5", query="hello", documents=["a"]),
        client.models.list,
    ]
    for ask in asked:
        with contextlib.suppress(Exception):  # what comes back is of no interest
            ask()
    assert len(provider.requests) == len(asked)
    assert telemetry.spans == []
    assert telemetry.counted() == []
