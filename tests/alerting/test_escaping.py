"""A name cannot change an expression, a template or a file: it comes out of Prometheus as it went in."""

from __future__ import annotations

import random
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

import components
import hostile
import pytest
import yaml
from components import ROOT
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app
from otel_llm_routing.generate.promql import quote, regex

pytestmark = pytest.mark.timeout(600)

TAME = ROOT / "collector" / "rules" / "llm-routing.rules.yaml"
ALPHABET = "[]!-^ab*?\\&~|:.é${\n "


def random_text(source, most):
    return "".join(source.choice(ALPHABET) for _ in range(source.randint(0, most)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything generated from thirty surfaces and more with hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    hostile.write(folder)
    files = ["--policy", folder / "policy.yaml", "--reference", folder / "reference.yaml"]
    for command in (["prometheus", *files, "--kubernetes"], ["alertmanager", *files[:2]]):
        result = CliRunner().invoke(app, ["generate", *map(str, command), "-o", str(folder)])
        assert result.exit_code == 0, result.output
    return folder


def rules(file):
    return [rule for group in yaml.safe_load(file.read_text("utf-8"))["groups"] for rule in group["rules"]]


def test_hostile_names_pass_check_and_tests_in_both_versions(folder):
    # The tests expect the texts with the names as they are, which Prometheus has to come to by itself.
    file = folder / "llm-routing.rules.yaml"
    with ThreadPoolExecutor() as pool:
        runs = []
        for promtool in (components.tool("promtool"), components.debian_prometheus("promtool")):
            runs.append(pool.submit(components.run, promtool, "check", "rules", file))
            runs.append(pool.submit(components.run, promtool, "test", "rules", folder / "llm-routing.tests.yaml"))
        for run in runs:
            run.result()


def test_alerts_fire_on_hostile_names_with_every_name_intact(folder):
    document = yaml.safe_load((folder / "llm-routing.tests.yaml").read_text("utf-8"))
    fired = [a for t in document["tests"] for check in t["alert_rule_test"] for a in check.get("exp_alerts", ())]
    shown = {
        alert["exp_labels"]["llm_routing_surface"]
        for alert in fired
        if alert["exp_annotations"]["summary"].startswith(f"{alert['exp_labels'].get('llm_routing_surface')}: ")
    }
    assert shown >= {*hostile.PRINTABLE, *hostile.UNPRINTABLE} - {"unknown"}


def test_names_change_no_alert(folder):
    tame, changed = ([r for r in rules(f) if "alert" in r] for f in (TAME, folder / "llm-routing.rules.yaml"))
    assert tame == changed


def test_what_the_policy_says_is_in_labels_and_not_in_expressions(folder):
    for rule in rules(folder / "llm-routing.rules.yaml"):
        if rule.get("record", "").startswith("llm_routing:reference:") and "label_replace" not in rule["expr"]:
            assert re.fullmatch(r"vector\([0-9.e-]+\)", rule["expr"])


def test_vmalert_loads_hostile_names(folder):
    # It alone reads the labels of recordings as templates.
    text = (folder / "llm-routing.rules.yaml").read_text("utf-8")
    assert "{{ $$labels.owner }}" in text
    file = folder / "llm-routing.rules.yaml"
    components.run(components.tool("vmalert"), "-dryRun", f"-rule={file}", "-rule.validateTemplates=true")


def test_alertmanager_loads_hostile_owners_and_routes_by_them(folder):
    file = folder / "llm-routing.alertmanager.yaml"
    amtool = components.tool("amtool")
    components.run(amtool, "check-config", file)
    owners = [f"team {name}"[:64].strip() for name in hostile.PRINTABLE]
    found = set()
    for owner in owners[:8] + owners[-6:]:
        escaped = owner.replace("\\", "\\\\").replace('"', '\\"')
        labels = ["alertname=LLMRoutingPinViolated", f'owner="{escaped}"', "severity=page"]
        receiver = components.run(amtool, "config", "routes", "test", f"--config.file={file}", *labels).strip()
        assert receiver.startswith("llm-routing-team")
        found.add(receiver)
    assert len(found) == 14


def test_the_manifest_has_the_same_hostile_groups(folder):
    found = yaml.safe_load_all((folder / "llm-routing.prometheusrule.yaml").read_text("utf-8"))
    groups = [group for manifest in found for group in manifest["spec"]["groups"]]
    assert groups == yaml.safe_load((folder / "llm-routing.rules.yaml").read_text("utf-8"))["groups"]


@pytest.mark.parametrize("name", ["1e3", "0o17", "y", "N", ".inf", "1_000", "yes", "null", "~", "2026-11-02", "0x1F"])
def test_a_name_that_yaml_could_take_for_something_else_is_quoted(folder, tmp_path, name):
    hostile.write(tmp_path, surfaces=[name], unprintable=())
    files = ["--policy", tmp_path / "policy.yaml", "--reference", tmp_path / "reference.yaml"]
    CliRunner().invoke(app, ["generate", "prometheus", *map(str, files), "-o", str(tmp_path)])
    text = (tmp_path / "llm-routing.rules.yaml").read_text("utf-8")
    written = re.findall(r"llm_routing_surface: (.*)", text)
    assert set(written) == {f"'{name}'", "no model asked for"}


# Globs become regular expressions


def test_a_glob_matches_what_fnmatch_matches():
    warnings.simplefilter("error")
    source = random.Random(20261102)
    for _ in range(20_000):
        glob = random_text(source, 9)
        compiled = re.compile(regex(glob))
        for _ in range(4):
            name = random_text(source, 5)
            assert (compiled.fullmatch(name) is not None) == fnmatchcase(name, glob), (glob, name)


@pytest.mark.parametrize(
    ("glob", "matched", "unmatched"),
    [
        ("claude-*", "claude-haiku-4-5", "gpt-claude-x"),
        ("gpt-5.?", "gpt-5.1", "gpt-5x1"),
        ("[!a-z]*", "Claude", "claude"),
        ("m[", "m[", "m"),
        ("[]a]", "]", "b"),
        ("[!]a]", "b", "]"),
        ("[[:alpha:]]", ":]", "z"),
        ("[z-a]", "", "z"),
        ("[!z-a]", "z", ""),
        ("a.b+c(d)|e", "a.b+c(d)|e", "axbbc"),
        ("*", "line\nbreak", None),
    ],
)
def test_globs_of_every_form(glob, matched, unmatched):
    compiled = re.compile(regex(glob))
    if matched:
        assert compiled.fullmatch(matched)
    if unmatched is not None:
        assert not compiled.fullmatch(unmatched)


def test_prometheus_matches_globs_as_fnmatch_does(tmp_path):
    source = random.Random(20261103)
    names = sorted({random_text(source, 4) for _ in range(60)} | {"claude-haiku-4-5", "\ufffd", "日本🙂"} - {""})
    globs = sorted({random_text(source, 7) for _ in range(120)} | {*hostile.GLOBS} - {"", "[z-a]"})
    globs = [glob for glob in globs if glob]
    checks = [
        {
            "expr": f"x{{name=~{quote(regex(glob))}}}",
            "eval_time": "0m",
            "exp_samples": [
                {"labels": f"x{{name={quote(name)}}}", "value": 1} for name in names if fnmatchcase(name, glob)
            ],
        }
        for glob in globs
    ]
    assert sum(len(check["exp_samples"]) for check in checks) > 100
    series = [{"series": f"x{{name={quote(name)}}}", "values": "1"} for name in names]
    document = {"rule_files": [], "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": checks}]}
    (tmp_path / "globs.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    for promtool in (components.tool("promtool"), components.debian_prometheus("promtool")):
        components.run(promtool, "test", "rules", tmp_path / "globs.yaml")
