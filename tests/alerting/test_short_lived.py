"""Processes that end after a few calls: every one is counted, where ``increase()`` would see none of them."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import components
import pytest
from fake_provider import FakeProvider

from otel_llm_routing.analyze.sources import open_source
from otel_llm_routing.generate.prometheus import rule_groups

pytestmark = pytest.mark.timeout(600)

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
WORKERS = 50


def test_the_share_of_fifty_short_lived_workers_is_the_truth(tmp_path):
    served = Counter()

    def route(_model, _body):
        model = HAIKU if sum(served.values()) % 20 == 7 else SONNET  # 5 %
        served[model] += 1
        return model

    groups = rule_groups(None)
    (counting,) = (r["expr"] for g in groups for r in g["rules"] if r.get("record") == "llm_routing:requests:slice5m")
    with (
        FakeProvider() as provider,
        components.Prometheus(tmp_path, flags=["--web.enable-otlp-receiver"]) as prometheus,
    ):
        provider.route = route
        begin = time.time()
        script = Path(__file__).with_name("workers.py")
        components.run(sys.executable, script, provider.url, f"{prometheus.url}/api/v1/otlp/v1/metrics", WORKERS)
        end = time.time() + 31
        # Evaluated as a ruler will in the next minutes: the clock is given, not waited for.
        before = int((end - begin) // 300) + 1
        slices = [prometheus.query(counting, at=end + 300 * number) for number in range(-before, 3)]
        found = Counter()
        for labels, value in (one for of in slices for one in of):
            found[labels["gen_ai_response_model"]] += value
        lost = prometheus.query("sum(increase(llm_routing_requests_total[1h]))", at=end)
        read = Counter()
        for count in open_source(f"prometheus:{prometheus.url}").counts(end - 3600, end + 3600, 0):
            read[count.served] += count.requests
    assert sum(served.values()) == sum(1 + number % 5 for number in range(WORKERS))
    assert served[HAIKU] >= 7
    assert found == read == served
    assert found[HAIKU] / sum(found.values()) == pytest.approx(0.05, abs=0.01)
    assert lost == []  # what the shares would be made of otherwise
