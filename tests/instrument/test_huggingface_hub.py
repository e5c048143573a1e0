"""What is particular to huggingface_hub: operations, identifiers that route, providers, endpoints."""

from __future__ import annotations

import importlib

import pytest
from conformance import Calls, Streams
from driver import MESSAGES, Driver, settled

huggingface_hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
pytest.importorskip("numpy", reason="numpy is not installed, which huggingface_hub needs for embeddings")


class HuggingFaceDriver(Driver):
    distribution, provider = "huggingface_hub", "huggingface"
    path = ""
    enters = False  # streams are generators

    def __init__(self, url, *, is_async=False, **options):
        cls = huggingface_hub.AsyncInferenceClient if is_async else huggingface_hub.InferenceClient
        self.client = cls(**{"base_url": url + self.path, "api_key": "hf_k", **options})

    async def stream(self, **more):
        return await self.create(stream=True, **more)


class Chat(HuggingFaceDriver):
    label = "chat_completion"
    requested, served = "gpt-5", "gpt-5-2025-08-07"

    async def create(self, **more):
        return await settled(self.client.chat_completion(**{"model": self.requested, "messages": MESSAGES, **more}))


class ChatCompletionsCreate(Chat):
    label = "chat.completions.create"

    async def create(self, **more):
        create = self.client.chat.completions.create
        return await settled(create(**{"model": self.requested, "messages": MESSAGES, **more}))


class Unnamed(HuggingFaceDriver):
    """An endpoint that runs one model: neither the request nor the answer names it."""

    requested = served = None
    kind, match, source = "unknown", "unreported", "none"
    halfway = match


class TextGeneration(Unnamed):
    label = "text_generation"
    operation = "text_completion"
    reports = frozenset()
    not_visible = "Generated text names no model."

    async def create(self, **more):
        return await settled(self.client.text_generation("hello", **more))


class TextGenerationDetails(TextGeneration):
    label = "text_generation(details=True)"
    reports = frozenset({"output_tokens", "finish_reasons"})

    async def create(self, **more):
        return await super().create(details=True, **more)


class FeatureExtraction(Unnamed):
    label = "feature_extraction"
    operation = "embeddings"
    path = "/embed"
    reports = frozenset()
    not_visible = "The SDK keeps nothing of an embedding's response but the numbers."

    async def create(self, **more):
        return await settled(self.client.feature_extraction("hello", **more))


class TestChat(Calls, Streams):
    driver = Chat


class TestChatCompletionsCreate(Calls, Streams):
    driver = ChatCompletionsCreate


class TestTextGeneration(Calls, Streams):
    driver = TextGeneration


class TestTextGenerationDetails(Calls, Streams):
    driver = TextGenerationDetails


class TestFeatureExtraction(Calls):
    driver = FeatureExtraction


@pytest.fixture
def client(provider, telemetry):
    return Chat(provider.url).client


@pytest.fixture
def routed(provider, telemetry, monkeypatch):
    """Return clients of Hugging Face's router, which is the fake provider."""
    providers = importlib.import_module("huggingface_hub.inference._providers")
    router = getattr(providers, "CONVERSATIONAL_AUTO_ROUTER", None)
    if router is None:
        pytest.skip("this huggingface_hub picks the provider by itself")
    monkeypatch.setattr(router, "base_url", provider.url)
    return lambda **options: huggingface_hub.InferenceClient(token="hf_k", **options)


@pytest.fixture
def groq(provider, telemetry, monkeypatch):
    """Return clients of one provider, which knows the model under a name of its own, and is the fake provider."""
    providers = importlib.import_module("huggingface_hub.inference._providers")
    common = importlib.import_module("huggingface_hub.inference._providers._common")
    mapping = getattr(importlib.import_module("huggingface_hub.hf_api"), "InferenceProviderMapping", None)
    if mapping is None or "groq" not in providers.PROVIDERS:
        pytest.skip("this huggingface_hub does not know the provider")
    known = mapping(
        provider="groq",
        hf_model_id="meta-llama/Llama-3.3-70B-Instruct",
        providerId="llama-3.3-70b-versatile",
        status="live",
        task="conversational",
    )
    hardcoded = {"meta-llama/Llama-3.3-70B-Instruct": known}
    monkeypatch.setitem(common.HARDCODED_MODEL_INFERENCE_MAPPING, "groq", hardcoded)
    monkeypatch.setattr(providers.PROVIDERS["groq"]["conversational"], "base_url", provider.url)
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "INFERENCE_PROXY_TEMPLATE", provider.url + "/{provider}")
    return lambda **options: huggingface_hub.InferenceClient(provider="groq", **options)


