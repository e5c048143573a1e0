"""The audit as SARIF 2.1.0, which code scanning services take."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from otel_llm_routing._version import __version__
from otel_llm_routing.analyze.audit.problems import RULES
from otel_llm_routing.analyze.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.audit.audit import Audit
    from otel_llm_routing.analyze.audit.finding import Finding, Problem, Waived

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "otelLlmRouting/v1"
"""The name of our fingerprints: of the file, the name and its place in the code, not of the line."""
_RULES = list(RULES)


def as_sarif(made: Audit) -> dict[str, Any]:
    """Return the log: one result for every problem, what is waived or in the baseline among them, marked so."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "otel-llm-routing audit",
                        "version": __version__,
                        "rules": [
                            {
                                "id": name,
                                "name": "".join(word.capitalize() for word in name.split("-")),
                                "shortDescription": {"text": f"{rule.title}."},
                                "fullDescription": {"text": rule.meaning},
                                "help": {"text": rule.meaning},
                                "defaultConfiguration": {"level": rule.level},
                            }
                            for name, rule in RULES.items()
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {
                                "level": "warning",
                                "message": {"text": printable(f"{one.file}: {one.text}")},
                                "locations": [_location(one.file, one.line or 1)],
                            }
                            for one in made.unreadable
                        ],
                    }
                ],
                "results": [_result(one, *said, made) for one in made.uses for said in _said(one)],
            }
        ],
    }


def _said(finding: Finding) -> Iterator[tuple[Problem, Waived | None]]:
    yield from ((problem, None) for problem in finding.problems)
    yield from ((problem, finding.waived) for problem in finding.waived_problems)


def _result(finding: Finding, problem: Problem, waived: Waived | None, made: Audit) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": problem.rule,
        "ruleIndex": _RULES.index(problem.rule),
        "level": problem.level,
        "message": {"text": printable(problem.text)},
        "locations": [_location(finding.file, finding.line, finding.column, finding.end_column)],
        "partialFingerprints": {FINGERPRINT: f"{finding.fingerprint}/{problem.rule}"},
        "properties": {
            "identifier": printable(finding.identifier),
            "kind": finding.kind,
            "role": finding.role,
            "provider": finding.provider,
            "surfaces": list(finding.surfaces),
        },
    }
    if used := [*((finding.file, line) for line in finding.used_at), *finding.used_in]:
        result["relatedLocations"] = [
            {**_location(file, line), "id": number, "message": {"text": "used here"}}
            for number, (file, line) in enumerate(used, 1)
        ]
    if waived is not None:
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": f"{waived.reason} (until {waived.until})"}
        ]
    if made.baselined:
        result["baselineState"] = "unchanged" if finding.known else "new"
    return result


def _location(file: str, line: int, column: int | None = None, end: int | None = None) -> dict[str, Any]:
    region = {"startLine": line}
    if column is not None and end is not None:
        region |= {"startColumn": column, "endColumn": max(end, column)}
    uri = quote(os.fsencode(file)) if not os.path.isabs(file) else f"file://{quote(os.fsencode(file))}"  # noqa: PTH117
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}
