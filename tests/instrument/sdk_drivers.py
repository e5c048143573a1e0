"""Drivers that more than one test module uses: the openai and anthropic SDKs."""

from __future__ import annotations

import pytest
from driver import MESSAGES, Driver, entered, settled


class StainlessDriver(Driver):
    """An SDK of the Stainless family. ``arguments`` are those of ``resource(client).create``."""

    package: str

    def __init__(self, url, *, is_async=False, **options):
        self.sdk = pytest.importorskip(self.package)
        self.is_async = is_async
        self.client = self.make(url, is_async, {"api_key": "k", "max_retries": 0, **options})

    def make(self, url, is_async, options):
        raise NotImplementedError

    def resource(self, client):
        raise NotImplementedError

    def arguments(self, **more):
        return {"model": self.requested, "messages": MESSAGES, **more}

    async def create(self, **more):
        return await settled(self.resource(self.client).create(**self.arguments(**more)))

    async def stream(self, **more):
        return await self.create(stream=True, **more)

    async def raw(self, **more):
        return await settled(self.resource(self.client).with_raw_response.create(**self.arguments(**more)))

    def streaming_response(self, **more):
        return entered(self.resource(self.client).with_streaming_response.create(**self.arguments(**more)))

    async def close(self, stream):
        await settled(stream.close())

    async def retrying(self, retries):
        client = self.client.with_options(max_retries=retries)
        return await settled(self.resource(client).create(**self.arguments()))


class OpenAIChat(StainlessDriver):
    """Chat completions of the openai SDK."""

    distribution = package = provider = "openai"
    label = "chat.completions"
    requested, served = "gpt-5", "gpt-5-2025-08-07"

    def make(self, url, is_async, options):
        cls = self.sdk.AsyncOpenAI if is_async else self.sdk.OpenAI
        return cls(**{"base_url": f"{url}/v1", **options})

    def resource(self, client):
        return client.chat.completions


class OpenAIResponses(OpenAIChat):
    """The Responses API of the openai SDK."""

    label = "responses"

    def __init__(self, url, **options):
        super().__init__(url, **options)
        if not hasattr(self.client, "responses"):
            pytest.skip(f"openai {self.sdk.__version__} has no Responses API")

    def resource(self, client):
        return client.responses

    def arguments(self, **more):
        return {"model": self.requested, "input": "hello", **more}


class AnthropicMessages(StainlessDriver):
    """Messages of the anthropic SDK."""

    distribution = package = provider = "anthropic"
    label = "messages"
    requested, served = "claude-haiku-4-5", "claude-haiku-4-5-20251001"

    def make(self, url, is_async, options):
        cls = self.sdk.AsyncAnthropic if is_async else self.sdk.Anthropic
        return cls(**{"base_url": url, **options})

    def resource(self, client):
        return client.messages

    def arguments(self, **more):
        return {"max_tokens": 64, **super().arguments(**more)}


DRIVERS = [OpenAIChat, OpenAIResponses, AnthropicMessages]
