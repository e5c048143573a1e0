"""What is particular to ibm-watsonx-ai: deployments, streams of plain text, many prompts at once."""

from __future__ import annotations

import base64
import json
import os
import time
import warnings

import pytest
from conformance import Calls, Streams
from driver import MESSAGES, Driver, settled

# Each client would load the certificates of every authority twice; the fake provider has none.
os.environ.setdefault("WX_CLIENT_VERIFY_REQUESTS", "False")
watsonx = pytest.importorskip("ibm_watsonx_ai", reason="ibm-watsonx-ai is not installed")
from ibm_watsonx_ai.foundation_models import Embeddings, ModelInference  # noqa: E402  (needs the SDK)

pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = "meta-llama/llama-3-3-70b-instruct"


def token():
    """Return a token that the SDK takes for one of IBM's: it looks at when it expires."""
    head, claims = {"alg": "none"}, {"exp": int(time.time()) + 36_000, "iam_id": "a", "sub": "a"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (head, claims)]
    return ".".join([*parts, "x"])


def api_client(url):
    """Return a client of the SDK's for the fake provider: it is made for IBM's cloud, as the SDK insists on https."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        credentials = watsonx.Credentials(url="https://us-south.ml.cloud.ibm.com", token=token())
        client = watsonx.APIClient(credentials)
    client.credentials.url = url
    definitions = getattr(client, "_href_definitions", None) or client.service_instance._href_definitions
    definitions.url = url
    client.default_project_id = "p"
    for http in (client.httpx_client, client.async_httpx_client):
        http._transport.retries = 0  # it would wait two seconds for what the tests let fail
    return client


class WatsonxChat(Driver):
    distribution = "ibm-watsonx-ai"
    label = "ModelInference.chat"
    provider = "ibm.watsonx.ai"
    requested = served = MODEL
    kind, match, halfway = "unknown", "exact", "exact"
    not_visible = "Which version of a model ran; calls through a model gateway."
    lazy = True
    enters = False

    def __init__(self, url, *, is_async=False, **options):
        self.is_async = is_async
        self.api = api_client(url)
        self.model = self.make(**options)

    def make(self, **options):
        given = {"model_id": MODEL, "api_client": self.api, "validate": False, "max_retries": 0, **options}
        return ModelInference(**given)

    async def create(self, **more):
        chat = self.model.achat if self.is_async else self.model.chat
        return await settled(chat(messages=MESSAGES, **more))

    async def stream(self, **more):
        stream = self.model.achat_stream if self.is_async else self.model.chat_stream
        return await settled(stream(messages=MESSAGES, **more))


class WatsonxGenerate(WatsonxChat):
    label = "ModelInference.generate"
    operation = "text_completion"
    reports = frozenset({"input_tokens", "output_tokens", "finish_reasons"})

    async def create(self, **more):
        generate = self.model.agenerate if self.is_async else self.model.generate
        return await settled(generate(prompt="hello", **more))

    async def stream(self, **more):
        stream = self.model.agenerate_stream if self.is_async else self.model.generate_text_stream
        return await settled(stream(prompt="hello", **more))


class WatsonxEmbeddings(WatsonxChat):
    label = "Embeddings"
    operation = "embeddings"
    reports = frozenset({"input_tokens"})
    not_visible = ""

    def make(self, **options):
        return Embeddings(model_id=MODEL, api_client=self.api, **{"max_retries": 0, **options})

    async def create(self, **more):
        embed = self.model.aembed_documents if self.is_async else self.model.embed_documents
        return await settled(embed(["hello"], **more))


class TestChat(Calls, Streams):
    driver = WatsonxChat


class TestGenerate(Calls, Streams):
    driver = WatsonxGenerate


class TestEmbeddings(Calls):
    driver = WatsonxEmbeddings


@pytest.fixture
def sdk(provider, telemetry):
    return WatsonxChat(provider.url)


@pytest.fixture
def model(sdk):
    return sdk.model


def test_generated_text(model, telemetry):
    assert model.generate_text(prompt="hello") == "lorem ipsum dolor"
    assert telemetry.one()["gen_ai.response.model"] == MODEL


@pytest.mark.parametrize("raw", [False, True])
def test_the_model_of_a_stream_is_the_last_one_named(model, telemetry, provider, raw):
    provider.answers(chunks=6, switch_to="ibm/granite-3-8b-instruct")
    items = list(model.generate_text_stream(prompt="hello", raw_response=raw))
    assert {type(item) for item in items} == {dict if raw else str}
    assert telemetry.one()["gen_ai.response.model"] == "ibm/granite-3-8b-instruct"
    attributes = telemetry.span().attributes
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (9, 7)
    assert attributes["gen_ai.response.finish_reasons"] == ("eos_token",)


def test_many_prompts_are_one_call(model, telemetry, provider):
    assert len(model.generate(prompt=["hello", "world"])) == 2
    assert len(provider.requests) == 2
    assert telemetry.one()["gen_ai.response.model"] == MODEL
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 8
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 10


def test_answers_that_come_as_they_are_ready_are_one_call(model, telemetry, provider):
    items = model.generate(prompt=["hello", "world"], async_mode=True)
    assert telemetry.spans == []
    assert len(list(items)) == 2
    assert telemetry.one()["gen_ai.response.model"] == MODEL
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 8
    [(_, tokens)] = [pair for pair in telemetry.points("llm_routing.output_tokens") if pair[1].value]
    assert tokens.value == 8
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 10


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("call", ["chat", "generate", "chat_stream", "text_stream"])
async def test_a_deployment_names_the_model_behind_it(provider, telemetry, is_async, call):
    sdk = WatsonxChat(provider.url, is_async=is_async)
    sdk.model = sdk.make(model_id=None, deployment_id="d-1")
    other = WatsonxGenerate.create if call == "generate" else WatsonxGenerate.stream
    make = {"chat": WatsonxChat.create, "chat_stream": WatsonxChat.stream}.get(call, other)
    result = await make(sdk)
    if call.endswith("stream"):
        assert await sdk.items(result)
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == "d-1"
    assert counted["gen_ai.response.model"] == "ibm/granite-3-8b-instruct"
    assert counted["llm_routing.match"] == "resolved"


def test_another_model_than_the_one_requested(model, telemetry, provider):
    provider.answers(model="ibm/granite-3-8b-instruct")
    model.chat(messages=MESSAGES)
    assert telemetry.one()["llm_routing.match"] == "resolved"


def test_an_answer_that_names_no_model_is_unreported(model, telemetry, provider):
    provider.answers(no_model=True)
    model.chat(messages=MESSAGES)
    assert telemetry.one()["llm_routing.match"] == "unreported"


def test_a_header_of_a_gateway_beats_the_body(model, telemetry, provider):
    provider.answers(headers={"x-litellm-model-name": "watsonx/ibm/granite-3-8b-instruct"})
    model.chat(messages=MESSAGES)
    assert telemetry.one()["llm_routing.served.source"] == "header"


def test_retries_are_one_call(sdk, telemetry, provider):
    provider.answers(fault="status:429")
    with pytest.raises(Exception, match="429"):
        sdk.make(max_retries=1, delay_time=0).chat(messages=MESSAGES)
    assert len(provider.requests) == 2
    assert telemetry.one()["llm_routing.match"] == "unreported"


def test_what_is_no_call_to_a_model_is_not_counted(model, telemetry, provider):
    model.tokenize(prompt="hello", return_tokens=True)
    assert len(provider.requests) == 1
    assert telemetry.counted() == []
    assert telemetry.spans == []
