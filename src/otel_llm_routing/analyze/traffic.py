"""What a source has seen of every surface, for a first policy: who asked for what, and what served it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from otel_llm_routing.models import KNOWN_MATCHES
from otel_llm_routing.policy.draft import SeenName, SeenSurface

if TYPE_CHECKING:
    from otel_llm_routing.analyze.sources import Source


def seen(source: Source, start: float, end: float) -> list[SeenSurface]:
    """Return every surface with requests in ``[start, end)`` (seconds since the epoch), the busiest first.

    Failed and cached calls asked for a model too, and count as requests; cached ones were served by none. Raises
    ``SourceError``.
    """
    requests: Counter[str] = Counter()
    names: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    served: dict[str, Counter[str]] = defaultdict(Counter)
    for count in source.counts(start, end, max(1, math.ceil(end - start))):
        requests[count.surface] += count.requests
        names[count.surface][count.requested, count.kind] += count.requests
        if count.match in KNOWN_MATCHES and not count.cached:
            served[count.surface][count.served] += count.requests
    return [
        SeenSurface(
            surface,
            total,
            tuple(
                SeenName(requested, kind, asked)
                for (requested, kind), asked in sorted(names[surface].items(), key=lambda item: (-item[1], item[0]))
            ),
            dict(served[surface]),
        )
        for surface, total in sorted(requests.items(), key=lambda item: (-item[1], item[0]))
        if total
    ]
