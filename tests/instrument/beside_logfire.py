"""Run by ``test_beside_logfire.py``, a process for each order: Logfire brings providers of its own, for good.

Prints, for each kind of call, what was counted, and the spans for it.
"""

from __future__ import annotations

import asyncio
import json
import sys

import logfire
from conftest import Telemetry
from fake_provider import FakeProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk_drivers import AnthropicMessages, OpenAIChat, OpenAIResponses

from otel_llm_routing import LLMRoutingInstrumentor, surface


class Configured(Telemetry):
    """What Logfire's providers export, which are the global ones."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()

    def configure(self):
        logfire.configure(
            send_to_logfire=False,
            console=False,
            inspect_arguments=False,
            additional_span_processors=[SimpleSpanProcessor(self.exporter)],
            metrics=logfire.MetricsOptions(additional_readers=[self.reader]),
        )
        logfire.instrument_openai()
        logfire.instrument_anthropic()

    @property
    def calls(self):
        """The spans of calls: not the logs that Logfire makes of streams that are over."""
        return [span for span in self.spans if span.attributes.get("logfire.span_type") not in ("log", "pending_span")]


async def main(order: str) -> None:
    telemetry = Configured()
    switches = [telemetry.configure, LLMRoutingInstrumentor().instrument]
    for switch in switches if order == "theirs first" else reversed(switches):
        switch()
    results = {}
    counted = 0
    with FakeProvider() as provider:
        for cls in (OpenAIChat, OpenAIResponses, AnthropicMessages):
            for is_async in (False, True):
                for stream in (False, True):
                    telemetry.exporter.clear()
                    sdk = cls(provider.url, is_async=is_async)
                    label = f"{cls.__name__} {'async' if is_async else 'sync'} {'stream' if stream else 'whole'}"
                    with surface(label):
                        if stream:
                            await sdk.items(await sdk.stream())
                        else:
                            await sdk.create()
                    requests = telemetry.counted()
                    results[label] = {
                        "expected": [cls.requested, cls.served],
                        "stream": stream,
                        "counted": [r for r in requests if r["llm_routing.surface"] == label],
                        "added": len(requests) - counted,
                        "spans": [dict(s.attributes) for s in telemetry.calls],
                    }
                    counted = len(requests)
    print(json.dumps(results, default=str))


asyncio.run(main(*sys.argv[1:]))
