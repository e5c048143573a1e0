"""What the application gave OpenTelemetry, the SDK and the log may raise: the call works, and is counted once."""

from __future__ import annotations

import enum
import logging

import httpx
import pytest
from driver import MESSAGES
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from outcomes import Ends, Observed, collected, raised, seen
from sdk_drivers import AnthropicMessages, OpenAIChat

from otel_llm_routing import LLMRoutingInstrumentor, surface
from otel_llm_routing.instrument import guard


class HookError(Exception):
    """What every hook here raises."""


def fail(*_, **__):
    raise HookError


class FailingSampler(Sampler):
    should_sample = fail

    def get_description(self):
        return "fails"


class FailingIds(RandomIdGenerator):
    generate_span_id = fail


class FailingExporter:
    export = shutdown = fail

    def force_flush(self, timeout_millis=0):
        return True


def failing(*names):
    return type("FailingProcessor", (Ends,), dict.fromkeys(names, fail))()


def provider_with(*processors, **options):
    provider = TracerProvider(shutdown_on_exit=False, **options)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


HOOKS = {
    "sampler": lambda: provider_with(sampler=FailingSampler()),
    "id generator": lambda: provider_with(id_generator=FailingIds()),
    "processor at start": lambda: provider_with(failing("on_start")),
    "processor at end": lambda: provider_with(failing("on_end")),
    "processor at both": lambda: provider_with(failing("on_start", "on_end")),
    "exporter": lambda: provider_with(SimpleSpanProcessor(FailingExporter())),
    "none": lambda: provider_with(sampler=ALWAYS_ON),
}


@pytest.fixture(autouse=True)
def what_was_logged_is_logged_again():
    guard._seen.clear()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("use", ["whole", "drained", "dropped", "failed"])
@pytest.mark.parametrize("hook", HOOKS)
async def test_a_tracing_hook_that_raises_costs_a_span_and_neither_the_call_nor_its_count(
    provider, hook, use, is_async
):
    observed = Observed(InMemoryMetricReader(), tracer_provider=HOOKS[hook]())
    sdk = OpenAIChat(provider.url, is_async=is_async)
    with observed.on():
        if use == "whole":
            assert (await sdk.create()).model == sdk.served
        elif use == "failed":
            provider.answers(fault="status:500")
            with pytest.raises(sdk.sdk.InternalServerError):
                await sdk.create()
        else:
            stream = await sdk.stream()
            assert await sdk.items(stream, limit=None if use == "drained" else 2) >= 2
            del stream
            await collected()
        [counted] = observed.since()[0]
    assert counted.get("gen_ai.response.model") == (None if use == "failed" else sdk.served)


class FailingAggregation(ExplicitBucketHistogramAggregation):
    _create_aggregation = fail


def failing_reservoir(*_, **__):
    class Reservoir:
        offer = collect = fail

    return lambda **_: Reservoir()


@pytest.mark.parametrize("view", ["aggregation", "exemplar reservoir"])
async def test_a_view_that_raises_costs_its_metric_and_no_count(provider, view, caplog):
    options = {"aggregation": FailingAggregation()}
    if view == "exemplar reservoir":
        options = {"exemplar_reservoir_factory": failing_reservoir}
    reader = InMemoryMetricReader()
    views = [View(instrument_name="llm_routing.duration", **options)]
    observed = Observed(reader, meter_provider=MeterProvider([reader], views=views, shutdown_on_exit=False))
    sdk = OpenAIChat(provider.url)
    with observed.on():
        for _ in range(40):
            await sdk.create()
        # A reservoir that raises when it is collected spoils the collection of every metric, whoever made it.
        assert view == "exemplar reservoir" or len(observed.since()[0]) == 40
        assert len(observed.ends.ended) == (40 if view == "exemplar reservoir" else 0)  # ``since`` forgets them
    assert "record a call's size and time" in caplog.text


METRICS = ("requests", "input_tokens", "output_tokens", "input_size", "duration", "time_to_first_chunk")


