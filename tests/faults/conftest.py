"""Fixtures of the fault suite, and how many examples a property is tried with."""

from __future__ import annotations

import os

import pytest
from conftest import Telemetry, provider, telemetry, the_sdks_are_not_searched_for_garbage
from hypothesis import HealthCheck, settings
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from outcomes import Observed
from raw_provider import RawProvider

__all__ = ["Telemetry", "provider", "telemetry", "the_sdks_are_not_searched_for_garbage"]

# In CI the same examples every time; `make fuzz` tries others, and many more.
_ALWAYS = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", derandomize=True, database=None, max_examples=60, **_ALWAYS)
settings.register_profile("fuzz", max_examples=int(os.environ.get("FUZZ_EXAMPLES", "3000")), **_ALWAYS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "where(*flags, mode=None): of the conformance suite, whose drivers are used here"
    )


@pytest.fixture
def raw():
    with RawProvider() as raw:
        yield raw


@pytest.fixture
def observed():
    return Observed(InMemoryMetricReader())
