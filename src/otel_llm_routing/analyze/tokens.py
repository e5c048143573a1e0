"""How many tokens were read and written, by served model, as far as a source has counted them.

The counters ``llm_routing.input_tokens`` and ``llm_routing.output_tokens`` have four attributes: surface, provider,
requested and served model. Failed and cached calls are among them.
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.sqlite import SQLiteSource, explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_llm_routing.analyze.sources import Source

METRICS = (semconv.INPUT_TOKENS_TOTAL, semconv.OUTPUT_TOKENS_TOTAL)


class Caller(NamedTuple):
    """What tokens are counted by."""

    surface: str
    provider: str
    requested: str
    """Empty where nobody said."""
    served: str
    """Empty where nobody said."""


class Tokens(NamedTuple):
    """Tokens of a period."""

    read: float
    written: float


@runtime_checkable
class Tokened(Protocol):
    """A source that counts tokens."""

    def tokens(self, start: float, end: float) -> Mapping[tuple[str, str, str, str], tuple[float, float]]:
        """Return the input and output tokens of the buckets that begin in ``[start, end)``, by ``Caller``."""
        ...


def read(source: Source, start: float, end: float) -> dict[Caller, Tokens]:
    """Return the tokens in ``[start, end)``; nothing where the source holds none. Raises ``SourceError``."""
    if isinstance(source, Tokened):
        return {Caller(*key): Tokens(*both) for key, both in source.tokens(start, end).items()}
    found = _sqlite(source, start, end) if isinstance(source, SQLiteSource) else _prometheus(source, start, end)
    both: dict[Caller, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for which, caller, tokens in found:
        both[caller][which] += tokens
    return {caller: Tokens(*of) for caller, of in both.items()}


def _sqlite(source: SQLiteSource, start: float, end: float) -> Iterator[tuple[int, Caller, float]]:
    query = """
        SELECT points.metric, surface, provider, requested, served, sum(value)
        FROM points JOIN series ON series.id = points.series
        WHERE points.metric = ? AND bucket >= ? AND bucket < ? GROUP BY surface, provider, requested, served
    """
    try:
        address = f"{Path(source.path).resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
            for which, metric in enumerate(METRICS):
                for _, *words, tokens in connection.execute(query, (metric, start, end)):
                    yield which, Caller(*words), tokens
    except sqlite3.Error as error:
        raise SourceError(explain(error, source.path)) from None


def _prometheus(source: Source, start: float, end: float) -> Iterator[tuple[int, Caller, float]]:
    try:
        from otel_llm_routing.analyze.sources import prometheus  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError:
        return
    if not isinstance(source, prometheus.PrometheusSource):
        return
    step = max(math.ceil(end - start), 1)
    labels = [prometheus.LABELS[name] for name in (semconv.SURFACE, semconv.PROVIDER, *prometheus.SIZE_LABELS[1:])]

    def caller(found: dict[str, str]) -> tuple[str, ...]:
        words = prometheus._words(found)  # noqa: SLF001  (counts of the same series, read the same way)
        return (
            words.get(semconv.SURFACE, "unknown"),
            words.get(semconv.PROVIDER, "unknown"),
            words.get(semconv.REQUEST_MODEL, ""),
            words.get(semconv.RESPONSE_MODEL, ""),
        )

    for which, metric in enumerate(METRICS):
        grown = source._increase(f"{metric.replace('.', '_')}_total", min(step, prometheus.SLICE))  # noqa: SLF001
        query = f"sum by ({', '.join(labels)}) ({grown}) > 0"
        for _, words, tokens in source._totals(query, start, end, step, caller):  # noqa: SLF001
            yield which, Caller(*words), tokens
