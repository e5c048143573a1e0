"""LiteLLM's real proxy, in front of the fake provider: its headers say which deployment of a group served."""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from driver import MESSAGES, settled
from fake_provider import FakeProvider
from stack.ports import free_port

from otel_llm_routing import models

openai = pytest.importorskip("openai", reason="openai is not installed")
LITELLM = shutil.which("litellm", path=str(Path(sys.executable).parent))
if LITELLM is None:
    pytest.skip("litellm is not installed", allow_module_level=True)
for package in ("fastapi", "websockets"):
    pytest.importorskip(package, reason="litellm[proxy] is not installed")

pytestmark = pytest.mark.timeout(300)  # a proxy takes its time to start

OVERWRITES = tuple(int(part) for part in importlib.metadata.version("litellm").split(".")[:2]) >= (1, 82)
"""Whether this proxy writes the group's name over the provider's, and says in a header which deployment served."""
overwriting = pytest.mark.skipif(not OVERWRITES, reason="this proxy lets the provider's name pass")

KEY = "sk-proxy"
DEPLOYMENTS = {"openai/gpt-5", "openai/gpt-5-mini"}


@pytest.fixture(scope="module")
def upstream():
    with FakeProvider() as provider:
        yield provider


@pytest.fixture(autouse=True)
def as_it_was(upstream):
    upstream.answers()
    upstream.requests.clear()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("proxy")


@pytest.fixture(scope="module")
def proxy(upstream, directory):
    """Yield the URL of a proxy with two deployments in one group, and a group that falls back to another."""
    openai_at = {"api_base": f"{upstream.url}/v1", "api_key": "k", "max_retries": 0}
    groups = [("smart", "openai/gpt-5"), ("smart", "openai/gpt-5-mini"), ("fragile", "openai/gpt-5")]
    groups += [("inside", "openai/gpt-5"), ("inside-fragile", "openai/gpt-5")]
    claude = {"model": "anthropic/claude-haiku-4-5", "api_base": upstream.url, "api_key": "k"}
    config = {
        "model_list": [
            *({"model_name": name, "litellm_params": {"model": model, **openai_at}} for name, model in groups),
            {"model_name": "backup", "litellm_params": claude},
            {"model_name": "inside-claude", "litellm_params": claude},
        ],
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,
            "fallbacks": [{"fragile": ["backup"]}, {"inside-fragile": ["backup"]}],
        },
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": KEY},
    }
    (directory / "config.yaml").write_text(json.dumps(config))  # which is YAML as well
    (directory / "observed.py").write_text(OBSERVED)
    port = free_port()
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "NO_DOCS": "True",
    }
    command = [sys.executable, "observed.py", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--telemetry", "False"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(process, port, directory / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


OBSERVED = '''
"""The proxy as its own command starts it, with its calls observed: each is a line of the file ``spans``."""
import json

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otel_llm_routing import LLMRoutingInstrumentor

spans = open("spans", "a")
exporter = ConsoleSpanExporter(out=spans, formatter=lambda span: json.dumps(dict(span.attributes)) + "\\n")
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
LLMRoutingInstrumentor().instrument(tracer_provider=provider)

from litellm import run_server

run_server()
'''


@pytest.fixture
def seen_inside(proxy, directory):
    """Yield a function that waits for a call that the proxy makes, and returns its span, which has to be the only one.

    The other tests' calls are not looked at: the last of them may end only now.
    """

    def spans():
        found = [json.loads(line) for line in (directory / "spans").read_text().splitlines()]
        return [span for span in found if span["gen_ai.request.model"] not in ("smart", "fragile")]

    before = len(spans())

    def seen():
        end = time.monotonic() + 10
        while len(spans()) == before:
            assert time.monotonic() < end
            time.sleep(0.01)
        [span] = spans()[before:]
        return span

    return seen


def wait_for(process, port, log):
    end = time.monotonic() + 240
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as asked:
            asked.request("GET", "/health/liveliness")
            if asked.getresponse().status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"the proxy did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture
def stripped(proxy):
    """Yield a function that returns the URL of a pass-through to the proxy, which loses some headers of its answers."""
    with contextlib.ExitStack() as servers:

        def start(*lost):
            server = ThreadingHTTPServer(("127.0.0.1", 0), PassThrough)
            server.to, server.lost = proxy.removeprefix("http://"), lost
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            servers.callback(server.server_close)
            servers.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield start


class PassThrough(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name: self.headers[name] for name in ("authorization", "content-type")}
        with contextlib.closing(http.client.HTTPConnection(self.server.to)) as upstream:
            upstream.request("POST", self.path, body, headers)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection") and not (
                    name.lower().startswith(self.server.lost)
                ):
                    self.send_header(name, value)
            self.end_headers()
            while chunk := answer.read1():
                self.wfile.write(chunk)


