"""Grafana-managed rules: the Prometheus rules, once each, with every name intact, as Grafana reads the file."""

from __future__ import annotations

import json
import re

import components
import hostile
import pytest
import yaml
from components import ROOT
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app
from otel_llm_routing.generate.grafana.alerting import annotation

pytestmark = pytest.mark.timeout(600)

EXAMPLES = ROOT / "examples" / "policy"
FILES = ("--policy", EXAMPLES / "policy.yaml", "--reference", EXAMPLES / "reference.yaml")
MEANINGFUL = ("$__range", "${HOME}", "$__file{/no/such/file}", "$$", "$HOME", "a$", "$__{{ $x }}")
"""Names that Grafana would put something else for."""
NAMES = (*hostile.PRINTABLE[:9], *MEANINGFUL)


def generate(*arguments):
    return CliRunner().invoke(app, ["generate", *map(str, arguments)])


def written(folder, *arguments):
    """Return the Grafana groups and the Prometheus groups of the same files."""
    for command in ("prometheus", "grafana"):
        result = generate(command, *arguments, "-o", folder)
        assert result.exit_code == 0, result.output
    [prometheus] = folder.glob("llm-routing*.rules.yaml")
    return provisioned(folder)["groups"], yaml.safe_load(prometheus.read_text("utf-8"))["groups"]


def provisioned(folder):
    return yaml.safe_load((folder / "alerting" / "llm-routing.yaml").read_text("utf-8"))


def rules(groups):
    return [rule for group in groups for rule in group["rules"]]


def uids(folder):
    return {rule["uid"] for rule in rules(provisioned(folder)["groups"])}


def expression(rule):
    return rule["data"][0]["model"]["expr"]


def as_read(text):
    """Return ``text`` as Grafana has it after reading the file, where two dollars are one; one alone is a variable."""
    parts = text.split("$$")
    assert "$" not in "".join(parts)
    return "$".join(parts)


def labels(rule):
    return {name: as_read(value) for name, value in rule.get("labels", {}).items()}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return written(tmp_path_factory.mktemp("example"), *FILES)


