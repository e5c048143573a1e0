"""What is particular to xai-sdk: gRPC, its own spans, deferred completions."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import warnings

import pytest
from conformance import Calls, Streams, collected
from driver import Driver, settled
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from otel_llm_routing import LLMRoutingInstrumentor, surface

xai_sdk = pytest.importorskip("xai_sdk", reason="xai-sdk is not installed")
pytest.importorskip("grpc", reason="grpcio is not installed")

from fake_provider import xai_wire  # noqa: E402  (needs the SDK's protobufs)
from xai_sdk.chat import user  # noqa: E402

SERVED = "grok-4-0709"


class XaiChat(Driver):
    distribution = "xai-sdk"
    label = "chat"
    provider = "x_ai"
    requested, served = "grok-4", SERVED
    address = "localhost"
    lazy = True
    enters = False

    def __init__(self, url, *, is_async=False, **options):
        self.is_async = is_async
        self.options = {"api_key": "k", "api_host": url, **options}
        self.clients = {}

    @property
    def client(self):
        # Made when it is used: the asynchronous client belongs to the event loop it is made in.
        key = asyncio.get_running_loop() if self.is_async else None
        if key not in self.clients:
            cls = xai_sdk.AsyncClient if self.is_async else xai_sdk.Client
            self.clients[key] = cls(**self.options)
        return self.clients[key]

    @classmethod
    def served_at(cls, provider):
        provider.answers(model=SERVED)
        return xai_wire.served(provider)

    def chat(self, **more):
        return self.client.chat.create(self.requested, messages=[user("hello")], **more)

    async def create(self, **more):
        return await settled(self.chat(**more).sample())

    async def stream(self, **more):
        return self.chat(**more).stream()


class Deferred(XaiChat):
    label = "chat.defer"

    async def create(self, **more):
        return await settled(self.chat(**more).defer(interval=dt.timedelta(milliseconds=1)))


@pytest.fixture(autouse=True)
def its_own_model_is_served_unless_a_test_says_otherwise(provider, monkeypatch):
    said = provider.answers
    monkeypatch.setattr(provider, "answers", lambda **how: said(**{"model": SERVED, **how}))


class TestChat(Calls, Streams):
    driver = XaiChat


class TestDeferred(Calls):
    driver = Deferred


@pytest.fixture
def host(provider):
    with XaiChat.served_at(provider) as host:
        yield host


@pytest.fixture
def sdk(host, telemetry):
    return XaiChat(host)


@pytest.fixture
def async_sdk(host, telemetry):
    return XaiChat(host, is_async=True)


@pytest.fixture
def native(telemetry, monkeypatch):
    """The application's tracer provider is the global one, so that the SDK's own spans are recorded."""
    if not hasattr(xai_sdk.sync.chat, "tracer"):
        pytest.skip("this xai-sdk opens no spans of its own")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", telemetry.tracer_provider)
    for module in (xai_sdk.sync.chat, xai_sdk.aio.chat):
        monkeypatch.setattr(module, "tracer", telemetry.tracer_provider.get_tracer(module.__name__))
    return telemetry


# Its helpers ------------------------------------------------------------------------------------------------------


def test_parse(sdk, telemetry):
    from pydantic import BaseModel

    class Answer(BaseModel):
        text: str

    _, parsed = sdk.chat().parse(Answer)
    assert parsed.text == "lorem"
    assert telemetry.one()["gen_ai.response.model"] == SERVED


def test_an_answer_that_does_not_parse_was_served_all_the_same(sdk, telemetry):
    from pydantic import BaseModel, ValidationError

    class Answer(BaseModel):
        text: int

    with pytest.raises(ValidationError):
        sdk.chat().parse(Answer)
    assert telemetry.one()["gen_ai.response.model"] == SERVED


async def test_batches_of_samples(sdk, async_sdk, telemetry):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        assert len(sdk.chat().sample_batch(2)) == 2
        assert len(await async_sdk.chat().sample_batch(2)) == 2
        assert len(list(sdk.chat().stream_batch(2))) == 4
        assert [item async for item in async_sdk.chat().stream_batch(2)]
        sdk.chat().defer_batch(2, interval=dt.timedelta(milliseconds=1))
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == [SERVED] * 5
    assert telemetry.spans[0].attributes["gen_ai.response.finish_reasons"] == ("REASON_STOP", "REASON_STOP")


def test_what_is_no_call_to_a_model_is_not_counted(sdk, telemetry, provider):
    if not hasattr(sdk.client.chat, "get_stored_completion"):
        pytest.skip("this xai-sdk stores no completions")
    sdk.client.chat.get_stored_completion("1")
    assert len(provider.requests) == 1
    assert telemetry.counted() == []
    assert telemetry.spans == []


def test_a_chat_without_messages_is_refused_by_the_sdk_and_not_counted(sdk, telemetry, provider):
    with pytest.raises(ValueError, match="No messages"):
        sdk.client.chat.create("grok-4").sample()
    assert provider.requests == []
    assert telemetry.counted() == []


def test_the_model_of_a_stream_is_the_last_one_named(sdk, telemetry, provider):
    provider.answers(chunks=6, switch_to="grok-3-mini")
    list(sdk.chat().stream())
    assert telemetry.one()["gen_ai.response.model"] == "grok-3-mini"


def test_an_answer_that_names_no_model_is_unreported(sdk, telemetry, provider):
    provider.answers(no_model=True)
    sdk.chat().sample()
    assert telemetry.one()["llm_routing.match"] == "unreported"


def test_reasoning_that_is_counted_beside_the_completion_is_output(sdk, telemetry, provider):
    sdk.chat().sample()
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.output_tokens"] == 5
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 1
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 2


def test_reasoning_that_is_counted_within_the_completion_is_not_counted_twice(sdk, telemetry, provider):
    provider.answers(usage={"total_tokens": 13})
    sdk.chat().sample()
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4


def test_retries_of_the_channel_are_one_call(host, telemetry, provider):
    import grpc

    provider.answers(fault="status:503")
    config = (
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.01s",'
        ' "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}'
    )
    sdk = XaiChat(host, channel_options=[("grpc.service_config", config)])
    with pytest.raises(grpc.RpcError):
        sdk.chat().sample()
    assert len(provider.requests) == 3
    assert telemetry.one()["error.type"] == "_InactiveRpcError"


def test_a_client_made_before_the_instrumentation_is_seen(host, telemetry):
    LLMRoutingInstrumentor().uninstrument()
    sdk = XaiChat(host)
    chat = sdk.chat()
    telemetry.instrument()
    chat.sample()
    assert telemetry.one()["gen_ai.response.model"] == SERVED


def test_uninstrument_leaves_the_stub_as_it_was(sdk):
    stub = type(sdk.client.chat._stub)
    assert "GetCompletion" in vars(stub)
    LLMRoutingInstrumentor().uninstrument()
    assert not {"GetCompletion", "GetCompletionChunk", "GetDeferredCompletion"} & set(vars(stub))


def test_the_other_ways_to_call_a_procedure_are_there(sdk):
    procedure = sdk.client.chat._stub.GetCompletion
    assert callable(procedure.with_call)
    assert callable(procedure.future)


async def test_the_surface_is_that_of_where_a_stream_was_asked_for(sdk, async_sdk, telemetry):
    with surface("digest"):
        stream, async_stream = sdk.chat().stream(), async_sdk.chat().stream()
    assert inspect.isgenerator(stream)
    assert inspect.isasyncgen(async_stream)
    list(stream)
    assert [item async for item in async_stream]
    assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["digest"] * 2


# Beside its own spans ---------------------------------------------------------------------------------------------


def own(telemetry):
    """The one span there is, which is the SDK's, with our attributes."""
    span = telemetry.span()
    assert span.instrumentation_scope.name.startswith("xai_sdk.")
    assert span.attributes["gen_ai.response.model"] == SERVED
    assert span.attributes["llm_routing.match"] == "resolved"
    assert span.attributes["llm_routing.served.source"] == "body"
    assert len(telemetry.counted()) == 1
    assert telemetry.counted()[0]["gen_ai.provider.name"] == "x_ai"
    assert telemetry.counted()[0]["llm_routing.match"] == "resolved"


