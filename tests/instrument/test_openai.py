"""What is particular to the openai SDK: its operations, its helpers, Azure, gateways behind a base URL."""

from __future__ import annotations

import functools

import pytest
import wrapt
from conformance import CallHeader, Calls, Raw, Retries, Streams
from driver import MESSAGES
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from raw_provider import RawProvider, Reply
from sdk_drivers import OpenAIChat, OpenAIResponses

from otel_llm_routing import LLMRoutingInstrumentor, surface
from otel_llm_routing.instrument.adapters import stainless

openai = pytest.importorskip("openai")


class TestChat(Calls, Streams, Raw, Retries, CallHeader):
    driver = OpenAIChat


class TestResponses(Calls, Streams, Raw, Retries, CallHeader):
    driver = OpenAIResponses


@pytest.fixture
def client(provider, telemetry):
    return OpenAIChat(provider.url).client


@pytest.fixture
def async_client(provider, telemetry):
    return OpenAIChat(provider.url, is_async=True).client


def test_each_bucket_of_times_shows_the_last_of_its_calls_as_exemplar(client, telemetry):
    for name in ("search", "search", "search", "summary"):
        with surface(name):
            client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    points = telemetry.points("llm_routing.duration")
    assert len(points) == 2
    for attributes, point in points:
        own = [s for s in telemetry.spans if s.attributes["llm_routing.surface"] == attributes["llm_routing.surface"]]
        shown = [exemplar.span_id for exemplar in point.exemplars]
        assert own[-1].context.span_id in shown
        assert len(shown) == sum(1 for count in point.bucket_counts if count)


class OneOfTen(Sampler):
    """Records every span, and samples the third of each ten."""

    asked = 0

    def should_sample(self, *args, **kwargs):
        self.asked += 1
        return SamplingResult(Decision.RECORD_AND_SAMPLE if self.asked % 10 == 3 else Decision.RECORD_ONLY)

    def get_description(self):
        return "one of ten"


def test_the_exemplar_is_of_a_sampled_span_where_others_are_only_recorded(provider, telemetry):
    LLMRoutingInstrumentor().uninstrument()
    telemetry.tracer_provider = TracerProvider(sampler=OneOfTen())
    telemetry.tracer_provider.add_span_processor(SimpleSpanProcessor(telemetry.exporter))
    telemetry.instrument()
    client = OpenAIChat(provider.url).client
    for _ in range(9):
        client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    [sampled] = telemetry.spans
    [(_, point)] = telemetry.points("llm_routing.duration")
    assert [exemplar.span_id for exemplar in point.exemplars] == [sampled.context.span_id]


@pytest.mark.parametrize("made_with", ["functools", "wrapt", "both"])
def test_what_others_put_around_a_clients_method_before_us_stays_around_it(provider, telemetry, monkeypatch, made_with):
    LLMRoutingInstrumentor().uninstrument()
    original = openai.OpenAI.request
    seen = []

    @functools.wraps(original)
    def theirs(*args, **kwargs):
        seen.append(len(telemetry.spans))
        return original(*args, **kwargs)

    def around(wrapped, instance, args, kwargs):
        if made_with == "wrapt":
            seen.append(len(telemetry.spans))
        return wrapped(*args, **kwargs)

    function = theirs
    if made_with != "functools":
        theirs = wrapt.FunctionWrapper(original if made_with == "wrapt" else theirs, around)
    monkeypatch.setattr(openai.OpenAI, "request", theirs)
    telemetry.instrument()
    sdk = OpenAIChat(provider.url)
    sdk.client.chat.completions.create(**sdk.arguments())
    telemetry.one()
    LLMRoutingInstrumentor().uninstrument()
    sdk.client.chat.completions.create(**sdk.arguments())
    assert (seen, len(telemetry.counted())) == ([0, 1], 1)
    assert openai.OpenAI.__dict__["request"] is theirs
    assert original in [cell.cell_contents for cell in function.__closure__]
    if made_with == "wrapt":
        assert theirs.__wrapped__ is original


