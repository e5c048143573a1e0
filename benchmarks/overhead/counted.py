"""What is counted, inside valgrind, in one process: see ``instructions.py``."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any

from overhead import instrumentations, telemetry, workloads
from overhead.callgrind import Callgrind
from overhead.workloads import CHUNKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from overhead.workloads import Workload

CALLS = {"chat": 32, "messages": 32, "chunks": CHUNKS, "handed": 32}
"""Of chat as many as a batch of the queue in which finished calls wait, so that each has its share of its work."""
SERIES = ("llm_routing.surface", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model")
"""The attributes of the histograms."""
WARM = 2
"""Times as many calls before any is counted."""


def main() -> None:
    """Count each workload bare and instrumented; what cannot be taken back, such as a provider, comes late."""
    from otel_llm_routing import LLMRoutingInstrumentor  # noqa: PLC0415

    found = workloads.openai_workloads() | workloads.anthropic_workloads()
    parsed = workloads.parsed_chunks()
    callgrind = Callgrind()

    def calls(name: str, *which: str) -> None:
        for workload in which:
            count(callgrind, f"{name} {workload}", found[workload], CALLS[workload])

    calls("bare no-op", "chat")
    LLMRoutingInstrumentor().instrument()
    calls("ours no-op", "chat")
    telemetry.set_up("exporting", threads=False)
    calls("ours exporting", "chat", "messages")
    for name, observe in (("bare", _unobserved), ("ours", _observed)):
        _drain(observe(parsed))
        items = observe(parsed)
        next(items)  # what is done once for a stream
        with _counted(callgrind, f"{name} exporting chunks"):
            _drain(items)
    LLMRoutingInstrumentor().uninstrument()
    calls("bare exporting", "chat", "messages")
    count(callgrind, "sdk exporting handed", _handing_over(found["chat"]), CALLS["handed"])
    instrumentations.floor()
    calls("floor exporting", "chat", "messages")


def _handing_over(chat: Any) -> Any:
    """Return what does nothing but hand a chat call's span, and its two histograms, to the OpenTelemetry SDK."""
    from opentelemetry import metrics, trace  # noqa: PLC0415
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider  # noqa: PLC0415

    from otel_llm_routing import LLMRoutingInstrumentor  # noqa: PLC0415

    seen: list[dict[str, Any]] = []

    class Seen(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002
            seen.append(dict(span.attributes))

        def on_end(self, span: Any) -> None:
            seen.append(dict(span.attributes))

    provider = TracerProvider()
    provider.add_span_processor(Seen())
    LLMRoutingInstrumentor().instrument(tracer_provider=provider)
    chat(1)
    LLMRoutingInstrumentor().uninstrument()
    started, ended = seen
    later = {name: value for name, value in ended.items() if name not in started}
    series = {name: ended[name] for name in SERIES}
    meter = metrics.get_meter("handing over")
    size, duration = meter.create_histogram("size"), meter.create_histogram("duration")
    tracer = TracerProvider().get_tracer("handing over")

    def hand_over(calls: int) -> None:
        for _ in range(calls):
            span = tracer.start_span("chat gpt-5", kind=trace.SpanKind.CLIENT, attributes=started)
            span.set_attributes(later)
            span.end()
            size.record(441, series)
            duration.record(0.5, series, context=trace.set_span_in_context(span))

    return hand_over


def _unobserved(parsed: list[Any]) -> Iterator[Any]:
    # The end of a stream, at which its call ends, is not what is counted: so it never comes.
    yield from parsed
    yield from parsed
    yield None


def _observed(parsed: list[Any]) -> Iterator[Any]:
    from otel_llm_routing.instrument import streams  # noqa: PLC0415
    from otel_llm_routing.instrument.adapters import completions, openai  # noqa: PLC0415
    from otel_llm_routing.instrument.call import CallRequest  # noqa: PLC0415

    request = CallRequest("chat", "openai", "gpt-5", completions.read_completion)
    call = openai.ADAPTER.start(lambda *_: request, None, (), {})
    assert call is not None  # noqa: S101
    return streams.items(_unobserved(parsed), call, completions.read_completion)


def _drain(items: Iterator[Any]) -> None:
    for _ in range(CHUNKS):
        next(items)


def count(callgrind: Callgrind, name: str, workload: Workload, calls: int) -> None:
    """Count so many calls, once what is done only at first is over, and write that down under ``name``."""
    workload(WARM * calls)
    with _counted(callgrind, name):
        workload(calls)


@contextlib.contextmanager
def _counted(callgrind: Callgrind, name: str) -> Iterator[None]:
    gc.collect()
    gc.disable()
    callgrind.start()
    yield
    callgrind.stop(name)
    gc.enable()


if __name__ == "__main__":
    main()
