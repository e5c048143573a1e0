"""What every call of every SDK must satisfy, sync and async: one call, one span, one count, nothing changed.

A test module of an SDK inherits what applies to it, and names its driver:

    class TestChat(Calls, Streams):
        driver = MyDriver

``Calls`` is for whole answers, ``Streams`` for streamed ones. ``Retries``, ``CallHeader`` and ``Raw`` are for SDKs that
have retries, headers of a call, and access to the HTTP response.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading

import pytest
from driver import Driver, settled
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode

from otel_llm_routing import LLMRoutingInstrumentor, surface


async def collected():
    """Let dropped objects go, as an application's garbage collector and event loop do."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0.01)


async def outcome(sdk):
    """Return what becomes of a call: what it gave, or raised."""
    try:
        return ("result", type(await sdk.create()))
    except Exception as error:
        return ("raised", type(error))


class Conformance:
    """What the groups below share; the parameter ``mode`` is one of the driver's ``modes``."""

    driver: type[Driver]

    @pytest.fixture
    def url(self, provider):
        with self.driver.served_at(provider) as url:
            yield url

    @pytest.fixture
    def sdk(self, mode, url, telemetry):
        return self.driver(url, is_async=mode == "async")

    @pytest.fixture(autouse=True)
    def is_in_the_table_of_compatibility(self, request, record_property):
        if "mode" in request.fixturenames:
            record_property("mode", request.getfixturevalue("mode"))
        for name in ("distribution", "label", "not_visible"):
            record_property(name, getattr(self.driver, name))

    def counts_one(self, telemetry, match=None):
        """Check that one call was counted, and has a span that agrees; return the count's attributes."""
        counted = telemetry.one()
        match = match or self.driver.match
        assert counted["llm_routing.match"] == match
        assert counted.get("gen_ai.response.model") == (None if match == "unreported" else self.driver.served)
        return counted


