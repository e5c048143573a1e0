"""``docs/collector.md``: its example gives what it shows, and what it lists is all there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import components
import yaml

from otel_llm_routing.generate.collector import configurations, targets

PAGE = (components.ROOT / "docs" / "collector.md").read_text()


def test_the_example_gives_what_the_page_shows(tmp_path):
    shutil.copytree(components.ROOT / "examples" / "policy", tmp_path / "examples" / "policy")
    ((command, shown),) = re.findall(r"```console\n\$ (.*)\n((?:.*\n)*?)```", PAGE)
    program = Path(sys.executable).with_name(command.split()[0])
    done = subprocess.run([program, *command.split()[1:]], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, shown), done.stderr


def test_prometheus_takes_the_scrape_configuration(tmp_path):
    (block,) = re.findall(r"```yaml\n((?:.*\n)*?)```", PAGE)
    for name in ("token", "ca.pem"):
        (tmp_path / f"llm-routing-{name}").write_text("x")
    (tmp_path / "prometheus.yml").write_text(block.replace("/etc/prometheus", str(tmp_path)))
    assert "SUCCESS" in components.run(components.tool("promtool"), "check", "config", tmp_path / "prometheus.yml")
    (job,) = yaml.safe_load(block)["scrape_configs"]
    served = yaml.safe_load(configurations(["mimir"])["derive-from-spans.yaml"])["exporters"]["prometheus"]["endpoint"]
    port = re.search(r":-.*:(\d+)}", served)[1]
    assert job["honor_labels"] is True
    assert all(target.endswith(f":{port}") for target in job["static_configs"][0]["targets"])


def test_the_page_names_every_file_and_every_target():
    for name in (*configurations(targets()), *targets()):
        assert f"`{name}`" in PAGE, name