@pytest.fixture(scope="module")
def hostile_groups(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    hostile.write(folder, surfaces=NAMES)
    return written(folder, "--policy", folder / "policy.yaml", "--reference", folder / "reference.yaml")


# What is converted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["example", "hostile_groups"])
def test_every_rule_of_prometheus_is_there_once_in_its_group(names, request):
    grafana, prometheus = request.getfixturevalue(names)
    assert [(group["name"], group["interval"]) for group in grafana] == [(g["name"], g["interval"]) for g in prometheus]
    assert len({group["name"] for group in grafana}) == len(grafana)
    for made, given in zip(grafana, prometheus, strict=True):
        assert (made["folder"], made["orgId"]) == ("LLM routing", 1)
        for rule, original in zip(made["rules"], given["rules"], strict=True):
            assert rule["title"] == original.get("alert", original.get("record"))
            assert ("record" in rule) == ("record" in original)
            assert labels(rule) == original.get("labels", {})
            assert expression(rule).replace(r"\x24", "$") == original["expr"]


def test_expressions_of_ordinary_names_are_those_of_prometheus_to_the_letter(example):
    grafana, prometheus = example
    assert [expression(rule) for rule in rules(grafana)] == [rule["expr"] for rule in rules(prometheus)]


def test_the_generic_rules_are_converted_alike(tmp_path):
    grafana, prometheus = written(tmp_path, "--generic")
    assert [expression(rule) for rule in rules(grafana)] == [rule["expr"] for rule in rules(prometheus)]
    assert {rule["title"] for rule in rules(grafana) if "record" not in rule} >= {"LLMRoutingMixShiftFast"}


def test_a_recording_is_written_to_the_data_source_it_is_read_from(tmp_path):
    grafana, _ = written(tmp_path, *FILES)
    result = generate("grafana", *FILES, "--datasource-uid", "mimir-eu", "-o", tmp_path)
    assert result.exit_code == 0, result.output
    recordings = [rule for rule in rules(provisioned(tmp_path)["groups"]) if "record" in rule]
    assert len(recordings) == len([rule for rule in rules(grafana) if "record" in rule]) > 80
    for rule in recordings:
        assert rule["record"] == {"metric": rule["title"], "from": "A", "targetDatasourceUid": "mimir-eu"}
        [query] = rule["data"]
        assert query["datasourceUid"] == query["model"]["datasource"]["uid"] == "mimir-eu"
    sources = yaml.safe_load((tmp_path / "provisioning" / "datasources" / "llm-routing.yaml").read_text())
    assert sources["datasources"][0]["uid"] == "mimir-eu"


def test_an_alert_fires_where_its_query_has_a_value_even_0(example):
    grafana, prometheus = example
    given = [rule for rule in rules(prometheus) if "alert" in rule]
    alerts = [rule for rule in rules(grafana) if "record" not in rule]
    for rule, original in zip(alerts, given, strict=True):
        query, exists = rule["data"]
        assert query["model"]["instant"] is True
        assert query["relativeTimeRange"]["from"] > query["relativeTimeRange"]["to"]
        assert exists["model"]["expression"] == "is_number($A) || is_nan($A) || is_inf($A)"
        assert (exists["datasourceUid"], exists["model"]["type"], rule["condition"]) == ("__expr__", "math", "B")
        assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")
        assert (rule["for"], rule["keepFiringFor"]) == (original.get("for", "0s"), original["keep_firing_for"])


def test_an_alert_whose_series_is_gone_is_kept_for_as_long_as_prometheus_keeps_it(example):
    kept = {
        rule["keepFiringFor"]: rule["missing_series_evals_to_resolve"] for rule in rules(example[0]) if "for" in rule
    }
    assert kept == {"15m": 3, "1h": 12, "6h": 72}  # evaluations, one every 5 minutes


# Texts ---------------------------------------------------------------------------------------------------------------


def test_texts_have_the_value_of_the_query_and_look_nothing_up(example):
    for rule, original in zip(rules(example[0]), rules(example[1]), strict=True):
        for name, text in rule.get("annotations", {}).items():
            actions = re.findall(r"\{\{(.*?)\}\}", text)
            variables = {word for action in actions for word in re.findall(r"\$[\w.]+", action)}
            assert all(word.startswith("$labels.") or word == "$values.A.Value" for word in variables)
            assert not {"query", "value", "first"} & {word for action in actions for word in re.findall(r"\w+", action)}
            assert "\0" not in text
            shared = original["annotations"][name].replace("$value ", "$values.A.Value ")
            if "| query" not in shared:
                assert text == shared


def test_the_part_of_a_sentence_that_needs_a_lookup_is_left_out():
    looked_up = "{{ with printf `max(x{a=%+q})` $labels.a | query }}{{ . | first | value }}{{ else }}5%{{ end }}"
    assert annotation(f"a; b: {{{{ $value | humanize }}}}; the limit is {looked_up}. More.") == (
        "a; b: {{ $values.A.Value | humanize }}. More."
    )
    assert annotation(f"served; at most {looked_up}.") == "served."


def test_the_shift_says_what_it_can(example):
    [rule] = [rule for rule in rules(example[0]) if rule["title"] == "LLMRoutingMixShiftFast"]
    assert rule["annotations"]["description"].endswith(
        "in the last hour. The mix of models moved further than noise explains."
    )


def test_runbooks_are_where_the_user_keeps_them(tmp_path):
    written(tmp_path, *FILES, "--runbooks", "https://wiki.example/llm/")
    found = {rule["annotations"]["runbook_url"] for rule in rules(provisioned(tmp_path)["groups"]) if "for" in rule}
    assert "https://wiki.example/llm/LLMRoutingMixShiftFast.md" in found
    assert all(address.startswith("https://wiki.example/llm/LLM") for address in found)


# Names ---------------------------------------------------------------------------------------------------------------


def test_hostile_names_leave_nothing_that_grafana_replaces(hostile_groups):
    found = set()
    for rule in rules(hostile_groups[0]):
        found |= set(labels(rule).values())
        # Queries are kept as they are, but for variables; files named in them are opened all the same.
        assert not re.search(r"\$(__|\{)", expression(rule))
        assert not any("${" in text or "$__" in text for text in rule.get("annotations", {}).values())
    # Names with {{ go through the expression, since other rulers read labels as templates.
    assert found >= {name for name in (*NAMES, *hostile.UNPRINTABLE) if "{{" not in name}


def test_what_grafana_is_given_passes_the_promtool_tests_of_the_rules(tmp_path):
    hostile.write(tmp_path, surfaces=MEANINGFUL, unprintable=())
    # The reference's names stand in labels alone. Those of a policy's bands stand in expressions.
    grafana, prometheus = written(tmp_path, "--policy", tmp_path / "policy.yaml")
    groups = []
    for made, given in zip(grafana, prometheus, strict=True):
        together = zip(made["rules"], given["rules"], strict=True)
        converted = [{**original, "expr": expression(rule), "labels": labels(rule)} for rule, original in together]
        groups.append({**given, "rules": converted})
    assert any(r"\x24" in rule["expr"] for rule in rules(groups))
    (tmp_path / "llm-routing.rules.yaml").write_text(yaml.safe_dump({"groups": groups}, allow_unicode=True), "utf-8")
    components.run(components.tool("promtool"), "test", "rules", tmp_path / "llm-routing.tests.yaml")


def test_a_rule_keeps_its_uid_when_others_come_and_go(tmp_path):
    def identified(folder, surfaces):
        folder.mkdir()
        hostile.write(folder, surfaces=surfaces, unprintable=())
        grafana, _ = written(folder, "--policy", folder / "policy.yaml", "--reference", folder / "reference.yaml")
        found = [(rule["title"], json.dumps(rule.get("labels")), rule["uid"]) for rule in rules(grafana)]
        assert len({uid for *_, uid in found}) == len(found)
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", uid) for *_, uid in found)
        return {(title, named): uid for title, named, uid in found}

    few, more = identified(tmp_path / "few", ["b"]), identified(tmp_path / "more", ["a", "b", "c"])
    same = few.keys() & more.keys()
    assert len(same) > 30
    assert {key: few[key] for key in same} == {key: more[key] for key in same}


# Grafana's own types -------------------------------------------------------------------------------------------------


def test_groups_survive_the_sdks_types(hostile_groups):
    models = pytest.importorskip(
        "grafana_foundation_sdk.models.alerting", reason="grafana-foundation-sdk needs Python 3.11"
    )
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    for group in hostile_groups[0]:
        for rule in group["rules"]:
            sent = as_sent(rule, group["name"])
            again = json.loads(JSONEncoder().encode(models.Rule.from_json(sent)))
            assert again == sent


def as_sent(rule, group):
    """Return the rule with the names that Grafana's API has, which differ from those of its files."""
    names = {
        "keepFiringFor": "keep_firing_for",
        "missing_series_evals_to_resolve": "missingSeriesEvalsToResolve",
    }
    sent = {names.get(name, name): value for name, value in rule.items()}
    if "record" in rule:
        record = dict(rule["record"])
        sent["record"] = {**record, "target_datasource_uid": record.pop("targetDatasourceUid")}
        del sent["record"]["targetDatasourceUid"]
        sent |= {"for": "0s", "execErrState": "Error", "noDataState": "OK"}
    return {**sent, "folderUID": "llm-routing", "orgID": 1, "ruleGroup": group}


# The command ---------------------------------------------------------------------------------------------------------


def test_without_files_there_are_no_alert_rules_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = generate("grafana", "-o", "out")
    assert result.exit_code == 0, result.output
    assert "no alert rules" in result.output
    assert "--generic" in result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"dashboards", "provisioning", "mixin.libsonnet"}
    assert generate("grafana", "-o", "out", "--check").exit_code == 0


