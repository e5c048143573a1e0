"""What every call of every SDK must satisfy, sync and async: one call, one span, one count, nothing changed."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from sdk_drivers import DRIVERS, Verbs, entered, settled


@pytest.fixture(params=DRIVERS, ids=lambda d: d.__name__)
def driver(request, provider, telemetry):
    return request.param(provider.url)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def sdk(request, driver):
    return Verbs(driver, is_async=request.param)


async def collected():
    """Let dropped objects go, as an application's garbage collector and event loop do."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0.01)


async def test_a_call_is_one_span_and_one_count(sdk, telemetry):
    result = await sdk.create()
    d = sdk.driver
    assert result.model == d.served
    counted = telemetry.one()
    assert counted == {
        "llm_routing.surface": "unknown",
        "gen_ai.provider.name": d.provider,
        "gen_ai.operation.name": d.operation,
        "gen_ai.request.model": d.requested,
        "gen_ai.response.model": d.served,
        "llm_routing.request.kind": "alias",
        "llm_routing.match": "resolved",
        "llm_routing.served.source": "body",
    }
    span = telemetry.span()
    assert span.kind is SpanKind.CLIENT
    assert span.name == f"chat {d.requested}"
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["gen_ai.response.id"]
    assert span.attributes["gen_ai.usage.input_tokens"] > 0
    assert span.attributes["gen_ai.usage.output_tokens"] > 0
    assert span.attributes["gen_ai.response.finish_reasons"]
    assert span.attributes["server.address"] == "127.0.0.1"


async def test_the_result_is_of_the_very_type_the_sdk_returns(sdk, telemetry):
    from otel_llm_routing import LLMRoutingInstrumentor

    with_us = await sdk.create()
    LLMRoutingInstrumentor().uninstrument()
    without_us = await sdk.create()
    assert type(with_us) is type(without_us)


async def test_sizes_and_tokens_and_times_are_measured_once(sdk, telemetry):
    await sdk.create()
    [(_, duration)] = telemetry.points("llm_routing.duration")  # first: a collection takes the exemplars with it
    assert duration.count == 1
    assert duration.exemplars[0].span_id == telemetry.span().context.span_id
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert (size.count, size.sum) == (1, 5)
    [(_, read)] = telemetry.points("llm_routing.input_tokens")
    assert read.value == telemetry.span().attributes["gen_ai.usage.input_tokens"]
    assert telemetry.points("llm_routing.time_to_first_chunk") == []


async def test_a_stream_read_to_its_end(sdk, telemetry):
    stream = await sdk.create(stream=True)
    assert type(stream) is sdk.stream_type
    assert inspect.isgenerator(stream._iterator) or inspect.isasyncgen(stream._iterator)
    assert telemetry.spans == []
    assert await sdk.items(stream) > 3
    assert telemetry.one()["gen_ai.response.model"] == sdk.driver.served
    span = telemetry.span()
    assert span.attributes["gen_ai.request.stream"] is True
    assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert span.status.status_code is StatusCode.UNSET
    [(_, first)] = telemetry.points("llm_routing.time_to_first_chunk")
    assert first.count == 1


async def test_a_stream_left_halfway_ends_when_it_is_collected(sdk, telemetry, provider):
    provider.answers(chunks=50)
    stream = await sdk.create(stream=True)
    await sdk.items(stream, limit=2)
    del stream
    await collected()
    assert telemetry.one()["llm_routing.match"] == "resolved"
    assert telemetry.span().status.status_code is StatusCode.UNSET
    assert "error.type" not in telemetry.span().attributes


async def test_a_stream_never_read_ends_when_it_is_collected(sdk, telemetry):
    stream = await sdk.create(stream=True)
    del stream
    await collected()
    counted = telemetry.one()
    assert counted["llm_routing.match"] == "unreported"
    assert counted["llm_routing.served.source"] == "none"
    assert "gen_ai.response.model" not in counted
    assert telemetry.span().status.status_code is StatusCode.UNSET


async def test_a_stream_closed_halfway_ends_at_once(sdk, telemetry, provider):
    provider.answers(chunks=50)
    stream = await sdk.create(stream=True)
    await sdk.items(stream, limit=2)
    await sdk.close(stream)
    assert telemetry.one()["llm_routing.match"] == "resolved"
    assert telemetry.span().status.status_code is StatusCode.UNSET


