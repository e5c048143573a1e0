"""A span processor: it knows the local root of a span, meets other libraries' model spans, and counts the rest.

Three questions are answered here, from the spans alone:

- Which request or task does a call belong to? The local root span's attributes name the surface.
- Has somebody else opened a span for the call that an adapter sees? Then that span is the call's span.
- Which model calls does no adapter see? They are counted from the spans their own instrumentation makes.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet, ref

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.trace import SpanKind, get_current_span

from otel_llm_routing import semconv
from otel_llm_routing.instrument import served
from otel_llm_routing.instrument.context import CALL, suppressed
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.model_span import PROVIDER_NAMES, models_of, operation_of
from otel_llm_routing.models import kind_of, match

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from otel_llm_routing.instrument.call import Call, CallRequest, Tracker

NATIVE_SCOPE = "com.anthropic.sdk.python"
"""Scope of the spans that the anthropic SDK emits by itself (anthropic 1.17 and later, ``_tracing.py``)."""
LATE_SCOPE = "opentelemetry.instrumentation.openai.v1"
"""OpenLLMetry opens its span for the OpenAI Responses API only after the call has returned."""

LATER_SCOPES = (NATIVE_SCOPE, LATE_SCOPE, "openinference.instrumentation")
"""Scopes whose spans say only after their start what they are."""


class _Node:
    """A live model span of this execution context, and the one around it."""

    __slots__ = ("covered", "outer", "own", "parent", "span", "suppressed")

    def __init__(self, span: SDKSpan, outer: _Node | None) -> None:
        self.span = ref(span)
        self.outer = outer
        self.own = span.get_span_context().span_id
        self.parent = span.parent.span_id if span.parent is not None else 0
        self.covered = False
        """An adapter's call, or a model span inside, stands for it."""
        self.suppressed = False

    def live(self) -> SDKSpan | None:
        span = self.span()
        return span if span is not None and span.is_recording() else None


_innermost: ContextVar[_Node | None] = ContextVar("llm_routing_innermost", default=None)
_late: ContextVar[Call | None] = ContextVar("llm_routing_late", default=None)


