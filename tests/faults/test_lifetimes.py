"""Calls that are cancelled, left, copied, patched and collected: as without this project, and each counted once."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import pickle
import re
import sys
import threading
import time
import weakref

import anyio
import pytest
import wrapt
from opentelemetry import trace
from opentelemetry.context import get_current
from outcomes import Ends, chain, collected, raised, seen
from scripts import APIS
from sdk_drivers import AnthropicMessages, OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor

CLASSES = [OpenAIChat, AnthropicMessages]


@pytest.fixture(autouse=True)
def the_context_is_as_it_was():
    before = dict(get_current())
    yield
    assert dict(get_current()) == before
    assert trace.get_current_span() is trace.INVALID_SPAN


# Cancellation -----------------------------------------------------------------------------------------------------


class CancelledAt:
    """Awaits something, and cancels the task it is in at the ``n``-th time that something waits."""

    def __init__(self, awaitable, n):
        self.awaitable, self.left = awaitable, n

    def __await__(self):
        inner = self.awaitable.__await__()
        step, value = inner.send, None
        while True:
            try:
                waits_for = step(value)
            except StopIteration as over:
                return over.value
            self.left -= 1
            if self.left == 0:
                asyncio.current_task().cancel()
            try:
                step, value = inner.send, (yield waits_for)
            except BaseException as error:
                step, value = inner.throw, error


async def _drain(sdk):
    stream = await sdk.stream()
    return await sdk.items(stream)


async def _leave(sdk):
    async with sdk.entered(await sdk.stream()) as stream:
        return await sdk.items(stream, limit=2)


async def _whole(sdk):
    return type(await sdk.create())


USES = {"whole": _whole, "drained": _drain, "left": _leave}


async def _until_it_is_not_cancelled(provider, observed, sdk, use):
    """Cancel a call at its first await, at its second, and so on until it ends before; return how often it was."""
    for n in range(1, 200):
        task = asyncio.ensure_future(_cancelled_at(USES[use](sdk), n))
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await collected()
        counted, started, ended = observed.since()
        assert (len(counted), started, len(ended)) == (1, 1, 1), n
        if not task.cancelled():
            assert "error.type" not in counted[0]
            return n - 1
        # A call that was complete when the cancellation came, as where a connection is put back, is no failure.
        assert counted[0].get("error.type", "CancelledError") == "CancelledError"
        assert await USES[use](sdk)  # the client's connections are none the worse
        assert len(observed.since()[0]) == 1
    raise AssertionError("it waits for ever")


async def _cancelled_at(awaitable, n):
    return await CancelledAt(awaitable, n)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("api", APIS)
async def test_a_call_cancelled_at_any_await_is_counted_once(provider, observed, api, use):
    sdk = APIS[api](provider.url, is_async=True)
    with observed.on():
        times = await _until_it_is_not_cancelled(provider, observed, sdk, use)
    assert times >= 3  # to connect, to send, to receive


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_cancelled_scope_of_anyio_is_left_as_without_us(provider, observed, cls, backend):
    pytest.importorskip(backend)

    async def main():
        sdk = cls(provider.url, is_async=True)
        provider.answers()
        assert await _drain(sdk) > 2
        assert await _whole(sdk)
        provider.answers(fault="stall")
        stream = await sdk.stream()
        with anyio.move_on_after(0.1) as scope:
            await sdk.items(stream)
        assert scope.cancelled_caught
        await sdk.client.close()

    with observed.on():
        anyio.run(main, backend=backend)
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (3, 3, 3)
    assert [c["error.type"] for c in counted if "error.type" in c] == [
        {"asyncio": "CancelledError", "trio": "Cancelled"}[backend]
    ]


def test_streams_in_a_trio_nursery_keep_to_themselves(provider, observed):
    trio = pytest.importorskip("trio")

    async def main():
        sdk = OpenAIChat(provider.url, is_async=True)
        async with trio.open_nursery() as nursery:
            for i in range(20):
                nursery.start_soon(_leave if i % 2 else _drain, sdk)
        await sdk.client.close()

    with observed.on():
        trio.run(main)
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (20, 20, 20)
    assert {c["llm_routing.match"] for c in counted} == {"resolved"}


# Objects ----------------------------------------------------------------------------------------------------------


def _attempt(action, value):
    try:
        return seen(action(value))
    except Exception as error:
        return raised(error)


@pytest.mark.parametrize("action", [copy.copy, copy.deepcopy, pickle.dumps, hash, vars, dir], ids=lambda f: f.__name__)
@pytest.mark.parametrize("cls", CLASSES)
async def test_what_an_sdk_gives_is_copied_and_pickled_as_without_us(provider, observed, cls, action):
    async def outcome():
        sdk = cls(provider.url)
        result = await sdk.create()
        stream = await sdk.stream()
        error = None
        provider.answers(fault="status:429")
        try:
            await sdk.create()
        except Exception as found:
            error = found
        provider.answers()
        found = [_attempt(action, v) for v in (sdk.client, result, stream, error, getattr(error, "response", None))]
        await sdk.close(stream)
        return found if action is not hash else [type(f) for f in found]

    provider.number = 0
    without_us = await outcome()
    provider.number = 0
    with observed.on():
        with_us = await outcome()
    for ours, theirs in zip(with_us, without_us, strict=True):
        assert _timeless(ours) == _timeless(theirs)


def _timeless(value):
    # A pickled or printed response says when it came and how long it took, and each request has a random key. The
    # generator inside a stream object has another name: that is what can be seen of us.
    text = re.sub(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|..:..:.. GMT", "", str(value))
    text = re.sub("generator object [A-Za-z_.]* at", "generator object at", text)
    return re.sub("(elapsed|timedelta).*", "", text)


@pytest.mark.parametrize("items", [0, 2, None])
@pytest.mark.parametrize("cls", CLASSES)
def test_objects_go_as_soon_as_the_application_lets_them_go(provider, observed, cls, items):
    def left_over():
        """What of a result, a stream and a client still lives once they are dropped, and the cycles there were."""
        sdk = cls(provider.url)
        resource, arguments = sdk.resource(sdk.client), sdk.arguments()
        resource.create(**arguments)
        gc.collect()
        gc.disable()
        try:
            result = resource.create(**arguments)
            stream = resource.create(**arguments, stream=True)
            for i, _ in enumerate(stream if items != 0 else ()):
                if i + 1 == items:
                    break
            held = [weakref.ref(result), weakref.ref(stream)]
            del result, stream
            alive = [r() is not None for r in held]
            return alive, gc.collect()
        finally:
            gc.enable()

    left_over()
    without_us = left_over()
    with observed.on():
        left_over()
        with_us = left_over()
    assert with_us[0] == without_us[0]
    assert with_us[1] <= without_us[1]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_answer_that_the_sdk_can_make_no_stream_of_goes_with_its_call(provider, observed, cls):
    sdk = cls(provider.url)
    seen_responses = []

    class Broken(sdk.sdk.Stream[object]):
        def __init__(self, *, response, **_):
            seen_responses.append(weakref.ref(response))
            raise ValueError("no stream of ours")

    def fail():
        path = {"openai": "/chat/completions", "anthropic": "/v1/messages"}[sdk.package]
        with contextlib.suppress(ValueError):
            sdk.client.post(path, body=sdk.arguments(stream=True), cast_to=object, stream=True, stream_cls=Broken)

    with observed.on():
        gc.collect()
        gc.disable()
        try:
            fail()
            assert [response() for response in seen_responses] == [None]
        finally:
            gc.enable()
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (1, 1, 1)
    assert counted[0]["error.type"] == "ValueError"


def test_an_exception_that_is_kept_keeps_no_call_open(provider, observed):
    sdk = OpenAIChat(provider.url)
    kept = []
    provider.answers(fault="status:500")
    with observed.on():
        for stream in (False, True):
            with pytest.raises(sdk.sdk.InternalServerError) as failed:
                sdk.client.chat.completions.create(**sdk.arguments(stream=stream))
            kept.append(failed.value)
        counted, started, ended = observed.since()
    assert (len(kept), len(counted), started, len(ended)) == (2, 2, 2, 2)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_near_the_end_of_the_stack_fails_as_any_would_or_works(provider, observed, stream):
    sdk = OpenAIChat(provider.url)

    def at(depth):
        if depth:
            return at(depth - 1)
        result = sdk.client.chat.completions.create(**sdk.arguments(stream=stream))
        return len(list(result)) if stream else result.model

    with observed.on():
        assert at(0)
        observed.since()
        limit = sys.getrecursionlimit()
        outcomes = set()
        here = len(_frames())
        for left in range(8, 120, 3):
            outcome, error = _tried(at, limit - here - left)
            outcomes.add(outcome)
            # An SDK may make a connection error of it.
            assert error is None or "RecursionError" in [type(e).__name__ for e in chain(error)]
            assert trace.get_current_span() is trace.INVALID_SPAN
            counted, started, ended = observed.since()
            assert len(counted) <= 1
            assert started == len(ended)
        assert len(outcomes) == 2
        assert at(0)
        assert len(observed.since()[0]) == 1


def _frames():
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _tried(action, *args):
    try:
        return type(action(*args)).__name__, None
    except Exception as error:
        return "failed", error


# Patches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["client", "resource"])
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("restored", ["first", "last", "never"])
@pytest.mark.parametrize("with_wrapt", [False, True])
def test_a_patch_of_the_applications_works_before_and_after_ours(
    provider, observed, owner, order, restored, with_wrapt
):
    sdk = OpenAIChat(provider.url)
    cls, name = {
        "client": (sdk.sdk._base_client.SyncAPIClient, "request"),
        "resource": (type(sdk.client.chat.completions), "create"),
    }[owner]
    original = cls.__dict__[name]
    saw = []

    def patch():
        inner = cls.__dict__[name]

        def patched(self, *args, **kwargs):
            saw.append(name)
            return inner.__get__(self, type(self))(*args, **kwargs)

        def wrapper(wrapped, instance, args, kwargs):
            assert isinstance(instance, cls)
            saw.append(name)
            return wrapped(*args, **kwargs)

        setattr(cls, name, wrapt.FunctionWrapper(inner, wrapper) if with_wrapt else patched)
        return inner

    def call():
        saw.clear()
        assert sdk.client.chat.completions.create(**sdk.arguments()).model == sdk.served
        return len(saw)

    try:
        if order == "before":
            theirs = patch()
        with observed.on():
            if order == "after":
                theirs = patch()
            assert call() == 1
            assert len(observed.since()[0]) == 1
            if restored == "first":
                setattr(cls, name, theirs)
                assert call() == 0
                # What they put back is what they found: ours with it, where ours was there.
                assert len(observed.since()[0]) == (1 if order == "after" or owner == "resource" else 0)
        assert call() == (0 if restored == "first" else 1)
        if restored == "last":
            setattr(cls, name, theirs)
            assert call() == 0
        assert observed.since()[0] == []
    finally:
        setattr(cls, name, original)


def test_a_stand_in_for_the_method_gets_what_it_gets_without_us(provider, observed, monkeypatch):
    sdk = OpenAIChat(provider.url)

    class StandIn:
        def __call__(self, *args, **kwargs):
            return len(args)

    monkeypatch.setattr(sdk.sdk._base_client.SyncAPIClient, "request", StandIn())
    without = sdk.client.chat.completions.create(**sdk.arguments())
    with observed.on():
        assert sdk.client.chat.completions.create(**sdk.arguments()) == without == 2


def test_a_subclass_with_a_request_of_its_own_is_one_call(provider, observed):
    openai = pytest.importorskip("openai")

    class Client(openai.OpenAI):
        def request(self, *args, **kwargs):
            with contextlib.suppress(ZeroDivisionError):
                _ = 1 / 0
            return super().request(*args, **kwargs)

    client = Client(api_key="k", base_url=f"{provider.url}/v1")
    with observed.on():
        client.chat.completions.create(model="gpt-5", messages=[])
        assert len(observed.since()[0]) == 1


def test_instrumenting_and_uninstrumenting_while_calls_are_made_loses_no_answer(provider, observed):
    sdk = OpenAIChat(provider.url)
    stop, failed, made = threading.Event(), [], []

    def call(stream):
        result = sdk.client.chat.completions.create(**sdk.arguments(stream=stream))
        made.append(len(list(result)) if stream else result.model)

    def calls():
        while not stop.is_set() and not failed:
            failed.extend(filter(None, [_tried(call, len(made) % 2 == 1)[1]]))

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(made) < 150 and not failed:
        with observed.on():
            LLMRoutingInstrumentor().instrument()  # a second time has no effect
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert set(made) == {sdk.served, 4}
    counted, started, ended = observed.since()
    assert (len(counted), started) == (len(ended), len(ended))
    assert len(counted) <= len(made)


@pytest.mark.parametrize("at", ["request", "response"])
def test_uninstrumented_in_the_middle_of_a_call_it_is_still_one_call(provider, observed, at):
    openai = pytest.importorskip("openai")
    hook = {at: [lambda _: LLMRoutingInstrumentor().uninstrument()]}
    sdk = OpenAIChat(provider.url, http_client=openai.DefaultHttpxClient(event_hooks=hook))
    for stream in (False, True):
        with observed.on():
            result = sdk.client.chat.completions.create(**sdk.arguments(stream=stream))
            assert len(list(result)) > 2 if stream else result.model == sdk.served
            [counted], started, ended = observed.since()
        assert (started, len(ended)) == (1, 1)
        assert counted["gen_ai.request.model"] == sdk.requested


# Threads ----------------------------------------------------------------------------------------------------------


def test_threads_that_share_a_client_are_each_counted(provider, observed):
    sdk = OpenAIChat(provider.url)

    def work(i):
        for k in range(4):
            stream = sdk.client.chat.completions.create(**sdk.arguments(stream=True))
            if (i + k) % 3 == 0:
                list(stream)
            elif (i + k) % 3 == 1:
                next(iter(stream))
                stream.close()
            else:
                next(iter(stream))

    with observed.on():
        threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.collect()
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (48, 48, 48)


def test_a_stream_closed_by_one_thread_while_another_reads_it(provider, observed):
    sdk = OpenAIChat(provider.url)
    provider.answers(fault="stall")
    with observed.on():
        stream = sdk.client.chat.completions.create(**sdk.arguments(stream=True))
        third = threading.Event()
        outcome = []

        def read():
            try:
                for i, _ in enumerate(stream):
                    if i == 2:
                        third.set()
            except Exception as error:
                outcome.append(error)
            outcome.append("over")

        thread = threading.Thread(target=read)
        thread.start()
        assert third.wait(10)
        stream.close()
        provider.stopping.set()  # the provider lets go of the stalled stream, in case the close did not
        thread.join(20)
        assert outcome[-1:] == ["over"]
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (1, 1, 1)


# The garbage collector --------------------------------------------------------------------------------------------


class Collecting(Ends):
    """A span processor that holds a lock of its own while the garbage collector happens to run."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def on_end(self, span):
        with self.lock:
            super().on_end(span)
            gc.collect()


