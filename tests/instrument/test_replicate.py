"""What is particular to replicate: references and versions, predictions without ``run``, polling."""

from __future__ import annotations

import inspect

import pytest
from conformance import Calls, Streams
from driver import Driver, settled

replicate = pytest.importorskip("replicate", reason="replicate is not installed")
if not hasattr(replicate, "default_client"):
    pytest.skip("this replicate has another client, which is not hooked", allow_module_level=True)

NAME = "meta/meta-llama-3-70b-instruct"
VERSION = "fbfb20b472b2f3bdd101412a9f70a0ed4fc0ced78a77ff00970ee7a2383c575d"
SERVED = f"{NAME}:{VERSION}"
ASKED = {"prompt": "hello"}


class ReplicateRun(Driver):
    distribution = provider = "replicate"
    label = "run, stream"
    operation = "generate_content"
    requested, served = NAME, SERVED
    not_visible = "The version of an official model; whether a model generates text or something else."
    lazy = True
    enters = False

    def __init__(self, url, *, is_async=False, **options):
        self.is_async = is_async
        self.client = replicate.Client("k", base_url=url, **options)
        self.client.poll_interval = 0.001

    @classmethod
    def served_at(cls, provider):
        provider.answers(model=SERVED)
        return super().served_at(provider)

    async def create(self, **more):
        run = self.client.async_run if self.is_async else self.client.run
        return await settled(run(NAME, input=ASKED, **more))

    async def stream(self, **more):
        stream = self.client.async_stream if self.is_async else self.client.stream
        return await settled(stream(NAME, input=ASKED, **more))


class ReplicatePredictions(ReplicateRun):
    label = "predictions.create"

    async def create(self, **more):
        predictions = self.client.models.predictions
        create = predictions.async_create if self.is_async else predictions.create
        return await settled(create(NAME, ASKED, wait=True, **more))


@pytest.fixture(autouse=True)
def a_version_is_served_unless_a_test_says_otherwise(provider, monkeypatch):
    said = provider.answers
    monkeypatch.setattr(provider, "answers", lambda **how: said(**{"model": SERVED, **how}))


class TestRun(Calls, Streams):
    driver = ReplicateRun


class TestPredictions(Calls):
    driver = ReplicatePredictions


@pytest.fixture
def client(provider, telemetry):
    provider.answers()
    return ReplicateRun(provider.url).client


def test_a_version_in_the_reference_is_pinned(client, telemetry):
    assert len(list(client.run(SERVED, input=ASKED))) == 3
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == counted["gen_ai.response.model"] == SERVED
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("pinned", "exact")


def test_another_version_than_the_one_in_the_reference(client, telemetry, provider):
    provider.answers(model=f"{NAME}:{'0' * 64}")
    client.predictions.create(version=VERSION, input=ASKED)
    assert telemetry.one()["llm_routing.match"] == "substituted"


def test_a_version_alone_is_the_version_that_ran(client, telemetry):
    client.predictions.create(version=VERSION, input=ASKED)
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == counted["gen_ai.response.model"] == VERSION
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("pinned", "exact")


def test_an_official_model_does_not_say_which_version_ran(client, telemetry, provider):
    provider.answers(model=NAME)
    client.run(NAME, input=ASKED)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == (NAME, "unconfirmed")


def test_a_deployment_names_the_model_behind_it(client, telemetry):
    client.deployments.predictions.create("acme/support", ASKED)
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == "acme/support"
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == (SERVED, "resolved")


@pytest.mark.parametrize("form", ["identifier", "model", "version"])
def test_other_forms_of_a_reference(client, telemetry, form):
    from replicate.identifier import ModelVersionIdentifier
    from replicate.model import Model
    from replicate.version import Version

    owner, name = NAME.split("/")
    reference = {
        "identifier": ModelVersionIdentifier(owner, name),
        "model": Model.construct(owner=owner, name=name),
        "version": Version.construct(id=VERSION, cog_version="0.9", openapi_schema={}),
    }[form]
    client.run(reference, input=ASKED)
    assert telemetry.one()["gen_ai.request.model"] == (VERSION if form == "version" else NAME)


def test_a_prediction_that_is_polled_is_one_call(client, telemetry, provider):
    assert client.run(NAME, input=ASKED, wait=False)
    assert [r.path.split("/")[-2] for r in provider.requests] == ["meta-llama-3-70b-instruct", "predictions"]
    assert telemetry.one()["gen_ai.response.model"] == SERVED
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_generator_that_polls_is_one_call(provider, telemetry, is_async):
    provider.answers()
    sdk = ReplicateRun(provider.url, is_async=is_async)
    run = sdk.client.async_run if is_async else sdk.client.run
    items = await settled(run(SERVED, input=ASKED, wait=False))
    assert inspect.isasyncgen(items) if is_async else inspect.isgenerator(items)
    assert telemetry.spans == []
    assert await sdk.items(items) == 3
    assert telemetry.one()["gen_ai.response.model"] == SERVED


def test_the_modules_own_functions(telemetry, provider, monkeypatch):
    provider.answers()
    monkeypatch.setattr(replicate.default_client, "_base_url", provider.url)
    monkeypatch.setattr(replicate.default_client, "_Client__client", None)
    replicate.run(NAME, input=ASKED)
    list(replicate.stream(NAME, input=ASKED))
    replicate.models.predictions.create(NAME, ASKED)
    monkeypatch.setattr(replicate.default_client, "_Client__client", None)
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == [SERVED] * 3


def test_a_prediction_that_is_streamed_later_is_counted_when_it_is_made(client, telemetry):
    prediction = client.models.predictions.create(NAME, ASKED, stream=True)
    assert len(telemetry.counted()) == 1
    assert len(list(prediction.stream())) == 5
    prediction.reload()
    assert len(telemetry.counted()) == 1


def test_a_prediction_that_fails_is_an_error_of_the_model_that_ran(client, telemetry, provider, monkeypatch):
    from fake_provider import replicate_wire

    whole = replicate_wire._prediction
    monkeypatch.setattr(replicate_wire, "_prediction", lambda *a: {**whole(*a), "status": "failed", "error": "no"})
    with pytest.raises(replicate.exceptions.ModelError):
        client.run(NAME, input=ASKED)
    counted = telemetry.one()
    assert (counted["error.type"], counted["gen_ai.response.model"]) == ("ModelError", SERVED)


def test_a_header_of_a_gateway_beats_the_body(client, telemetry, provider):
    provider.answers(headers={"cf-aig-model": "meta/meta-llama-3-8b-instruct"})
    client.run(NAME, input=ASKED)
    assert telemetry.one()["llm_routing.served.source"] == "header"


def test_what_is_no_prediction_is_not_counted(client, telemetry, provider):
    client.predictions.get(SERVED.encode().hex())
    client.trainings.create(SERVED, input={}, destination="acme/mine")
    assert len(provider.requests) == 2
    assert telemetry.counted() == []
    assert telemetry.spans == []
