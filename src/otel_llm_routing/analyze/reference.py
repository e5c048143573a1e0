"""Pinning a reference: the mix of each stream over some weeks, with its noise."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import adjusted, noise, shift
from otel_llm_routing.analyze.history import History
from otel_llm_routing.analyze.sizes import SizeHistory, for_reference
from otel_llm_routing.policy.reference import Mix, Pin, Reference, ReferenceStream, RetiredStream
from otel_llm_routing.policy.thresholds import LEAST_DAYS, SHIFT_RULES, WINDOWS, threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.sources import Source

HOUR = 3600
DAY = 86_400
WEEK = 7
LEAST_REQUESTS = 50
"""A stream with fewer in the whole period says nothing."""
OVER = 7
"""Days without a request at the end of the period, and longer than ever before, after which a stream has ended."""
LEAST_SIZED = 0.5
"""The share of a stream's requests whose sizes must be known."""
RESTLESS = 3
"""Days with an hour far from the reference; fewer are incidents."""
_FAST = next(rule for rule in SHIFT_RULES if rule.window == WINDOWS["1h"])


class StreamNote(NamedTuple):
    """What there is to say of one stream."""

    surface: str
    requested: str
    text: str


class Pinned(NamedTuple):
    """What pinning has found."""

    reference: Reference
    skipped: list[StreamNote]
    """The streams that get no reference, and why."""
    retired: list[StreamNote]
    """Those among them, or not seen at all, that had one."""
    unsized: list[StreamNote]
    """The streams that have no sizes, though the source knows sizes of some of their requests."""
    restless: list[StreamNote]
    """The streams whose mix of an hour is often far from that of the weeks."""


class PinError(Exception):
    """Nothing can be pinned; the message says why and what to do."""


