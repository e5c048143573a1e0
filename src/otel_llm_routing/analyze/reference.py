"""Pinning a reference: the mix of each stream over some weeks, with its noise."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import history, noise
from otel_llm_routing.policy.reference import Mix, Pin, Reference, ReferenceStream
from otel_llm_routing.policy.thresholds import LEAST_DAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from otel_llm_routing.analyze.sources import Source

HOUR = 3600
DAY = 86_400
LEAST_REQUESTS = 50
"""A stream with fewer in the whole period says nothing."""
LEAST_DAYS_OF_STREAM = LEAST_DAYS


class Skipped(NamedTuple):
    """A stream that gets no reference, and why."""

    surface: str
    requested: str
    reason: str


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
) -> tuple[Reference, list[Skipped]]:
    """Return the reference of the ``days`` before ``end``, and the streams that got none.

    ``before`` is the file that is replaced; what it said stays in it as history. With ``surfaces`` only those are
    pinned anew. Raises ``PinError`` and ``SourceError``.
    """
    if days < LEAST_DAYS:
        msg = f"{days} days are too few; a reference needs {LEAST_DAYS}, better 28, or the weekend looks like a shift"
        raise PinError(msg)
    end = end // HOUR * HOUR
    progress(f"reading {days} days")
    counts = history.read(source, end, days * DAY, HOUR)
    act = Pin(
        id=max((p.id for p in before.pins), default=0) + 1 if before else 1,
        at=_time(end if now is None else now),
        reason=reason.strip(),
        start=_time(end - days * DAY),
        end=_time(end),
        source=without_secrets(name),
    )
    progress("estimating noise")
    found: dict[tuple[str, str], Mix] = {}
    skipped: list[Skipped] = []
    for key, models in sorted(counts.streams().items()):
        if surfaces and key[0] not in surfaces:
            continue
        mix, why = _mix(models, act.id)
        if mix is None:
            skipped.append(Skipped(*key, why))
        else:
            found[key] = mix
    if missing := sorted(set(surfaces) - {key[0] for key in found}):
        why = next((s.reason for s in skipped if s.surface == missing[0]), "no requests with a known served model")
        msg = f"{missing[0]}: {why}; nothing was pinned"
        raise PinError(msg)
    if not found:
        why = f" ({skipped[0].surface}: {skipped[0].reason})" if skipped else ""
        msg = f"no stream has enough requests in these {days} days{why}; see the report for what the source holds"
        raise PinError(msg)
    return _merge(act, found, before, frozenset(surfaces)), skipped


def _mix(models: dict[str, np.ndarray], number: int) -> tuple[Mix | None, str]:
    served = sorted(models, key=lambda name: (-models[name].sum(), name))
    hours = np.stack([models[name] for name in served], axis=1)
    total = round(float(hours.sum()))
    if total < LEAST_REQUESTS:
        return None, f"{total} requests with a known served model; a reference needs {LEAST_REQUESTS}"
    first = int(np.flatnonzero(hours.sum(axis=1))[0])
    days = (len(hours) - first) / 24
    if days < LEAST_DAYS_OF_STREAM - 1:
        return None, f"first seen {days:.0f} days before the end; a reference needs {LEAST_DAYS}"
    found = noise.estimate(hours[first // 24 * 24 :])
    shares = {name: float(models[name].sum()) / total for name in served if models[name].sum() > 0}
    return (
        Mix(
            pin=number,
            requests=total,
            days=round(days, 2),
            design_effect=round(found.design_effect, 3),
            concentration=round(found.concentration, 1),
            shares={name: _rounded(share) for name, share in shares.items()},
        ),
        "",
    )


def _rounded(share: float) -> float:
    return float(f"{share:.6g}")


def _merge(
    act: Pin, found: dict[tuple[str, str], Mix], before: Reference | None, surfaces: frozenset[str]
) -> Reference:
    old = {} if before is None else {(s.surface, s.requested): s for s in (*before.streams, *before.retired)}
    streams = []
    for key, mix in found.items():
        was = old.pop(key, None)
        earlier = () if was is None else (_bare(was), *was.before)
        streams.append(ReferenceStream(**mix.model_dump(), surface=key[0], requested=key[1], before=earlier))
    active = set() if before is None else {(s.surface, s.requested) for s in before.streams}
    kept = [s for key, s in old.items() if key in active and surfaces and s.surface not in surfaces]
    retired = [s for s in old.values() if s not in kept]
    return Reference(
        pins=(*(before.pins if before else ()), act),
        streams=tuple(sorted((*streams, *kept), key=lambda s: (s.surface, s.requested))),
        retired=tuple(sorted(retired, key=lambda s: (s.surface, s.requested))),
    )


def _bare(stream: ReferenceStream) -> Mix:
    return Mix(**{name: getattr(stream, name) for name in Mix.model_fields})


def _time(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=int(seconds))


def without_secrets(name: str) -> str:
    """Return a source's name without user, password and query, which may hold a token."""
    return re.sub(r"//[^/@]*@", "//", name).partition("?")[0]
