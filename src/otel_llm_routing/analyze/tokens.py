"""How many tokens were read and written, by who asked for what and which model served it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from otel_llm_routing.analyze.sources import Source


class Caller(NamedTuple):
    """What tokens are counted by."""

    surface: str
    provider: str
    requested: str
    """Empty where nobody said."""
    served: str
    """Empty where nobody said."""


class Tokens(NamedTuple):
    """Tokens of a period."""

    read: float
    written: float


def read(source: Source, start: float, end: float) -> dict[Caller, Tokens]:
    """Return the tokens in ``[start, end)``; nothing where the source holds none. Raises ``SourceError``."""
    found: dict[Caller, Tokens] = {}
    for *words, read_, written in source.tokens(start, end):
        caller = Caller(*words)
        before = found.get(caller, Tokens(0, 0))
        found[caller] = Tokens(before.read + read_, before.written + written)
    return found
