"""What is particular to google-cloud-aiplatform's generative models, here over REST: gRPC is beneath the hooks too."""

from __future__ import annotations

from base64 import b64decode

import pytest
from conformance import Calls, Streams
from driver import Driver, settled

pytest.importorskip("vertexai.generative_models", reason="google-cloud-aiplatform is not installed")
import vertexai
from google.cloud.aiplatform import initializer
from google.cloud.aiplatform_v1beta1.types import GenerateContentResponse
from google.oauth2.credentials import Credentials
from vertexai.generative_models import Content, GenerationConfig, GenerativeModel, Image, Part
from vertexai.language_models import TextEmbeddingModel

from otel_llm_routing import surface

try:
    from google.auth.aio.credentials import StaticCredentials

    MODES = ("sync", "async")
except ImportError:
    MODES = ("sync",)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

PIXEL = b64decode(  # a picture of one, as Pillow looks at it where it is installed
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


class VertexAIDriver(Driver):
    distribution = "google-cloud-aiplatform"
    provider = "gcp.vertex_ai"
    operation = "generate_content"
    requested, served = "gemini-2.0-flash", "gemini-2.0-flash-001"
    enters = False
    has_error_event = False  # over REST, whatever comes in the array is taken for a chunk
    modes = MODES
    if "response_id" not in GenerateContentResponse.pb().DESCRIPTOR.fields_by_name:
        reports = Driver.reports - {"id"}

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
            initializer._set_async_rest_credentials(StaticCredentials(token="t"))
        self.model = self.make(**options)
        # As it makes its client, the SDK looks at the variables of its callers, and so keeps what they hold.
        assert self.is_async or self.model._prediction_client is not None

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


class VertexAIEmbeddings(VertexAIDriver):
    label = "TextEmbeddingModel.get_embeddings"
    operation = "embeddings"
    requested, served = "text-embedding-005", None
    kind, match, source = "pinned", "unreported", "none"
    reports = frozenset({"input_tokens"})
    not_visible = "The response of an embedding names no model."
    modes = ("sync",)

    def __init__(self, url, *, is_async=False):
        super().__init__(url, is_async=True)  # no client that is made ahead

    def make(self):
        place = "projects/p/locations/us-central1/publishers/google/models"
        return TextEmbeddingModel(model_id=self.requested, endpoint_name=f"{place}/{self.requested}")

    async def create(self, **more):
        return self.model.get_embeddings(["hello"], **more)


class TestEmbeddings(Calls):
    driver = VertexAIEmbeddings


# What is particular -----------------------------------------------------------------------------------------------


@pytest.fixture
def made(provider, telemetry):
    def make(**options):
        return VertexAIContent(provider.url, **options).model

    return make


@pytest.mark.parametrize(
    ("contents", "size"),
    [
        (["ab", "cde"], 5),
        (Part.from_text("abc"), 3),
        ([Content(role="user", parts=[Part.from_text("abc"), Part.from_text("d")])], 4),
        ([{"role": "user", "parts": [{"text": "abc"}]}], 3),
        ([Part.from_data(data=b"12345", mime_type="image/png"), "ab"], 2),
        ([Image.from_bytes(PIXEL), "ab"], 2),
    ],
)
def test_the_input_is_the_text_of_the_contents(made, telemetry, contents, size):
    made(system_instruction="xyz").generate_content(contents)
    [(_, point)] = telemetry.points("llm_routing.input_size")
    assert point.sum == size + 3


def test_the_history_of_a_chat_is_part_of_the_input(made, telemetry):
    chat = made().start_chat()
    answer = chat.send_message("hello").text
    chat.send_message("hello")
    [(_, point)] = telemetry.points("llm_routing.input_size")
    assert point.sum == 5 + 5 + len(answer) + 5


def test_tokens_include_thoughts_and_what_was_cached(made, telemetry):
    made().generate_content("hello")
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.input_tokens"] == 9
    assert attributes["gen_ai.usage.output_tokens"] in (4, 5)  # older versions know nothing of thoughts
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_the_model_of_a_stream_is_the_last_one_named(made, telemetry, provider):
    provider.answers(chunks=6, model="gemini-2.0-flash-001", switch_to="gemini-2.0-flash-002")
    list(made().generate_content("hello", stream=True))
    assert telemetry.one()["gen_ai.response.model"] == "gemini-2.0-flash-002"


def test_an_answer_that_names_no_model_is_unreported(made, telemetry, provider):
    provider.answers(no_model=True)
    made().generate_content("hello")
    assert telemetry.one()["llm_routing.match"] == "unreported"


ROUTED = {"routing_config": {"auto_mode": {"model_routing_preference": 2}}}


@pytest.mark.parametrize(
    ("of_model", "of_call"),
    [
        ({"generation_config": GenerationConfig.from_dict(ROUTED)}, {}),
        ({}, {"generation_config": GenerationConfig.from_dict(ROUTED)}),
        ({}, {"generation_config": ROUTED}),
    ],
)
def test_automatic_routing_makes_any_model_a_router(made, telemetry, provider, of_model, of_call):
    provider.answers(model="gemini-2.5-pro")
    made(**of_model).generate_content("hello", **of_call)
    counted = telemetry.one()
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("router", "resolved")


def test_a_configuration_without_routing_leaves_the_model_what_it_is(made, telemetry):
    made().generate_content("hello", generation_config={"temperature": 0.1})
    made().generate_content("hello", generation_config=GenerationConfig(temperature=0.1))
    assert [c["llm_routing.request.kind"] for c in telemetry.counted()] == ["alias", "alias"]


def test_the_surface_of_a_stream_is_the_one_it_was_made_for(made, telemetry):
    with surface("digest"):
        content = made().generate_content("hello", stream=True)
        chat = made().start_chat().send_message("hello", stream=True)
    assert len(list(content)) > 2
    assert len(list(chat)) > 2
    assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["digest", "digest"]


def test_a_token_count_is_not_counted(made, telemetry, provider):
    assert made().count_tokens("hello").total_tokens == 9
    assert len(provider.requests) == 1
    assert telemetry.counted() == []
