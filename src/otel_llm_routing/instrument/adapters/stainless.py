"""The Stainless family: SDKs whose every call goes through ``SyncAPIClient.request`` or ``AsyncAPIClient.request``.

Hooked are, of each such SDK (sources: openai 1.0 to 3.54, anthropic 0.125 to 2.12, ``_base_client.py`` and
``_streaming.py``):

- ``request(cast_to, options, *, stream, stream_cls)``: one call, with its retries;
- ``_process_response(*, response, …)``: the HTTP response of the attempt that succeeded, for its headers;
- ``_finalize_middleware_result(result, request)``: in its place, where the client has middleware, which sees every
  attempt, may make others, and decides what answers (anthropic 0.125 and later);
- ``Stream.__stream__()``: the generator behind every stream object, for its items and how it ends;
- ``Stream.close()`` and ``Stream.__exit__()``: a stream that the application is done with.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
from contextlib import suppress
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import wrapt

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.adapter import Adapter, put_back, run, run_async
from otel_llm_routing.instrument.adapters.fields import field
from otel_llm_routing.instrument.call import Call, CallRequest, under_way
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.surface import CALL_HEADER
from otel_llm_routing.models import clean_model, provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CellType


_WRAPPERS = (wrapt.FunctionWrapper, wrapt.BoundFunctionWrapper)
MAX_READ = 4 << 20
"""Bytes of an answer that the application reads by itself and that is read here besides; a longer one tells nothing."""
MAX_WRAPPERS = 32
"""Around one method."""
MAX_SERVERS = 64
"""Base URLs whose parts are remembered."""


class Endpoint:
    """A path that is a call to a model."""

    __slots__ = ("operation", "read", "size")

    def __init__(self, operation: str, read: Callable[[Call, Any], None], size: Callable[[Any], int]) -> None:
        self.operation = operation
        self.read = read
        """Reads evidence from a whole response, or from one chunk of a stream."""
        self.size = size
        """Counts the characters of the request's text."""


class _Server(NamedTuple):
    """Whom a client calls."""

    provider: str
    address: str
    port: int


