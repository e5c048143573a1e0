"""What is particular to the mistralai SDK: its operations, agents and conversations, its own spans."""

from __future__ import annotations

import contextlib
import importlib

import pytest
from conformance import CallHeader, Calls, Retries, Streams
from driver import MESSAGES, Driver, settled
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from raw_provider import RawProvider, Reply

pytest.importorskip("mistralai", reason="the package mistralai is not installed")


def part(name):
    """A module of the SDK: below ``client`` in 2.x and later, at its root before."""
    with contextlib.suppress(ImportError):
        return importlib.import_module(f"mistralai.client.{name}")
    return importlib.import_module(f"mistralai.{name}")


Mistral = part("sdk").Mistral
utils = part("utils")
EventStream = part("utils.eventstreaming").EventStream


class MistralDriver(Driver):
    """``resource`` and ``verb`` name the method: ``client.chat.complete``."""

    distribution = "mistralai"
    provider = "mistral_ai"
    requested, served = "mistral-small-latest", "mistral-small-2506"
    closes = hasattr(EventStream, "close")
    resource, verb, streaming = "chat", "complete", "stream"

    def __init__(self, url, *, is_async=False, retries=0, **options):
        self.suffix = "_async" if is_async else ""
        self.client = Mistral(api_key="k", server_url=url, **options)

    def method(self, verb):
        return getattr(getattr(self.client, self.resource), verb + self.suffix)

    def arguments(self, extra_headers=None, **more):
        headers = {} if extra_headers is None else {"http_headers": extra_headers}
        return {"model": self.requested, **self.text(), **headers, **more}

    def text(self):
        return {"messages": MESSAGES}

    async def create(self, **more):
        return await settled(self.method(self.verb)(**self.arguments(**more)))

    async def stream(self, **more):
        return await settled(self.method(self.streaming)(**self.arguments(**more)))

    async def retrying(self, retries):
        backoff = utils.BackoffStrategy(10, 20, 1.5, 5000)
        return await self.create(retries=utils.RetryConfig("backoff", backoff, retry_connection_errors=False))


class Chat(MistralDriver):
    label = "chat.complete, chat.stream"


class Fim(MistralDriver):
    label = "fim.complete, fim.stream"
    operation = "text_completion"
    requested, served = "codestral-latest", "codestral-2508"
    resource = "fim"
    size = 8

    def text(self):
        return {"prompt": "hello", "suffix": "end"}


class Embeddings(MistralDriver):
    label = "embeddings.create"
    operation = "embeddings"
    requested, served, kind, match = "mistral-embed", "mistral-embed", "alias", "unconfirmed"
    reports = frozenset({"id", "input_tokens"})
    resource, verb = "embeddings", "create"

    def text(self):
        return {"inputs": ["ab", "cde"]}


class TestChat(Calls, Streams, Retries, CallHeader):
    driver = Chat


class TestFim(Calls, Streams, Retries, CallHeader):
    driver = Fim


class TestEmbeddings(Calls, Retries, CallHeader):
    driver = Embeddings


@pytest.fixture
def client(provider, telemetry):
    return Chat(provider.url).client


@pytest.fixture
def async_client(provider, telemetry):
    return Chat(provider.url, is_async=True).client


# Long requests, which are not parsed ------------------------------------------------------------------------------

LONG = 'é "x"\n' * 20_000  # 120,000 characters


@pytest.mark.parametrize("sdk", [Chat, Fim, Embeddings])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_long_request_tells_what_a_short_one_does(provider, telemetry, sdk, is_async):
    texts = {Chat: {"messages": [{"role": "user", "content": LONG}]}, Fim: {"prompt": LONG, "suffix": "end"}}
    driver = sdk(provider.url, is_async=is_async)
    await driver.create(**texts.get(sdk, {"inputs": [LONG, "cde"]}))
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.operation.name"]) == (sdk.requested, sdk.operation)
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == len(LONG) + {Chat: 0, Fim: 3, Embeddings: 3}[sdk]


