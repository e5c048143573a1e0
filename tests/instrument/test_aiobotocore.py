"""What is particular to aiobotocore: an asynchronous ``_make_api_call``, its own event stream, its own bodies."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json

import aws_drivers
import pytest
from aws_drivers import CLAUDE, CREDENTIALS, INVOKED, ROUTER, TALK, VENDORS, claude, said
from conformance import Calls, Conformance, Retries, Streams, collected
from opentelemetry.trace import StatusCode

from otel_llm_routing import LLMRoutingInstrumentor

session_module = pytest.importorskip("aiobotocore.session", reason="aiobotocore is not installed")
SERVED = "claude-haiku-4-5-20251001"


@functools.lru_cache(maxsize=1)
def session():
    return session_module.get_session()  # reads the services' models once


def make(url, service="bedrock-runtime", retries=0):
    from aiobotocore.config import AioConfig

    config = AioConfig(retries={"max_attempts": retries}, max_pool_connections=32)
    return session().create_client(service, endpoint_url=url, config=config, **CREDENTIALS)


@pytest.fixture(scope="module", autouse=True)
def the_services_models_are_not_searched_for_garbage():
    async def read():
        for service in ("bedrock-runtime", "s3"):
            async with make("http://127.0.0.1:1", service):
                pass

    asyncio.run(read())
    gc.collect()
    gc.freeze()


class AioBotocore:
    distribution = "aiobotocore"
    modes = ("async",)

    def make(self, url, retries):
        return None  # see ``Closing``

    async def create(self):
        return await getattr(self.client, self.method)(**self.arguments())

    async def stream(self):
        return (await getattr(self.client, self.stream_method)(**self.arguments()))[self.answer]

    async def retrying(self, retries):
        async with make(self.url, retries=retries) as self.client:
            return await self.create()


class AioBody:
    async def create(self):
        body = (await self.client.invoke_model(**self.arguments()))["body"]
        await body.read()
        return body


class Closing(Conformance):
    """Opens the driver's client, and closes it."""

    @pytest.fixture
    async def sdk(self, mode, url, telemetry):
        driver = self.driver(url)
        async with make(url) as driver.client:
            yield driver


class Converse(AioBotocore, aws_drivers.Converse):
    pass


class Router(AioBotocore, aws_drivers.Router):
    pass


class Invoke(AioBody, AioBotocore, aws_drivers.Invoke):
    pass


class Embeddings(AioBody, AioBotocore, aws_drivers.Embeddings):
    pass


class TestConverse(Closing, Calls, Streams, Retries):
    driver = Converse


class TestPromptRouter(Closing, Calls, Streams):
    driver = Router


class TestInvokeModel(Closing, Calls, Streams, Retries):
    driver = Invoke


class TestEmbeddings(Closing, Calls):
    driver = Embeddings


@pytest.fixture
async def client(provider, telemetry):
    async with make(provider.url) as client:
        yield client


# Prompt routers and streams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_router_names_the_model_it_invoked(client, telemetry, provider, stream):
    invoked = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0"
    provider.answers(model=invoked)
    router = "arn:aws:bedrock:eu-west-1:123456789012:prompt-router/ab12cd34"
    if stream:
        async for _ in (await client.converse_stream(modelId=router, messages=TALK))["stream"]:
            pass
    else:
        await client.converse(modelId=router, messages=TALK)
    counted = telemetry.one()
    assert (counted["gen_ai.request.model"], counted["gen_ai.response.model"]) == (router, invoked)
    assert (counted["llm_routing.request.kind"], counted["llm_routing.match"]) == ("router", "resolved")
    assert counted["llm_routing.served.source"] == "trace"


async def test_the_stream_is_aiobotocores_event_stream(client):
    from aiobotocore.eventstream import AioEventStream

    stream = (await client.converse_stream(modelId=ROUTER, messages=TALK))["stream"]
    assert type(stream) is AioEventStream
    stream.close()


async def test_a_stream_left_and_taken_up_again_is_read_to_its_end(client, telemetry, provider):
    provider.answers(chunks=6)
    stream = (await client.converse_stream(modelId=ROUTER, messages=TALK))["stream"]
    async for _ in stream:
        break
    await collected()
    assert telemetry.spans == []
    async for _ in stream:
        pass
    assert telemetry.one()["gen_ai.response.model"] == INVOKED


async def test_a_call_given_up_after_a_time_is_an_error(client, telemetry, provider):
    provider.answers(fault="stall")
    stream = (await client.converse_stream(modelId=ROUTER, messages=TALK))["stream"]

    async def drain():
        async for _ in stream:
            pass

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(drain(), 0.3)
    assert telemetry.one()["error.type"] == "CancelledError"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", VENDORS)
