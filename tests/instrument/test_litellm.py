"""What is particular to litellm: one call whatever is beneath, its Router, the names it writes over the provider's."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import inspect
import os
import pickle
import time

import pytest
from conformance import CallHeader, Calls, Retries, Streams, collected, outcome
from driver import MESSAGES, Driver, entered, settled
from fake_provider import FakeProvider

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network for prices
os.environ["LITELLM_MODE"] = "PRODUCTION"  # else its import looks for a file of settings

litellm = pytest.importorskip("litellm", reason="litellm is not installed")

from litellm import acompletion, completion  # noqa: E402  (before anything is instrumented, as applications do)
from litellm.responses.streaming_iterator import BaseResponsesAPIStreamingIterator  # noqa: E402

from otel_llm_routing import LLMRoutingInstrumentor, surface  # noqa: E402

litellm.suppress_debug_info = True
litellm.telemetry = False

FALLS_BACK_IN_STREAMS = hasattr(litellm.Router, "_completion_streaming_iterator") or hasattr(
    litellm.router, "RouterCore"
)
"""Whether the router reads the first chunk of a stream, to fall back if there is none: since 1.8x."""
TRANSLATES_MESSAGES = importlib.util.find_spec("litellm.messages") is not None
translates = pytest.mark.skipif(
    not TRANSLATES_MESSAGES, reason="this litellm knows Anthropic's format only of those who speak it"
)
SERVED = "gpt-5-2025-08-07"
CLAUDE = "claude-haiku-4-5-20251001"


@pytest.fixture(scope="module", autouse=True)
def what_litellm_imports_late_is_not_searched_for_garbage():
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
    with FakeProvider() as provider:
        at = {"api_base": f"{provider.url}/v1", "api_key": "k"}
        litellm.completion(model="openai/gpt-5", messages=MESSAGES, **at)
        litellm.responses(model="openai/gpt-5", input="hello", **at)
    gc.collect()
    gc.freeze()


class LiteLLM(Driver):
    """One of litellm's functions."""

    distribution = "litellm"
    provider = "openai"
    function: str
    requested, served = "openai/gpt-5", SERVED
    # Until 1.8x, litellm holds what it last got, for its error messages.
    drops = "POST_CALL" not in inspect.getsource(litellm.litellm_core_utils.litellm_logging.Logging.post_call)
    closes = hasattr(litellm.CustomStreamWrapper, "close")
    enters = hasattr(litellm.CustomStreamWrapper, "__exit__")

    def __init__(self, url, *, is_async=False, **options):
        self.is_async = is_async
        self.options = {"api_base": f"{url}/v1", "api_key": "k", "max_retries": 0, **options}

    def owner(self):
        return litellm

    def arguments(self):
        return {"model": self.requested, "messages": MESSAGES}

    async def create(self, **more):
        function = getattr(self.owner(), ("a" if self.is_async else "") + self.function)
        return await settled(function(**{**self.arguments(), **self.options, **more}))

    async def stream(self, **more):
        return await self.create(stream=True, **more)

    async def retrying(self, retries):
        return await self.create(num_retries=retries)

    # litellm's streams have both protocols, of which the one they were asked for works.

    async def items(self, stream, limit=None):
        return await super().items(stream if self.is_async else _Synchronous(stream), limit)

    def entered(self, stream):
        return entered(stream if self.is_async else _Synchronous(stream))

    async def close(self, stream):
        await settled(stream.aclose() if self.is_async else stream.close())


class _Synchronous:
    """The synchronous protocols of a stream that has both."""

    def __init__(self, stream):
        self.stream = stream

    def __iter__(self):
        return iter(self.stream)

    def __enter__(self):
        return _Synchronous(self.stream.__enter__())

    def __exit__(self, *raised):
        return self.stream.__exit__(*raised)


class Completion(LiteLLM):
    label = function = "completion"


class TextCompletion(LiteLLM):
    label = function = "text_completion"
    operation = "text_completion"
    requested, served = "text-completion-openai/gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct"
    kind, match, halfway = "unknown", "exact", "exact"
    closes = enters = False

    def arguments(self):
        return {"model": self.requested, "prompt": "hello"}


