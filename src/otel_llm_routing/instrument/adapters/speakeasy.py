"""The Speakeasy family: SDKs whose every request goes through ``BaseSDK.do_request`` or ``do_request_async``.

Hooked are, of each such SDK (sources: mistralai 1.5 to 3.7, openrouter 0.11 to 1.3, ``basesdk.py`` and
``utils/eventstreaming.py``):

- ``do_request(hook_ctx, request, …)``: one call, with its retries, as the HTTP request that is sent;
- the methods of the classes that inherit ``BaseSDK``: what became of the call, since they make an object of the HTTP
  response, or raise what its status says;
- ``EventStream(response, decoder, …)`` and ``__exit__``: a stream's items, and how it ends.
"""

from __future__ import annotations

import functools
import inspect
import json
from types import FunctionType
from typing import TYPE_CHECKING, Any

from opentelemetry.context import create_key, get_current, get_value, set_value

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.fields import field
from otel_llm_routing.instrument.call import Call, CallRequest
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.surface import CALL_HEADER
from otel_llm_routing.models import clean_model, provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.instrument.adapters.adapter import Begin
    from otel_llm_routing.instrument.adapters.stainless import Endpoint

OUTCOME = create_key("llm_routing.outcome")
"""The calls of the method of the SDK that is running."""
MAX_PARSED = 1 << 15
"""Bytes of a request that are parsed; of a longer one, what its method was given says the same, which costs less."""
TEXTS = frozenset({"messages", "inputs", "input", "prompt"})


class Calls(list["Call"]):
    """The calls that a method of the SDK makes, mostly none or one, and what the method was given."""

    __slots__ = ("given",)

    def __init__(self, given: dict[str, Any] | None) -> None:
        super().__init__()
        self.given = given


class Outcome:
    """What becomes of a method of the SDK, and so of the calls that it makes."""

    __slots__ = ("calls", "context")

    def __init__(self, given: dict[str, Any] | None) -> None:
        self.calls = Calls(given)
        self.context = set_value(OUTCOME, self.calls, get_current())

    def end(self, error: BaseException | None = None) -> None:
        """End the calls with what the method raised."""
        self.calls.given = None  # the context of a stream outlives the method
        while self.calls:
            self.calls.pop().end(error)


