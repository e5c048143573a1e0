"""One observed call to a model: started, told what the response says, ended once. Span and metrics are written here.

A call's span is its own, or one that somebody else opened for the same call (the SDK's native tracing, another
instrumentation). An adopted span is written whenever the evidence changes, since its owner ends it when it likes.
"""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, Any
from weakref import ref

from opentelemetry.context import Context, get_current
from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    get_tracer_provider,
    set_span_in_context,
)

from otel_llm_routing import semconv
from otel_llm_routing.instrument import served
from otel_llm_routing.instrument.context import CALL, suppressed
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.put_off import collecting, settle, waiting
from otel_llm_routing.models import UNREPORTED, clean_model, kind_of
from otel_llm_routing.models.headers import OVERWRITING_GATEWAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.trace import Tracer

    from otel_llm_routing.instrument.metrics import Recorder
    from otel_llm_routing.instrument.spans import LLMRoutingSpanProcessor
    from otel_llm_routing.instrument.surface import Cap, SurfaceResolver


EMBEDDINGS = "embeddings"
_SPAN = next(iter(set_span_in_context(INVALID_SPAN, Context())))
"""The key of the current span in a context, which has no public name."""

watch: Callable[[Call], Callable[[Call, str | None], None] | None] | None = None
"""For tests: called with every call as it starts, it returns what is called with it, and its error, when it ends."""


class CallRequest:
    """What the application asked for, as an adapter read it before the call."""

    __slots__ = (
        "address",
        "input_size",
        "kind",
        "late_span",
        "model",
        "native_span",
        "operation",
        "overwrites_body",
        "port",
        "provider",
        "read",
        "service_tier",
        "since",
        "stream",
        "surface",
    )

    def __init__(self, operation: str, provider: str, model: str | None, read: Callable[[Call, Any], None]) -> None:
        self.operation = operation
        self.read = read
        """Reads evidence from a whole response, or from one chunk of a stream."""
        self.provider = provider
        self.model = model
        self.stream = False
        self.address: str | None = None
        self.port: int | None = None
        self.input_size: int | None = None
        """Characters of the request's text; None where they cannot be seen."""
        self.service_tier: str | None = None
        self.kind: str | None = None
        """What the requested identifier is, where the request says more than the identifier: that it is routed."""
        self.since: float | None = None
        """When the call began, by ``time.perf_counter``, where it is known to be one only later."""
        self.surface: str | None = None
        """The surface the call itself names."""
        self.native_span = False
        """The SDK opens a span for this call by itself."""
        self.late_span = False
        """Another instrumentation opens a span for this call once it has returned."""
        self.overwrites_body = False
        """The API is known to write the requested name into the body's model field."""


class Tracker:
    """What calls are recorded with: one tracer, one recorder, one resolver of surfaces."""

    __slots__ = ("_deaf", "_heard", "cap", "processor", "recorder", "surfaces", "tracer")

    def __init__(
        self,
        tracer: Tracer,
        recorder: Recorder,
        surfaces: SurfaceResolver,
        cap: Cap,
        processor: LLMRoutingSpanProcessor,
        *,
        heard: bool = True,
    ) -> None:
        self._heard = heard
        self._deaf: tuple[object, object] | None = None
        """The providers last seen, where they are stand-ins."""
        self.tracer = tracer
        self.recorder = recorder
        self.surfaces = surfaces
        self.cap = cap
        self.processor = processor

    def heard(self) -> bool:
        """Say whether anybody can learn of a call that is made now.

        Nobody can before a provider is set up, of spans or of metrics: what the API puts in its place keeps nothing.
        """
        if self._heard or self.processor.attached or watch is not None:
            return True
        providers = get_tracer_provider(), get_meter_provider()
        if providers != self._deaf:
            self._heard = keeps(providers[0]) or keeps(providers[1])
            self._deaf = providers
        return self._heard or get_current_span().is_recording()

    def start(self, request: CallRequest) -> Call | None:
        """Start a call, with a span of its own or an adopted one.

        None where nobody can learn of it, where OpenTelemetry is told to be silent, and beneath a call under way that
        asks for the same kind of thing: an SDK that uses another makes one call, and an embedding that a router needs
        to choose is another. Who opened a span for the very call may silence whatever is beneath it, as Logfire does:
        that is the call's span.
        """
        if waiting:
            settle()
        context = get_current()
        if not (self._heard or self.heard()):
            return None
        outer = under_way(context)
        if outer is not None and (outer.request.operation == EMBEDDINGS) is (request.operation == EMBEDDINGS):
            return None
        if not self.processor.attached:
            # The application set up its tracer provider after the instrumentation started.
            self.processor.attach(get_tracer_provider())
        current = get_current_span(context) if _SPAN in context else None
        adopted = self.processor.span_of_this_call(current, request)
        if adopted is None and suppressed(context):
            return None
        return Call(self, request, context, current, adopted)


