"""Middleware of the anthropic SDK: it sees every attempt, may make others, and decides what the application gets."""

from __future__ import annotations

import json

import pytest
from driver import MESSAGES, each, settled
from raw_provider import RawProvider, Reply

anthropic = pytest.importorskip("anthropic")
middleware = pytest.importorskip("anthropic.lib.middleware")

REQUESTED, SERVED, OTHER = "claude-opus-4-8", "claude-opus-4-8", "claude-sonnet-5"
REFUSED = {
    "type": "refusal",
    "category": "cyber",
    "fallback_credit_token": "token",
    "fallback_has_prefill_claim": False,
}
EVIDENCE = (("x-ms-served-model", "claude-haiku-3"), ("x-litellm-attempted-fallbacks", "2"), ("retry-after-ms", "1"))
"""What a gateway says of an attempt that fails."""

pytestmark = [
    pytest.mark.parametrize("native", [False, True], ids=["our-span", "native-span"]),
    pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"]),
]


def message(model, **more):
    text = {"type": "text", "text": "hello"}
    usage = {"input_tokens": 9, "output_tokens": 4}
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [text], "usage": usage}
    return {**whole, "stop_reason": "end_turn", "stop_sequence": None, **more}


def whole(model, **more):
    return Reply(body=(json.dumps(message(model, **more)).encode(),))


def events(model, *, said="hello", **more):
    start = {"type": "message_start", "message": message(model, content=[], stop_reason=None)}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": said}}
    reason = {"stop_reason": "end_turn", "stop_sequence": None, **more}
    ending = [{"type": "message_delta", "delta": reason, "usage": {"output_tokens": 4}}, {"type": "message_stop"}]
    said_events = [block, delta, {"type": "content_block_stop", "index": 0}] if said else []
    lines = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in (start, *said_events, *ending)]
    return Reply(kind="text/event-stream", body=("".join(lines).encode(),))


def failed(status=503):
    error = {"type": "error", "error": {"type": "api_error", "message": "no"}}
    return Reply(status, body=(json.dumps(error).encode(),), headers=EVIDENCE)


@pytest.fixture
def raw():
    with RawProvider() as raw:
        yield raw


@pytest.fixture
def client(raw, telemetry, native, is_async):
    """Make a client with middleware, given as functions ``(request, call_next)`` for the synchronous one."""
    cls = anthropic.AsyncAnthropic if is_async else anthropic.Anthropic
    options = {"api_key": "k", "base_url": raw.url, "max_retries": 0}
    if native:
        if not hasattr(anthropic, "_tracing"):
            pytest.skip("this anthropic emits no spans of its own")
        options["open_telemetry"] = {"tracer_provider": telemetry.tracer_provider}

    def made(*chain, **more):
        return cls(**options | more, **({"middleware": chain} if chain else {}))

    return made


def passing_on(is_async):
    async def pass_on_async(request, call_next):
        return await call_next(request)

    def pass_on(request, call_next):
        return call_next(request)

    return pass_on_async if is_async else pass_on


async def ask(client, *, stream=False, raw=False):
    messages = client.beta.messages.with_raw_response if raw else client.beta.messages
    answer = await settled(messages.create(model=REQUESTED, max_tokens=9, messages=MESSAGES, stream=stream))
    if raw:
        answer = await settled(answer.parse())
    if stream:
        return [event async for event in each(answer, is_async=hasattr(answer, "__aiter__"))]
    return answer


