"""The daily report's detector: which shares have left their bands, since when, and how close the others are.

Everything is computed anew from the counts since the reference was pinned; there is no state to keep or to lose.
``docs/detection.md`` derives it, ``evidence`` holds the statistic and names its source.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import interval
from otel_llm_routing.analyze.evidence import Evidence
from otel_llm_routing.analyze.novelty import new_models, vanished_models
from otel_llm_routing.analyze.onset import onset
from otel_llm_routing.analyze.watch import units

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.history import History
    from otel_llm_routing.analyze.novelty import NewModel, VanishedModel
    from otel_llm_routing.analyze.watch import Side, Unit, Watched
    from otel_llm_routing.policy.plan import Plan
    from otel_llm_routing.policy.reference import Reference

DAY = 86_400
DAYS_TO_FALSE_ALARM = 1000.0
"""A: the days of traffic that pass at least, on average, before a surface on which nothing shifts raises an alarm."""
SAME = 1e-6
"""Evidence, as a logarithm, that differs by less is equal: of two models, one's gain is the other's loss."""
_LARGEST = 690.0
"""The logarithm of what is still written as a number."""


class Alarm(NamedTuple):
    """A share has left its band. Times are in seconds since the epoch, shares 0 to 1."""

    surface: str
    requested: str
    """Empty where the requests named no model, or where the limit is one of the surface (see ``band``)."""
    served: str
    """The served model; empty where ``band`` matches several, or none."""
    band: str
    """The glob of the limit that the policy declares; empty where the band is the reference's own."""
    side: Side
    edge: float
    """The end of the band that the share is beyond."""
    at: float
    """The end of the day that raised it."""
    onset: float
    """The beginning of the day from which on the share is a different one: the likeliest."""
    share: float
    """From the onset on."""
    low: float
    high: float
    """Wilson's 95 % interval of ``share``, with the effective number of requests; see ``interval``. The days are chosen
    for what they show, so it holds less: the new share in 9 of 10 cases at 200 requests a day, in 8 at 20
    (tests/detection/test_detector.py)."""
    requests: int
    """From the onset on, with a known served model."""
    reference: float | None
    """The share when the reference was pinned; None: there is no reference."""
    evidence: float
    """The mean of M, at or above ``threshold``."""
    threshold: float
    again: bool
    """Whether an alarm before this one was about the same shift, which goes on."""


class Standing(NamedTuple):
    """How close a stream, or the declared limits of a surface, is to an alarm."""

    surface: str
    requested: str | None
    """None: the declared limits of the whole surface."""
    served: str
    band: str
    side: Side
    """The side of the share that speaks most for an alarm."""
    evidence: float
    """The mean of M since the last alarm, or since the reference; it is about 1 where nothing shifts."""
    threshold: float
    days: int
    """Days with requests that it comes from."""
    last: float | None
    """The end of the last day with requests, in seconds since the epoch; None: there is none."""

    @property
    def closeness(self) -> float:
        """The way to an alarm, from 0 to 1: the logarithm of the evidence, which a shift lets grow by the day."""
        return min(math.log1p(self.evidence) / math.log1p(self.threshold), 1.0)


class Detection(NamedTuple):
    """What the days up to ``end`` say."""

    start: float
    end: float
    """The end of the last day that is over, in seconds since the epoch; later counts are left out."""
    alarms: tuple[Alarm, ...]
    """Those of every day since the reference, in order."""
    standing: tuple[Standing, ...]
    """The closest to an alarm first."""
    new: tuple[NewModel, ...]
    vanished: tuple[VanishedModel, ...]
    """On the last day."""

    def today(self) -> tuple[Alarm, ...]:
        """Return the alarms that the last day raised."""
        return tuple(alarm for alarm in self.alarms if alarm.at == self.end)


def fleet(surfaces: int, days: float) -> float:
    """Return A for ``surfaces`` surfaces that together may raise one false alarm in ``days`` days. Raises ValueError.

    It is S·D: no surface, on average, comes to an evidence that all of them together would share.
    """
    if surfaces < 1 or not 1 <= days < math.inf:
        msg = f"{surfaces} surfaces and {days:g} days: at least one of each is needed"
        raise ValueError(msg)
    return surfaces * days


def pinned_until(reference: Reference) -> dict[tuple[str, str], float]:
    """Return when the weeks ended from which each stream's reference comes: what came before says nothing about it."""
    return {(s.surface, s.requested): reference.pin_of(s).end.timestamp() for s in reference.streams}


