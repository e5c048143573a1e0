"""From the application's call to the page: real processes from end to end, with durations divided by 300."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import components
import pytest
from fake_provider import FakeProvider

from otel_llm_routing.generate import alertmanager
from otel_llm_routing.generate.prometheus import rule_file, rule_groups
from otel_llm_routing.policy import loading, reference
from otel_llm_routing.policy.plan import plan

pytestmark = pytest.mark.timeout(600)

DIVIDE = 300
"""A slice of five minutes is a second, and a window of an hour 12."""
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
HAIKU_NOW = f'llm_routing:share:1h{{llm_routing_surface="autocomplete", gen_ai_response_model="{HAIKU}"}}'
POLICY = """
version: 1
defaults: {owner: team-platform}
surfaces:
  autocomplete: {owner: team-editor, uses: {router: openrouter/auto}}
  drafts: {owner: team-drafts, uses: {router: openrouter/auto}}
"""
STREAM = """
- surface: {surface}
  requested: openrouter/auto
  pin: 1
  requests: 60000
  days: 28
  design_effect: 1.0
  concentration: 400
  shares: {{claude-sonnet-4-5-20250929: 0.95, claude-haiku-4-5-20251001: 0.05}}
"""
REFERENCE = f"""
version: 1
pins:
- {{id: 1, at: 2026-11-02T09:00:00Z, reason: agreed, start: 2026-10-05T09:00:00Z, end: 2026-11-02T09:00:00Z, source: x}}
streams:
{STREAM.format(surface="autocomplete")}
{STREAM.format(surface="drafts")}
"""


class Router:
    """Answers each surface with Haiku at its own share, evenly."""

    def __init__(self):
        self.haiku = {"autocomplete": 0.05, "drafts": 0.05}
        self._owed = dict.fromkeys(self.haiku, 0.5)

    def __call__(self, model, body):
        name = body["messages"][0]["content"]
        self._owed[name] += self.haiku[name]
        if self._owed[name] >= 1:
            self._owed[name] -= 1
            return HAIKU
        return SONNET


@pytest.fixture
def webhook():
    with components.Webhook() as made:
        yield made


@pytest.fixture
def files(tmp_path, webhook):
    (tmp_path / "reference.yaml").write_text(REFERENCE)
    policy = loading.parse(POLICY).policy
    groups = rule_groups(plan(policy, reference.load(tmp_path / "reference.yaml")), divide=DIVIDE)
    (tmp_path / "rules.yaml").write_text(rule_file(groups))
    config = alertmanager.render(policy, divide=DIVIDE)
    (tmp_path / "alertmanager.yaml").write_text(config.replace("http://localhost:5001", webhook.url))
    return tmp_path


def application(provider, prometheus):
    environment = {
        **os.environ,
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=shop-1",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
    }
    instrument = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    script = str(Path(__file__).with_name("shop.py"))
    return subprocess.Popen([instrument, sys.executable, script, provider.url, "0.02"], env=environment)


def test_a_retuned_router_pages_the_owner_and_nothing_else_is_said(files, webhook):
    router = Router()
    with (
        FakeProvider() as provider,
        components.Alertmanager(files, files / "alertmanager.yaml") as alerts,
        components.Prometheus(
            files, [files / "rules.yaml"], alertmanager=alerts, flags=["--web.enable-otlp-receiver"]
        ) as prometheus,
    ):
        provider.route = router
        process = application(provider, prometheus)
        try:
            components.wait_for("whole hour of shares", lambda: steady(prometheus))
            assert webhook.received == []
            router.haiku["autocomplete"] = 0.7
            components.wait_for("page", lambda: pages(webhook))
            # Until the last hour is all after the change: a false alarm on the other surface would have come by then.
            components.wait_for("whole hour after the change", lambda: prometheus.query(f"{HAIKU_NOW} > 0.65"))
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    arrived = webhook.alerts()
    assert {alert["labels"]["llm_routing_surface"] for _, alert in arrived} == {"autocomplete"}
    assert {path for path, alert in arrived if alert["labels"]["severity"] == "page"} == {
        "/llm-routing-team-editor-page"
    }
    haiku = next(a for _, a in pages(webhook) if a["labels"]["gen_ai_response_model"] == HAIKU)
    assert haiku["labels"] == {
        "alertname": "LLMRoutingMixShiftFast",
        "gen_ai_request_model": "openrouter/auto",
        "gen_ai_response_model": HAIKU,
        "llm_routing_surface": "autocomplete",
        "llm_routing_window": "1h",
        "owner": "team-editor",
        "severity": "page",
    }
    said = re.fullmatch(
        rf"autocomplete: {HAIKU} served ([\d.]+)% of `openrouter/auto` in the last hour; reference 5%, normal wobble "
        r"±([\d.]+) points\. .+",
        haiku["annotations"]["description"],
    )
    assert said, haiku["annotations"]
    assert 15 < float(said[1]) <= 75
    assert 0 < float(said[2]) < 10
    assert haiku["annotations"]["runbook_url"].endswith("/docs/runbooks/LLMRoutingMixShiftFast.md")


def steady(prometheus):
    """Whether every share of the last hour is of a whole hour."""
    slices = prometheus.query("min(count_over_time(llm_routing:requests:slice5m[13s]))")
    return slices and slices[0][1] >= 12 and len(prometheus.query("llm_routing:share:1h")) == 4


def pages(webhook):
    return [
        (path, a)
        for path, a in webhook.alerts()
        if a["labels"]["alertname"] == "LLMRoutingMixShiftFast" and a["status"] == "firing"
    ]
