"""What telemetry saw of the names that a source tree asks for."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.audit.finding import Seen
from otel_llm_routing.analyze.audit.identity import name_of
from otel_llm_routing.models import KNOWN_MATCHES, UNCONFIRMED, canonical

if TYPE_CHECKING:
    from otel_llm_routing.analyze.sources import Source


class Telemetry:
    """Requests of some weeks, by the name that was asked for."""

    def __init__(self, source: Source, start: float, end: float) -> None:
        """Read the requests in ``[start, end)``, in seconds since the epoch. Raises ``SourceError``."""
        served: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        totals: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for count in source.counts(start, end, max(1, math.ceil(end - start))):
            if count.cached or not count.requested:
                continue
            key = (canonical(count.requested), count.surface)
            totals[key]["requests"] += count.requests
            if count.match in KNOWN_MATCHES:
                served[key][count.served] += count.requests
            else:
                totals[key]["unconfirmed" if count.match == UNCONFIRMED else "unreported"] += count.requests
        self._seen: dict[str, list[Seen]] = defaultdict(list)
        for (requested, surface), of in totals.items():
            self._seen[requested].append(
                Seen(
                    surface,
                    of["requests"],
                    tuple(sorted(served[requested, surface].items(), key=lambda item: (-item[1], item[0]))),
                    of["unreported"],
                    of["unconfirmed"],
                )
            )
        for seen in self._seen.values():
            seen.sort(key=lambda one: (-one.requests, one.surface))

    def of(self, identifier: str) -> tuple[Seen, ...]:
        """Return what was seen of ``identifier``, the busiest surface first; empty: nobody asked for it."""
        return tuple(self._seen.get(canonical(name_of(identifier))) or self._seen.get(canonical(identifier)) or ())
