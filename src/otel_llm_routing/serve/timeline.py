"""What the page draws: for each surface the requests of each served model over time, and the shares of the window."""

from __future__ import annotations

import threading
import time
from typing import Any

from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources.sqlite import BUCKET, SQLiteSource
from otel_llm_routing.models import KNOWN_MATCHES

SLOTS = 60
"""Steps of time that are drawn."""
MOST_SURFACES = 100
LONGEST = 366 * 86_400
COST = 10
"""A document is kept for this many times the time it took, so that pages left open do not keep the database busy."""


class Timelines:
    """Makes the documents, from any thread, and keeps each for a moment."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[float, dict[str, Any]]] = {}

    def get(self, seconds: float) -> dict[str, Any]:
        """Return the document of the last ``seconds``. Raises ``SourceError``."""
        width = max(BUCKET, int(seconds / SLOTS) // BUCKET * BUCKET)
        length = round(min(max(seconds, BUCKET), LONGEST))
        with self._lock:
            now = time.monotonic()
            self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}
            if length not in self._kept:
                document = timeline(SQLiteSource(self._path), time.time(), length, width)
                after = time.monotonic()
                self._kept[length] = (after + min(max(0.5, COST * (after - now)), 60), document)
            return self._kept[length][1]


def timeline(source: SQLiteSource, now: float, length: int, width: int) -> dict[str, Any]:
    """Return the document of the ``length`` seconds before ``now``, in steps of ``width`` seconds."""
    # Steps begin at multiples of their width: otherwise every step's bar would change with each look.
    end = (int(now) // width + 1) * width
    start = end - max(1, -(-length // width)) * width
    slots: dict[str, dict[str, dict[int, int]]] = {}
    for count in source.counts(start, end, width):
        if not count.cached:
            name = count.served if count.match in KNOWN_MATCHES else ""
            served = slots.setdefault(count.surface, {}).setdefault(name, {})
            served[count.start] = served.get(count.start, 0) + count.requests
    mixes = mix(source, start, end)
    surfaces = [
        {
            "surface": of.surface,
            "requests": of.requests,
            "known": of.known,
            "unknown": of.unknown,
            "unknown_share": of.unknown_share,
            "cached": of.cached,
            "errors": of.errors,
            "requested": sorted({share.requested for share in of.served}),
            "shares": of.by_model(),
            "counts": of.counts_by_model(),
            # An empty name stands for requests whose served model is not known.
            "series": [
                {"served": name, "points": sorted(points.items())}
                for name, points in sorted(slots.get(of.surface, {}).items())
            ],
        }
        for of in mixes[:MOST_SURFACES]
    ]
    return {
        "start": start,
        "end": end,
        "now": int(now),
        "width": width,
        "surfaces": surfaces,
        "more_surfaces": max(0, len(mixes) - MOST_SURFACES),
    }