def test_long_messages_of_the_sdks_own_types_count_as_dictionaries_do(client, telemetry):
    models = part("models")
    chunks = [models.TextChunk(text=LONG), {"type": "image_url", "image_url": "data:image/png;base64," + "A" * 40_000}]
    client.chat.complete(
        model="mistral-small-latest",
        messages=[models.SystemMessage(content="sys"), models.UserMessage(content=chunks), *MESSAGES],
    )
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 3 + len(LONG) + 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_long_request_to_an_agent_names_no_model(client, telemetry, stream):
    messages = [{"role": "user", "content": LONG}]
    if stream:
        with client.agents.stream(agent_id="ag_1", messages=messages) as events:
            list(events)
    else:
        client.agents.complete(agent_id="ag_1", messages=messages)
    assert "gen_ai.request.model" not in telemetry.one()
    assert telemetry.span().attributes.get("gen_ai.request.stream", False) is stream
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == len(LONG)


def test_a_long_beginning_of_a_conversation_is_counted_with_its_instructions(conversations, telemetry):
    conversations.start(model="mistral-medium-2508", inputs=LONG, instructions="be brief")
    conversations.append(conversation_id="conv_1", inputs=[{"role": "user", "content": LONG}])
    assert [c.get("gen_ai.request.model") for c in telemetry.counted()] == ["mistral-medium-2508", None]
    assert sum(size.sum for _, size in telemetry.points("llm_routing.input_size")) == 2 * len(LONG) + 8


# Agents and conversations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_an_agents_model_is_known_from_the_answer_alone(client, telemetry, stream):
    if stream:
        with client.agents.stream(agent_id="ag_1", messages=MESSAGES) as events:
            list(events)
    else:
        client.agents.complete(agent_id="ag_1", messages=MESSAGES)
    counted = telemetry.one()
    assert "gen_ai.request.model" not in counted
    assert counted["gen_ai.response.model"] == "mistral-medium-2508"
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("unknown", "resolved")
    assert telemetry.span().name == "chat"


@pytest.fixture
def conversations(client):
    beta = getattr(client, "beta", None)
    if not hasattr(beta, "conversations"):
        pytest.skip("this mistralai has no conversations")
    return beta.conversations


def test_a_conversation_is_a_call_each_time_its_agents_answer(conversations, telemetry, provider):
    conversations.start(agent_id="ag_1", inputs="hello")
    conversations.append(conversation_id="conv_1", inputs="hello")
    conversations.restart(conversation_id="conv_1", inputs="hello", from_entry_id="msg_1")
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == ["mistral-medium-2508"] * 3
    assert {c["gen_ai.operation.name"] for c in telemetry.counted()} == {"chat"}
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert (size.count, size.sum) == (3, 15)
    [(_, read)] = telemetry.points("llm_routing.input_tokens")
    assert read.value == 27


def test_a_streamed_conversation_names_the_model_in_its_events(conversations, telemetry, provider):
    provider.answers(model="mistral-medium-2508", switch_to="magistral-small-2509", chunks=4)
    with conversations.start_stream(model="mistral-medium-2508", inputs="hello") as events:
        assert len(list(events)) > 3
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "magistral-small-2509"
    assert counted["llm_routing.match"] == "substituted"
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4


# Helpers ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def schema():
    from pydantic import BaseModel

    class Answer(BaseModel):
        text: str

    return Answer


def test_parse_is_one_call(client, telemetry, schema):
    if not hasattr(client.chat, "parse"):
        pytest.skip("this mistralai has no chat.parse")
    answer = client.chat.parse(schema, model="mistral-small-latest", messages=MESSAGES)
    assert type(answer.choices[0].message.parsed) is schema
    telemetry.one()