def assert_span_is(native, telemetry):
    scope = "com.anthropic.sdk.python" if native else "otel_llm_routing"
    assert telemetry.span().instrumentation_scope.name == scope


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_failed_attempt_says_is_not_said_of_the_one_that_answered(
    raw, client, telemetry, native, is_async, stream
):
    raw.script([failed(), events(SERVED) if stream else whole(SERVED)])
    await ask(client(passing_on(is_async), max_retries=1), stream=stream)
    counted = telemetry.one()
    assert (counted["gen_ai.response.model"], counted["llm_routing.served.source"]) == (SERVED, "body")
    assert "error.type" not in counted
    assert not {"llm_routing.fallback", "llm_routing.gateway"} & telemetry.span().attributes.keys()
    assert_span_is(native, telemetry)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_whose_every_attempt_fails_is_a_failed_call(raw, client, telemetry, native, is_async, stream):
    raw.script([failed()])
    with pytest.raises(anthropic.InternalServerError) as raised:
        await ask(client(passing_on(is_async), max_retries=1), stream=stream)
    assert len(raw.received) == 2
    counted = telemetry.one()
    assert counted["llm_routing.match"] == "unreported"
    assert counted["error.type"] == raised.type.__name__
    assert_span_is(native, telemetry)


@pytest.mark.parametrize("as_raw", [False, True], ids=["parsed", "raw"])
@pytest.mark.parametrize("refused", ["whole", "stream before its text", "stream after its text"])
async def test_the_model_that_the_refusal_fallback_turns_to_is_what_served(
    raw, client, telemetry, native, is_async, refused, as_raw
):
    stream = refused != "whole"
    refusal = {"stop_reason": "refusal", "stop_details": REFUSED}
    if stream:
        said = "hello" if refused.endswith("after its text") else ""
        raw.script([events(SERVED, said=said, **refusal), events(OTHER)])
    else:
        raw.script([whole(SERVED, **refusal), whole(OTHER)])
    await ask(client(middleware.BetaRefusalFallbackMiddleware([{"model": OTHER}])), stream=stream, raw=as_raw)
    assert len(raw.received) == 2
    counted = telemetry.one()
    assert counted["gen_ai.response.model"] == OTHER
    assert counted["llm_routing.match"] == "substituted"
    assert_span_is(native, telemetry)
    assert telemetry.span().attributes["llm_routing.fallback"] is True


async def test_a_stream_that_nothing_refuses_passes_the_refusal_fallback(raw, client, telemetry, native, is_async):
    raw.script([events(SERVED)])
    await ask(client(middleware.BetaRefusalFallbackMiddleware([{"model": OTHER}])), stream=True)
    assert telemetry.one()["gen_ai.response.model"] == SERVED
    assert "llm_routing.fallback" not in telemetry.span().attributes
    assert_span_is(native, telemetry)


async def test_an_answer_of_the_middlewares_own_is_read(raw, client, telemetry, native, is_async):
    kept = anthropic.types.beta.BetaMessage.model_validate(message(SERVED))

    def answer(request, call_next):
        return kept

    async def answer_async(request, call_next):
        return kept

    assert await ask(client(answer_async if is_async else answer)) is kept
    assert raw.received == []
    assert telemetry.one()["gen_ai.response.model"] == SERVED
    assert_span_is(native, telemetry)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_call_that_middleware_makes_says_nothing_of_the_call_it_is_made_in(
    raw, client, telemetry, native, is_async, when
):
    guard = client()
    raw.script([whole(OTHER), whole(SERVED)] if when == "before" else [whole(SERVED), whole(OTHER)])

    async def guarded_async(request, call_next):
        if when == "before":
            await ask(guard)
        response = await call_next(request)
        if when == "after":
            await ask(guard)
        return response

    def guarded(request, call_next):
        if when == "before":
            guard.beta.messages.create(model=REQUESTED, max_tokens=9, messages=MESSAGES)
        response = call_next(request)
        if when == "after":
            guard.beta.messages.create(model=REQUESTED, max_tokens=9, messages=MESSAGES)
        return response

    answer = await ask(client(guarded_async if is_async else guarded))
    assert answer.model == SERVED
    [counted] = telemetry.counted()
    assert (counted["gen_ai.response.model"], counted["llm_routing.match"]) == (SERVED, "exact")
    spans = [span for span in telemetry.spans if "llm_routing.match" in span.attributes]
    assert [span.attributes["gen_ai.response.model"] for span in spans] == [SERVED]
