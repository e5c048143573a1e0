"""What a server must have counted, told in the simplest way from what was sent, by numbers and not by messages."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass


@dataclass(frozen=True)
class Sent:
    """One point: which of the processes, surfaces and temporalities, when the stream began, when, how much."""

    process: int
    surface: int
    delta: bool
    start: int
    at: int
    values: tuple[int, ...]
    """One number of a counter; of a histogram the numbers in its bins."""


class Oracle:
    """Adds up points in the order in which they arrive."""

    def __init__(self):
        self.totals = defaultdict(Counter)
        """By surface: how many, by the place of the number in its point."""
        self._known = set()
        self._last = {}

    def take(self, sent):
        stream = (sent.process, sent.surface, sent.start, len(sent.values))
        if sent.delta:
            if (stream, sent.at) in self._known:
                return
            self._known.add((stream, sent.at))
            grown = sent.values
        else:
            at, before = self._last.get(stream, (0, (0,) * len(sent.values)))
            if sent.at <= at:
                return
            self._last[stream] = sent.at, sent.values
            fell = any(new < old for new, old in zip(sent.values, before, strict=True))
            grown = sent.values if fell else tuple(new - old for new, old in zip(sent.values, before, strict=True))
        for place, number in enumerate(grown):
            self.totals[sent.surface][place] += number
