"""Whether there is an alert on a surface's mix, asked of real servers with the generated rules."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import components
import pytest
import stored
from stored import AUTO, MINI, SONNET, key
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app
from otel_llm_routing.generate.prometheus import rule_file, rule_groups
from otel_llm_routing.policy import loading, reference
from otel_llm_routing.policy.plan import plan

DIVIDE = 300
"""Groups are evaluated every second instead of every five minutes."""
POLICY = """\
version: 1
defaults: {owner: team-platform}
surfaces:
  autocomplete:
    owner: team-editor
    uses: {router: openrouter/auto}
    expect: {"*haiku*": {max: "25 %"}}
  drafts:
    uses: {pinned: gpt-9-mini-2031-01-31}
  "{{ odd }}":
    uses: {router: openrouter/auto}
"""
STREAM = """\
- surface: {surface}
  requested: openrouter/auto
  pin: 1
  requests: 60000
  days: 28
  design_effect: 2.0
  concentration: 400
  shares: {{claude-sonnet-4-5-20250929: 0.9, gpt-5-mini-2025-08-07: 0.1}}
"""
REFERENCE = (
    """\
version: 1
pins:
- {id: 1, at: 2026-11-02T09:00:00Z, reason: agreed, start: 2026-10-05T09:00:00Z, end: 2026-11-02T09:00:00Z, source: x}
streams:
"""
    + STREAM.format(surface="autocomplete")
    + STREAM.format(surface='"{{ odd }}"')
)
PINNED = "gpt-9-mini-2031-01-31"
SERIES = (
    ("autocomplete", AUTO, SONNET, "router", "resolved"),
    ("{{ odd }}", AUTO, SONNET, "router", "resolved"),
    ("drafts", PINNED, MINI, "pinned", "substituted"),
    ("unlisted", AUTO, SONNET, "router", "resolved"),
)


class Application(components.Webhook):
    """Exposes the counter, one request of each series more at every scrape."""

    def get(self):
        self.scrapes = getattr(self, "scrapes", 0) + 1
        names = ("llm_routing_surface", "gen_ai_request_model", "gen_ai_response_model", "llm_routing_request_kind",
                 "llm_routing_match")  # fmt: skip
        lines = (",".join(f'{name}="{value}"' for name, value in zip(names, series, strict=True)) for series in SERIES)
        body = "".join(f"llm_routing_requests_total{{{line}}} {self.scrapes}\n" for line in lines)
        return f"# TYPE llm_routing_requests counter\n{body}# EOF\n"


def generated(policy=POLICY, pinned=REFERENCE, folder=None):
    (folder / "for-rules.yaml").write_text(pinned)
    return rule_groups(plan(loading.parse(policy).policy, reference.load(folder / "for-rules.yaml")), divide=DIVIDE)


def scraping(application):
    target = application.url.removeprefix("http://")
    job = {"job_name": "shop", "scrape_interval": "200ms", "static_configs": [{"targets": [target]}]}
    return {"scrape_configs": [job]}


def settled(server):
    groups = server.rules()
    rules = [rule for group in groups for rule in group["rules"]]
    return rules and all(not rule["lastEvaluation"].startswith("0001") for rule in rules)


@pytest.fixture(scope="module")
def application():
    with Application() as made:
        yield made


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, application):
    """A Prometheus that has the rules of the policy and the reference, and counts requests of every surface."""
    folder = tmp_path_factory.mktemp("prometheus")
    rules = folder / "rules.yaml"
    rules.write_text(rule_file(generated(folder=folder)))
    told = SimpleNamespace(address=f"127.0.0.1:{components.free_port()}")
    flags = ["--web.enable-remote-write-receiver"]
    with components.Prometheus(folder, [rules], alertmanager=told, config=scraping(application), flags=flags) as made:
        components.wait_for("evaluation of every rule", lambda: settled(made))
        counted = "count(llm_routing:surface_requests:24h > 0 and on (llm_routing_surface) llm_routing:share:1h) == 4"
        components.wait_for("share of every surface", lambda: made.query(counted))
        firing = 'ALERTS{alertname="LLMRoutingPinViolated", alertstate="firing"}'
        components.wait_for("alert about the pin", lambda: made.query(firing))
        sent = "/api/v1/alertmanagers"
        components.wait_for("Alertmanager", lambda: components.get(made.url + sent)["data"]["activeAlertmanagers"])
        yield made


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "reference.yaml").write_text(REFERENCE)
    now = int(time.time()) - 3600
    rows = [
        (now, key(surface, asked, served, kind=kind, match=match), 100)
        for surface, asked, served, kind, match in SERIES
    ]
    stored.Traffic(tmp_path / "t.db").write(rows)
    return tmp_path


def alerted(*arguments, source="sqlite:t.db"):
    result = CliRunner().invoke(app, ["checklist", "--source", source, "--json", *arguments])
    assert result.exit_code in (0, 1), result.output
    found = json.loads(result.stdout)["surfaces"]
    return {one["surface"]: one["answers"]["alerted"] for one in found}


def said(answer):
    return "\n".join(fact["text"] for fact in answer["evidence"])


def test_loaded_healthy_rules_that_know_the_surface_and_count_its_requests_are_a_yes(here, prometheus):
    found = alerted("--prometheus", prometheus.url)
    mix = found["autocomplete"]
    assert mix["verdict"] == "yes", mix
    assert mix["todo"] == []
    assert "Compared with a reference: `openrouter/auto`." in said(mix)
    for name in ("MixShiftFast", "MixShiftDay", "MixDriftSlow", "NewServedModel", "ShareAboveBand", "SurfaceSilent"):
        assert f"`LLMRouting{name}`" in said(mix)
    assert "Alerts are sent to 1 Alertmanager" in said(mix)
    assert mix["evidence"][1]["where"] == f"{prometheus.url}/api/v1/rules"
    # Its constants are in expressions, not in labels: vmalert would take this name for a template.
    assert found["{{ odd }}"]["verdict"] == "yes", found["{{ odd }}"]
    pinned = found["drafts"]
    assert pinned["verdict"] == "yes"
    assert "`LLMRoutingPinViolated`, `LLMRoutingUnpinnedTraffic`" in said(pinned)
    assert "Firing now: `LLMRoutingPinViolated`." in said(pinned)
    assert "Firing now" not in said(mix)


def test_a_surface_that_the_rules_do_not_know_has_no_alert(here, prometheus):
    found = alerted("unlisted", "--prometheus", prometheus.url)["unlisted"]
    assert found["verdict"] == "no"
    assert "Without a reference in the rules, so no alert about a shift: `openrouter/auto`." in said(found)


def test_a_source_that_is_a_prometheus_is_asked_for_its_rules_too(here, prometheus):
    found = alerted("autocomplete", source=f"prometheus:{prometheus.url}")["autocomplete"]
    assert found["verdict"] == "yes", found
    one = CliRunner().invoke(app, ["checklist", "autocomplete", "--source", prometheus.url])
    assert 'increase(llm_routing_requests_total{llm_routing_surface="autocomplete"}[28d])' in one.stdout


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "team-editor",
            "team-new",
            "an alert of level page goes to `team-editor` as page, by the policy to `team-new`",
        ),
        ("25 %", "30 %", "max of `*haiku*` is 25.0%, by the policy 30.0%"),
        ('"*haiku*": {max', '"*mini*": {max', "max 25.0% of `*mini*` is not in them"),
        ('"*haiku*": {max', '"*mini*": {max', "they have max 25.0% of `*haiku*`, which the policy has not"),
        (
            "owner: team-editor",
            "owner: team-editor\n    unknown_limit: 0.2",
            "unknown served models is 5.0%, by the policy",
        ),
        (
            "owner: team-editor",
            "owner: team-editor\n    severity: info",
            "as page, by the policy to `team-editor` as info",
        ),
    ],
)
def test_rules_that_are_older_than_the_policy_are_known_by_what_they_say(here, prometheus, old, new, expected):
    (here / "policy.yaml").write_text(POLICY.replace(old, new, 1))
    found = alerted("autocomplete", "--prometheus", prometheus.url)["autocomplete"]
    assert found["verdict"] == "partly"
    assert "The rules are not of these files: " in said(found)
    assert expected in said(found)
    assert any("generate the rules again" in todo for todo in found["todo"])


def test_rules_that_are_older_than_the_reference_are_known_too(here, prometheus):
    (here / "reference.yaml").write_text(REFERENCE.replace("0.9, gpt-5-mini-2025-08-07: 0.1", "0.8, gpt-9: 0.2", 1))
    text = said(alerted("autocomplete", "--prometheus", prometheus.url)["autocomplete"])
    assert f"the reference of `openrouter/auto` has 90.0% of `{SONNET}`, in the file 80.0%" in text
    assert "`gpt-9` is not in their reference of `openrouter/auto`" in text
    assert f"`{MINI}` is in their reference of `openrouter/auto`, not in the file's" in text


def test_rules_that_do_not_know_what_is_pinned_are_older_too(here, prometheus):
    both = POLICY.replace("router: openrouter/auto", "pinned: x", 1).replace(f"pinned: {PINNED}", f"alias: {PINNED}")
    (here / "policy.yaml").write_text(both)
    found = alerted("--prometheus", prometheus.url)
    assert "they do not know that it is pinned" in said(found["autocomplete"])
    assert "they take it for pinned, the policy does not" in said(found["drafts"])
    # An alias without a reference has nothing to be compared with.
    assert (found["autocomplete"]["verdict"], found["drafts"]["verdict"]) == ("partly", "no")


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A Prometheus whose rules lack a group, one of which fails, that sees no request and tells nobody."""
    folder = tmp_path_factory.mktemp("broken")
    groups = [group for group in generated(folder=folder) if group["name"] != "llm_routing_measurement"]
    failing = "vector(1) + on () group_left () (label_replace(vector(1), 'a', 'b', '', '') or vector(1))"
    groups.append({"name": "mine", "interval": "1s", "rules": [{"record": "llm_routing:mine", "expr": failing}]})
    rules = folder / "rules.yaml"
    rules.write_text(rule_file(groups))
    with components.Prometheus(folder, [rules]) as made:
        components.wait_for("evaluation of every rule", lambda: settled(made))
        yield made


