"""Counts from anything with Prometheus' HTTP API: Prometheus, Mimir, Thanos, VictoriaMetrics."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import Count, SizeCount, TokenCount
from otel_llm_routing.analyze.sources.prometheus_api import FOREIGN, TIMEOUT, PrometheusAPI, TooMuchError
from otel_llm_routing.analyze.sources.series import clean, words
from otel_llm_routing.analyze.sources.series import key as series_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import httpx

    from otel_llm_routing.analyze.sources import Progress

SLICE = 300
"""Seconds in which increases are counted, unless the step is smaller."""
LOOKBACK = 21_600
"""Seconds before a slice in which a counter's previous value is looked for, as long as the generated rules do: after a
longer silence it counts whole, as if it were new."""
CHUNK = 2_016
"""Slices a query, a week of five minutes. Prometheus refuses more than 11,000 points a series."""
LEAST_CHUNK = 12
"""A server that says a query is too much for it is asked for half the time, down to so many slices."""
HISTORY = 52
"""Weeks before the current one that ``extent`` looks back."""
WEEKS = 4
"""Weeks that one query of ``extent`` looks at: hosted stores refuse queries over more than about a month."""
AHEAD = 60.0
"""Seconds that the clock of a sender may be ahead of ours."""

NO_COUNT = "llm_routing_no_count"
"""The label of the one series, beside those asked for, that says that samples are no counts."""
LABELS = {name: name.replace(".", "_") for name in semconv.REQUEST_ATTRIBUTES}
METRIC = semconv.REQUESTS.replace(".", "_") + "_total"
SIZES = semconv.INPUT_SIZE.replace(".", "_") + "_bucket"
SIZE_LABELS = (semconv.SURFACE, semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL)
TOKENS = tuple(name.replace(".", "_") + "_total" for name in (semconv.INPUT_TOKENS_TOTAL, semconv.OUTPUT_TOKENS_TOTAL))
TOKEN_LABELS = (semconv.SURFACE, semconv.PROVIDER, semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL)


class _TokenKey(NamedTuple):
    """What tokens are counted apart by; the first fields of ``TokenCount``."""

    surface: str
    provider: str
    requested: str
    served: str


class _SizeKey(NamedTuple):
    """What is counted apart in the histogram of sizes; the fields of ``SizeCount`` between the time and the number."""

    surface: str
    requested: str
    served: str
    bound: float


class _Asked(NamedTuple):
    """A counter, and what it is counted apart by."""

    metric: str
    labels: tuple[str, ...]
    apart: str = ""
    """The label that makes several series of one counter."""


Answer = list[tuple[dict[str, str], list[tuple[int, float]]]]
"""The labels of each series, and its values with the times of their slices."""
K = TypeVar("K", _SizeKey, _TokenKey, "tuple[str, ...]")


class PrometheusSource:
    """Reads the counter ``llm_routing_requests_total`` through the API at ``url``.

    ``url`` and the environment are those of ``PrometheusAPI``; every query takes in what ``?selector=`` says.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, progress: Progress | None = None) -> None:
        self._api = PrometheusAPI(url, timeout=timeout)
        self.url = self._api.url
        self._progress = progress
        self.warnings = self._api.warnings
        """What the server said of answers that may be incomplete."""

    def warned(self, start: float) -> list[str]:  # noqa: ARG002  (see Source)
        """Return the warnings: servers do not say which time theirs are about."""
        return list(self.warnings)

    def counts(self, start: float, end: float, step: int = 0) -> Iterator[Count]:
        """Yield the counts of the slices that begin in ``[start, end)``, ``step`` seconds of them added up.

        Slices are of 5 minutes, or of ``step`` seconds where that is less, and begin at multiples of their length, as
        the buckets of the embedded store do. 0 gives every slice by itself. Of a ``step`` that is no multiple of 5
        minutes each takes the slices that begin in it, so that none is lost or counted twice.
        """
        asked = _Asked(METRIC, (*LABELS.values(), "job"))
        for at, key, value in self._totals(asked, start, end, step, _key):
            if requests := round(value):
                yield Count.of(at, key, requests)

    def sizes(self, start: float, end: float, step: int = 0) -> Iterator[SizeCount]:
        """Yield how many requests were of which size, of the slices of ``counts``; see ``Source.sizes``.

        They are read from ``llm_routing_input_size_bucket``, a classic histogram; a server that keeps native histograms
        alone gives none. Where processes count with different bounds, a request counts as of the largest size that it
        may have had.
        """
        asked = _Asked(SIZES, (*(LABELS[name] for name in SIZE_LABELS), "le"), "le")
        found = self._totals(asked, start, end, step, _size_key)
        for (at, *_), bins in groupby(found, key=lambda item: (item[0], *item[1][:-1])):
            below = 0
            for _, key, value in bins:
                # Cumulative over the bounds, which come in their order.
                if (upto := round(value)) > below:
                    yield SizeCount(at, key.surface, key.requested, key.served, key.bound, upto - below)
                    below = upto

    def tokens(self, start: float, end: float) -> Iterator[TokenCount]:
        """Yield how many tokens were read and written in the slices of ``counts``; see ``Source.tokens``."""
        step = max(math.ceil(end - start), 1)
        for metric in TOKENS:
            asked = _Asked(metric, tuple(LABELS[name] for name in TOKEN_LABELS))
            for _, key, value in self._totals(asked, start, end, step, _token_key):
                if tokens := round(value):
                    yield TokenCount(*key, *((tokens, 0) if metric == TOKENS[0] else (0, tokens)))

    def extent(self) -> tuple[int, int] | None:
        """Return when the first and the last slice begin that hold requests; None if there are none within a year."""
        now = time.time() + AHEAD
        week = CHUNK * SLICE
        current = int(now) // week * week
        present = f"count(max_over_time({METRIC}{{{self._api.selector}}}[{week}s]) > 0)"
        counted = f"sum({self._increase(METRIC, SLICE)}) > 0"
        weeks: list[int] = []
        with self._api.client() as client:

            def slices(begin: int) -> list[int]:
                upto = math.ceil(min(begin + week, now) / SLICE) * SLICE
                return [at for _, values in self._ask(client, counted, begin, upto, SLICE) for at, _ in values]

            for begin in range(current - HISTORY * week, current, WEEKS * week):
                answer = self._ask(client, present, begin, begin + WEEKS * week, week)
                weeks += [at for _, values in answer for at, _ in values]
            weeks.append(current)
            # A week in which an old counter only stood still holds no requests: go on to the next one.
            first = next((found[0] for begin in weeks if (found := slices(begin))), None)
            if first is None:
                return None
            last = next(found[-1] for begin in reversed(weeks) if (found := slices(begin)))
        return first, last

    # The query ---------------------------------------------------------------------------------------------------

    def _increase(self, metric: str, length: int, apart: str = "") -> str:
        """Return what every series grew by in the slice of ``length`` seconds that ends at the time of evaluation.

        Not ``increase()``: that extrapolates, and loses the first value of a new series, which is most of what a rare
        model says. A series with no value in the time before was born, and counts whole. One that fell was reset: it
        counts up to its highest value, and from zero to its last. Series that differ only in the label ``apart`` are
        one counter: if one of them was reset before the slice, all of them were.
        """
        series = self._series(metric)
        last = f"last_over_time({series}[{length}s])"
        most = f"max_over_time({series}[{length}s])"
        before = f"last_over_time({series}[{LOOKBACK}s] offset {length}s)"
        grown = f"{most} - {before} >= 0"
        if apart:
            grown = f"({most} - {before}) unless ignoring({apart}) ({most} - {before} < 0)"
        # NaN is not below Inf either: one would spoil the sum.
        return f"((({grown}) or {most}) + {last} * ({last} < bool {most})) < Inf"

    def _careful_increase(self, metric: str, length: int, apart: str = "") -> str:
        """Return the same where samples are no counts, which are left out; it takes a server twice as long.

        ``max_over_time`` passes over NaN: of a counter that did not restart, the largest value is the last one. The
        slices around Inf are left out.
        """
        series = self._series(metric)
        last = f"last_over_time({series}[{length}s])"
        most = f"max_over_time({series}[{length}s])"
        earlier = f"max_over_time({series}[{length}s] offset {length}s)"
        before = f"((last_over_time({series}[{LOOKBACK}s] offset {length}s) >= 0 < Inf) or {earlier})"
        grown = f"({most} - {before}) unless ignoring({apart}) ({most} - {before} < 0 > -Inf)"
        # What comes after no count has neither been born nor restarted.
        whole = f"{most} unless (({earlier} < bool Inf) == 0)"
        fell = f"({last} >= 0) * ({last} < bool {most})"
        return f"(({grown} or ({whole})) + ({fell} or 0 * {most})) >= 0 < Inf"

    def _no_counts(self, metric: str, seconds: int) -> str:
        """Return whether there are samples of the last ``seconds`` that are no counts, under the label ``NO_COUNT``."""
        series = f"{self._series(metric)}[{seconds}s] @ end()"
        found = f"count((sum_over_time({series}) < bool Inf) == 0 or min_over_time({series}) < 0)"
        return f'label_replace({found}, "{NO_COUNT}", "true", "", "")'

    def _series(self, metric: str) -> str:
        return f"{metric}{{{self._api.selector}}}"

    def _totals(
        self, asked: _Asked, start: float, end: float, step: int, key_of: Callable[[dict[str, str]], K]
    ) -> Iterator[tuple[int, K, float]]:
        """Yield what was ``asked`` of the slices that begin in ``[start, end)``, by step and key, in their order."""
        step = int(step)
        length = _length(step)
        origin = int(start)

        def slot(begin: int) -> int:
            return origin + (begin - origin) // step * step if step else begin

        begin = math.ceil(start / length) * length
        # Nothing can have been counted in slices that are still to come, and some servers refuse to look there.
        stop = math.ceil(min(end, time.time() + AHEAD) / length) * length
        first = begin
        chunk = CHUNK * length
        totals: dict[tuple[int, K], float] = defaultdict(float)
        with self._api.client() as client:
            while begin < stop:
                upto = min(begin + chunk, stop)
                try:
                    answer = self._grown(client, asked, begin, upto, length)
                except TooMuchError:
                    chunk = (upto - begin) // length // 2 * length
                    if chunk < LEAST_CHUNK * length:
                        raise
                    continue
                for labels, values in answer:
                    key = key_of(labels)
                    for at, value in values:
                        totals[slot(at), key] += value
                if self._progress:
                    self._progress((upto - first) // length, (stop - first) // length)
                for at, key in sorted(of for of in totals if upto >= stop or of[0] < slot(upto)):
                    yield at, key, totals.pop((at, key))
                begin = upto

    def _grown(self, client: httpx.Client, asked: _Asked, begin: int, upto: int, length: int) -> Answer:
        """Return what the series of ``asked`` grew by, without the samples that are no counts."""
        grown = _sum(asked.labels, self._increase(asked.metric, length, asked.apart))
        query = f"{grown} or {self._no_counts(asked.metric, upto - begin + LOOKBACK)}"
        answer = self._ask(client, query, begin, upto, length)
        if not any(NO_COUNT in labels for labels, _ in answer):
            return answer
        self._api.warn(f"{asked.metric} has samples that are no counts (NaN, Inf or negative); they are left out")
        careful = _sum(asked.labels, self._careful_increase(asked.metric, length, asked.apart))
        return self._ask(client, careful, begin, upto, length)

    def _ask(self, client: httpx.Client, query: str, begin: int, upto: int, length: int) -> Answer:
        """Return the series of ``query``: labels, and values with the beginning of the slice that each is of.

        The slices begin in ``[begin, upto)``. Their ends are multiples of ``length``: Thanos and VictoriaMetrics move
        other times to such ones.
        """
        form = {
            "query": query,
            "start": str(begin + length),
            "end": str(upto),
            "step": str(length),
            "timeout": f"{max(1, round(self._api.timeout))}s",
        }
        data = self._api.ask(client, "query_range", form)
        series = data.get("result")
        if data.get("resultType") != "matrix" or not isinstance(series, list):
            raise self._api.error(FOREIGN)
        try:
            return [
                (
                    {str(name): str(value) for name, value in one["metric"].items()},
                    [
                        (at, value)
                        for at, value in ((round(float(t)) - length, float(v)) for t, v in one.get("values", ()))
                        if begin <= at < upto and 0 < value < math.inf
                    ],
                )
                for one in series
            ]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise self._api.error(FOREIGN) from None


def _length(step: int) -> int:
    return min(int(step) or SLICE, SLICE)


def _sum(labels: Iterable[str], grown: str) -> str:
    return f"sum by ({', '.join(labels)}) ({grown}) > 0"


def _words(labels: dict[str, str]) -> dict[str, str]:
    return words((name, labels.get(label, "")) for name, label in LABELS.items())


def _key(labels: dict[str, str]) -> tuple[str, ...]:
    # A job is NAMESPACE/NAME: prometheus.io/docs/guides/opentelemetry
    return series_key(_words(labels), clean(labels.get("job", "")).rpartition("/")[2])


def _token_key(labels: dict[str, str]) -> _TokenKey:
    found = _words(labels)
    return _TokenKey(
        found.get(semconv.SURFACE, "unknown"),
        found.get(semconv.PROVIDER, "unknown"),
        found.get(semconv.REQUEST_MODEL, ""),
        found.get(semconv.RESPONSE_MODEL, ""),
    )


def _size_key(labels: dict[str, str]) -> _SizeKey:
    found = _words(labels)
    try:
        bound = float(labels.get("le", ""))
    except ValueError:
        bound = math.nan
    return _SizeKey(
        found.get(semconv.SURFACE, "unknown"),
        found.get(semconv.REQUEST_MODEL, ""),
        found.get(semconv.RESPONSE_MODEL, ""),
        # What has no bound is taken for the last bucket, which counts all of them.
        math.inf if math.isnan(bound) else bound,
    )
