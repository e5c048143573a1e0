"""The litellm SDK: its functions, and its ``Router`` with fallbacks and several deployments under one name.

A call is what the application asked litellm for, whatever litellm does for it: retries, fallbacks, other SDKs. What
litellm calls beneath says whom the call went to, last.

Sources: litellm 1.108.7 ``main.py``, ``utils.py`` (``client``), ``responses/main.py``, ``*/dispatch.py``,
``router.py``, ``litellm_core_utils/streaming_handler.py`` and ``litellm_logging.py``,
``llms/anthropic/chat/handler.py``; the same hooks in 1.72.0. Of the ``Router`` since 1.110, 1.110.2 ``router.py``,
``router_rust/core.py`` and ``router_rust/invoke/endpoints.py``. Of Anthropic's format, 1.110.2 ``messages/dispatch.py``
and ``llms/anthropic/messages``, which translates it for providers that do not speak it; 1.72.0 does not translate.
"""

from __future__ import annotations

import functools
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current, get_value, set_value

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters import litellm_evidence as evidence
from otel_llm_routing.instrument.adapters.adapter import Adapter, see_headers
from otel_llm_routing.instrument.adapters.anthropic import read_message
from otel_llm_routing.instrument.adapters.detour import detour
from otel_llm_routing.instrument.adapters.litellm_request import (
    CORE_METHODS,
    FUNCTIONS,
    LITELLM,
    METHODS,
    Asked,
    Target,
    argument,
    destination,
    group_of,
    mocked,
    model_of,
    request_of,
)
from otel_llm_routing.instrument.adapters.stream_objects import StreamObjects
from otel_llm_routing.instrument.call import EMBEDDINGS, Call, under_way
from otel_llm_routing.instrument.context import CALL
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import same_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_llm_routing.instrument.adapters.adapter import Begin


CORE = "litellm.router_rust.core"
"""What a ``Router`` since 1.110 hands its calls to; imported when the first one is made."""
ENDPOINTS = "litellm.router_rust.invoke.endpoints"
HOMES = (
    "litellm.chat_completions.dispatch",
    "litellm.embeddings.dispatch",
    "litellm.responses.dispatch",
    "litellm.responses.main",
    "litellm.messages.dispatch",
    "litellm.llms.anthropic.experimental_pass_through.messages.handler",
    "litellm.main",
)
"""Where litellm's functions are defined: the outermost of each first, which older versions do not have."""