def test_rules_that_are_missing_or_fail_or_see_nothing_or_tell_nobody_are_partly(here, broken):
    found = alerted("autocomplete", "--prometheus", broken.url)["autocomplete"]
    assert found["verdict"] == "partly"
    text = said(found)
    assert "Not loaded: `LLMRoutingSurfaceSilent`." in text
    assert "`llm_routing:mine` fails (`" in text
    assert "The rules have counted none of its requests of the last 24 hours, and the source has some." in text
    assert "Alerts are sent to no Alertmanager: nobody is told." in text
    assert len(found["todo"]) == 4


def test_rules_that_were_once_loaded_elsewhere_are_no_alert(here, tmp_path):
    with components.Prometheus(tmp_path) as empty:
        found = alerted("autocomplete", "--prometheus", empty.url)["autocomplete"]
    assert found["verdict"] == "no"
    assert said(found) == "None of the generated rules is loaded (0 rules of others)."


def test_vmalert_says_which_rules_it_has_and_the_store_says_that_it_has_none(here, tmp_path, prometheus):
    rules = Path(tmp_path / "vm.yaml")
    rules.write_text(rule_file(generated(folder=tmp_path)))
    with components.VMAlert(tmp_path, rules, prometheus.url) as vmalert:
        components.wait_for("evaluation of every rule", lambda: settled(vmalert))
        found = alerted("autocomplete", "{{ odd }}", "--prometheus", vmalert.url)
    for surface in found.values():
        assert surface["verdict"] == "partly", surface
        # It drops what it would send (-notifier.blackhole), and answers no queries.
        assert surface["todo"] == ["name an Alertmanager in the server's configuration"]
        assert "Compared with a reference: `openrouter/auto`." in said(surface)
        assert "this server answers no queries" in said(surface)
