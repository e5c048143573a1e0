"""What Grafana and jsonnet users load: the dashboards that ship with this package, and files that provision them."""

from __future__ import annotations

import json
from importlib.resources import files

import yaml

FOLDER = "LLM routing"
"""The folder in Grafana."""
SOURCE_UID = "prometheus"


def dashboards() -> dict[str, str]:
    """Return the dashboards, classic JSON by file name."""
    shipped = files(__name__) / "dashboards"
    return {
        file.name: file.read_text("utf-8")
        for file in sorted(shipped.iterdir(), key=lambda f: f.name)
        if file.name.endswith(".json")
    }


def dashboard_provisioning(path: str) -> str:
    """Return the file that makes Grafana read the dashboards in the folder ``path``, as Grafana sees it."""
    provider = {
        "name": "otel-llm-routing",
        "orgId": 1,
        "folder": FOLDER,
        "type": "file",
        "disableDeletion": False,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 60,
        "options": {"path": path},
    }
    return _provisioning("dashboards", {"apiVersion": 1, "providers": [provider]})


def source_provisioning(url: str, traces: str | None, uid: str = SOURCE_UID) -> str:
    """Return the file that adds the Prometheus at ``url``; its exemplars open traces of the data source ``traces``."""
    settings: dict[str, object] = {"httpMethod": "POST", "prometheusType": "Prometheus", "timeInterval": "60s"}
    if traces:
        settings["exemplarTraceIdDestinations"] = [{"name": "trace_id", "datasourceUid": traces}]
    source = {
        "name": "Prometheus",
        "uid": uid,
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "isDefault": True,
        "jsonData": settings,
    }
    return _provisioning("datasources", {"apiVersion": 1, "datasources": [source]})


def mixin(rules: str) -> str:
    """Return a monitoring mixin of the dashboards, and of the rule file ``rules`` as seen from the mixin's folder."""
    boards = "\n".join(f"    {json.dumps(name)}: (import {json.dumps(f'dashboards/{name}')})," for name in dashboards())
    return f"""// Written by: otel-llm-routing generate grafana
// A monitoring mixin: the dashboards, and the rules that otel-llm-routing generate prometheus wrote.
local groups = std.parseYaml(importstr {json.dumps(rules)}).groups;
local only(kind) = [
  group {{ rules: [rule for rule in group.rules if std.objectHas(rule, kind)] }}
  for group in groups
  if std.length([rule for rule in group.rules if std.objectHas(rule, kind)]) > 0
];
{{
  grafanaDashboardFolder:: {json.dumps(FOLDER)},
  grafanaDashboards+:: {{
{boards}
  }},
  prometheusRules+:: {{ groups+: only('record') }},
  prometheusAlerts+:: {{ groups+: only('alert') }},
}}
"""


def _provisioning(kind: str, document: object) -> str:
    return f"# Written by: otel-llm-routing generate grafana\n# Belongs into /etc/grafana/provisioning/{kind}/\n" + str(
        yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    )