class Calls(Conformance):
    """Answers that come whole."""

    async def test_a_call_is_one_span_and_one_count(self, sdk, telemetry, record_property):
        await sdk.create()
        expected = {
            "llm_routing.surface": "unknown",
            "gen_ai.provider.name": sdk.provider,
            "gen_ai.operation.name": sdk.operation,
            "gen_ai.request.model": sdk.requested,
            "gen_ai.response.model": sdk.served,
            "llm_routing.request.kind": sdk.kind,
            "llm_routing.match": sdk.match,
            "llm_routing.served.source": sdk.source,
        }
        counted = telemetry.one()
        assert counted == {name: value for name, value in expected.items() if value is not None}
        record_property("evidence", counted["llm_routing.served.source"])
        span = telemetry.span()
        assert span.kind is SpanKind.CLIENT
        assert span.name == (f"{sdk.operation} {sdk.requested}" if sdk.requested else sdk.operation)
        assert span.status.status_code is StatusCode.UNSET
        said = {
            "id": span.attributes.get("gen_ai.response.id"),
            "input_tokens": span.attributes.get("gen_ai.usage.input_tokens"),
            "output_tokens": span.attributes.get("gen_ai.usage.output_tokens"),
            "finish_reasons": span.attributes.get("gen_ai.response.finish_reasons"),
        }
        assert {name for name, value in said.items() if value} == set(sdk.reports)
        assert span.attributes.get("server.address") == sdk.address

    async def test_the_result_is_of_the_very_type_the_sdk_returns(self, sdk, telemetry):
        with_us = await sdk.create()
        LLMRoutingInstrumentor().uninstrument()
        without_us = await sdk.create()
        assert type(with_us) is type(without_us)
        assert len(telemetry.counted()) == 1

    async def test_sizes_and_tokens_and_times_are_measured_once(self, sdk, telemetry):
        await sdk.create()
        [(_, duration)] = telemetry.points("llm_routing.duration")  # first: a collection takes the exemplars with it
        assert duration.count == 1
        assert duration.exemplars[0].span_id == telemetry.span().context.span_id
        sizes = [(size.count, size.sum) for _, size in telemetry.points("llm_routing.input_size")]
        assert sizes == ([] if sdk.size is None else [(1, sdk.size)])
        read = [point.value for _, point in telemetry.points("llm_routing.input_tokens") if point.value]
        said = telemetry.span().attributes.get("gen_ai.usage.input_tokens")
        assert read == ([] if said is None else [said])
        assert telemetry.points("llm_routing.time_to_first_chunk") == []

    async def test_a_failed_call_is_counted_with_its_error(self, sdk, telemetry, provider):
        provider.answers(fault="status:500")
        with pytest.raises(Exception) as raised:
            await sdk.create()
        counted = telemetry.one()
        assert counted["error.type"] == type(raised.value).__qualname__
        assert counted["llm_routing.match"] == "unreported"
        assert telemetry.span().status.status_code is StatusCode.ERROR

    @pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
    async def test_what_the_application_gets_of_a_broken_answer_is_what_it_gets_without_us(
        self, sdk, telemetry, provider, fault
    ):
        provider.answers(fault=fault)
        with_us = await outcome(sdk)
        LLMRoutingInstrumentor().uninstrument()
        assert with_us == await outcome(sdk)
        assert telemetry.one()["llm_routing.match"] == "unreported"  # a field of the wrong type never names a model

    async def test_nothing_the_application_said_is_recorded(self, sdk, telemetry):
        await sdk.create()
        nothing_said(telemetry)

    async def test_suppressed_instrumentation_records_nothing(self, sdk, telemetry):
        with suppress_instrumentation():
            await sdk.create()
        assert telemetry.spans == []
        assert telemetry.counted() == []

    async def test_the_calls_span_is_a_child_of_the_applications(self, sdk, telemetry):
        tracer = telemetry.tracer_provider.get_tracer("application")
        with tracer.start_as_current_span("request") as outer:
            await sdk.create()
        assert telemetry.span().parent.span_id == outer.get_span_context().span_id

    async def test_a_client_made_meanwhile_works_before_and_after(self, sdk, telemetry):
        await sdk.create()
        LLMRoutingInstrumentor().uninstrument()
        await sdk.create()
        assert len(telemetry.counted()) == 1
        telemetry.instrument()
        await sdk.create()
        assert len(telemetry.counted()) == 2
        assert len(telemetry.spans) == 2

    async def test_calls_at_once_keep_their_surfaces(self, sdk, telemetry, mode):
        async def one(i):
            with surface(f"s{i % 5}"):
                await sdk.create()

        if mode == "async":
            await asyncio.gather(*(one(i) for i in range(20)))
        else:
            threads = [threading.Thread(target=asyncio.run, args=(one(i),)) for i in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        surfaces = [c["llm_routing.surface"] for c in telemetry.counted()]
        assert sorted(surfaces) == sorted(f"s{i % 5}" for i in range(20))
        assert len(telemetry.spans) == 20

    @pytest.mark.where(mode="async")
    async def test_a_call_cancelled_before_its_answer(self, sdk, telemetry, provider):
        provider.answers(first_byte_delay=5)
        task = asyncio.ensure_future(sdk.create())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        counted = telemetry.one()
        assert counted["error.type"] == "CancelledError"
        assert counted["llm_routing.match"] == "unreported"


class Streams(Conformance):
    """Answers that come in parts."""

    async def test_a_stream_read_to_its_end(self, sdk, telemetry, record_property):
        stream = await sdk.stream()
        assert telemetry.spans == []
        assert await sdk.items(stream) > 2
        counted = self.counts_one(telemetry)
        assert counted["gen_ai.operation.name"] == sdk.operation
        assert counted["gen_ai.provider.name"] == sdk.provider
        record_property("stream_evidence", counted["llm_routing.served.source"])
        span = telemetry.span()
        assert span.attributes["gen_ai.request.stream"] is True
        assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
        assert span.status.status_code is StatusCode.UNSET
        [(_, first)] = telemetry.points("llm_routing.time_to_first_chunk")
        assert first.count == 1
        nothing_said(telemetry)

    async def test_the_stream_is_of_the_very_type_the_sdk_returns(self, sdk, telemetry):
        with_us = await sdk.stream()
        read = await sdk.items(with_us)
        LLMRoutingInstrumentor().uninstrument()
        without_us = await sdk.stream()
        assert type(with_us) is type(without_us)
        assert read == await sdk.items(without_us)

    @pytest.mark.where("drops")
    async def test_a_stream_left_halfway_ends_when_it_is_collected(self, sdk, telemetry, provider):
        provider.answers(chunks=50)
        stream = await sdk.stream()
        await sdk.items(stream, limit=2)
        del stream
        await collected()
        self.counts_one(telemetry, sdk.halfway)
        assert telemetry.span().status.status_code is StatusCode.UNSET
        assert "error.type" not in telemetry.span().attributes

    @pytest.mark.where("drops")
    async def test_a_stream_never_read_ends_when_it_is_collected(self, sdk, telemetry):
        stream = await sdk.stream()
        del stream
        await collected()
        if sdk.lazy:  # nothing was sent
            assert telemetry.counted() == []
            assert telemetry.spans == []
            return
        counted = self.counts_one(telemetry, sdk.unread)
        assert (counted["llm_routing.served.source"] == "none") is (sdk.unread == "unreported")
        assert telemetry.span().status.status_code is StatusCode.UNSET

    @pytest.mark.where("closes")
    async def test_a_stream_closed_halfway_ends_at_once(self, sdk, telemetry, provider):
        provider.answers(chunks=50)
        stream = await sdk.stream()
        await sdk.items(stream, limit=2)
        await sdk.close(stream)
        self.counts_one(telemetry, sdk.halfway)
        assert telemetry.span().status.status_code is StatusCode.UNSET

    @pytest.mark.where("enters")
    async def test_a_stream_in_a_with_statement_ends_with_it(self, sdk, telemetry, provider):
        provider.answers(chunks=50)
        async with sdk.entered(await sdk.stream()) as stream:
            await sdk.items(stream, limit=2)
            assert telemetry.spans == []
        self.counts_one(telemetry, sdk.halfway)
        assert telemetry.span().status.status_code is StatusCode.UNSET

    @pytest.mark.where("enters")
    async def test_an_exception_in_the_with_body_is_how_the_call_ended(self, sdk, telemetry, provider):
        provider.answers(chunks=50)
        with pytest.raises(KeyError):
            async with sdk.entered(await sdk.stream()) as stream:
                await sdk.items(stream, limit=2)
                raise KeyError("the application's own")
        counted = self.counts_one(telemetry, sdk.halfway)
        assert counted["error.type"] == "KeyError"
        assert telemetry.span().status.status_code is StatusCode.ERROR

    async def test_a_connection_lost_mid_stream_is_how_the_application_sees_it(self, sdk, telemetry, provider):
        provider.answers(chunks=6, fault="drop")
        stream = await sdk.stream()
        if not sdk.fails_when_dropped:
            await sdk.items(stream)
            assert "error.type" not in telemetry.one()
            return
        with pytest.raises(Exception) as raised:
            await sdk.items(stream)
        counted = telemetry.one()
        assert counted["error.type"] == type(raised.value).__qualname__
        assert telemetry.span().attributes["error.type"] == counted["error.type"]
        assert telemetry.span().status.status_code is StatusCode.ERROR

    @pytest.mark.where("has_error_event")
    async def test_an_error_event_mid_stream_is_an_error(self, sdk, telemetry, provider):
        provider.answers(chunks=6, fault="error_event")
        stream = await sdk.stream()
        with pytest.raises(Exception) as raised:
            await sdk.items(stream)
        assert telemetry.one()["error.type"] == type(raised.value).__qualname__
        assert telemetry.span().status.status_code is StatusCode.ERROR

    async def test_a_failed_stream_is_counted_with_its_error(self, sdk, telemetry, provider):
        provider.answers(fault="status:500")
        with pytest.raises(Exception) as raised:
            await sdk.items(await sdk.stream())
        counted = telemetry.one()
        assert counted["error.type"] == type(raised.value).__qualname__
        assert counted["llm_routing.match"] == "unreported"

    @pytest.mark.where(mode="async")
    async def test_a_stream_cancelled_while_it_waits(self, sdk, telemetry, provider):
        provider.answers(fault="stall")
        stream = await sdk.stream()
        task = asyncio.ensure_future(sdk.items(stream))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert telemetry.one()["error.type"] == "CancelledError"
        assert telemetry.span().attributes["error.type"] == "CancelledError"

    @pytest.mark.where(mode="sync")
    async def test_a_stream_read_in_another_thread(self, sdk, telemetry):
        stream = await sdk.stream()
        thread = threading.Thread(target=list, args=(stream,))
        thread.start()
        thread.join()
        self.counts_one(telemetry)

    @pytest.mark.parametrize("fault", ["malformed", "wrong_types", "truncated"])
    async def test_what_the_application_gets_of_a_broken_stream_is_what_it_gets_without_us(
        self, sdk, telemetry, provider, fault
    ):
        async def outcome():
            try:
                return ("items", await sdk.items(await sdk.stream()))
            except Exception as error:
                return ("raised", type(error))

        provider.answers(fault=fault)
        with_us = await outcome()
        LLMRoutingInstrumentor().uninstrument()
        assert with_us == await outcome()
        named = telemetry.one().get("gen_ai.response.model")
        # A stream may have named its model before it broke; a field of the wrong type never names one.
        assert named in ((None, sdk.unnamed) if fault == "wrong_types" else (None, sdk.unnamed, sdk.served))


class Retries(Conformance):
    """The driver's ``retrying(retries)`` makes a call with a client that retries so many times."""

    async def test_retries_are_one_call(self, sdk, telemetry, provider):
        provider.answers(fault="flaky:1")
        await sdk.retrying(2)
        assert len(provider.requests) == 2
        self.counts_one(telemetry)


class CallHeader(Conformance):
    """The driver's ``create(extra_headers=…)`` adds headers to one call."""

    async def test_a_header_of_the_call_names_the_surface_and_is_not_sent(self, sdk, telemetry, provider):
        headers = {"x-llm-routing-surface": "tooltip", "x-mine": "1"}
        await sdk.create(extra_headers=headers)
        assert telemetry.one()["llm_routing.surface"] == "tooltip"
        assert telemetry.span().attributes["llm_routing.surface.source"] == "call"
        sent = provider.requests[-1].headers
        assert "x-llm-routing-surface" not in sent
        assert sent["x-mine"] == "1"
        assert headers == {"x-llm-routing-surface": "tooltip", "x-mine": "1"}


class Raw(Conformance):
    """The Stainless family's raw and streaming responses."""

    async def test_a_raw_response(self, sdk, telemetry, provider):
        provider.answers(headers={"x-ms-served-model": "gpt-5-mini-2025-08-07"})
        raw = await sdk.raw()
        counted = telemetry.one()
        assert counted["gen_ai.response.model"] == "gpt-5-mini-2025-08-07"
        assert counted["llm_routing.served.source"] == "header"
        assert (await settled(raw.parse())).model == sdk.served
        assert len(telemetry.counted()) == 1

    async def test_a_raw_response_without_headers_of_interest(self, sdk, telemetry):
        await sdk.raw()
        self.counts_one(telemetry)

    async def test_a_raw_stream(self, sdk, telemetry):
        raw = await sdk.raw(stream=True)
        stream = await settled(raw.parse())
        assert inspect.isgenerator(stream._iterator) or inspect.isasyncgen(stream._iterator)
        assert telemetry.spans == []
        await sdk.items(stream)
        self.counts_one(telemetry)

    async def test_a_streaming_response_is_not_read_before_the_application_reads_it(self, sdk, telemetry):
        async with sdk.streaming_response() as response:
            assert response.http_response.is_closed is False
            assert response.http_response.is_stream_consumed is False
            assert telemetry.spans == []
            assert (await settled(response.parse())).model == sdk.served
        self.counts_one(telemetry)

    @pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "events"])
    async def test_bytes_the_application_reads_by_itself_are_evidence(
        self, sdk, telemetry, provider, mode, stream, gzip
    ):
        provider.answers(gzip=gzip)
        async with sdk.streaming_response(**({"stream": True} if stream else {})) as response:
            lines = response.iter_lines()
            text = [line async for line in lines] if mode == "async" else list(lines)
        assert any(sdk.served in line for line in text)
        self.counts_one(telemetry)

    async def test_a_streaming_response_nobody_reads(self, sdk, telemetry, provider):
        provider.answers(headers={"cf-aig-model": "claude-haiku-4-5-20251001"})
        async with sdk.streaming_response() as response:
            assert response.http_response.is_stream_consumed is False
        counted = telemetry.one()
        assert counted["gen_ai.response.model"] == "claude-haiku-4-5-20251001"
        assert counted["llm_routing.served.source"] == "header"


def nothing_said(telemetry):
    for span in telemetry.spans:
        said = repr(dict(span.attributes)) + repr(span.events) + str(span.status.description)
        assert "hello" not in said
        assert "api_key" not in said
        assert "/v1" not in said
