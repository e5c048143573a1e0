"""What is particular to google-cloud-aiplatform's generative models, here over REST; gRPC is chosen beneath the hooks."""

from __future__ import annotations

import pytest
from conformance import Calls, Streams
from driver import Driver, settled

pytest.importorskip("vertexai.generative_models", reason="google-cloud-aiplatform is not installed")
import vertexai
from google.cloud.aiplatform import initializer
from google.oauth2.credentials import Credentials
from vertexai.generative_models import Content, GenerationConfig, GenerativeModel, Image, Part
from vertexai.language_models import TextEmbeddingModel

from otel_llm_routing import surface

aio = pytest.importorskip("google.auth.aio.credentials", reason="google-auth has no asynchronous credentials")
MODES = ("sync", "async") if hasattr(initializer, "_set_async_rest_credentials") else ("sync",)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


class VertexAIDriver(Driver):
    distribution = "google-cloud-aiplatform"
    provider = "gcp.vertex_ai"
    operation = "generate_content"
    requested, served = "gemini-2.0-flash", "gemini-2.0-flash-001"
    enters = False
    modes = MODES

    def __init__(self, url, *, is_async=False, **options):
        self.is_async = is_async
        self.lazy = not is_async
        initializer.global_config._api_endpoint = None
        vertexai.init(
            project="p",
            location="us-central1",
            credentials=Credentials(token="t"),
            api_endpoint=url,
            api_transport="rest",
        )
        if "async" in self.modes:
            initializer._set_async_rest_credentials(aio.StaticCredentials(token="t"))
        self.model = self.make(**options)

    def make(self, **options):
        return GenerativeModel(self.requested, **options)

    async def create(self, **more):
        generate = self.model.generate_content_async if self.is_async else self.model.generate_content
        return await settled(generate("hello", **more))

    async def stream(self, **more):
        return await self.create(stream=True, **more)


class VertexAIContent(VertexAIDriver):
    label = "GenerativeModel.generate_content"


class TestContent(Calls, Streams):
    driver = VertexAIContent


class VertexAIChat(VertexAIDriver):
    label = "ChatSession.send_message"

    async def create(self, **more):
        chat = self.model.start_chat()
        send = chat.send_message_async if self.is_async else chat.send_message
        return await settled(send("hello", **more))


class TestChat(Calls, Streams):
    driver = VertexAIChat
