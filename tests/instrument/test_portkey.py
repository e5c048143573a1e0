"""What is particular to the portkey-ai SDK: two clients in one, saved prompts, the gateway's headers, providers."""

from __future__ import annotations

import inspect
import sys

import pytest
from conformance import CallHeader, Calls, Streams
from driver import MESSAGES, Driver, settled

portkey_ai = pytest.importorskip("portkey_ai", reason="the portkey-ai package is not installed")
httpx = pytest.importorskip("httpx", reason="portkey-ai needs the httpx package")

GENERATORS = inspect.isgeneratorfunction(
    sys.modules["portkey_ai.api_resources.apis.chat_complete"].Completions.stream_create
)
"""This is 1.x, where a stream of the openai SDK inside is a generator, which hands an error out as one more item."""


class PortkeyChat(Driver):
    """Chat completions of the portkey-ai SDK, sent by the openai SDK inside it."""

    distribution = "portkey-ai"
    provider = "portkey"
    label = "chat.completions"
    requested, served = "gpt-5", "gpt-5-2025-08-07"
    lazy = GENERATORS
    enters = has_error_event = not GENERATORS

    def __init__(self, url, *, is_async=False, **options):
        cls = portkey_ai.AsyncPortkey if is_async else portkey_ai.Portkey
        # One HTTP client for both of its clients, which does not read the system's certificates for each test.
        http = (httpx.AsyncClient if is_async else httpx.Client)(base_url=f"{url}/v1", verify=False)
        self.client = cls(**{"api_key": "k", "base_url": f"{url}/v1", "config": "pc-1", "http_client": http, **options})

    async def create(self, **more):
        arguments = {"model": self.requested, "messages": MESSAGES, **more}
        return await settled(self.client.chat.completions.create(**arguments))

    async def stream(self, **more):
        return await self.create(stream=True, **more)

    async def close(self, stream):
        await settled((stream.aclose if inspect.isasyncgen(stream) else stream.close)())


class PortkeyResponses(PortkeyChat):
    """The Responses API of the portkey-ai SDK."""

    label = "responses"
    lazy, enters, has_error_event = False, True, True

    def __init__(self, url, **options):
        super().__init__(url, **options)
        if not hasattr(self.client, "responses"):
            pytest.skip("this portkey-ai has no Responses API")

    async def create(self, **more):
        return await settled(self.client.responses.create(model=self.requested, input="hello", **more))


class PortkeyCompletions(PortkeyChat):
    """Text completions of the portkey-ai SDK."""

    label = "completions"
    operation = "text_completion"

    async def create(self, **more):
        return await settled(self.client.completions.create(model=self.requested, prompt="hello", **more))


class PortkeyPrompt(PortkeyChat):
    """Saved prompts of the portkey-ai SDK, sent by its own client; the call overrides the prompt's model."""

    label = "prompts.completions"
    lazy, enters, has_error_event = False, True, True
    not_visible = "the requested model, unless the call names it: a saved prompt's own is kept by Portkey"

    async def create(self, **more):
        arguments = {"prompt_id": "pp-1", "variables": {"text": "hello"}, "model": self.requested, **more}
        return await settled(self.client.prompts.completions.create(**arguments))


class TestChat(Calls, Streams, CallHeader):
    driver = PortkeyChat


class TestResponses(Calls, Streams):
    driver = PortkeyResponses


class TestCompletions(Calls, Streams):
    driver = PortkeyCompletions


class TestPrompt(Calls, Streams, CallHeader):
    driver = PortkeyPrompt


@pytest.fixture
def client(provider, telemetry):
    return PortkeyChat(provider.url).client


def prompt(client, **more):
    return client.prompts.completions.create(prompt_id="pp-1", variables={"text": "hello"}, **more)


