"""Forks one pod after another: each serves a few calls on its surfaces, exports several times, and ends.

    python -m scale.pods PROVIDER_URL OTLP_URL PODS ALIVE

A pod is a process of its own with its own ``service.instance.id``, made from one that has imported everything.
"""

from __future__ import annotations

import os
import random
import sys
import traceback

from openai import OpenAI
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from otel_llm_routing import LLMRoutingInstrumentor, surface

SURFACES = {"autocomplete": 4, "chart-tooltip": 2, "long-form-draft": 1}
"""How often each is used, against the others."""
ROUNDS = 2
"""Exports of a pod while it lives; it exports once more when it ends."""
CALLS = 3
"""At most so many in a round."""


def main() -> None:
    """Keep ``ALIVE`` pods running until ``PODS`` have run. Ends with 1 if one of them failed."""
    provider, otlp, pods, alive = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    client = OpenAI(api_key="none", base_url=f"{provider}/v1")
    running: set[int] = set()
    for number in range(pods):
        if len(running) >= alive:
            running.remove(_ended())
        if (child := os.fork()) == 0:
            _pod(number, client, otlp)
        running.add(child)
        print(number, flush=True)
    while running:
        running.remove(_ended())


def _ended() -> int:
    child, status = os.wait()
    if status:
        sys.exit(f"pod {child} ended with {status}")
    return child


def _pod(number: int, client: OpenAI, otlp: str) -> None:
    code = 1
    try:
        _serve(number, client, otlp)
        code = 0
    except BaseException:  # noqa: BLE001  (a fork must not go on as its parent)
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve(number: int, client: OpenAI, otlp: str) -> None:
    drawn = random.Random(number)
    resource = Resource.create({"service.name": "shop", "service.instance.id": f"pod-{number}"})
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(otlp), export_interval_millis=3_600_000)
    meters = MeterProvider([reader], resource=resource)
    LLMRoutingInstrumentor().instrument(meter_provider=meters)
    for _ in range(ROUNDS):
        for _ in range(drawn.randint(1, CALLS)):
            (name,) = drawn.choices(list(SURFACES), list(SURFACES.values()))
            said = [{"role": "user", "content": f"pod-{number} {name}"}]
            with surface(name):
                if drawn.random() < 0.25:  # noqa: PLR2004
                    said[0]["content"] += " stream"
                    list(client.chat.completions.create(model="openrouter/auto", messages=said, stream=True))
                else:
                    client.chat.completions.create(model="openrouter/auto", messages=said)
        meters.force_flush()
    meters.shutdown()


if __name__ == "__main__":
    main()
