"""``otel-llm-routing generate``: what is written, what is refused, and that the committed output is what it writes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from components import ROOT
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app

EXAMPLES = ROOT / "examples" / "policy"
COMMITTED = ROOT / "collector" / "rules"
FILES = ("--policy", str(EXAMPLES / "policy.yaml"), "--reference", str(EXAMPLES / "reference.yaml"))
COUNTER = re.compile(r"llm_routing_requests_total\{([^}]*)\}")


def generate(*arguments):
    return CliRunner().invoke(app, ["generate", *map(str, arguments)])


def written(*arguments):
    result = generate(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(folder, *arguments):
    """Return what a command says that cannot do what it was asked, and has written nothing."""
    result = generate(*arguments, "-o", folder / "out")
    assert result.exit_code == 2
    assert not (folder / "out").exists()
    return result.output


def groups(file):
    return yaml.safe_load(file.read_text("utf-8"))["groups"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with nothing in it, to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rules_and_their_tests_are_written_and_it_is_said_how_to_use_them(tmp_path):
    said = written("prometheus", *FILES, "-o", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["llm-routing.rules.yaml", "llm-routing.tests.yaml"]
    assert f"promtool test rules {tmp_path}/llm-routing.tests.yaml" in said
    assert "rule_files" in said
    assert "weaker" not in said


def test_the_committed_files_are_what_generate_writes(tmp_path):
    written("prometheus", *FILES, "--kubernetes", "-o", tmp_path)
    written("prometheus", "--generic", "-o", tmp_path)
    written("alertmanager", *FILES[:2], "-o", tmp_path)
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    there = {name: (COMMITTED / name).read_text("utf-8") for name in made}
    assert there == made, "run: make generate"
    assert len(made) == 6


def test_make_generate_writes_the_committed_files():
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "generate"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.count("-o collector/rules") == 3


def test_the_output_depends_on_no_hash_seed_time_zone_or_folder(tmp_path):
    made = []
    program = [sys.executable, "-c", "from otel_llm_routing.cli import main; main()"]
    for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        folder = tmp_path / seed
        folder.mkdir()
        shutil.copy(EXAMPLES / "policy.yaml", folder)
        shutil.copy(EXAMPLES / "reference.yaml", folder)
        subprocess.run(
            [*program, "generate", "prometheus", "-o", "out", "--kubernetes"],
            cwd=folder,
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
        )
        made.append({path.name: path.read_bytes() for path in (folder / "out").iterdir()})
    assert made[0] == made[1]


def test_files_of_the_default_names_are_found(here):
    shutil.copy(EXAMPLES / "policy.yaml", here)
    shutil.copy(EXAMPLES / "reference.yaml", here)
    written("prometheus", "-o", "out")
    assert (here / "out/llm-routing.rules.yaml").read_text() == (COMMITTED / "llm-routing.rules.yaml").read_text()


def test_a_policy_without_a_reference_gives_rules_and_says_what_is_missing(here):
    said = written("prometheus", *FILES[:2], "-o", here)
    assert "no reference, so no alert about a shift" in said
    records = {rule.get("record") for group in groups(here / "llm-routing.rules.yaml") for rule in group["rules"]}
    assert "llm_routing:band:edge" in records
    assert "llm_routing:reference:share" not in records


def test_a_reference_without_a_policy_gives_rules_and_says_what_is_missing(here):
    said = written("prometheus", *FILES[2:], "-o", here)
    assert "no policy, so no bands" in said
    rules = [rule for group in groups(here / "llm-routing.rules.yaml") for rule in group["rules"]]
    assert {rule["labels"]["owner"] for rule in rules if "owner" in rule.get("labels", {})} == {"unowned"}


def test_a_surface_that_has_no_reference_is_named(here):
    text = (EXAMPLES / "policy.yaml").read_text("utf-8")
    (here / "policy.yaml").write_text(text + "  brand-new:\n    uses: {alias: gpt-5}\n")
    said = written("prometheus", *FILES[2:], "-o", here)
    assert "no reference for brand-new, so no alert about their shifts" in said


def test_neither_file_is_an_error_that_says_what_to_do(here):
    said = refused(here, "prometheus")
    assert "policy init" in said
    assert "--generic" in said


def test_a_file_that_was_named_must_be_there(here):
    assert "nowhere.yaml: no such file" in refused(here, "prometheus", "--policy", "nowhere.yaml")
    assert "nowhere.yaml: no such file" in refused(here, "prometheus", "--reference", "nowhere.yaml")


def test_an_error_in_the_policy_comes_with_file_and_line_and_nothing_is_written(here):
    (here / "policy.yaml").write_text("version: 1\nsurfaces:\n  a:\n    usess: {alias: gpt-5}\n")
    assert "policy.yaml:4: " in refused(here, "prometheus")
    assert "policy.yaml:4: " in refused(here, "alertmanager")


def test_a_name_that_no_file_can_hold_is_refused(here):
    text = (EXAMPLES / "reference.yaml").read_text("utf-8")
    (here / "reference.yaml").write_text(text.replace("surface: chart-tooltip", 'surface: "\\ud800"'))
    assert "reference.yaml: " in refused(here, "prometheus")


def test_a_folder_that_cannot_be_written_is_an_error_and_not_a_traceback(here):
    (here / "file").write_text("")
    result = generate("prometheus", "--generic", "-o", here / "file" / "sub")
    assert result.exit_code == 2
    assert "cannot be written" in result.output


# The set that needs no files


def test_the_generic_set_needs_no_files_and_says_that_it_is_weaker(here):
    said = written("prometheus", "--generic", "-o", "out")
    assert sorted(p.name for p in (here / "out").iterdir()) == [
        "llm-routing-generic.rules.yaml",
        "llm-routing-generic.tests.yaml",
    ]
    assert "weaker" in said


def test_the_generic_set_pages_nobody(here):
    written("prometheus", "--generic", "-o", here)
    severities = {
        rule["labels"]["severity"]
        for group in groups(here / "llm-routing-generic.rules.yaml")
        for rule in group["rules"]
        if "severity" in rule.get("labels", {})
    }
    assert severities == {"ticket", "info"}


def test_the_generic_set_with_files_is_a_contradiction(here):
    assert "--generic takes no --policy" in refused(here, "prometheus", "--generic", *FILES[:2])


# --check


def test_check_passes_on_what_was_just_written(tmp_path):
    written("prometheus", *FILES, "--kubernetes", "-o", tmp_path)
    assert "3 files are up to date" in written("prometheus", *FILES, "--kubernetes", "-o", tmp_path, "--check")


def test_check_names_the_file_and_line_that_differ_and_writes_nothing(tmp_path):
    written("prometheus", *FILES, "-o", tmp_path)
    rules = tmp_path / "llm-routing.rules.yaml"
    lines = rules.read_text("utf-8").splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines, 1) if "vector(0.83)" in line)
    edited = "".join(lines).replace("vector(0.83)", "vector(0.5)")
    rules.write_text(edited, "utf-8")
    result = generate("prometheus", *FILES, "-o", tmp_path, "--check")
    assert result.exit_code == 1
    assert f"{rules}:{at}: differs from here on, 1 lines to add and 1 to take out" in result.output
    assert "tests.yaml" not in result.output
    assert rules.read_text("utf-8") == edited


def test_check_says_that_a_file_is_missing(tmp_path):
    result = generate("alertmanager", *FILES[:2], "-o", tmp_path, "--check")
    assert result.exit_code == 1
    assert "llm-routing.alertmanager.yaml: missing" in result.output
    assert not list(tmp_path.iterdir())


# Label matchers and runbooks


def counters(file):
    """Return what stands in the braces of every selector of the counter."""
    return [found for group in groups(file) for rule in group["rules"] for found in COUNTER.findall(rule["expr"])]


def test_matchers_are_added_to_every_selector_of_the_counter(tmp_path):
    written("prometheus", *FILES, "--match", 'job="shop",env!~"test|dev"', "-o", tmp_path)
    found = counters(tmp_path / "llm-routing.rules.yaml")
    assert len(found) >= 5
    assert all('job="shop", env!~"test|dev"' in inside for inside in found)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("job", "no label matcher"),
        ('llm_routing_cached="true"', "llm_routing_cached is not for choosing"),
        ("job=shop", "no label matcher"),
        ('job="shop', "no label matcher"),
        ('job="shop"} or vector(1) #', "no label matcher"),
        ('job=="shop"', "no label matcher"),
        ('1job="shop"', "no label matcher"),
        ('job="a" env="b"', "no label matcher"),
        ('job="\\d"', "no label matcher"),
        ('__name__="up"', "__name__"),
        ('job=~"("', "no regular expression"),
        ('job=~"(?=a)b"', "RE2"),
        ('job=~"(a)\\\\1"', "RE2"),
        ('job="a", job="b"', "no label value comes to mind"),
    ],
)
def test_a_broken_matcher_is_refused_before_anything_is_written(tmp_path, broken, why):
    said = refused(tmp_path, "prometheus", *FILES, "--match", broken)
    assert said.startswith("otel-llm-routing: --match ")
    assert why in said


def test_runbooks_can_be_read_elsewhere(tmp_path):
    written("prometheus", *FILES, "--runbooks", "https://wiki.example/llm/", "-o", tmp_path)
    urls = {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for group in groups(tmp_path / "llm-routing.rules.yaml")
        for rule in group["rules"]
        if "alert" in rule
    }
    assert urls == {alert: f"https://wiki.example/llm/{alert}.md" for alert in urls}


@pytest.mark.parametrize("address", ["wiki", "https://x/{{ .Labels }}", "https://a b", "javascript:alert(1)"])
def test_runbooks_that_are_no_address_are_refused(tmp_path, address):
    assert "is no address" in refused(tmp_path, "prometheus", *FILES, "--runbooks", address)


def test_every_alert_has_a_runbook_here():
    files = [COMMITTED / "llm-routing.rules.yaml", COMMITTED / "llm-routing-generic.rules.yaml"]
    alerts = {rule["alert"] for file in files for group in groups(file) for rule in group["rules"] if "alert" in rule}
    assert alerts == {page.stem for page in (ROOT / "docs" / "runbooks").glob("LLM*.md")}


# Kubernetes

DURATION = re.compile(r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$")
"""The pattern of durations in the operator's CRD, monitoring.coreos.com_prometheusrules.yaml of version 0.79."""
RULE_FIELDS = {"alert", "annotations", "expr", "for", "keep_firing_for", "labels", "record"}