class Embedding(LiteLLM):
    label = function = "embedding"
    operation = "embeddings"
    requested = served = "text-embedding-3-small"
    kind, match = "unknown", "exact"
    reports = frozenset({"input_tokens"})

    def arguments(self):
        return {"model": self.requested, "input": ["hello"]}


class Responses(LiteLLM):
    label = function = "responses"
    closes = enters = False
    # Before 1.8x, litellm takes whatever ends a stream of responses for its end.
    fails_when_dropped = has_error_event = hasattr(BaseResponsesAPIStreamingIterator, "_raise_for_transport_error")

    def arguments(self):
        return {"model": self.requested, "input": "hello"}


def router(url, *groups, **options):
    """Return a router; each group is its name and its deployments, which are OpenAI's unless they say otherwise."""
    where = {"openai": f"{url}/v1", "anthropic": url}
    model_list = [
        {
            "model_name": name,
            "litellm_params": {"model": model, "api_base": where[model.partition("/")[0]], "api_key": "k"},
        }
        for name, *models in groups
        for model in models
    ]
    return litellm.Router(model_list=model_list, **{"num_retries": 0, "disable_cooldowns": True, **options})


class RouterCompletion(Completion):
    label = "Router.completion"
    requested, kind = "smart", "unknown"
    unnamed = "openai/gpt-5"
    unread = "resolved" if FALLS_BACK_IN_STREAMS else "unreported"

    def __init__(self, url, **options):
        super().__init__(url, **options)
        self.router = router(url, ("smart", "openai/gpt-5", "openai/gpt-5"))
        self.options = {}

    def owner(self):
        return self.router


class Messages(LiteLLM):
    """Anthropic's format, to Anthropic: litellm passes the answer on."""

    label = "anthropic_messages"
    provider = "anthropic"
    requested, served = "anthropic/claude-haiku-4-5", CLAUDE
    modes = ("async",)
    closes, enters = True, False
    has_error_event = False  # it is passed on like everything else

    def __init__(self, url, **options):
        super().__init__(url, **options)
        self.options = {"api_base": url, "api_key": "k", "max_tokens": 9}

    async def create(self, **more):
        return await self.owner().anthropic_messages(**{**self.arguments(), **self.options, **more})

    async def items(self, stream, limit=None):
        """Read, and count the events; several may come at once."""
        read = 0
        async for item in stream:
            read += item.count(b"event:")
            if limit is not None and read >= limit:
                break
        return read


class TranslatedMessages(Messages):
    """Anthropic's format, to a provider that does not speak it."""

    label = "anthropic_messages (translated)"
    provider = "openai"
    requested, served = "openai/gpt-5", SERVED

    def __init__(self, url, **options):
        super().__init__(url, **options)
        self.options["api_base"] = f"{url}/v1"


class RouterMessages(Messages):
    label = "Router.aanthropic_messages"
    requested, kind = "smart", "unknown"
    unnamed = "anthropic/claude-haiku-4-5"

    def __init__(self, url, **options):
        super().__init__(url, **options)
        self.router = router(url, ("smart", "anthropic/claude-haiku-4-5"))
        self.options = {"max_tokens": 9}

    async def create(self, **more):
        return await self.router.aanthropic_messages(**{**self.arguments(), **self.options, **more})


class TestCompletion(Calls, Streams, Retries, CallHeader):
    driver = Completion


class TestTextCompletion(Calls, Streams, CallHeader):
    driver = TextCompletion


class TestEmbedding(Calls):
    driver = Embedding


class TestResponses(Calls, Streams, CallHeader):
    driver = Responses

    @pytest.mark.skipif(not Responses.fails_when_dropped, reason="this litellm swallows the cancellation")
    @pytest.mark.where(mode="async")
    async def test_a_stream_cancelled_while_it_waits(self, sdk, telemetry, provider):
        await super().test_a_stream_cancelled_while_it_waits(sdk, telemetry, provider)


class TestRouter(Calls, Streams, Retries, CallHeader):
    driver = RouterCompletion

    async def test_the_stream_is_of_the_very_type_the_sdk_returns(self, sdk, telemetry):
        async def seen():
            stream = await sdk.stream()
            # The newer routers make a class for each stream.
            return type(stream).__qualname__, type(stream).__mro__[1:], await sdk.items(stream)

        with_us = await seen()
        LLMRoutingInstrumentor().uninstrument()
        assert with_us == await seen()