def test_embeddings(client, telemetry):
    client.embeddings.create(model="text-embedding-3-small", input=["ab", "cde"])
    counted = telemetry.one()
    assert counted["gen_ai.operation.name"] == "embeddings"
    assert counted["gen_ai.response.model"] == "text-embedding-3-small"
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 5


@pytest.mark.parametrize("stream", [False, True])
def test_legacy_completions(client, telemetry, stream):
    result = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hello", stream=stream)
    if stream:
        list(result)
    assert telemetry.one()["gen_ai.operation.name"] == "text_completion"


def test_a_post_of_the_applications_own(client, telemetry):
    for path in ("/chat/completions", "chat/completions"):
        answer = client.post(path, body={"model": "gpt-5", "messages": MESSAGES}, cast_to=object)
        assert answer["model"] == "gpt-5-2025-08-07"
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == ["gpt-5-2025-08-07"] * 2


def test_a_model_named_in_the_extra_body_is_the_requested_one(client, telemetry):
    client.chat.completions.create(model="gpt-5", messages=MESSAGES, extra_body={"model": "gpt-5-mini"})
    assert telemetry.one()["gen_ai.request.model"] == "gpt-5-mini"


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    client.models.list()
    client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    client.batches.create(completion_window="24h", endpoint="/v1/chat/completions", input_file_id="f")
    client.moderations.create(input="hello")
    if hasattr(client, "responses"):
        client.responses.retrieve("resp_1")
        client.responses.cancel("resp_1") if hasattr(client.responses, "cancel") else None
        if hasattr(client.responses, "input_tokens"):
            client.responses.input_tokens.count(model="gpt-5", input="hello")
    assert len(provider.requests) >= 4
    assert telemetry.spans == []
    assert telemetry.counted() == []


def test_chat_stream_helper(client, telemetry, provider):
    completions = client.chat.completions
    if not hasattr(completions, "stream"):
        completions = client.beta.chat.completions
    if not hasattr(completions, "stream"):
        pytest.skip("this openai has no chat stream helper")
    with completions.stream(model="gpt-5", messages=MESSAGES) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().model == "gpt-5-2025-08-07"
    telemetry.one()


def test_chat_stream_helper_left_early_ends_with_its_with_statement(client, telemetry, provider):
    provider.answers(chunks=50)
    completions = client.chat.completions
    if not hasattr(completions, "stream"):
        pytest.skip("this openai has its chat stream helper elsewhere")
    with completions.stream(model="gpt-5", messages=MESSAGES) as stream:
        next(iter(stream))
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"


async def test_async_chat_stream_helper(async_client, telemetry):
    if not hasattr(async_client.chat.completions, "stream"):
        pytest.skip("this openai has its chat stream helper elsewhere")
    async with async_client.chat.completions.stream(model="gpt-5", messages=MESSAGES) as stream:
        async for _ in stream:
            pass
    telemetry.one()


def test_parse(client, telemetry):
    from pydantic import BaseModel

    class Answer(BaseModel):
        text: str

    parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
    parse(model="gpt-5", messages=MESSAGES, response_format=Answer)
    telemetry.one()


def test_responses_helpers(provider, telemetry):
    client = OpenAIResponses(provider.url).client
    with client.responses.stream(model="gpt-5", input="hello") as stream:
        for _ in stream:
            pass
    client.responses.parse(model="gpt-5", input="hello")
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == ["gpt-5-2025-08-07"] * 2
    assert len(telemetry.spans) == 2


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(chunks=6, model="gpt-5-2025-08-07", switch_to="gpt-5-mini-2025-08-07")
    list(client.chat.completions.create(model="gpt-5", messages=MESSAGES, stream=True))
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-mini-2025-08-07"