def test_the_page_shows_what_the_command_says(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
    [example] = re.findall(r"```console\n\$ otel-llm-routing (generate grafana --policy .*)\n((?:wrote .*\n)+)", page)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, example[0].split())
    assert result.exit_code == 0, result.output
    assert result.output.startswith(example[1])


def test_files_of_the_usual_names_are_read(tmp_path, monkeypatch):
    hostile.write(tmp_path, surfaces=["a"], unprintable=())
    monkeypatch.chdir(tmp_path)
    result = generate("grafana", "-o", "out")
    assert result.exit_code == 0, result.output
    assert "alerting/llm-routing.yaml" in result.output
    (tmp_path / "reference.yaml").unlink()
    result = generate("grafana", "-o", "out")
    assert "weaker: no reference" in result.output


def test_check_finds_a_policy_changed_without_its_alert_rules(tmp_path):
    hostile.write(tmp_path, surfaces=["a", "b"], unprintable=())
    command = ("grafana", "--policy", tmp_path / "policy.yaml", "-o", tmp_path / "out")
    assert generate(*command, "--check").exit_code == 1
    assert not (tmp_path / "out").exists()
    generate(*command)
    assert generate(*command, "--check").exit_code == 0
    hostile.write(tmp_path, surfaces=["a", "c"], unprintable=())
    result = generate(*command, "--check")
    assert result.exit_code == 1
    assert "alerting/llm-routing.yaml:" in result.output