async def test_a_stream_in_a_with_statement_ends_with_it(sdk, telemetry, provider):
    provider.answers(chunks=50)
    async with entered(await sdk.create(stream=True)) as stream:
        await sdk.items(stream, limit=2)
        assert telemetry.spans == []
    assert telemetry.one()["llm_routing.match"] == "resolved"
    assert telemetry.span().status.status_code is StatusCode.UNSET


async def test_an_exception_in_the_with_body_is_how_the_call_ended(sdk, telemetry, provider):
    provider.answers(chunks=50)
    with pytest.raises(KeyError):
        async with entered(await sdk.create(stream=True)) as stream:
            await sdk.items(stream, limit=2)
            raise KeyError("the application's own")
    counted = telemetry.one()
    assert counted["error.type"] == "KeyError"
    assert counted["gen_ai.response.model"] == sdk.driver.served
    assert telemetry.span().status.status_code is StatusCode.ERROR


async def test_a_connection_lost_mid_stream_is_an_error(sdk, telemetry, provider):
    provider.answers(chunks=6, fault="drop")
    stream = await sdk.create(stream=True)
    with pytest.raises(Exception) as raised:
        await sdk.items(stream)
    counted = telemetry.one()
    assert counted["error.type"] == type(raised.value).__qualname__
    assert telemetry.span().attributes["error.type"] == counted["error.type"]
    assert telemetry.span().status.status_code is StatusCode.ERROR


async def test_an_error_event_mid_stream_is_an_error(sdk, telemetry, provider):
    provider.answers(chunks=6, fault="error_event")
    stream = await sdk.create(stream=True)
    with pytest.raises(sdk.driver.sdk.APIError) as raised:
        await sdk.items(stream)
    assert telemetry.one()["error.type"] == type(raised.value).__qualname__
    assert telemetry.span().status.status_code is StatusCode.ERROR


async def test_a_stream_cancelled_while_it_waits(driver, telemetry, provider):
    provider.answers(fault="stall")
    sdk = Verbs(driver, is_async=True)
    stream = await sdk.create(stream=True)
    task = asyncio.ensure_future(sdk.items(stream))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.one()["error.type"] == "CancelledError"
    assert telemetry.span().attributes["error.type"] == "CancelledError"


async def test_a_call_cancelled_before_its_answer(driver, telemetry, provider):
    provider.answers(first_byte_delay=5)
    sdk = Verbs(driver, is_async=True)
    task = asyncio.ensure_future(sdk.create())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    counted = telemetry.one()
    assert counted["error.type"] == "CancelledError"
    assert counted["llm_routing.match"] == "unreported"


async def test_a_stream_read_in_another_thread(driver, telemetry):
    sdk = Verbs(driver, is_async=False)
    stream = await sdk.create(stream=True)
    thread = threading.Thread(target=list, args=(stream,))
    thread.start()
    thread.join()
    assert telemetry.one()["llm_routing.match"] == "resolved"


async def test_a_raw_response(sdk, telemetry, provider):
    provider.answers(headers={"x-ms-served-model": "gpt-5-mini-2025-08-07"})
    raw = await sdk.raw()
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "gpt-5-mini-2025-08-07"
    assert counted["llm_routing.served.source"] == "header"
    assert (await settled(raw.parse())).model == sdk.driver.served
    assert len(telemetry.counted()) == 1


async def test_a_raw_response_without_headers_of_interest(sdk, telemetry):
    await sdk.raw()
    assert telemetry.one()["gen_ai.response.model"] == sdk.driver.served


async def test_a_raw_stream(sdk, telemetry):
    raw = await sdk.raw(stream=True)
    stream = await settled(raw.parse())
    assert type(stream) is sdk.stream_type
    assert telemetry.spans == []
    await sdk.items(stream)
    assert telemetry.one()["gen_ai.response.model"] == sdk.driver.served


async def test_a_streaming_response_is_not_read_before_the_application_reads_it(sdk, telemetry):
    async with sdk.streaming_response() as response:
        assert response.http_response.is_closed is False
        assert response.http_response.is_stream_consumed is False
        assert telemetry.spans == []
        assert (await settled(response.parse())).model == sdk.driver.served
    assert telemetry.one()["gen_ai.response.model"] == sdk.driver.served


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "events"])
async def test_bytes_the_application_reads_by_itself_are_evidence(sdk, telemetry, provider, stream, gzip):
    provider.answers(gzip=gzip)
    async with sdk.streaming_response(**({"stream": True} if stream else {})) as response:
        lines = response.iter_lines()
        text = [line async for line in lines] if sdk.is_async else list(lines)
    assert any(sdk.driver.served in line for line in text)
    assert telemetry.one()["gen_ai.response.model"] == sdk.driver.served


