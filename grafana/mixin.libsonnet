// Written by: otel-llm-routing generate grafana
// A monitoring mixin: the dashboards, and the rules that otel-llm-routing generate prometheus wrote.
local groups = std.parseYaml(importstr "../collector/rules/llm-routing.rules.yaml").groups;
local only(kind) = [
  group { rules: [rule for rule in group.rules if std.objectHas(rule, kind)] }
  for group in groups
  if std.length([rule for rule in group.rules if std.objectHas(rule, kind)]) > 0
];
{
  grafanaDashboardFolder:: "LLM routing",
  grafanaDashboards+:: {
    "llm-routing-health.json": (import "dashboards/llm-routing-health.json"),
    "llm-routing-overview.json": (import "dashboards/llm-routing-overview.json"),
    "llm-routing-router.json": (import "dashboards/llm-routing-router.json"),
    "llm-routing-surface.json": (import "dashboards/llm-routing-surface.json"),
    "llm-routing-traffic-or-router.json": (import "dashboards/llm-routing-traffic-or-router.json"),
  },
  prometheusRules+:: { groups+: only('record') },
  prometheusAlerts+:: { groups+: only('alert') },
}
