"""The model mix of each surface: shares over requests whose served model is known, the rest beside them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_llm_routing.models import KNOWN_MATCHES, UNCONFIRMED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_llm_routing.analyze.sources import Count, Source


@dataclass(frozen=True, slots=True)
class ServedShare:
    """What one requested identifier resolved to."""

    requested: str
    provider: str
    served: str
    kind: str
    match: str
    requests: int
    share: float
    """Of the surface's requests with a known served model, 0 to 1."""


@dataclass(frozen=True, slots=True)
class SurfaceMix:
    """One surface in one window of time."""

    surface: str
    requests: int
    """All calls counted, also failed and cached ones."""
    known: int
    """Calls whose served model is known, cached answers left out: what shares are shares of."""
    unreported: int
    unconfirmed: int
    cached: int
    """Answered from a gateway's cache: ``requests`` is known + unreported + unconfirmed + cached."""
    errors: int
    """Failed calls, which are counted among the above as well."""
    served: tuple[ServedShare, ...]
    """The largest share first."""

    @property
    def unknown(self) -> int:
        """Calls whose served model nobody named, or nobody who would know."""
        return self.unreported + self.unconfirmed

    @property
    def unknown_share(self) -> float:
        """The share of calls, cached ones left out, whose served model is not known; 0 to 1."""
        total = self.requests - self.cached
        return self.unknown / total if total else 0.0

    def counts_by_model(self) -> dict[str, int]:
        """Return the requests that each served model answered, whatever was requested."""
        counts: dict[str, int] = defaultdict(int)
        for share in self.served:
            counts[share.served] += share.requests
        return dict(counts)

    def by_model(self) -> dict[str, float]:
        """Return the share of each served model, whatever was requested."""
        return {served: count / self.known for served, count in self.counts_by_model().items()}


def mix(source: Source, start: float, end: float) -> list[SurfaceMix]:
    """Return the mix of every surface in ``[start, end)`` (seconds since the epoch), the busiest first."""
    return mix_of(source.counts(start, end, max(1, math.ceil(end - start))))


def mix_of(counts: Iterable[Count]) -> list[SurfaceMix]:
    """Return the mix of every surface in ``counts``, the busiest first."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    served: dict[str, Counter[tuple[str, str, str, str, str]]] = defaultdict(Counter)
    for count in counts:
        of = totals[count.surface]
        of["requests"] += count.requests
        if count.error:
            of["errors"] += count.requests
        if count.cached:
            of["cached"] += count.requests
        elif count.match in KNOWN_MATCHES:
            of["known"] += count.requests
            key = (count.requested, count.provider, count.served, count.kind, count.match)
            served[count.surface][key] += count.requests
        elif count.match == UNCONFIRMED:
            of["unconfirmed"] += count.requests
        else:
            of["unreported"] += count.requests
    mixes = [
        SurfaceMix(
            surface=surface,
            requests=of["requests"],
            known=of["known"],
            unreported=of["unreported"],
            unconfirmed=of["unconfirmed"],
            cached=of["cached"],
            errors=of["errors"],
            served=tuple(
                ServedShare(*key, requests=requests, share=requests / of["known"])
                for key, requests in sorted(served[surface].items(), key=lambda item: (-item[1], item[0]))
            ),
        )
        for surface, of in totals.items()
    ]
    return sorted(mixes, key=lambda m: (-m.requests, m.surface))
