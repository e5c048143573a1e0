"""What is particular to the groq SDK: its paths, usage in ``x_groq``, and compound systems, which are routers."""

from __future__ import annotations

import pytest
from conformance import CallHeader, Calls, Raw, Retries, Streams
from driver import MESSAGES
from sdk_drivers import StainlessDriver

groq = pytest.importorskip("groq", reason="the groq package is not installed")

COMPOUND = "groq/compound"
SERVED = "openai/gpt-oss-120b"


class GroqChat(StainlessDriver):
    """Chat completions of the groq SDK."""

    distribution = package = provider = "groq"
    label = "chat.completions"
    requested = served = "llama-3.3-70b-versatile"
    kind, match = "pinned", "exact"
    halfway = match

    def make(self, url, is_async, options):
        cls = groq.AsyncGroq if is_async else groq.Groq
        return cls(base_url=url, **options)

    def resource(self, client):
        return client.chat.completions


class TestChat(Calls, Streams, Raw, Retries, CallHeader):
    driver = GroqChat


@pytest.fixture
def client(provider, telemetry):
    return GroqChat(provider.url).client


def breakdown(*models):
    """Return what a compound system says about the models it used, as (model, tokens written)."""
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    parts = [{"model": model, "usage": {**usage, "completion_tokens": written}} for model, written in models]
    return {"usage_breakdown": {"models": parts}}


def ask(client, stream):
    result = client.chat.completions.create(model=COMPOUND, messages=MESSAGES, stream=stream)
    if stream:
        list(result)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "models",
    [
        [(SERVED, 4)],
        [(SERVED, 400), ("llama-3.3-70b-versatile", 7)],
        [("llama-3.3-70b-versatile", 7), (SERVED, 400)],
        [("llama-3.3-70b-versatile", 0), (SERVED, 0)],
    ],
    ids=["one", "first", "last", "equal"],
)
def test_of_a_compound_systems_models_the_one_that_wrote_most_has_served(client, telemetry, provider, models, stream):
    provider.answers(model=COMPOUND, more=breakdown(*models))
    ask(client, stream)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (SERVED, "trace")
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("router", "resolved")
    assert "llm_routing.fallback" not in telemetry.span().attributes


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("more", [{}, {"usage_breakdown": None}, breakdown(), breakdown((17, 4)), breakdown(("", 4))])
def test_a_compound_systems_own_name_confirms_nothing(client, telemetry, provider, more, stream):
    provider.answers(model=COMPOUND, more=more)
    ask(client, stream)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == (COMPOUND, "unconfirmed")


def test_a_stream_reports_its_usage_unasked(client, telemetry):
    list(client.chat.completions.create(model=COMPOUND, messages=MESSAGES, stream=True))
    attributes = telemetry.span().attributes
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (9, 4)
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_embeddings(client, telemetry):
    client.embeddings.create(model="nomic-embed-text-v1_5", input="hello")
    counted = telemetry.one()
    assert counted["gen_ai.operation.name"] == "embeddings"
    assert counted["gen_ai.response.model"] == "nomic-embed-text-v1_5"


def test_a_post_to_the_responses_api_is_a_call(client, telemetry):
    client.post("/openai/v1/responses", body={"model": SERVED, "input": "hello"}, cast_to=object)
    assert telemetry.one()["gen_ai.response.model"] == SERVED


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    client.models.list()
    if hasattr(client, "files"):
        client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="f")
    assert provider.requests
    assert telemetry.spans == []
    assert telemetry.counted() == []
