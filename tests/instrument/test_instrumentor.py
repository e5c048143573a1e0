"""Starting and stopping: nothing is imported, nothing is left behind, nothing is counted twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys

import pytest
from sdk_drivers import DRIVERS, AnthropicMessages, OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor
from otel_llm_routing.instrument import environment


def python(code, **env):
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_instrumenting_imports_no_sdk():
    out = python(
        "import sys\n"
        "from otel_llm_routing import LLMRoutingInstrumentor\n"
        "LLMRoutingInstrumentor().instrument()\n"
        "import json; print(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"
    )
    imported = set(json.loads(out))
    heavy = {"openai", "anthropic", "httpx", "httpx2", "pydantic", "grpc", "typer", "rich", "starlette", "uvicorn"}
    assert imported & heavy == set()


def hooked(driver):
    base, streaming = driver.sdk._base_client, driver.sdk._streaming
    return [
        (owner, name, owner.__dict__.get(name))
        for owner in (base.SyncAPIClient, base.AsyncAPIClient, streaming.Stream, streaming.AsyncStream)
        for name in ("request", "_process_response", "__stream__", "close", "__exit__", "__aexit__")
    ]


@pytest.mark.parametrize("cls", [OpenAIChat, AnthropicMessages])
def test_uninstrumenting_restores_every_method_to_the_same_object(cls, provider):
    driver = cls(provider.url)
    before = hooked(driver)
    instrumentor = LLMRoutingInstrumentor()
    instrumentor.instrument()
    assert not all(a[2] is b[2] for a, b in zip(before, hooked(driver), strict=True))
    instrumentor.instrument()
    instrumentor.uninstrument()
    instrumentor.uninstrument()
    assert all(a[2] is b[2] for a, b in zip(before, hooked(driver), strict=True))


@pytest.mark.parametrize("cls", DRIVERS)
def test_clients_and_raw_wrappers_made_meanwhile_work_before_and_after(cls, telemetry, provider):
    driver = cls(provider.url)
    raw = driver.resource(driver.client).with_raw_response
    raw.create(**driver.arguments())
    assert len(telemetry.counted()) == 1
    LLMRoutingInstrumentor().uninstrument()
    raw.create(**driver.arguments())
    driver.resource(driver.client).create(**driver.arguments())
    assert len(telemetry.counted()) == 1
    telemetry.instrument()
    raw.create(**driver.arguments())
    assert len(telemetry.counted()) == 2
    assert len(telemetry.spans) == 2


def test_instrumenting_twice_counts_once(telemetry, provider):
    telemetry.instrument()
    driver = OpenAIChat(provider.url)
    driver.client.chat.completions.create(**driver.arguments())
    telemetry.one()


def test_a_stream_that_outlives_the_instrumentation_still_ends(telemetry, provider):
    driver = OpenAIChat(provider.url)
    stream = driver.client.chat.completions.create(**driver.arguments(stream=True))
    LLMRoutingInstrumentor().uninstrument()
    list(stream)
    assert telemetry.one()["llm_routing.match"] == "resolved"


def test_an_sdk_can_be_switched_off(telemetry, provider, monkeypatch):
    LLMRoutingInstrumentor().uninstrument()
    monkeypatch.setenv("OTEL_LLM_ROUTING_DISABLED_SDKS", "OpenAI, other")
    telemetry.instrument()
    for driver in (OpenAIChat(provider.url), AnthropicMessages(provider.url)):
        driver.resource(driver.client).create(**driver.arguments())
    assert telemetry.one()["gen_ai.provider.name"] == "anthropic"


@pytest.mark.parametrize("name", ["huggingface-hub", "HuggingFace_Hub", "huggingface.hub"])
def test_an_sdk_is_switched_off_by_any_spelling_of_its_name(name):
    assert "huggingface_hub" in environment.read({"OTEL_LLM_ROUTING_DISABLED_SDKS": f"openai, {name}"}).disabled_sdks


def test_the_entry_point_is_found_under_its_one_name():
    from importlib.metadata import entry_points

    ours = [e for e in entry_points(group="opentelemetry_instrumentor") if "otel_llm_routing" in e.value]
    assert [e.name for e in ours] == ["llm_routing"]
    assert ours[0].load() is LLMRoutingInstrumentor


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_the_child_of_a_fork_starts_from_zero(telemetry, provider):
    driver = OpenAIChat(provider.url)
    driver.client.chat.completions.create(**driver.arguments())
    assert len(telemetry.counted()) == 1

    def child(queue):
        client = OpenAIChat(provider.url)
        client.client.chat.completions.create(**client.arguments())
        client.client.chat.completions.create(**client.arguments())
        queue.put(len(telemetry.counted()))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=30) == 2
    process.join()
    assert len(telemetry.counted()) == 1


def test_without_an_opentelemetry_sdk_set_up_calls_work_as_ever(provider):
    LLMRoutingInstrumentor().instrument()
    try:
        driver = OpenAIChat(provider.url)
        assert driver.client.chat.completions.create(**driver.arguments()).model == driver.served
    finally:
        LLMRoutingInstrumentor().uninstrument()


def test_a_process_that_exits_inside_a_stream_exits_as_it_would_without_us(provider):
    code = (
        "import openai, sys\n"
        "from otel_llm_routing import LLMRoutingInstrumentor\n"
        "LLMRoutingInstrumentor().instrument()\n"
        f"c = openai.OpenAI(api_key='k', base_url='{provider.url}/v1', max_retries=0)\n"
        "for chunk in c.chat.completions.create(model='gpt-5', messages=[], stream=True):\n"
        "    print('chunk'); sys.exit(0)\n"
    )
    assert python(code) == "chunk\n"
