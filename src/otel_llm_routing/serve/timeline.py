"""What the page draws: for each stream the requests of each served model over time, and the shares of the window."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.report.drawing import drawn
from otel_llm_routing.analyze.report.palette import signs
from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources.sqlite import BUCKET, SQLiteSource
from otel_llm_routing.models import KNOWN_MATCHES, same_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.analyze.report.palette import Sign
    from otel_llm_routing.policy.reference import Reference

    Shares = Mapping[tuple[str, str], Mapping[str, float]]
    """The shares of the reference, by surface and requested identifier."""

SLOTS = 60
"""Steps of time that are drawn."""
MOST_SURFACES = 100
MOST_STREAMS = 5
"""Of a surface."""
LONGEST = 366 * 86_400
COST = 10
"""A document is kept for this many times the time it took, so that pages left open do not keep the database busy."""


class Timelines:
    """Makes the documents, from any thread, and keeps each for a moment."""

    def __init__(self, path: str, reference: Reference | None = None) -> None:
        self._path = path
        self._shares = {(s.surface, s.requested): s.shares for s in reference.streams} if reference else {}
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
                document = timeline(SQLiteSource(self._path), time.time(), length, width, self._shares)
                after = time.monotonic()
                self._kept[length] = (after + min(max(0.5, COST * (after - now)), 60), document)
            return self._kept[length][1]


@dataclass(slots=True)
class _Stream:
    """The requests for one identifier on one surface."""

    served: dict[str, Counter[int]] = field(default_factory=dict)
    """By served model, and by the beginning of the step; an empty name stands for requests with none known."""

    def known(self) -> int:
        return sum(points.total() for name, points in self.served.items() if name)

    def requests(self) -> int:
        return sum(points.total() for points in self.served.values())


def timeline(source: SQLiteSource, now: float, length: int, width: int, shares: Shares | None = None) -> dict[str, Any]:
    """Return the document of the ``length`` seconds before ``now``, in steps of ``width`` seconds."""
    shares = shares or {}
    # Steps begin at multiples of their width: otherwise every step's bar would change with each look.
    end = (int(now) // width + 1) * width
    start = end - max(1, -(-length // width)) * width
    streams: dict[tuple[str, str], _Stream] = {}
    for count in source.counts(start, end, width):
        if not count.cached:
            key = count.surface, count.requested
            name = _spelled(count.served, shares.get(key, {})) if count.match in KNOWN_MATCHES else ""
            stream = streams.setdefault(key, _Stream())
            stream.served.setdefault(name, Counter())[count.start] += count.requests
    mixes = mix(source, start, end)
    drawn_ = {of.surface for of in mixes[:MOST_SURFACES]}
    names = {name for key, stream in streams.items() if key[0] in drawn_ for name in stream.served if name}
    pinned = {name for key, named in shares.items() if key[0] in drawn_ for name in named}
    sign_of = signs(names | pinned, (name for named in shares.values() for name in named))
    by_surface: dict[str, list[tuple[str, _Stream]]] = {}
    for (surface, requested), stream in streams.items():
        by_surface.setdefault(surface, []).append((requested, stream))
    surfaces = []
    for of in mixes[:MOST_SURFACES]:
        found = sorted(by_surface.get(of.surface, []), key=lambda one: (-one[1].requests(), one[0]))
        surfaces.append(
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
                "streams": [
                    _stream(requested, stream, shares.get((of.surface, requested), {}), sign_of)
                    for requested, stream in found[:MOST_STREAMS]
                ],
                "more_streams": max(0, len(found) - MOST_STREAMS),
            }
        )
    return {
        "start": start,
        "end": end,
        "now": int(now),
        "width": width,
        "surfaces": surfaces,
        "more_surfaces": max(0, len(mixes) - MOST_SURFACES),
    }


def _spelled(served: str, shares: Mapping[str, float]) -> str:
    """Return a served model as the reference spells it."""
    if served in shares:
        return served
    same = [name for name in shares if same_model(name, served)]
    return same[0] if len(same) == 1 else served


def _stream(
    requested: str, stream: _Stream, shares: Mapping[str, float], sign_of: Mapping[str, Sign]
) -> dict[str, Any]:
    known = stream.known()
    totals = {name: stream.served.get(name, Counter()).total() for name in {*stream.served, *shares} - {""}}
    return {
        "requested": requested,
        "known": known,
        "unknown": stream.requests() - known,
        "compared": bool(shares),
        "models": [
            {
                **drawn(name, sign_of[name]),
                "requests": total,
                "share": total / known if known else None,
                "reference": shares.get(name),
                "points": sorted(stream.served.get(name, {}).items()),
            }
            for name, total in sorted(totals.items(), key=lambda one: (-one[1], -shares.get(one[0], 0.0), one[0]))
        ],
        "unknown_points": sorted(stream.served.get("", {}).items()),
    }
