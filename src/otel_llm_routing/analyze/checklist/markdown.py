"""The checklist as Markdown, for a design review: a table of verdicts, then each surface with its evidence.

Names come from outside. They stand in code spans, where neither Markdown nor a mention is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze.checklist.answers import QUESTIONS
from otel_llm_routing.analyze.report.markdown import code, prose
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.analyze.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_llm_routing.analyze.checklist.answers import Checklist, SurfaceAnswers

COLUMNS = ("1. logged", "2. evaluated", "3. alerted", "4. commitment", "5. pin and back")


def as_markdown(made: Checklist) -> str:
    """Return the checklist as GitHub renders it, and as it can be read in a terminal."""
    lines = ['# Five questions before shipping "auto"', "", _from(made), ""]
    for note in made.notes:
        lines += [f"> {_line(note)}", ""]
    lines += _table(made)
    for surface in made.surfaces:
        lines += _surface(surface)
    return "\n".join(lines).rstrip("\n") + "\n"


def _from(made: Checklist) -> str:
    parts = [f"Counts of {code(made.source)} from {utc(made.start)} to {utc(made.end)}"]
    for name, file in (("policy", made.policy), ("reference", made.reference), ("eval", made.cases)):
        parts.append(f"{name} {code(file)}" if file else f"no {name}")
    parts.append(f"rules of {code(made.rules)}" if made.rules else "no rules were asked about")
    return f"{'; '.join(parts)}."


def _table(made: Checklist) -> Iterator[str]:
    yield f"| surface | {' | '.join(COLUMNS)} |"
    yield f"|{'---|' * (len(COLUMNS) + 1)}"
    for surface in made.surfaces:
        verdicts = (surface.answers[question].verdict for question in QUESTIONS)
        yield f"| {code(surface.surface)} | {' | '.join(verdicts)} |"
    yield ""


def _line(text: str) -> str:
    """Return a sentence, parts of which servers and files have written, as Markdown that a terminal can show too."""
    return prose(printable(text))


def _surface(surface: SurfaceAnswers) -> Iterator[str]:
    yield f"## {code(surface.surface)}"
    yield ""
    seen = {None: "not in the policy", True: "customers see it", False: "customers do not see it"}
    asks = ", ".join(f"{code(one.requested)} ({one.kind})" for one in surface.asked) or "nothing that is known"
    yield f"Asks for {asks}; {seen[surface.customer_facing]}; owner {code(surface.owner)}."
    yield ""
    for number, (question, words) in enumerate(QUESTIONS.items(), start=1):
        answer = surface.answers[question]
        yield f"{number}. {words} **{answer.verdict.capitalize()}.**"
        for fact in answer.facts:
            yield f"   - {_line(fact.text)}" + (f" ({code(fact.where)})" if fact.where else "")
        for todo in answer.todo:
            yield f"   - To do: {_line(todo)}."
    yield ""