async def ask(url, *, is_async=False, stream=False, model="smart"):
    """Make a call as an application does; return the model that the application is told."""
    make = openai.AsyncOpenAI if is_async else openai.OpenAI
    client = make(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
    try:
        result = await settled(client.chat.completions.create(model=model, messages=MESSAGES, stream=stream))
        if not stream:
            return result.model
        return ([chunk.model async for chunk in result] if is_async else [chunk.model for chunk in result])[-1]
    finally:
        await settled(client.close())


ways = pytest.mark.parametrize(
    ("is_async", "stream"),
    [(False, False), (False, True), (True, False), (True, True)],
    ids=["sync", "sync-stream", "async", "async-stream"],
)


@overwriting
@ways
async def test_its_headers_tell_the_deployment_that_served(telemetry, proxy, upstream, is_async, stream):
    assert await ask(proxy, is_async=is_async, stream=stream) == "smart"  # what the body says
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == "smart"
    assert counted["gen_ai.response.model"] == f"openai/{upstream.requests[-1].body['model']}"
    assert (counted["llm_routing.served.source"], counted["llm_routing.match"]) == ("header", "resolved")
    assert telemetry.span().attributes["llm_routing.gateway"] == "litellm"
    assert "llm_routing.fallback" not in telemetry.span().attributes


@overwriting
async def test_every_deployment_of_the_group_is_seen(telemetry, proxy, upstream):
    for _ in range(16):
        await ask(proxy)
    served = [c["gen_ai.response.model"] for c in telemetry.counted()]
    assert set(served) == DEPLOYMENTS
    assert sorted(served) == sorted(f"openai/{request.body['model']}" for request in upstream.requests)


@overwriting
@ways
async def test_without_the_header_that_tells_its_body_confirms_nothing(telemetry, stripped, is_async, stream):
    assert await ask(stripped("x-litellm-model-"), is_async=is_async, stream=stream) == "smart"
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == ("smart", "unconfirmed")
    assert telemetry.span().attributes["llm_routing.gateway"] == "litellm"


@overwriting
async def test_without_any_header_a_rule_of_the_users_says_that_the_name_is_a_group(
    telemetry, stripped, tmp_path, monkeypatch
):
    rule = {"id": "smart", "provider": None, "kind": "router", "pattern": "smart", "evidence": "C", "source": "ours"}
    (tmp_path / "rules.json").write_text(json.dumps({"rules": [rule]}))
    monkeypatch.setenv(models.RULES_VARIABLE, str(tmp_path / "rules.json"))
    models.forget()
    try:
        await ask(stripped("x-litellm-"))
        assert telemetry.one()["llm_routing.match"] == "unconfirmed"
    finally:
        monkeypatch.undo()
        models.forget()


@overwriting
@ways
async def test_a_fallback_is_told(telemetry, proxy, upstream, is_async, stream):
    upstream.answers(fault="flaky:1")
    await ask(proxy, is_async=is_async, stream=stream, model="fragile")
    assert [request.body["model"] for request in upstream.requests] == ["gpt-5", "claude-haiku-4-5"]
    counted = telemetry.one()
    assert counted["gen_ai.request.model"] == "fragile"
    assert counted["gen_ai.response.model"] == "anthropic/claude-haiku-4-5"
    assert telemetry.span().attributes["llm_routing.fallback"] is True


async def test_a_group_that_fails_is_a_failed_call(telemetry, proxy, upstream):
    upstream.answers(fault="status:500")
    with pytest.raises(openai.InternalServerError):
        await ask(proxy)
    counted = telemetry.one()
    assert (counted["error.type"], counted["llm_routing.match"]) == ("InternalServerError", "unreported")


@pytest.mark.skipif(OVERWRITES, reason="this proxy overwrites the provider's name")
@ways
async def test_an_older_proxy_lets_the_providers_name_pass_but_does_not_confirm_it(
    telemetry, proxy, upstream, is_async, stream
):
    served = await ask(proxy, is_async=is_async, stream=stream)
    assert served.startswith(upstream.requests[-1].body["model"])
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == (served, "unconfirmed")
    assert telemetry.span().attributes["llm_routing.gateway"] == "litellm"


# The proxy's own calls ---------------------------------------------------------------------------------------------


def post_messages(proxy, model, *, stream):
    """Ask as Claude Code does, in Anthropic's format, and return the answer's bytes."""
    body = {"model": model, "max_tokens": 9, "messages": MESSAGES, "system": "be kind", "stream": stream}
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    with contextlib.closing(http.client.HTTPConnection(proxy.removeprefix("http://"))) as asked:
        asked.request("POST", "/v1/messages", json.dumps(body), headers)
        answer = asked.getresponse()
        assert answer.status == 200
        return answer.read()


@pytest.mark.parametrize("stream", [False, True])
def test_inside_it_a_message_is_one_call_for_the_group(proxy, seen_inside, stream):
    post_messages(proxy, "inside-claude", stream=stream)
    span = seen_inside()
    assert span["gen_ai.request.model"] == "inside-claude"
    assert (span["gen_ai.response.model"], span["gen_ai.provider.name"]) == ("claude-haiku-4-5-20251001", "anthropic")
    assert (span["gen_ai.usage.input_tokens"], span["gen_ai.usage.output_tokens"]) == (9, 4)


@overwriting
@pytest.mark.parametrize("stream", [False, True])
def test_inside_it_a_message_to_a_provider_of_another_format_is_one_call_too(proxy, seen_inside, stream):
    post_messages(proxy, "inside", stream=stream)
    span = seen_inside()
    assert (span["gen_ai.request.model"], span["gen_ai.provider.name"]) == ("inside", "openai")
    assert span["gen_ai.response.model"] == "gpt-5-2025-08-07"


@overwriting
@pytest.mark.parametrize("stream", [False, True])
def test_inside_it_a_fallback_of_a_message_is_one_call(proxy, upstream, seen_inside, stream):
    upstream.answers(fault="flaky:1")
    post_messages(proxy, "inside-fragile", stream=stream)
    span = seen_inside()
    assert (span["gen_ai.request.model"], span["gen_ai.provider.name"]) == ("inside-fragile", "anthropic")
    assert (span["gen_ai.response.model"], span["llm_routing.fallback"]) == ("claude-haiku-4-5-20251001", True)
