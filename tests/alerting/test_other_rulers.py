"""The same rule files evaluated by the oldest Prometheus that they support, and by vmalert."""

from __future__ import annotations

import components
import pytest
from components import ROOT

from otel_llm_routing.generate.prometheus import rule_file, rule_groups
from otel_llm_routing.policy import loading, reference
from otel_llm_routing.policy.plan import plan

pytestmark = pytest.mark.timeout(600)

EXAMPLES = ROOT / "examples" / "policy"
DIVIDE = 300
"""Groups are evaluated every second instead of every five minutes."""
COUNTER = """\
# TYPE llm_routing_requests counter
llm_routing_requests_total{{llm_routing_surface="autocomplete",gen_ai_request_model="openrouter/auto",\
gen_ai_response_model="claude-sonnet-4-5-20250929",llm_routing_match="resolved",llm_routing_request_kind="router"}} {0}
# EOF
"""


def example():
    return plan(loading.load(EXAMPLES / "policy.yaml"), reference.load(EXAMPLES / "reference.yaml"))


@pytest.fixture(params=["policy", "generic"])
def rules(request, tmp_path):
    """The rules of the example, and those without a policy: each alone, because both record the same series."""
    path = tmp_path / "rules.yaml"
    path.write_text(rule_file(rule_groups(example() if request.param == "policy" else None, divide=DIVIDE)))
    return path


class Application(components.Webhook):
    """Exposes the counter to whoever scrapes it, one request more each time."""

    def get(self):
        self.scrapes = getattr(self, "scrapes", 0) + 1
        return COUNTER.format(self.scrapes)


@pytest.fixture
def application():
    with Application() as made:
        yield made


def scraping(application):
    target = application.url.removeprefix("http://")
    return {
        "scrape_configs": [
            {"job_name": "shop", "scrape_interval": "200ms", "static_configs": [{"targets": [target]}]},
        ]
    }


def evaluated(groups):
    """Whether every group was evaluated; fail where a rule has an error."""
    errors = {rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")}
    assert not errors
    return groups and all(not group["lastEvaluation"].startswith("0001") for group in groups)


def test_prometheus_2_42_evaluates_every_rule(tmp_path, rules, application):
    binary = components.debian_prometheus()
    with components.Prometheus(tmp_path, [rules], binary=binary, config=scraping(application)) as old:
        components.wait_for("evaluation of every group", lambda: evaluated(old.rules()))
        components.wait_for("share of the example", lambda: old.query("llm_routing:share:1h == 1"))
        assert {rule["name"] for group in old.rules() for rule in group["rules"]} >= {"LLMRoutingMixShiftFast"}


def test_prometheus_2_42_loads_the_committed_files(tmp_path):
    rules = sorted((ROOT / "collector" / "rules").glob("*.rules.yaml"))
    assert len(rules) == 2
    with components.Prometheus(tmp_path, rules, binary=components.debian_prometheus()) as old:
        loaded = {group["file"]: len(group["rules"]) for group in old.rules()}
    assert {path.rpartition("/")[2] for path in loaded} == {path.name for path in rules}


def test_vmalert_evaluates_every_rule(tmp_path, rules, application):
    store = components.Prometheus(tmp_path, config=scraping(application), flags=["--web.enable-remote-write-receiver"])
    with store, components.VMAlert(tmp_path, rules, store.url) as vmalert:
        components.wait_for("evaluation of every group", lambda: evaluated(vmalert.rules()))
        components.wait_for("share of the example", lambda: store.query("llm_routing:share:1h == 1"))
