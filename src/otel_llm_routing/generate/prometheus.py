"""Prometheus rule files from a policy and a reference, also as Kubernetes ``PrometheusRule``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from otel_llm_routing.generate.rules import Builder, Group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.policy.plan import Plan

HEADER = """\
# Written by: otel-llm-routing generate prometheus
# Do not edit: change the policy or re-pin the reference, and generate again.
"""
_DNS = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def rule_groups(plan: Plan | None, *, divide: float = 1, match: str = "", runbooks: str | None = None) -> list[Group]:
    """Return the rule groups of ``plan``; None gives the set that needs no files.

    ``divide`` divides every duration: rules for a demonstration in time-lapse. ``match`` is added to every selector of
    the counter, for instance ``job="shop"``.
    """
    extra = {} if runbooks is None else {"runbooks": runbooks}
    return Builder(plan, divide=divide, match=match, **extra).groups()


def rule_file(groups: list[Group]) -> str:
    """Return the text of a rule file, for Prometheus, Mimir, Thanos and vmalert."""
    return HEADER + to_yaml({"groups": groups})


def kubernetes(groups: list[Group], name: str, namespace: str | None, labels: Mapping[str, str]) -> str:
    """Return a ``PrometheusRule`` of the Prometheus operator (API group monitoring.coreos.com, version v1).

    Raises ``ValueError`` for a name that Kubernetes refuses.
    """
    for what, value in (("name", name), ("namespace", namespace)):
        if value is not None and not _DNS.fullmatch(value):
            msg = f"{value!r} is no {what} for Kubernetes; use lower-case letters, digits, - and ."
            raise ValueError(msg)
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    manifest = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata}
    return HEADER + to_yaml({**manifest, "spec": {"groups": groups}})


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and lists inside their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(document: object) -> str:
    """Return ``document`` as YAML that people can review."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text
