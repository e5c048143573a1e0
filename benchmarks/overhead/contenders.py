"""Who is measured, and what to install for it."""

from __future__ import annotations

from typing import NamedTuple


class Contender(NamedTuple):
    """An instrumentation; ``key`` is that of ``instrumentations.SWITCH_ON``."""

    key: str
    name: str
    requirements: tuple[str, ...]
    """Installed beside ``BESIDE``; none where it runs in the environment of ``OURS``."""
    both_models: bool
    """Records the requested and the served model, neither copied from the other, of every workload."""


BESIDE = ("anthropic", "openai", "opentelemetry-sdk")
"""What every environment has: the SDKs that are instrumented, and what an application records with."""
BARE = "bare"
FLOOR = Contender("floor", "hand-written floor", (), both_models=True)
OURS = Contender("ours", "otel-llm-routing", (".",), both_models=True)
PEERS = (
    Contender(
        "genai",
        "OpenTelemetry genai-*",
        ("opentelemetry-instrumentation-genai-openai>=1.3b0", "opentelemetry-instrumentation-genai-anthropic>=1.3b0"),
        both_models=True,
    ),
    Contender(
        "openinference",
        "OpenInference",
        ("openinference-instrumentation-openai", "openinference-instrumentation-anthropic"),
        both_models=False,  # overwrites the requested one
    ),
    Contender(
        "openllmetry",
        "OpenLLMetry",
        ("opentelemetry-instrumentation-openai", "opentelemetry-instrumentation-anthropic"),
        both_models=True,
    ),
    Contender("logfire", "Logfire", ("logfire",), both_models=False),  # of a stream, the requested one twice
    Contender("openlit", "OpenLIT", ("openlit",), both_models=True),
)
EVERY = (FLOOR, OURS, *PEERS)
