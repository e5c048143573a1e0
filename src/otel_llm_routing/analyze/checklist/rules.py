"""Which of the generated rules a server has loaded, how they fare, and what they record, asked over its API.

Prometheus' API is prometheus.io/docs/prometheus/latest/querying/api (rules, alertmanagers). Mimir and Thanos answer
``/api/v1/rules`` as it does; vmalert too, and ``/api/v1/notifiers`` in place of ``/api/v1/alertmanagers``
(docs.victoriametrics.com/victoriametrics/vmalert). What a server does not answer is None here: it cannot be said.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.wording import quoted
from otel_llm_routing.policy.thresholds import ALERTS, SLICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import httpx

    from otel_llm_routing.analyze.sources.prometheus_api import PrometheusAPI

SURFACE, REQUESTED = "llm_routing_surface", "gen_ai_request_model"
NAMES = frozenset(name for name, _ in ALERTS)
RECORDED = "llm_routing:"
"""What the names of the generated recordings begin with."""
LOOKBACK = 4 * SLICE
"""Seconds in which a recording must have a value."""
SETTLE = 60.0
"""Seconds that a server's clock may be behind ours, and that an evaluation may take."""
MISSED = 3
"""Evaluations that a rule may miss before it is said to have stopped."""
NOBODY = "blackhole"
"""The address that vmalert gives a notifier that drops what it gets."""
NEVER = "0001"

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)")
_VALUE = re.compile(r"\bvector\(([-+.\deE]+)\)")
_MOVED = re.compile(r'"(\w+)", ("(?:[^"\\]|\\.)*"), "", ""')
"""A label that a recording gives itself in its expression: one that vmalert would take for a template."""


