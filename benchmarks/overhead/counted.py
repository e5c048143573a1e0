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

CALLS = {"chat": 32, "messages": 32, "chunks": CHUNKS}
"""Of chat as many as a batch of the queue in which finished calls wait, so that each has its share of its work."""
WARM = {"chat": 64, "messages": 64}


def main() -> None:
    """Count each workload bare and instrumented; what cannot be taken back, such as a provider, comes late."""
    from otel_llm_routing import LLMRoutingInstrumentor  # noqa: PLC0415

    found = workloads.openai_workloads() | workloads.anthropic_workloads()
    parsed = workloads.parsed_chunks()
    callgrind = Callgrind()

    def count(name: str, *which: str) -> None:
        for workload in which:
            found[workload](WARM[workload])
            with _counted(callgrind, f"{name} {workload}"):
                found[workload](CALLS[workload])

    count("bare no-op", "chat")
    LLMRoutingInstrumentor().instrument()
    count("ours no-op", "chat")
    telemetry.set_up("exporting", threads=False)
    count("ours exporting", "chat", "messages")
    for name, observe in (("bare", _unobserved), ("ours", _observed)):
        _drain(observe(parsed))
        items = observe(parsed)
        next(items)  # what is done once for a stream
        with _counted(callgrind, f"{name} exporting chunks"):
            _drain(items)
    LLMRoutingInstrumentor().uninstrument()
    count("bare exporting", "chat", "messages")
    instrumentations.floor()
    count("floor exporting", "chat", "messages")


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
