"""Realtime sessions of the openai SDK: one connection, many responses, each of them a call."""

from __future__ import annotations

import contextlib

import pytest
from conformance import Calls, outcome
from driver import Driver, entered, settled
from opentelemetry.trace import StatusCode

from otel_llm_routing import LLMRoutingInstrumentor, surface

openai = pytest.importorskip("openai")
pytest.importorskip("websockets", reason="openai[realtime] is not installed; make compat has it")
pytest.importorskip("websockets.sync.server", reason="this websockets has no synchronous server")

from fake_provider.realtime_wire import RealtimeServer  # noqa: E402  (it needs websockets)


class Realtime(Driver):
    """One response of a session."""

    distribution = "openai"
    label = "realtime"
    provider = "openai"
    requested, served = "gpt-realtime", "gpt-realtime-2025-08-28"
    not_visible = (
        "The model of a single response: the protocol names that of the session. The size of the input. "
        "A response that is cut off because the application closes the connection is not counted."
    )
    size = None

    def __init__(self, url, *, is_async=False, **options):
        cls = openai.AsyncOpenAI if is_async else openai.OpenAI
        self.is_async = is_async
        self.client = cls(
            api_key="k", base_url="http://127.0.0.1:9/v1", websocket_base_url=f"{url}/v1", max_retries=0, **options
        )
        if not hasattr(self.client, "realtime") and not hasattr(self.client.beta, "realtime"):
            pytest.skip("this openai has no Realtime API")

    @classmethod
    @contextlib.contextmanager
    def served_at(cls, provider):
        with RealtimeServer(provider) as server:
            yield server.url

    @property
    def resource(self):
        return self.client.realtime if hasattr(self.client, "realtime") else self.client.beta.realtime

    def connected(self, **more):
        return entered(self.resource.connect(**{"model": self.requested, **more}))

    async def respond(self, connection):
        """Ask for a response, and read the events up to its end."""
        await settled(connection.response.create())
        event = await settled(connection.recv())
        while event.type != "response.done":
            event = await settled(connection.recv())
        return event

    async def create(self, **more):
        async with self.connected(**more) as connection:
            return await self.respond(connection)


@pytest.fixture(autouse=True)
def alias_of_the_model(provider):
    """The provider resolves the session's model, where a test says nothing else."""
    provider.answers(model=Realtime.served)


class TestRealtime(Calls):
    driver = Realtime
    test_a_call_cancelled_before_its_answer = None  # reading from the connection is what is cancelled: nothing is lost
    test_what_the_application_gets_of_a_broken_answer_is_what_it_gets_without_us = None  # see below

    async def test_sizes_and_tokens_and_times_are_measured_once(self, sdk, telemetry):
        await sdk.create()
        assert telemetry.points("llm_routing.input_size") == []
        for name in ("duration", "time_to_first_chunk"):
            [(_, point)] = telemetry.points(f"llm_routing.{name}")
            assert point.count == 1, name
        attributes = telemetry.span().attributes
        assert attributes["gen_ai.response.time_to_first_chunk"] > 0
        [read] = [point.value for _, point in telemetry.points("llm_routing.input_tokens") if point.value]
        assert read == attributes["gen_ai.usage.input_tokens"] == 9
        assert attributes["gen_ai.usage.cache_read.input_tokens"] == 2

    async def test_a_failed_call_is_counted_with_its_error(self, sdk, telemetry, provider):
        provider.answers(model=sdk.served, fault="status:500")
        assert (await sdk.create()).response.status == "failed"
        assert telemetry.one()["error.type"] == "internal_error"
        assert telemetry.span().status.status_code is StatusCode.ERROR

    async def test_each_response_of_a_session_is_a_call(self, sdk, telemetry):
        async with sdk.connected() as connection:
            for name in ("first", "second"):
                with surface(name):
                    await sdk.respond(connection)
        assert [c["llm_routing.surface"] for c in telemetry.counted()] == ["first", "second"]
        assert {c["gen_ai.response.model"] for c in telemetry.counted()} == {sdk.served}
        assert len({s.attributes["gen_ai.response.id"] for s in telemetry.spans}) == 2

    async def test_a_session_without_a_response_is_no_call(self, sdk, telemetry):
        async with sdk.connected() as connection:
            await settled(connection.session.update(session={"type": "realtime", "instructions": "be brief"}))
            events = [(await settled(connection.recv())).type for _ in range(2)]
        assert events == ["session.created", "session.updated"]
        assert telemetry.counted() == []
        assert telemetry.spans == []

    async def test_events_that_the_application_iterates(self, sdk, telemetry):
        async with sdk.connected() as connection:
            await settled(connection.response.create())
            if sdk.is_async:
                async for event in connection:
                    if event.type == "response.done":
                        break
            else:
                for event in connection:
                    if event.type == "response.done":
                        break
        telemetry.one()

    async def test_bytes_that_the_application_parses_by_itself(self, sdk, telemetry):
        async with sdk.connected() as connection:
            await settled(connection.response.create())
            while connection.parse_event(await settled(connection.recv_bytes())).type != "response.done":
                pass
        telemetry.one()

    async def test_a_connection_that_is_entered_without_a_with_statement(self, sdk, telemetry):
        connection = await settled(sdk.resource.connect(model=sdk.requested).enter())
        await sdk.respond(connection)
        await settled(connection.close())
        assert telemetry.one()["gen_ai.request.model"] == sdk.requested

    async def test_a_connection_lost_in_the_middle_of_a_response(self, sdk, telemetry, provider):
        provider.answers(model=sdk.served, fault="drop")
        with pytest.raises(Exception) as raised:
            await sdk.create()
        assert telemetry.one()["error.type"] == type(raised.value).__qualname__

    @pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
    async def test_a_broken_event_reaches_the_application_as_it_is(self, sdk, telemetry, provider, fault):
        provider.answers(fault=fault)
        with_us = await outcome(sdk)
        LLMRoutingInstrumentor().uninstrument()
        assert with_us == await outcome(sdk)
        assert [c["llm_routing.match"] for c in telemetry.counted()] == ["unreported"] * (fault == "wrong_types")

    async def test_a_session_that_repeats_the_alias_confirms_nothing_more(self, sdk, telemetry, provider):
        provider.answers(model=sdk.requested)
        await sdk.create()
        counted = telemetry.one()
        assert counted["gen_ai.response.model"] == sdk.requested
        assert counted["llm_routing.match"] == "unconfirmed"

    async def test_a_session_that_names_no_model_is_unreported(self, sdk, telemetry, provider):
        provider.answers(no_model=True)
        await sdk.create()
        assert telemetry.one()["llm_routing.match"] == "unreported"

    async def test_a_response_that_names_a_model_itself_is_believed(self, sdk, telemetry, provider):
        provider.answers(model=sdk.served, more={"model": "gpt-realtime-mini-2025-10-06"})
        await sdk.create()
        assert telemetry.one()["gen_ai.response.model"] == "gpt-realtime-mini-2025-10-06"