class TestMessages(Calls, Streams):
    driver = Messages


@translates
class TestHeadersOfMessages(CallHeader):
    driver = Messages


@translates
class TestTranslatedMessages(Calls, Streams, CallHeader):
    driver = TranslatedMessages

    async def test_a_connection_lost_mid_stream_is_how_the_application_sees_it(self, sdk, telemetry, provider):
        provider.answers(chunks=6, fault="drop")
        stream = await sdk.stream()
        assert b"event: error" in b"".join([item async for item in stream])
        assert telemetry.one()["error.type"] == "api_error"


class TestRouterMessages(Calls, Streams):
    driver = RouterMessages

    async def test_a_stream_never_read_ends_when_it_is_collected(self, sdk, telemetry):
        stream = await sdk.stream()
        del stream
        await collected()
        assert telemetry.one().get("gen_ai.response.model") == (sdk.unnamed if TRANSLATES_MESSAGES else None)

    @pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
    async def test_what_the_application_gets_of_a_broken_answer_is_what_it_gets_without_us(
        self, sdk, telemetry, provider, fault
    ):
        provider.answers(fault=fault)
        with_us = await outcome(sdk)
        LLMRoutingInstrumentor().uninstrument()
        assert with_us == await outcome(sdk)
        assert telemetry.one().get("gen_ai.response.model") == (sdk.unnamed if with_us[0] == "result" else None)


@pytest.fixture
def options(provider):
    return {"api_base": f"{provider.url}/v1", "api_key": "k", "messages": MESSAGES}


@pytest.fixture
def claude(provider):
    return {"model": "anthropic/claude-haiku-4-5", "api_base": provider.url, "api_key": "k", "messages": MESSAGES}


# One call, by whatever name -----------------------------------------------------------------------------------------


async def test_a_function_imported_before_is_seen(telemetry, options):
    completion(model="openai/gpt-5", **options)
    await acompletion(model="openai/gpt-5", **options)
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == [SERVED] * 2


@pytest.mark.parametrize("name", ["completion", "embedding", "responses", "text_completion"])
def test_a_function_that_somebody_has_replaced_is_seen(telemetry, options, monkeypatch, name):
    LLMRoutingInstrumentor().uninstrument()
    plain = getattr(litellm, name)

    def theirs(**kwargs):  # as OpenInference's, which says nothing of what it calls
        return plain(**kwargs)

    monkeypatch.setattr(litellm, name, theirs)
    telemetry.instrument()
    del options["messages"]
    asked = {"completion": {"messages": MESSAGES}, "text_completion": {"prompt": "hello"}}.get(name, {"input": "hello"})
    getattr(litellm, name)(model="openai/gpt-5", **asked, **options)
    assert telemetry.one()["gen_ai.request.model"] == "openai/gpt-5"


def test_a_function_imported_now_outlives_the_instrumentation(telemetry, options):
    from litellm import completion as imported_meanwhile

    LLMRoutingInstrumentor().uninstrument()
    assert imported_meanwhile(model="openai/gpt-5", **options).model == SERVED
    assert telemetry.counted() == []


def test_the_functions_look_the_same(telemetry):
    names = ("completion", "acompletion", "completion_with_retries", "embedding", "responses")
    ours = [(inspect.signature(f), inspect.iscoroutinefunction(f)) for f in (getattr(litellm, n) for n in names)]
    LLMRoutingInstrumentor().uninstrument()
    theirs = [(inspect.signature(f), inspect.iscoroutinefunction(f)) for f in (getattr(litellm, n) for n in names)]
    assert ours == theirs


def test_positional_arguments_are_read(telemetry, options):
    del options["messages"]
    litellm.completion("openai/gpt-5", MESSAGES, **options)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == ("openai/gpt-5", SERVED)
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 5


def test_the_openai_sdk_beneath_is_not_counted_again_but_seen_beside(telemetry, options, provider):
    openai = pytest.importorskip("openai")
    litellm.completion(model="openai/gpt-5", **options)
    telemetry.one()
    openai.OpenAI(api_key="k", base_url=f"{provider.url}/v1").chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert [c["gen_ai.request.model"] for c in telemetry.counted()] == ["openai/gpt-5", "gpt-5"]


