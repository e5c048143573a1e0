"""What ``policy check`` says of a policy that can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from otel_llm_routing.policy.document import Place

Level = Literal["error", "warning"]


class Note(NamedTuple):
    """What is to be said about one place of the policy."""

    place: Place
    text: str
    """What is wrong, and what to do."""


class Finding(NamedTuple):
    """One thing to mend (error) or to think about (warning)."""

    level: Level
    place: str
    """Such as ``surfaces.autocomplete.uses``."""
    line: int
    """In the policy file, counted from 1."""
    text: str
    """What is wrong, and what to do."""