def manifests(file):
    return [*yaml.safe_load_all(file.read_text("utf-8"))]


def test_the_manifest_holds_the_groups_of_the_rule_file():
    (manifest,) = manifests(COMMITTED / "llm-routing.prometheusrule.yaml")
    assert manifest["spec"]["groups"] == groups(COMMITTED / "llm-routing.rules.yaml")


def test_the_manifest_is_what_the_operators_definition_asks_for():
    (manifest,) = manifests(COMMITTED / "llm-routing.prometheusrule.yaml")
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert manifest["metadata"] == {"name": "llm-routing"}
    names = [group["name"] for group in manifest["spec"]["groups"]]
    assert len(set(names)) == len(names)
    for group in manifest["spec"]["groups"]:
        assert set(group) == {"name", "interval", "rules"}
        assert DURATION.match(group["interval"])
        for rule in group["rules"]:
            assert set(rule) <= RULE_FIELDS
            assert ("alert" in rule) != ("record" in rule)
            assert all(DURATION.match(rule[key]) and rule[key] for key in ("for", "keep_firing_for") if key in rule)
            for key in ("labels", "annotations"):
                assert all(isinstance(v, str) for pair in rule.get(key, {}).items() for v in pair)


def test_name_namespace_and_labels_are_the_manifests(tmp_path):
    options = ("--name", "routing.shop", "--namespace", "monitoring", "--label", "release=prom", "--label", "a.b/c=")
    written("prometheus", *FILES, "--kubernetes", *options, "-o", tmp_path)
    (manifest,) = manifests(tmp_path / "llm-routing.prometheusrule.yaml")
    assert manifest["metadata"] == {
        "name": "routing.shop",
        "namespace": "monitoring",
        "labels": {"release": "prom", "a.b/c": ""},
    }


