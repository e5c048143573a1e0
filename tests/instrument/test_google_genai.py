"""What is particular to the google-genai SDK: its clients' HTTP libraries, chats, function calling, Vertex AI."""

from __future__ import annotations

import inspect
import json
import warnings

import pytest
import wrapt
from conformance import CallHeader, Calls, Retries, Streams
from driver import Driver, settled

pytest.importorskip("google.genai", reason="google-genai is not installed")
from google import genai
from google.genai import _api_client, errors, models, types
from google.oauth2.credentials import Credentials

from otel_llm_routing import LLMRoutingInstrumentor, surface

ONE = genai.__version__.startswith("1.")
USER = {"role": "user"} if ONE else {"type": "user_input"}
"""What the user said, in an interaction's input."""


def has(model, name):
    return name in model.model_fields


class GenAIDriver(Driver):
    distribution = "google-genai"
    provider = "gcp.gemini"
    operation = "generate_content"
    requested, served = "gemini-flash-latest", "gemini-3.8-flash-001"
    enters = False
    lazy = True
    has_error_event = hasattr(errors.APIError, "raise_error")  # older versions take it for a chunk

    def __init__(self, url, *, is_async=False, **options):
        self.is_async = is_async
        self.client = self.make(url, options)
        self.models = self.client.aio.models if is_async else self.client.models
        if not has(types.GenerateContentResponse, "response_id"):
            self.reports = self.reports - {"id"}

    def make(self, url, options):
        return genai.Client(api_key="k", http_options={"base_url": url, **options})

    def arguments(self, extra_headers=None, **more):
        config = more.pop("config", None)
        if extra_headers is not None:
            config = {**(config or {}), "http_options": {"headers": extra_headers}}
        return {"model": self.requested, "contents": "hello", **({"config": config} if config else {}), **more}

    async def create(self, **more):
        return await settled(self.models.generate_content(**self.arguments(**more)))

    async def stream(self, **more):
        return await settled(self.models.generate_content_stream(**self.arguments(**more)))

    async def retrying(self, retries):
        options = {"attempts": retries + 1, "initial_delay": 0.01, "max_delay": 0.01, "jitter": 0.01}
        return await self.create(config={"http_options": {"retry_options": options}})


class GenAIContent(GenAIDriver):
    label = "models.generate_content"


class TestContent(Calls, Streams, CallHeader):
    driver = GenAIContent


@pytest.mark.skipif(not has(types.HttpOptions, "retry_options"), reason="this google-genai does not retry")
class TestRetries(Retries):
    driver = GenAIContent


class GenAIEmbeddings(GenAIDriver):
    label = "models.embed_content"
    operation = "embeddings"
    requested, served = "gemini-embedding-001", None
    kind, match, source = "pinned", "unreported", "none"
    reports = frozenset()
    not_visible = "The response of an embedding names no model."

    async def create(self, **more):
        return await settled(self.models.embed_content(**self.arguments(**more)))


class TestEmbeddings(Calls, CallHeader):
    driver = GenAIEmbeddings


class GenAIChat(GenAIDriver):
    label = "chats.send_message"

    def make(self, url, options):
        client = super().make(url, options)
        self.chats = client.aio.chats if self.is_async else client.chats
        return client

    def chat(self):
        return self.chats.create(model=self.requested)

    async def create(self, **more):
        return await settled(self.chat().send_message("hello", **more))

    async def stream(self, **more):
        return await settled(self.chat().send_message_stream("hello", **more))


class TestChat(Calls, Streams):
    driver = GenAIChat


class VertexContent(GenAIDriver):
    label = "models.generate_content (Vertex AI)"
    provider = "gcp.vertex_ai"
    requested, served = "gemini-2.0-flash", "gemini-2.0-flash-001"

    def make(self, url, options):
        return genai.Client(
            vertexai=True,
            project="p",
            location="us-central1",
            credentials=Credentials(token="t"),
            http_options={"base_url": url, **options},
        )


