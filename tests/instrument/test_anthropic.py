"""What is particular to the anthropic SDK: its operations, helpers, platforms, fallbacks, and its own spans."""

from __future__ import annotations

import pytest
from conformance import CallHeader, Calls, Raw, Retries, Streams
from driver import MESSAGES
from opentelemetry import trace
from sdk_drivers import AnthropicMessages

anthropic = pytest.importorskip("anthropic")


class TestMessages(Calls, Streams, Raw, Retries, CallHeader):
    driver = AnthropicMessages


@pytest.fixture
def client(provider, telemetry):
    return AnthropicMessages(provider.url).client


ARGUMENTS = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": MESSAGES}
SERVED = "claude-haiku-4-5-20251001"


def test_the_beta_is_a_call_like_any_other(client, telemetry):
    client.beta.messages.create(**ARGUMENTS)
    list(client.beta.messages.create(**ARGUMENTS, stream=True))
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == [SERVED] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_legacy_completions(client, telemetry, stream):
    if not hasattr(client, "completions"):
        pytest.skip("this anthropic has no legacy completions")
    result = client.completions.create(model="claude-2.1", max_tokens_to_sample=9, prompt="hello", stream=stream)
    if stream:
        assert len(list(result)) > 2
    counted = telemetry.one()
    assert counted["gen_ai.operation.name"] == "text_completion"
    assert counted["gen_ai.response.model"] == "claude-2.1"
    assert telemetry.span().attributes["gen_ai.response.finish_reasons"] == ("stop_sequence",)


def test_stream_helper(client, telemetry):
    with client.messages.stream(**ARGUMENTS) as stream:
        for _ in stream.text_stream:
            pass
        assert stream.get_final_message().model == SERVED
    telemetry.one()


def test_stream_helper_left_early_ends_with_its_with_statement(client, telemetry, provider):
    provider.answers(chunks=50)
    with client.messages.stream(**ARGUMENTS) as stream:
        next(iter(stream))
    assert telemetry.one()["gen_ai.response.model"] == SERVED


async def test_async_stream_helper(provider, telemetry):
    client = AnthropicMessages(provider.url, is_async=True).client
    async with client.messages.stream(**ARGUMENTS) as stream:
        async for _ in stream:
            pass
    telemetry.one()


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry):
    client.messages.count_tokens(model="claude-haiku-4-5", messages=MESSAGES)
    client.messages.batches.create(requests=[])
    client.models.list()
    assert telemetry.spans == []
    assert telemetry.counted() == []


