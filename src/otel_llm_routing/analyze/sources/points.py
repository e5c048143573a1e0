"""Points of OTLP metrics, whatever they were encoded in: which stream they belong to, and what it grew by."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from otel_llm_routing import semconv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUCKET = 10
"""Seconds of one time bucket."""
COUNTERS = frozenset({semconv.REQUESTS, semconv.INPUT_TOKENS_TOTAL, semconv.OUTPUT_TOKENS_TOTAL})
HISTOGRAMS = frozenset({semconv.INPUT_SIZE, semconv.DURATION})
MAX_BOUNDS = 64
MAX_VALUE = 2.0**53
"""Larger counts are no counts, and a double could not hold them exactly."""
LAST_TIME = 2**63 - 1
SEEN_KEPT = 6 * 3_600
"""Seconds in which a delta point may be repeated. Exporters give up after minutes."""
AHEAD = 3_600
BEHIND = 366 * 86_400
"""Seconds that a sender's clock may be off; past them it is the time of arrival that counts."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of one stream."""

    stream: bytes
    """Identifies what a cumulative point is compared with; of a delta point, the point itself."""
    time: int
    """The sender's, in nanoseconds since the epoch."""
    cumulative: bool
    bucket: int
    metric: str
    key: tuple[str, ...]
    values: tuple[float, ...]
    """A counter's value; or a histogram's count, sum and bins."""
    bounds: tuple[str, ...] | None
    """A histogram's upper bounds, the last one ``+Inf``; empty where the bins are not kept. None for a counter."""

    def follows(self, time: int, values: tuple[float, ...]) -> bool:
        """Return whether this cumulative point is newer than that of ``time`` with ``values``.

        It is also if its sender's clock was put back in between: then it is much earlier, and in nothing less. No retry
        comes so late, and what was overtaken so long ago would have counted less.
        """
        if self.time > time:
            return True
        put_back = self.time < time - AHEAD * 10**9
        return put_back and all(new >= old for new, old in zip(self.values, values, strict=True))


def point(
    origin: object,
    attributes: object,
    series: tuple[str, ...],
    *,
    metric: str,
    cumulative: bool,
    start: int,
    at: int,
    values: tuple[float, ...],
    bounds: tuple[str, ...] | None,
    arrived: float,
) -> Point | None:
    """Return the point, or None if it makes no sense: no value, no time, or a value that is no count.

    ``origin`` tells senders and scopes apart and ``attributes`` the streams of one; ``series`` is what it counts as.
    ``start`` and ``at`` are in nanoseconds since the epoch, ``arrived`` in seconds.
    """
    if not values or at <= 0 or not all(0 <= value <= MAX_VALUE for value in values):
        return None
    # A cumulative stream that starts anew is another stream; the start of a delta moves with every point.
    stream = (origin, metric, attributes, bounds, start, None if cumulative else at)
    return Point(
        digest(stream),
        min(at, LAST_TIME),
        cumulative,
        bucket(at, arrived),
        metric,
        series,
        values,
        bounds,
    )


def histogram(
    count: float, total: float, counts: Sequence[float], bounds: Sequence[float]
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return a histogram's count, sum and bins, and the bins' bounds; no values if they contradict each other.

    ``counts`` is empty where there are no bins to keep.
    """
    if not counts:
        return (count, total), ()
    if len(counts) != len(bounds) + 1 or len(bounds) > MAX_BOUNDS or not all(map(math.isfinite, bounds)):
        return (), ()
    return (count, total, *counts), (*(repr(float(bound)).removesuffix(".0") for bound in bounds), "+Inf")


def grown(values: tuple[float, ...], last: tuple[float, ...]) -> tuple[float, ...]:
    """Return what a cumulative stream grew by from ``last`` to ``values``. One that fell is one that began anew."""
    steps = tuple(new - old for new, old in zip(values, last, strict=True))
    return values if any(step < 0 for step in steps) else steps


def identity(names: Mapping[str, str], attributes: object) -> bytes:
    """Return what tells one process that sends from another, by its resource: texts, and all its attributes.

    An instance id stands for the process by itself, whatever a Collector adds or takes away on the way; without one, it
    is everything that the process says of itself.
    """
    if names.get("service.instance.id"):
        own = ("service.namespace", "service.name", "service.instance.id", "telemetry.sdk.language")
        return digest(tuple(names.get(name, "") for name in own))
    return digest(attributes)


def bucket(nanoseconds: int, arrived: float) -> int:
    """Return the beginning of the time bucket, in seconds."""
    seconds = nanoseconds / 1e9
    # A clock that is far off would put the point where nobody looks.
    if not arrived - BEHIND < seconds < arrived + AHEAD:
        seconds = arrived
    return int(seconds) // BUCKET * BUCKET


def digest(value: object) -> bytes:
    """Return 16 bytes that stand for ``value``, which is made of tuples, text, bytes and numbers."""
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).digest()[:16]