class TestVertex(Calls, Streams):
    driver = VertexContent


class VertexEmbeddings(VertexContent):
    label = "models.embed_content (Vertex AI)"
    operation = "embeddings"
    requested, served = "text-embedding-005", None
    kind, match, source = "pinned", "unreported", "none"
    reports = frozenset({"input_tokens"})
    not_visible = "The response of an embedding names no model."

    async def create(self, **more):
        return await settled(self.models.embed_content(**self.arguments(**more)))


class TestVertexEmbeddings(Calls):
    driver = VertexEmbeddings


class GenAIOverHttpx(GenAIContent):
    label = "models.generate_content (httpx)"
    modes = ("async",)


class TestAsyncWithoutAiohttp(Calls, Streams):
    driver = GenAIOverHttpx

    @pytest.fixture(autouse=True)
    def no_aiohttp(self, monkeypatch):
        if hasattr(_api_client, "has_aiohttp"):
            monkeypatch.setattr(_api_client, "has_aiohttp", False)


class GenAIInteractions(GenAIDriver):
    label = "interactions.create"
    has_error_event = False  # the error is an event, which the SDK hands over like the others
    enters = True
    lazy = False

    def __init__(self, url, **options):
        if not hasattr(genai.Client, "interactions"):
            pytest.skip("this google-genai has no interactions")
        super().__init__(url, **options)
        client = self.client.aio if self.is_async else self.client
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "experimental", and "cannot use aiohttp"
            self.interactions = client.interactions

    def make(self, url, options):
        # The interactions of 1.x make one attempt more than they are told.
        return super().make(url, {"retry_options": {"attempts": 0 if ONE else 1}, **options})

    def arguments(self, **more):
        return {"model": self.requested, "input": "hello", **more}

    async def create(self, **more):
        return await settled(self.interactions.create(**self.arguments(**more)))

    async def stream(self, **more):
        return await self.create(stream=True, **more)

    async def close(self, stream):
        await settled(stream.close())


class TestInteractions(Calls, Streams, CallHeader):
    driver = GenAIInteractions


# What is particular -----------------------------------------------------------------------------------------------


@pytest.fixture
def client(provider, telemetry):
    return GenAIContent(provider.url).client


@pytest.fixture
def vertex(provider, telemetry):
    return VertexContent(provider.url).client


ASK = {"model": "gemini-flash-latest", "contents": "hello"}


@pytest.mark.parametrize(
    ("contents", "size"),
    [
        ("hello", 5),
        (["ab", "cde"], 5),
        (types.Part(text="abc"), 3),
        ([types.Content(role="user", parts=[types.Part(text="abc")]), "de"], 5),
        ([{"role": "user", "parts": [{"text": "abc"}, {"text": "d"}]}], 4),
        ([types.Part.from_bytes(data=b"12345", mime_type="image/png"), "ab"], 2),
        ([types.Part.from_function_response(name="f", response={"result": "abcd"}), "ab"], 6),
    ],
)
def test_the_input_is_the_text_of_the_contents(client, telemetry, contents, size):
    client.models.generate_content(model="gemini-flash-latest", contents=contents)
    [(_, point)] = telemetry.points("llm_routing.input_size")
    assert point.sum == size


@pytest.mark.parametrize(
    "config", [{"system_instruction": "abc"}, types.GenerateContentConfig(system_instruction="abc")]
)
def test_the_system_instruction_is_part_of_the_input(client, telemetry, config):
    client.models.generate_content(**ASK, config=config)
    [(_, point)] = telemetry.points("llm_routing.input_size")
    assert point.sum == 8