@pytest.mark.parametrize(
    "options",
    [
        ("--name", "Upper"),
        ("--name", "a..b"),
        ("--name", "-a"),
        ("--name", "x" * 254),
        ("--name", "a\n"),
        ("--namespace", "a.b"),
        ("--namespace", ""),
        ("--namespace", "x" * 64),
        ("--label", "novalue"),
        ("--label", "=x"),
        ("--label", "a b=x"),
        ("--label", "A/b/c=x"),
        ("--label", "a=b c"),
        ("--label", f"a={'x' * 64}"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_here(tmp_path, options):
    assert "otel-llm-routing: " in refused(tmp_path, "prometheus", *FILES, "--kubernetes", *options)


def test_options_of_the_manifest_without_a_manifest_are_refused(tmp_path):
    assert "add --kubernetes" in refused(tmp_path, "prometheus", *FILES, "--namespace", "x")


def many(folder, surfaces):
    """Write a reference of many surfaces."""
    text = (EXAMPLES / "reference.yaml").read_text("utf-8")
    head, streams = text.split("streams:\n")
    first = streams.split("- surface: chart-tooltip")[0]
    copies = [first.replace("surface: autocomplete", f"surface: surface-{at}") for at in range(surfaces)]
    (folder / "reference.yaml").write_text(f"{head}streams:\n{''.join(copies)}", "utf-8")


def test_many_surfaces_become_several_manifests_that_kubectl_can_apply(here):
    many(here, 80)
    written("prometheus", "--kubernetes", "-o", here)
    found = manifests(here / "llm-routing.prometheusrule.yaml")
    assert [m["metadata"]["name"] for m in found[:2]] == ["llm-routing", "llm-routing-2"]
    assert max(len(yaml.safe_dump(m, allow_unicode=True)) for m in found) < 262_144
    assert [g for m in found for g in m["spec"]["groups"]] == groups(here / "llm-routing.rules.yaml")


def test_no_group_is_larger_than_mimir_allows(here):
    many(here, 30)
    written("prometheus", "-o", here)
    for file in (here / "llm-routing.rules.yaml", *COMMITTED.glob("*.rules.yaml")):
        assert max(len(group["rules"]) for group in groups(file)) <= 20


# The page about it


def test_the_commands_of_the_page_print_what_it_says(here):
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    shutil.copytree(EXAMPLES, here / "examples" / "policy")
    (example,) = [block for block in re.findall(r"```console\n(.*?)```", page, re.DOTALL) if "examples/policy" in block]
    commands = re.findall(r"^\$ otel-llm-routing generate (.*)\n((?:[^$].*\n)*)", example, re.MULTILINE)
    assert len(commands) == 2
    for command, said in commands:
        assert written(*command.split()) == said


def test_the_page_names_every_option():
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    options = set(re.findall(r"--[a-z]+", generate("prometheus", "--help").output)) - {"--help"}
    assert len(options) == 11
    assert {option for option in options if f"`{option}`" not in page} == set()
