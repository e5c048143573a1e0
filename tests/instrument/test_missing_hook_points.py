"""An SDK without the methods that its adapter hooks: said once in the log, and the application never notices."""

from __future__ import annotations

import logging
from types import ModuleType

import pytest

from otel_llm_routing.instrument import guard, instrumentor
from otel_llm_routing.instrument.adapters import SDKS


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.on)
def test_an_sdk_that_has_none_of_the_hook_points(sdk, telemetry, caplog, monkeypatch):
    monkeypatch.setattr(guard, "_seen", set())
    hooked = instrumentor._active.pop(sdk, None)
    if hooked is not None:
        hooked.uninstrument()
    caplog.set_level(logging.WARNING)
    instrumentor._hook(sdk, ModuleType(sdk.on))
    said = [record for record in caplog.records if record.name == "otel_llm_routing"]
    assert [record.getMessage() for record in said if record.exc_info] == []
    assert len({record.getMessage() for record in said}) == len(said)
    # Later versions have that package too, with nothing but exceptions in it.
    assert said or sdk.on == "google.genai._interactions"
    instrumentor._active.pop(sdk).uninstrument()
    caplog.clear()
