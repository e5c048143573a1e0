"""Servers that speak OpenAI's format, called with the openai SDK: who is the provider, who the gateway, who served.

The base URL is the real one, so that the client holds the real host; its transport connects to the fake provider.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from driver import MESSAGES, each, settled

openai = pytest.importorskip("openai", reason="the openai package is not installed")

HTTP = vars(sys.modules["openai._base_client"]).get("httpx2") or sys.modules["httpx"]
"""Whichever this openai uses."""


class ToTheFakeProvider(HTTP.HTTPTransport):
    """Sends every request to the fake provider, whatever host it is for."""

    def __init__(self, url):
        super().__init__()
        self.to = HTTP.URL(url)

    def handle_request(self, request):
        request.url = request.url.copy_with(scheme="http", host=self.to.host, port=self.to.port)
        return super().handle_request(request)


class AsyncToTheFakeProvider(HTTP.AsyncHTTPTransport):
    """Does what ``ToTheFakeProvider`` does."""

    def __init__(self, url):
        super().__init__()
        self.to = HTTP.URL(url)

    async def handle_async_request(self, request):
        request.url = request.url.copy_with(scheme="http", host=self.to.host, port=self.to.port)
        return await super().handle_async_request(request)


def client_for(base_url, provider, *, is_async=False):
    options = {"api_key": "k", "max_retries": 0, "base_url": base_url}
    if is_async:
        http = HTTP.AsyncClient(transport=AsyncToTheFakeProvider(provider.url))
        return openai.AsyncOpenAI(http_client=http, **options)
    return openai.OpenAI(http_client=HTTP.Client(transport=ToTheFakeProvider(provider.url)), **options)


@dataclass(frozen=True)
class Server:
    """A server, and what is peculiar to its answers."""

    base_url: str
    provider: str
    requested: str
    served: str
    kind: str
    match: str
    more: dict[str, Any] = field(default_factory=dict)
    source: str = "body"

    @property
    def host(self):
        return HTTP.URL(self.base_url).host


GPT_OSS = "openai/gpt-oss-120b"
BREAKDOWN = {"models": [{"model": GPT_OSS, "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}]}
SERVERS = [
    Server(
        "https://openrouter.ai/api/v1",
        "openrouter",
        "openrouter/auto",
        "anthropic/claude-sonnet-5",
        "router",
        "resolved",
        {"provider": "Anthropic"},
    ),
    Server(
        "https://acme.openai.azure.com/openai/v1/",
        "azure.ai.openai",
        "model-router",
        "gpt-5-mini-2025-08-07",
        "router",
        "resolved",
        {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
    ),
    Server(
        "https://acme.services.ai.azure.com/openai/v1/",
        "azure.ai.inference",
        "model-router",
        "gpt-5-2025-08-07",
        "router",
        "resolved",
    ),
    Server("https://api.deepseek.com", "deepseek", "deepseek-chat", "deepseek-chat", "alias", "unconfirmed"),
    Server("https://api.x.ai/v1", "x_ai", "grok-4", "grok-4-0709", "alias", "resolved", {"citations": []}),
    Server(
        "https://api.perplexity.ai",
        "perplexity",
        "sonar",
        "sonar",
        "unknown",
        "exact",
        {"citations": ["https://example.org"], "search_results": [{"title": "t", "url": "https://example.org"}]},
    ),
    Server(
        "https://api.fireworks.ai/inference/v1",
        "fireworks",
        "accounts/fireworks/routers/coding",
        "accounts/fireworks/models/glm-5",
        "router",
        "resolved",
    ),
    Server(
        "https://router.huggingface.co/v1",
        "huggingface",
        "meta-llama/Llama-3.3-70B-Instruct:fastest",
        "llama-3.3-70b-versatile",
        "router",
        "resolved",
    ),
    Server(
        "https://api.together.xyz/v1",
        "together",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "unknown",
        "exact",
        {"prompt": []},
    ),
    Server(
        "https://api.groq.com/openai/v1",
        "groq",
        "groq/compound",
        GPT_OSS,
        "router",
        "resolved",
        {"usage_breakdown": BREAKDOWN},
        source="trace",
    ),
    Server(
        "https://api.mistral.ai/v1", "mistral_ai", "mistral-large-latest", "mistral-large-2512", "alias", "resolved"
    ),
    Server("https://api.cerebras.ai/v1", "cerebras", "gpt-oss-120b", "gpt-oss-120b", "unknown", "exact"),
    Server("https://ollama.com/v1", "ollama", "gpt-oss:120b", "gpt-oss:120b", "unknown", "exact"),
    Server("http://localhost:11434/v1", "ollama", "llama3.2", "llama3.2", "alias", "unconfirmed"),
    # Servers without a host or a port of their own are the SDK's provider: nothing says who they are.
    Server("http://vllm.internal:8000/v1", "openai", "acme/my-model", "acme/my-model", "unknown", "exact"),
    Server("https://litellm.acme.example", "openai", "smart", "smart", "unknown", "exact"),
]
NAMES = [f"{server.host} {server.provider}" for server in SERVERS]


def body_model(server):
    """Return what the body's ``model`` says: a compound system's own name where a trace names the model."""
    return server.requested if server.source == "trace" else server.served


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("server", SERVERS, ids=NAMES)
async def test_the_provider_is_known_by_its_host(telemetry, provider, server, is_async, stream):
    provider.answers(model=body_model(server), more=server.more)
    client = client_for(server.base_url, provider, is_async=is_async)
    result = await settled(client.chat.completions.create(model=server.requested, messages=MESSAGES, stream=stream))
    if stream:
        assert [item async for item in each(result)]
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == server.provider
    assert counted["llm_routing.served.source"] == server.source
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == (server.requested, server.served)
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == (server.kind, server.match)
    span = telemetry.span()
    assert span.attributes["server.address"] == server.host
    assert span.attributes["server.port"] == (HTTP.URL(server.base_url).port or 443)
    assert "llm_routing.gateway" not in span.attributes
    assert provider.requests[-1].headers["host"].startswith(server.host)


GATEWAYS = [
    ({"x-litellm-model-name": "mistral/mistral-large-2512"}, "litellm", "mistral/mistral-large-2512", "header"),
    ({"cf-aig-model": "mistral-large-2512"}, "cloudflare", "mistral-large-2512", "header"),
    ({"ngrok-aig-model": "mistral-large-2512"}, "ngrok", "mistral-large-2512", "header"),
    (
        {"x-portkey-trace-id": "1", "x-portkey-last-used-option-index": "config"},
        "portkey",
        "mistral-large-2407",
        "body",
    ),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("headers", "gateway", "served", "source"), GATEWAYS, ids=[g[1] for g in GATEWAYS])
@pytest.mark.parametrize(
    ("base_url", "expected"),
    [("https://api.mistral.ai/v1", "mistral_ai"), ("https://llm.acme.example/v1", "openai")],
)
def test_a_gateway_that_its_headers_name_is_not_the_provider(
    telemetry, provider, base_url, expected, headers, gateway, served, source, stream
):
    provider.answers(model="mistral-large-2407", headers=headers)
    result = client_for(base_url, provider).chat.completions.create(
        model="mistral-large-latest", messages=MESSAGES, stream=stream
    )
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.provider.name"] == expected
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (served, source)
    assert telemetry.span().attributes["llm_routing.gateway"] == gateway


# OpenRouter's metadata ----------------------------------------------------------------------------------------------

SONNET, OPUS = "anthropic/claude-sonnet-5", "anthropic/claude-opus-5"


def attempt(model, status=200, provider="Anthropic"):
    return {"model": model, "provider": provider, "status": status}


def endpoint(model, *, selected):
    return {"model": model, "provider": "Anthropic", "selected": selected}


def metadata(**members):
    endpoints = members.pop("endpoints", [])
    whole = {"requested": "openrouter/auto", "strategy": "auto", "attempt": 1, "is_byok": False, "region": None}
    return {**whole, "summary": "", "endpoints": {"available": endpoints, "total": len(endpoints)}, **members}


CASES = {
    "the one attempt": (metadata(attempts=[attempt(SONNET)]), SONNET, False),
    "after another model failed": (metadata(attempts=[attempt(OPUS, 529), attempt(SONNET)]), SONNET, True),
    "after another provider failed": (
        metadata(attempts=[attempt(SONNET, 500, "Google"), attempt(SONNET)]),
        SONNET,
        False,
    ),
    "no attempts": (
        metadata(endpoints=[endpoint(OPUS, selected=False), endpoint(SONNET, selected=True)]),
        SONNET,
        False,
    ),
}


@pytest.mark.parametrize(("added", "served", "fallback"), CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("usage", [False, True], ids=["without usage", "with usage"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_openrouters_metadata_names_what_served(telemetry, provider, added, served, fallback, usage, stream):
    provider.answers(model="openrouter/auto", more={"openrouter_metadata": added})
    options = {"stream": True, "stream_options": {"include_usage": usage}} if stream else {}
    result = client_for("https://openrouter.ai/api/v1", provider).chat.completions.create(
        model="openrouter/auto", messages=MESSAGES, **options
    )
    if stream:
        list(result)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (served, "trace")
    assert (counted["gen_ai.provider.name"], counted["llm_routing.match"]) == ("openrouter", "resolved")
    assert telemetry.span().attributes["llm_routing.gateway"] == "openrouter"
    assert telemetry.span().attributes.get("llm_routing.fallback", False) is fallback


@pytest.mark.parametrize(
    "broken",
    [17, {}, {"attempts": "many"}, metadata(attempts=[17, {"model": 17, "status": "ok"}]), metadata(endpoints=[{}])],
)
def test_metadata_of_another_form_is_no_evidence(telemetry, provider, broken):
    provider.answers(model=SONNET, more={"openrouter_metadata": broken})
    client_for("https://openrouter.ai/api/v1", provider).chat.completions.create(
        model="openrouter/auto", messages=MESSAGES
    )
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (SONNET, "body")


# What else providers do their own way ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["acme.openai.azure.com", "acme.services.ai.azure.com"])
@pytest.mark.parametrize(
    ("headers", "served", "match"),
    [({}, "prod", "unconfirmed"), ({"x-ms-served-model": "gpt-5-2025-08-07"}, "gpt-5-2025-08-07", "resolved")],
    ids=["body", "header"],
)
def test_azures_responses_repeat_the_deployment(telemetry, provider, host, headers, served, match):
    client = client_for(f"https://{host}/openai/v1/", provider)
    if not hasattr(client, "responses"):
        pytest.skip("this openai has no Responses API")
    provider.answers(headers=headers)
    client.responses.create(model="prod", input="hello")
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == (served, match)


def test_deepseek_counts_cached_input_under_a_name_of_its_own(telemetry, provider):
    usage = {"prompt_tokens_details": None, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 3}
    provider.answers(usage=usage)
    client_for("https://api.deepseek.com", provider).chat.completions.create(model="deepseek-chat", messages=MESSAGES)
    assert telemetry.span().attributes["gen_ai.usage.cache_read.input_tokens"] == 6


def test_groq_counts_a_streams_tokens_unasked(telemetry, provider):
    client = client_for("https://api.groq.com/openai/v1", provider)
    list(client.chat.completions.create(model=GPT_OSS, messages=MESSAGES, stream=True))
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4
