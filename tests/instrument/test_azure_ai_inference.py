"""What is particular to azure-ai-inference: endpoints that name the model, its model objects, its own tracing."""

from __future__ import annotations

import pytest
from conformance import Calls, Retries, Streams
from driver import MESSAGES, Driver, settled

inference = pytest.importorskip("azure.ai.inference", reason="azure-ai-inference is not installed")
pytest.importorskip("aiohttp", reason="aiohttp is not installed, which azure-core's asynchronous transport needs")

aio = pytest.importorskip("azure.ai.inference.aio")
models = pytest.importorskip("azure.ai.inference.models")
AzureKeyCredential = pytest.importorskip("azure.core.credentials").AzureKeyCredential


class AzureDriver(Driver):
    distribution, provider = "azure-ai-inference", "azure.ai.inference"
    requested, served = "gpt-5", "gpt-5-2025-08-07"
    kind = "unknown"  # the name of a deployment is free text
    client_class: str

    def __init__(self, url, *, is_async=False, **options):
        cls = getattr(aio if is_async else inference, self.client_class)
        self.make = lambda retries: cls(f"{url}/models", AzureKeyCredential("k"), retry_total=retries, **options)
        self.client = self.make(0)


class Chat(AzureDriver):
    label = "ChatCompletionsClient.complete"
    client_class = "ChatCompletionsClient"
    enters = hasattr(models.StreamingChatCompletions, "__enter__")  # since 1.0.0b8
    has_error_event = False  # the SDK passes over an event without choices

    async def create(self, *, client=None, **more):
        asked = {"model": self.requested, "messages": MESSAGES, **more}
        return await settled((client or self.client).complete(**asked))

    async def stream(self, **more):
        return await self.create(stream=True, **more)

    async def retrying(self, retries):
        return await self.create(client=self.make(retries))


class Embeddings(AzureDriver):
    label = "EmbeddingsClient.embed"
    client_class = "EmbeddingsClient"
    operation = "embeddings"
    reports = frozenset({"input_tokens"})

    async def create(self, **more):
        return await settled(self.client.embed(**{"model": self.requested, "input": ["hello"], **more}))


class TestChat(Calls, Streams, Retries):
    driver = Chat


class TestEmbeddings(Calls):
    driver = Embeddings


@pytest.fixture
def client(provider, telemetry):
    return Chat(provider.url).client


def test_messages_that_are_objects_are_measured(client, telemetry):
    asked = [
        models.SystemMessage("be brief"),
        models.UserMessage([models.TextContentItem(text="hello")]),
    ]
    client.complete(model="gpt-5", messages=asked)
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 13


@pytest.mark.parametrize("positional", [False, True])
def test_a_body_of_the_applications_own(client, telemetry, positional):
    body = {"model": "gpt-5", "messages": MESSAGES, "stream": True}
    list(client.complete(body) if positional else client.complete(body=body))
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == ("gpt-5", "gpt-5-2025-08-07")
    assert telemetry.span().attributes["gen_ai.request.stream"] is True


def test_the_clients_own_model_is_the_requested_one_unless_the_body_is_the_applications(provider, telemetry):
    client = inference.ChatCompletionsClient(provider.url, AzureKeyCredential("k"), model="gpt-5")
    client.complete(messages=MESSAGES)
    client.complete(messages=MESSAGES, model_extras={"model": "gpt-5-mini"})
    client.complete({"messages": MESSAGES})
    assert {c.get("gen_ai.request.model") for c in telemetry.counted()} == {"gpt-5", "gpt-5-mini", None}
    assert [r.body.get("model") for r in provider.requests] == ["gpt-5", "gpt-5-mini", None]


def test_details_of_usage(client, telemetry):
    client.complete(model="gpt-5", messages=MESSAGES)
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 2
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 1


def test_the_deployment_that_the_endpoint_names_is_the_requested_model(provider, telemetry):
    client = inference.ChatCompletionsClient(f"{provider.url}/openai/deployments/model-router", AzureKeyCredential("k"))
    provider.answers(model="gpt-5-mini-2025-08-07")
    client.complete(messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["llm_routing.match"]) == ("model-router", "resolved")


def test_an_endpoint_with_one_model_needs_none_named(provider, telemetry):
    provider.answers(model="mistral-large-2411")
    inference.ChatCompletionsClient(provider.url, AzureKeyCredential("k")).complete(messages=MESSAGES)
    counted = telemetry.one()
    assert "gen_ai.request.model" not in counted
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == ("mistral-large-2411", "resolved")