class StainlessAdapter(Adapter):
    """Hooks one SDK of the family.

    ``endpoints`` maps the path that the SDK's methods post to onto what is done there; any other path is not a call to
    a model. ``provider`` is the SDK's own; ``provider_of_class`` names that of clients with other ones, by class name.
    """

    def __init__(
        self,
        package: str,
        provider: str,
        endpoints: dict[str, Endpoint],
        provider_of_class: dict[str, str],
    ) -> None:
        super().__init__(package, provider)
        self.endpoints = endpoints
        self.provider_of_class = provider_of_class
        self._servers: dict[int, tuple[Any, type, _Server]] = {}

    # For an SDK to refine ----------------------------------------------------------------------------------------

    def refine(self, request: CallRequest, client: Any, options: Any, path: str) -> None:
        """Say more about a request than the family can know."""

    def tells(self, client: Any) -> bool:  # noqa: ARG002  (for an SDK to say)
        """Say whether ``client`` tells somebody of its calls by itself."""
        return False

    # Hooking -----------------------------------------------------------------------------------------------------

    def providers(self) -> set[str]:
        """Return the providers whose calls this adapter sees."""
        return {self.provider, *self.provider_of_class.values()}

    def hook(self, sdk: Any) -> None:
        """Hook the imported package ``sdk``. A hook point that is missing is logged, and the others are left alone."""
        base: Any = getattr(sdk, "_base_client", None)
        if missing := [name for name in ("SyncAPIClient", "AsyncAPIClient") if not hasattr(base, name)]:
            self.missing(*missing)
            return
        if not self.hook_streams(getattr(sdk, "_streaming", None)):
            return
        for client, observed in ((base.SyncAPIClient, self._observed), (base.AsyncAPIClient, self._observed_async)):
            self._replace_request(client, observed)
            if "_process_response" in client.__dict__:
                self.replace(client, "_process_response", self._seeing)
            if "_finalize_middleware_result" in client.__dict__:
                self.replace(client, "_finalize_middleware_result", self._seeing_chosen)

    def hook_streams(self, streaming: Any) -> bool:
        """Hook the two stream classes of the module ``streaming``; false, and logged, where they are missing."""
        if missing := [name for name in ("Stream", "AsyncStream") if not hasattr(streaming, name)]:
            self.missing(*missing)
            return False
        for stream, observe, leave in (
            (streaming.Stream, streams.items, "__exit__"),
            (streaming.AsyncStream, streams.async_items, "__aexit__"),
        ):
            self._wrap_if_there(stream, "__stream__", functools.partial(_stream, observe))
            self._wrap_if_there(stream, "close", _close)
            self._wrap_if_there(stream, leave, streams.leave)
        return True

    def _wrap_if_there(self, owner: type, name: str, wrapper: Callable[..., Any]) -> None:
        if name in owner.__dict__:
            self.wrap(owner, name, wrapper)

    def _replace_request(self, base: type, observed: Callable[[Any], Any]) -> None:
        """Replace ``base.request`` itself, also where others have put a wrapper of it onto a subclass before."""
        original = base.__dict__.get("request")
        if not self.replace(base, "request", observed):
            return
        ours = base.__dict__["request"]
        for subclass in _subclasses(base):
            own = subclass.__dict__.get("request")
            if own is original:  # put there by somebody who took a wrapper off again
                subclass.request = ours  # type: ignore[attr-defined]
                self._undo.append(functools.partial(put_back, subclass, "request", ours, original))
                continue
            # Inside theirs: then their span is open when the call starts, and is the call's span.
            for wrapper in _wrappers(own, original):
                if isinstance(wrapper, _WRAPPERS) and wrapper.__wrapped__ is original:
                    wrapper.__wrapped__ = ours
                    self._undo.append(functools.partial(_unwrap, wrapper, ours, original))
                elif isinstance(wrapper, FunctionType):
                    self._undo += [functools.partial(_exchange, c, ours, original) for c in wrapper.__closure__ or ()]
                    for cell in wrapper.__closure__ or ():
                        _exchange(cell, original, ours)

    # A call ------------------------------------------------------------------------------------------------------

    def _begin(self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call | None, Any]:
        """Return the call that this request is, or None, and the options to send it with."""
        options = kwargs["options"] if "options" in kwargs else args[1]
        tracker = self._tracker
        if tracker is None:
            return None, options
        if options.method.lower() != "post" or not (tracker.heard() or self.tells(client)):
            return None, take_surface(None, options)
        path = options.url
        if path not in self.endpoints:
            path = _path(path)
        endpoint = self.endpoints.get(path) or self._absolute(path)
        if endpoint is None:
            return None, take_surface(None, options)
        body = options.json_data if type(options.json_data) is dict else {}
        extra = options.extra_json if type(options.extra_json) is dict else {}
        model = clean_model(extra.get("model", body.get("model")))
        provider, address, port = self._server(client)
        request = CallRequest(endpoint.operation, provider, model, endpoint.read)
        request.stream = bool(kwargs.get("stream") or (extra.get("stream", body.get("stream")) is True))
        request.address, request.port = address, port
        if body:  # else it is of the application's own making, and is not looked into
            request.input_size = endpoint.size(body)
        options = take_surface(request, options)
        self.refine(request, client, options, path)
        call = tracker.start(request)
        if call is not None:
            call.sender = client
        return call, options

    def _absolute(self, path: str) -> Endpoint | None:
        # ``client.post("https://host/v1/chat/completions")`` and the like: the end of the path decides.
        if "://" not in path:
            return None
        for known, endpoint in self.endpoints.items():
            if path.endswith(known):
                return endpoint
        return None

    def _server(self, client: Any) -> _Server:
        """Return whom ``client`` calls. A URL of httpx's takes long to read: that is done once for each."""
        # The openai SDK's property imports what it reads it with; the family keeps it here.
        cls, url = type(client), client.__dict__.get("_base_url") or client.base_url
        known = self._servers.get(id(url))
        if known is not None and known[0] is url and known[1] is cls:
            return known[2]
        names = [base.__name__ for base in cls.__mro__]
        found = [self.provider_of_class[name] for name in names if name in self.provider_of_class]
        host, port = url.host, url.port
        provider = found[0] if found else provider_of_host(host if port is None else f"{host}:{port}") or self.provider
        server = _Server(provider, host, port or (80 if url.scheme == "http" else 443))
        if len(self._servers) >= MAX_SERVERS:
            self._servers.clear()
        self._servers[id(url)] = (url, cls, server)
        return server

    # The hooks ---------------------------------------------------------------------------------------------------

    def _observed(self, original: Any) -> Any:
        """Return what stands in the place of ``SyncAPIClient.request``."""

        def request(client: Any, *args: Any, **kwargs: Any) -> Any:
            call, args, kwargs = self._guarded_begin(client, args, kwargs)
            if call is None:
                return original(client, *args, **kwargs)
            return self.finish(_finish, call, run(call, original, (client, *args), kwargs))

        return request

    def _observed_async(self, original: Any) -> Any:
        """Return what stands in the place of ``AsyncAPIClient.request``."""

        async def request(client: Any, *args: Any, **kwargs: Any) -> Any:
            call, args, kwargs = self._guarded_begin(client, args, kwargs)
            if call is None:
                return await original(client, *args, **kwargs)
            return self.finish(_finish, call, await run_async(call, original, (client, *args), kwargs))

        return request

    def _guarded_begin(
        self, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Call | None, tuple[Any, ...], dict[str, Any]]:
        try:
            call, options = self._begin(client, args, kwargs)
            if "options" in kwargs:
                if options is not kwargs["options"]:
                    kwargs = {**kwargs, "options": options}
            elif options is not args[1]:
                args = (args[0], options, *args[2:])
        except Exception:  # noqa: BLE001
            swallowed(f"read a request of {self.package}")
            return None, args, kwargs
        return call, args, kwargs

    def _seeing(self, original: Any) -> Any:
        """Return what stands in the place of ``_process_response`` of either client."""

        def _process_response(client: Any, *args: Any, **kwargs: Any) -> Any:
            if client.__dict__.get("_middleware") and hasattr(client, "_finalize_middleware_result"):
                return original(client, *args, **kwargs)  # one attempt, failed or not: none of them may be the answer
            call = self._see_response(client, kwargs.get("response"))
            result = original(client, *args, **kwargs)
            return result if call is None else self._read_native(call, result)

        return _process_response

    def _seeing_chosen(self, original: Any) -> Any:
        """Return what stands in the place of ``_finalize_middleware_result`` of either client."""

        def _finalize_middleware_result(client: Any, *args: Any, **kwargs: Any) -> Any:
            # What holds no response is an answer of the middleware's own.
            chosen = args[0] if args else kwargs.get("result")
            call = self._see_response(client, field(chosen, "http_response"))
            result = original(client, *args, **kwargs)
            return result if call is None else self._read_native(call, result)

        return _finalize_middleware_result

    def _read_native(self, call: Call, result: Any) -> Any:
        """Return ``result``; end its call if the SDK has a span for it, which ends before the result is handed over."""
        if not call.request.native_span:
            return result
        if inspect.isawaitable(result):
            return self._read_awaited(call, result)
        try:
            over = _is_whole(call, call.http_response)
        except Exception:  # noqa: BLE001
            swallowed(f"look at an HTTP response of {self.package}")
            return result
        return self.finish(_finish, call, result) if over else result

    async def _read_awaited(self, call: Call, pending: Any) -> Any:
        return self._read_native(call, await pending)

    def _see_response(self, client: Any, response: Any) -> Call | None:
        """Take what the HTTP response of ``client``'s call says; None where that is nobody's call, or another's."""
        try:
            call = under_way()
            if call is None:
                return None
            if call.sender is not client:
                if call.sender is None and response is not None:
                    call.headers(response.headers.raw)  # of another SDK, which uses this one
                return None
            call.http_response = response
            if response is None:
                return call
            call.headers(response.headers.raw)
            if not _is_whole(call, response):
                response.extensions[streams.EXTENSION] = call
                streams.observe_bytes(response, call, call.request.read)
        except Exception:  # noqa: BLE001
            swallowed(f"look at an HTTP response of {self.package}")
            return None
        return call


