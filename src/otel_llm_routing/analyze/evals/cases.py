"""Cases of an eval, whatever wrote them down: which surface they stand for, what they asked and what answered."""

from __future__ import annotations

from typing import NamedTuple


class CaseCall(NamedTuple):
    """One call to a model that a case made, as telemetry or the eval's own log tells of it."""

    surface: str = ""
    """Empty where nobody said."""
    size: int | None = None
    """Characters of the request's text, counted as ``llm_routing.input_size`` counts them; None: not known."""
    provider: str = ""
    requested: str = ""
    """Empty where nobody said."""
    served: str = ""
    """Empty where nobody said. Never a copy of ``requested``."""
    match: str = ""
    """How served relates to requested (``models.MATCHES``); empty where there is no telemetry of the call."""


class Case(NamedTuple):
    """One case of an eval. A case that ran several times (epochs, trials) comes as several with one ``id``."""

    id: str
    surface: str = ""
    """The surface that the case stands for; empty where nobody said."""
    size: int | None = None
    """Characters of the case's input text; None: not known. Of the calls, ``calls`` knows better."""
    score: float | None = None
    """None: the case has no score, because it was not scored or failed."""
    calls: tuple[CaseCall, ...] = ()
    """Empty: nothing is known of what ran."""
    place: str = ""
    """Where it was read: ``cases.jsonl:12``."""
