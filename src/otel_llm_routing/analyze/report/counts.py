"""What the report counts: the requests of the range, and those of every day since the reference was pinned."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze.history import History
from otel_llm_routing.analyze.report.model import Day
from otel_llm_routing.analyze.shares import SurfaceMix, mix_of
from otel_llm_routing.models import KNOWN_MATCHES, SUBSTITUTED, same_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import tzinfo

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.sources import Count, Source

DAY = 86_400
WEEK = 7
CHART_DAYS = 28
MOST_DAYS = 366
"""Of history that is read, however long ago the reference was pinned."""

Stream = tuple[str, str]
"""Surface and requested identifier."""


class Part(NamedTuple):
    """What is counted apart of a served model's requests."""

    provider: str
    served: str
    """As it was counted."""
    match: str


@dataclass(slots=True)
class Served:
    """The requests of the range that one model served."""

    parts: Counter[Part] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self.parts.values())

    @property
    def substituted(self) -> int:
        """Requests for a pinned model that this one answered in its place."""
        return sum(requests for part, requests in self.parts.items() if part.match == SUBSTITUTED)

    def most(self, of: str) -> tuple[str, ...]:
        """Return the different values of a field of ``Part``, the most frequent first."""
        found: Counter[str] = Counter()
        for part, requests in self.parts.items():
            found[getattr(part, of)] += requests
        return tuple(sorted(found, key=lambda name: (-found[name], name)))


@dataclass(slots=True)
class Asked:
    """The requests of the range for one identifier; cached answers are left out."""

    kinds: Counter[str] = field(default_factory=Counter)
    served: dict[str, Served] = field(default_factory=dict)
    unknown: int = 0
    """Not failed, and nobody reported or confirmed the served model."""

    @property
    def known(self) -> int:
        """Requests with a known served model."""
        return sum(served.requests for served in self.served.values())

    def by_model(self) -> dict[str, int]:
        """Return the requests that each served model answered."""
        return {name: served.requests for name, served in self.served.items()}


class Counted(NamedTuple):
    """All that the report is made of, but for sizes and tokens."""

    start: float
    end: float
    counts: tuple[Count, ...]
    """Of the range."""
    mixes: dict[str, SurfaceMix]
    asked: dict[Stream, Asked]
    history: History
    """By day, up to ``end``."""
    renamed: dict[tuple[str, str, str], str]
    """Surface, requested and the served model as it was counted, to the reference's spelling of it."""

    @property
    def seconds(self) -> float:
        """The length of the range."""
        return self.end - self.start

    def by_surface(self) -> dict[str, NDArray[np.float64]]:
        """Return the requests of each day, by surface; failed ones with no served model and cached ones left out."""
        found: dict[str, NDArray[np.float64]] = {}
        for key, counts in self.history.known.items():
            found[key.surface] = found.get(key.surface, 0) + counts
        for nameless, counts in self.history.unknown.items():
            found[nameless.surface] = found.get(nameless.surface, 0) + counts
        return found


def read(
    source: Source,
    start: int,
    end: int,
    days: int,
    shares: Mapping[Stream, Mapping[str, float]],
    progress: Callable[[str], None],
) -> Counted:
    """Return the requests in ``[start, end)``, and of each of the ``days`` before ``end``. Raises ``SourceError``.

    ``shares`` are those of the reference: a model that is counted by another spelling of a name in it gets that name.
    """
    progress("counting the requests of the range")
    counts = list(source.counts(start, end, max(1, end - start)))
    history = History(end - days * DAY, DAY, days)
    progress(f"counting the requests of {days} days")
    history.take(source, end - days * DAY, end)
    renamed = _renamed(counts, history, shares)
    return Counted(
        start,
        end,
        tuple(counts),
        {mix.surface: mix for mix in mix_of(counts)},
        _asked(counts, renamed),
        _with_names(history, renamed) if renamed else history,
        renamed,
    )


def _renamed(
    counts: Iterable[Count], history: History, shares: Mapping[Stream, Mapping[str, float]]
) -> dict[tuple[str, str, str], str]:
    seen = {(c.surface, c.requested, c.served) for c in counts}
    seen |= {(key.surface, key.requested, key.served) for key in history.known}
    found = {}
    for surface, requested, served in seen:
        names = shares.get((surface, requested), {})
        if served and served not in names:
            same = [name for name in names if same_model(name, served)]
            if len(same) == 1:
                found[surface, requested, served] = same[0]
    return found


def _asked(counts: Iterable[Count], renamed: Mapping[tuple[str, str, str], str]) -> dict[Stream, Asked]:
    found: dict[Stream, Asked] = defaultdict(Asked)
    for count in counts:
        if count.cached:
            continue
        asked = found[count.surface, count.requested]
        known = count.match in KNOWN_MATCHES
        if known or not count.error:
            asked.kinds[count.kind] += count.requests
        if known:
            name = renamed.get((count.surface, count.requested, count.served), count.served)
            served = asked.served.setdefault(name, Served())
            served.parts[Part(count.provider, count.served, count.match)] += count.requests
        elif not count.error:
            asked.unknown += count.requests
    return dict(found)


def _with_names(history: History, renamed: Mapping[tuple[str, str, str], str]) -> History:
    found = History(history.start, history.step, history.size)
    found.measured = history.measured
    found.unknown = history.unknown
    for key, counts in history.known.items():
        name = renamed.get((key.surface, key.requested, key.served), key.served)
        known = key._replace(served=name)
        found.known[known] = found.known[known] + counts
    return found


# Days -----------------------------------------------------------------------------------------------------------------


def days_to_read(end: float, pinned: Iterable[float], shortest: int = CHART_DAYS) -> int:
    """Return how many days before ``end`` are needed: those of the charts, and those since the first pin."""
    since = min(pinned, default=end)
    return min(max(math.ceil((end - since) / DAY), shortest, CHART_DAYS), MOST_DAYS)


def calendar(counted: Counted, now: float, zone: tzinfo = timezone.utc) -> tuple[Day, ...]:
    """Return the last weeks, from the source's first request on."""
    history = counted.history
    alive = np.flatnonzero(history.measured)
    if not len(alive):
        return ()
    first = max(int(alive[0]), history.size - CHART_DAYS)
    found = []
    for number in range(first, history.size):
        begin = history.start + number * DAY
        upto = begin + DAY
        label = datetime.fromtimestamp(begin, zone).strftime("%Y-%m-%d")
        found.append(Day(begin, upto, label, upto <= now, upto > counted.start))
    return tuple(found)
