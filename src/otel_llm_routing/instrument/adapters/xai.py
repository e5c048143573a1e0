"""The xai-sdk: gRPC, with spans of its own.

Every chat goes through two remote procedures of ``ChatStub``, which the synchronous and the asynchronous client share:
``GetCompletion`` and ``GetCompletionChunk``. They are called inside the SDK's own span, so that span becomes the
call's where it records. ``Chat._defer`` starts a completion and polls for it; all of that is one call.

Sources: xai-sdk 1.21.0 ``sync/chat.py``, ``aio/chat.py``, ``proto/v6/chat_pb2_grpc.py``, ``proto/v6/chat_pb2.pyi``,
``proto/v6/usage_pb2.pyi``.
"""

from __future__ import annotations

import functools
import inspect
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import wrapt
from opentelemetry import trace

from otel_llm_routing import semconv
from otel_llm_routing.instrument import steps
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.fields import text
from otel_llm_routing.instrument.call import Call, CallRequest, under_way
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

_streamed: ContextVar[Call | None] = ContextVar("llm_routing_xai_stream", default=None)
"""The call of a stream, in the context of its generator."""

STUBS = ("xai_sdk.proto.v5.chat_pb2_grpc", "xai_sdk.proto.v6.chat_pb2_grpc")
"""The SDK imports the one that fits the installed protobuf."""


def read_completion(call: Call, message: Any) -> None:
    """Read a completion, or one chunk of a stream, as protobuf messages: a field that is not set is empty or zero."""
    model = message.model
    if model != call.body_model:
        call.body(model)
        call.details[semconv.RESPONSE_ID] = message.id
        if (fingerprint := text(message.system_fingerprint)) is not None:
            call.details[semconv.OPENAI_FINGERPRINT] = fingerprint
    if message.HasField("usage"):
        _usage(call, message.usage)
    outputs = message.choices if hasattr(message, "choices") else message.outputs  # the name before and after 1.3
    reasons = [output.finish_reason for output in outputs]
    if any(reasons):
        names = outputs[0].DESCRIPTOR.fields_by_name["finish_reason"].enum_type.values_by_number
        call.details[semconv.FINISH_REASONS] = tuple(names[r].name if r in names else str(r) for r in reasons if r)


def _usage(call: Call, usage: Any) -> None:
    read, written, reasoning = usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens
    # xAI counts reasoning beside the completion; the conventions' output tokens include it. The total tells.
    if usage.total_tokens == read + written + reasoning:
        written += reasoning
    call.input_tokens, call.output_tokens = read, written
    for name, value in (
        (semconv.INPUT_TOKENS, read),
        (semconv.OUTPUT_TOKENS, written),
        (semconv.CACHE_READ_TOKENS, usage.cached_prompt_text_tokens),
        (semconv.REASONING_TOKENS, reasoning),
    ):
        if value:
            call.details[name] = value


