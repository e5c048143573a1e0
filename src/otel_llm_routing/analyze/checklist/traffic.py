"""What the surfaces asked for in a period, what is known of who served it, and when the last request was."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.models import KNOWN_MATCHES, UNCONFIRMED, UNREPORTED

if TYPE_CHECKING:
    from otel_llm_routing.analyze.sources import Count, Source

DAY, HOUR = 86_400, 3600


class Unknown(NamedTuple):
    """Requests, not failed, whose served model is not known."""

    reason: str
    """``unreported`` or ``unconfirmed``."""
    requested: str
    provider: str


@dataclass(slots=True)
class Traffic:
    """The requests of one surface in a period."""

    requests: int = 0
    """All calls, also failed and cached ones."""
    cached: int = 0
    failed: int = 0
    """Failed calls with no known served model: none may have run."""
    served: Counter[str] = field(default_factory=Counter)
    """Requests with a known served model."""
    unknown: Counter[Unknown] = field(default_factory=Counter)
    asked: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Requested identifier to its kinds, with their requests."""
    last: float | None = None
    """The end of the step of time that holds the last request, in seconds since the epoch."""
    exact: bool = False
    """Whether that step is an hour; else it is a day."""

    @property
    def known(self) -> int:
        """Requests with a known served model."""
        return self.served.total()

    @property
    def unknown_share(self) -> float:
        """The share of requests whose served model is not known, as the alert rules count it; 0 to 1."""
        total = self.known + self.unknown.total()
        return self.unknown.total() / total if total else 0.0

    def add(self, count: Count) -> None:
        """Count what a source yields."""
        self.requests += count.requests
        self.asked[count.requested][count.kind] += count.requests
        if count.cached:
            self.cached += count.requests
        elif count.match in KNOWN_MATCHES:
            self.served[count.served] += count.requests
        elif count.error:
            self.failed += count.requests
        else:
            reason = UNCONFIRMED if count.match == UNCONFIRMED else UNREPORTED
            self.unknown[Unknown(reason, count.requested, count.provider)] += count.requests


def read(source: Source, start: float, end: float) -> dict[str, Traffic]:
    """Return the traffic of every surface in ``[start, end)``, seconds since the epoch. Raises ``SourceError``.

    The last request is dated by the hour where it is of the last day, else by the day.
    """
    found: dict[str, Traffic] = defaultdict(Traffic)
    end = math.ceil(end)
    start = end - max(math.ceil((end - start) / DAY), 1) * DAY
    for count in source.counts(start, end, DAY):
        if count.requests:
            traffic = found[count.surface]
            traffic.add(count)
            traffic.last = max(traffic.last or 0, count.start + DAY)
    for count in source.counts(end - DAY, end, HOUR):
        if count.requests and (seen := found.get(count.surface)):
            last = count.start + HOUR
            seen.last = max(seen.last, last) if seen.exact and seen.last else last
            seen.exact = True
    return dict(found)
