"""What is particular to the together SDK: 1.x has a client of its own, later ones are of the Stainless family."""

from __future__ import annotations

import asyncio

import pytest
from conformance import CallHeader, Calls, Raw, Retries, Streams
from driver import MESSAGES
from sdk_drivers import StainlessDriver

together = pytest.importorskip("together", reason="the together package is not installed")

OWN_CLIENT = hasattr(together, "abstract")
"""This is 1.x."""
LLAMA = "meta-llama/Llama-3.3-70B-Instruct-Turbo"


class TogetherChat(StainlessDriver):
    """Chat completions of the together SDK."""

    distribution = package = provider = "together"
    label = "chat.completions"
    requested = served = LLAMA
    kind, match = "unknown", "exact"
    halfway = match
    enters = has_error_event = not OWN_CLIENT  # 1.x returns generators, and hands an error out as one more item

    def make(self, url, is_async, options):
        cls = together.AsyncTogether if is_async else together.Together
        # Versions before 3 have the API's version in the base URL, and later ones in each path.
        versioned = int(together.__version__.split(".")[0]) >= 3 if hasattr(together, "__version__") else False
        return cls(base_url=url if versioned else f"{url}/v1", **options)

    def resource(self, client):
        return client.chat.completions

    async def close(self, stream):
        if not OWN_CLIENT:
            await super().close(stream)
        elif self.is_async:
            await stream.aclose()
            for _ in range(10):  # the event loop closes the generators inside it, each in a task of its own
                await asyncio.sleep(0)
        else:
            stream.close()


class TogetherCompletions(TogetherChat):
    """Text completions of the together SDK."""

    label = "completions"
    operation = "text_completion"

    def resource(self, client):
        return client.completions

    def arguments(self, **more):
        return {"model": self.requested, "prompt": "hello", **more}


class TestChat(Calls, Streams):
    driver = TogetherChat


class TestCompletions(Calls, Streams):
    driver = TogetherCompletions


@pytest.mark.skipif(OWN_CLIENT, reason="the client of 1.x gives no access to the HTTP response or to a call's headers")
class TestStainless(Raw, Retries, CallHeader):
    driver = TogetherChat


@pytest.fixture
def client(provider, telemetry):
    return TogetherChat(provider.url).client


def test_embeddings(client, telemetry):
    client.embeddings.create(model="BAAI/bge-base-en-v1.5", input="hello")
    counted = telemetry.one()
    assert counted["gen_ai.operation.name"] == "embeddings"
    assert counted["gen_ai.response.model"] == "BAAI/bge-base-en-v1.5"


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_beats_the_body(client, telemetry, provider, stream):
    provider.answers(headers={"cf-aig-model": "deepseek-ai/DeepSeek-V3.1"})
    result = client.chat.completions.create(model=LLAMA, messages=MESSAGES, stream=stream)
    if stream:
        list(result)
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == "deepseek-ai/DeepSeek-V3.1"
    assert counted["llm_routing.served.source"] == "header"
    assert telemetry.span().attributes["llm_routing.gateway"] == "cloudflare"


def test_the_model_of_a_stream_is_the_last_one_named(client, telemetry, provider):
    provider.answers(chunks=6, switch_to="Qwen/Qwen3-235B-A22B")
    list(client.chat.completions.create(model=LLAMA, messages=MESSAGES, stream=True))
    assert telemetry.one()["gen_ai.response.model"] == "Qwen/Qwen3-235B-A22B"


def test_what_is_not_a_call_to_a_model_is_not_counted(client, telemetry, provider):
    provider.answers()
    client.files.list()
    assert len(provider.requests) == 1
    assert telemetry.spans == []
    assert telemetry.counted() == []
