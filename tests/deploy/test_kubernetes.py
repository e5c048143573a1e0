"""deploy/kubernetes: what kustomize builds of it is valid, restricted, and the same as the Compose file."""

from __future__ import annotations

import re
from pathlib import Path

import components
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
VERSION = "1.34"
"""Of Kubernetes, whose schema the manifests are checked against."""
NAMESPACE = "llm-routing"


def build(folder):
    return [*yaml.safe_load_all(components.run(components.tool("kustomize"), "build", folder))]


@pytest.fixture(scope="module")
def objects():
    return {(each["kind"], each["metadata"]["name"]): each for each in build(DEPLOY / "kubernetes/base")}


@pytest.fixture(scope="module")
def pods(objects):
    return {
        name: each["spec"]["template"]["spec"]
        for (kind, name), each in objects.items()
        if kind in ("Deployment", "StatefulSet")
    }


@pytest.fixture(scope="module")
def containers(pods):
    return {container["name"]: (pod, container) for pod in pods.values() for container in pod["containers"]}


def test_every_object_is_valid(objects):
    assert len(objects) > 20
    for each in objects.values():
        kubernetes_validate.validate(each, VERSION, strict=True)


def test_the_schema_would_refuse_a_mistake(objects):
    broken = yaml.safe_load(yaml.safe_dump(objects["Deployment", "app"]))
    broken["spec"]["template"]["spec"]["containers"][0]["readOnly"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


def test_everything_is_in_the_namespace_and_no_config_map_is_too_large(objects):
    for (kind, _), each in objects.items():
        assert each["metadata"].get("namespace") == (None if kind == "Namespace" else NAMESPACE)
        if kind == "ConfigMap":
            assert len(yaml.safe_dump(each["data"]).encode()) < 1024 * 1024


def test_what_runs_is_what_the_compose_file_runs(containers):
    assert set(containers) == set(COMPOSE["services"])
    for name, (_pod, container) in containers.items():
        service = COMPOSE["services"][name]
        assert container["image"] == service["image"]
        assert container.get("args") == service.get("command")
        assert "command" not in container
        assert {e["name"]: e["value"] for e in container.get("env", ())} == service.get("environment", {})


def test_they_read_the_same_files_in_the_same_places(containers, objects):
    read = 0
    for name, (pod, container) in containers.items():
        service = COMPOSE["services"][name]
        there = files(pod, container, objects)
        for config in service.get("configs", ()):
            source = COMPOSE["configs"][config["source"]]["file"].replace("${LLM_ROUTING_RULES:-./rules}", "rules")
            assert there[config["target"]] == (DEPLOY / source).read_text("utf-8")
            read += 1
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")[:2]
            if source.startswith("."):
                for path in (DEPLOY / source).iterdir():
                    assert there[f"{target}/{path.name}"] == path.read_text("utf-8")
                    read += 1
            else:
                assert target in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert read > 10


def files(pod, container, objects):
    """Return the text of every file from a ConfigMap that a container sees."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    found = {}
    for mount in container.get("volumeMounts", ()):
        volume = volumes.get(mount["name"], {})
        sources = [source["configMap"] for source in volume.get("projected", {}).get("sources", ())]
        sources += [volume["configMap"]] if "configMap" in volume else []
        assert not sources or mount["readOnly"] is True
        for source in sources:
            data = objects["ConfigMap", source["name"]]["data"]
            items = source.get("items") or [{"key": key, "path": key} for key in data]
            found |= {f"{mount['mountPath']}/{item['path']}": data[item["key"]] for item in items}
    return found


def test_every_pod_meets_the_restricted_standard(objects, containers):
    labels = objects["Namespace", NAMESPACE]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, (pod, container) in containers.items():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        user = COMPOSE["services"][pod["containers"][0]["name"]]["user"]  # the pod is named after its first container
        assert pod["securityContext"]["runAsUser"] == int(user.partition(":")[0]) > 0
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert ("readinessProbe" in container) != (name == "traffic")


def test_nothing_is_reachable_from_outside(objects):
    kinds = {kind for kind, _ in objects}
    assert kinds == {"ConfigMap", "Deployment", "Namespace", "NetworkPolicy", "Service", "StatefulSet"}
    assert all(s["spec"].get("type", "ClusterIP") == "ClusterIP" for (k, _), s in objects.items() if k == "Service")
    policy = objects["NetworkPolicy", "own-pods-only"]["spec"]
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}


def test_every_service_has_pods_that_listen_on_its_ports(objects, pods):
    services = {name: each["spec"] for (kind, name), each in objects.items() if kind == "Service"}
    assert set(services) == set(pods)
    for name, spec in services.items():
        listened = {p["containerPort"] for c in pods[name]["containers"] for p in c.get("ports", ())}
        assert {port["port"] for port in spec["ports"]} <= listened


def test_every_address_in_a_file_or_setting_is_a_service_with_that_port(objects):
    ports = {name: {p["port"] for p in o["spec"]["ports"]} for (k, name), o in objects.items() if k == "Service"}
    texts = [text for (kind, name), each in objects.items() if kind == "ConfigMap" for text in each["data"].values()]
    texts += [yaml.safe_dump(each) for (kind, _), each in objects.items() if kind in ("Deployment", "StatefulSet")]
    pattern = re.compile(rf"(?<![\w.-])({'|'.join(ports)}):(\d+)\b(?!\.\d)")  # no image's version
    named = {(host, int(port)) for text in texts for host, port in pattern.findall(text)}
    assert {("prometheus", 9090), ("alertmanager", 9093), ("collector", 4317), ("tempo", 4317)} <= named
    assert {(host, port) for host, port in named if port not in ports[host]} == set()


def test_the_dashboards_alone_are_one_config_map_that_a_sidecar_finds():
    (boards,) = build(ROOT / "grafana")
    assert boards["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert boards["data"] == {path.name: path.read_text("utf-8") for path in (ROOT / "grafana/dashboards").iterdir()}