def detect(
    history: History,
    plan: Plan,
    *,
    alarm_at: float = DAYS_TO_FALSE_ALARM,
    since: Mapping[tuple[str, str], float] | None = None,
    until: float = math.inf,
) -> Detection:
    """Return the alarms of each day of ``history``, and where every stream of ``plan`` stands at its end.

    Days are counted from the history's start on, in its steps, of which a day must have a whole number. A day that is
    not over at ``until`` (seconds since the epoch), or of which the history holds a part, is left out. A day without
    requests is a gap: it is no evidence. ``since`` is what ``pinned_until`` returns, where the history begins before
    the reference does. ``alarm_at`` is A, in days for each surface; see ``fleet``. Raises ``ValueError``.
    """
    if DAY % history.step:
        msg = f"a history in steps of {history.step} s cannot be added up to days; read it in steps of {DAY} s"
        raise ValueError(msg)
    if not 1 <= alarm_at < math.inf:
        msg = f"an alarm at an evidence of {alarm_at:g} means nothing; name the days to a false alarm, 1000 or so"
        raise ValueError(msg)
    counts, days = _by_day(history, until)
    watched = units(counts, plan, days)
    first = _first_days(watched, history.start, since or {}, days)
    run = _Run(watched, first, history.start, alarm_at)
    run.all(days)
    novel: list[NewModel] = []
    gone: list[VanishedModel] = []
    begin = {(unit.surface, unit.requested): at for unit, at in zip(watched, first, strict=True)}
    none = np.zeros(days)
    for stream in plan.streams:
        key = (stream.surface, stream.requested)
        models = {served: of[begin[key] :] for served, of in counts.get(key, {}).items()}
        total = sum(models.values(), none[begin[key] :])
        start = history.start + begin[key] * DAY
        novel += new_models(stream, models, total, start)
        gone += vanished_models(stream, models, total, start)
    return Detection(
        history.start,
        history.start + days * DAY,
        tuple(run.alarms),
        tuple(sorted(run.standing(), key=lambda s: (-s.closeness, s.surface, s.requested or ""))),
        tuple(novel),
        tuple(gone),
    )


def _by_day(history: History, until: float) -> tuple[dict[tuple[str, str], dict[str, NDArray[np.float64]]], int]:
    """Return the requests of each day that is over, and how many such days there are."""
    steps = DAY // history.step
    over = math.floor((min(until, history.start + history.size * history.step) - history.start) / DAY)
    days = max(over, 0)
    daily = {
        key: {served: of[: days * steps].reshape(days, steps).sum(axis=1) for served, of in models.items()}
        for key, models in history.streams().items()
    }
    return daily, days


def _first_days(watched: list[Unit], start: float, since: Mapping[tuple[str, str], float], days: int) -> list[int]:
    """Return the first whole day after each unit's reference was pinned; of a surface, after the last of its pins."""
    by_surface: dict[str, float] = {}
    for (surface, _), at in since.items():
        by_surface[surface] = max(at, by_surface.get(surface, at))
    found = []
    for unit in watched:
        of_surface = by_surface.get(unit.surface, start)
        at = of_surface if unit.requested is None else since.get((unit.surface, unit.requested), start)
        found.append(min(max(math.ceil((at - start) / DAY), 0), days))
    return found


class _Before(NamedTuple):
    """The last alarm of a unit. Days are counted from the history's start on."""

    day: int
    onset: int
    watched: Watched


