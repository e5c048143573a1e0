"""How much the embedded store holds, whoever sends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one database may hold."""

    series: int = 100_000
    """Series that are counted apart; what is past them becomes ``other``."""
    text: int = 64 << 20
    """Characters of all series together: hostile names are long, those of models are not."""
    streams: int = 2_000_000
    """Cumulative streams whose last point is remembered."""
    seen: int = 5_000_000
    """Delta points and spans that would be known again."""
    bytes: int = 20 << 30
    """Of the file, without what is free in it."""
