"""What is particular to the ollama SDK: its operations, the module's functions, lazy streams, remote models."""

from __future__ import annotations

import pytest
from conformance import Calls, Streams
from driver import MESSAGES, Driver, settled

ollama = pytest.importorskip("ollama", reason="ollama is not installed")


class OllamaDriver(Driver):
    distribution = provider = "ollama"
    requested = served = "llama3.2:3b"  # Ollama repeats the name it was asked for
    kind, match = "unknown", "exact"
    halfway = match
    reports = frozenset({"input_tokens", "output_tokens", "finish_reasons"})
    lazy = True
    enters = False  # streams are generators

    def __init__(self, url, *, is_async=False, **options):
        self.client = (ollama.AsyncClient if is_async else ollama.Client)(host=url, **options)

    async def stream(self, **more):
        return await self.create(stream=True, **more)


class Chat(OllamaDriver):
    label = "chat"

    async def create(self, **more):
        return await settled(self.client.chat(**{"model": self.requested, "messages": MESSAGES, **more}))


class Generate(OllamaDriver):
    label = "generate"
    operation = "text_completion"

    async def create(self, **more):
        return await settled(self.client.generate(**{"model": self.requested, "prompt": "hello", **more}))


class Embed(OllamaDriver):
    label = "embed"
    operation = "embeddings"
    reports = frozenset({"input_tokens"})

    async def create(self, **more):
        return await settled(self.client.embed(**{"model": self.requested, "input": "hello", **more}))


class Embeddings(OllamaDriver):
    label = "embeddings"
    operation = "embeddings"
    served, match, source = None, "unreported", "none"
    reports = frozenset()
    not_visible = "The response of the deprecated embeddings call names no model."

    async def create(self, **more):
        return await settled(self.client.embeddings(**{"model": self.requested, "prompt": "hello", **more}))


class TestChat(Calls, Streams):
    driver = Chat


class TestGenerate(Calls, Streams):
    driver = Generate


class TestEmbed(Calls):
    driver = Embed


class TestEmbeddings(Calls):
    driver = Embeddings


@pytest.fixture
def client(provider, telemetry):
    return ollama.Client(host=provider.url)


@pytest.fixture
def async_client(provider, telemetry):
    return ollama.AsyncClient(host=provider.url)


@pytest.fixture
def default_client(provider, telemetry, monkeypatch):
    """The client behind the module's functions, told where the server is."""
    client = ollama.chat.__self__
    monkeypatch.setattr(client._client, "base_url", provider.url)
    return client


def test_the_modules_functions(default_client, telemetry):
    ollama.chat(model="llama3.2:3b", messages=MESSAGES)
    ollama.generate(model="llama3.2:3b", prompt="hello")
    list(ollama.chat(model="llama3.2:3b", messages=MESSAGES, stream=True))
    ollama.embed(model="all-minilm:33m", input=["ab", "cde"])
    assert sorted(c["gen_ai.operation.name"] for c in telemetry.counted()) == [
        "chat",
        "chat",
        "embeddings",
        "text_completion",
    ]
    assert len(telemetry.spans) == 4


def test_what_manages_models_is_not_counted(client, telemetry, provider):
    client.list()
    client.show("llama3.2")
    client.pull("llama3.2")
    list(client.pull("llama3.2", stream=True))
    assert [r.path for r in provider.requests] == ["/api/tags", "/api/show", "/api/pull", "/api/pull"]
    assert telemetry.spans == []
    assert telemetry.counted() == []


def test_every_text_of_a_request_is_measured(client, telemetry):
    client.generate(model="llama3.2:3b", prompt="hello", system="be brief", images=None)
    client.embed(model="all-minilm:33m", input=["ab", "cde"])
    assert sorted(point.sum for _, point in telemetry.points("llm_routing.input_size")) == [5, 13]