# What observes a stream serves both kinds: the asynchronous one's methods are called here, and awaited by the caller.


def _stream(observe: Any, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = streams.call_of(instance)
    if call is None:
        return wrapped(*args, **kwargs)
    call.parsing = True
    return observe(wrapped(*args, **kwargs), call, call.request.read)


def _close(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if (call := streams.call_of(instance)) is not None and not call.reading:
        call.end()
    return wrapped(*args, **kwargs)


def _finish(call: Call, result: Any) -> Any:
    """End a call whose answer is complete; leave one open whose answer is yet to be read."""
    response, call.http_response, call.sender = call.http_response, None, None
    if not call.ended and _is_whole(call, response):
        _read_whole(call, result, response)
        call.end()  # else the stream, or the bytes, end it
    return result


def _is_whole(call: Call, response: Any) -> bool:
    return response is None or (response.is_closed and not call.request.stream)


def _read_whole(call: Call, result: Any, response: Any) -> None:
    """Read evidence from an answer that is complete."""
    call.complete = True
    if response is None or field(result, "model") is not None:
        call.request.read(call, result)
    else:
        # A raw response, or a type of the application's own.
        if len(response.content) > MAX_READ:
            return
        try:
            body = json.loads(response.content)
        except (ValueError, RecursionError):
            return  # what is no JSON is no evidence
        if type(body) is dict:
            call.request.read(call, body)


def _path(url: Any) -> str:
    path = str(url).partition("?")[0]
    return path if path.startswith("/") or "://" in path else "/" + path


def take_surface(request: CallRequest | None, options: Any) -> Any:
    """Note the surface that a header of the call names, and return options that do not send it."""
    headers = options.headers
    if not isinstance(headers, dict) or not headers:
        return options
    ours = [name for name in headers if isinstance(name, str) and name.lower() == CALL_HEADER]
    if not ours:
        return options
    if request is not None:
        request.surface = headers[ours[-1]]
    options = copy.copy(options)  # neither the application's dictionary nor its options change
    options.headers = {name: value for name, value in headers.items() if name not in ours}
    return options


def _subclasses(base: type) -> list[type]:
    found: list[type] = []
    subclass: type
    for subclass in base.__subclasses__():
        found += [subclass, *_subclasses(subclass)]
    return found


def _wrappers(method: Any, original: Any) -> list[Any]:
    """Return ``method`` and what it wraps, from the outside in, as far as ``original``, which is not part of them."""
    found: list[Any] = []
    while method is not None and method is not original and len(found) < MAX_WRAPPERS:
        found.append(method)
        method = getattr(method, "__wrapped__", None)
    return found


def _exchange(cell: CellType, old: Any, new: Any) -> None:
    """Put ``new`` into a closure that holds ``old``."""
    with suppress(ValueError):  # an empty one
        if cell.cell_contents is old:
            cell.cell_contents = new


def _unwrap(wrapper: Any, ours: Any, original: Any) -> None:
    if wrapper.__wrapped__ is ours:
        wrapper.__wrapped__ = original
