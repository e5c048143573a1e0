"""How many tokens were read and written, by who asked for what and which model served it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_llm_routing.analyze.sources import Count, Source


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


def means(counts: Iterable[Count], tokens: Mapping[Caller, Tokens]) -> dict[Caller, Tokens]:
    """Return the tokens of the average call, where both are known.

    They are over all calls: tokens are counted also of those that failed or that a cache answered.
    """
    calls: Counter[Caller] = Counter()
    for count in counts:
        calls[Caller(count.surface, count.provider, count.requested, count.served)] += count.requests
    return {
        caller: Tokens(of.read / calls[caller], of.written / calls[caller])
        for caller, of in tokens.items()
        if calls[caller]
    }
