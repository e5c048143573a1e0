"""The generated promtool tests: they pass, in both versions of Prometheus, and fail where a rule is wrong."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import components
import pytest
import yaml
from components import ROOT
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app

pytestmark = pytest.mark.timeout(600)

EXAMPLES = ROOT / "examples" / "policy"
COMMITTED = ROOT / "collector" / "rules"
FILES = ("--policy", str(EXAMPLES / "policy.yaml"), "--reference", str(EXAMPLES / "reference.yaml"))


def promtools():
    return [components.tool("promtool"), components.debian_prometheus("promtool")]


def generate(folder, *arguments):
    result = CliRunner().invoke(app, ["generate", "prometheus", *map(str, arguments), "-o", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def keep_tests(file, wanted):
    """Take the other tests out of a test file; the one of a simulated day takes most of the time."""
    document = yaml.safe_load(file.read_text("utf-8"))
    document["tests"] = [test for test in document["tests"] if wanted(test["name"])]
    assert document["tests"]
    file.write_text(yaml.safe_dump(document), "utf-8")


def passes(folder, *, all_day=False):
    """Check and test all rules in ``folder`` with both promtools, at the same time."""
    rules, tests = sorted(folder.glob("*.rules.yaml")), sorted(folder.glob("*.tests.yaml"))
    assert len(rules) == len(tests) > 0
    if not all_day:
        for file in tests:
            keep_tests(file, lambda name: name != "a silent surface")
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(components.run, tool, "check", "rules", *rules) for tool in promtools()]
        runs += [pool.submit(components.run, tool, "test", "rules", *tests) for tool in promtools()]
        for run in runs:
            run.result()


def expected(file):
    """Return {alert: [(test, minutes, labels, annotations)]} of a test file."""
    found = {}
    for test in yaml.safe_load(file.read_text("utf-8"))["tests"]:
        for check in test["alert_rule_test"]:
            into = found.setdefault(check["alertname"], [])
            minutes = int(check["eval_time"].removesuffix("m"))
            into += [
                (test["name"], minutes, one["exp_labels"], one["exp_annotations"])
                for one in check.get("exp_alerts", ())
            ]
    return found


def alerts(file):
    document = yaml.safe_load(file.read_text("utf-8"))
    return {rule["alert"] for group in document["groups"] for rule in group["rules"] if "alert" in rule}


def test_the_committed_rules_pass_their_tests_in_both_versions():
    passes(COMMITTED, all_day=True)


def test_one_surface_is_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(
        "version: 1\nsurfaces:\n  only:\n    uses: {pinned: gpt-5-2025-08-07}\n    unknown_limit: 0\n"
    )
    text = (EXAMPLES / "reference.yaml").read_text("utf-8")
    head = text.split("streams:\n")[0]
    (tmp_path / "reference.yaml").write_text(
        f"{head}streams:\n- surface: only\n  requested: gpt-5-2025-08-07\n  pin: 1\n  requests: 20\n  days: 14.0\n"
        "  design_effect: 20.0\n  concentration: 50.0\n  shares: {gpt-5-2025-08-07: 1.0}\n"
    )
    passes(generate(tmp_path / "out"))
    kinds = {alert for alert, found in expected(tmp_path / "out/llm-routing.tests.yaml").items() if found}
    assert kinds >= {"LLMRoutingPinViolated", "LLMRoutingUnpinnedTraffic", "LLMRoutingServedModelUnknown"}


def test_a_pinned_surface_may_ask_for_several_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(
        "version: 1\nsurfaces:\n  two: {uses: {pinned: [gpt-5-2025-08-07, claude-sonnet-4-5-20250929]}}\n"
    )
    passes(generate(tmp_path / "out"))


def test_a_policy_alone_is_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    passes(generate(tmp_path / "out", *FILES[:2]))


def test_a_reference_alone_is_enough_and_matchers_leave_the_tests_passing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matchers = 'job="shop",env!="",zone=~"eu-.*|us-[a-z]+",team!~"b.*"'
    passes(generate(tmp_path / "out", *FILES[2:], "--match", matchers))


def test_matchers_that_leave_out_surfaces_leave_the_tests_passing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = generate(tmp_path / "out", *FILES, "--match", 'llm_routing_surface=~"auto.*|nightly-digest"')
    passes(out)
    fired = {
        labels.get("llm_routing_surface")
        for f in expected(out / "llm-routing.tests.yaml").values()
        for _, _, labels, _ in f
    }
    assert fired == {"autocomplete", "nightly-digest"}


def test_every_alert_that_the_policy_can_raise_is_raised_in_a_test():
    found = expected(COMMITTED / "llm-routing.tests.yaml")
    assert set(found) == alerts(COMMITTED / "llm-routing.rules.yaml")
    # The example declares no lower edge of a band.
    assert {alert for alert, fired in found.items() if not fired} == {"LLMRoutingShareBelowBand"}


def test_every_alert_without_files_is_raised_in_a_test():
    found = expected(COMMITTED / "llm-routing-generic.tests.yaml")
    assert set(found) == alerts(COMMITTED / "llm-routing-generic.rules.yaml")
    assert all(found.values())


def test_every_referenced_surface_has_a_shift_and_none_before_it():
    of = expected(COMMITTED / "llm-routing.tests.yaml")["LLMRoutingMixShiftFast"]
    shifts = [one for one in of if one[0] == "shift"]
    assert {labels["llm_routing_surface"] for _, _, labels, _ in shifts} == {
        "autocomplete",
        "chart-tooltip",
        "long-form-draft",
        "nightly-digest",
    }
    document = yaml.safe_load((COMMITTED / "llm-routing.tests.yaml").read_text("utf-8"))
    (shift,) = (test for test in document["tests"] if test["name"] == "shift")
    before = [check for check in shift["alert_rule_test"] if check["eval_time"] == "70m"]
    assert len(before) == len(alerts(COMMITTED / "llm-routing.rules.yaml"))
    assert not any("exp_alerts" in check for check in before)
    first = min(minutes for _, minutes, _, _ in shifts)
    quiet = f"{first - 5}m"
    assert any(
        check["alertname"] == "LLMRoutingMixShiftFast" and check["eval_time"] == quiet and "exp_alerts" not in check
        for check in shift["alert_rule_test"]
    )


def test_an_alert_is_of_the_surfaces_owner_and_no_more_urgent_than_the_policy_says():
    of = expected(COMMITTED / "llm-routing.tests.yaml")["LLMRoutingMixShiftFast"]
    routes = {labels["llm_routing_surface"]: (labels["owner"], labels["severity"]) for _, _, labels, _ in of}
    assert routes == {
        "autocomplete": ("team-editor", "page"),
        "chart-tooltip": ("team-charts", "page"),
        "long-form-draft": ("team-editor", "page"),
        "nightly-digest": ("team-platform", "ticket"),
    }


def test_the_text_tells_share_reference_and_wobble():
    of = expected(COMMITTED / "llm-routing.tests.yaml")["LLMRoutingMixShiftFast"]
    texts = [text["description"] for _, minutes, labels, text in of if labels["llm_routing_surface"] == "autocomplete"]
    assert any(
        text.startswith(
            "autocomplete: gpt-5-mini-2025-08-07 served 100% of `openrouter/auto` in the last hour; "
            "reference 5%, normal wobble ±"
        )
        for text in texts
    )


@pytest.mark.parametrize(
    ("right", "wrong", "seen_by"),
    [
        ("vector(0.83)", "vector(0.8)", "shift"),
        ("normal wobble ±", "wobble ", "shift"),
        ("owner: team-charts", "owner: team-chart", "new model"),
        ("alert: LLMRoutingUnpinnedTraffic", "alert: LLMRoutingUnpinned", "not pinned"),
        ('llm_routing_match="substituted"', 'llm_routing_match="substitute"', "pin violated"),
    ],
)
def test_the_tests_fail_where_a_rule_is_wrong(tmp_path, right, wrong, seen_by):
    rules, tests = tmp_path / "llm-routing.rules.yaml", tmp_path / "llm-routing.tests.yaml"
    text = (COMMITTED / rules.name).read_text("utf-8")
    assert right in text
    rules.write_text(text.replace(right, wrong), "utf-8")
    tests.write_bytes((COMMITTED / tests.name).read_bytes())
    keep_tests(tests, lambda name: seen_by in name)
    command = [components.tool("promtool"), "test", "rules", tests]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "FAILED" in done.stdout + done.stderr


def test_vmalert_loads_the_rules():
    for file in COMMITTED.glob("*.rules.yaml"):
        components.run(
            components.tool("vmalert"),
            "-dryRun",
            f"-rule={file}",
            "-rule.validateTemplates=true",
            "-rule.validateExpressions=true",
        )


def test_pint_finds_nothing():
    components.run(components.on_path("pint"), "lint", *COMMITTED.glob("*.rules.yaml"))