def test_the_retries_of_an_error_are_one_call(telemetry, options, provider):
    provider.answers(fault="flaky:2")
    litellm.completion_with_retries(model="openai/gpt-5", num_retries=3, **options)
    assert len(provider.requests) == 3
    assert telemetry.one()["gen_ai.response.model"] == SERVED


def test_an_answer_that_litellm_makes_up_is_no_call(telemetry):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi")
    list(litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="hi", stream=True))
    assert telemetry.counted() == []
    assert telemetry.spans == []


def test_a_batch_is_as_many_calls_as_it_has_requests(telemetry, options):
    del options["messages"]
    litellm.batch_completion(model="openai/gpt-5", messages=[MESSAGES, MESSAGES], **options)
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == [SERVED] * 2


def test_a_hit_of_litellms_cache_is_marked(telemetry, options, monkeypatch):
    monkeypatch.setattr(litellm, "cache", litellm.Cache())
    for _ in range(2):
        litellm.completion(model="openai/gpt-5", caching=True, **options)
    assert sorted(c.get("llm_routing.cached", False) for c in telemetry.counted()) == [False, True]


# Which model it was -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_names_no_model_is_unreported_whatever_litellm_writes_there(
    telemetry, options, provider, stream
):
    provider.answers(no_model=True)
    result = litellm.completion(model="openai/gpt-5", stream=stream, **options)
    if stream:
        list(result)
    assert telemetry.one()["llm_routing.match"] == "unreported"


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_repeats_an_alias_confirms_nothing(telemetry, options, provider, stream):
    provider.answers(model="gpt-5")
    result = litellm.completion(model="openai/gpt-5", stream=stream, **options)
    if stream:
        list(result)
    assert telemetry.one()["llm_routing.match"] == "unconfirmed"


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_litellm_calls_without_its_sdk(telemetry, claude, stream):
    result = litellm.completion(stream=stream, **claude)
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == "anthropic"
    assert counted["gen_ai.response.model"] == CLAUDE


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_own_fallback_is_a_trace(telemetry, claude, provider, stream):
    provider.answers(fallback_to="claude-opus-4-8")
    result = litellm.completion(stream=stream, **claude)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("claude-opus-4-8", "trace")
    assert telemetry.span().attributes["llm_routing.fallback"] is True


@pytest.mark.parametrize("stream", [False, True])
def test_the_responses_api_of_a_provider_that_has_none(telemetry, claude, stream):
    del claude["messages"]
    result = litellm.responses(input="hello", stream=stream, **claude)
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == CLAUDE
    assert counted["gen_ai.operation.name"] == "chat"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("disabled", ["", "openai"])
def test_headers_of_a_proxy_upstream_tell(telemetry, options, provider, stream, disabled, monkeypatch):
    # With and without the adapter of the SDK beneath, which sees the same headers.
    LLMRoutingInstrumentor().uninstrument()
    monkeypatch.setenv("OTEL_LLM_ROUTING_DISABLED_SDKS", disabled)
    telemetry.instrument()
    provider.answers(model="smart", headers={"x-litellm-call-id": "1", "x-litellm-model-name": "openai/gpt-5"})
    result = litellm.completion(model="litellm_proxy/smart", stream=stream, **options)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("openai/gpt-5", "header")
    assert telemetry.span().attributes["llm_routing.gateway"] == "litellm"


def test_a_proxy_upstream_without_them_confirms_nothing(telemetry, options, provider):
    provider.answers(model="smart", headers={"x-litellm-call-id": "1"})
    litellm.completion(model="litellm_proxy/smart", **options)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == ("smart", "unconfirmed")


@pytest.mark.parametrize(
    ("model", "more", "provider_name"),
    [
        ("gpt-4o", {}, "openai"),  # known by litellm's list of prices
        ("mistral/mistral-large-latest", {}, "mistral_ai"),
        ("gpt-5", {"custom_llm_provider": "together_ai"}, "together"),
        ("hosted_vllm/my-llama", {}, "hosted_vllm"),
    ],
)
def test_the_provider_is_named_as_the_conventions_name_it(telemetry, options, model, more, provider_name):
    litellm.completion(model=model, **options, **more)
    assert telemetry.one()["gen_ai.provider.name"] == provider_name
    assert telemetry.span().attributes["gen_ai.provider.name"] == provider_name