@pytest.mark.parametrize("driver", [XaiChat, Deferred])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_its_own_span_is_the_calls(host, native, driver, is_async):
    await driver(host, is_async=is_async).create()
    own(native)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_its_own_span_is_the_streams(host, native, is_async):
    sdk = XaiChat(host, is_async=is_async)
    before = trace.get_current_span()
    stream = await sdk.stream()
    await sdk.items(stream, limit=1)
    assert trace.get_current_span() is before
    await sdk.items(stream)
    assert trace.get_current_span() is before
    own(native)


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_its_own_span_is_that_of_a_stream_closed_halfway(host, native, provider, is_async):
    provider.answers(chunks=50)
    sdk = XaiChat(host, is_async=is_async)
    stream = await sdk.stream()
    await sdk.items(stream, limit=2)
    await sdk.close(stream)
    del stream
    await collected()
    own(native)


def test_its_own_span_is_the_calls_where_the_provider_is_set_up_late(host, native, monkeypatch):
    LLMRoutingInstrumentor().uninstrument()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    LLMRoutingInstrumentor().instrument(meter_provider=native.meter_provider)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", native.tracer_provider)
    XaiChat(host).chat().sample()
    own(native)


def test_its_own_span_keeps_its_error(host, native, provider):
    import grpc

    provider.answers(fault="status:429")
    with pytest.raises(grpc.RpcError):
        XaiChat(host).chat().sample()
    assert native.span().status.status_code is StatusCode.ERROR
    assert native.span().attributes["llm_routing.match"] == "unreported"
    assert [c["error.type"] for c in native.counted()] == ["_InactiveRpcError"]


def test_its_own_span_without_a_call_is_not_counted(host, native):
    with pytest.raises(ValueError, match="No messages"):
        XaiChat(host).client.chat.create("grok-4").sample()
    assert native.counted() == []


def test_its_own_spans_switched_off_leave_ours(host, native, monkeypatch):
    for module in (xai_sdk.sync.chat, xai_sdk.aio.chat):
        monkeypatch.setattr(module, "tracer", trace.NoOpTracer())
    XaiChat(host).chat().sample()
    Deferred(host).chat().defer(interval=dt.timedelta(milliseconds=1))
    assert [s.instrumentation_scope.name for s in native.spans] == ["otel_llm_routing"] * 2
    assert len(native.counted()) == 2