class LLMRoutingSpanProcessor(SpanProcessor):
    """Added to the tracer provider by ``LLMRoutingInstrumentor``; without effect after ``uninstrument()``."""

    def __init__(self) -> None:
        self.tracker: Tracker | None = None
        self.attached = False
        """Some tracer provider has this processor."""
        self.adapted_providers: set[str] = set()
        """Providers whose SDK an adapter has hooked: their calls are counted there, not from spans."""
        self._attached: WeakSet[Any] = WeakSet()
        self._roots: dict[int, SDKSpan] = {}
        self._nodes: dict[int, _Node] = {}

    # SpanProcessor -----------------------------------------------------------------------------------------------

    def on_start(self, span: SDKSpan, parent_context: Context | None = None) -> None:
        """Remember the span's local root, and look whether it is the span of a model call."""
        if self.tracker is None:
            return
        try:
            self._on_start(span, parent_context)
        except Exception:  # noqa: BLE001
            swallowed("look at a span that starts")

    def on_end(self, span: ReadableSpan) -> None:
        """Forget the span, and count it if it is a model call that no adapter saw."""
        try:
            context = span.get_span_context()
            if context is None:
                return
            self._roots.pop(context.span_id, None)
            node = self._nodes.pop(context.span_id, None)
            if node is not None and self.tracker is not None and not node.suppressed and not node.covered:
                self._count(self.tracker, span, node)
        except Exception:  # noqa: BLE001
            swallowed("look at a span that ends")

    def shutdown(self) -> None:
        """Nothing is held that needs closing."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002
        """Nothing waits here."""
        return True

    def attach(self, provider: Any) -> None:
        """Add this processor to ``provider``, once, if it takes span processors."""
        if hasattr(provider, "add_span_processor") and provider not in self._attached:
            self._attached.add(provider)
            provider.add_span_processor(self)
            self.attached = True

    # For calls ---------------------------------------------------------------------------------------------------

    def local_root(self, span: Span) -> SDKSpan | None:
        """Return the local root span of ``span``: the request, task or message this process is working on."""
        context = span.get_span_context()
        if not context.is_valid:
            return None
        root = self._roots.get(context.span_id)
        if root is not None:
            return root
        # A task that outlives its request still has the request's span as its current span, ended but readable.
        return span if isinstance(span, SDKSpan) and (span.parent is None or span.parent.is_remote) else None

    def span_of_this_call(self, current: Span, request: CallRequest) -> Span | None:
        """Return the span that somebody opened around this very call, or None; spans around it are noted as covered."""
        found: SDKSpan | None = None
        here = current.get_span_context().span_id if current.is_recording() else 0
        node = _innermost.get()
        # By id, as instrumentations put wrappers of their spans into the context.
        if here in self._nodes and (node is None or node.live() is None):
            node = self._nodes[here]
        while node is not None:
            span = node.live()
            if span is not None and not node.covered and (here in (node.own, node.parent) or found is not None):
                attributes = span.attributes or {}
                asked = attributes.get(semconv.REQUEST_MODEL)
                if operation_of(attributes) is not None and (
                    asked is None or request.model is None or asked == request.model
                ):
                    node.covered = True
                    if found is None:
                        found = span
            node = node.outer
        return found

    def expect_late(self, call: Call | None) -> None:
        """Note a call without a span, for an instrumentation that will open one when it has returned."""
        if call is not None or _late.get() is not None:
            _late.set(call)

    # The rest ----------------------------------------------------------------------------------------------------

    def _on_start(self, span: SDKSpan, parent_context: Context | None) -> None:
        own = span.get_span_context().span_id
        parent = span.parent
        # A request served, or a message taken, is a piece of work of its own even where its sender is in this process.
        if parent is None or parent.is_remote or span.kind in (SpanKind.SERVER, SpanKind.CONSUMER):
            self._roots[own] = span
        elif (root := self._roots.get(parent.span_id)) is not None:
            self._roots[own] = root
        scope = span.instrumentation_scope
        name = scope.name if scope is not None else ""
        if name == semconv.SCOPE:
            return
        attributes = span.attributes or {}
        operation = operation_of(attributes)
        if operation is None and not name.startswith(LATER_SCOPES):
            return
        context = get_current() if parent_context is None else parent_context
        if name.startswith(NATIVE_SCOPE) and attributes.get(semconv.OPERATION) is None:
            return  # the SDK's spans of token counting, files and the like
        outer = _innermost.get()
        while outer is not None and outer.live() is None:
            outer = outer.outer
        node = _Node(span, outer)
        node.suppressed = suppressed(context)
        call = cast("Call | None", context.get(CALL))
        if call is None or call.ended:
            call = None
            if name.startswith(LATE_SCOPE) and operation is None:
                call = _late.get()
                self.expect_late(None)
        if call is not None:
            call.adopt(span)
            node.covered = True  # also where the call has a span: then this is a second one inside it
        elif not node.suppressed and self.tracker is not None:
            # Nobody may see this call but its own instrumentation: say at least for whom it is made.
            root = self.local_root(get_current_span(context)) or span
            surface, source = self.tracker.surfaces.resolve(context, root.name, root.attributes)
            span.set_attributes({semconv.SURFACE: surface, semconv.SURFACE_SOURCE: source})
        self._nodes[own] = node
        _innermost.set(node)

    def _count(self, tracker: Tracker, span: ReadableSpan, node: _Node) -> None:
        attributes = span.attributes or {}
        operation = operation_of(attributes)
        if operation is None:
            return
        outer = node.outer
        while outer is not None:
            if outer.live() is not None:
                outer.covered = True
            outer = outer.outer
        provider = _text(attributes, *PROVIDER_NAMES) or "unknown"
        if provider in self.adapted_providers:
            return
        requested, reported = models_of(attributes)
        source = served.NONE if reported is None else served.BODY
        seconds = 0.0
        if span.start_time is not None:
            seconds = max(0.0, ((span.end_time or time.time_ns()) - span.start_time) / 1e9)
        cap = tracker.cap
        key = (
            str(attributes.get(semconv.SURFACE, "unknown")),
            provider,
            operation,
            cap(requested) if requested is not None else None,
            cap(reported) if reported is not None else None,
            kind_of(requested, provider) if requested else "unknown",
            match(requested, provider, reported),
            source,
            False,
            _text(attributes, semconv.ERROR_TYPE),
        )
        read = attributes.get(semconv.INPUT_TOKENS, attributes.get("llm.token_count.prompt"))
        written = attributes.get(semconv.OUTPUT_TOKENS, attributes.get("llm.token_count.completion"))
        tracker.recorder.record((key, 0, _count_of(read), _count_of(written), seconds, None, None))


def _text(attributes: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value[:64]
    return None


def _count_of(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
