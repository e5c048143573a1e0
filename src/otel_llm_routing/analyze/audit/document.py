"""The audit as a document for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.audit.finding import LEVELS

if TYPE_CHECKING:
    from otel_llm_routing.analyze.audit.audit import Audit
    from otel_llm_routing.analyze.audit.finding import Finding, Seen

SCHEMA = "otel-llm-routing/audit/v1"


def as_json(made: Audit, *, all_: bool = False) -> dict[str, Any]:
    """Return the document; with ``all_``, also what only speaks of models."""
    by = made.by
    return {
        "schema": SCHEMA,
        "day": by.today.isoformat(),
        "policy": by.policy_file or None,
        "retiring_within_days": by.soon,
        "lifetime_sources": list(by.lifetimes.sources) if by.lifetimes else [],
        "files": made.files,
        "lines": made.lines,
        "counts": {level: made.count(level) for level in LEVELS},
        "known": sum(finding.known for finding in made.uses),
        "catalogued": sum(finding.role == "catalogue" for finding in made.spoken_of),
        "compared": sum(finding.role == "comparison" for finding in made.spoken_of),
        "findings": [_finding(finding) for finding in (*made.uses, *(made.spoken_of if all_ else ()))],
        "unreadable": [{"file": one.file, "line": one.line, "text": one.text} for one in made.unreadable],
        "fixed": [one._asdict() for one in made.fixed],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "end_column": finding.end_column,
        "identifier": finding.identifier,
        "kind": finding.kind,
        "role": finding.role,
        "key": finding.key or None,
        "call": finding.call or None,
        "used_at": list(finding.used_at),
        "used_in": [{"file": file, "line": line} for file, line in finding.used_in],
        "provider": finding.provider,
        "rule": finding.rule,
        "rule_source": finding.source or None,
        "level": finding.level,
        "problems": [problem._asdict() for problem in finding.problems],
        "surfaces": list(finding.surfaces),
        "customer_facing": finding.customer_facing,
        "waived": finding.waived._asdict() if finding.waived else None,
        "waived_problems": [problem._asdict() for problem in finding.waived_problems],
        "lifetime": finding.lifetime._asdict() if finding.lifetime else None,
        "seen": None if finding.seen is None else [_seen(seen) for seen in finding.seen],
        "known": finding.known,
        "fingerprint": finding.fingerprint,
    }


def _seen(seen: Seen) -> dict[str, Any]:
    return {
        "surface": seen.surface,
        "requests": seen.requests,
        "served": [
            {"model": model, "requests": requests, "share": requests / seen.known} for model, requests in seen.served
        ],
        "unreported": seen.unreported,
        "unconfirmed": seen.unconfirmed,
    }
