"""A span processor: it knows the local root of a span, meets other libraries' model spans, and counts the rest.

Three questions are answered here, from the spans alone:

- Which request or task does a call belong to? The local root span's attributes name the surface.
- Has somebody else opened a span for the call that an adapter sees? Then that span is the call's span.
- Which model calls does no adapter see? They are counted from the spans their own instrumentation makes.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, cast
from weakref import ref

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.trace import SpanKind, get_current_span

from otel_llm_routing import semconv
from otel_llm_routing.instrument import served
from otel_llm_routing.instrument.call import EMBEDDINGS
from otel_llm_routing.instrument.context import CALL, suppressed
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.identity import ByIdentity
from otel_llm_routing.model_span import PROVIDER_NAMES, models_of, operation_of
from otel_llm_routing.models import kind_of, match, provider_name, same_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from otel_llm_routing.instrument.call import Call, CallRequest, Tracker

NATIVE_SCOPE = "com.anthropic.sdk.python"
"""Scope of the spans that the anthropic SDK emits by itself (anthropic 1.17 and later, ``_tracing.py``)."""
LATE_SCOPE = "opentelemetry.instrumentation.openai.v1"
"""OpenLLMetry opens its span for the OpenAI Responses API only after the call has returned."""

LATER_SCOPES = (
    NATIVE_SCOPE,
    LATE_SCOPE,
    "openinference.instrumentation",
    "mistralai_sdk_tracer",  # the mistralai SDK's own, 1.11 and later
    "opentelemetry.instrumentation.langchain",  # OpenLLMetry's
    "opentelemetry.instrumentation.llamaindex",
)
"""Scopes whose spans say only after their start what they are, and may not be current."""

_SERVER, _CONSUMER = SpanKind.SERVER, SpanKind.CONSUMER  # looked up once: an enumeration's members are slow to find

MAX_CALLS = 1024
"""Calls that are remembered, the latest, for the framework spans around them that end after them."""


MAX_OPEN = 20_000
"""Spans that are remembered while they last, the latest: some never end."""


class _Started(NamedTuple):
    """That a call was started, for the spans around it that nothing else connects with it."""

    at: int
    """In nanoseconds since the epoch, as spans have it."""
    root: int
    model: str | None
    embeds: bool


class _Node:
    """A live model span of this execution context, and the one around it."""

    __slots__ = ("covered", "outer", "own", "parent", "root", "span", "suppressed")

    def __init__(self, span: SDKSpan, outer: _Node | None, root: int) -> None:
        self.span = ref(span)
        self.outer = outer
        self.root = root
        """Of the piece of work that it is part of: see ``_work``."""
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
        self.adapted_scopes: set[str] = set()
        """Scopes of spans that an SDK opens itself for calls that its adapter counts, if only after they have ended."""
        self._attached: ByIdentity[bool] = ByIdentity()
        """The providers that have this processor."""
        self._roots: dict[int, SDKSpan | ref[SDKSpan]] = {}
        """Of each open span its local root; of one that is its own, a reference that does not keep it."""
        self._started: deque[_Started] = deque(maxlen=MAX_CALLS)
        self._nodes: dict[int, _Node] = {}

    # SpanProcessor -----------------------------------------------------------------------------------------------

    def on_start(self, span: SDKSpan, parent_context: Context | None = None) -> None:
        """Remember the span's local root, and look whether it is the span of a model call."""
        if self.tracker is None:
            return
        try:
            self._remember_root(span, parent_context)
            scope = span.instrumentation_scope
            name = scope.name if scope is not None else ""
            if name != semconv.SCOPE:
                self._look_at(span, name, parent_context)
        except Exception:  # noqa: BLE001
            swallowed("look at a span that starts")

    def on_end(self, span: ReadableSpan) -> None:
        """Forget the span, and count it if it is a model call that no adapter saw."""
        try:
            context = span.context
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
        """Add this processor to ``provider``, once, if it takes span processors. Never raises."""
        try:
            if not self._attached.get(provider) and hasattr(provider, "add_span_processor"):
                self._attached.set(provider, True)
                provider.add_span_processor(self)
                self.attached = True
        except Exception:  # noqa: BLE001
            swallowed("add a span processor to a tracer provider")

    # For calls ---------------------------------------------------------------------------------------------------

    def local_root(self, span: Span) -> SDKSpan | None:
        """Return the local root span of ``span``: the request, task or message this process is working on."""
        context = span.get_span_context()
        if not context.is_valid:
            return None
        root = self._root(context.span_id)
        if root is not None:
            return root
        # A task that outlives its request still has the request's span as its current span, ended but readable.
        return span if isinstance(span, SDKSpan) and (span.parent is None or span.parent.is_remote) else None

    def span_of_this_call(self, current: Span | None, request: CallRequest) -> Span | None:
        """Return the span that somebody opened around this very call, or None; spans around it are noted as covered."""
        node = _innermost.get()
        if current is not None and not current.is_recording():
            current = None
        if node is None and current is None:
            return None
        found: SDKSpan | None = None
        here = current.get_span_context().span_id if current is not None else 0
        # By id, as instrumentations put wrappers of their spans into the context.
        if here in self._nodes:
            if node is None or node.live() is None:
                node = self._nodes[here]
        elif current is not None and _is_model_span(current):
            # A span of any scope that has said what it is since its start.
            node = self._note(_Node(current, node, _work(self.local_root(current))))
            # Nobody tells when a span ends whose provider lacks this processor.
            node.span = ref(current, lambda _: self._nodes.pop(here, None))
        while node is not None:
            span = node.live()
            free = span is not None and not node.covered and not node.suppressed
            if span is not None and free and (here in (node.own, node.parent) or found is not None):
                operation = operation_of(span.attributes or {})
                if operation is None:
                    node.covered = True  # should it turn out to be a model span: this call is made inside
                elif _asks_for(span, operation, request):
                    node.covered = True
                    if found is None:
                        found = span
            node = node.outer
        return found

    def note_call(self, root: SDKSpan | None, request: CallRequest) -> None:
        """Remember that a call starts, as framework spans around it may not be found from here."""
        if not self._nodes:
            return  # nobody has a model span open, so none can be around it
        embeds = request.operation == EMBEDDINGS
        self._started.append(_Started(time.time_ns(), _work(root), request.model, embeds))

    def expect_late(self, call: Call | None) -> None:
        """Note a call without a span, for an instrumentation that will open one when it has returned."""
        if call is not None or _late.get() is not None:
            _late.set(call)

    # The rest ----------------------------------------------------------------------------------------------------

    def _root(self, span_id: int) -> SDKSpan | None:
        root = self._roots.get(span_id)
        return root() if type(root) is ref else cast("SDKSpan | None", root)

    def _remember_root(self, span: SDKSpan, context: Context | None) -> None:
        parent, kind = span.parent, span.kind
        if len(self._roots) >= MAX_OPEN:
            _forget_oldest(self._roots)
        # A request served, or a message taken, is a piece of work of its own even where its sender is in this process.
        if parent is None or parent.is_remote or kind is _SERVER or kind is _CONSUMER:
            self._roots[span.context.span_id] = ref(span)
        elif (root := self._root(parent.span_id) or self._ended_root(parent.span_id, context)) is not None:
            self._roots[span.context.span_id] = root

    def _ended_root(self, span_id: int, context: Context | None) -> SDKSpan | None:
        """Return the local root that has this id and has ended, as a request's has when its background tasks start."""
        around = get_current_span(context)
        return self.local_root(around) if around.get_span_context().span_id == span_id else None

    def _look_at(self, span: SDKSpan, name: str, parent_context: Context | None) -> None:
        """Note a span of the instrumentation scope ``name`` if it is of a model call."""
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
        own = span.context.span_id
        node = _Node(span, outer, _work(self._root(own)))
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
        if name in self.adapted_scopes:
            node.covered = True
        _innermost.set(self._note(node))

    def _note(self, node: _Node) -> _Node:
        if len(self._nodes) >= MAX_OPEN:
            _forget_oldest(self._nodes)
        self._nodes[node.own] = node
        return node

    def _repeats_a_call(self, span: ReadableSpan, node: _Node, operation: str, requested: str | None) -> bool:
        """Say whether an adapter's call started while ``span`` lasted, in the same piece of work, for the same model.

        Callbacks of asynchronous frameworks run in tasks and threads of their own, from which nothing reaches the call.
        """
        for call in reversed(self._started):
            if span.start_time is None or call.at < span.start_time:
                return False
            if (
                call.root == node.root
                and call.embeds is (operation == EMBEDDINGS)
                and (requested is None or call.model is None or same_model(requested, call.model))
                and (span.end_time is None or call.at <= span.end_time)
            ):
                return True
        return False

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
        provider = provider_name(_text(attributes, *PROVIDER_NAMES)) or "unknown"
        requested, reported = models_of(attributes)
        if provider in self.adapted_providers or self._repeats_a_call(span, node, operation, requested):
            return
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
        tracker.recorder.record((key, None, _count_of(read), _count_of(written), seconds, None, None))