def pin(
    source: Source,
    *,
    name: str,
    reason: str,
    end: float,
    days: int,
    before: Reference | None = None,
    surfaces: Collection[str] = (),
    now: float | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Pinned:
    """Return the reference of the ``days`` before ``end``.

    ``before`` is the file that is replaced; what it said stays in it as history. With ``surfaces`` only those are
    pinned anew. Raises ``PinError`` and ``SourceError``.
    """
    if days < LEAST_DAYS:
        msg = f"{days} days are too few; a reference needs {LEAST_DAYS}, better 28, or the weekend looks like a shift"
        raise PinError(msg)
    end = end // HOUR * HOUR
    start = end - days * DAY
    progress("reading counts")
    counts = History(start, HOUR, days * 24)
    counts.take(source, start, end)
    missing = _gaps(counts)
    act = Pin(
        id=max((p.id for p in before.pins), default=0) + 1 if before else 1,
        at=_time(end if now is None else now),
        reason=reason.strip(),
        start=_time(start),
        end=_time(end),
        source=without_secrets(name),
        gaps=tuple(_day(start + DAY * int(day)) for day in np.flatnonzero(missing)),
    )
    progress("estimating noise")
    found: dict[tuple[str, str], Mix] = {}
    skipped: list[StreamNote] = []
    restless: list[StreamNote] = []
    for key, models in sorted(counts.streams().items()):
        if surfaces and key[0] not in surfaces:
            continue
        served, hours = _stacked(models, missing)
        mix = _mix(served, hours, act.id)
        if isinstance(mix, str):
            skipped.append(StreamNote(*key, mix))
            continue
        found[key] = mix
        if said := _restless(mix, hours):
            restless.append(StreamNote(*key, said))
    if lacking := sorted(set(surfaces) - {key[0] for key in found}):
        why = next((s.text for s in skipped if s.surface == lacking[0]), "no requests with a known served model")
        msg = f"{lacking[0]}: {why}; nothing was pinned"
        raise PinError(msg)
    if not found:
        why = f" ({skipped[0].surface}: {skipped[0].text})" if skipped else ""
        msg = f"no stream has enough requests in these {days} days{why}; see the report for what the source holds"
        raise PinError(msg)
    progress("reading the sizes of requests")
    sizes = SizeHistory(start, DAY, days)
    sizes.add(source.sizes(start, end, DAY))
    unsized = _add_sizes(found, sizes)
    merged = _merge(act, found, before, frozenset(surfaces))
    return Pinned(merged, skipped, _retired(merged, act, skipped), unsized, restless)


def without_secrets(name: str) -> str:
    """Return a source's name without user and password, which are nobody's business in a committed file."""
    return name if name.startswith("sqlite:") else re.sub(r"//[^/?#]*@", "//", name)


# Counts ---------------------------------------------------------------------------------------------------------------


def _gaps(counts: History) -> NDArray[np.bool_]:
    """Return which days of the period nobody measured.

    Not one request was counted of any surface, though on most of the same weekdays there were some: an outage of the
    measurement, or the time before it began. A weekend on which nobody works is none.
    """
    hourly = np.zeros(counts.size)
    for of in (*counts.known.values(), *counts.unknown.values()):
        hourly += of
    alive = hourly.reshape(-1, 24).sum(axis=1) > 0
    missing: NDArray[np.bool_] = ~alive
    for day in np.flatnonzero(~alive):
        same = alive[day % WEEK :: WEEK]
        missing[day] = 2 * same.sum() >= len(same) - 1 and same.any()
    return missing


def _stacked(models: Mapping[str, NDArray[np.float64]], missing: NDArray[np.bool_]) -> tuple[list[str], np.ndarray]:
    """Return the served models, the busiest first, and their requests in each measured hour: (hours, models)."""
    measured = np.repeat(~missing, 24)
    totals = {name: float(counts[measured].sum()) for name, counts in models.items()}
    served = sorted((name for name, total in totals.items() if total > 0), key=lambda name: (-totals[name], name))
    hours = [models[name][measured] for name in served]
    return served, np.stack(hours, axis=1) if hours else np.zeros((int(measured.sum()), 0))


# One stream -----------------------------------------------------------------------------------------------------------


def _mix(served: list[str], hours: NDArray[np.float64], number: int) -> Mix | str:
    """Return the mix, or why there is none."""
    total = round(float(hours.sum()))
    if total < LEAST_REQUESTS:
        return f"{total} requests with a known served model; a reference needs {LEAST_REQUESTS}"
    busy = np.flatnonzero(hours.sum(axis=1))
    rest = int(np.diff(busy).max()) - 1 if len(busy) > 1 else 0
    silent = len(hours) - 1 - int(busy[-1])
    if silent > max(rest, OVER * 24):
        return f"no request in the last {silent // 24} days"
    # A silence before the first request no longer than others is one of its silences; a longer one, its beginning.
    first = 0 if busy[0] <= rest else int(busy[0]) // 24
    days = len(hours) // 24 - first
    if days < LEAST_DAYS:
        return f"{days} days with counts, from its first request on; a reference needs {LEAST_DAYS}"
    found = noise.estimate(hours[first * 24 :])
    return Mix(
        pin=number,
        requests=total,
        days=days,
        design_effect=round(found.design_effect, 3),
        concentration=round(found.concentration, 1),
        shares={name: float(f"{of:.6g}") for name, of in zip(served, hours.sum(axis=0) / hours.sum(), strict=True)},
    )


def _add_sizes(found: dict[tuple[str, str], Mix], sizes: SizeHistory) -> list[StreamNote]:
    """Give each mix its sizes, where they are known of most of its requests; return where they are of only some."""
    unsized = []
    for key, mix in found.items():
        # What the counter never called a served model is a name that the answer repeats, or a failed call's.
        days = [of.of(mix.shares) for of in sizes.slices(key, mix.shares)]
        if not days:
            continue
        whole = days[0]._replace(counts=np.sum([of.counts for of in days], axis=0))
        covered = float(whole.counts.sum()) / mix.requests
        if covered < LEAST_SIZED:
            unsized.append(StreamNote(*key, f"the sizes of only {covered:.0%} of its requests are known"))
            continue
        steady = adjusted.concentration(whole, days, mix.design_effect)
        found[key] = mix.model_copy(update={"sizes": for_reference(whole, steady)})
    return unsized


def _restless(mix: Mix, hours: NDArray[np.float64]) -> str:
    """Return what to know where the hours of the reference's own weeks would have raised the alert about an hour."""
    n = hours.sum(axis=1)
    effective = shift.effective_requests(n, mix.requests, mix.design_effect, mix.concentration, _FAST.window.factor)
    limit = threshold(None, mix.days, mix.concentration) + _FAST.above_threshold
    p = np.array(list(mix.shares.values()))
    with np.errstate(invalid="ignore"):
        moved = np.abs(hours / n[:, None] - p)
    far = (shift.score(hours, n[:, None], p, effective[:, None]) > limit) & (moved * 100 >= _FAST.points)
    on = int(far.any(axis=1).reshape(-1, 24).any(axis=1).sum())
    if on < RESTLESS:
        return ""
    least = math.ceil(float(moved[far].max()) * 100)
    return (
        f"{_FAST.alert} would have fired on {on} of these days: the mix follows the hour of the day, or it shifted "
        f"within the period; look at the report, and if it is the hour, set tolerance: {min(least, 50)} in the policy"
    )


# The file -------------------------------------------------------------------------------------------------------------


def _merge(
    act: Pin, found: Mapping[tuple[str, str], Mix], before: Reference | None, surfaces: frozenset[str]
) -> Reference:
    old: dict[tuple[str, str], ReferenceStream] = {}
    if before is not None:
        old = {(s.surface, s.requested): s for s in (*before.retired, *before.streams)}
    streams: list[ReferenceStream] = []
    for key, mix in found.items():
        was = old.pop(key, None)
        earlier = () if was is None else (_bare(was), *was.before)
        streams.append(ReferenceStream(**dict(mix), surface=key[0], requested=key[1], before=earlier))
    retired: list[RetiredStream] = []
    for stream in old.values():
        if isinstance(stream, RetiredStream):
            retired.append(stream)
        elif surfaces and stream.surface not in surfaces:
            streams.append(stream)
        else:
            retired.append(RetiredStream(**dict(stream), retired_by=act.id))
    return Reference(
        pins=(*(before.pins if before else ()), act),
        streams=tuple(sorted(streams, key=lambda s: (s.surface, s.requested))),
        retired=tuple(sorted(retired, key=lambda s: (s.surface, s.requested))),
    )


def _bare(stream: ReferenceStream) -> Mix:
    # Sizes are of use for the latest pin alone, and as long as the rest of a stream.
    return Mix(**{name: getattr(stream, name) for name in Mix.model_fields if name != "sizes"})


def _retired(merged: Reference, act: Pin, skipped: list[StreamNote]) -> list[StreamNote]:
    why = {(note.surface, note.requested): note.text for note in skipped}
    return [
        StreamNote(s.surface, s.requested, why.get((s.surface, s.requested), "no requests with a known served model"))
        for s in merged.retired
        if s.retired_by == act.id
    ]


def _time(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(seconds))


def _day(seconds: float) -> date:
    return _time(seconds).date()