async def test_a_vendors_answer_that_names_no_model_is_unreported_and_tells_the_rest(client, telemetry, model, stream):
    body, operation, expected = VENDORS[model]
    if stream:
        answer = await client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
        async for _ in answer["body"]:
            pass
    else:
        await (await client.invoke_model(modelId=model, body=json.dumps(body)))["body"].read()
    counted = telemetry.one()
    assert (counted["gen_ai.operation.name"], counted["llm_routing.match"]) == (operation, "unreported")
    assert said(telemetry.span()) == expected


# The body of InvokeModel --------------------------------------------------------------------------------------------


async def by_read(body):
    return await body.read()


async def by_read_of_some(body):
    read = b""
    while part := await body.read(7):
        read += part
    return read


async def by_iterating(body):
    return b"".join([part async for part in body])


async def by_chunks(body):
    return b"".join([part async for part in body.iter_chunks(9)])


async def by_lines(body):
    return b"\n".join([line async for line in body.iter_lines()])


async def by_readlines(body):
    return b"\n".join(await body.readlines())


async def by_with(body):
    async with body as given:
        return await given.read()


READS = {
    "read": by_read,
    "read some": by_read_of_some,
    "iterate": by_iterating,
    "iter_chunks": by_chunks,
    "iter_lines": by_lines,
    "readlines": by_readlines,
    "with": by_with,
}


@pytest.mark.parametrize("how", READS)
async def test_a_body_is_evidence_however_it_is_read(client, telemetry, how):
    body = (await client.invoke_model(modelId=CLAUDE, body=claude()))["body"]
    assert telemetry.spans == []
    assert json.loads(await READS[how](body))["model"] == SERVED
    assert telemetry.one()["gen_ai.response.model"] == SERVED


@pytest.mark.parametrize("how", ["dropped", "dropped halfway", "with", "closed"])
async def test_a_body_that_is_not_read_to_its_end_is_no_error_and_names_nothing(client, telemetry, how):
    body = (await client.invoke_model(modelId=CLAUDE, body=claude()))["body"]
    if "halfway" in how:
        await body.read(20)
    elif how == "with":
        async with body:
            pass
    elif how == "closed":
        body.close()
    del body
    gc.collect()
    counted = telemetry.one()
    assert counted["llm_routing.match"] == "unreported"
    assert telemetry.span().status.status_code is StatusCode.UNSET
    assert said(telemetry.span()) == (9, 4)  # from the headers


async def test_a_body_closed_ends_the_call_at_once(client, telemetry):
    body = (await client.invoke_model(modelId=CLAUDE, body=claude()))["body"]
    if "close" not in dir(type(body)):
        pytest.skip("the bodies of this aiobotocore have no close of their own")
    body.close()
    telemetry.one()


async def test_an_exception_in_the_with_body_is_how_the_call_ended(client, telemetry):
    body = (await client.invoke_model(modelId=CLAUDE, body=claude()))["body"]
    with pytest.raises(KeyError):
        async with body:
            raise KeyError("the application's own")
    assert telemetry.one()["error.type"] == "KeyError"


@pytest.mark.parametrize("how", ["read", "read some", "with"])
async def test_a_body_that_breaks_off_is_the_error_that_the_application_sees(client, telemetry, provider, how):
    provider.answers(headers={"content-length": "99999", "connection": "close"})
    body = (await client.invoke_model(modelId=CLAUDE, body=claude()))["body"]
    with pytest.raises(Exception) as raised:
        await READS[how](body)
    assert telemetry.one()["error.type"] == type(raised.value).__qualname__


# What is no call to a model, starting and stopping -------------------------------------------------------------------


async def test_other_services_and_what_is_no_call_to_a_model_are_not_counted(client, telemetry, provider):
    from botocore.exceptions import ClientError

    async with make(provider.url, "s3") as s3:
        assert b"list" in await (await s3.get_object(Bucket="b", Key="k"))["Body"].read()
    if hasattr(client, "count_tokens"):
        await client.count_tokens(modelId=CLAUDE, input={"converse": {"messages": TALK}})
    with contextlib.suppress(ClientError):
        content = [{"text": {"text": "hello"}}]
        await client.apply_guardrail(guardrailIdentifier="g", guardrailVersion="1", source="INPUT", content=content)
    assert len(provider.requests) >= 2
    assert telemetry.spans == []
    assert telemetry.counted() == []


def test_uninstrumenting_restores_every_method_to_the_same_object():
    from aiobotocore import client, eventstream, response
    from botocore.eventstream import EventStream

    owners = [client.AioBaseClient, eventstream.AioEventStream, EventStream]
    owners += {cls for cls in vars(response).values() if isinstance(cls, type) and "Body" in cls.__name__}

    def hooked():
        return [value for owner in owners for value in owner.__dict__.values() if callable(value)]

    before = hooked()
    LLMRoutingInstrumentor().instrument()
    assert sum(a is not b for a, b in zip(before, hooked(), strict=True)) >= 5
    LLMRoutingInstrumentor().uninstrument()
    assert all(a is b for a, b in zip(before, hooked(), strict=True))
