"""What the provider really served, and the process that asked for it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from collectors import TOKEN

from otel_llm_routing.models import kind_of, match

SERVED = {
    "openrouter/auto": {
        "claude-sonnet-4-5-20250929": 0.7,
        "claude-haiku-4-5-20251001": 0.25,
        "gpt-5-mini-2025-08-07": 0.03,
        "openrouter/auto": 0.02,
    },
    "gpt-5": {"gpt-5-2025-08-07": 0.9, "gpt-5": 0.1},
    "gpt-5-2025-08-07": {"gpt-5-2025-08-07": 0.95, "gpt-5-2026-01-15": 0.05},
    "gpt-4o-mini": {"gpt-4o-mini-2024-07-18": 1.0},
}


class Truth:
    """Routes each request, and remembers what served whom."""

    def __init__(self, seed=5):
        self.served = Counter()
        self._random = random.Random(seed)

    def __call__(self, requested, body):
        choice = SERVED[requested]
        (served,) = self._random.choices(list(choice), list(choice.values()))
        self.served[body["messages"][0]["content"], requested, served] += 1
        return served

    def counts(self):
        """Return {(surface, requested, served, kind, match): calls}, as it ought to be counted."""
        return {
            (surface, asked, served, kind_of(asked, "openai"), match(asked, "openai", served)): calls
            for (surface, asked, served), calls in self.served.items()
        }


class Shop:
    """``calls.py`` in a process of its own; a context manager. ``go_on`` lets it make the second half of its calls."""

    def __init__(
        self, provider, instrumentation, calls, *, traces=None, metrics=None, cert=None, temporality="cumulative"
    ):
        environment = {
            **os.environ,
            # Where they are set, they are believed before the exporter's own settings.
            **dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), str(cert or "")),
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality,
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": str(cert),
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"authorization=Bearer%20{TOKEN}",
        }
        where = (
            f"https://{traces}/v1/traces" if traces else "none",
            f"http://{metrics}/v1/metrics" if metrics else "none",
        )
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("calls.py"), provider.url, instrumentation, str(calls), *where],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        assert self.process.stdout.readline() == "half\n", self.process.communicate()[1]
        return self

    def go_on(self):
        """Let it make the rest of its calls, and wait for its end."""
        _, said = self.process.communicate("\n", timeout=500)
        assert self.process.returncode == 0, said

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
