"""deploy/compose.yaml: what Compose's own loader makes of it, and what a try-out on somebody's laptop must not do."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import components
import pytest
import yaml
from packaging.requirements import Requirement
from stack.services import load

from otel_llm_routing import __version__

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILE = DEPLOY / "compose.yaml"
SAID = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES = SAID["services"]
NO_HEALTH_CHECK = {"collector", "tempo", "traffic"}
"""Two images have nothing to run one with, and the traffic serves nobody."""


def loaded():
    """Return the project as Compose's loader sees it: checked against the schema, merged, interpolated."""
    return json.loads(components.run(components.tool("compose-spec"), "--format", "json", FILE.name, cwd=DEPLOY))


def test_compose_loads_it():
    assert set(loaded()["services"]) == {
        *("collector", "prometheus", "alertmanager", "pager", "tempo", "grafana", "app", "provider", "traffic")
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("read_only: true", "readonly: true"),
        ("cap_drop: [ALL]", "cap_drop: ALL"),
        ("127.0.0.1:3000:3000", "127.0.0.1:web:3000"),
        ("${LLM_ROUTING_RULES:-./rules}", "${LLM_ROUTING_RULES:-./rules"),
    ],
)
def test_the_loader_would_refuse_a_mistake(tmp_path, old, new):
    path = tmp_path / "compose.yaml"
    path.write_text(FILE.read_text("utf-8").replace(old, new))
    done = subprocess.run(
        [components.tool("compose-spec"), path.name], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0, done.stdout


def test_every_file_and_folder_that_it_names_exists():
    project = loaded()
    paths = [config["file"] for config in project["configs"].values()]
    for service in project["services"].values():
        paths += [volume["source"] for volume in service.get("volumes", ()) if volume["type"] == "bind"]
        if build := service.get("build"):
            paths.append(os.path.join(build["context"], build["dockerfile"]))  # noqa: PTH118  (one may be absolute)
    assert len(paths) > len(project["configs"])
    assert [path for path in paths if not Path(path).exists()] == []


def test_every_network_configuration_and_volume_that_a_service_names_is_there():
    # The loader leaves that to Compose itself, which is not here.
    for service in SERVICES.values():
        assert service.get("network_mode", "service:app").removeprefix("service:") in SERVICES
        assert {config["source"] for config in service.get("configs", ())} <= set(SAID["configs"])
        named = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {name for name in named if not name.startswith(".")} <= set(SAID["volumes"])
    used = {config["source"] for service in SERVICES.values() for config in service.get("configs", ())}
    assert used == set(SAID["configs"])


def test_your_own_rules_take_the_place_of_the_demos(tmp_path):
    # The loader's command does not look at the environment, Compose does: so the stack's reading of it is asked.
    configs = load(FILE, {"LLM_ROUTING_RULES": str(tmp_path)})["configs"]
    assert configs["rules"]["file"] == str(tmp_path / "llm-routing.rules.yaml")
    assert configs["alertmanager"]["file"] == str(tmp_path / "llm-routing.alertmanager.yaml")
    default = loaded()["configs"]
    assert default["rules"]["file"] == str(DEPLOY / "rules/llm-routing.rules.yaml")
    assert default["alertmanager"]["file"] == str(DEPLOY / "rules/llm-routing.alertmanager.yaml")


def test_every_port_is_on_loopback():
    ports = [port for service in loaded()["services"].values() for port in service.get("ports", ())]
    assert {port.get("host_ip") for port in ports} == {"127.0.0.1"}
    assert {"3000", "9090", "9093", "4317", "4318", "8000"} == {port["published"] for port in ports}


def test_every_image_is_in_the_one_list_and_pinned_by_version():
    assert {service["image"] for service in SERVICES.values()} == set(SAID["x-images"].values())
    for image in SAID["x-images"].values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image)
    assert FILE.read_text("utf-8").count("image: *") == FILE.read_text("utf-8").count("image:")
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-\S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_the_images_are_of_the_versions_that_the_tests_run():
    modules = {}
    for folder in (".", "alertmanager"):
        text = (ROOT / "tools" / folder / "go.mod").read_text()
        modules |= dict(re.findall(r"github.com/prometheus/(alertmanager|prometheus) v(\S+)", text))
    minor, patch = re.fullmatch(
        r"0\.3(\d\d)\.(\d+)", modules["prometheus"]
    ).groups()  # module v0.316.0 is version 3.16.0
    collector = yaml.safe_load((ROOT / "collector/manifest.yaml").read_text())["dist"]["version"]
    images = SAID["x-images"]
    assert images["prometheus"] == f"prom/prometheus:v3.{int(minor)}.{patch}"
    assert images["alertmanager"] == f"prom/alertmanager:v{modules['alertmanager']}"
    assert images["collector"].endswith(f":{collector}")
    assert images["demo"].endswith(f":{__version__}")


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_more_than_it_needs(name):
    service = SERVICES[name]
    user = service["user"].partition(":")[0]
    assert user.isdigit()
    assert user != "0"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    binds = [volume for volume in service.get("volumes", ()) if volume.startswith((".", "/"))]
    assert all(volume.endswith(":ro") for volume in binds)
    assert ("healthcheck" in service) != (name in NO_HEALTH_CHECK)


