"""What is particular to litellm: one call whatever is beneath, its Router, the names it writes over the provider's."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import time

import pytest
from conformance import CallHeader, Calls, Retries, Streams
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