def test_the_tokens_of_a_stream_are_the_providers(telemetry, options):
    list(litellm.completion(model="openai/gpt-5", stream=True, stream_options={"include_usage": True}, **options))
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4
    assert telemetry.span().attributes["gen_ai.usage.cache_read.input_tokens"] == 2


# Anthropic's format -------------------------------------------------------------------------------------------------


async def test_by_every_name_it_is_one_call(telemetry, claude):
    asked = {**claude, "max_tokens": 9}
    await litellm.anthropic_messages(**asked)
    await litellm.anthropic.messages.acreate(**asked)
    counted = [(c["gen_ai.request.model"], c["gen_ai.response.model"]) for c in telemetry.counted()]
    assert counted == [("anthropic/claude-haiku-4-5", CLAUDE)] * 2
    assert sum(size.sum for _, size in telemetry.points("llm_routing.input_size")) == 10


@translates
@pytest.mark.parametrize(
    ("model", "stream"),
    [("openai/gpt-5", False), ("hosted_vllm/gpt-5", False), ("hosted_vllm/gpt-5", True)],
)
def test_it_is_one_call_without_asyncio_too(telemetry, options, model, stream):
    result = litellm.anthropic.messages.create(model=model, max_tokens=9, stream=stream, **options)
    if stream:
        assert len(list(result)) > 2
    assert telemetry.one()["gen_ai.response.model"] == SERVED


@pytest.mark.parametrize("stream", [False, True])
async def test_what_it_says_of_a_message_is_read(telemetry, claude, provider, stream):
    provider.answers(usage={"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 3})
    result = await litellm.anthropic_messages(max_tokens=9, system="be kind", stream=stream, **claude)
    if stream:
        assert b"message_stop" in b"".join([item async for item in result])
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.input_tokens"] == 110
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 100
    assert attributes["gen_ai.usage.output_tokens"] == 3
    assert attributes["gen_ai.response.finish_reasons"] == ("end_turn",)
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 12


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fallback_of_anthropics_own_is_a_trace_there_too(telemetry, claude, provider, stream):
    provider.answers(fallback_to="claude-opus-4-8")
    result = await litellm.anthropic_messages(max_tokens=9, stream=stream, **claude)
    if stream:
        [_ async for _ in result]
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("claude-opus-4-8", "trace")


@pytest.mark.parametrize("stream", [False, True])
async def test_headers_of_a_proxy_upstream_tell_there_too(telemetry, claude, provider, stream):
    headers = {"x-litellm-call-id": "1", "x-litellm-model-name": "anthropic/claude-haiku-4-5"}
    provider.answers(model="smart", headers=headers)
    result = await litellm.anthropic_messages(**{**claude, "model": "anthropic/smart"}, max_tokens=9, stream=stream)
    if stream:
        [_ async for _ in result]
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "anthropic/claude-haiku-4-5"
    assert counted["llm_routing.served.source"] == "header"
    assert telemetry.span().attributes["llm_routing.gateway"] == "litellm"


@translates
async def test_a_hit_of_litellms_cache_is_marked_there_too(telemetry, claude, provider, monkeypatch):
    monkeypatch.setattr(litellm, "cache", litellm.Cache())
    calls, end = 0, time.monotonic() + 5
    while calls == len(provider.requests):  # an answer is kept in the background
        assert time.monotonic() < end
        await litellm.anthropic_messages(max_tokens=9, caching=True, **claude)
        calls += 1
    cached = [c.get("llm_routing.cached", False) for c in telemetry.counted()]
    assert sorted(cached) == [*[False] * len(provider.requests), True]


async def test_an_error_that_is_passed_on_in_the_middle_of_a_stream_is_the_calls(telemetry, claude, provider):
    provider.answers(chunks=6, fault="error_event")
    stream = await litellm.anthropic_messages(max_tokens=9, stream=True, **claude)
    assert b"event: error" in b"".join([item async for item in stream])
    counted = telemetry.one()
    assert (counted["error.type"], counted["gen_ai.response.model"]) == ("overloaded_error", CLAUDE)


@translates
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["openai/gpt-5", "hosted_vllm/gpt-5"])  # by responses, by chat completions
async def test_a_translated_answer_names_no_model_that_its_provider_does_not(
    telemetry, options, provider, model, stream
):
    provider.answers(no_model=True)
    result = await litellm.anthropic_messages(model=model, max_tokens=9, stream=stream, **options)
    if stream:
        assert b'"model": "gpt-5"' in b"".join([item async for item in result])
    assert telemetry.one()["llm_routing.match"] == "unreported"


@translates
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("first", "then", "provider_name", "served"),
    [
        ("openai/gpt-5", "anthropic/claude-haiku-4-5", "anthropic", CLAUDE),
        ("anthropic/claude-haiku-4-5", "openai/gpt-5", "openai", SERVED),
    ],
)
async def test_a_fallback_of_the_router_is_one_call_in_anthropics_format(
    telemetry, provider, first, then, provider_name, served, stream
):
    group = router(provider.url, ("smart", first), ("backup", then), fallbacks=[{"smart": ["backup"]}])
    provider.answers(fault="flaky:1")
    result = await group.aanthropic_messages(
        model="smart", messages=MESSAGES, max_tokens=9, stream=stream, metadata={"user_id": "somebody"}
    )
    if stream:
        [_ async for _ in result]
    assert len(provider.requests) == 2
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == ("smart", served)
    assert counted["gen_ai.provider.name"] == provider_name
    assert telemetry.span().attributes["llm_routing.fallback"] is True