def test_rules_that_are_gone_are_listed_for_grafana_to_delete_until_they_come_back(tmp_path):
    def after(*surfaces):
        hostile.write(tmp_path, surfaces=surfaces, unprintable=())
        command = ("grafana", "--policy", tmp_path / "policy.yaml", "--reference", tmp_path / "reference.yaml")
        result = generate(*command, "-o", tmp_path)
        assert result.exit_code == 0, result.output
        assert generate(*command, "-o", tmp_path, "--check").exit_code == 0
        return uids(tmp_path), {rule["uid"] for rule in provisioned(tmp_path).get("deleteRules", [])}

    both, none_gone = after("a", "b")
    assert none_gone == set()
    only, gone = after("a")
    assert gone == both - only != set()
    third, more_gone = after("a", "c")
    assert more_gone == (both | only) - third > set()
    again, still_gone = after("a", "b")
    assert (again, still_gone) == (both, third - both)


def test_a_file_that_is_no_yaml_any_more_is_written_anew(tmp_path):
    command = ("grafana", *FILES, "-o", tmp_path)
    generate(*command)
    file = tmp_path / "alerting" / "llm-routing.yaml"
    text = file.read_text("utf-8")
    file.write_bytes(b"{" + text.encode() + b"\xff")
    assert generate(*command, "--check").exit_code == 1
    assert generate(*command).exit_code == 0
    assert file.read_text("utf-8") == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--generic", "--policy", "policy.yaml"), "--generic takes no --policy"),
        ((*FILES, "--datasource-uid", "a b"), "--datasource-uid 'a b' is no UID"),
        (("--generic", "--datasource-uid", ""), "--datasource-uid '' is no UID"),
        (("--generic", "--datasource-uid", "$HOME"), "is no UID"),
        (("--generic", "--runbooks", "wiki"), "--runbooks 'wiki' is no address"),
        (("--generic", "--prometheus-url", "prometheus:9090"), "is no address"),
        (("--policy", "no-such.yaml"), "no-such.yaml"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_written(tmp_path, arguments, said):
    result = generate("grafana", *arguments, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "out").exists()