def _forget_oldest(table: dict[int, Any]) -> None:
    with suppress(StopIteration, RuntimeError, KeyError):  # another thread is at it: next time
        del table[next(iter(table))]


def _work(root: SDKSpan | None) -> int:
    """Return the id of the piece of work that a local root stands for; 0 where it is only a framework's own span.

    Such a span may not be current, so that the calls inside it have another root, or none.
    """
    if root is None:
        return 0
    scope = root.instrumentation_scope
    return 0 if scope is not None and scope.name.startswith(LATER_SCOPES) else root.get_span_context().span_id


def _is_model_span(span: Span) -> TypeGuard[SDKSpan]:
    """Say whether ``span`` is somebody else's span of a model call, or what Logfire puts around one."""
    if not isinstance(span, ReadableSpan) or not span.is_recording() or operation_of(span.attributes or {}) is None:
        return False
    scope = span.instrumentation_scope
    return scope is None or scope.name != semconv.SCOPE


def _asks_for(span: SDKSpan, operation: str, request: CallRequest) -> bool:
    """Say whether a model span asks for what ``request`` asks for."""
    asked = (span.attributes or {}).get(semconv.REQUEST_MODEL)
    return (operation == EMBEDDINGS) is (request.operation == EMBEDDINGS) and (
        asked is None or request.model is None or asked == request.model
    )


def _text(attributes: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value[:64]
    return None


def _count_of(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
