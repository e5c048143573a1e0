"""The same thousand calls, counted by our instrumentation, derived from spans, and as the provider served them."""

from __future__ import annotations

import importlib.util

import components
import pytest
from collectors import TARGET, TOKEN, WRITING, Collector, written
from fake_provider import FakeProvider
from routed import Shop, Truth

pytestmark = pytest.mark.timeout(600)

CALLS = 1000
PEERS = {
    "OpenTelemetry": "opentelemetry.instrumentation.genai.openai",
    "OpenLLMetry": "opentelemetry.instrumentation.openai",
    "OpenInference": "openinference.instrumentation.openai",
}
WRITTEN = {"OpenLLMetry": lambda served: served.rpartition("/")[2]}
"""How a peer writes what served, where it changes it: OpenLLMetry cuts off what stands before a slash."""
BY = (
    "llm_routing_surface",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "llm_routing_request_kind",
    "llm_routing_match",
)


def scraping(*collectors):
    """Return the configuration with which Prometheus scrapes derived counts, as docs/collector.md has it."""
    return {
        "scrape_configs": [
            {
                "job_name": "llm-routing-derived",
                "honor_labels": True,
                "scheme": "https",
                "scrape_interval": "1s",
                "authorization": {"credentials": TOKEN},
                "tls_config": {"ca_file": str(collectors[0].cert)},
                "static_configs": [{"targets": [collector.scraped for collector in collectors]}],
            }
        ]
    }


def counted(prometheus, selector, calls=CALLS):
    """Return {labels: calls} of the series that ``selector`` takes, once they are all of the calls."""
    query = f"sum by ({', '.join(BY)}) (llm_routing_requests_total{{{selector}}})"

    def found():
        vector = prometheus.query(query)
        return vector if sum(value for _, value in vector) >= calls else None

    vector = components.wait_for(f"{calls} calls", found)
    return {tuple(labels.get(name, "") for name in BY): value for labels, value in vector}


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_direct_counts_counts_from_our_spans_and_what_was_served_are_the_same(tmp_path, temporality):
    truth = Truth()
    configs = written(tmp_path / "config", own_spans=True)
    with FakeProvider() as provider, Collector(tmp_path, configs / "derive-from-spans.yaml") as derive:
        provider.route = truth
        with components.Prometheus(tmp_path, flags=WRITING, config=scraping(derive)) as prometheus:
            url = f"{prometheus.url}/api/v1/otlp/v1/metrics"
            tier2 = Collector(tmp_path, configs / "gateway-tier2.yaml", LLM_ROUTING_PROMETHEUS_OTLP_URL=url)
            with tier2, Collector(tmp_path, configs / "agent.yaml", LLM_ROUTING_GATEWAY=tier2.grpc) as agent:
                more = {"cert": derive.cert, "temporality": temporality}
                with Shop(provider, "ours", CALLS, traces=derive.http, metrics=agent.http, **more) as shop:
                    shop.go_on()
                direct = counted(prometheus, 'instance=~"shop-1(/.+)?"')
                derived = counted(prometheus, 'instance!~"shop-1.*"')
    assert sum(truth.served.values()) == CALLS
    assert {match for *_, match in direct} == {"exact", "resolved", "substituted", "unconfirmed"}
    assert direct == truth.counts()
    assert derived == truth.counts()


@pytest.mark.parametrize("name", PEERS)
def test_counts_from_the_spans_of_another_instrumentation_are_what_was_served(tmp_path, name):
    try:
        found = importlib.util.find_spec(PEERS[name])
    except ImportError:
        found = None
    if found is None:
        pytest.skip(f"{name}'s instrumentation of openai is not installed; the nox session 'peers' has it")
    truth = Truth()
    config = written(tmp_path / "config") / "derive-from-spans.yaml"
    with FakeProvider() as provider, Collector(tmp_path, config) as derive:
        provider.route = truth
        with components.Prometheus(tmp_path, config=scraping(derive)) as prometheus:
            with Shop(provider, PEERS[name], CALLS, traces=derive.http, cert=derive.cert) as shop:
                shop.go_on()
            derived = counted(prometheus, f'job="{PEERS[name]}"')
    spelled = WRITTEN.get(name, str)
    assert derived == {
        (surface, asked, spelled(served), *rest): calls
        for (surface, asked, served, *rest), calls in truth.counts().items()
    }


@pytest.mark.parametrize("to", ["prometheus-remote-write", TARGET, "victoriametrics"])
def test_every_store_that_runs_here_has_the_names_and_numbers_that_the_rules_read(tmp_path, to):
    truth = Truth()
    config = written(tmp_path / "config", [to]) / "gateway-tier2.yaml"
    with FakeProvider() as provider, store(tmp_path, to) as prometheus:
        provider.route = truth
        urls = {
            "LLM_ROUTING_PROMETHEUS_WRITE_URL": f"{prometheus.url}/api/v1/write",
            "LLM_ROUTING_PROMETHEUS_OTLP_URL": f"{prometheus.url}/api/v1/otlp/v1/metrics",
            "LLM_ROUTING_VICTORIAMETRICS_URL": f"{prometheus.url}/api/v1/write",
        }
        tier2 = Collector(tmp_path, config, **urls)
        agent = written(tmp_path / "config", [to]) / "agent.yaml"
        with tier2, Collector(tmp_path, agent, LLM_ROUTING_GATEWAY=tier2.grpc) as beside:
            with Shop(provider, "ours", 200, metrics=beside.http) as shop:
                shop.go_on()
            assert counted(prometheus, 'job="ours", instance="shop-1"', 200) == truth.counts()


def store(folder, to):
    if to == "victoriametrics":
        return components.VictoriaMetrics(folder, "-search.latencyOffset=0s")
    return components.Prometheus(folder, flags=WRITING)
