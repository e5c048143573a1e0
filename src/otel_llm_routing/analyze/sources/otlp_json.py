"""Counts from the OTLP-JSON files that the OpenTelemetry Collector's file exporter writes."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import Count, SizeCount, TokenCount
from otel_llm_routing.analyze.sources.json_files import find
from otel_llm_routing.analyze.sources.otlp_lines import SECOND, Files
from otel_llm_routing.analyze.sources.points import BUCKET, SEEN_KEPT, Point, grown
from otel_llm_routing.analyze.sources.series import PROVIDER, REQUESTED, SERVED, SURFACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_llm_routing.analyze.sources import Progress

T = TypeVar("T")

LATE = 3_600
"""Seconds that a line may come late and still be added to what is of the same time."""
STRAGGLING = 86_400
"""Seconds past the end of what is asked for in which a line of an earlier time may stand."""
EARLIER = 3_600
"""Seconds that a counter may have been counting before its process is first seen, and still count whole."""
MAX_SEEN = 1_000_000
"""Delta points that are remembered at least, to know a repetition."""
COUNTS, SIZES = (semconv.REQUESTS,), (semconv.INPUT_SIZE,)
TOKENS = (semconv.INPUT_TOKENS_TOTAL, semconv.OUTPUT_TOKENS_TOTAL)

_logger = logging.getLogger(__name__)


class OTLPFileSource:
    """Reads the file, the folder of files or the files of the pattern ``name``, also while they are being written.

    Every read goes through the files from their beginning, in the order of the times in them, and remembers of each
    stream its last point: an increase is told from a repetition, a reset and a new stream as ``otel-llm-routing serve``
    does it.
    """

    def __init__(self, name: str, *, progress: Progress | None = None) -> None:
        self.name = name
        self.warnings: list[str] = []
        """Also logged."""
        self._about: dict[str, float] = {}
        """The time from which on a warning is about what was asked for; others are about the files."""
        self._progress = progress
        find(name)

    def warned(self, start: float) -> list[str]:
        """Return the warnings without those that are only about times before ``start``."""
        return [warning for warning in self.warnings if self._about.get(warning, math.inf) >= start]

    def counts(self, start: float, end: float, step: int = 0) -> Iterator[Count]:
        """Yield the counts of the buckets that begin in ``[start, end)``, ``step`` seconds of them added up."""
        for at, series, (value,) in self._totals(COUNTS, start, end, step, lambda one: one.key, _whole):
            yield Count.of(at, series, round(value))

    def sizes(self, start: float, end: float, step: int = 0) -> Iterator[SizeCount]:
        """Yield how many requests were of which size; see ``Source.sizes``."""

        def series(one: Point) -> tuple[tuple[str, ...], tuple[str, ...]]:
            return (one.key[SURFACE], one.key[REQUESTED], one.key[SERVED]), one.bounds or ()

        found = self._totals(SIZES, start, end, step, series, _bins)
        for at, ((surface, requested, served), bounds), values in found:
            for bound, value in zip(bounds, values, strict=True):
                if requests := round(value):
                    yield SizeCount(at, surface, requested, served, float(bound), requests)

    def tokens(self, start: float, end: float) -> Iterator[TokenCount]:
        """Yield how many tokens were read and written; see ``Source.tokens``."""

        def series(one: Point) -> tuple[str, tuple[str, str, str, str]]:
            return one.metric, (one.key[SURFACE], one.key[PROVIDER], one.key[REQUESTED], one.key[SERVED])

        step = max(math.ceil(end - start), 1)
        for _, (metric, words), (value,) in self._totals(TOKENS, start, end, step, series, _whole):
            if tokens := round(value):
                yield TokenCount(*words, *((tokens, 0) if metric == TOKENS[0] else (0, tokens)))

    def extent(self) -> tuple[int, int] | None:
        """Return when the first and the last bucket begin that hold requests; None if there are none."""
        first: int | None = None
        last = 0
        for one, increase, _ in self._increases(COUNTS, -math.inf, math.inf):
            if increase[0]:
                first = one.bucket if first is None else min(first, one.bucket)
                last = max(last, one.bucket)
        return None if first is None else (first, last)

    # Counting ----------------------------------------------------------------------------------------------------

    def _totals(
        self,
        metrics: tuple[str, ...],
        start: float,
        end: float,
        step: int,
        series_of: Callable[[Point], T],
        kept: Callable[[tuple[float, ...]], tuple[float, ...]],
    ) -> Iterator[tuple[int, T, list[float]]]:
        """Yield steps, series and what they grew by; a step when lines for it are no longer to be expected."""
        origin, step = int(start), int(step)
        totals: dict[int, dict[T, list[float]]] = defaultdict(dict)
        length = max(step, BUCKET)
        over = -math.inf
        for one, increase, now in self._increases(metrics, start, end):
            if now - LATE - length > over:
                over = now - LATE - length
                for slot in sorted(slot for slot in totals if slot < over):
                    for series, values in totals.pop(slot).items():
                        yield slot, series, values
            if not start <= one.bucket < end:
                continue
            added = kept(increase)
            if not any(added):
                continue
            slot = origin + (one.bucket - origin) // step * step if step else one.bucket
            of = totals[slot]
            series = series_of(one)
            before = of.get(series)
            of[series] = list(added) if before is None else [a + b for a, b in zip(before, added, strict=True)]
        for slot in sorted(totals):
            for series, values in totals[slot].items():
                yield slot, series, values

    def _increases(
        self, metrics: tuple[str, ...], start: float, end: float
    ) -> Iterator[tuple[Point, tuple[float, ...], float]]:
        """Yield points, what their stream grew by, and the time of the files up to here, in seconds.

        They are those from the files' beginning on; what is to be said is about ``[start, end)``.
        """
        files = Files(find(self.name), metrics, self._progress)
        last: dict[bytes, tuple[int, tuple[float, ...]]] = {}
        known: dict[bytes, int] = {}
        seen = _Seen()
        earlier = _Earlier()
        for now, reads in files.merged():
            if now > end + STRAGGLING:
                break
            for one, sender, began in reads:
                increase = one.values
                first = known.setdefault(sender, one.time)
                if one.cumulative:
                    before = last.get(one.stream)
                    latest = one.time
                    if before is not None:
                        if not one.follows(*before):
                            continue  # a repetition, or one that was overtaken: what it says is known
                        increase = grown(one.values, before[1])
                        latest = max(latest, before[0])
                    last[one.stream] = latest, one.values
                    if before is None and 0 < began < first - EARLIER * SECOND and one.time < first + BUCKET * SECOND:
                        # What it had counted before anybody wrote it down is of a time that nobody knows.
                        if increase[0] and began < end * SECOND and one.bucket >= start:
                            earlier.add(sender, increase[0], one.bucket)
                        continue
                elif not seen.first(one.stream, now):
                    continue
                yield one, increase, now
        for warning in files.warnings():
            self._warn(warning)
        if earlier.senders:
            many = len(earlier.senders)
            processes = "1 process was" if many == 1 else f"{many} processes were"
            warning = (
                f"{self.name}: begins while {processes} already counting; "
                f"their {earlier.total:.0f} earlier {'tokens' if metrics == TOKENS else 'requests'} are left out"
            )
            self._about[warning] = earlier.since
            self._warn(warning)

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)
            _logger.warning("%s", warning)


def _whole(values: tuple[float, ...]) -> tuple[float, ...]:
    return values


def _bins(values: tuple[float, ...]) -> tuple[float, ...]:
    return values[2:]  # after the count and the sum


class _Earlier:
    """What processes had counted before they are first seen."""

    def __init__(self) -> None:
        self.senders: set[bytes] = set()
        self.total = 0.0
        self.since = math.inf
        """When the first of them is first seen, in seconds since the epoch."""

    def add(self, sender: bytes, increase: float, at: float) -> None:
        """Note what one of a process's streams had counted by ``at``."""
        self.senders.add(sender)
        self.total += increase
        self.since = min(self.since, at)


class _Seen:
    """What delta points there were in the last hours."""

    def __init__(self) -> None:
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()
        self._since = -math.inf

    def first(self, stream: bytes, now: float) -> bool:
        """Note a point, and return whether it is new."""
        if now - self._since > SEEN_KEPT or len(self._new) >= MAX_SEEN:
            self._old, self._new, self._since = self._new, set(), now
        if stream in self._new or stream in self._old:
            return False
        self._new.add(stream)
        return True
