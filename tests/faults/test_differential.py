"""The application gets, of any answer whatsoever, byte for byte what it gets without this project.

Each example is one call of a real SDK, made with this project and without it against the same bytes on a real socket.
Compared are the results and their types, the items of streams, exceptions with their arguments and causes, what was
sent and how often, and how far the body had been read. With this project, the call has one span and one count.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from outcomes import Observed, Script
from raw_provider import RawProvider
from replies import replies
from scripts import APIS, SCRIPTS

from otel_llm_routing.instrument import guard


class World(NamedTuple):
    """What all examples share, as making it is what takes time."""

    provider: RawProvider
    loop: asyncio.AbstractEventLoop
    observed: Observed
    clients: dict

    def sdk(self, api, is_async, retries):
        if (api, is_async) not in self.clients:
            self.clients[api, is_async] = APIS[api](self.provider.url, is_async=is_async)
        sdk = copy.copy(self.clients[api, is_async])
        sdk.client = sdk.client.with_options(max_retries=retries)
        return sdk


@pytest.fixture(scope="module")
def world():
    with RawProvider() as provider:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        yield World(provider, loop, Observed(InMemoryMetricReader()), {})
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


@st.composite
def calls(draw, api, is_async):
    use = draw(st.sampled_from(["whole", "raw", "streaming_response", "stream", "stream", "stream", "helper"]))
    streamed = use in ("stream", "helper") or (use == "streaming_response" and draw(st.booleans()))
    return {
        "use": use,
        "streamed": streamed,
        "limit": draw(st.sampled_from([None, None, 1, 3])),
        "leave": draw(st.sampled_from(["close", "drop", "with", "error", "nothing"])),
        "retries": draw(st.sampled_from([0, 0, 1, 2])),
        "replies": draw(st.lists(replies(api, streamed=streamed), min_size=1, max_size=3)),
    }


def outcome(world, api, how, *, is_async):
    """Return what the application sees, and what the provider got."""
    world.provider.script(how["replies"])
    sdk = world.sdk(api, is_async, how["retries"])
    notes = world.loop.run_until_complete(Script().run_async(SCRIPTS[how["use"]], sdk, how))
    return notes, [(first, _lasting(headers), body) for first, headers, body in world.provider.received]


def _lasting(headers):
    # A random key, made anew for every call.
    return [(name, value) for name, value in headers if "idempotency-key" not in name]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("api", APIS)
def test_the_outcome_of_a_call_is_what_it_is_without_us(world, api, is_async, caplog):
    observed = world.observed

    @given(how=calls(api, is_async))
    def holds(how):
        without_us = outcome(world, api, how, is_async=is_async)
        caplog.clear()
        guard._seen.clear()  # else a failure of a kind is logged only once
        with observed.on():
            with_us = outcome(world, api, how, is_async=is_async)
        assert with_us == without_us
        counted, started, ended = observed.since()
        assert (len(counted), started, len(ended)) == (1, 1, 1)
        assert [r.getMessage() for r in caplog.records if r.name.startswith(("otel_llm", "opentelemetry"))] == []

    caplog.set_level(logging.WARNING)
    holds()
