"""What a checklist holds: for each surface five answers, each with what it rests on and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Verdict = Literal["yes", "partly", "no", "cannot be said", "does not apply"]
Question = Literal["logged", "evaluated", "alerted", "commitment", "conditions"]

QUESTIONS: Mapping[Question, str] = {
    "logged": "Is the concrete model logged and queryable?",
    "evaluated": "Is there an eval slice that matches its traffic?",
    "alerted": "Is there an alert on its mix?",
    "commitment": "Is it known what the provider has committed to?",
    "conditions": "Are the conditions to move to a pin, and back, written down?",
}
"""In the order in which they are asked."""


class Fact(NamedTuple):
    """One sentence of evidence, names in backticks, and where it can be seen."""

    text: str
    where: str = ""
    """A place in a file, a query or a command; empty where the sentence says it."""


class Answer(NamedTuple):
    """The answer to one question about one surface."""

    verdict: Verdict
    facts: tuple[Fact, ...]
    todo: tuple[str, ...] = ()
    """What would make it a yes, names in backticks."""


class AskedFor(NamedTuple):
    """One identifier that a surface asks for, by its policy or its traffic."""

    requested: str
    """Empty where requests named none."""
    kind: str
    """As the policy lists it, else as it was counted."""
    requests: int
    """In the period."""
    line: int | None
    """Of the policy file; None: it does not list it."""


class SurfaceAnswers(NamedTuple):
    """What is to be said of one surface."""

    surface: str
    line: int | None
    """Of the policy file; None: it does not have this surface."""
    owner: str
    customer_facing: bool | None
    """None: nobody has said."""
    pinned: bool
    """Whether it asks for pinned models only: by the policy, and traffic does not say otherwise."""
    requests: int
    asked: tuple[AskedFor, ...]
    """The most requested first."""
    answers: Mapping[Question, Answer]


class Checklist(NamedTuple):
    """All of it, and what it was made from."""

    made: float
    """Seconds since the epoch, as all times here."""
    start: float
    end: float
    source: str
    policy: str
    """The file; empty: there is none."""
    reference: str
    """The file; empty: there is none."""
    cases: str
    """The file; empty: none was named."""
    rules: str
    """The address of the API that was asked which rules are loaded; empty: none was."""
    notes: tuple[str, ...]
    """What is to be known of all surfaces, names in backticks."""
    surfaces: tuple[SurfaceAnswers, ...]

    def verdicts(self) -> set[Verdict]:
        """Return every verdict that was given."""
        return {answer.verdict for surface in self.surfaces for answer in surface.answers.values()}
