"""Frameworks on top of the SDKs: nothing of theirs is patched; one call is one span and one count, with its surface.

Their threads and tasks keep the surface, an agent's every call to a model is a call of its own.
"""

from __future__ import annotations

import asyncio

import pytest
from framework_calls import FRAMEWORKS, Instructor, LangChain, LangChainChain, LlamaIndex, PydanticAI

from otel_llm_routing import surface

in_both_modes = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def framework(request, provider, telemetry):
    """Return what makes a framework, once the test has chosen one: an absent one is a skip, with its reason."""
    return lambda cls, is_async=False: cls(provider.url, is_async=is_async)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@in_both_modes
@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_one_call_is_one_span_and_one_count_with_its_surface(framework, telemetry, name, is_async, streams):
    sdk = framework(FRAMEWORKS[name], is_async)
    with surface("digest"):
        await (sdk.stream() if streams else sdk.whole())
    counted = telemetry.one()
    assert counted["llm_routing.surface"] == "digest"
    assert counted["gen_ai.provider.name"] == sdk.provider
    assert counted["gen_ai.request.model"] == sdk.requested
    assert counted["gen_ai.response.model"] == sdk.served
    assert counted["llm_routing.match"] == "resolved"
    assert telemetry.span().attributes.get("gen_ai.request.stream", False) is streams


@pytest.mark.parametrize("name", ["langchain", "llama-index", "pydantic-ai", "instructor"])
async def test_tasks_at_once_keep_their_surfaces(framework, telemetry, name):
    sdk = framework(FRAMEWORKS[name], is_async=True)

    async def one(i):
        with surface(f"s{i}"):
            await (sdk.stream() if i % 2 else sdk.whole())

    await asyncio.gather(*(one(i) for i in range(6)))
    assert sorted(c["llm_routing.surface"] for c in telemetry.counted()) == [f"s{i}" for i in range(6)]
    assert len(telemetry.spans) == 6


@pytest.mark.parametrize("name", ["langchain", "llama-index", "pydantic-ai", "instructor"])
async def test_a_failed_call_is_counted_with_its_error(framework, telemetry, provider, name):
    provider.answers(fault="status:400")
    with pytest.raises(Exception):  # noqa: B017  (each framework has its own)
        await framework(FRAMEWORKS[name]).whole()
    assert telemetry.one()["error.type"] == "BadRequestError"


def all_with(telemetry, name, n):
    """Check that there are ``n`` calls, each with a span of its own, all with the same surface."""
    assert [c["llm_routing.surface"] for c in telemetry.counted()] == [name] * n
    assert [s.attributes["llm_routing.surface"] for s in telemetry.spans] == [name] * n
    assert {s.attributes["gen_ai.response.model"] for s in telemetry.spans} == {"gpt-5-2025-08-07"}


# LangChain -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [LangChain, LangChainChain])
@in_both_modes
async def test_a_batch_is_as_many_calls_from_its_threads_or_tasks(framework, telemetry, cls, is_async):
    model = framework(cls, is_async).model()
    with surface("digest"):
        if is_async:
            await model.abatch(["a", "b", "c"])
        else:
            model.batch(["a", "b", "c"])
    all_with(telemetry, "digest", 3)


def test_branches_that_langchain_runs_in_threads(framework, telemetry):
    model = framework(LangChain).model()
    from langchain_core.runnables import RunnableParallel

    with surface("digest"):
        RunnableParallel(a=model, b=model).invoke("hello")
    all_with(telemetry, "digest", 2)


@in_both_modes
async def test_an_agent_that_uses_a_tool_makes_two_calls(framework, telemetry, provider, is_async):
    model = framework(LangChain, is_async).model()
    agents = pytest.importorskip("langchain.agents", reason="this langchain has no agents")
    if not hasattr(agents, "create_agent"):
        pytest.skip("this langchain has no create_agent")

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sun in {city}"

    provider.answers(call_tool=True)
    agent = agents.create_agent(model, [weather])
    asked = {"messages": [{"role": "user", "content": "hello"}]}
    with surface("agent"):
        answer = await agent.ainvoke(asked) if is_async else agent.invoke(asked)
    assert [m.type for m in answer["messages"]] == ["human", "ai", "tool", "ai"]
    all_with(telemetry, "agent", 2)


def test_langchains_fallback_is_a_call_of_its_own(framework, telemetry, provider):
    provider.answers(fault="flaky:1")
    first = framework(LangChain).model()
    with surface("digest"):
        first.with_fallbacks([framework(LangChain).model()]).invoke("hello")
    assert [c.get("error.type") for c in telemetry.counted()] == ["InternalServerError", None]