async def test_parse_stream_is_one_call(async_client, telemetry, schema):
    if not hasattr(async_client.chat, "parse_stream_async"):
        pytest.skip("this mistralai has no chat.parse_stream")
    stream = await async_client.chat.parse_stream_async(schema, model="mistral-small-latest", messages=MESSAGES)
    async with stream as events:
        async for _ in events:
            pass
    assert telemetry.one()["gen_ai.response.model"] == "mistral-small-2506"


def test_responses(client, telemetry):
    if not hasattr(client, "responses"):
        pytest.skip("this mistralai has no Responses API")
    client.responses.create(model="mistral-small-latest", input="hello")
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == "mistral_ai"
    assert counted["gen_ai.response.model"] == "mistral-small-2506"


def test_a_method_that_an_application_derives_is_left_alone(client, telemetry):
    chat = type(client.chat)

    class Mine(chat):
        def complete(self, **kwargs):
            return "mine", super().complete(**kwargs)

    before = Mine.__dict__["complete"]
    mine = Mine(client.sdk_configuration)
    assert mine.complete(model="mistral-small-latest", messages=MESSAGES)[0] == "mine"
    assert Mine.__dict__["complete"] is before
    telemetry.one()


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    for ask in (
        client.models.list,
        client.files.list,
        lambda: client.classifiers.moderate(model="mistral-moderation-latest", inputs=["hello"]),
        lambda: client.ocr.process(
            model="mistral-ocr-latest", document={"type": "document_url", "document_url": "https://example.org/a"}
        ),
    ):
        with contextlib.suppress(Exception):  # what comes back is of no interest
            ask()
    assert len(provider.requests) == 4
    assert telemetry.spans == []
    assert telemetry.counted() == []


def test_an_answer_of_another_form_is_a_failed_call(client, telemetry, provider):
    provider.answers(fault="malformed")
    with pytest.raises(Exception) as raised:
        client.chat.complete(model="mistral-small-latest", messages=MESSAGES)
    assert telemetry.one()["error.type"] == type(raised.value).__qualname__