@pytest.mark.parametrize("name", ["llama3.2", "llama3.2:latest", "someone/model", "hf.co/someone/model-GGUF"])
def test_a_name_without_a_fixed_tag_may_move_so_its_echo_confirms_nothing(client, telemetry, name):
    client.chat(model=name, messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("alias", "unconfirmed")


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_of_a_remote_host_is_the_one_that_served(client, telemetry, provider, stream):
    provider.answers(fallback_to="gpt-oss:120b")
    result = client.chat(model="gpt-oss:120b-cloud", messages=MESSAGES, stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("gpt-oss:120b", "trace")
    assert counted["llm_routing.match"] == "resolved"
    assert "llm_routing.fallback" not in telemetry.span().attributes


async def test_the_model_of_a_remote_host_async(async_client, telemetry, provider):
    provider.answers(fallback_to="gpt-oss:120b")
    await async_client.generate(model="mine", prompt="hello")
    async for _ in await async_client.generate(model="mine", prompt="hello", stream=True):
        pass
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == ["gpt-oss:120b"] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_beats_the_body(client, telemetry, provider, stream):
    provider.answers(headers={"cf-aig-model": "llama3.3:70b"}, fallback_to="gpt-oss:120b")
    result = client.chat(model="llama3.2:3b", messages=MESSAGES, stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("llama3.3:70b", "header")
    assert telemetry.span().attributes["llm_routing.gateway"] == "cloudflare"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_header_beats_the_body_async(async_client, telemetry, provider, stream):
    provider.answers(headers={"cf-aig-model": "llama3.3:70b"})
    result = await async_client.chat(model="llama3.2:3b", messages=MESSAGES, stream=stream)
    if stream:
        async for _ in result:
            pass
    assert telemetry.one()["llm_routing.served.source"] == "header"


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(chunks=6, switch_to="llama3.2:1b")
    list(client.chat(model="llama3.2:3b", messages=MESSAGES, stream=True))
    assert telemetry.one()["gen_ai.response.model"] == "llama3.2:1b"


def test_an_answer_that_names_no_model_is_unreported(client, telemetry, provider):
    provider.answers(no_model=True)
    client.chat(model="llama3.2:3b", messages=MESSAGES)
    assert telemetry.one()["llm_routing.match"] == "unreported"


def test_tokens_and_reason_of_a_stream_come_with_its_last_part(client, telemetry):
    list(client.chat(model="llama3.2:3b", messages=MESSAGES, stream=True))
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.input_tokens"] == 9
    assert attributes["gen_ai.usage.output_tokens"] == 4
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_questions_to_a_system_one_model(client, telemetry, provider):
    if not hasattr(client, "systemone"):
        pytest.skip("this ollama has no System One")
    client.systemone(model="one:2b", state="hello", questions={"q": {"type": "noul", "instructions": "Is it?"}})
    counted = telemetry.one()
    assert (counted["gen_ai.operation.name"], counted["gen_ai.response.model"]) == ("generate_content", "one:2b")
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 9


def test_a_stream_never_read_sends_nothing(client, telemetry, provider):
    client.chat(model="llama3.2:3b", messages=MESSAGES, stream=True)
    assert provider.requests == []
    assert telemetry.counted() == []


def test_a_server_that_is_not_there_is_an_error(telemetry):
    with pytest.raises(Exception) as raised:  # ConnectionError, and httpx's ConnectError before 0.4.2
        ollama.Client(host="http://127.0.0.1:9").chat(model="llama3.2:3b", messages=MESSAGES)
    assert telemetry.one()["error.type"] == type(raised.value).__qualname__


def test_the_applications_own_event_hooks_stay(provider, telemetry):
    from otel_llm_routing import LLMRoutingInstrumentor

    seen = []
    hooks = {"response": [seen.append]}
    client = ollama.Client(host=provider.url, event_hooks=hooks)
    client.chat(model="llama3.2:3b", messages=MESSAGES)
    assert len(seen) == 1
    LLMRoutingInstrumentor().uninstrument()
    assert client._client.event_hooks["response"] == hooks["response"] == [seen.append]
