"""Beside another instrumentation, whichever starts first: one model span a call, ours on it, one count."""

from __future__ import annotations

import importlib.util

import beside
import pytest

PEERS = {
    "genai-openai": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai"),
    "genai-anthropic": ("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openllmetry-openai": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openllmetry-anthropic": ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openinference-openai": ("openinference.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openinference-anthropic": ("openinference.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
}


@pytest.mark.parametrize("order", ["theirs first", "ours first"])
@pytest.mark.parametrize("name", PEERS)
def test_one_call_is_one_span_and_one_count(name, order):
    module, cls, package = PEERS[name]
    try:
        found = importlib.util.find_spec(module)
    except ImportError:
        found = None
    if found is None:
        pytest.skip(f"{name} is not installed in this environment; the nox session 'peers' has it")
    results = beside.run("beside_peer.py", module, cls, package, order)
    assert len(results) in (4, 8)
    for label, result in results.items():
        requested, served = result["expected"]
        assert result["counted"] == 1, label
        assert result["matches"] == ["resolved"], label
        assert len(result["spans"]) == 1, (label, [s["scope"] for s in result["spans"]])
        attributes = result["spans"][0]["attributes"]
        assert attributes["llm_routing.match"] == "resolved", label
        assert attributes["llm_routing.surface"] == "unknown", label
        assert attributes["gen_ai.request.model"] == requested, label
        assert attributes["gen_ai.response.model"] == served, label
