"""The files that a real Collector's file exporter writes, read as they are."""

from __future__ import annotations

import time
from collections import Counter

import components
import pytest
import yaml
from collectors import Collector
from fake_provider import FakeProvider
from routed import Shop, Truth

from otel_llm_routing.analyze.sources import open_source

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_what_the_file_exporter_writes_is_read_and_is_what_was_served(tmp_path, temporality):
    truth = Truth()
    config = {
        "extensions": {"health_check": {"endpoint": "${env:LLM_ROUTING_HEALTH}"}},
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "${env:LLM_ROUTING_HTTP}"}}}},
        "exporters": {"file": {"path": str(tmp_path / "metrics.json"), "flush_interval": "100ms"}},
        "service": {
            "extensions": ["health_check"],
            "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["file"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }
    (tmp_path / "files.yaml").write_text(yaml.safe_dump(config))
    begun = time.time() - 120  # buckets are of a minute
    with FakeProvider() as provider, Collector(tmp_path, tmp_path / "files.yaml") as collector:
        provider.route = truth
        with Shop(provider, "ours", 200, metrics=collector.http, temporality=temporality) as shop:
            shop.go_on()

    def counts():
        found = Counter()
        source = open_source(f"otlp:{tmp_path / 'metrics.json'}")
        for count in source.counts(begun, time.time() + 60):
            key = (count.surface, count.requested, count.served, count.kind, count.match)
            found[key] += count.requests
        assert source.warnings == []
        return found

    expected = truth.counts()
    assert sum(expected.values()) == 200
    found = components.wait_for("lines", lambda: sum((read := counts()).values()) >= 200 and read)
    assert found == expected
