"""Where counts come from. ``open_source`` takes what ``--source`` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class SourceError(Exception):
    """A source that cannot be read; the message says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class Count:
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


class Source(Protocol):
    """Yields counts."""

    def counts(self, start: float, end: float, step: int = 0) -> Iterable[Count]:
        """Return the counts of the buckets that begin in ``[start, end)``, in seconds since the epoch.

        ``step`` adds up that many seconds from ``start`` on; 0 gives every bucket by itself.
        """
        ...

    def extent(self) -> tuple[int, int] | None:
        """Return when the first and the last bucket begin that hold requests; None if there are none."""
        ...


def open_source(name: str) -> Source:
    """Open what ``name`` names: ``sqlite:PATH``, or ``prometheus:URL`` or the bare URL. Raises ``SourceError``."""
    kind, _, rest = name.partition(":")
    if kind == "sqlite" and rest:
        from otel_llm_routing.analyze.sources.sqlite import SQLiteSource  # noqa: PLC0415

        return SQLiteSource(rest)
    url = rest if kind == "prometheus" else name if kind.lower() in ("http", "https") else ""
    if url:
        try:
            from otel_llm_routing.analyze.sources.prometheus import PrometheusSource  # noqa: PLC0415  (an extra)
        except ModuleNotFoundError as error:
            msg = f"{error.name} is not installed; prometheus: needs pip install 'otel-llm-routing[prometheus]'"
            raise SourceError(msg) from None
        return PrometheusSource(url)
    # Not all of it: it may be a mistyped address that holds a password.
    msg = (
        f"{kind.partition('/')[0]!r} is not a kind of source; write sqlite:PATH, with the database of otel-llm-routing "
        "serve, or prometheus:http://HOST:9090"
    )
    raise SourceError(msg)