def test_tokens_include_thoughts_and_what_was_cached(client, telemetry, provider):
    provider.answers(usage={"toolUsePromptTokenCount": 3})
    client.models.generate_content(**ASK)
    attributes = telemetry.span().attributes
    read = 9 + (3 if has(types.GenerateContentResponseUsageMetadata, "tool_use_prompt_token_count") else 0)
    thought = 1 if has(types.GenerateContentResponseUsageMetadata, "thoughts_token_count") else 0
    assert attributes["gen_ai.usage.input_tokens"] == read
    assert attributes["gen_ai.usage.output_tokens"] == 4 + thought
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 2


def test_the_tokens_of_a_stream_are_not_added_up(client, telemetry, provider):
    provider.answers(chunks=10)
    list(client.models.generate_content_stream(**ASK))
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 9
    assert telemetry.span().attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(chunks=6, model="gemini-3.8-flash-001", switch_to="gemini-3.8-flash-002")
    list(client.models.generate_content_stream(**ASK))
    assert telemetry.one()["gen_ai.response.model"] == "gemini-3.8-flash-002"


@pytest.mark.parametrize(
    ("requested", "served", "kind", "match"),
    [
        ("gemini-flash-latest", "gemini-3.8-flash", "alias", "resolved"),
        ("models/gemini-flash-latest", "gemini-flash-latest", "alias", "unconfirmed"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash-001", "pinned", "exact"),
        ("gemini-2.0-flash-001", "gemini-2.5-flash", "pinned", "substituted"),
        ("tunedModels/mine", "gemini-2.0-flash-001", "unknown", "resolved"),
    ],
)
def test_match(client, telemetry, provider, requested, served, kind, match):
    provider.answers(model=served)
    client.models.generate_content(model=requested, contents="hello")
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == (requested, served)
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == (kind, match)


def test_an_answer_that_names_no_model_is_unreported(client, telemetry, provider):
    provider.answers(no_model=True)
    client.models.generate_content(**ASK)
    counted = telemetry.one()
    assert counted["llm_routing.match"] == "unreported"
    assert "gen_ai.response.model" not in counted


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("aiohttp", [False, True])
async def test_a_header_beats_the_body(telemetry, provider, monkeypatch, stream, aiohttp):
    if not aiohttp and hasattr(_api_client, "has_aiohttp"):
        monkeypatch.setattr(_api_client, "has_aiohttp", False)
    provider.answers(headers={"cf-aig-model": "claude-sonnet-5"})
    sdk = GenAIContent(provider.url, is_async=True)
    await (sdk.items(await sdk.stream()) if stream else sdk.create())
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("claude-sonnet-5", "header")
    assert telemetry.span().attributes["llm_routing.gateway"] == "cloudflare"


class Wrapped(wrapt.ObjectProxy):
    """What OpenInference, for one, puts around a stream: it can be iterated, and is no iterator."""

    def __iter__(self):
        yield from self.__wrapped__

    async def __aiter__(self):
        async for item in self.__wrapped__:
            yield item


@pytest.mark.parametrize("left", ["drained", "halfway"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_stream_that_somebody_else_has_wrapped(telemetry, provider, monkeypatch, is_async, left):
    owner = models.AsyncModels if is_async else models.Models
    LLMRoutingInstrumentor().uninstrument()
    plain = owner.generate_content_stream

    def wrapped(self, **kwargs):
        return Wrapped(plain(self, **kwargs))

    async def wrapped_async(self, **kwargs):
        return Wrapped(await plain(self, **kwargs))

    monkeypatch.setattr(owner, "generate_content_stream", wrapped_async if is_async else wrapped)
    telemetry.instrument()
    sdk = GenAIContent(provider.url, is_async=is_async)
    stream = await sdk.stream()
    read = await sdk.items(stream, limit=1 if left == "halfway" else None)
    assert read == (1 if left == "halfway" else 4)
    await sdk.close(stream)
    assert telemetry.one()["gen_ai.response.model"] == sdk.served


def test_the_surface_of_a_stream_is_the_one_it_was_made_for(client, telemetry):
    with surface("digest"):
        content = client.models.generate_content_stream(**ASK)
        chat = client.chats.create(model="gemini-flash-latest").send_message_stream("hello")
    list(content)
    list(chat)
    assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["digest", "digest"]


async def test_the_surface_of_an_asynchronous_stream_is_the_one_it_was_made_for(client, telemetry):
    with surface("digest"):
        content = await client.aio.models.generate_content_stream(**ASK)
        chat = await client.aio.chats.create(model="gemini-flash-latest").send_message_stream("hello")
    assert len([chunk async for chunk in content]) > 2
    assert len([chunk async for chunk in chat]) > 2
    assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["digest", "digest"]


def weather() -> str:
    """Say what the weather is like."""
    assert inspect.currentframe() is not None
    return "mild"


@pytest.mark.parametrize("stream", [False, True])
def test_each_request_of_automatic_function_calling_is_a_call(client, telemetry, provider, stream):
    config = types.GenerateContentConfig(tools=[weather])
    if stream:
        list(client.models.generate_content_stream(**ASK, config=config))
    else:
        client.models.generate_content(**ASK, config=config)
    assert len(provider.requests) == 2
    assert [c["llm_routing.match"] for c in telemetry.counted()] == ["resolved", "resolved"]
    assert len(telemetry.spans) == 2


async def test_each_request_of_asynchronous_automatic_function_calling_is_a_call(client, telemetry, provider):
    config = types.GenerateContentConfig(tools=[weather])
    await client.aio.models.generate_content(**ASK, config=config)
    async for _ in await client.aio.models.generate_content_stream(**ASK, config=config):
        pass
    assert len(telemetry.counted()) == len(telemetry.spans) == len(provider.requests) == 4


def test_a_call_that_a_function_of_the_applications_makes_is_one_of_its_own(client, telemetry, provider):
    def ask_another() -> str:
        """Ask another model."""
        return client.models.generate_content(model="gemini-2.0-flash-001", contents="hello").text

    list(client.models.generate_content_stream(**ASK, config=types.GenerateContentConfig(tools=[ask_another])))
    requested = [c["gen_ai.request.model"] for c in telemetry.counted()]
    assert sorted(requested) == ["gemini-2.0-flash-001", "gemini-flash-latest", "gemini-flash-latest"]
    assert all("error.type" not in c for c in telemetry.counted())


@pytest.mark.skipif(
    not has(types.GenerateContentConfig, "should_return_http_response"), reason="this google-genai has no raw responses"
)
def test_a_raw_response(client, telemetry):
    raw = client.models.generate_content(**ASK, config={"should_return_http_response": True})
    assert json.loads(raw.sdk_http_response.body)["modelVersion"] == "gemini-3.8-flash-001"
    assert telemetry.one()["gen_ai.response.model"] == "gemini-3.8-flash-001"
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 9


def test_a_header_of_the_client_names_the_surface_and_is_not_sent(provider, telemetry):
    client = GenAIContent(provider.url, headers={"X-LLM-Routing-Surface": "digest", "x-mine": "1"}).client
    client.models.generate_content(**ASK)
    list(client.models.generate_content_stream(**ASK))
    assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["digest", "digest"]
    for request in provider.requests:
        assert "x-llm-routing-surface" not in request.headers
        assert request.headers["x-mine"] == "1"


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    client.models.count_tokens(**ASK)
    list(client.models.list())
    client.models.get(model="gemini-flash-latest")
    list(client.caches.list())
    client.files.get(name="files/1")
    with pytest.raises(errors.ClientError):  # which the fake provider knows nothing of
        client.batches.create(model="gemini-flash-latest", src="files/1")
    assert len(provider.requests) == 6
    assert telemetry.spans == []
    assert telemetry.counted() == []


# Vertex AI --------------------------------------------------------------------------------------------------------


def test_automatic_routing_makes_any_model_a_router(vertex, telemetry, provider):
    provider.answers(model="gemini-2.0-flash-001")
    config = {"routing_config": {"auto_mode": {"model_routing_preference": "BALANCED"}}}
    vertex.models.generate_content(model="gemini-2.5-flash", contents="hello", config=config)
    counted = telemetry.one()
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("router", "resolved")


def test_the_model_optimizer_is_a_router(vertex, telemetry, provider):
    provider.answers(model="gemini-2.5-pro")
    vertex.models.generate_content(model="model-optimizer-exp-04-09", contents="hello")
    counted = telemetry.one()
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("router", "resolved")
    assert counted["gen_ai.response.model"] == "gemini-2.5-pro"


def test_a_model_named_by_its_place_in_the_cloud_is_the_same_model(vertex, telemetry, provider):
    name = "projects/p/locations/us-central1/publishers/google/models/gemini-2.0-flash-001"
    vertex.models.generate_content(model=name, contents="hello")
    counted = telemetry.one()
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("pinned", "exact")
    assert counted["gen_ai.response.model"] == "gemini-2.0-flash-001"


# Interactions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def interactions(provider, telemetry):
    sdk = GenAIInteractions(provider.url)
    yield sdk.interactions
    del sdk  # it would close the HTTP client that they use


def test_an_agent_is_what_was_asked_for_and_names_no_model(interactions, telemetry):
    interactions.create(agent="deep-research-preview", input="hello")
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == "deep-research-preview"
    assert counted["llm_routing.match"] == "unreported"


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ([{"type": "text", "text": "abc"}, {"type": "text", "text": "d"}], 4),
        ([{**USER, "content": [{"type": "text", "text": "abc"}]}], 3),
    ],
)
def test_the_input_of_an_interaction_is_its_text(interactions, telemetry, content, size):
    interactions.create(model="gemini-flash-latest", input=content, system_instruction="ab")
    [(_, point)] = telemetry.points("llm_routing.input_size")
    assert point.sum == size + 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_beats_the_body_of_an_interaction(interactions, telemetry, provider, stream):
    provider.answers(headers={"cf-aig-model": "claude-sonnet-5"})
    result = interactions.create(model="gemini-flash-latest", input="hello", stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("claude-sonnet-5", "header")


@pytest.mark.parametrize("stream", [False, True])
def test_a_raw_response_of_an_interaction(interactions, telemetry, stream):
    raw = interactions.with_raw_response.create(model="gemini-flash-latest", input="hello", stream=stream)
    result = raw.parse()
    if stream:
        assert len(list(result)) > 2
    else:
        assert result.model == "gemini-3.8-flash-001"
    assert telemetry.one()["gen_ai.response.model"] == "gemini-3.8-flash-001"


@pytest.mark.parametrize("stream", [False, True])
def test_a_streaming_response_of_an_interaction(interactions, telemetry, stream):
    arguments = {"model": "gemini-flash-latest", "input": "hello", "stream": stream}
    with interactions.with_streaming_response.create(**arguments) as response:
        assert telemetry.spans == []
        assert any("gemini-3.8-flash-001" in line for line in response.iter_lines())
    assert telemetry.one()["gen_ai.response.model"] == "gemini-3.8-flash-001"


def test_interactions_that_are_looked_at_or_cancelled_are_not_counted(interactions, telemetry, provider):
    interactions.get("int-1")
    interactions.cancel("int-1")
    interactions.delete("int-1")
    assert len(provider.requests) == 3
    assert telemetry.counted() == []


def test_interactions_of_vertex_ai(provider, telemetry):
    if not hasattr(genai.Client, "interactions"):
        pytest.skip("this google-genai has no interactions")
    client = VertexContent(provider.url).client
    client.interactions.create(model="gemini-2.0-flash", input="hello")
    assert "/projects/p/" in provider.requests[-1].path
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == "gcp.vertex_ai"
    assert counted["gen_ai.response.model"] == "gemini-2.0-flash-001"
