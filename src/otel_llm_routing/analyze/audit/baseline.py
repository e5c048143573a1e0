"""The baseline: what was known when an audit began, so that only what is new fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze.audit.finding import WAIVER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otel_llm_routing.analyze.audit.finding import Finding

SCHEMA = "otel-llm-routing/audit-baseline/v1"
MAX_BYTES = 64 * 2**20


class BaselineError(Exception):
    """A baseline file that cannot be used; the message says where, what is wrong and what to do."""


class Known(NamedTuple):
    """One problem that is known: a finding by its fingerprint, and the rule."""

    fingerprint: str
    rule: str
    file: str
    identifier: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is recognised by."""
        return self.fingerprint, self.rule


def of(findings: Iterable[Finding]) -> set[Known]:
    """Return the baseline of ``findings``: of every problem that is an error, a warning or a note."""
    return {
        Known(finding.fingerprint, problem.rule, finding.file, finding.identifier)
        for finding in findings
        for problem in finding.problems
        if finding.rule != WAIVER  # one that is over is to be decided anew, not got used to
    }


def text(known: Iterable[Known]) -> str:
    """Return the file: one line for each problem, so that a change of it is a change of lines."""
    ordered = sorted(known, key=lambda one: (one.file, one.identifier, one.rule, one.fingerprint))
    rows = ",\n".join(f"    {json.dumps(one._asdict())}" for one in ordered)
    listed = f"[\n{rows}\n  ]" if rows else "[]"
    return f'{{\n  "schema": "{SCHEMA}",\n  "known": {listed}\n}}\n'


def read(path: Path) -> list[Known]:
    """Read a baseline. Raises ``BaselineError``."""
    again = "write it anew with --update-baseline"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BaselineError(f"{path}: larger than {MAX_BYTES // 2**20} MiB, which no baseline is; {again}")
        data = json.loads(content)
    except FileNotFoundError:
        raise BaselineError(f"{path}: no such file; write it with --update-baseline") from None
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read ({error.strerror or error}); name a readable file") from None
    except json.JSONDecodeError as error:
        raise BaselineError(f"{path}:{error.lineno}: not JSON ({error.msg}); {again}") from None
    except (ValueError, RecursionError):
        raise BaselineError(f"{path}: not JSON; {again}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("known"), list):
        raise BaselineError(f"{path}: not a baseline ({SCHEMA}); {again}")
    return [_entry(entry, f"{path}: entry {number}", again) for number, entry in enumerate(data["known"], 1)]


def _entry(entry: Any, where: str, again: str) -> Known:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(field), str) for field in Known._fields):
        raise BaselineError(f"{where}: has not the texts {', '.join(Known._fields)}; {again}")
    return Known(*(entry[field] for field in Known._fields))
