"""The audit as workflow commands of GitHub Actions, which put annotations on the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.audit.problems import RULES
from otel_llm_routing.analyze.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.audit.audit import Audit

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def as_commands(made: Audit) -> Iterator[str]:
    """Yield one command for every problem that is new, and for every file that could not be read."""
    for finding in made.new:
        for problem in finding.problems:
            place = {
                "file": finding.file,
                "line": str(finding.line),
                "col": str(finding.column),
                "endColumn": str(finding.end_column),
                "title": RULES[problem.rule].title,
            }
            yield _command(_COMMANDS[problem.level], place, problem.text)
    for one in made.unreadable:
        place = {"file": one.file, "title": "Not read as it was meant", **({"line": str(one.line)} if one.line else {})}
        yield _command("warning", place, one.text)


def _command(name: str, place: dict[str, str], text: str) -> str:
    # As @actions/core writes them: what a property or a message holds can end neither the one nor the other.
    properties = ",".join(
        f"{key}={_escaped(printable(value)).replace(':', '%3A').replace(',', '%2C')}" for key, value in place.items()
    )
    return f"::{name} {properties}::{_escaped(printable(text))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
