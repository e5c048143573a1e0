"""What is particular to the Claude Agent SDK: a subprocess calls the model, and says which one answered."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import tempfile
from pathlib import Path

import pytest
from conformance import Calls, Conformance, collected
from driver import Driver
from opentelemetry.trace import StatusCode

from otel_llm_routing import surface
from otel_llm_routing.instrument.context import CALL

sdk = pytest.importorskip("claude_agent_sdk", reason="claude-agent-sdk is not installed; make compat has it")

os.environ.setdefault("CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK", "1")  # one subprocess less
CLI = Path(__file__).parents[2] / "examples" / "fake_provider" / "claude_cli.py"


@pytest.fixture(scope="session", autouse=True)
def cli_path():
    """A program, as ``cli_path`` has to be, that starts the fake CLI with this Python."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "claude"
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S -E {shlex.quote(str(CLI))} "$@"\n')
        path.chmod(0o755)
        ClaudeAgent.cli_path = str(path)
        yield


async def hello(until=None):
    """Yield a prompt; the CLI can ask back while the stream of prompts is open, ``until`` an event is set."""
    yield {"type": "user", "message": {"role": "user", "content": "hello"}}
    if until is not None:
        await until.wait()


class ClaudeAgent(Driver):
    """``query()``: one prompt, and the messages that come back."""

    distribution = "claude-agent-sdk"
    label = "query"
    provider = "anthropic"
    requested, served = "claude-haiku-4-5", "claude-haiku-4-5-20251001"
    not_visible = (
        "The size of the input, output tokens where a response comes in parts, and calls that the CLI makes for itself."
    )
    modes = ("async",)
    reports = frozenset({"id", "input_tokens"})
    size = None
    cli_path = None

    def __init__(self, url, *, is_async=True, does="", **options):
        self.url = url
        env = {"ANTHROPIC_BASE_URL": url, "FAKE_CLAUDE": does}
        self.options = sdk.ClaudeAgentOptions(
            **{"model": self.requested, "cli_path": self.cli_path, "env": env, **options}
        )

    async def create(self, prompt="hello"):
        """Return the last message; raise what the SDK raises."""
        last = None
        async for message in sdk.query(prompt=prompt, options=self.options):
            last = message
        return last


class ClaudeClient(ClaudeAgent):
    """``ClaudeSDKClient``: a session of prompts and responses."""

    label = "ClaudeSDKClient"

    async def create(self, prompt="hello"):
        last = None
        async with sdk.ClaudeSDKClient(self.options) as client:
            await client.query(prompt)
            async for message in client.receive_response():
                last = message
        return last


class Responses(Calls):
    """The CLI says that a call failed in a message, and the SDK raises nothing then."""

    async def test_a_failed_call_is_counted_with_its_error(self, sdk, telemetry, provider):
        provider.answers(fault="status:500")
        assert (await sdk.create()).is_error
        counted = telemetry.one()
        assert (counted["error.type"], counted["llm_routing.match"]) == ("server_error", "unreported")
        assert telemetry.span().status.status_code is StatusCode.ERROR

    async def test_a_call_cancelled_before_its_answer(self, sdk, telemetry, provider):
        provider.answers(first_byte_delay=5)
        task = asyncio.ensure_future(sdk.create())
        while not provider.requests:  # noqa: ASYNC110  (until the CLI, another process, has started and asks the model)
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        counted = telemetry.one()
        assert (counted["error.type"], counted["llm_routing.match"]) == ("CancelledError", "unreported")


class TestQuery(Responses):
    driver = ClaudeAgent


class TestClient(Conformance):
    driver = ClaudeClient

    async def test_each_response_of_a_session_is_a_call(self, sdk, telemetry, provider):
        import claude_agent_sdk

        async with claude_agent_sdk.ClaudeSDKClient(sdk.options) as client:
            for name in ("first", "second"):
                await client.query("hello")
                with surface(name):
                    async for _ in client.receive_response():
                        pass
        assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["first", "second"]
        assert len(telemetry.spans) == 2

    async def test_a_model_set_meanwhile_is_the_requested_one(self, sdk, telemetry):
        import claude_agent_sdk

        async with claude_agent_sdk.ClaudeSDKClient(sdk.options) as client:
            await client.set_model("claude-opus-4-8")
            await client.query("hello")
            async for _ in client.receive_response():
                pass
        counted = telemetry.one()
        assert (counted["gen_ai.request.model"], counted["llm_routing.match"]) == ("claude-opus-4-8", "exact")


async def test_a_prompt_that_is_a_stream(telemetry, provider):
    await ClaudeAgent(provider.url).create(hello())
    assert telemetry.one()["gen_ai.response.model"] == ClaudeAgent.served