@pytest.mark.parametrize("failing_one", ["input_size", "duration", "time_to_first_chunk"])
async def test_a_view_that_raises_costs_no_other_metric(provider, failing_one, caplog):
    reader = InMemoryMetricReader()
    views = [View(instrument_name=f"llm_routing.{failing_one}", aggregation=FailingAggregation())]
    observed = Observed(reader, meter_provider=MeterProvider([reader], views=views, shutdown_on_exit=False))
    sdk = OpenAIChat(provider.url)
    with observed.on():
        await sdk.items(await sdk.stream(stream_options={"include_usage": True}))
        data = reader.get_metrics_data()
    names = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert names == {f"llm_routing.{name}" for name in METRICS if name != failing_one}
    assert "record a call's size and time" in caplog.text


def test_a_span_processor_that_is_interrupted_costs_no_count(provider):
    class Interrupted(Ends):
        def on_end(self, span):
            raise KeyboardInterrupt

    observed = Observed(InMemoryMetricReader(), tracer_provider=provider_with(Interrupted()))
    sdk = OpenAIChat(provider.url)
    with observed.on():
        with pytest.raises(KeyboardInterrupt):
            sdk.client.chat.completions.create(**sdk.arguments())
        assert [c["gen_ai.response.model"] for c in observed.since()[0]] == [sdk.served]


class Slotted:
    """A tracer provider that nothing can refer to weakly, and that cannot be hashed."""

    __slots__ = ("inner",)
    __hash__ = None

    def __init__(self, inner):
        self.inner = inner

    def __eq__(self, other):
        return True

    def get_tracer(self, *args, **kwargs):
        return self.inner.get_tracer(*args, **kwargs)

    def add_span_processor(self, processor):
        self.inner.add_span_processor(processor)


async def test_a_tracer_provider_of_any_class_is_told_of_calls_and_asked_for_their_surface(provider):
    inner = TracerProvider(shutdown_on_exit=False)
    observed = Observed(InMemoryMetricReader(), tracer_provider=Slotted(inner))
    sdk = OpenAIChat(provider.url)
    with observed.on(), inner.get_tracer("web").start_as_current_span("GET", attributes={"http.route": "/summary"}):
        await sdk.create()
    [counted], _, ended = observed.since()
    assert counted["llm_routing.surface"] == "/summary"
    assert [span.name for span in ended] == ["chat gpt-5", "GET"]


def test_a_tracer_provider_that_takes_no_span_processor_costs_no_call(provider, caplog):
    class Closed(Slotted):
        add_span_processor = fail

    observed = Observed(InMemoryMetricReader())
    observed.tracer_provider = Closed(observed.tracer_provider)
    sdk = OpenAIChat(provider.url)
    with observed.on():
        sdk.client.chat.completions.create(**sdk.arguments())
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (1, 1, 1)
    assert "add a span processor" in caplog.text


def test_a_meter_provider_that_raises_leaves_the_sdk_alone(provider, caplog):
    class Meters:
        get_meter = fail

    sdk = OpenAIChat(provider.url)
    LLMRoutingInstrumentor().instrument(meter_provider=Meters())
    try:
        assert sdk.client.chat.completions.create(**sdk.arguments()).model == sdk.served
    finally:
        LLMRoutingInstrumentor().uninstrument()
    assert "could not start" in caplog.text


def test_a_log_filter_that_raises_does_not_reach_the_call(provider):
    observed = Observed(InMemoryMetricReader(), tracer_provider=HOOKS["processor at both"]())
    sdk = OpenAIChat(provider.url)
    log = logging.getLogger("otel_llm_routing")
    log.addFilter(fail)
    try:
        with observed.on():
            assert sdk.client.chat.completions.create(**sdk.arguments()).model == sdk.served
            assert len(list(sdk.client.chat.completions.create(**sdk.arguments(stream=True)))) > 2
            with pytest.raises(HookError):
                log.warning("the filter does raise")
            assert len(observed.since()[0]) == 2
    finally:
        log.removeFilter(fail)


