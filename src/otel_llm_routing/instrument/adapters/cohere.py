"""The cohere SDK: 5.x to 7.x; both versions of its API, and its clients for Amazon Bedrock, SageMaker and Oracle Cloud.

Cohere's answers name no model, so what served is known only where a gateway's header tells.

The methods of the clients are the calls: one of version 1's ``embed`` may be many requests. Beneath them are, in 5.16
and later, the "raw" clients, which a client that was made before the instrumentation, and ``with_raw_response``, call
directly; beneath everything is ``HttpClient``, which sees headers.

Sources: cohere 5.11.4, 5.21.1, 6.1.0 and 7.3.1, ``client.py``, ``base_client.py``, ``v2/client.py``,
``raw_base_client.py``, ``v2/raw_client.py``, ``core/http_client.py``; of the fields, 7.3.1:
``types/non_streamed_chat_response.py``, ``streamed_chat_response.py``, ``api_meta.py``, ``usage.py``, ``v2/types``.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.context import attach, detach

from otel_llm_routing import semconv
from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.adapter import Adapter, see_headers
from otel_llm_routing.instrument.adapters.fields import characters, count, field, first, text
from otel_llm_routing.instrument.call import EMBEDDINGS, Call, CallRequest, under_way
from otel_llm_routing.instrument.context import Within
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.surface import CALL_HEADER
from otel_llm_routing.models import clean_model, provider_of_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Start = Callable[[], Call | None]

CLIENTS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "cohere.client": (("Client", "AsyncClient"), {"embed": EMBEDDINGS}),
    "cohere.base_client": (
        ("BaseCohere", "AsyncBaseCohere"),
        {"chat": "chat", "chat_stream": "chat", "generate": "text_completion", "generate_stream": "text_completion"},
    ),
    "cohere.v2.client": (("V2Client", "AsyncV2Client"), {"chat": "chat", "chat_stream": "chat", "embed": EMBEDDINGS}),
    "cohere.raw_base_client": (
        ("RawBaseCohere", "AsyncRawBaseCohere"),
        {"chat": "chat", "chat_stream": "chat", "generate": "text_completion", "generate_stream": "text_completion"},
    ),
    "cohere.v2.raw_client": (
        ("RawV2Client", "AsyncRawV2Client"),
        {"chat": "chat", "chat_stream": "chat", "embed": EMBEDDINGS},
    ),
}
"""The modules, their classes, and what the methods do that are calls to a model."""

ELSEWHERE = {"BedrockClient": "aws.bedrock", "BedrockClientV2": "aws.bedrock"}
"""Clients whose requests go to another provider, by class name."""
REWRITTEN = frozenset({"AwsClient", "AwsClientV2", "OciClient", "OciClientV2"})
"""Clients whose requests go to another host than their base URL says."""


def read_answer(call: Call, item: Any) -> None:
    """Read a whole answer, or one event of a stream, of either version of the API."""
    fields = _fields(item)
    if "_data" in fields:  # what a raw client returns has the HTTP response beside it
        item = fields["_data"]
        fields = _fields(item)
    if fields.get("type") == "content-delta" or fields.get("event_type") == "text-generation":
        return
    if (whole := fields.get("response")) is not None:  # the last event of version 1
        item, fields = whole, _fields(whole)
    call.body(field(item, "model"))
    if (value := text(fields.get("id")) or text(fields.get("generation_id"))) is not None:
        call.details[semconv.RESPONSE_ID] = value
    if (delta := fields.get("delta")) is not None:  # the last event of version 2
        fields = _fields(delta)
    reason = text(fields.get("finish_reason")) or text(field(first(fields.get("generations")), "finish_reason"))
    if reason is not None:
        call.details[semconv.FINISH_REASONS] = (reason,)
    if (usage := fields.get("usage") or field(item, "meta")) is not None:
        _usage(call, usage)


def _fields(body: Any) -> dict[str, Any]:
    return body if type(body) is dict else getattr(body, "__dict__", {})


def _usage(call: Call, usage: Any) -> None:
    # What was read and written, or, where that is not said, what is paid for.
    for name in ("billed_units", "tokens"):
        counted = field(usage, name)
        if counted is None:
            continue
        if read := count(field(counted, "input_tokens")):
            call.input_tokens = call.details[semconv.INPUT_TOKENS] = read
        if written := count(field(counted, "output_tokens")):
            call.output_tokens = call.details[semconv.OUTPUT_TOKENS] = written
    if cached := count(field(usage, "cached_tokens")):
        call.details[semconv.CACHE_READ_TOKENS] = cached


def _size(asked: dict[str, Any]) -> int:
    said = [asked.get(name) for name in ("message", "messages", "preamble", "prompt", "texts", "inputs")]
    history = asked.get("chat_history")
    said += [field(turn, "message") for turn in (history if type(history) is list else ())]
    return sum([characters(part) for part in said])


class CohereAdapter(Adapter):
    """Hooks the clients, what is beneath them, and the requests beneath that, as their modules are imported."""

    def hook(self, sdk: Any) -> None:
        """Hook one module of the SDK."""
        if sdk.__name__ == "cohere.core.http_client":
            for name in ("HttpClient", "AsyncHttpClient"):
                for method in ("request", "stream"):
                    self.wrap(getattr(sdk, name, None), method, self._http)
            return
        classes, methods = CLIENTS[sdk.__name__]
        raw = sdk.__name__ in ("cohere.raw_base_client", "cohere.v2.raw_client")
        for name in classes:
            cls = getattr(sdk, name, None)
            for method, operation in methods.items():
                stream = method.endswith("_stream")
                begin = functools.partial(self._ask, operation, stream)
                if raw and stream:
                    self.wrap(cls, method, functools.partial(self._raw_stream, begin))
                else:
                    self.surround(cls, method, begin)

    # A call ------------------------------------------------------------------------------------------------------

    def start(self, begin: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Start a call, unless a client's method has started it already; see ``Adapter``."""
        call = under_way()
        if call is not None and call.request.read is read_answer:
            return None
        return super().start(begin, instance, args, kwargs)

    def _ask(
        self,
        operation: str,
        stream: bool,
        client: Any,
        args: tuple[Any, ...],  # noqa: ARG002
        kwargs: dict[str, Any],
    ) -> CallRequest:
        names = {cls.__name__ for cls in type(client).__mro__}
        host, port = _place(_base_url(client))
        provider = next((ELSEWHERE[name] for name in names if name in ELSEWHERE), None)
        provider = provider or provider_of_host(host or "") or self.provider
        request = CallRequest(operation, provider, clean_model(kwargs.get("model")), read_answer)
        request.stream = stream
        if names.isdisjoint(REWRITTEN):
            request.address, request.port = host, port
        request.input_size = _size(kwargs)
        for name, value in _headers(kwargs).items():
            if name.lower() == CALL_HEADER:
                request.surface = value
        return request

    def _raw_stream(
        self, begin: Any, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        start = functools.partial(self.start, begin, instance, args, kwargs)
        manager = wrapped(*args, **kwargs)
        return _async_within(manager, start) if hasattr(manager, "__aenter__") else _within(manager, start)

    # Its requests ------------------------------------------------------------------------------------------------

    def _http(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG002
        try:
            headers = _headers(kwargs)
            if any(name.lower() == CALL_HEADER for name in headers):
                sent = {name: value for name, value in headers.items() if name.lower() != CALL_HEADER}
                # Neither the application's dictionaries change.
                kwargs["request_options"] = {**kwargs["request_options"], "additional_headers": sent}
        except Exception:  # noqa: BLE001
            swallowed("read the headers of a request of cohere")
        result = wrapped(*args, **kwargs)
        if hasattr(result, "__await__"):
            return _awaited(result)
        if hasattr(result, "__aenter__"):
            return _async_seen(result)
        if hasattr(result, "__enter__") and not hasattr(result, "status_code"):
            return _seen(result)
        see_headers("cohere", result)
        return result


# HTTP responses as they arrive ------------------------------------------------------------------------------------


async def _awaited(pending: Any) -> Any:
    response = await pending
    see_headers("cohere", response)
    return response


@contextlib.contextmanager
def _seen(manager: Any) -> Iterator[Any]:
    with manager as response:
        see_headers("cohere", response)
        yield response


@contextlib.asynccontextmanager
async def _async_seen(manager: Any) -> AsyncIterator[Any]:
    async with manager as response:
        see_headers("cohere", response)
        yield response


# The streams of raw clients: a context manager whose value has the items as its data -------------------------------


@contextlib.contextmanager
def _within(manager: Any, start: Start) -> Iterator[Any]:
    call = start()
    if call is None:
        with manager as response:
            yield response
        return
    try:
        token = attach(call.context)
        try:
            response = manager.__enter__()
        finally:
            detach(token)
        with contextlib.ExitStack() as stack:
            stack.push(manager)
            yield _observed(response, call)
    except BaseException as error:
        call.end(None if isinstance(error, GeneratorExit) else error)
        raise
    finally:
        call.end()


@contextlib.asynccontextmanager
async def _async_within(manager: Any, start: Start) -> AsyncIterator[Any]:
    call = start()
    if call is None:
        async with manager as response:
            yield response
        return
    try:
        with Within(call.context):
            response = await manager.__aenter__()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_exit(manager)
            yield _observed(response, call)
    except BaseException as error:
        call.end(None if isinstance(error, GeneratorExit) else error)
        raise
    finally:
        call.end()


def _observed(response: Any, call: Call) -> Any:
    try:
        response._data = streams.observed(response._data, call, call.request.read)  # noqa: SLF001  (``data`` has no setter)
    except Exception:  # noqa: BLE001
        swallowed("observe a stream of cohere")
    return response


# What a client is told --------------------------------------------------------------------------------------------


def _headers(kwargs: dict[str, Any]) -> dict[str, Any]:
    options = kwargs.get("request_options")
    headers = options.get("additional_headers") if isinstance(options, dict) else None
    return headers if isinstance(headers, dict) else {}


def _base_url(client: Any) -> str:
    wrapper = field(client, "_client_wrapper") or field(field(client, "_raw_client"), "_client_wrapper")
    return field(wrapper, "_base_url") or ""


@functools.lru_cache(maxsize=64)
def _place(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


ADAPTER = CohereAdapter("cohere", "cohere")
