"""``make stack``: the files of deploy/ in the real programs, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import components
import pytest
import yaml
from stack.__main__ import program
from stack.services import Addresses, StackError, load, services, write
from typer.testing import CliRunner

from otel_llm_routing.cli.app import app

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROGRAMS = ("otelcol", "prometheus", "promtool", "alertmanager", "amtool")
ADDRESS = re.compile(r"(?<![\w.-])(?:[a-z]+|[\d.]+):\d+\b")


def stack(folder, *arguments):
    for name in PROGRAMS:
        components.tool(name)
    return subprocess.Popen(
        [sys.executable, "-m", "stack", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(DEPLOY), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left(folder):
    """The processes that were started for a stack with its files in this folder, and its files."""
    found = [str(path) for path in folder.iterdir()]
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            line = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in line:
            found.append(line[:200])
    return found


@pytest.fixture(scope="module")
def natives(tmp_path_factory):
    """The services as they are started here, their files written."""
    compose = load(DEPLOY / "compose.yaml", {})
    folder = tmp_path_factory.mktemp("stack")
    planned = services(compose, folder, Addresses(compose))
    for service in planned:
        write(service)
    return compose, {service.name: service for service in planned}, folder


def test_it_is_seen_to_work_and_leaves_nothing(tmp_path):
    process = stack(tmp_path, "--check")
    out, errors = process.communicate(timeout=590)
    assert process.returncode == 0, out + errors
    page = (ROOT / "docs/deploy.md").read_text("utf-8")
    shown = re.search(r"\$ make stack ARGS=--check\n(.*?)```", page, re.DOTALL)[1]
    assert masked(out) == masked(shown)
    shares = [int(share) for share in re.findall(r"(\d+)%", out)]
    assert len(shares) == 2
    assert all(shares)
    assert sum(shares) in (99, 100, 101)
    assert left(tmp_path) == []


def masked(text):
    return re.sub(r"\b[0-9a-f]{32}\b|\b\d+%", "*", text)


def test_ctrl_c_ends_everything(tmp_path):
    process = stack(tmp_path)
    assert process.stdout.readline() == "started   collector\n"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "stopped; nothing is left running\n"), out
    assert left(tmp_path) == []


def test_rules_that_prometheus_refuses_are_said_in_its_words(tmp_path):
    rules, files = tmp_path / "rules", tmp_path / "files"
    rules.mkdir()
    files.mkdir()
    (rules / "llm-routing.rules.yaml").write_text("groups: [{name: a, rules: [{record: b, expr: 'sum('}]}]")
    (rules / "llm-routing.alertmanager.yaml").write_text(
        (DEPLOY / "rules/llm-routing.alertmanager.yaml").read_text("utf-8")
    )
    process = stack(files, "--check", "--rules", rules)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 1, out
    assert errors.startswith("make stack: prometheus ended with ")
    assert "could not parse expression" in errors
    assert left(files) == []


def test_a_folder_without_rules_is_named(tmp_path):
    compose = load(DEPLOY / "compose.yaml", {"LLM_ROUTING_RULES": str(tmp_path)})
    with pytest.raises(StackError, match=rf"{tmp_path}/llm-routing.rules.yaml cannot be read .+--rules"):
        services(compose, tmp_path, Addresses(compose))


def test_a_program_that_is_not_built_is_named_with_what_builds_it():
    with pytest.raises(StackError, match=r"tempo is not here; make tools builds it"):
        program("tempo")


def test_only_addresses_differ_from_the_files_of_deploy(natives):
    compose, made, folder = natives
    compared = changed = 0
    for name, service in made.items():
        for (path, text), config in zip(
            service.files.items(), compose["services"][name].get("configs", ()), strict=True
        ):
            source = (DEPLOY / compose["configs"][config["source"]]["file"]).read_text("utf-8")
            assert str(path) == f"{folder}/{name}{config['target']}"
            for ours, theirs in zip(text.splitlines(), source.splitlines(), strict=True):
                compared += 1
                if ours != theirs:
                    changed += 1
                    assert without_addresses(ours) == without_addresses(theirs)
    assert compared > 1000
    assert changed < 40


def without_addresses(line):
    # A host or a port may stand alone: an argument, or a line of the Collector's own metrics.
    return re.sub(r"^([\d.]+|\s*(host|port): [\d.]+)$", r"\2*", ADDRESS.sub("*", line))


def test_only_addresses_and_folders_differ_from_the_commands_of_deploy(natives):
    compose, made, folder = natives
    for name, service in made.items():
        said = compose["services"][name]
        for ours, theirs in zip(service.command, said["command"], strict=True):
            assert without_addresses(ours.replace(str(folder / name), "")) == without_addresses(theirs)
        assert set(service.environment) == set(said.get("environment", {}))


def test_services_that_share_a_network_share_ports_and_others_do_not(natives):
    addresses = Addresses(natives[0])
    assert addresses.of("provider", 8400) == addresses.of("app", 8400) == addresses.of("traffic", 8400)
    assert addresses.of("collector", 4317) != addresses.of("tempo", 4317)


def test_the_real_programs_load_the_files(natives):
    _, made, _ = natives
    for name, command in {
        "collector": [components.tool("otelcol"), "validate"],
        "prometheus": [components.tool("promtool"), "check", "config"],
        "alertmanager": [components.tool("amtool"), "check-config"],
    }.items():
        path = next(iter(made[name].files))
        argument = f"--config={path}" if name == "collector" else path
        said = components.run(*command, argument)
        if name == "prometheus":
            assert said.count("rules found") == 2


def test_the_rules_are_those_that_are_generated_from_the_demos_policy_and_pass_their_tests():
    policy = ["--policy", str(DEPLOY / "policy/policy.yaml")]
    to = ["-o", str(DEPLOY / "rules"), "--check"]
    reference = ["--reference", str(DEPLOY / "policy/reference.yaml")]
    for command in (["prometheus", *policy, *reference, *to], ["alertmanager", *policy, *to]):
        done = CliRunner().invoke(app, ["generate", *command])
        assert done.exit_code == 0, done.output
    components.run(components.tool("promtool"), "test", "rules", DEPLOY / "rules/llm-routing.tests.yaml")


def test_the_pager_says_what_alertmanager_tells_it_and_refuses_the_rest(tmp_path):
    port = components.free_port()
    config = {
        "route": {"receiver": "team-page", "group_wait": "0s"},
        "receivers": [{"name": "team-page", "webhook_configs": [{"url": f"http://127.0.0.1:{port}/team-page"}]}],
    }
    (tmp_path / "alertmanager.yaml").write_text(yaml.safe_dump(config))
    command = ["env", f"PYTHONPATH={ROOT / 'examples'}", sys.executable, "-m", "demo.pager", "--port", port]
    with (
        components.Program(tmp_path, "pager", command, f"http://127.0.0.1:{port}/") as pager,
        components.Alertmanager(tmp_path, tmp_path / "alertmanager.yaml") as alerts,
    ):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/x", json.dumps({"alerts": [{}]}).encode())
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request, timeout=10)
        note = "--annotation=description=It moved."
        components.run(*(components.tool("amtool"), f"--alertmanager.url={alerts.url}", "alert", "add", note, "Moved"))
        components.wait_for("page", pager.log.read_text)
        assert pager.log.read_text() == "pager     team-page: Moved is firing: It moved.\n"


def test_the_traffic_retunes_the_router(tmp_path):
    examples = f"PYTHONPATH={ROOT / 'examples'}"
    provider, port = components.free_port(), components.free_port()
    urls = f"http://127.0.0.1:{provider}", f"http://127.0.0.1:{port}"
    serve = [sys.executable, "-m", "fake_provider", "--port", provider]
    web = [sys.executable, "-m", "uvicorn", "demo.app:app", "--port", port]
    ask = [sys.executable, "-m", "demo.traffic", "--app", urls[1], "--provider", urls[0], "--rate", "200"]
    change = ["--change-after", "0", "--scenario", "new-model"]
    with (
        components.Program(tmp_path, "provider", ["env", examples, *serve], f"{urls[0]}/"),
        components.Program(
            tmp_path, "app", ["env", examples, f"PROVIDER_URL={urls[0]}", *web], f"{urls[1]}/openapi.json"
        ),
        components.Program(tmp_path, "traffic", ["env", examples, *ask, *change], f"{urls[1]}/openapi.json"),
    ):
        components.wait_for("newcomer", lambda: "claude-haiku-5-5" in json.dumps(served(urls[0])))


def served(provider):
    request = urllib.request.Request(f"{provider}/_control", b"{}", {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["served"]


def test_every_program_has_a_port_that_the_system_gives_to_nobody_else():
    """Between its choice and its program, an outgoing connection of any process may take one of those."""
    found = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not found.exists():
        pytest.skip("not Linux, whose range of such ports is read from /proc")
    first, last = map(int, found.read_text("ascii").split())
    addresses = Addresses({"services": {f"s{number}": {} for number in range(500)}})
    ports = [int(addresses.port(f"s{number}", 80)) for number in range(500)]
    assert len(set(ports)) == 500
    assert [port for port in ports if first <= port <= last] == []
    assert addresses.port("s0", 80) == str(ports[0])
