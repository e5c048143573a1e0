"""Beside another instrumentation, whichever starts first: one model span a call, ours on it, one count."""

from __future__ import annotations

import importlib

import pytest
from conftest import Telemetry
from sdk_drivers import AnthropicMessages, OpenAIChat, OpenAIResponses, Verbs

from otel_llm_routing import LLMRoutingInstrumentor

PEERS = {
    "genai-openai": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", "openai"),
    "genai-anthropic": ("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openllmetry-openai": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openllmetry-anthropic": ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
    "openinference-openai": ("openinference.instrumentation.openai", "OpenAIInstrumentor", "openai"),
    "openinference-anthropic": ("openinference.instrumentation.anthropic", "AnthropicInstrumentor", "anthropic"),
}


@pytest.fixture(params=PEERS)
def peer(request):
    module, name, package = PEERS[request.param]
    try:
        cls = getattr(importlib.import_module(module), name)
    except ImportError:
        pytest.skip(f"{request.param} is not installed in this environment; the nox session 'peers' has it")
    return cls(), package, request.param


@pytest.fixture(params=["theirs first", "ours first"])
def telemetry(request, peer):
    telemetry = Telemetry()
    theirs, _, _ = peer
    providers = {"tracer_provider": telemetry.tracer_provider, "meter_provider": telemetry.meter_provider}
    if request.param == "theirs first":
        theirs.instrument(skip_dep_check=True, **providers)
    telemetry.instrument()
    if request.param == "ours first":
        theirs.instrument(skip_dep_check=True, **providers)
    yield telemetry
    # The reverse order, as an application that stops both would.
    if request.param == "ours first":
        theirs.uninstrument()
        LLMRoutingInstrumentor().uninstrument()
    else:
        LLMRoutingInstrumentor().uninstrument()
        theirs.uninstrument()


CASES = {"openai": [OpenAIChat, OpenAIResponses], "anthropic": [AnthropicMessages]}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("which", [0, 1])
async def test_one_call_is_one_span_and_one_count(peer, telemetry, provider, which, stream, is_async):
    _, package, name = peer
    if which >= len(CASES[package]):
        pytest.skip("this SDK has one kind of call to a chat model")
    driver = CASES[package][which](provider.url)
    sdk = Verbs(driver, is_async=is_async)
    result = await sdk.create(**({"stream": True} if stream else {}))
    if stream:
        await sdk.items(result)
    [counted] = telemetry.counted()
    assert counted["gen_ai.request.model"] == driver.requested
    assert counted["gen_ai.response.model"] == driver.served
    assert counted["llm_routing.match"] == "resolved"
    spans = telemetry.spans
    assert len(spans) == 1, [(s.name, s.instrumentation_scope.name) for s in spans]
    attributes = spans[0].attributes
    assert attributes["llm_routing.match"] == "resolved"
    assert attributes["llm_routing.surface"] == "unknown"
    assert attributes["gen_ai.response.model"] == driver.served
    assert attributes["gen_ai.request.model"] == driver.requested
