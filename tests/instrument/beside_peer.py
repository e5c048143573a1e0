"""Run by ``test_beside_peers.py``, a process for each peer and order: some peers cannot be taken off again.

Prints, for each kind of call, the spans and the counts that it made.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys

from conftest import Telemetry
from fake_provider import FakeProvider
from sdk_drivers import AnthropicMessages, OpenAIChat, OpenAIResponses

CASES = {"openai": [OpenAIChat, OpenAIResponses], "anthropic": [AnthropicMessages]}


async def main(module: str, name: str, package: str, order: str) -> None:
    telemetry = Telemetry()
    peer = getattr(importlib.import_module(module), name)()
    providers = {"tracer_provider": telemetry.tracer_provider, "meter_provider": telemetry.meter_provider}
    if order == "theirs first":
        peer.instrument(skip_dep_check=True, **providers)
    telemetry.instrument()
    if order == "ours first":
        peer.instrument(skip_dep_check=True, **providers)
    results = {}
    counted = 0
    with FakeProvider() as provider:
        for cls in CASES[package]:
            for is_async in (False, True):
                for stream in (False, True):
                    telemetry.exporter.clear()
                    sdk = cls(provider.url, is_async=is_async)
                    if stream:
                        await sdk.items(await sdk.stream())
                    else:
                        await sdk.create()
                    requests = telemetry.counted()
                    label = f"{cls.__name__} {'async' if is_async else 'sync'} {'stream' if stream else 'whole'}"
                    results[label] = {
                        "expected": [cls.requested, cls.served],
                        "spans": [
                            {"scope": s.instrumentation_scope.name, "attributes": dict(s.attributes)}
                            for s in telemetry.spans
                        ],
                        "counted": len(requests) - counted,
                        "matches": sorted({r["llm_routing.match"] for r in requests}),
                    }
                    counted = len(requests)
    print(json.dumps(results, default=str))


asyncio.run(main(*sys.argv[1:]))
