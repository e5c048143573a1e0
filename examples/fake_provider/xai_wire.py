"""xAI's chat service over gRPC, on a socket of its own: ``with served(provider) as host``.

Source: the protobufs that xai-sdk 1.21.0 ships (``xai_sdk/proto/v6/chat_pb2.py``, ``deferred_pb2.py``). Messages are
sent as bytes, so that a broken one can be sent too.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from xai_sdk.proto import chat_pb2, deferred_pb2, sample_pb2, usage_pb2

from fake_provider.openai_wire import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.server import FakeProvider
    from fake_provider.wire import Asked

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
MALFORMED = b"\x0a\xff"
"""Field 1 says it is longer than what follows."""
WRONG_TYPES = b"\x30\x11"
"""Field 6, of a response the model, as the number 17."""
WRONG_TYPES_CHUNK = b"\x20\x11"
"""Field 4, of a chunk the model."""


@contextlib.contextmanager
def served(provider: FakeProvider) -> Iterator[str]:
    """Serve beside ``provider``, which says how requests are answered; yield the host to call."""
    server = grpc.server(ThreadPoolExecutor(32))
    service = _Chat(provider)
    handlers = {
        "GetCompletion": grpc.unary_unary_rpc_method_handler(
            service.completion, chat_pb2.GetCompletionsRequest.FromString
        ),
        "GetCompletionChunk": grpc.unary_stream_rpc_method_handler(
            service.chunks, chat_pb2.GetCompletionsRequest.FromString
        ),
        "StartDeferredCompletion": grpc.unary_unary_rpc_method_handler(
            service.start, chat_pb2.GetCompletionsRequest.FromString
        ),
        "GetDeferredCompletion": grpc.unary_unary_rpc_method_handler(
            service.poll, deferred_pb2.GetDeferredRequest.FromString
        ),
        "GetStoredCompletion": grpc.unary_unary_rpc_method_handler(service.stored),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("xai_api.Chat", handlers)])
    port = server.add_secure_port("localhost:0", grpc.local_server_credentials())
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        provider.stopping.set()
        server.stop(0).wait()


class _Chat:
    def __init__(self, provider: FakeProvider) -> None:
        self._provider = provider
        self._deferred: dict[str, tuple[Any, Asked]] = {}
        self._polled: set[str] = set()

    def completion(self, request: Any, context: Any) -> bytes:
        asked = self._take("GetCompletion", request, context)
        return MALFORMED if asked.answers.fault == "malformed" else _response(request, asked).SerializeToString()

    def chunks(self, request: Any, context: Any) -> Iterator[bytes]:
        asked = self._take("GetCompletionChunk", request, context)
        n = max(1, asked.answers.chunks)
        for i in range(n + 1):
            if i == min(3, n):
                if asked.answers.fault == "truncated":
                    return
                if (broken := self._fault(asked, context)) is not None:
                    yield broken
            yield _chunk(request, asked, i, n).SerializeToString()

    def start(self, request: Any, context: Any) -> bytes:
        asked = self._take("StartDeferredCompletion", request, context)
        self._deferred[str(asked.number)] = (request, asked)
        return deferred_pb2.StartDeferredResponse(request_id=str(asked.number)).SerializeToString()

    def poll(self, request: Any, context: Any) -> bytes:  # noqa: ARG002
        started, asked = self._deferred[request.request_id]
        if request.request_id not in self._polled:  # the first time, it is not done
            self._polled.add(request.request_id)
            return chat_pb2.GetDeferredCompletionResponse(
                status=deferred_pb2.DeferredStatus.PENDING
            ).SerializeToString()
        if asked.answers.fault == "malformed":
            return MALFORMED
        done = chat_pb2.GetDeferredCompletionResponse(
            status=deferred_pb2.DeferredStatus.DONE, response=_response(started, asked)
        )
        return done.SerializeToString()

    def stored(self, request: Any, context: Any) -> bytes:
        asked = self._take("GetStoredCompletion", request, context)
        return _response(chat_pb2.GetCompletionsRequest(model="grok-4"), asked).SerializeToString()

    def _take(self, procedure: str, request: Any, context: Any) -> Asked:
        headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        body = {"model": getattr(request, "model", None)}
        asked = self._provider.take("POST", f"/xai_api.Chat/{procedure}", headers, body)
        fault = asked.answers.fault or ""
        if fault.startswith("status:"):
            _fail(context, CODES.get(int(fault[7:]), grpc.StatusCode.UNKNOWN))
        return asked

    def _fault(self, asked: Asked, context: Any) -> bytes | None:
        """Do what the fault says; return the bytes of a broken chunk, if it says so."""
        fault = asked.answers.fault
        if fault == "drop":
            _fail(context, grpc.StatusCode.UNAVAILABLE)
        if fault == "error_event":
            _fail(context, grpc.StatusCode.INTERNAL)
        if fault == "stall":
            gone = threading.Event()
            context.add_callback(gone.set)
            while not gone.wait(0.05) and not self._provider.stopping.is_set():
                pass
        return {"malformed": MALFORMED}.get(fault or "")


def _fail(context: Any, code: grpc.StatusCode) -> NoReturn:
    context.abort(code, "the fake provider was told to fail")
    raise AssertionError(code)


def _response(request: Any, asked: Asked) -> Any:
    words = " ".join(WORDS[i % len(WORDS)] for i in range(max(1, asked.answers.chunks)))
    if request.response_format.schema:
        words = '{"text": "lorem"}'
    response = chat_pb2.GetChatCompletionResponse(usage=_usage(asked), **_named(request, asked))
    for i in range(max(1, request.n)):
        message = {"content": words, "role": chat_pb2.MessageRole.ROLE_ASSISTANT}
        _outputs(response).add(index=i, message=message, finish_reason=sample_pb2.FinishReason.REASON_STOP)
    if asked.answers.fault == "wrong_types":
        response.ClearField("model")
        response.MergeFromString(WRONG_TYPES)
    return response


def _chunk(request: Any, asked: Asked, i: int, n: int) -> Any:
    """Return the ``i``-th of ``n`` chunks; the one after the last says why the answer ended, and what it cost."""
    named = _named(request, asked, late=i >= n / 2)
    last = i == n
    reason = sample_pb2.FinishReason.REASON_STOP if last else sample_pb2.FinishReason.REASON_INVALID
    chunk = chat_pb2.GetChatCompletionChunk(usage=_usage(asked) if last else None, **named)
    for k in range(max(1, request.n)):
        delta = {"content": "" if last else WORDS[i % len(WORDS)], "role": chat_pb2.MessageRole.ROLE_ASSISTANT}
        _outputs(chunk).add(index=k, delta=delta, finish_reason=reason)
    if asked.answers.fault == "wrong_types":
        chunk.ClearField("model")
        chunk.MergeFromString(WRONG_TYPES_CHUNK)
    return chunk


def _outputs(message: Any) -> Any:
    """Return field 2, whose name has changed: ``choices`` before xai-sdk 1.3, ``outputs`` since."""
    return getattr(message, message.DESCRIPTOR.fields_by_number[2].name)


def _named(request: Any, asked: Asked, *, late: bool = False) -> dict[str, Any]:
    answers = asked.answers
    named: dict[str, Any] = {"id": f"xai-{asked.number}", "system_fingerprint": answers.system_fingerprint or ""}
    if not answers.no_model:
        model = answers.switch_to if late and answers.switch_to else asked.serve(request.model, {})
        named["model"] = str(model)
    return named


def _usage(asked: Asked) -> Any:
    counts = {"prompt_tokens": 9, "completion_tokens": 4, "reasoning_tokens": 1, "total_tokens": 14}
    return usage_pb2.SamplingUsage(**{**counts, "cached_prompt_text_tokens": 2, **asked.answers.usage})