async def test_an_answer_that_litellm_makes_up_is_no_call_in_anthropics_format_either(telemetry, claude):
    if not TRANSLATES_MESSAGES:
        pytest.skip("this litellm makes up none in this format")
    await litellm.anthropic_messages(max_tokens=9, mock_response="hi", **claude)
    assert telemetry.counted() == []


# The router ---------------------------------------------------------------------------------------------------------


async def test_the_deployments_of_a_group_are_told_apart(telemetry, provider):
    group = router(provider.url, ("smart", "openai/gpt-5", "anthropic/claude-haiku-4-5"))
    for _ in range(12):
        await group.acompletion(model="smart", messages=MESSAGES)
    counted = {(c["gen_ai.provider.name"], c["gen_ai.response.model"]) for c in telemetry.counted()}
    assert counted == {("openai", SERVED), ("anthropic", CLAUDE)}
    assert {c["gen_ai.request.model"] for c in telemetry.counted()} == {"smart"}
    assert {c["llm_routing.match"] for c in telemetry.counted()} == {"resolved"}
    assert {(s.attributes["gen_ai.provider.name"], s.attributes["gen_ai.response.model"]) for s in telemetry.spans} == (
        counted
    )


async def test_other_operations_of_the_router(telemetry, provider):
    group = router(provider.url, ("smart", "openai/gpt-5"), ("embed", "openai/text-embedding-3-small"))
    await group.aembedding(model="embed", input=["hello"])
    group.embedding(model="embed", input=["hello"])
    await group.atext_completion(model="smart", prompt="hello")
    await group.aresponses(model="smart", input="hello")
    group.responses(model="smart", input="hello")
    operations = [(c["gen_ai.operation.name"], c["gen_ai.request.model"]) for c in telemetry.counted()]
    assert sorted(operations) == [
        ("chat", "smart"),
        ("chat", "smart"),
        ("embeddings", "embed"),
        ("embeddings", "embed"),
        ("text_completion", "smart"),
    ]
    sizes = [size.sum for _, size in telemetry.points("llm_routing.input_size")]
    assert sum(sizes) == 25


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_fallback_of_the_router_is_one_call_that_says_so(telemetry, provider, is_async, stream):
    group = router(
        provider.url,
        ("smart", "openai/gpt-5"),
        ("backup", "anthropic/claude-haiku-4-5"),
        fallbacks=[{"smart": ["backup"]}],
    )
    provider.answers(fault="flaky:1")
    if is_async:
        result = await group.acompletion(model="smart", messages=MESSAGES, stream=stream)
        read = [item async for item in result] if stream else None
    else:
        result = group.completion(model="smart", messages=MESSAGES, stream=stream)
        read = list(result) if stream else None
    assert read is None or len(read) > 2
    assert len(provider.requests) == 2
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == "anthropic"
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == ("smart", CLAUDE)
    assert "error.type" not in counted
    assert telemetry.span().attributes["llm_routing.fallback"] is True


