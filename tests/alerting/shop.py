"""A small application that calls a model for two surfaces until it is told to stop; it knows nothing of telemetry."""

from __future__ import annotations

import signal
import sys
import threading

from openai import OpenAI

from otel_llm_routing import surface

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
client = OpenAI(api_key="test", base_url=f"{sys.argv[1]}/v1", max_retries=0)
wait = float(sys.argv[2])
while not stop.is_set():
    for name in ("autocomplete", "drafts"):
        with surface(name):
            client.chat.completions.create(model="openrouter/auto", messages=[{"role": "user", "content": name}])
    stop.wait(wait)