@pytest.mark.parametrize(
    ("kind", "body"), [("application/json", b'{"model": "m"}'), ("text/html", b"<p>sign in"), ("", b"")]
)
async def test_an_answer_that_is_no_stream_is_a_failed_call(telemetry, kind, body):
    with RawProvider([Reply(kind=kind, body=(body,))]) as raw, Mistral(api_key="k", server_url=raw.url) as client:
        for stream in (client.chat.stream, client.chat.stream_async):
            with pytest.raises(Exception) as raised:
                await settled(stream(model="mistral-small-latest", messages=MESSAGES))
            error = type(raised.value).__qualname__
            assert telemetry.counted()[-1]["error.type"] == error
    assert [s.attributes["error.type"] for s in telemetry.spans] == [error, error]


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_beats_the_body(client, telemetry, provider, stream):
    provider.answers(headers={"cf-aig-model": "mistral-large-2411"})
    if stream:
        list(client.chat.stream(model="mistral-large-2411", messages=MESSAGES))
    else:
        client.chat.complete(model="mistral-large-2411", messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("mistral-large-2411", "header")
    assert telemetry.span().attributes["llm_routing.gateway"] == "cloudflare"


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(model="mistral-small-2506", switch_to="mistral-small-2503", chunks=6)
    list(client.chat.stream(model="mistral-small-latest", messages=MESSAGES))
    assert telemetry.one()["gen_ai.response.model"] == "mistral-small-2503"
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 9
    assert telemetry.span().attributes["gen_ai.response.finish_reasons"] == ("stop",)


# The clients for other clouds -------------------------------------------------------------------------------------


@pytest.fixture
def azure(provider, telemetry):
    try:
        sdk, options = importlib.import_module("mistralai.azure.client.sdk"), {"server_url": provider.url}
    except ImportError:
        sdk, options = importlib.import_module("mistralai_azure.sdk"), {"azure_endpoint": provider.url}
    return sdk.MistralAzure(**{"azure_api_key" if "azure_endpoint" in options else "api_key": "k"}, **options)


def test_the_client_for_azure(azure, telemetry):
    azure.chat.complete(messages=MESSAGES, model="mistral-large-2411")
    list(azure.chat.stream(messages=MESSAGES, model="mistral-large-2411"))
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == ["mistral-large-2411"] * 2
    assert len(telemetry.spans) == 2


def test_the_client_for_google_cloud(provider, telemetry):
    gcp = pytest.importorskip(
        "mistralai.gcp.client.sdk", reason="needs mistralai 2 and google-auth", exc_type=ImportError
    )
    client = gcp.MistralGCP(project_id="p", access_token="k", server_url=provider.url)
    client.chat.complete(messages=MESSAGES, model="mistral-small-2503")
    list(client.chat.stream(messages=MESSAGES, model="mistral-small-2503"))
    client.fim.complete(prompt="hello", model="codestral-2501")
    assert [(c["gen_ai.operation.name"], c["gen_ai.response.model"]) for c in sorted(telemetry.counted(), key=str)] == [
        ("chat", "mistral-small-2503"),
        ("chat", "mistral-small-2503"),
        ("text_completion", "codestral-2501"),
    ]


# The SDK's own spans ----------------------------------------------------------------------------------------------


@pytest.fixture
def traced(provider, telemetry, monkeypatch):
    """A client that opens spans of its own, which go where the application's go."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", telemetry.tracer_provider)
    monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "global")  # earlier ones do so unasked
    client = Chat(provider.url).client
    hooks = client.sdk_configuration.__dict__["_hooks"]
    if not any(type(hook).__name__ == "TracingHook" for hook in hooks.before_request_hooks):
        pytest.skip("this mistralai has no spans of its own")
    return client


@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_sdks_own_span_is_the_calls(traced, telemetry, form, stream):
    suffix = "_async" if form == "async" else ""
    verb = getattr(traced.chat, ("stream" if stream else "complete") + suffix)
    result = await settled(verb(model="mistral-small-latest", messages=MESSAGES))
    if stream:
        assert await Chat.items(None, result) > 2
    counted = telemetry.one()  # one span, which agrees with the count
    assert counted["llm_routing.match"] == "resolved"
    span = telemetry.span()
    assert span.instrumentation_scope.name == "mistralai_sdk_tracer"
    assert span.attributes["llm_routing.surface"] == "unknown"


def test_the_sdks_own_span_of_a_failed_call(traced, telemetry, provider):
    provider.answers(fault="status:500")
    with pytest.raises(Exception) as raised:
        traced.chat.complete(model="mistral-small-latest", messages=MESSAGES)
    assert telemetry.one()["error.type"] == type(raised.value).__qualname__
    assert telemetry.span().status.status_code is not StatusCode.OK


def test_spans_that_the_sdk_sends_to_mistral_are_not_the_calls(provider, telemetry, monkeypatch):
    away = pytest.importorskip("mistralai.extra.observability.telemetry", reason="this mistralai sends no spans away")
    exporter, sent = InMemorySpanExporter(), TracerProvider()
    sent.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(away, "_create_telemetry_tracer_provider", lambda **_: sent)
    monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "dedicated")
    client = Chat(provider.url).client
    client.chat.complete(model="mistral-small-latest", messages=MESSAGES)
    telemetry.one()
    assert telemetry.span().instrumentation_scope.name == "otel_llm_routing"
    [theirs] = exporter.get_finished_spans()
    assert not any(name.startswith("llm_routing") for name in theirs.attributes)


def test_a_client_that_cannot_open_spans_fails_as_it_does_without_us(provider, telemetry, monkeypatch):
    pytest.importorskip("mistralai.extra.observability.telemetry", reason="this mistralai sends no spans away")
    monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "nonsense")
    with pytest.raises(Exception, match="MISTRAL_SDK_TELEMETRY"):
        Chat(provider.url).client.chat.complete(model="mistral-small-latest", messages=MESSAGES)
    assert telemetry.one()["error.type"] == "TelemetryConfigurationError"