def test_a_langchain_stream_left_early(framework, telemetry, provider):
    provider.answers(chunks=50)
    stream = framework(LangChain).model().stream("hello")
    next(stream)
    stream.close()
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "gpt-5-2025-08-07"
    assert "error.type" not in counted


def test_langchains_embeddings(framework, telemetry, provider):
    framework(LangChain)
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small", base_url=f"{provider.url}/v1", api_key="k", check_embedding_ctx_length=False
    )
    with surface("search"):
        embeddings.embed_documents(["a", "b"])
    counted = telemetry.one()
    assert (counted["gen_ai.operation.name"], counted["llm_routing.surface"]) == ("embeddings", "search")


# LlamaIndex ------------------------------------------------------------------------------------------------------


async def test_an_agent_of_llamaindex_keeps_the_surface_in_its_workflow(framework, telemetry, provider):
    sdk = framework(LlamaIndex, is_async=True)
    workflow = pytest.importorskip("llama_index.core.agent.workflow", reason="this llama-index has no workflows")

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sun in {city}"

    provider.answers(call_tool=True)
    agent = workflow.FunctionAgent(tools=[weather], llm=sdk.model())
    with surface("agent"):
        await agent.run("hello")
    all_with(telemetry, "agent", 2)


@in_both_modes
async def test_a_completion_of_llamaindex(framework, telemetry, is_async):
    model = framework(LlamaIndex, is_async).model()
    with surface("digest"):
        if is_async:
            await model.acomplete("hello")
        else:
            model.complete("hello")
    assert telemetry.one()["llm_routing.surface"] == "digest"


# pydantic-ai -----------------------------------------------------------------------------------------------------


async def test_an_agents_tool_may_ask_for_another_surface(framework, telemetry, provider):
    sdk = framework(PydanticAI, is_async=True)
    agent = sdk.agent()

    @agent.tool_plain
    async def weather(city: str) -> str:
        with surface("forecast"):
            return (await sdk.agent().run("hello")).output

    provider.answers(call_tool=True)
    with surface("agent"):
        await agent.run("hello")
    assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["agent", "agent", "forecast"]
    assert [s.attributes["llm_routing.surface"] for s in telemetry.spans] == ["agent", "forecast", "agent"]


# instructor ------------------------------------------------------------------------------------------------------


def test_an_answer_that_instructor_does_not_accept_is_asked_for_again_in_a_call_of_its_own(framework, telemetry):
    sdk = framework(Instructor)
    from pydantic import BaseModel, field_validator

    seen = []

    class Picky(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def refuse_the_first(cls, value):
            seen.append(value)
            if len(seen) == 1:
                raise ValueError("not this one")
            return value

    with surface("extract"):
        sdk.client().chat.completions.create(**{**sdk.arguments, "response_model": Picky, "max_retries": 2})
    assert len(seen) == 2
    all_with(telemetry, "extract", 2)


def test_instructor_with_completion(framework, telemetry):
    sdk = framework(Instructor)
    with surface("extract"):
        _, completion = sdk.client().chat.completions.create_with_completion(**sdk.arguments)
    assert completion.model == sdk.served
    all_with(telemetry, "extract", 1)


# OpenAI Agents SDK -----------------------------------------------------------------------------------------------


@pytest.fixture
def agents():
    agents = pytest.importorskip("agents", reason="openai-agents is not installed; make compat has it")
    agents.set_tracing_disabled(True)  # it would send its traces to OpenAI
    return agents


def openai_agent(agents, provider, kind):
    import openai

    client = openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0)

    @agents.function_tool
    def weather(city: str) -> str:
        return f"sun in {city}"

    return agents.Agent(name="a", model=getattr(agents, kind)(model="gpt-5", openai_client=client), tools=[weather])


@pytest.mark.parametrize("kind", ["OpenAIChatCompletionsModel", "OpenAIResponsesModel"])
async def test_a_run_of_the_agents_sdk(agents, provider, telemetry, kind):
    agent = openai_agent(agents, provider, kind)
    with surface("agent"):
        await agents.Runner.run(agent, "hello")
        async for _ in agents.Runner.run_streamed(agent, "hello").stream_events():
            pass
        # It starts an event loop of its own, where it needs a client of its own.
        await asyncio.to_thread(agents.Runner.run_sync, openai_agent(agents, provider, kind), "hello")
    all_with(telemetry, "agent", 3)


async def test_an_agent_of_the_agents_sdk_that_uses_a_tool_makes_two_calls(agents, provider, telemetry):
    provider.answers(call_tool=True)
    with surface("agent"):
        await agents.Runner.run(openai_agent(agents, provider, "OpenAIChatCompletionsModel"), "hello")
    all_with(telemetry, "agent", 2)
