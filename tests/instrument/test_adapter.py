"""What every adapter does around a method, whoever else has a hand on it."""

from __future__ import annotations

import pytest
import wrapt

from otel_llm_routing.instrument import instrumentor
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.call import CallRequest


class Client:
    async def send(self):
        return "answer"


def begin(client, args, kwargs):
    return CallRequest("chat", "acme", "m", lambda call, answer: None)


@pytest.fixture
def adapter(telemetry):
    adapter = Adapter("acme", "acme")
    adapter._tracker = instrumentor._state["tracker"]
    yield adapter
    adapter.uninstrument()


async def test_somebodys_wrapper_that_raises_before_there_is_a_coroutine_ends_the_call(telemetry, adapter, monkeypatch):
    def refuse(wrapped, instance, args, kwargs):
        raise TypeError("theirs")

    monkeypatch.setattr(Client, "send", wrapt.FunctionWrapper(Client.__dict__["send"], refuse))
    assert adapter.surround(Client, "send", begin)
    with pytest.raises(TypeError):
        await Client().send()
    assert telemetry.one()["error.type"] == "TypeError"
