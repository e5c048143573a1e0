"""Run by ``test_beside_ai_frameworks.py``, a process for each peer and order: some peers cannot be taken off again.

Prints, for each kind of call, the spans and the counts that it made.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys

from conftest import Telemetry
from fake_provider import FakeProvider
from framework_calls import FRAMEWORKS

from otel_llm_routing import surface
from otel_llm_routing.model_span import operation_of


def start(peer, telemetry):
    """Start a peer: an instrumentor, or what makes pydantic-ai trace by itself."""
    module, name = peer.split(":")
    providers = {"tracer_provider": telemetry.tracer_provider, "meter_provider": telemetry.meter_provider}
    cls = getattr(importlib.import_module(module), name)
    if hasattr(cls, "instrument"):
        cls().instrument(skip_dep_check=True, **providers)
        return
    if name == "OpenInferenceSpanProcessor":
        telemetry.tracer_provider.add_span_processor(cls())
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    Agent.instrument_all(InstrumentationSettings(**providers))


async def main(peer: str, order: str, *names: str) -> None:
    telemetry = Telemetry()
    if order == "theirs first":
        start(peer, telemetry)
    telemetry.instrument()
    if order == "ours first":
        start(peer, telemetry)
    results = {}
    counted = 0
    with FakeProvider() as provider:
        for name in names:
            for is_async in (False, True):
                for streams in (False, True):
                    telemetry.exporter.clear()
                    sdk = FRAMEWORKS[name](provider.url, is_async=is_async)
                    with surface("digest"):
                        await (sdk.stream() if streams else sdk.whole())
                    requests = telemetry.counted()
                    label = f"{name} {'async' if is_async else 'sync'} {'stream' if streams else 'whole'}"
                    results[label] = {
                        "expected": [sdk.requested, sdk.served],
                        "spans": [
                            {
                                "scope": s.instrumentation_scope.name,
                                "model_span": operation_of(s.attributes) is not None,
                                "attributes": dict(s.attributes),
                            }
                            for s in telemetry.exporter.get_finished_spans()
                        ],
                        "counted": len(requests) - counted,
                        "surfaces": sorted({r["llm_routing.surface"] for r in requests}),
                    }
                    counted = len(requests)
    print(json.dumps(results, default=str))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