async def test_retries_of_the_router_are_one_call_without_a_fallback(telemetry, provider):
    group = router(provider.url, ("smart", "openai/gpt-5"), num_retries=2, retry_after=0)
    provider.answers(fault="flaky:1")
    await group.acompletion(model="smart", messages=MESSAGES)
    assert len(provider.requests) == 2
    assert telemetry.one()["gen_ai.response.model"] == SERVED
    assert "llm_routing.fallback" not in telemetry.span().attributes


@pytest.mark.skipif(not FALLS_BACK_IN_STREAMS, reason="it came with 1.8x")
async def test_a_fallback_in_the_middle_of_a_stream_is_the_same_call(telemetry, provider):
    group = router(
        provider.url,
        ("smart", "openai/gpt-5"),
        ("backup", "anthropic/claude-haiku-4-5"),
        fallbacks=[{"smart": ["backup"]}],
    )
    stream = await group.acompletion(model="smart", messages=MESSAGES, stream=True)
    raised = litellm.exceptions.MidStreamFallbackError(
        message="lost", model="gpt-5", llm_provider="openai", original_exception=None, is_pre_first_chunk=True
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litellm.CustomStreamWrapper, "chunk_creator", lambda *_, **__: (_ for _ in ()).throw(raised))
        first = await anext(stream, None)
    assert first is not None
    [_ async for _ in stream]
    assert len(telemetry.counted()) == 1


def test_fallbacks_of_a_single_call_are_one_call_that_says_so(telemetry, options, claude, provider):
    del claude["messages"]
    provider.answers(fault="flaky:1")
    litellm.completion(model="openai/gpt-5", fallbacks=[claude], max_retries=0, **options)
    assert len(provider.requests) == 2
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == ("openai/gpt-5", CLAUDE)
    assert telemetry.span().attributes["llm_routing.fallback"] is True


