"""The written files: the Collector takes each of them, and starts with none that would count wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import components
import pytest
import yaml
from collectors import validate, written

from otel_llm_routing.generate.collector import configurations, targets

COMMAND = str(Path(sys.executable).with_name("otel-llm-routing"))
RUNNABLE = ("agent.yaml", "gateway-tier2.yaml", "derive-from-spans.yaml")


def generate(*arguments, cwd):
    command = [COMMAND, "generate", "collector", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("to", [[name] for name in targets()] + [list(targets())], ids="+".join)
def test_the_collector_takes_every_file_without_a_word(tmp_path, to):
    written(tmp_path, to)
    for name in RUNNABLE:
        assert validate(tmp_path / name) == (0, ""), name


def test_the_committed_files_are_taken_too(tmp_path):
    for name in RUNNABLE:
        (tmp_path / name).write_text((components.ROOT / "collector" / name).read_text())
        assert validate(tmp_path / name) == (0, ""), name


def test_the_first_tier_is_taken_in_form_only_with_an_ordinary_exporter_in_the_place_of_load_balancing(tmp_path):
    tier = yaml.safe_load(configurations(["mimir"])["gateway-tier1.yaml"])
    for name in [name for name in tier["exporters"] if name.startswith("load_balancing/")]:
        balanced = tier["exporters"].pop(name)
        assert set(balanced) == {
            *("routing_key", "timeout", "retry_on_failure", "sending_queue", "protocol", "resolver"),
        }
        assert set(balanced["resolver"]["dns"]) == {"hostname", "port", "interval", "timeout"}
        # What is around the balancing, and what is given to the exporter of each replica.
        outside = {key: balanced[key] for key in ("timeout", "retry_on_failure", "sending_queue")}
        tier["exporters"][f"otlp_grpc/{name[15:]}-queue"] = {"endpoint": "localhost:4317", **outside}
        tier["exporters"][f"otlp_grpc/{name[15:]}"] = {"endpoint": "localhost:4317", **balanced["protocol"]["otlp"]}
        for pipeline in tier["service"]["pipelines"].values():
            if name in pipeline["exporters"]:
                pipeline["exporters"].remove(name)
                pipeline["exporters"] += [f"otlp_grpc/{name[15:]}-queue", f"otlp_grpc/{name[15:]}"]
    (tmp_path / "tier1.yaml").write_text(yaml.safe_dump(tier))
    assert validate(tmp_path / "tier1.yaml") == (0, "")


def test_a_stream_of_points_stays_with_one_replica_and_is_queued_before_one_is_chosen():
    tier = yaml.safe_load(configurations(["mimir"])["gateway-tier1.yaml"])
    metrics = tier["exporters"]["load_balancing/metrics"]
    assert metrics["routing_key"] == "streamID"
    assert metrics["sending_queue"]["num_consumers"] == 1
    assert metrics["protocol"]["otlp"]["sending_queue"] == {"enabled": False}


@pytest.mark.parametrize(
    ("name", "variable", "said"),
    [
        ("gateway-tier2.yaml", "LLM_ROUTING_TOKEN", "token"),
        ("derive-from-spans.yaml", "LLM_ROUTING_TOKEN", "token"),
        ("agent.yaml", "LLM_ROUTING_GATEWAY", "endpoint"),
        ("gateway-tier2.yaml", "LLM_ROUTING_PROMETHEUS_OTLP_URL", "endpoint"),
    ],
)
def test_what_must_be_given_and_is_not_is_an_error_and_not_a_default(tmp_path, name, variable, said):
    code, output = validate(written(tmp_path) / name, **{variable: ""})
    assert code != 0
    assert said in output


@pytest.mark.parametrize("name", [*RUNNABLE, "gateway-tier1.yaml"])
def test_series_are_kept_for_longer_than_the_week_that_rules_look_back(name):
    document = yaml.safe_load(configurations(["mimir"])[name])
    for component in document.get("processors", {}).values():
        if component and "max_stale" in component:
            assert component["max_stale"] == "192h"
    exporter = document["exporters"].get("prometheus")
    assert exporter is None or exporter["metric_expiration"] == "192h"


def test_the_committed_files_are_what_make_generate_writes():
    done = generate("--policy", "examples/policy/policy.yaml", "-o", "collector", "--check", cwd=components.ROOT)
    assert (done.returncode, done.stdout) == (0, "4 files are up to date\n"), done.stderr
    assert (
        "generate collector --policy examples/policy/policy.yaml -o collector $(ARGS)"
        in (components.ROOT / "Makefile").read_text()
    )


def test_the_command_writes_what_it_is_told_and_says_how_to_try_it(tmp_path):
    done = generate("-o", "out", "--to", "mimir", "--to", "victoriametrics", "--to", "mimir", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    exporters = yaml.safe_load((tmp_path / "out" / "gateway-tier2.yaml").read_text())["exporters"]
    assert list(exporters) == ["prometheus_remote_write/mimir", "prometheus_remote_write/victoriametrics"]
    assert "otelcol-contrib validate --config out/agent.yaml" in done.stdout
    assert generate("-o", "out", "--to", "mimir", "--check", cwd=tmp_path).returncode == 1


def test_the_policy_s_rules_are_in_the_file_and_without_a_policy_there_are_none(tmp_path):
    policy = components.ROOT / "examples" / "policy" / "policy.yaml"
    assert generate("-o", "with", "--policy", policy, cwd=tmp_path).returncode == 0
    done = generate("-o", "without", cwd=tmp_path)
    assert "no policy" in done.stdout
    found = [
        (tmp_path / of / "derive-from-spans.yaml").read_text().count("chart-tooltip") for of in ("with", "without")
    ]
    assert found == [2, 0]
    (tmp_path / "policy.yaml").write_text(policy.read_text())
    assert generate("-o", "with", "--check", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "graphite"], "prometheus-otlp"),
        (["--policy", "none.yaml"], "none.yaml"),
        (["--policy", "broken.yaml"], "broken.yaml"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(tmp_path, arguments, said):
    (tmp_path / "broken.yaml").write_text("version: 1\nsurfaces: {a: {}}\n")
    done = generate("-o", "out", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()
