"""Fifty processes, one after the other, that each make a few calls and end: what a job queue or a cron table runs."""

from __future__ import annotations

import os
import sys

from openai import OpenAI
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from otel_llm_routing import LLMRoutingInstrumentor, surface

provider_url, otlp_url, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])


def work(number):
    resource = Resource.create({"service.name": "digest", "service.instance.id": f"worker-{number}"})
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(otlp_url), export_interval_millis=60_000)
    meters = MeterProvider([reader], resource=resource)
    LLMRoutingInstrumentor().instrument(meter_provider=meters)
    client = OpenAI(api_key="test", base_url=f"{provider_url}/v1")
    with surface("digest"):
        for _ in range(1 + number % 5):
            client.chat.completions.create(model="openrouter/auto", messages=[{"role": "user", "content": "a comment"}])
    meters.shutdown()


for each in range(workers):
    if (child := os.fork()) == 0:
        work(each)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(f"worker {each} failed")
