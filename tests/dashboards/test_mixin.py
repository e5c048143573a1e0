"""The mixin, evaluated by jsonnet: what a jsonnet user gets is what everybody else gets."""

from __future__ import annotations

import json

import _jsonnet
import pytest
import yaml
from boards import BOARDS
from components import ROOT
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app

EXAMPLES = ROOT / "examples" / "policy"
FILES = ["--policy", str(EXAMPLES / "policy.yaml"), "--reference", str(EXAMPLES / "reference.yaml")]


PARTS = ("grafanaDashboards", "prometheusRules", "prometheusAlerts")


def evaluated(folder):
    """Return the parts of the mixin in ``folder``, which are hidden fields, as of every mixin."""
    shown = ", ".join(f"{part}: mixin.{part}" for part in PARTS)
    code = f"local mixin = import {json.dumps(str(folder / 'mixin.libsonnet'))}; {{ {shown} }}"
    return json.loads(_jsonnet.evaluate_snippet("parts", code))


@pytest.fixture(params=["what is committed", "what is generated", "the generic rules"])
def mixin(request, tmp_path):
    """The mixin and the rule file that it is of."""
    if request.param == "what is committed":
        return evaluated(ROOT / "grafana"), ROOT / "collector" / "rules" / "llm-routing.rules.yaml"
    files = ["--generic"] if "generic" in request.param else FILES
    rules = "llm-routing-generic.rules.yaml" if "generic" in request.param else "llm-routing.rules.yaml"
    for command in (["prometheus", *files], ["grafana", "--rules", rules]):
        result = CliRunner().invoke(app, ["generate", *command, "-o", str(tmp_path)])
        assert result.exit_code == 0, result.output
    return evaluated(tmp_path), tmp_path / rules


def test_it_has_the_boards(mixin):
    assert len(BOARDS) == 5
    assert mixin[0]["grafanaDashboards"] == BOARDS


def test_rules_and_alerts_together_are_the_rule_file(mixin):
    found, file = mixin
    groups = yaml.safe_load(file.read_text("utf-8"))["groups"]
    recordings, alerts = found["prometheusRules"]["groups"], found["prometheusAlerts"]["groups"]
    assert all("record" in rule for group in recordings for rule in group["rules"])
    assert all("alert" in rule for group in alerts for rule in group["rules"])
    together = {group["name"]: group for group in recordings}
    for group in alerts:
        before = together.get(group["name"], {**group, "rules": []})
        together[group["name"]] = {**group, "rules": before["rules"] + group["rules"]}
    assert together == {group["name"]: group for group in groups}


def test_it_extends_a_mixin_that_is_there_already():
    code = f"""
    {{ grafanaDashboards+:: {{ 'own.json': {{}} }}, prometheusAlerts+:: {{ groups+: [{{ name: 'own' }}] }} }}
    + (import {json.dumps(str(ROOT / "grafana" / "mixin.libsonnet"))})
    + {{ boards: std.objectFieldsAll(self.grafanaDashboards), groups: [g.name for g in self.prometheusAlerts.groups] }}
    """
    found = json.loads(_jsonnet.evaluate_snippet("extended", code))
    assert sorted(found["boards"]) == sorted([*BOARDS, "own.json"])
    assert found["groups"][0] == "own"
    assert "llm_routing_shift" in found["groups"]