@pytest.mark.parametrize("event", ["request", "response"])
@pytest.mark.parametrize("cls", [OpenAIChat, AnthropicMessages])
async def test_an_http_event_hook_that_raises_is_what_the_application_sees(provider, observed, cls, event):
    package = pytest.importorskip(cls.package)
    inner = getattr(package, "DefaultHttpxClient", httpx.Client)
    sdk = cls(provider.url, http_client=inner(event_hooks={event: [fail]}))

    async def outcome():
        with pytest.raises(Exception) as error:
            await sdk.create()
        return raised(error.value)

    without_us = await outcome()
    with observed.on():
        assert await outcome() == without_us
        counted, started, ended = observed.since()
    assert [c["error.type"] for c in counted] == [without_us[0][1]]
    assert (started, len(ended)) == (1, 1)


class Name(str, enum.Enum):
    GPT = "gpt-5"


class Awkward:
    """An argument that answers nothing that is asked of it."""

    __getattr__ = __iter__ = __len__ = __eq__ = __bool__ = fail
    __hash__ = None


class Once:
    """Messages that can be iterated only once a call: so it must not be us who does."""

    def __init__(self):
        self.left = []

    def __iter__(self):
        self.left = self.left or [*MESSAGES]
        while self.left:
            yield self.left.pop()


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": Name.GPT},
        {"model": None},
        {"model": 17},
        {"model": Awkward()},
        {"model": ["gpt-5"]},
        {"messages": Awkward()},
        {"messages": Once()},
        {"messages": ({"role": "user", "content": Once()},)},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": Awkward()}]}]},
        {"service_tier": Awkward()},
        {"extra_headers": {"x-llm-routing-surface": 5}},
        {"extra_headers": {5: "x"}},
        {"extra_headers": [("x-llm-routing-surface", "s")]},
        {"extra_body": {"model": {"a": 1}}},
        {"extra_body": Awkward()},
        {"extra_query": {"model": "m"}},
        {"timeout": "soon"},
        {"stream": "yes"},
        {"unknown": 1},
        {},
    ],
    ids=lambda a: "-".join(f"{k}={type(v).__name__}" for k, v in a.items()) or "right",
)
def test_whatever_the_application_passes_fails_or_works_as_without_us(provider, observed, arguments, caplog):
    sdk = OpenAIChat(provider.url)

    def outcome():
        try:
            return seen(sdk.client.chat.completions.create(**{**sdk.arguments(), **arguments})), _sent(provider)
        except Exception as error:
            return raised(error), _sent(provider)

    without_us = outcome()
    with observed.on():
        with_us = outcome()
    if "x-llm-routing-surface" not in str(arguments):  # which is taken out
        assert _numberless(with_us) == _numberless(without_us)
    assert len(observed.since()[0]) <= 1


def _sent(provider):
    body = provider.requests[-1].body if provider.requests else None
    provider.requests.clear()
    return body


def _numberless(value):
    return str(value).replace("chatcmpl-1", "chatcmpl-").replace("chatcmpl-2", "chatcmpl-")


@pytest.mark.parametrize("name", [None, 5, "", "\x00", Awkward(), "x" * 100_000, b"tooltip", "\ud800"], ids=type)
def test_any_surface_is_a_surface(provider, observed, name):
    sdk = OpenAIChat(provider.url)
    with observed.on(), surface(name):
        sdk.client.chat.completions.create(**sdk.arguments())
        [counted] = observed.since()[0]
    assert counted["llm_routing.surface"] == ("x" * 64 if isinstance(name, str) and name[:1] == "x" else "unknown")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, RecursionError])
@pytest.mark.parametrize("at", ["request", "response"])
def test_what_is_no_exception_of_a_program_passes_too(provider, observed, at, error):
    def hook(_):
        raise error("the application's own")

    package = pytest.importorskip("openai")
    sdk = OpenAIChat(provider.url, http_client=package.DefaultHttpxClient(event_hooks={at: [hook]}))

    def outcome():
        with pytest.raises(BaseException) as found:
            sdk.client.chat.completions.create(**sdk.arguments())
        return raised(found.value)

    without_us = outcome()
    with observed.on():
        assert outcome() == without_us
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (1, 1, 1)
    assert counted[0]["error.type"] == without_us[0][1]