async def test_a_response_in_parts_is_one_call_and_a_callback_is_not_beneath_it(telemetry, provider):
    from opentelemetry.context import get_value

    beneath, asked = [], asyncio.Event()

    async def allow(name, arguments, context):
        beneath.append(get_value(CALL))
        asyncio.get_running_loop().call_later(0.2, asked.set)  # once the answer is written
        return sdk.PermissionResultAllow()

    await ClaudeAgent(provider.url, does="tool", can_use_tool=allow).create(hello(asked))
    assert beneath == [None]
    assert [c["gen_ai.response.model"] for c in telemetry.counted()] == [ClaudeAgent.served] * 2
    assert len(telemetry.spans) == len(provider.requests) == 2


async def test_a_call_begins_when_the_cli_has_what_it_waits_for(telemetry, provider):
    provider.answers(first_byte_delay=0.3)
    await ClaudeAgent(provider.url).create()
    span = telemetry.span()
    assert span.end_time - span.start_time >= 0.25e9
    [(_, duration)] = telemetry.points("llm_routing.duration")
    assert duration.sum >= 0.25


async def test_a_response_as_events_is_a_stream(telemetry, provider):
    provider.answers(chunks=8)
    await ClaudeAgent(provider.url, include_partial_messages=True).create()
    assert telemetry.one()["gen_ai.response.model"] == ClaudeAgent.served
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["gen_ai.usage.output_tokens"] > 1
    assert attributes["gen_ai.response.finish_reasons"] == ("end_turn",)


async def test_a_reader_that_leaves_halfway_through_a_streamed_response_ends_its_call(telemetry, provider):
    provider.answers(chunks=50, gap=0.01)
    messages = sdk.query(prompt="hello", options=ClaudeAgent(provider.url, include_partial_messages=True).options)
    async for message in messages:
        if type(message).__name__ == "StreamEvent" and message.event["type"] == "content_block_delta":
            break
    await messages.aclose()
    await collected()  # the SDK closes its inner generators only then
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == ClaudeAgent.served
    assert "error.type" not in counted


async def test_a_subagents_call_has_no_requested_model(telemetry, provider):
    await ClaudeAgent(provider.url, does="subagent", model="claude-opus-4-8").create()
    models = [(c.get("gen_ai.request.model"), c["gen_ai.response.model"]) for c in telemetry.counted()]
    assert sorted(models, key=str) == [("claude-opus-4-8", "claude-opus-4-8"), (None, "claude-haiku-4-5-20251001")]
    assert "chat" in {span.name for span in telemetry.spans}


@pytest.mark.parametrize(
    ("requested", "kind", "match"),
    [(None, "unknown", "resolved"), ("sonnet", "alias", "resolved"), ("claude-sonnet-5", "pinned", "exact")],
)
async def test_what_was_asked_for(telemetry, provider, requested, kind, match):
    provider.answers(model="claude-sonnet-5")
    await ClaudeAgent(provider.url, model=requested).create()
    counted = telemetry.one()
    assert (counted.get("gen_ai.request.model"), counted["llm_routing.request.kind"]) == (requested, kind)
    assert counted["llm_routing.match"] == match


async def test_the_model_to_fall_back_on_is_a_fallback(telemetry, provider):
    provider.answers(model="claude-haiku-4-5-20251001")
    await ClaudeAgent(provider.url, model="claude-opus-4-8", fallback_model="claude-haiku-4-5").create()
    assert telemetry.one()["llm_routing.match"] == "substituted"
    assert telemetry.span().attributes["llm_routing.fallback"] is True


async def test_what_the_cli_prints_by_itself_is_not_a_call(telemetry, provider):
    await ClaudeAgent(provider.url, does="local").create()
    telemetry.one()


async def test_a_cli_that_dies_while_it_works_is_a_failed_call(telemetry, provider):
    with pytest.raises(Exception) as raised:
        await ClaudeAgent(provider.url, does="die").create()
    counted = telemetry.one()
    assert counted["error.type"] == type(raised.value).__qualname__
    assert counted["llm_routing.match"] == "unreported"


async def test_another_cloud_is_another_provider(telemetry, provider):
    driver = ClaudeAgent(provider.url)
    driver.options.env["CLAUDE_CODE_USE_BEDROCK"] = "1"
    provider.answers(model="us.anthropic.claude-haiku-4-5-20251001-v1:0")
    await driver.create()
    assert telemetry.one()["gen_ai.provider.name"] == "aws.bedrock"
    assert "server.address" not in telemetry.span().attributes