@pytest.mark.parametrize("stream", [False, True])
def test_the_gateway_is_named_by_its_headers(client, telemetry, stream):
    for result in (
        client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=stream),
        prompt(client, stream=stream),
    ):
        if stream:
            list(result)
    assert [span.attributes["llm_routing.gateway"] for span in telemetry.spans] == ["portkey"] * 2


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("azure-openai", "azure.ai.openai"),
        ("vertex-ai", "gcp.vertex_ai"),
        ("bedrock", "aws.bedrock"),
        ("mistral-ai", "mistral_ai"),
        ("together-ai", "together"),
        ("fireworks-ai", "fireworks"),
        ("perplexity-ai", "perplexity"),
        ("x-ai", "x_ai"),
        ("@openai-prod", "portkey"),
        (None, "portkey"),
    ],
)
def test_the_provider_is_the_one_the_client_names(telemetry, provider, named, expected):
    client = PortkeyChat(provider.url, provider=named).client
    client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    prompt(client)
    assert [counted["gen_ai.provider.name"] for counted in telemetry.counted()] == [expected] * 2


def test_a_saved_prompt_names_no_requested_model(client, telemetry):
    prompt(client)
    counted = telemetry.one()
    assert "gen_ai.request.model" not in counted
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == ("gpt-5-2025-08-07", "resolved")
    assert telemetry.span().name == "chat"


def test_without_a_model_the_config_behind_the_key_decides(client, telemetry):
    client.chat.completions.create(messages=MESSAGES)
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == "portkey-default"
    assert counted["llm_routing.request.kind"] == "router"
    assert counted["llm_routing.match"] == "unconfirmed"


@pytest.mark.parametrize(
    ("requested", "served", "match"),
    [
        ("@openai-prod/gpt-5-2025-08-07", "gpt-5-2025-08-07", "exact"),
        ("@openai-prod/gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "substituted"),
        ("@openai-prod/gpt-5", "gpt-5-2025-08-07", "resolved"),
        ("@openai-prod/gpt-5", "gpt-5", "unconfirmed"),
    ],
)
def test_the_integration_before_a_model_is_only_spelling(client, telemetry, provider, requested, served, match):
    provider.answers(model=served)
    client.chat.completions.create(model=requested, messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["llm_routing.match"]) == (requested, match)


@pytest.mark.parametrize(
    ("status", "cached"),
    [("HIT", True), ("SEMANTIC HIT", True), ("MISS", None), ("SEMANTIC MISS", None), ("DISABLED", None)],
)
def test_a_cached_answer_is_marked(client, telemetry, provider, status, cached):
    provider.answers(headers={"x-portkey-cache-status": status})
    client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert telemetry.one().get("llm_routing.cached") is cached


def test_a_post_of_the_applications_own(client, telemetry):
    if not hasattr(client, "post"):
        pytest.skip("this portkey-ai posts nothing by hand")
    client.post("/chat/completions", model="gpt-5", messages=MESSAGES)
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"


def test_embeddings(client, telemetry):
    client.embeddings.create(model="text-embedding-3-small", input="hello")
    counted = telemetry.one()
    assert counted["gen_ai.operation.name"] == "embeddings"
    assert counted["gen_ai.response.model"] == "text-embedding-3-small"


async def test_a_stream_with_its_own_manager_is_one_call(provider, telemetry):
    client = PortkeyChat(provider.url).client
    if not hasattr(client.beta, "chat"):
        pytest.skip("this portkey-ai has no such stream")
    events = client.beta.chat.completions.stream(model="gpt-5", messages=MESSAGES)
    assert inspect.isgenerator(events)
    assert list(events)
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"


def test_retries_of_its_own_client_are_one_call(client, telemetry, provider):
    if "return self._request(" not in inspect.getsource(type(client)._request):
        pytest.skip("the client of this portkey-ai drops the answer of a repeated request")
    provider.answers(fault="flaky:1")
    prompt(client)
    assert len(provider.requests) == 2
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    client.models.list()
    client.prompts.render(prompt_id="pp-1", variables={"text": "hello"})
    client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="f")
    client.moderations.create(input="hello")
    assert len(provider.requests) == 4
    assert telemetry.spans == []
    assert telemetry.counted() == []
