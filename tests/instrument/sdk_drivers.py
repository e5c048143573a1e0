"""How each SDK is driven: the same few verbs, so that one test reads as one rule for all of them."""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager

import pytest

MESSAGES = [{"role": "user", "content": "hello"}]  # five characters


class OpenAIChat:
    """Chat completions of the openai SDK."""

    package, requested, served, operation, provider = "openai", "gpt-5", "gpt-5-2025-08-07", "chat", "openai"

    def __init__(self, url, **options):
        openai = pytest.importorskip("openai")
        options = {"api_key": "k", "base_url": f"{url}/v1", "max_retries": 0, **options}
        self.sdk = openai
        self.client = openai.OpenAI(**options)
        self.async_client = openai.AsyncOpenAI(**options)
        self.stream_type, self.async_stream_type = openai.Stream, openai.AsyncStream

    def resource(self, client):
        return client.chat.completions

    def arguments(self, **more):
        return {"model": self.requested, "messages": MESSAGES, **more}


class OpenAIResponses(OpenAIChat):
    """The Responses API of the openai SDK."""

    def __init__(self, url, **options):
        super().__init__(url, **options)
        if not hasattr(self.client, "responses"):
            pytest.skip(f"openai {self.sdk.__version__} has no Responses API")

    def resource(self, client):
        return client.responses

    def arguments(self, **more):
        return {"model": self.requested, "input": "hello", **more}


class AnthropicMessages:
    """Messages of the anthropic SDK."""

    package, operation, provider = "anthropic", "chat", "anthropic"
    requested, served = "claude-haiku-4-5", "claude-haiku-4-5-20251001"

    def __init__(self, url, **options):
        anthropic = pytest.importorskip("anthropic")
        options = {"api_key": "k", "base_url": url, "max_retries": 0, **options}
        self.sdk = anthropic
        self.client = anthropic.Anthropic(**options)
        self.async_client = anthropic.AsyncAnthropic(**options)
        self.stream_type, self.async_stream_type = anthropic.Stream, anthropic.AsyncStream

    def resource(self, client):
        return client.messages

    def arguments(self, **more):
        return {"model": self.requested, "max_tokens": 64, "messages": MESSAGES, **more}


DRIVERS = [OpenAIChat, OpenAIResponses, AnthropicMessages]


class Verbs:
    """The verbs of one driver, of its synchronous or asynchronous client; all are awaited."""

    def __init__(self, driver, *, is_async):
        self.driver = driver
        self.is_async = is_async
        self.client = driver.async_client if is_async else driver.client
        self.resource = driver.resource(self.client)
        self.stream_type = driver.async_stream_type if is_async else driver.stream_type

    async def create(self, **more):
        return await settled(self.resource.create(**self.driver.arguments(**more)))

    async def raw(self, **more):
        return await settled(self.resource.with_raw_response.create(**self.driver.arguments(**more)))

    @asynccontextmanager
    async def streaming_response(self, **more):
        manager = self.resource.with_streaming_response.create(**self.driver.arguments(**more))
        async with entered(manager) as response:
            yield response

    async def close(self, stream):
        await settled(stream.close())

    async def items(self, stream, limit=None):
        """Read at most ``limit`` items; return how many came."""
        read = 0
        async for _ in each(stream, self.is_async):
            read += 1
            if read == limit:
                break
        return read


async def settled(value):
    return await value if inspect.isawaitable(value) else value


async def each(stream, is_async):
    if is_async:
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


@asynccontextmanager
async def entered(manager):
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value
