"""Live sessions of the google-genai SDK, on a real websocket: each turn of the model is one call."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.trace import StatusCode

pytest.importorskip("google.genai", reason="google-genai is not installed")
from fake_provider.gemini_live import FakeLive
from google import genai
from google.genai import types

from otel_llm_routing import LLMRoutingInstrumentor, surface

ASK = types.Content(role="user", parts=[types.Part(text="hello")])


@pytest.fixture
def live():
    with FakeLive() as live:
        yield live


@pytest.fixture
def client(live, telemetry, monkeypatch):
    client = genai.Client(api_key="k", http_options={"base_url": live.url})
    # The SDK speaks TLS to every server, and has no option not to.
    monkeypatch.setattr(client._api_client, "_websocket_base_url", lambda *_: live.url)
    monkeypatch.setattr(client._api_client, "_websocket_ssl_ctx", {})
    return client


def connected(client):
    return client.aio.live.connect(model="gemini-flash-latest")


async def turn(session):
    await session.send_client_content(turns=ASK, turn_complete=True)
    return [message async for message in session.receive()]


async def test_each_turn_is_one_call_that_names_no_served_model(client, telemetry):
    async with connected(client) as session:
        assert len(await turn(session)) == 5
        counted = telemetry.one()
        await turn(session)
    assert counted == {
        "llm_routing.surface": "unknown",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.operation.name": "generate_content",
        "gen_ai.request.model": "gemini-flash-latest",
        "llm_routing.request.kind": "alias",
        "llm_routing.match": "unreported",
        "llm_routing.served.source": "none",
    }
    assert len(telemetry.counted()) == len(telemetry.spans) == 2
    attributes = telemetry.spans[0].attributes
    assert attributes["gen_ai.usage.input_tokens"] == 9
    assert attributes["gen_ai.usage.output_tokens"] == 5
    assert attributes["server.address"] == "127.0.0.1"
    assert "hello" not in repr(dict(attributes))
    assert "lorem" not in repr(dict(attributes))


async def test_a_session_without_a_turn_is_no_call(client, telemetry, live):
    async with connected(client):
        pass
    assert len(live.setups) == 1
    assert telemetry.counted() == []


async def test_the_surface_is_the_one_that_the_session_was_opened_for(client, telemetry):
    with surface("assistant"):
        manager = connected(client)
    async with manager as session:
        await asyncio.create_task(turn(session))
    assert telemetry.one()["llm_routing.surface"] == "assistant"


async def test_a_turn_that_is_interrupted_ends_and_is_no_error(client, telemetry, live):
    live.fault = "interrupt"
    async with connected(client) as session:
        await turn(session)
    assert "error.type" not in telemetry.one()


async def test_a_turn_with_a_function_call_is_one_call(client, telemetry, live):
    live.fault = "tool"
    async with connected(client) as session:
        await session.send_client_content(turns=ASK, turn_complete=True)
        async for message in session.receive():
            if message.tool_call is not None:
                answer = types.FunctionResponse(id="1", name="f", response={"output": "x"})
                await session.send_tool_response(function_responses=answer)
    telemetry.one()


async def test_a_connection_that_is_lost_within_a_turn_is_an_error(client, telemetry, live):
    live.fault = "drop"
    with pytest.raises(Exception) as raised:
        async with connected(client) as session:
            await turn(session)
    assert telemetry.one()["error.type"] == type(raised.value).__qualname__
    assert telemetry.span().status.status_code is StatusCode.ERROR


async def test_an_exception_in_the_with_body_is_how_the_turn_ended(client, telemetry):
    async def body():
        async with connected(client) as session:
            await session.send_client_content(turns=ASK, turn_complete=True)
            async for message in session.receive():
                if message.server_content.model_turn is not None:
                    raise KeyError("the application's own")

    with pytest.raises(KeyError):
        await body()
    assert telemetry.one()["error.type"] == "KeyError"


async def test_a_turn_that_is_under_way_ends_with_its_session(client, telemetry):
    async with connected(client) as session:
        await session.send_client_content(turns=ASK, turn_complete=True)
        async for message in session.receive():
            if message.server_content.model_turn is not None:
                break
        assert telemetry.counted() == []
    assert "error.type" not in telemetry.one()


async def test_the_session_is_of_the_very_types_the_sdk_returns(client, telemetry):
    with_us = connected(client)
    async with with_us as session:
        kinds = (type(with_us), type(session))
        LLMRoutingInstrumentor().uninstrument()
        assert len(await turn(session)) == 5
    without_us = connected(client)
    async with without_us as session:
        assert kinds == (type(without_us), type(session))
    assert telemetry.counted() == []
