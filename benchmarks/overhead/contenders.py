"""Who is measured, and what to install for it."""

from __future__ import annotations

from typing import NamedTuple


class Contender(NamedTuple):
    """An instrumentation; ``key`` is that of ``instrumentations.SWITCH_ON``."""

    key: str
    name: str
    requirements: tuple[str, ...]
    """Installed beside ``BESIDE``; none where it runs in the environment of ``OURS``."""


BESIDE = ("anthropic", "openai", "opentelemetry-sdk")
"""What every environment has: the SDKs that are instrumented, and what an application records with."""
BARE = "bare"
FLOOR = Contender("floor", "hand-written floor", ())
OURS = Contender("ours", "otel-llm-routing", (".",))
PEERS = (
    Contender(
        "genai",
        "OpenTelemetry genai-*",
        ("opentelemetry-instrumentation-genai-openai>=1.3b0", "opentelemetry-instrumentation-genai-anthropic>=1.3b0"),
    ),
    Contender(
        "openinference",
        "OpenInference",
        ("openinference-instrumentation-openai", "openinference-instrumentation-anthropic"),
    ),
    Contender(
        "openllmetry",
        "OpenLLMetry",
        ("opentelemetry-instrumentation-openai", "opentelemetry-instrumentation-anthropic"),
    ),
    Contender("logfire", "Logfire", ("logfire",)),
    Contender("openlit", "OpenLIT", ("openlit",)),
)
EVERY = (FLOOR, OURS, *PEERS)