class _Run:
    """All days of all units, one after the other."""

    def __init__(self, watched: list[Unit], first: list[int], start: float, alarm_at: float) -> None:
        self.units = watched
        self.first = first
        self.start = start
        shared: dict[str, int] = {}
        for unit in watched:
            shared[unit.surface] = shared.get(unit.surface, 0) + bool(unit.watched)
        self.threshold = np.array([alarm_at * shared[unit.surface] for unit in watched])
        """Units of one surface share its A: the first of K to reach K·A has taken A days or more, on average."""
        self.total = _stacked([unit.total for unit in watched])
        self.seen = self.total > 0
        for number, day in enumerate(first):
            self.seen[number, :day] = False
        self.active = np.array([i for i, unit in enumerate(watched) if unit.watched], dtype=np.intp)
        rows = [(unit, one) for unit in watched for one in unit.watched]
        sizes = np.array([len(watched[i].watched) for i in self.active], dtype=np.intp)
        edges = np.array([one.edge if one.side == "above" else 1 - one.edge for _, one in rows])
        self.evidence = Evidence(edges, np.array([unit.concentration for unit, _ in rows]), sizes)
        phi = np.array([unit.design_effect for unit, _ in rows])[:, None]
        n = _stacked([unit.total for unit, _ in rows]) / phi if rows else self.total[:0]
        count = _stacked([_on_side(unit, one) for unit, one in rows]) / phi if rows else n
        self.count, self.n = count, n
        self.alarms: list[Alarm] = []
        self.before: dict[int, _Before] = {}
        """Of a unit, its last alarm."""

    def all(self, days: int) -> None:
        if not len(self.active):
            return
        limits = np.log(self.threshold[self.active])
        for day in range(days):
            self.evidence.add(self.count[:, day], self.n[:, day], self.seen[self.active, day])
            means = self.evidence.log_means()
            for at in np.flatnonzero(means >= limits):
                self._alarm(int(at), day, float(means[at]))
                self.evidence.restart(int(at))

    def _leading(self, active: int) -> Watched:
        """Return the share that speaks most for an alarm; of equals, the one that gains."""
        of = self.units[self.active[active]].watched
        found = self.evidence.log_rows(active).tolist()
        equals = [one for one, log in zip(of, found, strict=True) if log >= max(found) - SAME]
        first: Watched = min(equals, key=lambda one: (one.side != "above", one.served, one.band))
        return first

    def _alarm(self, active: int, day: int, log_mean: float) -> None:
        number = int(self.active[active])
        unit, one = self.units[number], self._leading(active)
        before = self.before.get(number)
        first = self._after(number)
        days = slice(first, day + 1)
        base = one.edge if one.reference is None else one.reference
        # A reference that is beyond a declared limit has been so from the first day on.
        base = min(base, one.edge) if one.side == "above" else max(base, one.edge)
        seen = np.where(self.seen[number, days], 1.0, 0.0)
        found = onset(
            one.counts[days] * seen / unit.design_effect,
            unit.total[days] * seen / unit.design_effect,
            unit.concentration,
            base,
            above=one.side == "above",
        )
        again = before is not None and found.as_early_as_seen and _beyond(unit, before.watched, days)
        begin = before.onset if before is not None and again else first + found.day
        total = unit.total[begin : day + 1]
        share = float(one.counts[begin : day + 1].sum() / total.sum())
        effective = interval.effective_requests(total, unit.design_effect, unit.concentration)
        low, high = interval.wilson(share, effective)
        self.before[number] = _Before(day, begin, one)
        self.alarms.append(
            Alarm(
                surface=unit.surface,
                requested=unit.requested or "",
                served=one.served,
                band=one.band,
                side=one.side,
                edge=one.edge,
                at=self.start + (day + 1) * DAY,
                onset=self.start + begin * DAY,
                share=share,
                low=float(low),
                high=float(high),
                requests=round(float(total.sum())),
                reference=one.reference,
                evidence=math.exp(min(log_mean, _LARGEST)),
                threshold=float(self.threshold[number]),
                again=again,
            )
        )

    def _after(self, number: int) -> int:
        """Return the first day that counts since a unit's last alarm."""
        return self.before[number].day + 1 if number in self.before else self.first[number]

    def standing(self) -> list[Standing]:
        if not len(self.active):
            return []
        means = self.evidence.log_means()
        found = []
        for active, number in enumerate(self.active.tolist()):
            unit, one = self.units[number], self._leading(active)
            seen = np.flatnonzero(self.seen[number])
            found.append(
                Standing(
                    unit.surface,
                    unit.requested,
                    one.served,
                    one.band,
                    one.side,
                    math.exp(min(float(means[active]), _LARGEST)),
                    float(self.threshold[number]),
                    int(self.seen[number, self._after(number) :].sum()),
                    self.start + (int(seen[-1]) + 1) * DAY if len(seen) else None,
                )
            )
        return found


def _stacked(arrays: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(arrays) if arrays else np.zeros((0, 0))


def _beyond(unit: Unit, one: Watched, days: slice) -> bool:
    """Return whether the share over ``days`` is outside of its band."""
    share = float(one.counts[days].sum() / unit.total[days].sum())
    return share > one.edge if one.side == "above" else share < one.edge


def _on_side(unit: Unit, one: Watched) -> NDArray[np.float64]:
    """Return the requests whose share a bet on "above" is about: of "below", those of all other models."""
    return one.counts if one.side == "above" else unit.total - one.counts
