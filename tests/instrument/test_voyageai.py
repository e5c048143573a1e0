"""What is particular to voyageai: three kinds of embeddings, and what is none."""

from __future__ import annotations

import pytest
from conformance import Calls
from driver import Driver, settled

voyageai = pytest.importorskip("voyageai", reason="voyageai is not installed")


class VoyageEmbed(Driver):
    distribution = "voyageai"
    provider = "voyageai"
    operation = "embeddings"
    label = method = "embed"
    requested = served = "voyage-3.5"
    kind, match = "unknown", "exact"
    reports = frozenset({"input_tokens"})
    inputs = ("hello",)

    def __init__(self, url, *, is_async=False, **options):
        cls = voyageai.AsyncClient if is_async else voyageai.Client
        if not hasattr(cls, self.method):
            pytest.skip(f"this voyageai has no {self.method}")
        options = {"api_key": "k", "max_retries": 1, **options}
        try:
            self.client = cls(base_url=f"{url}/v1", **options)
        except TypeError:  # before 0.3.6
            self.client = cls(**options)
            self.client._params["api_base"] = f"{url}/v1"

    async def create(self, **more):
        return await settled(getattr(self.client, self.method)(list(self.inputs), model=self.requested, **more))


class VoyageContextualizedEmbed(VoyageEmbed):
    label = method = "contextualized_embed"
    requested = served = "voyage-context-3"
    inputs = (["he", "llo"],)


class VoyageMultimodalEmbed(VoyageEmbed):
    label = method = "multimodal_embed"
    requested = served = "voyage-multimodal-3"
    inputs = (["hello"],)


class TestEmbed(Calls):
    driver = VoyageEmbed


class TestContextualizedEmbed(Calls):
    driver = VoyageContextualizedEmbed


class TestMultimodalEmbed(Calls):
    driver = VoyageMultimodalEmbed


@pytest.fixture
def client(provider, telemetry):
    return VoyageEmbed(provider.url).client


def test_the_model_served_is_the_one_the_answer_names(client, telemetry, provider):
    provider.answers(model="voyage-3.5-lite")
    client.embed(["hello"], "voyage-3.5")
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == ("voyage-3.5-lite", "resolved")


def test_a_header_of_a_gateway_beats_the_body(client, telemetry, provider):
    provider.answers(headers={"x-litellm-model-name": "voyage/voyage-3.5-lite"})
    client.embed(["hello"], "voyage-3.5")
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "voyage/voyage-3.5-lite"
    assert counted["llm_routing.served.source"] == "header"


def test_an_answer_that_names_no_model_is_unreported(client, telemetry, provider):
    provider.answers(no_model=True)
    client.embed(["hello"], "voyage-3.5")
    assert telemetry.one()["llm_routing.match"] == "unreported"


@pytest.mark.filterwarnings("ignore:The `model` argument")
def test_the_sdks_default_is_the_requested_model(client, telemetry):
    client.embed(["hello"])
    assert telemetry.one()["gen_ai.request.model"] == voyageai.VOYAGE_EMBED_DEFAULT_MODEL


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_retries_are_one_call(provider, telemetry, monkeypatch, is_async):
    import tenacity

    for module in ("voyageai.client", "voyageai.client_async"):
        monkeypatch.setattr(f"{module}.wait_exponential_jitter", lambda **_: tenacity.wait_none())
    provider.answers(fault="status:429")
    with pytest.raises(voyageai.error.RateLimitError):
        await VoyageEmbed(provider.url, is_async=is_async, max_retries=3).create()
    assert len(provider.requests) == 3
    assert telemetry.one()["error.type"] == "RateLimitError"


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_request_without_a_client(provider, telemetry, is_async):
    where = {name: value for name, value in VoyageEmbed(provider.url).client._params.items() if value}
    create = voyageai.Embedding.acreate if is_async else voyageai.Embedding.create
    answer = await settled(create(input=["hello"], model="voyage-3.5", **where))
    assert answer["model"] == "voyage-3.5"
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == ("voyage-3.5", "exact")
    assert telemetry.span().attributes["server.address"] == "127.0.0.1"


def test_what_is_no_embedding_is_not_counted(client, telemetry, provider):
    client.rerank("hello", ["a", "b"], "rerank-2")
    assert len(provider.requests) == 1
    assert telemetry.counted() == []
    assert telemetry.spans == []


def test_a_model_that_runs_on_this_machine_is_no_call(client, telemetry, monkeypatch):
    local = pytest.importorskip("voyageai.local.helpers", reason="this voyageai runs no models itself")
    monkeypatch.setattr("voyageai.client.embed_local", lambda **_: voyageai.object.EmbeddingsObject())
    assert local.is_local_model("voyage-4-nano")
    client.embed(["hello"], "voyage-4-nano")
    assert telemetry.counted() == []


def test_images_are_not_text(client, telemetry):
    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2))
    client.multimodal_embed([["hello", image]], "voyage-multimodal-3")
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 5
