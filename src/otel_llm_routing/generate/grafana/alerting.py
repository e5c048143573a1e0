"""The Prometheus rules as Grafana-managed rules, in a file that Grafana provisions.

What Grafana reads is in its ``pkg/services/provisioning/alerting/rules_types.go``, and what is replaced in it in
``pkg/services/provisioning/values/values.go``: ``$`` in every text but queries and annotations, which it keeps as they
are. How an alert that fires on existence is put is that of its own import, ``pkg/services/ngalert/prom``.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any

from otel_llm_routing.generate.grafana import FOLDER
from otel_llm_routing.generate.prometheus import to_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_llm_routing.generate.rules import Group, Rule

HEADER = """\
# Written by: otel-llm-routing generate grafana
# Do not edit: change the policy or re-pin the reference, and generate again.
# Belongs into /etc/grafana/provisioning/alerting/
"""
QUERY, EXISTS = "A", "B"
"""The query, and the condition: 1 wherever the query has a value, which may be 0."""
LOOK_BACK = 600
"""Seconds of a query's time range. Grafana wants one, and an instant query does not use it."""
ORGANISATION = 1

_SOURCE_UID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_OWN_UID = re.compile(r"^ *(?:- )?uid: (llm-routing-[0-9a-f]{24})$", re.MULTILINE)
_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile(r"(\d+)(ms|[dhms])")
# What Grafana would put something else for: its variables in a query, and in any text of the file ${NAME} and
# $__file{NAME}, which stop it if there is no such file.
_VARIABLE = re.compile(r"\$(?=__|\{)")
_LOOKED_UP = re.compile(r"\{\{ with printf `[^`]*`[^}]*\| query \}\}.*?\{\{ end \}\}")
_CLAUSE_OF_IT = re.compile("; [^;.\0]*\0[^.]*")


def alerting(groups: Iterable[Group], source: str, before: str = "") -> str:
    """Return the provisioning file of ``groups``, which read and write the data source with the UID ``source``.

    ``before`` is the file that Grafana was given last time. It keeps rules that a file no longer has; those that are
    gone are listed for it to delete. Raises ``ValueError`` for a UID that Grafana does not take.
    """
    if not _SOURCE_UID.fullmatch(source):
        msg = f"{source!r} is no UID of Grafana; use at most 40 letters, digits, - and _"
        raise ValueError(msg)
    provisioned = [_group(group, source) for group in groups]
    kept = {rule["uid"] for group in provisioned for rule in group["rules"]}
    document: dict[str, Any] = {"apiVersion": 1, "groups": provisioned}
    if gone := sorted(set(_OWN_UID.findall(before)) - kept):
        document["deleteRules"] = [{"orgId": ORGANISATION, "uid": uid} for uid in gone]
    return HEADER + to_yaml(document)


def _group(group: Group, source: str) -> dict[str, Any]:
    return {
        "orgId": ORGANISATION,
        "name": group["name"],
        "folder": FOLDER,
        "interval": group["interval"],
        "rules": [_rule(rule, group["interval"], source) for rule in group["rules"]],
    }


def _rule(rule: Rule, interval: str, source: str) -> dict[str, Any]:
    alert = "alert" in rule
    # An alert's title is its label alertname.
    made: dict[str, Any] = {
        "uid": _uid(rule),
        "title": rule["alert"] if alert else rule["record"],
        "condition": EXISTS if alert else QUERY,
        "data": [_query(rule["expr"], source), *([_exists()] if alert else [])],
    }
    made |= dict(_firing(rule, interval)) if alert else {"record": _record(rule["record"], source)}
    if labels := rule.get("labels"):
        made["labels"] = {name: _literal(value) for name, value in labels.items()}
    return made


def _uid(rule: Rule) -> str:
    """Return what identifies the rule, which is unique by its kind, name and labels, as for Prometheus."""
    kind = "alert" if "alert" in rule else "record"
    identity = json.dumps([kind, rule[kind], sorted(rule.get("labels", {}).items())])
    return f"llm-routing-{sha256(identity.encode()).hexdigest()[:24]}"


def _query(expression: str, source: str) -> dict[str, Any]:
    return {
        "refId": QUERY,
        "relativeTimeRange": {"from": LOOK_BACK, "to": 0},
        "datasourceUid": source,
        "model": {
            "refId": QUERY,
            "datasource": {"type": "prometheus", "uid": source},
            "expr": _own_dollars(expression),
            "instant": True,
            "range": False,
        },
    }


def _exists() -> dict[str, Any]:
    values = f"${QUERY}"
    return {
        "refId": EXISTS,
        "datasourceUid": "__expr__",
        "model": {
            "refId": EXISTS,
            "datasource": {"type": "__expr__", "uid": "__expr__"},
            "type": "math",
            "expression": f"is_number({values}) || is_nan({values}) || is_inf({values})",
        },
    }


def _record(metric: str, source: str) -> dict[str, str]:
    return {"metric": metric, "from": QUERY, "targetDatasourceUid": source}


def _firing(rule: Rule, interval: str) -> Iterator[tuple[str, Any]]:
    yield "noDataState", "OK"
    yield "execErrState", "Error"
    yield "for", rule.get("for", "0s")
    keep = rule.get("keep_firing_for", "0s")
    yield "keepFiringFor", keep
    # keepFiringFor is of a series that is there and calm. One that is not there, as ours are, is held by this.
    yield "missing_series_evals_to_resolve", max(ceil(_seconds(keep) / _seconds(interval)), 1)
    yield "annotations", {name: annotation(text) for name, text in rule["annotations"].items()}


def _seconds(duration: str) -> float:
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))


def annotation(text: str) -> str:
    """Return a template of Prometheus as one of Grafana, which has a value for each query, and looks nothing up.

    The part of a sentence, from its semicolon on, that gives a looked-up number is left out.
    """
    without = _CLAUSE_OF_IT.sub("", _LOOKED_UP.sub("\0", text))
    return without.replace("\0", "").replace("$value ", f"$values.{QUERY}.Value ")


def _own_dollars(expression: str) -> str:
    """Return the same PromQL without what Grafana takes for a variable. A dollar stands nowhere but in strings."""
    return _VARIABLE.sub(r"\\x24", expression)


def _literal(text: str) -> str:
    return text.replace("$", "$$")