@pytest.mark.parametrize(
    ("requested", "served", "kind", "match"),
    [
        ("openai/gpt-oss-120b", "openai/gpt-oss-120b", "alias", "unconfirmed"),
        ("openai/gpt-oss-120b", "accounts/fireworks/models/gpt-oss-120b", "alias", "resolved"),
        ("openai/gpt-oss-120b:fastest", "openai/gpt-oss-120b", "router", "resolved"),
        ("openai/gpt-oss-120b:cheapest", "openai/gpt-oss-120b", "router", "resolved"),
        ("openai/gpt-oss-120b:groq", "openai/gpt-oss-120b", "pinned", "exact"),
        ("openai/gpt-oss-120b:groq", "openai/gpt-oss-20b", "pinned", "substituted"),
    ],
)
def test_identifiers_of_the_router(routed, telemetry, provider, requested, served, kind, match):
    provider.answers(model=served)
    routed().chat_completion(MESSAGES, model=requested)
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == requested
    assert counted["gen_ai.provider.name"] == "huggingface"
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == (kind, match)


def test_the_clients_own_model_is_the_requested_one(routed, telemetry):
    routed(model="openai/gpt-oss-120b:groq").chat_completion(MESSAGES)
    assert telemetry.one()["gen_ai.request.model"] == "openai/gpt-oss-120b:groq"


@pytest.mark.parametrize(("key", "name"), [("hf_k", "huggingface"), ("gsk_k", "groq")])
def test_a_provider_the_application_names(groq, telemetry, provider, key, name):
    groq(api_key=key).chat_completion(MESSAGES, model="meta-llama/Llama-3.3-70B-Instruct")
    assert provider.requests[-1].body["model"] == "llama-3.3-70b-versatile"
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == name
    assert counted["gen_ai.request.model"] == "meta-llama/Llama-3.3-70B-Instruct"
    assert counted["gen_ai.response.model"] == "llama-3.3-70b-versatile"
    # The table that gives the model another name is no substitution.
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("unknown", "resolved")


def test_a_provider_the_application_names_that_repeats_the_name(groq, telemetry, provider):
    provider.answers(model="meta-llama/Llama-3.3-70B-Instruct")
    groq(api_key="hf_k").chat_completion(MESSAGES, model="meta-llama/Llama-3.3-70B-Instruct")
    assert telemetry.one()["llm_routing.match"] == "exact"


def test_an_endpoint_is_no_model(provider, telemetry):
    provider.answers(model="Qwen/Qwen3-32B")
    for options in ({"model": f"{provider.url}/v1"}, {"base_url": f"{provider.url}/v1"}):
        huggingface_hub.InferenceClient(token="hf_k", **options).chat_completion(MESSAGES)
    for counted in telemetry.counted():
        assert "gen_ai.request.model" not in counted
        assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == ("Qwen/Qwen3-32B", "resolved")
    assert [span.name for span in telemetry.spans] == ["chat", "chat"]


def test_a_model_beside_a_base_url_is_the_requested_one(provider, telemetry):
    huggingface_hub.InferenceClient(base_url=provider.url, token="hf_k").chat_completion(MESSAGES, model="gpt-5")
    assert telemetry.one()["gen_ai.request.model"] == "gpt-5"


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_beats_the_body(client, telemetry, provider, stream):
    provider.answers(headers={"cf-aig-model": "claude-sonnet-5"})
    result = client.chat_completion(MESSAGES, model="gpt-5", stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("claude-sonnet-5", "header")
    assert telemetry.span().attributes["llm_routing.gateway"] == "cloudflare"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_header_beats_the_body_async(provider, telemetry, stream):
    if huggingface_hub.__version__.startswith("0."):
        pytest.skip("the asynchronous client before 1.0 looks at no headers that could be seen")
    provider.answers(headers={"cf-aig-model": "claude-sonnet-5"})
    client = Chat(provider.url, is_async=True).client
    result = await client.chat_completion(MESSAGES, model="gpt-5", stream=stream)
    if stream:
        async for _ in result:
            pass
    assert telemetry.one()["llm_routing.served.source"] == "header"


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(chunks=6, switch_to="gpt-5-mini-2025-08-07")
    list(client.chat_completion(MESSAGES, model="gpt-5", stream=True))
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-mini-2025-08-07"


def test_usage_of_a_stream_is_taken_where_it_is_sent(client, telemetry):
    list(client.chat_completion(MESSAGES, model="gpt-5", stream=True, stream_options={"include_usage": True}))
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 9
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4


def test_an_answer_that_names_no_model_is_unreported(client, telemetry, provider):
    provider.answers(no_model=True)
    client.chat_completion(MESSAGES, model="gpt-5")
    assert telemetry.one()["llm_routing.match"] == "unreported"


def test_the_last_token_of_a_text_says_how_many_there_were(provider, telemetry):
    client = huggingface_hub.InferenceClient(base_url=provider.url, token="hf_k")
    list(client.text_generation("hello", stream=True, details=True))
    attributes = telemetry.span().attributes
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (9, 4)
    assert attributes["gen_ai.response.finish_reasons"] == ("length",)


def test_other_tasks_are_not_counted(provider, telemetry):
    client = huggingface_hub.InferenceClient(base_url=f"{provider.url}/embed", token="hf_k")
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):  # vectors are no summary
        client.summarization("hello")
    assert len(provider.requests) == 1
    assert telemetry.counted() == []
