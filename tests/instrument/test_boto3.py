"""What is particular to boto3: prompt routers, event streams and bodies read in many ways, vendors, other services."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import json
import subprocess
import sys
import threading

import aws_drivers
import pytest
from aws_drivers import CLAUDE, CREDENTIALS, INVOKED, PROFILE, ROUTER, TALK, VENDORS, claude, said
from conformance import Calls, Retries, Streams
from driver import MESSAGES
from opentelemetry.trace import StatusCode

from otel_llm_routing import LLMRoutingInstrumentor

boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
botocore = pytest.importorskip("botocore.session", reason="boto3 is not installed")


@functools.lru_cache(maxsize=1)
def session():
    return boto3.session.Session(**CREDENTIALS)  # reads the services' models once


def make(url, service="bedrock-runtime", retries=0):
    from botocore.config import Config

    config = Config(retries={"max_attempts": retries}, max_pool_connections=32)
    return session().client(service, endpoint_url=url, config=config)


@pytest.fixture(scope="module", autouse=True)
def the_services_models_are_not_searched_for_garbage():
    make("http://127.0.0.1:1").close()
    make("http://127.0.0.1:1", "s3").close()
    gc.collect()
    gc.freeze()


class Boto3:
    distribution = "boto3"
    modes = ("sync",)

    def make(self, url, retries):
        return make(url, retries=retries)

    async def create(self):
        return getattr(self.client, self.method)(**self.arguments())

    async def stream(self):
        return getattr(self.client, self.stream_method)(**self.arguments())[self.answer]

    async def retrying(self, retries):
        self.client = self.make(self.url, retries)
        return await self.create()


class Boto3Body:
    async def create(self):
        body = self.client.invoke_model(**self.arguments())["body"]
        body.read()
        return body


class Converse(Boto3, aws_drivers.Converse):
    pass


class Router(Boto3, aws_drivers.Router):
    pass


class Invoke(Boto3Body, Boto3, aws_drivers.Invoke):
    pass


class Embeddings(Boto3Body, Boto3, aws_drivers.Embeddings):
    pass


class TestConverse(Calls, Streams, Retries):
    driver = Converse


class TestPromptRouter(Calls, Streams):
    driver = Router


class TestInvokeModel(Calls, Streams, Retries):
    driver = Invoke


class TestEmbeddings(Calls):
    driver = Embeddings


@pytest.fixture
def client(provider, telemetry):
    return make(provider.url)


# Prompt routers and other identifiers -------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_router_names_the_model_it_invoked(client, telemetry, provider, stream):
    invoked = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0"
    provider.answers(model=invoked)
    router = "arn:aws:bedrock:eu-west-1:123456789012:prompt-router/ab12cd34"
    if stream:
        list(client.converse_stream(modelId=router, messages=TALK)["stream"])
    else:
        client.converse(modelId=router, messages=TALK)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == (router, invoked)
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("router", "resolved")
    assert counted["llm_routing.served.source"] == "trace"


def test_a_prompt_router_that_does_not_say_is_unreported(client, telemetry, provider):
    provider.answers(no_model=True)
    client.converse(modelId=ROUTER, messages=TALK)
    assert telemetry.one()["llm_routing.match"] == "unreported"


@pytest.mark.parametrize(
    ("requested", "kind"),
    [
        (CLAUDE, "pinned"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "pinned"),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0", "pinned"),
        (ROUTER, "router"),
        (PROFILE, "unknown"),
    ],
)
def test_what_is_requested(client, telemetry, requested, kind):
    client.converse(modelId=requested, messages=TALK)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["llm_routing.request.kind"]) == (requested, kind)


def test_a_vendors_body_tells_what_is_behind_an_applications_profile(client, telemetry, provider):
    provider.answers(model="claude-sonnet-4-5-20250929")
    client.invoke_model(modelId=PROFILE, body=claude())["body"].read()
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == (
        "claude-sonnet-4-5-20250929",
        "resolved",
    )


@pytest.mark.parametrize(
    ("header", "served"),
    [("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"), (PROFILE, None), (ROUTER, None), ("", None)],
)
def test_a_header_that_names_a_model_is_evidence_and_one_that_repeats_an_opaque_name_is_not(
    client, telemetry, provider, header, served
):
    provider.answers(headers={"x-amzn-bedrock-model-id": header})
    client.invoke_model(modelId="amazon.nova-lite-v1:0", body=json.dumps({"messages": TALK}))["body"].read()
    counted = telemetry.one()
    assert counted.get("gen_ai.response.model") == served
    assert counted["llm_routing.match"] == ("unreported" if served is None else "substituted")
    assert counted["llm_routing.served.source"] == ("none" if served is None else "header")


def test_a_gateway_before_bedrock_is_heard(client, telemetry, provider):
    provider.answers(headers={"cf-aig-model": "amazon.nova-pro-v1:0"})
    list(client.converse_stream(modelId=PROFILE, messages=TALK)["stream"])
    assert telemetry.one()["gen_ai.response.model"] == "amazon.nova-pro-v1:0"
    assert telemetry.span().attributes["llm_routing.gateway"] == "cloudflare"


# Vendors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", VENDORS)
def test_a_vendors_answer_that_names_no_model_is_unreported_and_tells_the_rest(client, telemetry, model, stream):
    body, operation, expected = VENDORS[model]
    if stream:
        list(client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"])
    else:
        client.invoke_model(modelId=model, body=json.dumps(body))["body"].read()
    counted = telemetry.one()
    assert (counted["gen_ai.operation.name"], counted["llm_routing.match"]) == (operation, "unreported")
    assert said(telemetry.span()) == expected
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 5


@pytest.mark.parametrize("stream", [False, True])
def test_openai_models_name_themselves(client, telemetry, provider, stream):
    provider.answers(model="gpt-oss-120b")
    arguments = {"modelId": "openai.gpt-oss-120b-1:0", "body": json.dumps({"messages": MESSAGES})}
    if stream:
        list(client.invoke_model_with_response_stream(**arguments)["body"])
    else:
        client.invoke_model(**arguments)["body"].read()
    assert telemetry.one()["gen_ai.response.model"] == "gpt-oss-120b"


def test_a_server_side_fallback_in_a_stream(client, telemetry, provider):
    provider.answers(model="claude-opus-4-8", fallback_to="claude-sonnet-5")
    list(client.invoke_model_with_response_stream(modelId="anthropic.claude-opus-4-8", body=claude())["body"])
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == ("claude-sonnet-5", "trace")


@pytest.mark.parametrize(
    ("model", "body", "operation"),
    [
        ("cohere.embed-english-v3", {"texts": ["he", "llo"], "input_type": "search_query"}, "embeddings"),
        (PROFILE, {"texts": ["he", "llo"], "input_type": "search_query"}, "embeddings"),
        ("stability.sd3-5-large-v1:0", {"prompt": "hello"}, "generate_content"),
        ("amazon.nova-canvas-v1:0", {"taskType": "TEXT_IMAGE"}, "generate_content"),
        (PROFILE, {"prompt": "hello"}, "text_completion"),
        (PROFILE, {"message": "he", "chat_history": [{"role": "USER", "message": "llo"}]}, "chat"),
    ],
)
def test_what_an_invocation_asks_for(client, telemetry, model, body, operation):
    client.invoke_model(modelId=model, body=json.dumps(body).encode())["body"].read()
    assert telemetry.one()["gen_ai.operation.name"] == operation
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == (0 if "taskType" in body else 5)


LONG = [{"role": "user", "content": [{"type": "text", "text": 'some "words" ' * 20}]}] * 4_000  # a million characters


@pytest.mark.parametrize(
    "encoded", [str, str.encode, lambda text: bytearray(text.encode())], ids=["str", "bytes", "array"]
)
@pytest.mark.parametrize(
    ("model", "body", "operation"),
    [
        (CLAUDE, {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": LONG}, "chat"),
        (CLAUDE, {"messages": LONG, "system": "be brief"}, "chat"),
        (PROFILE, {"system": "'\"" * 500_000, "messages": LONG[:1], "tools": [{"name": "x" * 5_000}]}, "chat"),
        (PROFILE, {"prompt": json.dumps(LONG)}, "text_completion"),
        (PROFILE, {"texts": ["word"] * 200_000, "input_type": "search_document"}, "embeddings"),
    ],
    ids=["messages last", "messages first", "messages in the middle", "prompt", "texts"],
)
def test_a_text_of_more_than_a_million_characters_is_one_of_the_longest(
    client, telemetry, model, body, operation, encoded
):
    client.invoke_model(modelId=model, body=encoded(json.dumps(body)))["body"].read()
    counted = telemetry.one()
    assert (counted["gen_ai.operation.name"], counted["gen_ai.request.model"]) == (operation, model)
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.bucket_counts[-1] == 1


def test_an_image_of_megabytes_is_no_text(client, telemetry):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 3_000_000}}
    content = [image, {"type": "text", "text": "hello"}]
    client.invoke_model(modelId=CLAUDE, body=json.dumps({"messages": [{"role": "user", "content": content}]}))
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == 5


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", "{", io.BytesIO(b'{"messages": []}')])
def test_a_request_whose_body_cannot_be_read_is_sent_and_counted(client, telemetry, provider, body):
    client.invoke_model(modelId=CLAUDE, body=body)["body"].read()
    assert len(provider.requests) == 1
    assert telemetry.one()["gen_ai.operation.name"] == "chat"


# Tokens -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_cached_input_is_part_of_the_input(client, telemetry, provider, stream):
    shapes = client.meta.service_model
    if "cacheReadInputTokens" not in shapes.shape_for("TokenUsage").members:
        pytest.skip("this botocore does not tell cached input")
    provider.answers(usage={"inputTokens": 10, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 7})
    if stream:
        list(client.converse_stream(modelId=CLAUDE, messages=TALK)["stream"])
    else:
        client.converse(modelId=CLAUDE, messages=TALK)
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.input_tokens"] == 117
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 100
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 7


def test_the_last_chunk_of_an_invocation_counts_its_tokens(client, telemetry, provider):
    provider.answers(usage={"inputTokenCount": 10, "cacheReadInputTokenCount": 100})
    list(client.invoke_model_with_response_stream(modelId="meta.llama3-8b-v1:0", body='{"prompt": "hello"}')["body"])
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 110
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 4


def test_the_results_of_tools_are_input(client, telemetry):
    result = {"toolResult": {"toolUseId": "t", "content": [{"text": "sunny"}]}}
    call = {"toolUse": {"toolUseId": "t", "name": "weather", "input": {}}}
    turns = [*TALK, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    client.converse(modelId=CLAUDE, messages=turns, system=[{"text": "be kind"}])
    [(_, size)] = telemetry.points("llm_routing.input_size")
    assert size.sum == len("hello" + "sunny" + "be kind")


# Streams ------------------------------------------------------------------------------------------------------------


def test_the_stream_is_botocores_event_stream(client):
    from botocore.eventstream import EventStream

    stream = client.converse_stream(modelId=ROUTER, messages=TALK)["stream"]
    assert type(stream) is EventStream
    stream.close()


def test_a_stream_left_and_taken_up_again_is_read_to_its_end(client, telemetry, provider):
    provider.answers(chunks=6)
    stream = client.converse_stream(modelId=ROUTER, messages=TALK)["stream"]
    for _ in stream:
        break
    assert telemetry.spans == []
    for _ in stream:
        pass
    assert telemetry.one()["gen_ai.response.model"] == INVOKED


def test_a_routers_stream_read_in_another_thread_and_dropped_there(client, telemetry, provider):
    provider.answers(chunks=50)
    streams = [client.converse_stream(modelId=ROUTER, messages=TALK)["stream"]]
    thread = threading.Thread(target=lambda: next(iter(streams.pop())))
    thread.start()
    thread.join()
    gc.collect()
    assert telemetry.one()["llm_routing.match"] == "unreported"


def test_what_fails_in_a_stream_is_botocores_error(client, telemetry, provider):
    from botocore.exceptions import EventStreamError

    provider.answers(fault="error_event", chunks=6)
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        list(client.converse_stream(modelId=ROUTER, messages=TALK)["stream"])
    assert telemetry.one()["error.type"] == "EventStreamError"


# The body of InvokeModel --------------------------------------------------------------------------------------------


def by_read_of_some(body):
    return b"".join(iter(lambda: body.read(7), b""))


def by_readinto(body):
    if not hasattr(type(body), "readinto") or "readinto" not in type(body).__dict__:
        pytest.skip("this botocore cannot read into a buffer")
    return io.BufferedReader(body).read()


def by_with(body):
    with body as raw:
        return raw.read()


def by_with_in_pieces(body):
    with body as raw:
        return b"".join(raw.stream(5))


def by_closing(body):
    with contextlib.closing(body):
        return body.read()


READS = {
    "read": lambda body: body.read(),
    "read with an amount of none": lambda body: body.read(amt=None),
    "read some": by_read_of_some,
    "read exactly as much as there is": lambda body: body.read(int(body._content_length)),
    "readinto": by_readinto,
    "json": lambda body: json.dumps(json.load(body)).encode(),
    "iterate": b"".join,
    "next": next,
    "iter_chunks": lambda body: b"".join(body.iter_chunks(9)),
    "iter_lines": lambda body: b"\n".join(body.iter_lines()),
    "readlines": lambda body: b"".join(body.readlines()),
    "with": by_with,
    "with, in pieces": by_with_in_pieces,
    "closing": by_closing,
}


@pytest.mark.parametrize("how", READS)
def test_a_body_is_evidence_however_it_is_read(client, telemetry, how):
    body = client.invoke_model(modelId=CLAUDE, body=claude())["body"]
    assert telemetry.spans == []
    assert json.loads(READS[how](body))["model"] == "claude-haiku-4-5-20251001"
    del body
    gc.collect()
    assert telemetry.one()["gen_ai.response.model"] == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize("how", ["read", "read some", "read exactly as much as there is", "with", "closing"])
def test_a_body_read_to_its_end_ends_the_call_at_once(client, telemetry, how):
    body = client.invoke_model(modelId=CLAUDE, body=claude())["body"]
    READS[how](body)
    assert telemetry.one()["gen_ai.response.model"] == "claude-haiku-4-5-20251001"
    assert body is not None


def test_a_body_is_not_read_before_the_application_reads_it(client, telemetry, provider):
    from botocore.response import StreamingBody

    body = client.invoke_model(modelId=CLAUDE, body=claude())["body"]
    assert type(body) is StreamingBody
    assert body.tell() == 0
    assert body._raw_stream.tell() == 0
    assert telemetry.spans == []
    body.read()
    telemetry.one()


@pytest.mark.parametrize("how", ["dropped", "closed", "dropped halfway", "closed halfway", "with"])
def test_a_body_that_is_not_read_to_its_end_is_no_error_and_names_nothing(client, telemetry, how):
    body = client.invoke_model(modelId=CLAUDE, body=claude())["body"]
    if "halfway" in how:
        body.read(20)
    if how == "with":
        with body:
            pass
    elif "closed" in how:
        body.close()
    else:
        del body  # is collected at once: nothing of ours holds it
    counted = telemetry.one()
    assert counted["llm_routing.match"] == "unreported"
    assert telemetry.span().status.status_code is StatusCode.UNSET
    assert said(telemetry.span()) == (9, 4)  # from the headers


def test_what_the_with_statement_hands_out_is_left_as_it_was(client, telemetry):
    body = client.invoke_model(modelId=CLAUDE, body=claude())["body"]
    raw = body._raw_stream
    before = dict(vars(raw))
    with body as given:
        assert given is raw
    assert vars(raw).keys() == before.keys()


def test_an_exception_in_the_with_body_is_how_the_call_ended(client, telemetry):
    with pytest.raises(KeyError), client.invoke_model(modelId=CLAUDE, body=claude())["body"]:
        raise KeyError("the application's own")
    assert telemetry.one()["error.type"] == "KeyError"


@pytest.mark.parametrize("how", ["read", "read some", "with"])
def test_a_body_that_breaks_off_is_the_error_that_the_application_sees(client, telemetry, provider, how):
    provider.answers(headers={"content-length": "99999", "connection": "close"})
    body = client.invoke_model(modelId=CLAUDE, body=claude())["body"]
    with pytest.raises(Exception) as raised:
        READS[how](body)
    assert telemetry.one()["error.type"] == type(raised.value).__qualname__
    assert telemetry.span().status.status_code is StatusCode.ERROR


def test_a_body_kept_after_uninstrumenting_can_be_read(client, telemetry):
    body = client.invoke_model(modelId=CLAUDE, body=claude())["body"]
    LLMRoutingInstrumentor().uninstrument()
    assert json.loads(body.read())["type"] == "message"


# What is no call to a model ------------------------------------------------------------------------------------------


def test_other_services_and_what_is_no_call_to_a_model_are_not_counted(client, telemetry, provider):
    from botocore.exceptions import ClientError

    s3 = make(provider.url, "s3")
    assert b"list" in s3.get_object(Bucket="b", Key="k")["Body"].read()
    with contextlib.suppress(ClientError):
        make(provider.url, "dynamodb").list_tables()
    if hasattr(client, "count_tokens"):
        client.count_tokens(modelId=CLAUDE, input={"converse": {"messages": TALK}})
    with contextlib.suppress(ClientError):
        content = [{"text": {"text": "hello"}}]
        client.apply_guardrail(guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=content)
    client.invoke_model(modelId="cohere.rerank-v3-5:0", body='{"query": "a", "documents": ["b"]}')["body"].read()
    assert len(provider.requests) >= 4
    assert telemetry.spans == []
    assert telemetry.counted() == []


def test_a_call_that_is_not_sent_is_an_error(client, telemetry, provider):
    from botocore.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        client.converse(modelId=17, messages=TALK)
    assert provider.requests == []
    assert telemetry.one()["error.type"] == "ParamValidationError"


def test_a_call_by_operation_name(client, telemetry):
    client._make_api_call(operation_name="Converse", api_params={"modelId": ROUTER, "messages": TALK})
    assert telemetry.one()["gen_ai.response.model"] == INVOKED


@pytest.mark.parametrize("answer", ["body", "file", "stream"])
def test_botocores_stubber_gets_through(client, telemetry, answer):
    from botocore.response import StreamingBody
    from botocore.stub import Stubber

    data = b'{"type": "message", "model": "claude-haiku-4-5-20251001"}'
    with Stubber(client) as stubber:
        if answer == "stream":
            stubber.add_response("converse_stream", {"stream": {"messageStop": {"stopReason": "end_turn"}}})
            assert len(client.converse_stream(modelId=CLAUDE, messages=TALK)["stream"]) == 1
            assert telemetry.spans != []
        else:
            body = io.BytesIO(data) if answer == "file" else StreamingBody(io.BytesIO(data), len(data))
            stubber.add_response("invoke_model", {"body": body, "contentType": "application/json"})
            assert client.invoke_model(modelId=CLAUDE, body=claude())["body"].read() == data
    assert telemetry.one()["llm_routing.match"] == ("exact" if answer == "body" else "unreported")


# Beside OpenTelemetry's own instrumentation of botocore ---------------------------------------------------------------


@pytest.fixture(params=["ours first", "theirs first"])
def beside(request, telemetry):
    module = pytest.importorskip(
        "opentelemetry.instrumentation.botocore", reason="opentelemetry-instrumentation-botocore is not installed"
    )
    theirs = module.BotocoreInstrumentor()
    if request.param == "theirs first":
        LLMRoutingInstrumentor().uninstrument()
    theirs.instrument(tracer_provider=telemetry.tracer_provider, skip_dep_check=True)
    telemetry.instrument()
    yield telemetry
    LLMRoutingInstrumentor().uninstrument()
    theirs.uninstrument()
    from botocore.client import BaseClient

    assert not hasattr(BaseClient.__dict__["_make_api_call"], "_self_wrapper")  # nobody's wrapper is left


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("invoke", [False, True])
def test_their_span_is_the_calls_span(beside, client, stream, invoke):
    if invoke and stream:
        list(client.invoke_model_with_response_stream(modelId=CLAUDE, body=claude())["body"])
    elif invoke:
        assert json.loads(client.invoke_model(modelId=CLAUDE, body=claude())["body"].read())["type"] == "message"
    elif stream:
        list(client.converse_stream(modelId=ROUTER, messages=TALK)["stream"])
    else:
        client.converse(modelId=ROUTER, messages=TALK)
    counted = beside.one()
    assert counted["gen_ai.response.model"] == ("claude-haiku-4-5-20251001" if invoke else INVOKED)
    assert beside.span().instrumentation_scope.name.startswith("opentelemetry.instrumentation.botocore")


# Starting and stopping ----------------------------------------------------------------------------------------------


def test_uninstrumenting_restores_every_method_to_the_same_object():
    from botocore.client import BaseClient
    from botocore.eventstream import EventStream
    from botocore.response import StreamingBody

    def hooked():
        names = ("_make_api_call", "__iter__", "close", "read", "readinto", "__enter__", "__exit__")
        return [cls.__dict__.get(name) for cls in (BaseClient, EventStream, StreamingBody) for name in names]

    before = hooked()
    LLMRoutingInstrumentor().instrument()
    assert sum(a is not b for a, b in zip(before, hooked(), strict=True)) >= 6
    LLMRoutingInstrumentor().uninstrument()
    assert all(a is b for a, b in zip(before, hooked(), strict=True))


def test_botocore_is_hooked_when_the_application_imports_it_and_not_imported_before():
    code = (
        "import sys\n"
        "from otel_llm_routing import LLMRoutingInstrumentor\n"
        "LLMRoutingInstrumentor().instrument()\n"
        "assert not {'boto3', 'botocore'} & set(sys.modules)\n"
        "import boto3\n"
        "from botocore.client import BaseClient\n"
        "assert hasattr(BaseClient._make_api_call, '__wrapped__')\n"
        "print(type(BaseClient.__dict__['_make_api_call']).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "Hook", done.stderr