class Call:
    """One call. Every method may be called from any thread, and none after ``end`` has an effect."""

    __slots__ = (
        "__weakref__",
        "_began",
        "_first",
        "_forks",
        "_introduced",
        "_kept",
        "_open",
        "_owned",
        "_pending",
        "_tracker",
        "body_model",
        "cached",
        "complete",
        "context",
        "details",
        "fallback",
        "gateway",
        "header_model",
        "http_response",
        "input_tokens",
        "kind",
        "output_tokens",
        "outside",
        "parsing",
        "reading",
        "request",
        "sender",
        "span",
        "surface",
        "surface_source",
        "trace_model",
        "watcher",
    )

    def __init__(
        self, tracker: Tracker, request: CallRequest, context: Context, current: Span | None, adopted: Span | None
    ) -> None:
        self._tracker = tracker
        self._open = [True]  # popped by whoever ends the call first: atomic, whatever thread or finaliser that is
        self._first: float | None = None
        self._introduced = False
        """Somebody else's span has been told what does not change."""
        self._kept: dict[str, Any] | None = None
        """What such a span keeps, whatever its owner writes there."""
        self._forks = forks
        self.request = request
        self.sender: Any = None
        """The client whose method the call is, until that method returns."""
        self.http_response: Any = None
        self.header_model: str | None = None
        self.trace_model: str | None = None
        self.body_model: str | None = None
        self.gateway: str | None = None
        self.cached = False
        self.fallback = False
        self.parsing = False
        """The SDK's own stream object reads the items, so nobody needs to read the bytes."""
        self.reading = False
        """That object is waiting for the next item at this moment."""
        self.complete = False
        """The whole answer is there: what it says is written once, by the end that follows at once."""
        self.input_tokens = 0
        self.output_tokens = 0
        self.details: dict[str, Any] = {}
        """Span attributes read from the response."""
        self.kind = request.kind or (kind_of(request.model, request.provider) if request.model else "unknown")
        processor = tracker.processor
        root = None if current is None else processor.local_root(current)
        self.surface, self.surface_source = tracker.surfaces.resolve(
            context, getattr(root, "name", None), getattr(root, "attributes", None), request.surface
        )
        self.watcher = watch(self) if watch is not None else None
        processor.note_call(root, request)
        now = time.perf_counter()
        self._began = now if request.since is None else min(request.since, now)
        self.span: Span = INVALID_SPAN if adopted is None else adopted
        self._owned = self._pending = False
        if adopted is not None:
            self.write()
        else:
            self._pending = request.native_span or request.late_span
            processor.expect_late(self if request.late_span else None)
            self._owned = not self._pending
        opened = self._owned and self._open_span(context, now)
        self.context = Context({**context, _SPAN: self.span, CALL: self} if opened else {**context, CALL: self})
        self.outside = context
        """The context around the call, for what the SDK does there that is no part of it."""

    # What an adapter reports ------------------------------------------------------------------------------------

    def headers(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the evidence in the response's headers."""
        found = served.read_headers(raw)
        if found is served.NOTHING and self.header_model is None and self.gateway is None and not self.cached:
            return
        before = self.header_model, self.gateway, self.cached, self.fallback
        self.header_model = found.model
        self.gateway = found.gateway
        self.cached = found.cached
        self.fallback = self.fallback or found.fallback
        if before != (self.header_model, self.gateway, self.cached, self.fallback):
            self._changed()

    def body(self, model: object) -> None:
        """Take the model that the response's body, or a chunk of it, names."""
        name = clean_model(model)
        if name is not None and name != self.body_model:
            self.body_model = name
            self._changed()

    def routed(self, model: object, *, fallback: bool = False) -> None:
        """Take the model that a routing trace in the body names."""
        self.fallback = self.fallback or fallback
        self.trace_model = clean_model(model) or self.trace_model
        self._changed()

    def sent_to(self, provider: str, address: str | None, port: int | None) -> None:
        """Say whom the call goes to, where that is known only once it is under way."""
        request = self.request
        request.provider, request.address, request.port = provider, address, port
        if request.kind is None and request.model is not None:
            self.kind = kind_of(request.model, provider)
        if self._owned:
            attributes: dict[str, Any] = {semconv.PROVIDER: provider, semconv.REQUEST_KIND: self.kind}
            if address is not None:
                attributes[semconv.SERVER_ADDRESS] = address
                if port is not None:
                    attributes[semconv.SERVER_PORT] = port
            self.span.set_attributes(attributes)
        else:
            self._introduced = False
            self.write()

    def first_chunk(self, at: float | None = None) -> None:
        """Say that a part of the streamed answer has arrived: now, or at a time by ``time.perf_counter``."""
        if self._first is None:
            self._first = max(0.0, (time.perf_counter() if at is None else at) - self._began)

    @property
    def ended(self) -> bool:
        """True once the call has been counted."""
        return not self._open

    # The span ----------------------------------------------------------------------------------------------------

    def _open_span(self, context: Context, now: float) -> bool:
        """Open the call's own span beneath ``context``; false where that fails."""
        request = self.request
        name = f"{request.operation} {request.model}" if request.model else request.operation
        start = None if request.since is None else time.time_ns() - int((now - self._began) * 1e9)
        try:
            self.span = self._tracker.tracer.start_span(
                name, context, SpanKind.CLIENT, self._start_attributes(), start_time=start
            )
        except Exception:  # noqa: BLE001  (a sampler or a span processor of the application's)
            swallowed("open a span")
            return False
        return True

    def adopt(self, span: Span) -> None:
        """Take over a span that was opened for this call, unless the call has one."""
        if self._pending:
            self._pending = False
            self.span = span
            self.write()

    def decide(self) -> tuple[str | None, str, str]:
        """Return the served model, which evidence named it, and how it relates to the requested one."""
        request = self.request
        if self.header_model is not None:
            model, source = self.header_model, served.HEADER
        elif self.trace_model is not None:
            model, source = self.trace_model, served.TRACE
        elif self.body_model is not None:
            model, source = self.body_model, served.BODY
        else:
            return None, served.NONE, UNREPORTED
        overwritten = request.overwrites_body or self.gateway in OVERWRITING_GATEWAYS
        match = served.match(request.model, request.provider, model, source, overwritten=overwritten, kind=request.kind)
        return model, source, match

    def _changed(self) -> None:
        """Write what the evidence says now to a span of somebody else's, which may be ended at any moment."""
        if not self._owned and not self.complete:
            self.write()

    def write(self) -> None:
        """Write this project's attributes, and the models, to a span that somebody else opened."""
        if self.span.is_recording():
            self._write(self.span, *self.decide())

    def _write(self, span: Span, model: str | None, source: str, match: str) -> None:
        attributes = self._ours(source, match)
        request = self.request
        if not self._introduced:
            self._introduced = True
            attributes[semconv.SURFACE] = self.surface
            attributes[semconv.SURFACE_SOURCE] = self.surface_source
            attributes[semconv.REQUEST_KIND] = self.kind
            if request.model is not None:
                attributes[semconv.REQUEST_MODEL] = request.model
        if model is not None:
            attributes[semconv.RESPONSE_MODEL] = model
            # Its owner may write the requested model there, or an SDK the body's; the evidence decides.
            if self._kept is not None:
                self._kept[semconv.RESPONSE_MODEL] = model
            elif not request.native_span or model != self.body_model:
                self._kept = {semconv.RESPONSE_MODEL: model}
                keep_attributes(span, self._kept)
        span.set_attributes(attributes)

    def _ours(self, source: str, match: str) -> dict[str, Any]:
        attributes: dict[str, Any] = {semconv.SERVED_SOURCE: source, semconv.MATCH: match}
        if self.fallback:
            attributes[semconv.FALLBACK] = True
        if self.gateway is not None:
            attributes[semconv.GATEWAY] = self.gateway
        if self.cached:
            attributes[semconv.CACHED] = True
        return attributes

    def _start_attributes(self) -> dict[str, Any]:
        request = self.request
        attributes: dict[str, Any] = {
            semconv.OPERATION: request.operation,
            semconv.PROVIDER: request.provider,
            semconv.SURFACE: self.surface,
            semconv.SURFACE_SOURCE: self.surface_source,
            semconv.REQUEST_KIND: self.kind,
        }
        if request.model is not None:
            attributes[semconv.REQUEST_MODEL] = request.model
        if request.stream:
            attributes[semconv.REQUEST_STREAM] = True
        if request.address is not None:
            attributes[semconv.SERVER_ADDRESS] = request.address
            if request.port is not None:
                attributes[semconv.SERVER_PORT] = request.port
        if request.service_tier is not None:
            attributes[semconv.OPENAI_REQUEST_TIER] = request.service_tier
        return attributes

    # The end -----------------------------------------------------------------------------------------------------

    def end(self, error: BaseException | str | None = None) -> None:
        """End the call and count it; the first of several ends counts. Never raises.

        ``error`` is what the application got, or the name that the provider gives to a failure that raises nothing.
        """
        try:
            self._open.pop()
        except IndexError:
            return
        # Neither holds the call: nothing is left that only the garbage collector can free.
        self.context, self.http_response = self.outside, None
        if self._forks != forks:
            return  # a copy of a call: the process that made it ends it, and counts it
        try:
            seconds = time.perf_counter() - self._began
            error_type = type(error).__qualname__ if isinstance(error, BaseException) else error
            if collecting():
                waiting.append(functools.partial(self._end, error_type, seconds, time.time_ns()))
            else:
                self._end(error_type, seconds)
        except Exception:  # noqa: BLE001
            swallowed("end a call")

    def _end(self, error_type: str | None, seconds: float, now: int | None = None) -> None:
        request, span, tracker = self.request, self.span, self._tracker
        model, source, match = self.decide()
        shown = None
        try:
            shown = self._end_span(span, model, source, match, error_type, now)
        except Exception:  # noqa: BLE001  (a span processor of the application's)
            swallowed("end a span")
        finally:  # also where such a processor is interrupted, or exits
            cap = tracker.cap
            tracker.recorder.record(
                (
                    (
                        self.surface,
                        request.provider,
                        request.operation,
                        cap(request.model) if request.model is not None else None,
                        cap(model) if model is not None else None,
                        self.kind,
                        match,
                        source,
                        self.cached,
                        error_type,
                    ),
                    request.input_size,
                    self.input_tokens,
                    self.output_tokens,
                    seconds,
                    self._first,
                    shown,
                )
            )
        if self.watcher is not None:
            self.watcher(self, error_type)

    def _end_span(
        self, span: Span, model: str | None, source: str, match: str, error_type: str | None, now: int | None
    ) -> Span | None:
        """Write what is known to the span, end it if it is ours, and return the one that exemplars may show."""
        recorded = span.is_recording()
        if recorded:
            if self._owned:
                attributes = self._ours(source, match)
                attributes.update(self.details)
                if self._first is not None:
                    attributes[semconv.TIME_TO_FIRST_CHUNK] = self._first
                if model is not None:
                    attributes[semconv.RESPONSE_MODEL] = model
                if error_type is not None:
                    attributes[semconv.ERROR_TYPE] = error_type
                    span.set_status(Status(StatusCode.ERROR))
                span.set_attributes(attributes)
            else:
                self._write(span, model, source, match)
        if self._owned:
            span.end(now)
        return span if recorded else None


def keeps(provider: object) -> bool:
    """Say whether a provider, of spans or of metrics, is more than a stand-in of the API's own."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


forks = 0
"""How often this process was forked off since the package was imported."""


def _after_fork() -> None:
    global forks  # noqa: PLW0603  (read by every call: the cheapest there is)
    forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def under_way(context: Context | None = None) -> Call | None:
    """Return the call that is being made in ``context``, or here, if it has not ended."""
    call = (get_current() if context is None else context).get(CALL)
    return call if isinstance(call, Call) and call._open else None  # noqa: SLF001  (asked in every call)


def keep_attributes(span: Span, kept: Mapping[str, Any]) -> None:
    """Make ``span`` keep the values in ``kept``, whatever its owner writes there afterwards."""
    if not hasattr(span, "__dict__") or "set_attributes" in vars(span):
        return  # a span of another SDK, that takes no attributes; or somebody was here before
    here = ref(span)  # the span holds what follows: if that held the span, only the garbage collector could free it
    several, one = type(span).set_attributes, type(span).set_attribute

    def set_attributes(attributes: Mapping[str, Any]) -> None:
        if (own := here()) is not None:
            several(own, {name: kept.get(name, value) for name, value in attributes.items()})

    def set_attribute(key: str, value: Any) -> None:
        if (own := here()) is not None:
            one(own, key, kept.get(key, value) if isinstance(key, str) else value)

    span.set_attributes = set_attributes  # type: ignore[method-assign]
    span.set_attribute = set_attribute  # type: ignore[method-assign]