async def test_a_streaming_response_nobody_reads(sdk, telemetry, provider):
    provider.answers(headers={"cf-aig-model": "claude-haiku-4-5-20251001"})
    async with sdk.streaming_response() as response:
        assert response.http_response.is_stream_consumed is False
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "claude-haiku-4-5-20251001"
    assert counted["llm_routing.served.source"] == "header"


async def test_a_failed_call_is_counted_with_its_error(sdk, telemetry, provider):
    provider.answers(fault="status:500")
    with pytest.raises(sdk.driver.sdk.InternalServerError):
        await sdk.create()
    counted = telemetry.one()
    assert counted["error.type"] == "InternalServerError"
    assert counted["llm_routing.match"] == "unreported"
    assert telemetry.span().status.status_code is StatusCode.ERROR


async def test_retries_are_one_call(driver, telemetry, provider):
    provider.answers(fault="flaky:1")
    for is_async in (False, True):
        client = Verbs(driver, is_async=is_async).client.with_options(max_retries=2)
        await settled(driver.resource(client).create(**driver.arguments()))
        provider.answers(fault="flaky:1")
    assert len(provider.requests) == 4
    assert [c["llm_routing.match"] for c in telemetry.counted()] == ["resolved"] * 2
    assert len(telemetry.spans) == 2


@pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_the_application_gets_of_a_broken_answer_is_what_it_gets_without_us(
    sdk, telemetry, provider, fault, stream
):
    from otel_llm_routing import LLMRoutingInstrumentor

    async def outcome():
        try:
            result = await sdk.create(**({"stream": True} if stream else {}))
            return ("items", await sdk.items(result)) if stream else ("result", type(result))
        except Exception as error:
            return ("raised", type(error))

    provider.answers(fault=fault)
    with_us = await outcome()
    LLMRoutingInstrumentor().uninstrument()
    assert with_us == await outcome()
    counted = telemetry.one()
    # A stream may have named its model before it broke; a field of the wrong type never names one.
    assert counted["llm_routing.match"] == ("resolved" if stream and fault == "malformed" else "unreported")


async def test_a_header_of_the_call_names_the_surface_and_is_not_sent(sdk, telemetry, provider):
    headers = {"x-llm-routing-surface": "tooltip", "x-mine": "1"}
    await sdk.create(extra_headers=headers)
    assert telemetry.one()["llm_routing.surface"] == "tooltip"
    assert telemetry.span().attributes["llm_routing.surface.source"] == "call"
    sent = provider.requests[-1].headers
    assert "x-llm-routing-surface" not in sent
    assert sent["x-mine"] == "1"
    assert headers == {"x-llm-routing-surface": "tooltip", "x-mine": "1"}


async def test_nothing_the_application_said_is_recorded(sdk, telemetry):
    await sdk.create()
    stream = await sdk.create(stream=True)
    await sdk.items(stream)
    for span in telemetry.spans:
        said = repr(dict(span.attributes)) + repr(span.events) + str(span.status.description)
        assert "hello" not in said
        assert "api_key" not in said
        assert "/v1" not in said


async def test_suppressed_instrumentation_records_nothing(sdk, telemetry):
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    with suppress_instrumentation():
        await sdk.create()
    assert telemetry.spans == []
    assert telemetry.counted() == []


async def test_the_calls_span_is_a_child_of_the_applications(sdk, telemetry, provider):
    tracer = telemetry.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("request") as outer:
        await sdk.create()
    span = telemetry.span()
    assert span.parent.span_id == outer.get_span_context().span_id


async def test_fifty_calls_at_once_keep_their_surfaces(driver, telemetry):
    from otel_llm_routing import surface

    sdk = Verbs(driver, is_async=True)

    async def one(i):
        with surface(f"s{i % 5}"):
            await sdk.create()

    await asyncio.gather(*(one(i) for i in range(50)))
    surfaces = [c["llm_routing.surface"] for c in telemetry.counted()]
    assert sorted(surfaces) == sorted(f"s{i % 5}" for i in range(50))
    assert len(telemetry.spans) == 50
