"""What every adapter does around a method, whoever else has a hand on it."""

from __future__ import annotations

import pytest
import wrapt
from driver import begin


class Client:
    async def send(self):
        return "answer"


async def test_somebodys_wrapper_that_raises_before_there_is_a_coroutine_ends_the_call(telemetry, adapter, monkeypatch):
    def refuse(wrapped, instance, args, kwargs):
        raise TypeError("theirs")

    monkeypatch.setattr(Client, "send", wrapt.FunctionWrapper(Client.__dict__["send"], refuse))
    assert adapter.surround(Client, "send", begin)
    with pytest.raises(TypeError):
        await Client().send()
    assert telemetry.one()["error.type"] == "TypeError"