def test_whatever_is_waited_for_is_above():
    seen = set()
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in seen
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]
        seen.add(name)


def test_there_is_no_account_in_grafana_and_no_password_anywhere():
    settings = SERVICES["grafana"]["environment"]
    assert settings["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert settings["GF_AUTH_BASIC_ENABLED"] == "false"
    assert settings["GF_AUTH_ANONYMOUS_ORG_ROLE"] != "Admin"
    assert not re.search(r"(?i)password|secret_key", FILE.read_text("utf-8"))


def test_grafana_finds_what_is_mounted():
    grafana = SERVICES["grafana"]
    boards = grafana["volumes"][-1].split(":")
    targets = {config["source"]: config["target"] for config in grafana["configs"]}
    assert set(targets) == {"grafana-boards", "grafana-prometheus", "grafana-tempo"}
    provider = yaml.safe_load((DEPLOY / SAID["configs"]["grafana-boards"]["file"]).read_text())["providers"][0]
    assert provider["options"]["path"] == boards[1]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (DEPLOY / boards[0] / home.relative_to(boards[1])).is_file()


def test_exemplars_open_traces_and_every_address_is_of_a_service_that_listens_there():
    text = (DEPLOY / SAID["configs"]["grafana-prometheus"]["file"]).read_text()
    metrics = yaml.safe_load(text)["datasources"][0]
    traces = yaml.safe_load((DEPLOY / "config/grafana-tempo.yaml").read_text())["datasources"][0]
    assert metrics["jsonData"]["exemplarTraceIdDestinations"] == [{"name": "trace_id", "datasourceUid": traces["uid"]}]
    tempo = yaml.safe_load((DEPLOY / "config/tempo.yaml").read_text())
    assert traces["url"] == f"http://tempo:{tempo['server']['http_listen_port']}"
    collector = yaml.safe_load((DEPLOY / "config/collector.yaml").read_text())
    receiver = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert collector["exporters"]["otlp_grpc/tempo"]["endpoint"] == f"tempo:{receiver.rpartition(':')[2]}"
    assert metrics["url"] == "http://prometheus:9090"
    assert "--web.listen-address=0.0.0.0:9090" in SERVICES["prometheus"]["command"]
    assert collector["exporters"]["otlp_http/prometheus"]["endpoint"] == "http://prometheus:9090/api/v1/otlp"
    assert SERVICES["app"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4317"


def test_the_image_of_the_demo_gets_what_it_copies():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    sources = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "deploy/requirements.txt" in sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
    users = [line for line in lines if line.startswith("USER ")]
    assert users == [f"USER {SERVICES['app']['user']}"]


def test_what_the_demo_runs_on_is_what_the_tests_run_on():
    named = map(
        Requirement, re.findall(r'"([a-z][\w.-]+(?:\[[\w,]+\])?[=>][^"\s;]+)"', (ROOT / "pyproject.toml").read_text())
    )
    allowed = {requirement.name: requirement for requirement in named}
    for line in (DEPLOY / "requirements.txt").read_text().splitlines():
        if not line.startswith("#"):
            pinned = Requirement(line)
            (version,) = [specifier.version for specifier in pinned.specifier if specifier.operator == "=="]
            assert allowed[pinned.name].specifier.contains(version, prereleases=True), line