class LiteLLMAdapter(Adapter):
    """Hooks litellm's functions wherever they are known, its ``Router``, and where providers' answers pass."""

    def __init__(self) -> None:
        super().__init__("litellm", LITELLM)
        self._sdk: Any = None
        self._streams = StreamObjects(self, _over)

    def scopes(self) -> set[str]:
        """Return the scope of the spans that litellm's own callback for OpenTelemetry opens after a call."""
        module = sys.modules.get("litellm.integrations.opentelemetry")
        return {"litellm", str(getattr(module, "LITELLM_TRACER_NAME", "litellm"))}

    # Hooking -----------------------------------------------------------------------------------------------------

    def hook(self, sdk: Any) -> None:
        """Hook what the imported module has: the package, its router's core, or its integration of OpenTelemetry."""
        if sdk.__name__ == CORE:
            self._hook_core(sdk)
            return
        if sdk.__name__ != "litellm":
            self.wrap(getattr(sdk, "OpenTelemetry", None), "_get_span_context", _outside)
            return
        self._sdk = sdk
        for name, target in FUNCTIONS.items():
            if functions := _functions(sdk.__dict__.get(name)) or _functions(_at_home(name)):
                for function in functions:
                    self._lead(function, functools.partial(self._begin, target))
            elif not (name.endswith("_with_retries") or target.messages):
                self.missing(name)
        self._hook_router()
        logging = sys.modules.get("litellm.litellm_core_utils.litellm_logging")
        self.wrap(getattr(logging, "Logging", None), "post_call", _see_raw)
        handler = sys.modules.get("litellm.litellm_core_utils.streaming_handler")
        self.wrap(getattr(handler, "CustomStreamWrapper", None), "chunk_creator", _see_chunk)
        anthropic = sys.modules.get("litellm.llms.anthropic.chat.handler")
        self.wrap(getattr(anthropic, "ModelResponseIterator", None), "chunk_parser", _see_message)
        responses = sys.modules.get("litellm.responses.streaming_iterator")
        self.wrap(getattr(responses, "BaseResponsesAPIStreamingIterator", None), "_process_chunk", _see_event)
        caching = getattr(sys.modules.get("litellm.caching.caching_handler"), "LLMCachingHandler", None)
        self.wrap(caching, "_convert_cached_result_to_model_response", _see_cached)
        messages = getattr(sdk, "AnthropicMessagesConfig", None)
        for name in ("transform_anthropic_messages_response", "get_async_streaming_response_iterator"):
            if messages is not None:
                self.wrap(messages, name, _see_response)

    def _hook_router(self) -> None:
        """Hook the ``Router``, or the class that does its work in 1.109; the one of later versions is not there yet."""
        module: Any = sys.modules.get("litellm.router_python_core")
        router = getattr(module, "PythonCore", None)
        if router is None:
            module = sys.modules.get("litellm.router")
            if hasattr(module, "RouterCore"):
                return
            router = getattr(module, "Router", None)
        for name, target in METHODS.items():
            self.surround(router, name, functools.partial(self._begin_routed, target), self._returned)
        for name in ("_ageneric_api_call_with_fallbacks", "_generic_api_call_with_fallbacks"):
            self.surround(router, name, self._begin_generic, self._returned)
        self.wrap(module, "run_async_function", _carry)
        if "_silent_experiment_acompletion" in getattr(router, "__dict__", ()):
            self.wrap(router, "_silent_experiment_acompletion", _apart)

    def _hook_core(self, module: Any) -> None:
        """Hook the methods that a ``Router`` has no longer itself."""
        core = getattr(module, "RustCore", None)
        for name, target in CORE_METHODS.items():
            if target.messages and not hasattr(core, name):
                continue
            self.surround(core, name, functools.partial(self._begin_routed, target), self._returned)
        self.surround(core, "_call_sync", self._begin_planned, self._returned)
        self.wrap(sys.modules.get(ENDPOINTS), "_silent_async", _apart)

    def _lead(self, function: FunctionType, begin: Begin) -> None:
        around = self._around_async if function.__code__.co_flags & 0x80 else self._around  # 0x80: a coroutine function

        def lead(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return around(begin, self._returned, original, None, args, kwargs)

        self._undo.append(detour(function, lead))

    # A call ------------------------------------------------------------------------------------------------------

    def _begin(self, target: Target, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        model = model_of(target, args, kwargs)
        outer = _current()
        if outer is not None and (outer.request.operation == EMBEDDINGS) is (target.operation == EMBEDDINGS):
            self._dispatch(outer, target, model, kwargs)
            return None
        if mocked(kwargs):
            return None
        request = request_of(target, args, kwargs, evidence.read_event)
        request.provider, request.address, request.port = destination(self._sdk, model, kwargs)
        return request

    def _begin_routed(self, target: Target, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        if mocked(kwargs):
            return None
        request = request_of(target, args, kwargs, evidence.read_event)
        request.routed, request.dispatched = True, None
        return request

    def _begin_generic(self, router: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        function = argument(args, kwargs, "original_function", 1)
        target = FUNCTIONS.get(getattr(function, "__name__", ""))
        return None if target is None else self._begin_routed(target._replace(model_at=0), router, args, kwargs)

    def _begin_planned(self, core: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        """Read a synchronous call of the Responses API, for which the core has no method."""
        plan, asked = argument(args, kwargs, "plan", 0), argument(args, kwargs, "request", 1)
        if plan.endpoint != "responses":
            return None
        return self._begin_routed(FUNCTIONS["responses"], core, (), asked)

    def _dispatch(self, call: Call, target: Target, model: str | None, kwargs: dict[str, Any]) -> None:
        request: Any = call.request
        request.translated = request.messages and not target.messages
        request.dispatched, request.mocked = model, mocked(kwargs)
        request.raw = request.named = None  # of an attempt that failed
        if request.routed and (group := group_of(kwargs)) is not None:
            request.regrouped = group != request.model
        elif request.falls_back and not same_model(model or "", request.model or ""):
            call.fallback = True
        to = destination(self._sdk, model, kwargs)
        if to.provider != LITELLM and to != (request.provider, request.address, request.port):
            call.sent_to(*to)

    def _returned(self, call: Call, result: Any) -> Any:
        if not _is_stream(result):
            evidence.read_answer(call, result)
            call.end()
            return result
        evidence.read_hidden(call, getattr(result, "_hidden_params", None))
        messages = call.request.messages  # type: ignore[attr-defined]
        read = evidence.MessageStream().read if messages else evidence.read_event
        if not hasattr(result, "__dict__"):  # a generator
            return streams.observed(streams.in_context(result, call.context), call, read)
        # The items of litellm's own wrapper repeat the requested name: its chunks are read before they get there.
        seen = "completion_stream" in result.__dict__ and not messages
        self._streams.watch(result, call, None if seen else read)
        return result


def _functions(public: Any) -> list[FunctionType]:
    """Return litellm's functions around the one that does the work, from ``public`` inwards."""
    found = []
    while public is not None:
        # Others may have wrapped it, also in functions of their own.
        if isinstance(public, FunctionType) and str(public.__globals__.get("__name__")).startswith("litellm"):
            found.append(public)
        public = getattr(public, "__wrapped__", None)
    return found[:-1] or found


def _at_home(name: str) -> Any:
    """Return one of litellm's functions from where it is defined: the package may have somebody else's in its place."""
    homes = (vars(sys.modules[home]) for home in HOMES if home in sys.modules)
    return next((module[name] for module in homes if name in module), None)


def _current() -> Call | None:
    call = under_way()
    return call if call is not None and isinstance(call.request, Asked) else None


def _is_stream(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__stream__")


def _over(call: Call, stream: Any) -> None:
    if stream is not None:
        evidence.read_hidden(call, getattr(stream, "_hidden_params", None))
    evidence.conclude(call)


# Where providers' answers pass ------------------------------------------------------------------------------------


def _see_raw(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    if (call := _current()) is not None:
        raw = argument(args, kwargs, "original_response", 0)
        # A stream is logged as well, before anybody has read it, and must not be held.
        call.request.raw = None if _is_stream(raw) else raw  # type: ignore[attr-defined]
    return wrapped(*args, **kwargs)


def _see_chunk(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if (call := _current()) is not None:
        try:
            if instance.__dict__.get("custom_llm_provider") == "cached_response":
                call.cached = True
            evidence.read_chunk(call, argument(args, kwargs, "chunk", 0))
        except Exception:  # noqa: BLE001
            swallowed("read a chunk of a stream")
    return wrapped(*args, **kwargs)


def _see_message(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    if (call := _current()) is not None:
        try:
            read_message(call, argument(args, kwargs, "chunk", 0))
            call.request.named = call.body_model  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001
            swallowed("read a chunk of a stream")
    return wrapped(*args, **kwargs)


def _see_event(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    """Read an event of the Responses API of which litellm makes another: else it is read where it comes out."""
    event = wrapped(*args, **kwargs)
    if (call := _current()) is not None and call.request.translated:  # type: ignore[attr-defined]
        try:
            evidence.read_event(call, event)
            call.request.named = call.body_model  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001
            swallowed("read a chunk of a stream")
    return event


def _see_cached(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    """Mark a hit of litellm's cache where the answer has no place to say that it is one."""
    if (call := _current()) is not None and call.request.messages:  # type: ignore[attr-defined]
        call.cached = True
    return wrapped(*args, **kwargs)


def _see_response(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    """Take the headers of an answer in Anthropic's format, of which litellm keeps those of a stream at most."""
    if _current() is not None:
        see_headers("litellm", kwargs.get("raw_response", kwargs.get("httpx_response")))
    return wrapped(*args, **kwargs)


# What runs beneath a call, and what does not ----------------------------------------------------------------------


def _carry(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    """Take the context along into the thread in which a synchronous router runs its asynchronous half."""
    context = get_current()
    if not context or not args:
        return wrapped(*args, **kwargs)
    return wrapped(functools.partial(_within, context, args[0]), *args[1:], **kwargs)


async def _within(context: Context, function: Any, *args: Any, **kwargs: Any) -> Any:
    token = attach(context)
    try:
        return await function(*args, **kwargs)
    finally:
        detach(token)


def _outside(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    """Keep litellm's own spans where they are without us: it takes the current span for one that is still open."""
    call = get_value(CALL)
    if not isinstance(call, Call):
        return wrapped(*args, **kwargs)
    token = attach(call.outside)
    try:
        return wrapped(*args, **kwargs)
    finally:
        detach(token)


async def _apart(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
    """Let a copy of the traffic, which the router sends to another model on the quiet, be a call of its own."""
    return await _within(set_value(CALL, None), wrapped, *args, **kwargs)


ADAPTER = LiteLLMAdapter()