@pytest.mark.parametrize("named", [{"no_model": True}, {"model": "smart"}])
def test_where_the_provider_says_nothing_new_the_routers_choice_is_the_evidence(telemetry, provider, named):
    provider.answers(**named)
    router(provider.url, ("smart", "openai/gpt-5")).completion(model="smart", messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("openai/gpt-5", "trace")
    assert counted["llm_routing.match"] == "resolved"


def test_a_group_named_as_an_alias_that_the_provider_repeats_is_not_confirmed(telemetry, provider):
    provider.answers(model="gpt-5")
    router(provider.url, ("gpt-5", "openai/gpt-5")).completion(model="gpt-5", messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("alias", "unconfirmed")


def test_a_router_whose_every_deployment_fails_is_one_failed_call(telemetry, provider):
    provider.answers(fault="status:500")
    with pytest.raises(Exception) as raised:
        router(provider.url, ("smart", "openai/gpt-5"), num_retries=1, retry_after=0).completion(
            model="smart", messages=MESSAGES
        )
    counted = telemetry.one()
    assert counted["llm_routing.match"] == "unreported"
    assert counted["error.type"] == type(raised.value).__qualname__


async def test_an_embedding_that_chooses_the_route_is_a_call_of_its_own(telemetry, provider):
    class Semantic(litellm.types.router.CustomRoutingStrategyBase):
        async def async_get_available_deployment(self, **_):
            await litellm.aembedding(
                model="openai/text-embedding-3-small", input="hello", api_base=f"{provider.url}/v1", api_key="k"
            )
            return group.model_list[1]

        def get_available_deployment(self, **_):
            raise NotImplementedError

    group = router(provider.url, ("smart", "openai/gpt-5", "openai/gpt-5-mini"))
    group.set_custom_routing_strategy(Semantic())
    with surface("chat"):
        await group.acompletion(model="smart", messages=MESSAGES)
    counted = {c["gen_ai.operation.name"]: c for c in telemetry.counted()}
    assert len(telemetry.counted()) == 2
    assert counted["embeddings"]["gen_ai.response.model"] == "text-embedding-3-small"
    assert counted["chat"]["gen_ai.response.model"] == "gpt-5-mini-2025-08-07"
    assert {c["llm_routing.surface"] for c in counted.values()} == {"chat"}


async def test_traffic_copied_to_another_model_is_a_call_of_its_own(telemetry, provider):
    group = router(provider.url, ("smart", "openai/gpt-5"), ("other", "openai/gpt-5-mini"))
    group.model_list[0]["litellm_params"]["silent_model"] = "other"
    if not (hasattr(group, "_silent_experiment_acompletion") or hasattr(litellm.router, "RouterCore")):
        pytest.skip("this litellm copies no traffic")
    await group.acompletion(model="smart", messages=MESSAGES)
    await until(lambda: len(telemetry.counted()) == 2)
    served = {c["gen_ai.request.model"]: c["gen_ai.response.model"] for c in telemetry.counted()}
    assert served == {"smart": SERVED, "other": "gpt-5-mini-2025-08-07"}


@pytest.mark.parametrize("name", ["completion", "acompletion", "embedding", "text_completion"])
async def test_a_function_is_pickled_by_its_name_and_its_calls_are_counted(telemetry, options, name):
    function = getattr(litellm, name)
    unpickled = pickle.loads(pickle.dumps(function))  # noqa: S301  (it was pickled here)
    assert unpickled is function
    options.pop("messages")
    text = {"embedding": {"input": ["hello"]}, "text_completion": {"prompt": "hello"}}
    await settled(unpickled(model="openai/gpt-5", **text.get(name, {"messages": MESSAGES}), **options))
    assert len(telemetry.counted()) == 1


async def test_a_stream_that_nobody_reads_is_one_call_also_where_its_request_is_not_sent(telemetry, options, provider):
    options.pop("messages")
    stream = await litellm.atext_completion(
        model="text-completion-openai/gpt-3.5-turbo-instruct", prompt="hello", stream=True, **options
    )
    assert provider.requests == []
    del stream
    gc.collect()
    assert telemetry.one()["llm_routing.match"] == "unreported"


# Beside litellm's own telemetry, and in the background -------------------------------------------------------------


@pytest.fixture
def called_back(monkeypatch):
    """Set litellm's callbacks; every router has added some of its own, and there is a limit."""

    def start(*callbacks):
        for name in ("input_callback", "success_callback", "_async_success_callback", "failure_callback"):
            monkeypatch.setattr(litellm, name, [])
        monkeypatch.setattr(litellm, "callbacks", list(callbacks))

    return start


async def until(true):
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_litellms_own_spans_are_not_counted_again(telemetry, options, called_back):
    from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

    if "tracer_provider" not in inspect.signature(OpenTelemetry).parameters:
        pytest.skip("this litellm takes no tracer provider but the global one")

    def theirs():
        spans = [s for s in telemetry.exporter.get_finished_spans() if s.instrumentation_scope.name == "litellm"]
        return [s for s in spans if "gen_ai.request.model" in s.attributes]

    callback = OpenTelemetry(OpenTelemetryConfig(exporter="none"), tracer_provider=telemetry.tracer_provider)
    called_back(callback)
    await litellm.acompletion(model="openai/gpt-5", **options)
    await until(theirs)
    [counted] = telemetry.counted()
    assert counted["gen_ai.response.model"] == SERVED


async def test_a_call_from_a_callback_is_counted_by_itself(telemetry, options, called_back):
    from litellm.integrations.custom_logger import CustomLogger

    class Judge(CustomLogger):
        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            # In a thread of litellm's, to which it has carried the context of the call.
            if kwargs["model"] == "gpt-5":
                litellm.completion(model="openai/gpt-5-mini", **options)

    called_back(Judge())
    for _ in range(2):
        litellm.completion(model="openai/gpt-5", **options)
    await until(lambda: len(telemetry.counted()) == 4)
    requested = sorted(c["gen_ai.request.model"] for c in telemetry.counted())
    assert requested == ["openai/gpt-5"] * 2 + ["openai/gpt-5-mini"] * 2