class SpeakeasyAdapter(Adapter):
    """Hooks one SDK of the family. It is given its modules ``basesdk`` and ``utils.eventstreaming``, as they load."""

    def __init__(self, package: str, provider: str) -> None:
        super().__init__(package, provider)
        self._seen: set[type] = set()

    # For an SDK to say -------------------------------------------------------------------------------------------

    def endpoint(self, path: str) -> Endpoint | None:
        """Return what is done at ``path``, or None where that is no call to a model."""
        raise NotImplementedError

    def model(self, body: dict[str, Any]) -> Any:
        """Return the model that the request asks for."""
        return body.get("model")

    def refine(self, request: CallRequest, client: Any, body: dict[str, Any]) -> None:
        """Say more about a request than the family can know."""

    # Hooking -----------------------------------------------------------------------------------------------------

    def hook(self, sdk: Any) -> None:
        """Hook one of the SDK's two modules, or the one that a later version has in its place."""
        if sdk.__name__.endswith("eventstreaming"):
            self._hook_streams(sdk)
            return
        base = getattr(sdk, "BaseSDK", None)
        for name in ("do_request", "do_request_async"):
            self.surround(base, name, self._request, self._response)
        if base is not None and self.wrap(base, "__init__", self._made):
            for cls in _family(base):
                self._watch(cls)

    def uninstrument(self) -> None:
        """Put every hooked method back as it was."""
        super().uninstrument()
        self._seen.clear()

    def _hook_streams(self, module: Any) -> None:
        for name, observe, leave in (
            ("EventStream", streams.items, "__exit__"),
            ("EventStreamAsync", streams.async_items, "__aexit__"),
        ):
            cls = getattr(module, name, None)
            self.wrap(cls, "__init__", functools.partial(_stream, observe))
            self.wrap(cls, leave, streams.leave)

    def _made(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = wrapped(*args, **kwargs)
        try:
            if type(instance) not in self._seen:
                for cls in type(instance).__mro__:
                    self._watch(cls)
        except Exception:  # noqa: BLE001
            swallowed(f"hook a class of {self.package}")
        return result

    def _watch(self, cls: type) -> None:
        """Surround the public methods of one of the SDK's own classes; what the application derives is its own."""
        base = next((b for b in cls.__mro__ if "do_request" in b.__dict__), None)
        if cls in self._seen or base is None or cls is base or _package(cls) != _package(base):
            return
        self._seen.add(cls)
        for name, method in list(cls.__dict__.items()):
            plain = isinstance(method, FunctionType) and not name.startswith("_")
            if plain and not inspect.isgeneratorfunction(method) and not inspect.isasyncgenfunction(method):
                self.surround(cls, name, _Method(method), _finish)

    # A call ------------------------------------------------------------------------------------------------------

    def start(self, begin: Begin, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Start a call, known to the method that makes it; of a method, start to look what becomes of it."""
        if isinstance(begin, _Method):
            return None if self._tracker is None else Outcome(begin.given(args, kwargs))
        call = super().start(begin, instance, args, kwargs)
        calls = get_value(OUTCOME)
        if call is not None and isinstance(calls, list):
            calls.append(call)
        return call

    def _request(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
        sent = kwargs["request"] if "request" in kwargs else args[1]
        endpoint = self.endpoint(sent.url.path) if sent.method == "POST" else None
        if endpoint is None:
            return None
        body = _given(sent.content) or json.loads(sent.content)
        url = sent.url
        provider = provider_of_host(url.host) or self.provider
        request = CallRequest(endpoint.operation, provider, clean_model(self.model(body)), endpoint.read)
        request.stream = bool(kwargs.get("stream") or body.get("stream") is True)
        request.address, request.port = url.host, url.port or (80 if url.scheme == "http" else 443)
        request.input_size = endpoint.size(body)
        if CALL_HEADER in sent.headers:
            request.surface = sent.headers.pop(CALL_HEADER)
        self.refine(request, client, body)
        return request

    def _response(self, call: Call, response: Any) -> Any:
        """Look at an HTTP response. What it says is read by the method that made the call, or by the stream."""
        call.headers(response.headers.raw)
        call.http_response = response
        answered = response.is_success
        if answered and not response.is_closed:
            response.extensions[streams.EXTENSION] = call
            streams.observe_bytes(response, call, call.request.read)
            # Until the method returns, it reads: it may find no stream, and raise what the bytes say.
            call.reading = _is_awaited(call)
        elif not _is_awaited(call):  # made by a method of the application's own
            call.http_response = None
            if answered:
                call.request.read(call, json.loads(response.content))
            call.end()
        return response


def _is_awaited(call: Call) -> bool:
    calls = get_value(OUTCOME)
    return isinstance(calls, list) and call in calls


class _Method:
    """Stands for any method of the SDK: whether it makes a call is seen when it does."""

    __slots__ = ("_method",)

    def __init__(self, method: FunctionType) -> None:
        self._method = method

    def __call__(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRequest | None:
        """Return nothing: this is no call."""

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Return the arguments with those that have a default, all of which have names; None where some have none."""
        return None if args else {**(self._method.__kwdefaults__ or {}), **kwargs}


def _given(content: bytes) -> dict[str, Any] | None:
    """Return the fields of a long request as the method that makes it was given them; None where they must be read."""
    calls = get_value(OUTCOME)
    given = calls.given if isinstance(calls, Calls) and len(content) > MAX_PARSED else None
    if given is None or TEXTS.isdisjoint(given):
        return None
    if given.get("model") and type(given["model"]) is not str:  # else none, or the SDK's sign for none
        return None
    if not all(isinstance(given[name], (str, list)) for name in TEXTS if name in given):
        return None
    return {**given, "input": given["inputs"]} if "inputs" in given else given


def _finish(outcome: Any, result: Any) -> Any:
    """End the call of a method that returned, with what its result says; a stream ends it by itself."""
    outcome.calls.given = None
    while outcome.calls:
        call = outcome.calls.pop()
        response, call.http_response = call.http_response, None
        if response is None or response.is_closed:
            try:
                if hasattr(result, "__dict__") and not call.ended:
                    call.request.read(call, result)
            finally:
                call.end()
        call.reading = False
    return result


def _stream(observe: Any, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    wrapped(*args, **kwargs)
    try:
        if (call := streams.call_of(instance)) is not None:
            call.parsing = True
            instance.generator = observe(instance.generator, call, call.request.read)
    except Exception:  # noqa: BLE001
        swallowed("observe a stream")


def _family(base: type) -> list[type]:
    found = [base]
    for cls in found:
        found += cls.__subclasses__()
    return found


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


def ends(endpoints: dict[str, Endpoint], path: str) -> Endpoint | None:
    """Return the endpoint that ``path`` ends with: what is before it is the server's."""
    return next((endpoint for end, endpoint in endpoints.items() if path.endswith(end)), None)


def payload(read: Callable[[Call, Any], None]) -> Callable[[Call, Any], None]:
    """Return a reader of what ``read`` reads, also where it is the ``data`` of an event."""

    def read_payload(call: Call, item: Any) -> None:
        data = field(item, "data")
        # The vectors of an embedding response have the same name.
        read(call, item if data is None or type(data) is list else data)

    return read_payload