class XaiAdapter(Adapter):
    """Hooks the procedures by which chats are completed."""

    def __init__(self) -> None:
        super().__init__("xai-sdk", "x_ai")
        self._hosts: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def hook(self, sdk: Any) -> None:
        """Surround the procedures, whichever client was made when."""
        stub = next((getattr(sys.modules[name], "ChatStub", None) for name in STUBS if name in sys.modules), None)
        if stub is None:
            self.missing("ChatStub")
            return
        for name, stream, finish in (("GetCompletion", False, None), ("GetCompletionChunk", True, _chunks)):
            self._procedure(stub, name, functools.partial(self._completing, stream, finish))
        self._procedure(stub, "GetDeferredCompletion", lambda _, procedure: functools.partial(self._poll, procedure))
        for module in (sdk.sync.chat, sdk.aio.chat):
            for name in ("stream", "stream_batch"):
                self.wrap(module.Chat, name, _stream)
            self.surround(module.Chat, "_defer", self._deferring)
        base = sys.modules["xai_sdk.chat"].BaseChat
        if hasattr(base, "_make_span_request_attributes"):  # 1.1 and later
            self.wrap(base, "_make_span_request_attributes", self._about_to_open_a_span)
        self.wrap(sys.modules["xai_sdk.client"].BaseClient, "__init__", self._note_host)

    def _procedure(self, stub: type, name: str, around: Callable[[Any, Any], Any]) -> None:
        """Put ``around(stub, procedure)`` in the place of the procedure that every stub has under ``name``."""
        ours = _Procedure(name, around)
        setattr(stub, name, ours)
        self._undo.append(lambda: delattr(stub, name) if stub.__dict__.get(name) is ours else None)

    # A call ------------------------------------------------------------------------------------------------------

    def _completing(self, stream: bool, finish: Any, stub: Any, procedure: Any) -> Any:
        def begin(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:
            request = self._request(args[0] if args else kwargs["request"], stub)
            request.stream = stream
            return request

        return wrapt.FunctionWrapper(procedure, functools.partial(self._around, begin, finish or _whole))

    def _deferring(self, chat: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest:  # noqa: ARG002
        request = self._request(chat.proto, chat.__dict__.get("_stub"))
        request.native_span = _records(sys.modules[type(chat).__module__])
        return request

    def _request(self, message: Any, stub: Any) -> CallRequest:
        request = CallRequest("chat", self.provider, clean_model(message.model), read_completion)
        request.input_size = sum(len(part.text) for said in message.messages for part in said.content)
        if (host := self._hosts.get(stub)) is not None:
            request.address, _, port = host.partition(":")
            request.port = int(port) if port.isdigit() else 443
        return request

    # What surrounds it -------------------------------------------------------------------------------------------

    def _poll(self, procedure: Any, *args: Any, **kwargs: Any) -> Any:
        result = procedure(*args, **kwargs)
        if inspect.isawaitable(result):
            return self._polled_later(result)
        self._polled(result)
        return result

    async def _polled_later(self, pending: Any) -> Any:
        result = await pending
        self._polled(result)
        return result

    def _polled(self, answer: Any) -> None:
        """Read a deferred completion at once, while the SDK's span, which may be the call's, is open."""
        try:
            call = under_way()
            if call is not None and answer.HasField("response"):
                call.request.read(call, answer.response)
        except Exception:  # noqa: BLE001
            swallowed(f"read a response of {self.package}")

    def _about_to_open_a_span(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG002
        # `xai_sdk.telemetry.Telemetry()` sets a tracer provider up whenever the application likes.
        if self._tracker is not None:
            self._tracker.processor.attach(trace.get_tracer_provider())
        return wrapped(*args, **kwargs)

    def _note_host(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        wrapped(*args, **kwargs)
        try:
            defaults = getattr(inspect.unwrap(wrapped), "__kwdefaults__", None) or {}
            self._hosts[instance.chat.__dict__["_stub"]] = str(kwargs.get("api_host", defaults.get("api_host")))
        except Exception:  # noqa: BLE001
            swallowed(f"see whom {self.package} calls")


class _Procedure:
    """Stands on the class for an attribute that its instances hold."""

    def __init__(self, name: str, around: Callable[[Any, Any], Any]) -> None:
        self._name = name
        self._around = around

    def __get__(self, stub: Any, owner: type | None = None) -> Any:
        if stub is None or self._name not in stub.__dict__:
            raise AttributeError(self._name)
        return self._around(stub, stub.__dict__[self._name])

    def __set__(self, stub: Any, value: Any) -> None:
        stub.__dict__[self._name] = value

    def __delete__(self, stub: Any) -> None:
        del stub.__dict__[self._name]


class _Chunks:
    """What a streaming procedure returns, seen by nobody but the SDK's generator, which holds it while it lives."""

    __slots__ = ("_call", "_inner")

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner.__aiter__() if hasattr(inner, "__aiter__") else iter(inner)
        self._call = call

    def __iter__(self) -> _Chunks:
        return self

    __aiter__ = __iter__

    def __next__(self) -> Any:
        try:
            return self._see(next(self._inner))
        except BaseException as error:
            self._over(error)
            raise

    async def __anext__(self) -> Any:
        try:
            return self._see(await self._inner.__anext__())
        except BaseException as error:
            self._over(error)
            raise

    def _see(self, chunk: Any) -> Any:
        if chunk is None:  # grpc.aio, of one that it cannot read; the SDK fails on it
            return None
        try:
            self._call.first_chunk()
            self._call.request.read(self._call, chunk)
        except Exception:  # noqa: BLE001
            swallowed("read a chunk of a stream")
        return chunk

    def _over(self, error: BaseException) -> None:
        over = isinstance(error, (StopIteration, StopAsyncIteration, GeneratorExit))
        self._call.end(None if over else error)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._call.end()


def _chunks(call: Call, result: Any) -> Any:
    _streamed.set(call)
    return _Chunks(result, call)


def _whole(call: Call, result: Any) -> Any:
    call.request.read(call, result)
    call.end()
    return result


def _stream(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a stream, which starts when its first item is asked for, in the context in which it was asked for.

    The SDK's span is current while its generator waits. That the consumer does not find it there is by the way.
    """
    return steps.in_own_context(wrapped(*args, **kwargs), _over)


def _over(own: Context, error: BaseException | None) -> None:
    if (call := own.get(_streamed)) is not None:
        call.end(error)


def _records(module: Any) -> bool:
    """Say whether the spans that ``module`` of the SDK opens go anywhere."""
    tracer = getattr(module, "tracer", None)
    provider = trace.get_tracer_provider()
    silent = isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider))
    return tracer is not None and not silent and not isinstance(tracer, trace.NoOpTracer)


ADAPTER = XaiAdapter()