def test_a_stream_that_is_collected_while_a_span_processor_holds_its_lock_waits_for_no_lock(provider, observed):
    processor = Collecting()
    observed.tracer_provider.add_span_processor(processor)
    sdk = OpenAIChat(provider.url)
    tracer = observed.tracer_provider.get_tracer("application")
    with observed.on():
        for _ in range(3):
            stream = sdk.client.chat.completions.create(**sdk.arguments(stream=True))
            assert next(iter(stream))
            cycle = [stream]
            cycle.append(cycle)
            del stream, cycle
            thread = threading.Thread(target=lambda: tracer.start_span("work").end(), daemon=True)
            thread.start()
            thread.join(10)
            assert not thread.is_alive()
        counted, started, ended = observed.since()
    assert len(counted) == 3
    assert [c["llm_routing.match"] for c in counted] == ["resolved"] * 3
    assert started == len(ended) == len(processor.ended) == 6


def test_a_stream_that_was_collected_ended_when_it_was_collected(provider, observed):
    sdk = OpenAIChat(provider.url)
    with observed.on():
        stream = sdk.client.chat.completions.create(**sdk.arguments(stream=True))
        cycle = [stream, next(iter(stream))]
        cycle.append(cycle)
        del stream, cycle
        gc.collect()
        before = time.time_ns()
        sdk.client.chat.completions.create(**sdk.arguments())
        first, second = observed.ends.ended
    assert first.end_time <= before <= second.start_time