def test_details_of_the_answer_are_on_the_span_and_not_on_the_metric(client, telemetry, provider):
    provider.answers(service_tier="flex", system_fingerprint="fp_1")
    client.chat.completions.create(model="gpt-5", messages=MESSAGES, service_tier="auto")
    span = telemetry.span()
    assert span.attributes["openai.request.service_tier"] == "auto"
    assert span.attributes["openai.response.service_tier"] == "flex"
    assert span.attributes["openai.response.system_fingerprint"] == "fp_1"
    assert not any("tier" in name or "fingerprint" in name for name in telemetry.counted()[0])


def test_usage_of_a_stream_is_taken_where_it_is_sent(client, telemetry):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    list(client.chat.completions.create(model="gpt-5", messages=MESSAGES, **options))
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] > 0
    assert telemetry.span().attributes["gen_ai.response.finish_reasons"] == ("stop",)


# How the served model relates to the requested one ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("requested", "served", "kind", "match"),
    [
        ("gpt-5-2025-08-07", "gpt-5-2025-08-07", "pinned", "exact"),
        ("gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "pinned", "substituted"),
        ("gpt-5", "gpt-5-2025-08-07", "alias", "resolved"),
        ("gpt-5", "gpt-5", "alias", "unconfirmed"),
        ("openrouter/auto", "anthropic/claude-sonnet-5", "router", "resolved"),
        ("openrouter/auto", "openrouter/auto", "router", "unconfirmed"),
        ("my-own-model", "my-own-model", "unknown", "exact"),
        ("my-own-model", "gpt-5-2025-08-07", "unknown", "resolved"),
    ],
)
def test_match(client, telemetry, provider, requested, served, kind, match):
    provider.answers(model=served)
    client.chat.completions.create(model=requested, messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == (kind, match)
    assert counted["gen_ai.response.model"] == served


def test_an_answer_that_names_no_model_is_unreported(client, telemetry, provider):
    provider.answers(no_model=True)
    client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    counted = telemetry.one()
    assert counted["llm_routing.match"] == "unreported"
    assert "gen_ai.response.model" not in counted


@pytest.mark.parametrize(
    ("headers", "gateway", "served"),
    [
        ({"x-ms-served-model": "gpt-5-2025-08-07"}, "azure", "gpt-5-2025-08-07"),
        ({"x-litellm-model-name": "azure/gpt-5-mini-2025-08-07"}, "litellm", "azure/gpt-5-mini-2025-08-07"),
        ({"cf-aig-model": "claude-sonnet-5"}, "cloudflare", "claude-sonnet-5"),
        ({"cf-aig-model": "x", "cf-aig-routed-model": "claude-sonnet-5"}, "cloudflare", "claude-sonnet-5"),
        ({"Ngrok-AIG-Model": "claude-sonnet-5"}, "ngrok", "claude-sonnet-5"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_header_beats_the_body(client, telemetry, provider, headers, gateway, served, stream):
    provider.answers(model="smart", headers=headers)
    result = client.chat.completions.create(model="smart", messages=MESSAGES, stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (served, "header")
    assert counted["llm_routing.match"] == "resolved"
    assert telemetry.span().attributes["llm_routing.gateway"] == gateway


LITELLM, CLOUDFLARE = {"x-litellm-call-id": "1", "x-litellm-model-id": "2"}, {"cf-aig-cache-status": "MISS"}


@pytest.mark.parametrize("headers", [LITELLM, LITELLM | CLOUDFLARE, CLOUDFLARE | LITELLM], ids=", ".join)
def test_a_body_that_a_litellm_proxy_wrote_proves_nothing_whatever_is_before_it(client, telemetry, provider, headers):
    provider.answers(model="smart", headers=headers)
    client.chat.completions.create(model="smart", messages=MESSAGES)
    counted = telemetry.one()
    assert (counted["llm_routing.match"], counted["gen_ai.response.model"]) == ("unconfirmed", "smart")


def test_a_gateway_that_fell_back_says_so(client, telemetry, provider):
    provider.answers(headers={"x-litellm-model-name": "gpt-5-mini", "x-litellm-attempted-fallbacks": "1"})
    client.chat.completions.create(model="smart", messages=MESSAGES)
    assert telemetry.span().attributes["llm_routing.fallback"] is True


@pytest.mark.parametrize(("status", "cached"), [("HIT", True), ("MISS", None)])
def test_a_cached_answer_is_marked(client, telemetry, provider, status, cached):
    provider.answers(headers={"cf-aig-cache-status": status})
    client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert telemetry.one().get("llm_routing.cached") is cached


# Azure -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def azure(provider, telemetry):
    return openai.AzureOpenAI(api_key="k", azure_endpoint=provider.url, api_version="2025-04-01-preview", max_retries=0)


def test_azure_chat(azure, telemetry, provider):
    provider.answers(model="gpt-5-mini-2025-08-07")
    azure.chat.completions.create(model="model-router", messages=MESSAGES)
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == "azure.ai.openai"
    assert counted["gen_ai.request.model"] == "model-router"
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("router", "resolved")


def test_azure_responses_repeat_the_deployment_which_confirms_nothing(azure, telemetry, provider):
    if not hasattr(azure, "responses"):
        pytest.skip("this openai has no Responses API")
    azure.responses.create(model="prod", input="hello")
    assert telemetry.one()["llm_routing.match"] == "unconfirmed"


def test_azure_responses_with_the_header_that_tells(azure, telemetry, provider):
    if not hasattr(azure, "responses"):
        pytest.skip("this openai has no Responses API")
    provider.answers(headers={"x-ms-served-model": "gpt-5-2025-08-07"})
    azure.responses.create(model="prod", input="hello")
    counted = telemetry.one()
    assert (counted["llm_routing.match"], counted["gen_ai.response.model"]) == ("resolved", "gpt-5-2025-08-07")


def test_hostile_names_are_cut_and_capped(client, telemetry, provider, monkeypatch):
    for i in range(3):
        provider.answers(model="m" * 5000 + str(i))
        client.chat.completions.create(model="x\n" * 500, messages=MESSAGES)
    for counted in telemetry.counted():
        assert len(counted["gen_ai.response.model"]) == 256
        assert counted["gen_ai.request.model"].isprintable()


@pytest.mark.parametrize(("padding", "match"), [(1 << 10, "resolved"), (stainless.MAX_READ, "unreported")])
def test_a_raw_answer_is_read_besides_unless_that_takes_long(telemetry, padding, match):
    answer = b'{"object": "list", "model": "text-embedding-3-small-2", "data": [], "x": "%s"}' % (b"x" * padding)
    with RawProvider([Reply(body=(answer,))]) as raw:
        embeddings = OpenAIChat(raw.url).client.embeddings.with_raw_response
        assert embeddings.create(model="text-embedding-3-small", input="x").http_response.content == answer
    assert telemetry.one()["llm_routing.match"] == match


def test_an_event_that_is_not_what_it_seems_takes_nothing_from_those_around_it(telemetry):
    chunk = b'{"id":"1","object":"chat.completion.chunk","created":1,"model":"%s","choices":[]}'
    events = [b"data: " + part for part in (chunk % b"gpt-5", b"{cut", b'{"choices":[{"delta":7}],"model":{}}')]
    events += [b"data: " + chunk % b"gpt-5-2025-08-07", b"data: [DONE]"]
    with RawProvider([Reply(kind="text/event-stream", body=(b"\n\n".join([*events, b""]),))]) as raw:
        client = OpenAIChat(raw.url).client
        answer = client.chat.completions.with_raw_response.create(model="gpt-5", messages=MESSAGES, stream=True)
        assert b"{cut" in b"".join(answer.http_response.iter_bytes())
    assert telemetry.one()["gen_ai.response.model"] == "gpt-5-2025-08-07"


def test_the_surface_header_is_not_sent_of_what_is_no_call_to_a_model_either(client, telemetry, provider):
    headers = {"x-llm-routing-surface": "digest", "x-mine": "1"}
    client.models.list(extra_headers=headers)
    sent = [request.headers for request in provider.requests]
    assert [("x-llm-routing-surface" in s, s.get("x-mine")) for s in sent] == [(False, "1")]
    assert telemetry.counted() == []