def test_image_embeddings(provider, telemetry):
    client = inference.ImageEmbeddingsClient(provider.url, AzureKeyCredential("k"))
    client.embed(
        model="embed-v-4-0", input=[models.ImageEmbeddingInput(image="data:image/png;base64,AAAA", text="cat")]
    )
    counted = telemetry.one()
    assert (counted["gen_ai.operation.name"], counted["gen_ai.response.model"]) == ("embeddings", "embed-v-4-0")
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_beats_the_body(client, telemetry, provider, stream):
    provider.answers(model="router", headers={"x-ms-served-model": "gpt-5-mini-2025-08-07"})
    result = client.complete(model="router", messages=MESSAGES, stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "gpt-5-mini-2025-08-07"
    assert counted["llm_routing.served.source"] == "header"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_header_beats_the_body_async(telemetry, provider, stream):
    provider.answers(headers={"x-ms-served-model": "gpt-5-mini-2025-08-07"})
    async with Chat(provider.url, is_async=True).client as client:
        result = await client.complete(model="router", messages=MESSAGES, stream=stream)
        if stream:
            async for _ in result:
                pass
    assert telemetry.one()["llm_routing.served.source"] == "header"


def test_the_applications_own_hook_of_the_response_is_called(provider, telemetry):
    seen = []
    client = inference.ChatCompletionsClient(provider.url, AzureKeyCredential("k"), raw_response_hook=seen.append)
    client.complete(model="gpt-5", messages=MESSAGES)
    assert len(seen) == 1
    client.complete(model="gpt-5", messages=MESSAGES, raw_response_hook=lambda _: seen.append("call"))
    assert seen[1:] == ["call"]


def test_a_pipeline_of_the_applications_own_gets_no_option_of_ours(provider, telemetry):
    client = inference.ChatCompletionsClient(provider.url, AzureKeyCredential("k"), policies=[])
    client.complete(model="gpt-5", messages=MESSAGES)
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(chunks=6, switch_to="gpt-5-mini-2025-08-07")
    list(client.complete(model="gpt-5", messages=MESSAGES, stream=True))
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-mini-2025-08-07"


@pytest.mark.skipif(inference.__version__ < "1.0.0b8", reason="the SDK before 1.0.0b8 keeps the usage to itself")
def test_usage_and_reason_of_a_stream(client, telemetry):
    extras = {"stream_options": {"include_usage": True}}
    list(client.complete(model="gpt-5", messages=MESSAGES, stream=True, model_extras=extras))
    attributes = telemetry.span().attributes
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (9, 4)
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_an_answer_that_names_no_model_is_unreported(client, telemetry, provider):
    provider.answers(no_model=True)
    client.complete(model="gpt-5", messages=MESSAGES)
    assert telemetry.one()["llm_routing.match"] == "unreported"


def test_what_a_model_is_is_not_a_call_to_it(client, telemetry, provider):
    client.get_model_info()
    assert len(provider.requests) == 1
    assert telemetry.counted() == []


# The SDK's own tracing ----------------------------------------------------------------------------------------------


@pytest.fixture(params=["before us", "after us"])
def traced(request, telemetry, monkeypatch):
    """Switch the SDK's own tracing on, before or after this project's."""
    tracing = pytest.importorskip("azure.ai.inference.tracing", reason="this SDK has no tracing")
    pytest.importorskip(
        "azure.core.tracing.ext.opentelemetry_span", reason="azure-core-tracing-opentelemetry is missing"
    )
    from azure.core.settings import settings
    from opentelemetry import trace

    from otel_llm_routing import LLMRoutingInstrumentor

    monkeypatch.setattr(trace, "get_tracer", telemetry.tracer_provider.get_tracer)
    settings.tracing_implementation = "opentelemetry"
    instrumentor = tracing.AIInferenceInstrumentor()
    if request.param == "before us":
        LLMRoutingInstrumentor().uninstrument()
    instrumentor.instrument()
    if request.param == "before us":
        telemetry.instrument()
    yield instrumentor
    if request.param == "before us":
        LLMRoutingInstrumentor().uninstrument()
    if instrumentor.is_instrumented():
        instrumentor.uninstrument()
    settings.tracing_implementation = None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
async def test_the_sdks_own_span_is_the_calls(traced, provider, telemetry, is_async, stream):
    driver = Chat(provider.url, is_async=is_async)
    result = await driver.create(stream=stream)
    if stream:
        await driver.items(result)
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"
    assert telemetry.span().instrumentation_scope.name.startswith("azure.core.tracing")


def test_the_sdks_own_tracing_can_be_switched_off_alone(traced, provider, telemetry):
    traced.uninstrument()
    Chat(provider.url).client.complete(model="gpt-5", messages=MESSAGES)
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"
    assert telemetry.span().instrumentation_scope.name == "otel_llm_routing"


def test_this_project_can_be_switched_off_alone(traced, provider, telemetry):
    from otel_llm_routing import LLMRoutingInstrumentor

    LLMRoutingInstrumentor().uninstrument()
    Chat(provider.url).client.complete(model="gpt-5", messages=MESSAGES)
    assert telemetry.counted() == []
    assert [span.name for span in telemetry.spans] == ["chat gpt-5"]
