"""One call to a model through each framework, whole or streamed, for the tests of the frameworks and of their peers."""

from __future__ import annotations

import asyncio

import pytest
from driver import MESSAGES, each, settled


class Framework:
    """``url`` is that of the fake provider; ``modules`` have to be importable, ``distribution`` has them."""

    distribution: str
    modules: tuple[str, ...]
    requested, served = "gpt-5", "gpt-5-2025-08-07"
    provider = "openai"

    def __init__(self, url, *, is_async):
        for module in self.modules:
            pytest.importorskip(module, reason=f"{self.distribution} is not installed; make compat has it")
        self.url = url
        self.is_async = is_async

    async def whole(self):
        raise NotImplementedError

    async def stream(self):
        raise NotImplementedError


class LangChain(Framework):
    distribution = "langchain-openai"
    modules = ("langchain", "langchain_openai")

    def model(self, **more):
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=self.requested, base_url=f"{self.url}/v1", api_key="k", max_retries=0, **more)

    async def whole(self):
        model = self.model()
        await settled(model.ainvoke("hello") if self.is_async else model.invoke("hello"))

    async def stream(self):
        model = self.model()
        return [part async for part in each(model.astream("hello") if self.is_async else model.stream("hello"))]


class LangChainChain(LangChain):
    """The model inside a chain."""

    def model(self, **more):
        from langchain_core.output_parsers import StrOutputParser
        from langchain_core.prompts import ChatPromptTemplate

        return ChatPromptTemplate.from_messages(["{text}"]) | super().model(**more) | StrOutputParser()


class LangChainResponses(LangChain):
    def model(self, **more):
        return super().model(use_responses_api=True, **more)


class LangChainAzure(LangChain):
    provider = "azure.ai.openai"

    def model(self, **more):
        from langchain_openai import AzureChatOpenAI

        return AzureChatOpenAI(
            azure_deployment=self.requested,
            model=self.requested,
            azure_endpoint=self.url,
            api_version="2025-04-01-preview",
            api_key="k",
            max_retries=0,
            **more,
        )


class LangChainElsewhere(LangChain):
    """A provider that the openai SDK reaches, under a name of its own, as langchain-deepseek and others give it."""

    def model(self, **more):
        from langchain_openai import ChatOpenAI

        class ChatElsewhere(ChatOpenAI):
            def _get_ls_params(self, *args, **kwargs):
                return {**super()._get_ls_params(*args, **kwargs), "ls_provider": "elsewhere"}

        return ChatElsewhere(model=self.requested, base_url=f"{self.url}/v1", api_key="k", max_retries=0, **more)


class LangChainAnthropic(LangChain):
    distribution = "langchain-anthropic"
    modules = ("langchain", "langchain_anthropic")
    provider = "anthropic"
    requested, served = "claude-haiku-4-5", "claude-haiku-4-5-20251001"

    def model(self, **more):
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model=self.requested, base_url=self.url, api_key="k", max_retries=0, **more)


class LlamaIndex(Framework):
    distribution = "llama-index-llms-openai"
    modules = ("llama_index.llms.openai",)

    def model(self, **more):
        from llama_index.llms.openai import OpenAI

        return OpenAI(model=self.requested, api_base=f"{self.url}/v1", api_key="k", max_retries=0, **more)

    @property
    def messages(self):
        from llama_index.core.llms import ChatMessage

        return [ChatMessage(role="user", content="hello")]

    async def whole(self):
        model = self.model()
        await settled(model.achat(self.messages) if self.is_async else model.chat(self.messages))

    async def stream(self):
        model = self.model()
        parts = await settled(model.astream_chat(self.messages) if self.is_async else model.stream_chat(self.messages))
        return [part async for part in each(parts)]


class LlamaIndexElsewhere(LlamaIndex):
    """A model class of the application's own: OpenLLMetry knows the others by their names."""

    def model(self, **more):
        from llama_index.llms.openai import OpenAI

        class Elsewhere(OpenAI):
            pass

        return Elsewhere(model=self.requested, api_base=f"{self.url}/v1", api_key="k", max_retries=0, **more)


class PydanticAI(Framework):
    distribution = "pydantic-ai-slim"
    modules = ("pydantic_ai.models.openai",)

    def agent(self, **more):
        from pydantic_ai import Agent
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        provider = OpenAIProvider(base_url=f"{self.url}/v1", api_key="k")
        return Agent(OpenAIChatModel(self.requested, provider=provider), **more)

    async def whole(self):
        agent = self.agent()
        # run_sync starts an event loop of its own.
        await (agent.run("hello") if self.is_async else asyncio.to_thread(agent.run_sync, "hello"))

    async def stream(self):
        agent = self.agent()
        if not self.is_async:
            return await asyncio.to_thread(lambda: list(agent.run_stream_sync("hello").stream_text()))
        async with agent.run_stream("hello") as run:
            return [part async for part in run.stream_text()]


class Instructor(Framework):
    distribution = "instructor"
    modules = ("instructor",)

    def client(self, mode="TOOLS"):
        import instructor
        import openai

        cls = openai.AsyncOpenAI if self.is_async else openai.OpenAI
        client = cls(base_url=f"{self.url}/v1", api_key="k", max_retries=0)
        return instructor.from_openai(client, mode=instructor.Mode[mode])

    @property
    def arguments(self):
        from pydantic import BaseModel

        class Answer(BaseModel):
            text: str

        return {"model": self.requested, "messages": MESSAGES, "response_model": Answer, "max_retries": 1}

    async def whole(self):
        await settled(self.client().chat.completions.create(**self.arguments))

    async def stream(self):
        parts = self.client("JSON_SCHEMA").chat.completions.create_partial(**self.arguments)
        return [part async for part in each(parts)]


class Haystack(Framework):
    distribution = "haystack-ai"
    modules = ("haystack",)

    async def whole(self):
        await self.run(None)

    async def stream(self):
        async def hear(chunk):
            pass

        await self.run(hear if self.is_async else lambda chunk: None)

    async def run(self, callback):
        from haystack.components.generators.chat import OpenAIChatGenerator
        from haystack.dataclasses import ChatMessage
        from haystack.utils import Secret

        model = OpenAIChatGenerator(
            model=self.requested, api_base_url=f"{self.url}/v1", api_key=Secret.from_token("k"), max_retries=0
        )
        run = model.run_async if self.is_async else model.run
        await settled(run([ChatMessage.from_user("hello")], streaming_callback=callback))


FRAMEWORKS = {
    "haystack": Haystack,
    "langchain": LangChain,
    "langchain-chain": LangChainChain,
    "langchain-responses": LangChainResponses,
    "langchain-azure": LangChainAzure,
    "langchain-elsewhere": LangChainElsewhere,
    "langchain-anthropic": LangChainAnthropic,
    "llama-index": LlamaIndex,
    "llama-index-elsewhere": LlamaIndexElsewhere,
    "pydantic-ai": PydanticAI,
    "instructor": Instructor,
}