class Rule(NamedTuple):
    """One loaded rule."""

    name: str
    alert: bool
    labels: Mapping[str, str]
    query: str
    health: str
    """``ok`` where its last evaluation went well."""
    error: str
    evaluated: float | None
    """When it was evaluated last, in seconds since the epoch; None: never."""
    interval: float
    """Seconds between its evaluations."""
    file: str
    firing: tuple[Mapping[str, str], ...]
    """The labels of its alerts that fire."""

    def trouble(self, now: float) -> str:
        """Return what is wrong with it; empty: nothing."""
        if self.error or self.health not in ("ok", "unknown", ""):
            return f"fails ({quoted(self.error or self.health)})"
        if self.evaluated is None:
            return "was never evaluated yet"
        late = now - self.evaluated
        if late > MISSED * self.interval + SETTLE:
            return f"was last evaluated {late / 60:.0f} minutes ago, and should be every {self.interval:g} s"
        return ""


Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the names."""


@dataclass(frozen=True)
class Loaded:
    """What a server has loaded of the generated rules."""

    url: str
    at: float
    """When it was asked, in seconds since the epoch."""
    rules: tuple[Rule, ...]
    others: int
    """Rules of somebody else."""
    told: int | None
    """Alertmanagers that it sends alerts to."""
    references: frozenset[tuple[str, str]] | None
    """Surface and requested identifier of every reference that is recorded now."""
    routes: frozenset[str] | None
    """Surfaces whose policy is recorded now."""
    requests: Mapping[str, float] | None
    """Requests of the last 24 hours that the rules have counted, by surface."""

    @cached_property
    def troubled(self) -> list[tuple[Rule, str]]:
        """The rules with which something is wrong, and what."""
        return [(rule, said) for rule in self.rules if (said := rule.trouble(self.at))]

    @cached_property
    def firing(self) -> dict[str, set[str]]:
        """The names of the alerts that fire, by surface."""
        found: dict[str, set[str]] = defaultdict(set)
        for rule in self.rules:
            for labels in rule.firing:
                found[labels.get(SURFACE, "")].add(rule.name)
        return found

    def alerts(self, name: str, window: str) -> list[Rule]:
        """Return the loaded rules of an alert; ``window`` is empty where it has none."""
        return [rule for rule in self._alerts[name] if window in ("", rule.labels.get("llm_routing_window"))]

    def constants(self, name: str, surface: str) -> Mapping[Labels, set[float]]:
        """Return the constants of a surface that rules record as ``name``, by labels; several where they disagree."""
        return self._constants.get((name, surface), {})

    @cached_property
    def _alerts(self) -> dict[str, list[Rule]]:
        found: dict[str, list[Rule]] = defaultdict(list)
        for rule in self.rules:
            if rule.alert:
                found[rule.name].append(rule)
        return found

    @cached_property
    def _constants(self) -> dict[tuple[str, str], dict[Labels, set[float]]]:
        found: dict[tuple[str, str], dict[Labels, set[float]]] = defaultdict(dict)
        for rule in self.rules:
            if not rule.alert and (constant := _constant(rule)):
                labels, value = constant
                found[rule.name, dict(labels).get(SURFACE, "")].setdefault(labels, set()).add(value)
        return dict(found)


def read(api: PrometheusAPI, now: float) -> Loaded:
    """Ask the server; ``now`` is the time, in seconds since the epoch.

    Raises ``SourceError`` where it does not say which rules are loaded.
    """
    with api.client() as client:
        groups = api.ask(client, "rules").get("groups")
        if not isinstance(groups, list):
            raise api.error("answers without rule groups; check the address and its path")
        found = [rule for group in groups if isinstance(group, dict) for rule in _rules(group)]
        ours = tuple(rule for rule in found if rule.name in NAMES or rule.name.startswith(RECORDED))
        references = _recorded(api, client, "llm_routing:reference:requests", SURFACE, REQUESTED)
        routes = _recorded(api, client, "llm_routing:policy:route", SURFACE)
        requests = _recorded(api, client, "llm_routing:surface_requests:24h", SURFACE)
        return Loaded(
            api.url,
            now,
            ours,
            len(found) - len(ours),
            _told(api, client),
            None if references is None else frozenset((key[0], key[1]) for key in references),
            None if routes is None else frozenset(key[0] for key in routes),
            None if requests is None else {key[0]: value for key, value in requests.items()},
        )


def _rules(group: dict[str, Any]) -> Iterator[Rule]:
    rules = group.get("rules")
    for rule in rules if isinstance(rules, list) else ():
        if not isinstance(rule, dict) or not isinstance(rule.get("name"), str):
            continue
        alerts = rule.get("alerts")
        firing = [
            _texts(alert.get("labels"))
            for alert in (alerts if isinstance(alerts, list) else ())
            if isinstance(alert, dict) and alert.get("state") == "firing"
        ]
        yield Rule(
            name=rule["name"],
            alert=rule.get("type") == "alerting",
            labels=_texts(rule.get("labels")),
            query=str(rule.get("query", "")),
            health=str(rule.get("health", "")),
            error=" ".join(str(rule.get("lastError") or "").split())[:200],
            evaluated=_time(rule.get("lastEvaluation")),
            interval=_seconds(group.get("interval")),
            file=str(group.get("file", "")),
            firing=tuple(firing),
        )


def _texts(labels: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}


def _seconds(value: object) -> float:
    number = float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0
    return number if number > 0 else float(SLICE)


def _time(text: object) -> float | None:
    """Return a time of Go, which may have nanoseconds; None: it is none, or stands for never."""
    if not isinstance(text, str) or text.startswith(NEVER) or not (found := _TIME.fullmatch(text)):
        return None
    try:
        zone = "+00:00" if found[3] == "Z" else found[3]
        return datetime.fromisoformat(f"{found[1]}.{(found[2] or '0').ljust(6, '0')}{zone}").timestamp()
    except (ValueError, OverflowError):
        return None


def _constant(rule: Rule) -> tuple[Labels, float] | None:
    """Return the labels and the value of a recording that is a constant; None: it is none."""
    value = _VALUE.search(rule.query)
    if value is None:
        return None
    labels = {name: text for name, text in rule.labels.items() if name != "rule"}
    try:
        for name, text in _MOVED.findall(rule.query):
            labels[name] = json.loads(text).replace("$$", "$")
        return tuple(sorted(labels.items())), float(value[1])
    except ValueError:  # an escape that JSON does not have, or no number
        return None


def _recorded(api: PrometheusAPI, client: httpx.Client, name: str, *by: str) -> dict[tuple[str, ...], float] | None:
    """Return the recent values of a recording by labels; None: this server answers no queries, as vmalert does not."""
    query = f"max by ({', '.join(by)}) (last_over_time({name}[{LOOKBACK}s]))"
    try:
        result = api.ask(client, "query", {"query": query}).get("result")
    except SourceError:
        return None
    found: dict[tuple[str, ...], float] = {}
    try:
        for one in result if isinstance(result, list) else ():
            labels, value = one["metric"], float(one["value"][1])
            found[tuple(str(labels.get(label, "")) for label in by)] = value
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    return found


def _told(api: PrometheusAPI, client: httpx.Client) -> int | None:
    for path, of in (("alertmanagers", "activeAlertmanagers"), ("notifiers", "notifiers")):
        try:
            listed = api.ask(client, path).get(of)
        except SourceError:
            continue
        if isinstance(listed, list):
            return sum(1 for _ in _addresses(listed))
    return None


def _addresses(listed: Iterable[object]) -> Iterator[str]:
    for one in listed:
        if isinstance(one, dict):
            targets = one.get("targets", [{"address": one.get("url")}])
            for target in targets if isinstance(targets, list) else ():
                if isinstance(target, dict) and target.get("address") not in (None, "", NOBODY):
                    yield str(target["address"])
