"""What is particular to the writer-sdk: chats at a path of their own, and answers that name no model."""

from __future__ import annotations

import pytest
from conformance import CallHeader, Calls, Raw, Retries, Streams
from driver import MESSAGES
from sdk_drivers import StainlessDriver

writerai = pytest.importorskip("writerai", reason="the writer-sdk package is not installed")


class WriterChat(StainlessDriver):
    """Chats of the writer-sdk."""

    distribution = "writer-sdk"
    package = "writerai"
    provider = "writer"
    label = "chat.chat"
    requested = served = "palmyra-x5"
    kind, match = "unknown", "exact"
    halfway = match

    def make(self, url, is_async, options):
        cls = writerai.AsyncWriter if is_async else writerai.Writer
        return cls(base_url=url, **options)

    def resource(self, client):
        return _Creates(client.chat, "chat")


class WriterCompletions(WriterChat):
    """Text completions of the writer-sdk."""

    label = "completions.create"
    operation = "text_completion"
    reports = frozenset()

    def resource(self, client):
        return client.completions

    def arguments(self, **more):
        return {"model": self.requested, "prompt": "hello", **more}


class WriterStreamedCompletions(WriterCompletions):
    """Streamed text completions, whose parts name no model."""

    label = "completions.create, streamed"
    served, match, source = None, "unreported", "none"
    halfway = match
    not_visible = "the served model: no part of the stream names one"


class _Creates:
    """A resource whose ``create`` has another name."""

    def __init__(self, resource, name):
        self.resource, self.name = resource, name

    def __getattr__(self, name):
        if name == "create":
            return getattr(self.resource, self.name)
        return _Creates(getattr(self.resource, name), self.name)


class TestChat(Calls, Streams, Raw, Retries, CallHeader):
    driver = WriterChat


class TestCompletions(Calls):
    driver = WriterCompletions


class TestStreamedCompletions(Streams):
    driver = WriterStreamedCompletions


@pytest.fixture
def client(provider, telemetry):
    return WriterChat(provider.url).client


def test_a_stream_with_its_own_manager_is_one_call(client, telemetry):
    if not hasattr(client.chat, "stream"):
        pytest.skip("this writer-sdk has no such stream")
    with client.chat.stream(model="palmyra-x5", messages=MESSAGES) as stream:
        for _ in stream:
            pass
    assert telemetry.one()["gen_ai.response.model"] == "palmyra-x5"


def test_parse_is_one_call(client, telemetry):
    if not hasattr(client.chat, "parse"):
        pytest.skip("this writer-sdk has no parse method")
    from pydantic import BaseModel

    class Answer(BaseModel):
        text: str

    client.chat.parse(model="palmyra-x5", messages=MESSAGES, response_format=Answer)
    assert telemetry.one()["gen_ai.response.model"] == "palmyra-x5"


def test_cached_input_is_told_under_a_name_of_its_own(client, telemetry, provider):
    usage = {"prompt_tokens_details": None, "prompt_token_details": {"cached_tokens": 5}}
    provider.answers(usage=usage)
    client.chat.chat(model="palmyra-x5", messages=MESSAGES)
    assert telemetry.span().attributes["gen_ai.usage.cache_read.input_tokens"] == 5


@pytest.mark.parametrize(
    ("name", "model", "arguments", "size"),
    [
        ("vision", "palmyra-vision", {"prompt": "hello", "variables": [{"name": "a", "file_id": "f"}]}, 5),
        (
            "translation",
            "palmyra-translate",
            {
                "text": "hello you",
                "formality": False,
                "length_control": False,
                "mask_profanity": False,
                "source_language_code": "en",
                "target_language_code": "de",
            },
            9,
        ),
    ],
)
def test_a_model_for_one_task_does_not_say_what_served(client, telemetry, name, model, arguments, size):
    resource = getattr(client, name, None)
    method = None if resource is None else getattr(resource, {"vision": "analyze", "translation": "translate"}[name])
    if method is None:
        pytest.skip(f"this writer-sdk has no {name}")
    method(model=model, **arguments)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["llm_routing.match"]) == (model, "unreported")
    assert counted["gen_ai.operation.name"] == "generate_content"
    [(_, measured)] = telemetry.points("llm_routing.input_size")
    assert measured.sum == size


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    client.models.list()
    client.applications.generate_content("app-1", inputs=[{"id": "a", "value": ["hello"]}])
    client.files.list()
    assert len(provider.requests) == 3
    assert telemetry.spans == []
    assert telemetry.counted() == []
