"""Beside the frameworks' own instrumentations, whichever starts first: ours on one model span a call, one count.

Most of them open a span for the model call that the SDK below makes. Where that span says what it is when the call
starts, it is the call's span; where it says so only when it ends (OpenInference's for LangChain and LlamaIndex), the
call has a span of its own beside it, and theirs is not counted.
"""

from __future__ import annotations

import importlib.util

import beside
import pytest

LANGCHAIN = (
    "langchain",
    "langchain-chain",
    "langchain-responses",
    "langchain-azure",
    "langchain-elsewhere",
    "langchain-anthropic",
)
LLAMA_INDEX = ("llama-index", "llama-index-elsewhere")
# What starts the peer; which calls are made; whether its model spans are the calls' spans.
PEERS = {
    "openllmetry-langchain": ("opentelemetry.instrumentation.langchain:LangchainInstrumentor", LANGCHAIN, True),
    "openllmetry-llamaindex": ("opentelemetry.instrumentation.llamaindex:LlamaIndexInstrumentor", LLAMA_INDEX, True),
    "openinference-langchain": ("openinference.instrumentation.langchain:LangChainInstrumentor", LANGCHAIN, False),
    "openinference-llama-index": (
        "openinference.instrumentation.llama_index:LlamaIndexInstrumentor",
        LLAMA_INDEX,
        False,
    ),
    "openinference-instructor": (
        "openinference.instrumentation.instructor:InstructorInstrumentor",
        ("instructor",),
        True,
    ),
    "openinference-pydantic-ai": (
        "openinference.instrumentation.pydantic_ai:OpenInferenceSpanProcessor",
        ("pydantic-ai",),
        True,
    ),
    "pydantic-ai itself": ("pydantic_ai.models.instrumented:InstrumentationSettings", ("pydantic-ai",), True),
}
# Started in a task that the call is not made in: then theirs is one more span, not one more count.
IN_ANOTHER_TASK = {("openllmetry-langchain", "langchain-chain async stream")}


def need(name):
    module, _, _ = PEERS[name][0].partition(":")
    try:
        found = importlib.util.find_spec(module)
    except ImportError:
        found = None
    if found is None:
        pytest.skip(f"{module} is not in this environment; make compat has it")


@pytest.mark.parametrize("order", ["theirs first", "ours first"])
@pytest.mark.parametrize("name", PEERS)
def test_one_call_is_one_count_and_ours_is_on_one_model_span(name, order):
    need(name)
    peer, calls, theirs_is_the_calls = PEERS[name]
    results = beside.run("beside_framework.py", peer, order, *calls, timeout=100)
    assert len(results) == 4 * len(calls)
    for label, result in results.items():
        requested, served = result["expected"]
        assert result["counted"] == 1, label
        assert result["surfaces"] == ["digest"], label
        ours = [span for span in result["spans"] if "llm_routing.match" in span["attributes"]]
        assert len(ours) == 1, (label, [s["scope"] for s in result["spans"]])
        assert ours[0]["model_span"], label
        others = [span["scope"] for span in result["spans"] if span["model_span"] and span is not ours[0]]
        reached = theirs_is_the_calls and (name, label) not in IN_ANOTHER_TASK
        assert len(others) == (0 if reached else 1), (label, others)
        attributes = ours[0]["attributes"]
        assert attributes["llm_routing.match"] == "resolved", label
        assert attributes["llm_routing.surface"] == "digest", label
        assert attributes["gen_ai.request.model"] == requested, label
        assert attributes["gen_ai.response.model"] == served, label
