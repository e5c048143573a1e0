"""Series arithmetic: how many series a process makes, from what it was asked and what served."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.instrument.metrics import SECOND_BOUNDS, SIZE_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUESTS = 1
TOKENS = 2
SIZE = len(SIZE_BOUNDS) + 3
"""A classic histogram: a bucket for each bound, one for all, the sum and the count."""
DURATION = FIRST_CHUNK = len(SECOND_BOUNDS) + 3
TARGET_INFO = 1
"""What Prometheus makes of a resource, one a process."""


class Stream(NamedTuple):
    """What one process asked on one surface, and what served it."""

    process: str
    surface: str
    requested: str
    served: str
    streamed: bool
    """Some of it as a stream."""
    counted: bool
    """Some answers said how many tokens they took."""


def series(streams: Iterable[Stream]) -> int:
    """Return the series that a store holds of ``streams``: each pair of requested and served with one match."""
    kept = list(streams)
    pairs = {one[:4] for one in kept}
    streamed = {one[:4] for one in kept if one.streamed}
    counted = {one[:4] for one in kept if one.counted}
    processes = {one.process for one in kept}
    made = len(pairs) * (REQUESTS + SIZE + DURATION)
    return made + len(streamed) * FIRST_CHUNK + len(counted) * TOKENS + len(processes) * TARGET_INFO
