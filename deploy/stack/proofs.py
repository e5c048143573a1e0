"""What has to be seen before the stack may be said to work: each returns what it saw, or nothing yet."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SHARE = """
sum by (gen_ai_response_model) (llm_routing_requests_total{llm_routing_surface="autocomplete"})
  / ignoring (gen_ai_response_model) group_left ()
sum (llm_routing_requests_total{llm_routing_surface="autocomplete"})
"""
"""The share of each model since the application started. The rules record shares of windows, from 5 minutes on."""
MODELS = 2
"""The models that serve surface autocomplete."""


def shares(prometheus: str) -> str | None:
    """Return the shares of both models of surface autocomplete."""
    answer = get(f"{prometheus}/api/v1/query", query=SHARE)["data"]["result"]
    found = {one["metric"].get("gen_ai_response_model", ""): float(one["value"][1]) for one in answer}
    if len(found) < MODELS or not all(found):
        return None
    return "autocomplete: " + ", ".join(f"{model} {share:.0%}" for model, share in sorted(found.items()))


def rules(prometheus: str, expected: set[str]) -> str | None:
    """Return how many rule groups are loaded, once all that are expected are, and none of their rules fails."""
    groups = get(f"{prometheus}/api/v1/rules")["data"]["groups"]
    for rule in (rule for group in groups for rule in group["rules"] if rule["health"] == "err"):
        raise ValueError(f"{rule['name']}: {rule.get('lastError')}")
    if {group["name"] for group in groups} != expected:
        return None
    return f"{sum(len(group['rules']) for group in groups)} rules in {len(groups)} groups are loaded, none fails"


def alert(alertmanager: str) -> str | None:
    """Return that the alert which always fires has reached Alertmanager."""
    names = {one["labels"]["alertname"] for one in get(f"{alertmanager}/api/v2/alerts")}
    return "the alert Watchdog has reached Alertmanager" if "Watchdog" in names else None


def trace(prometheus: str, traces: Path) -> str | None:
    """Return an exemplar whose trace has arrived where Tempo would be."""
    series = get(
        f"{prometheus}/api/v1/query_exemplars",
        query="llm_routing_duration_seconds_bucket",
        start="0",
        end="9999999999",
    )["data"]
    ids = [exemplar["labels"].get("trace_id", "") for one in series for exemplar in one["exemplars"]]
    arrived = traces.read_text("utf-8", "replace") if ids and traces.exists() else ""
    found = next((one for one in ids if one and f'"{one}"' in arrived), None)
    return f"the trace of an exemplar has arrived: {found}" if found else None


def get(url: str, **query: str) -> Any:
    """Return the JSON at an address."""
    text = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(text, timeout=10) as answer:  # noqa: S310  (an address of our own)
        return json.load(answer)
