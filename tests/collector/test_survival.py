"""What a killed Collector costs: shares read by this project's own source move by less than a point."""

from __future__ import annotations

import time
import urllib.error
from collections import Counter
from contextlib import ExitStack

import components
import pytest
from collectors import TARGET, WRITING, Collector, attributes, written
from fake_provider import FakeProvider
from routed import Shop, Truth

from otel_llm_routing.analyze.sources import open_source

pytestmark = pytest.mark.timeout(600)

CALLS = 1000
SHARES = {
    "claude-sonnet-4-5-20250929": 60,
    "claude-haiku-4-5-20251001": 35,
    "gpt-5-mini-2025-08-07": 4,
    "gpt-4o-mini-2024-07-18": 1,
}


def read(prometheus, seconds=1200):
    """Return {(surface, requested, served): calls} as ``otel-llm-routing report`` reads them."""
    counts = Counter()
    now = time.time()
    for count in open_source(f"prometheus:{prometheus.url}").counts(now - seconds, now + 60, 15):
        counts[count.surface, count.requested, count.served] += count.requests
    return counts


def shares(counts):
    """Return the share, in points, of each model in what its surface asked for."""
    totals = Counter()
    for (surface, requested, _), calls in counts.items():
        totals[surface, requested] += calls
    return {key: 100 * calls / totals[key[:2]] for key, calls in counts.items() if totals[key[:2]]}


def moved(counts, truth):
    """Return by how many points the share moved that moved most."""
    counted, true = shares(counts), shares(truth)
    return max(abs(counted.get(key, 0) - true.get(key, 0)) for key in {*counted, *true})


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_an_agent_and_a_gateway_that_are_killed_and_come_back_move_no_share_by_a_point(tmp_path, temporality):
    truth = Truth()
    configs = written(tmp_path / "config")
    with FakeProvider() as provider, components.Prometheus(tmp_path, flags=WRITING) as prometheus, ExitStack() as stack:
        provider.route = truth
        url = f"{prometheus.url}/api/v1/otlp/v1/metrics"
        tier2 = Collector(tmp_path, configs / "gateway-tier2.yaml", LLM_ROUTING_PROMETHEUS_OTLP_URL=url)
        agent = Collector(tmp_path, configs / "agent.yaml", LLM_ROUTING_GATEWAY=tier2.grpc)
        stack.enter_context(tier2)
        stack.enter_context(agent)
        shop = stack.enter_context(Shop(provider, "ours", CALLS, metrics=agent.http, temporality=temporality))
        half = sum(truth.served.values())
        assert half == CALLS // 2
        components.wait_for("first half", lambda: sum(read(prometheus).values()) >= half)
        for one in (tier2, agent):  # what waits in the agent goes on at its start, not after a time to retry
            one.kill()
            one.__enter__()
        shop.go_on()
        served = truth.served
        components.wait_for("second half", lambda: sum(read(prometheus).values()) >= 0.99 * CALLS)
        instances = {labels["instance"] for labels, _ in prometheus.query("llm_routing_requests_total")}
        counts = read(prometheus)
    assert sum(served.values()) == CALLS
    assert moved(counts, served) < 1
    # What an application adds up itself has its name; what a Collector adds up has one for each of its starts.
    assert len(instances) == (1 if temporality == "cumulative" else 2), instances
    assert ("shop-1" in instances) is (temporality == "cumulative")


def delta(stream, requests, start, end):
    """Return an OTLP request with what one process counted for one model since its last export."""
    surface, served = stream
    words = {
        "llm_routing.surface": surface,
        "gen_ai.provider.name": "openai",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "openrouter/auto",
        "gen_ai.response.model": served,
        "llm_routing.request.kind": "router",
        "llm_routing.match": "resolved",
        "llm_routing.served.source": "body",
    }
    point = {
        "attributes": attributes(words),
        "startTimeUnixNano": str(start),
        "timeUnixNano": str(end),
        "asInt": str(requests),
    }
    data = {"dataPoints": [point], "aggregationTemporality": 1, "isMonotonic": True}
    metric = {"name": "llm_routing.requests", "unit": "{request}", "sum": data}
    resource = {"attributes": attributes({"service.name": "shop", "service.instance.id": "shop-1"})}
    return {
        "resourceMetrics": [
            {"resource": resource, "scopeMetrics": [{"scope": {"name": "otel_llm_routing"}, "metrics": [metric]}]}
        ]
    }


def test_the_loss_of_one_of_two_replicas_moves_no_share_by_a_point_whichever_streams_it_had(tmp_path):
    streams = [(surface, served) for surface in ("autocomplete", "drafts") for served in SHARES]
    truth = Counter()
    config = written(tmp_path / "config", [TARGET]) / "gateway-tier2.yaml"
    with components.Prometheus(tmp_path, flags=WRITING) as prometheus, ExitStack() as stack:
        url = f"{prometheus.url}/api/v1/otlp/v1/metrics"
        replicas = [
            stack.enter_context(Collector(tmp_path, config, f"replica-{name}", LLM_ROUTING_PROMETHEUS_OTLP_URL=url))
            for name in ("a", "b")
        ]
        # In the place of the load_balancing exporter: a stream stays with its replica, or goes to one that is there.
        placed = {stream: number % 2 for number, stream in enumerate(streams)}
        last = time.time_ns()
        for tick in range(40):
            if tick == 20:
                replicas[0].kill()
            now = time.time_ns()
            for stream in streams:
                requests = SHARES[stream[1]]
                document = delta(stream, requests, last, now)
                try:
                    replicas[placed[stream]].send("metrics", document)
                except (urllib.error.URLError, ConnectionError):
                    placed[stream] = 1
                    replicas[1].send("metrics", document)
                truth[stream[0], "openrouter/auto", stream[1]] += requests
            last = now
        replicas[0].__enter__()
        components.wait_for("counts", lambda: sum(read(prometheus).values()) >= 0.98 * sum(truth.values()))
        instances = {labels["instance"] for labels, _ in prometheus.query("llm_routing_requests_total")}
        counts = read(prometheus)
    assert len(instances) == 2
    assert all(name.startswith("shop-1/") for name in instances)
    assert set(placed.values()) == {1}
    assert moved(counts, truth) < 1
    assert sum(counts.values()) <= sum(truth.values())
