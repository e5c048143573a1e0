"""Where counts come from. ``open_source`` takes what ``--source`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Progress = Callable[[int, int], None]
    """Called during a long read with how much is done and how much there is, in whatever the source reads by."""


class SourceError(Exception):
    """A source that cannot be read; the message says which, why and what to do."""


class Count(NamedTuple):
    """Requests of one series within one step of time."""

    start: int
    """Seconds since the epoch, the beginning of the step."""
    surface: str
    provider: str
    operation: str
    requested: str
    """Empty where nobody said."""
    served: str
    """Empty where nobody said."""
    kind: str
    match: str
    served_source: str
    cached: bool
    error: str
    """The error's type, or empty."""
    requests: int
    service: str = ""
    """``service.name`` of the process that counted."""

    @classmethod
    def of(cls, start: int, key: Sequence[str], requests: int) -> Count:
        """Return the count of the series ``key`` (see ``series.KEY``)."""
        surface, provider, operation, requested, served, kind, match, source, cached, error, service = key
        return cls(
            start,
            surface,
            provider,
            operation,
            requested,
            served,
            kind,
            match,
            source,
            cached == "true",
            error,
            requests,
            service,
        )


class SizeCount(NamedTuple):
    """Requests of one size, within one step of time."""

    start: int
    """Seconds since the epoch, the beginning of the step."""
    surface: str
    requested: str
    """Empty where nobody said."""
    served: str
    """Empty where nobody said."""
    bound: float
    """The largest size of the bucket, in characters; infinite for the last. It begins above the bound before it."""
    requests: int


class TokenCount(NamedTuple):
    """Tokens of the requests of one series."""

    surface: str
    provider: str
    requested: str
    """Empty where nobody said."""
    served: str
    """Empty where nobody said."""
    read: int
    """Input tokens."""
    written: int
    """Output tokens."""


class Batch(NamedTuple):
    """The counts of one step of time."""

    start: int
    """Seconds since the epoch, the beginning of the step."""
    rows: list[tuple[Any, ...]]
    """The number of a series, and what it counted."""
    series: Mapping[int, tuple[str, ...]]
    """Every series by its number; see ``series.KEY``. The same in all batches of a read."""


class Source(Protocol):
    """Yields counts."""

    warnings: list[str]
    """What the reads so far could not take in, one line each; none: they were whole. With any, say "partial"."""

    def warned(self, start: float) -> Sequence[str]:
        """Return the ``warnings`` without those that are only about times before ``start``."""
        ...

    def counts(self, start: float, end: float, step: int = 0) -> Iterable[Count]:
        """Return the counts of the buckets that begin in ``[start, end)``, in seconds since the epoch.

        ``step`` adds up that many seconds from ``start`` on; 0 gives every bucket by itself. A series may come more
        than once for a step: add up.
        """
        ...

    def sizes(self, start: float, end: float, step: int = 0) -> Iterable[SizeCount]:
        """Return how many requests were of which size, of the buckets of time that ``counts`` would return.

        They come from the histogram ``llm_routing.input_size``, whose attributes are surface, provider, requested and
        served model. It says nothing of match, errors and the cache: cached answers and failed calls are among these
        numbers, and a served model may be unconfirmed. So they tell how sizes are distributed, and are no second count
        of requests.
        """
        ...

    def tokens(self, start: float, end: float) -> Iterable[TokenCount]:
        """Return the tokens of the buckets that begin in ``[start, end)``.

        They come from the counters ``llm_routing.input_tokens`` and ``llm_routing.output_tokens``, whose attributes are
        those of ``sizes``: failed calls and cached answers are among them, as far as they had tokens. A series may come
        more than once, its input and output apart: add up.
        """
        ...

    def extent(self) -> tuple[int, int] | None:
        """Return when the first and the last bucket begin that hold requests; None if there are none."""
        ...


@runtime_checkable
class Batched(Protocol):
    """A source that also gives counts in batches, for those who take in millions."""

    def batches(self, start: float, end: float, step: int = 0) -> Iterable[Batch]:
        """Return what ``counts`` would, one batch a step."""
        ...


SOURCE = "Where counts come from: sqlite:PATH, otlp:PATH or prometheus:URL."
"""The help text of ``--source``."""


def open_source(name: str, progress: Progress | None = None) -> Source:
    """Open what ``name`` names: ``sqlite:PATH``, ``otlp:PATH``, ``prometheus:URL`` or the bare URL.

    ``progress`` is called during long reads. Raises ``SourceError``.
    """
    kind, _, rest = name.partition(":")
    if kind == "sqlite" and rest:
        from otel_llm_routing.analyze.sources.sqlite import SQLiteSource  # noqa: PLC0415

        return SQLiteSource(rest, progress=progress)
    if kind == "otlp" and rest:
        from otel_llm_routing.analyze.sources.otlp_json import OTLPFileSource  # noqa: PLC0415

        return OTLPFileSource(rest, progress=progress)
    url = rest if kind == "prometheus" else name if kind.lower() in ("http", "https") else ""
    if url:
        try:
            from otel_llm_routing.analyze.sources.prometheus import PrometheusSource  # noqa: PLC0415  (an extra)
        except ModuleNotFoundError as error:
            msg = f"{error.name} is not installed; prometheus: needs pip install 'otel-llm-routing[prometheus]'"
            raise SourceError(msg) from None
        return PrometheusSource(url, progress=progress)
    if not rest and (whole := {"sqlite": "PATH", "otlp": "PATH", "prometheus": "http://HOST:9090"}.get(kind)):
        msg = f"{kind}: names nothing to read; write {kind}:{whole}"
        raise SourceError(msg)
    # Not all of it: it may be a mistyped address that holds a password.
    msg = (
        f"{kind.partition('/')[0]!r} is not a kind of source; write sqlite:PATH, with the database of otel-llm-routing "
        "serve, otlp:PATH, with files of the Collector's file exporter, or prometheus:http://HOST:9090"
    )
    raise SourceError(msg)
