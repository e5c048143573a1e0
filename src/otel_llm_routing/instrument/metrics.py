"""The metrics of ``llm_routing.*``: one process-wide table of counts, and three histograms.

A call that ends only appends one tuple to a queue, which takes well under a microsecond, needs no lock and is safe in
a finaliser that the garbage collector runs at any point. The queue is worked off in batches and before each
collection: counts go to a table that observable counters report, sizes and times to histograms, with the call's own
span as their context so that exemplars point at it.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from otel_llm_routing import semconv
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.put_off import settle
from otel_llm_routing.instrument.surface import OTHER, Cap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.trace import Span


BATCH = 32
"""Calls that may wait in the queue before the thread that ends one works it off."""

MAX_SERIES = 1800
"""Distinct attribute sets of one counter; below the SDK's own limit of 2000, past which it would merge them."""

MAX_NAMES = 100
"""Distinct providers of one recorder, and distinct errors."""

_EMPTY = Context()
_NO_SPAN = set_span_in_context(INVALID_SPAN, _EMPTY)
"""Where no exemplar is wanted: without a context, the span current where the queue is worked off would be one."""

SIZE_BOUNDS = [256.0 * 2**n for n in range(10)]
"""Characters; powers of two so that a size-stratified comparison can use the buckets as strata."""
SECOND_BOUNDS = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4]

# The values of semconv.REQUEST_ATTRIBUTES.
Key = tuple[str, str, str, "str | None", "str | None", str, str, str, bool, "str | None"]
# Of these the surface, the provider, the requested and the served model.
Four = tuple[str, str, "str | None", "str | None"]
# key, characters (None where nobody saw them), input tokens, output tokens, seconds, seconds to first chunk, the span
Finished = tuple[Key, "int | None", int, int, float, "float | None", "Span | None"]
# Whose time falls into which bucket: of that, its error, and the bucket's number.
_Bucket = tuple[Four, "str | None", int]