def test_cached_input_is_part_of_the_input(client, telemetry, provider):
    provider.answers(
        usage={"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 7, "output_tokens": 3}
    )
    client.messages.create(**ARGUMENTS)
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.input_tokens"] == 117
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 100
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 7
    assert attributes["gen_ai.usage.output_tokens"] == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_side_fallback_is_what_served(client, telemetry, provider, stream):
    provider.answers(model="claude-opus-4-8", fallback_to="claude-sonnet-5")
    result = client.beta.messages.create(**{**ARGUMENTS, "model": "claude-opus-4-8"}, stream=stream)
    blocks = [event.content_block for event in result if event.type == "content_block_start"] if stream else []
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("claude-sonnet-5", "trace")
    assert counted["llm_routing.match"] == "substituted"
    assert telemetry.span().attributes["llm_routing.fallback"] is True
    fallback = (blocks if stream else result.content)[0]
    if hasattr(anthropic.types.beta, "BetaFallbackBlock"):  # the fake provider speaks as the SDK's types say
        assert type(fallback) is anthropic.types.beta.BetaFallbackBlock
        assert fallback.trigger.type == "refusal"


@pytest.mark.parametrize("stream", [False, True])
def test_openrouters_metadata_is_evidence(client, telemetry, provider, stream):
    attempts = [{"model": "anthropic/claude-haiku-4-5-20251001", "provider": "Anthropic", "status": 200}]
    provider.answers(more={"openrouter_metadata": {"requested": "claude-haiku-4-5", "attempts": attempts}})
    result = client.messages.create(**ARGUMENTS, stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "anthropic/claude-haiku-4-5-20251001"
    assert counted["llm_routing.served.source"] == "trace"
    assert telemetry.span().attributes["llm_routing.gateway"] == "openrouter"


def platform(name, provider):
    pytest.importorskip({"AnthropicBedrock": "boto3", "AnthropicVertex": "google.auth"}[name])
    if name == "AnthropicBedrock":
        return anthropic.AnthropicBedrock(
            aws_access_key="a", aws_secret_key="s", aws_region="eu-west-1", base_url=provider.url, max_retries=0
        )
    return anthropic.AnthropicVertex(
        access_token="t", project_id="p", region="europe-west1", base_url=provider.url, max_retries=0
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "expected", "model"),
    [
        ("AnthropicBedrock", "aws.bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("AnthropicVertex", "gcp.vertex_ai", "claude-haiku-4-5@20251001"),
    ],
)
def test_platforms(telemetry, provider, name, expected, model, stream):
    provider.answers(model=SERVED)
    result = platform(name, provider).messages.create(**{**ARGUMENTS, "model": model}, stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == expected
    assert counted["gen_ai.request.model"] == model
    assert counted["gen_ai.response.model"] == SERVED


# Beside the SDK's own spans ----------------------------------------------------------------------------------------


@pytest.fixture
def native(provider, telemetry):
    if not hasattr(anthropic, "_tracing"):
        pytest.skip("this anthropic emits no spans of its own")
    options = {"api_key": "k", "base_url": provider.url, "max_retries": 0}
    return {
        "sync": anthropic.Anthropic(**options, open_telemetry={"tracer_provider": telemetry.tracer_provider}),
        "async": anthropic.AsyncAnthropic(**options, open_telemetry={"tracer_provider": telemetry.tracer_provider}),
    }


def assert_native(telemetry, served=SERVED, match="resolved"):
    counted = telemetry.one()
    span = telemetry.span()
    assert span.instrumentation_scope.name == "com.anthropic.sdk.python"
    assert (counted.get("gen_ai.response.model"), counted["llm_routing.match"]) == (served, match)


def test_the_sdks_own_span_is_the_calls_span(native, telemetry):
    native["sync"].messages.create(**ARGUMENTS)
    assert_native(telemetry)


def test_the_sdks_own_span_of_a_stream(native, telemetry):
    for _ in native["sync"].messages.create(**ARGUMENTS, stream=True):
        pass
    assert_native(telemetry)


def test_the_sdks_own_span_of_a_stream_left_early(native, telemetry, provider):
    provider.answers(chunks=40)
    with native["sync"].messages.create(**ARGUMENTS, stream=True) as stream:
        next(iter(stream))
    assert_native(telemetry)


async def test_the_sdks_own_span_of_an_asynchronous_stream(native, telemetry):
    async for _ in await native["async"].messages.create(**ARGUMENTS, stream=True):
        pass
    assert_native(telemetry)


def test_the_sdks_own_span_of_a_failed_call(native, telemetry, provider):
    provider.answers(fault="status:500")
    with pytest.raises(anthropic.InternalServerError):
        native["sync"].messages.create(**ARGUMENTS)
    assert_native(telemetry, served=None, match="unreported")
    assert telemetry.counted()[0]["error.type"] == "InternalServerError"


def test_a_fallback_in_a_stream_is_on_the_sdks_own_span(native, telemetry, provider):
    provider.answers(model="claude-opus-4-8", fallback_to="claude-sonnet-5")
    list(native["sync"].beta.messages.create(**{**ARGUMENTS, "model": "claude-opus-4-8"}, stream=True))
    assert_native(telemetry, "claude-sonnet-5", "substituted")


def test_a_request_of_the_applications_own_has_no_native_span_and_so_gets_ours(native, telemetry):
    native["sync"].post("/v1/messages", body=ARGUMENTS, cast_to=object)
    assert telemetry.span().instrumentation_scope.name == "otel_llm_routing"
    telemetry.one()


def test_native_tracing_without_a_provider_leaves_the_span_to_us(telemetry, provider):
    if not hasattr(anthropic, "_tracing"):
        pytest.skip("this anthropic emits no spans of its own")
    options = {"api_key": "k", "base_url": provider.url, "max_retries": 0}
    client = anthropic.Anthropic(**options, open_telemetry={"tracer_provider": trace.NoOpTracerProvider()})
    client.messages.create(**ARGUMENTS)
    assert telemetry.span().instrumentation_scope.name == "otel_llm_routing"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_what_a_gateways_header_says_stays_on_the_sdks_own_span(native, telemetry, provider, kind, stream):
    provider.answers(headers={"x-ms-served-model": "claude-haiku-3-5"})
    if kind == "sync":
        result = native["sync"].messages.create(**ARGUMENTS, stream=stream)
        if stream:
            list(result)
    else:
        result = await native["async"].messages.create(**ARGUMENTS, stream=stream)
        if stream:
            _ = [event async for event in result]
    assert telemetry.one()["llm_routing.served.source"] == "header"
    assert telemetry.span().attributes["gen_ai.response.model"] == "claude-haiku-3-5"
