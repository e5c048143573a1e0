"""Prometheus rule files from a policy and a reference, also as Kubernetes ``PrometheusRule``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from otel_llm_routing.generate.rules import Builder, Group

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_llm_routing.policy.plan import Plan

HEADER = """\
# Written by: otel-llm-routing generate prometheus
# Do not edit: change the policy or re-pin the reference, and generate again.
"""
LARGEST_MANIFEST = 200_000
"""Bytes of one ``PrometheusRule``. ``kubectl apply`` keeps a copy in an annotation, which may have 262144 bytes."""

_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}$){_DNS_LABEL}(\.{_DNS_LABEL})*")
_NAMESPACE = re.compile(_DNS_LABEL)
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


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
    """Return the groups as ``PrometheusRule`` of the Prometheus operator (monitoring.coreos.com/v1).

    Several, called ``name``, ``name-2`` and so on, where one would be too large. Raises ``ValueError`` for names and
    labels that Kubernetes refuses.
    """
    _refuse(name, namespace, labels)
    manifests = []
    for number, part in enumerate(_parts(groups), start=1):
        metadata: dict[str, Any] = {"name": name if number == 1 else f"{name}-{number}"}
        if namespace is not None:
            metadata["namespace"] = namespace
        if labels:
            metadata["labels"] = dict(labels)
        kind = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule"}
        manifests.append(to_yaml({**kind, "metadata": metadata, "spec": {"groups": part}}))
    return HEADER + "---\n".join(manifests)


def _refuse(name: str, namespace: str | None, labels: Mapping[str, str]) -> None:
    # A number may be appended to the name.
    if not _SUBDOMAIN.fullmatch(name) or not _SUBDOMAIN.fullmatch(f"{name}-9999"):
        msg = f"{name!r} is no name for Kubernetes; use lower-case letters, digits and -, with . between such words"
        raise ValueError(msg)
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        msg = f"{namespace!r} is no namespace for Kubernetes; use at most 63 lower-case letters, digits and -"
        raise ValueError(msg)
    for key, value in labels.items():
        prefix, slash, word = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(word) or (slash and not _SUBDOMAIN.fullmatch(prefix)):
            msg = f"{key!r} is no label name for Kubernetes; use a word, or prefix/word, of letters, digits, -, _ and ."
            raise ValueError(msg)
        if value and not _LABEL_NAME.fullmatch(value):
            msg = f"{value!r} is no label value for Kubernetes; use at most 63 letters, digits, -, _ and ."
            raise ValueError(msg)


def _parts(groups: list[Group]) -> Iterator[list[Group]]:
    part: list[Group] = []
    size = 0
    for group in groups:
        more = len(to_yaml([group]).encode())
        if part and size + more > LARGEST_MANIFEST:
            yield part
            part, size = [], 0
        part.append(group)
        size += more
    yield part


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and lists inside their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


# YAML 1.2 and Go's YAML read these as numbers or truth, PyYAML does not: a label must stay text for everybody.
_NO_TEXT = re.compile(r"[-+]?[\d._]+([eE][-+]?\d+)?|[-+]?0[box][\da-fA-F_]+|[yYnN]|[-+]?\.(inf|nan)", re.IGNORECASE)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _NO_TEXT.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(document: object) -> str:
    """Return ``document`` as YAML that people can review."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text