class Recorder:
    """Counts finished calls and reports them to one meter."""

    def __init__(self, meter: Meter) -> None:
        self._queue: deque[Finished] = deque()
        self._lock = threading.RLock()  # metrics may be collected by a handler of a signal, at any point in this thread
        self._providers = Cap(MAX_NAMES)
        self._errors = Cap(MAX_NAMES)
        self._requests: dict[Key, list[int]] = {}
        """A list of one each: a signal's handler, in which metrics are collected, cannot come amid its increment."""
        self._tokens: dict[Four, list[int]] = {}
        self._held = [
            meter,
            meter.create_observable_counter(
                semconv.REQUESTS, [self._observe_requests], unit="{request}", description="Calls to models."
            ),
            meter.create_observable_counter(
                semconv.INPUT_TOKENS_TOTAL, [self._observe_input], unit="{token}", description="Tokens read by models."
            ),
            meter.create_observable_counter(
                semconv.OUTPUT_TOKENS_TOTAL, [self._observe_output], unit="{token}", description="Tokens models wrote."
            ),
        ]
        """Logfire refers to them only weakly, and makes them anew when it is configured again."""
        self._size = _histogram(
            meter, semconv.INPUT_SIZE, "{character}", "Characters of the request's text.", SIZE_BOUNDS
        )
        self._duration = _histogram(
            meter, semconv.DURATION, "s", "From the call to the full receipt of its answer.", SECOND_BOUNDS
        )
        self._first = _histogram(
            meter, semconv.FIRST_CHUNK, "s", "From the call to the first chunk of a stream.", SECOND_BOUNDS
        )
        _recorders.add(self)

    def record(self, finished: Finished) -> None:
        """Count one finished call. Never blocks."""
        queue = self._queue
        queue.append(finished)
        if len(queue) >= BATCH and self._lock.acquire(blocking=False):
            try:
                self._work_off()
            finally:
                self._lock.release()

    def reset(self) -> None:
        """Forget everything: the child of a fork must not report its parent's calls again."""
        self._queue = deque()
        self._lock = threading.RLock()
        self._requests = {}
        self._tokens = {}

    def _work_off(self) -> None:
        queue, requests, tokens = self._queue, self._requests, self._tokens
        measured: list[tuple[_Bucket, int | None, float, float | None, Span | None]] = []
        while queue:
            try:
                key, size, read, written, seconds, first, span = queue.popleft()
            except IndexError:
                break
            counted = requests.get(key)
            if counted is None:
                key = self._bounded(key)
                counted = requests.setdefault(key, [0])
            counted[0] += 1
            four = (key[0], key[1], key[3], key[4])
            if read or written:
                both = tokens.get(four)
                if both is None:
                    both = tokens.setdefault(four, [0, 0])
                both[0] += read
                both[1] += written
            measured.append(((four, key[9], bisect_left(SECOND_BOUNDS, seconds)), size, seconds, first, span))
        # Of several in one bucket the SDK shows the last as an exemplar: to offer it the others only takes time.
        shown: dict[_Bucket, Span] = {}
        for bucket, _, _, _, span in reversed(measured):
            if span is not None and bucket not in shown and _sampled(span):
                shown[bucket] = span
        for bucket, size, seconds, first, span in measured:
            context = _NO_SPAN
            if span is not None and shown.get(bucket) is span:
                context = set_span_in_context(span, _EMPTY)
            self._histograms(bucket[0], bucket[1], size, seconds, first, context)

    def _bounded(self, key: Key) -> Key:
        """Return what a new attribute set is counted as: whatever is past a limit becomes ``other``.

        Surfaces and models have limits of their own before they come here. Providers and errors are named by other
        libraries' spans, and by the provider, too.
        """
        requests = self._requests
        key = (key[0], self._providers(key[1]), *key[2:9], key[9] and self._errors(key[9]))
        if key not in requests and len(requests) >= MAX_SERIES:
            key = (key[0], key[1], key[2], OTHER, key[4] and OTHER, *key[5:])
            if key not in requests and len(requests) >= MAX_SERIES + 100:
                key = (OTHER, OTHER, key[2], OTHER, OTHER, "unknown", *key[6:8], False, None)
        return key

    def _histograms(
        self,
        four: Four,
        error: str | None,
        size: int | None,
        seconds: float,
        first: float | None,
        context: Context,
    ) -> None:
        attributes = _four(four)
        if size is not None:
            _record(self._size, size, attributes, _NO_SPAN)
        if first is not None:
            _record(self._first, first, attributes, context)
        if error is not None:
            attributes = {**attributes, semconv.ERROR_TYPE: error}
        _record(self._duration, seconds, attributes, context)

    def _current(self) -> None:
        settle()
        with self._lock:
            self._work_off()

    def _observe_requests(self, options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG002
        self._current()
        return [Observation(count, _attributes(key)) for key, [count] in list(self._requests.items())]

    def _observe_input(self, options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG002
        return list(self._token_observations(0))

    def _observe_output(self, options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG002
        return list(self._token_observations(1))

    def _token_observations(self, which: int) -> Iterator[Observation]:
        self._current()
        for four, both in list(self._tokens.items()):
            yield Observation(both[which], _four(four))


def _histogram(meter: Meter, name: str, unit: str, description: str, bounds: list[float]) -> Any:
    try:
        return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=bounds)
    except TypeError:  # an API before 1.30, or another implementation, without the advisory
        return meter.create_histogram(name, unit, description)


def _record(histogram: Any, value: float, attributes: dict[str, Any], context: Context) -> None:
    try:
        histogram.record(value, attributes, context=context)
    except Exception:  # noqa: BLE001  (a view of the application's)
        swallowed("record a call's size and time")


def _sampled(span: Span) -> bool:
    try:
        return span.get_span_context().trace_flags.sampled
    except Exception:  # noqa: BLE001  (a span of another SDK)
        return False


def _attributes(key: Key) -> dict[str, Any]:
    # Only what is there: an absent served model is an absent attribute, not an empty one.
    return {
        name: value
        for name, value in zip(semconv.REQUEST_ATTRIBUTES, key, strict=True)
        if value is not None and value is not False
    }


def _four(four: Four) -> dict[str, Any]:
    surface, provider, requested, served = four
    attributes = {semconv.SURFACE: surface, semconv.PROVIDER: provider}
    if requested is not None:
        attributes[semconv.REQUEST_MODEL] = requested
    if served is not None:
        attributes[semconv.RESPONSE_MODEL] = served
    return attributes


_recorders: WeakSet[Recorder] = WeakSet()


def _after_fork() -> None:
    for recorder in list(_recorders):
        recorder.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
