"""The past, replayed: which alarms the rules and the daily detector would have raised, before anybody switches them on.

``docs/backtest.md`` says how to read it, and describes the document; fields are added to that, never changed or taken
away.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.analyze import budget, detector, verdicts
from otel_llm_routing.analyze import reference as pinning
from otel_llm_routing.analyze.alert_text import description, percentage
from otel_llm_routing.analyze.archive import NAMELESS, Archive, add_days
from otel_llm_routing.analyze.history import History
from otel_llm_routing.analyze.replay import DAY, UNKNOWN_SURFACE, Ground, Period, SurfaceReplay, per_month, replay
from otel_llm_routing.analyze.window import utc
from otel_llm_routing.policy import thresholds
from otel_llm_routing.policy.plan import Plan, plan
from otel_llm_routing.policy.thresholds import FULL_DAYS, LEAST_DAYS, SLICE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_llm_routing.analyze.archive import Gap
    from otel_llm_routing.analyze.detector import Detection
    from otel_llm_routing.analyze.sources import Source
    from otel_llm_routing.policy.plan import StreamPlan, SurfacePlan
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy

    Progress = Callable[[str, int, int], None]
    """Told what is being done, how much of it is done, and how much there is."""

HOUR = 3600
SCHEMA = "otel-llm-routing/backtest/v1"
LOOK_BACK = -(-verdicts.SPAN // DAY)
"""Days before the replay that are read, so that windows are full when it begins."""
LEAST_REPLAYED = 7
"""Days that must be left of a history when a reference has been pinned from its beginning."""


class BacktestError(Exception):
    """Nothing can be replayed; the message says why and what to do."""


class Backtest(NamedTuple):
    """What the replay found. Times are in seconds since the epoch."""

    asked: Period
    replayed: Period
    """Later than asked where the source holds less, or where a reference was pinned from the beginning."""
    last: float
    """The end of the last slice with requests."""
    gaps: tuple[Period, ...]
    """When nobody measured, within the replay."""
    partial: tuple[str, ...]
    """What the source could not give; empty: it gave all it has."""
    pinned: Period | None
    """What a reference was pinned from for this replay; None: one was given."""
    surfaces: tuple[SurfaceReplay, ...]
    detection: Detection
    """Of the daily detector."""

    @property
    def gap_days(self) -> float:
        """Days in which nobody measured."""
        return sum(gap.end - gap.start for gap in self.gaps) / DAY

    def over_budget(self) -> list[SurfaceReplay]:
        """Return the surfaces whose shift alerts exceed their budget."""
        return [s for s in self.surfaces if s.budget is not None and s.budget.kept is False]

    def detected(self) -> dict[str, list[Detected]]:
        """Return what the daily detector found, by surface and in order."""
        found: dict[str, list[Detected]] = defaultdict(list)
        latest: dict[tuple[str, str, bool], int] = {}
        for alarm in self.detection.alarms:
            mine = found[alarm.surface]
            unit = (alarm.surface, alarm.requested, bool(alarm.band))
            if alarm.again and unit in latest:
                first = mine[latest[unit]]
                mine[latest[unit]] = first._replace(until=alarm.at, times=first.times + 1)
            else:
                latest[unit] = len(mine)
                mine.append(Detected(alarm, alarm.at, 1))
        return found


class Detected(NamedTuple):
    """One shift that the daily detector found."""

    alarm: detector.Alarm
    """The first."""
    until: float
    """The end of the day that raised the last, in seconds since the epoch."""
    times: int
    """How often it was raised: evidence of a shift that goes on comes together again."""


class ThresholdRow(NamedTuple):
    """What one L would have meant for all surfaces together."""

    threshold: float
    alarms: int
    per_month: float | None
    """Of one surface, on average."""
    over: int
    """Surfaces whose declared budget it does not keep."""
    mild: float | None
    """The ``false_alarms_per_month`` that gives it, or the next higher L, in the policy; None: none does."""
    rough: float | None
    """The same for a stream whose mix wobbles much by itself."""


def backtest(
    source: Source,
    policy: Policy | None,
    reference: Reference | None,
    *,
    at: float,
    days: int,
    name: str = "",
    progress: Progress = lambda _, __, ___: None,
) -> Backtest:
    """Replay the ``days`` before ``at`` (seconds since the epoch), from the midnight (UTC) before on.

    Without a reference one is pinned from the first 28 days, or 14 of a short history, and the rest is replayed;
    ``name`` is the source's, for that reference. Raises ``BacktestError`` and ``SourceError``.
    """
    end = at // SLICE * SLICE
    asked = Period(max((end - days * DAY) // DAY * DAY, 0), end)
    start = max(asked.start - (LOOK_BACK * DAY if reference else 0), 0)
    archive = Archive(start, int((end - start) // SLICE))
    archive.take(source, lambda done, of: progress("reading", done, of))
    if not archive.measured.any():
        extent = source.extent()
        held = "none were ever received" if extent is None else f"there are some from {utc(extent[0])} on"
        msg = f"no calls between {utc(start)} and {utc(end)}, so nothing can be replayed; {held}"
        raise BacktestError(msg)
    first = archive.start + int(archive.measured.argmax()) * SLICE
    begin, pinned = max(asked.start, first // DAY * DAY), None
    if reference is None:
        pinned = _first_weeks(begin, end)
        progress("pinning a reference", 0, 0)
        reference = _pinned(source, pinned, name)
        begin = pinned.end
    replayed = Period(begin, end)
    gaps = archive.gaps()
    surfaces, detection = judged(archive, gaps, policy, reference, replayed, progress)
    return Backtest(
        asked=asked,
        replayed=replayed,
        last=end - int(archive.measured[::-1].argmax()) * SLICE,
        gaps=tuple(_within(replayed, [Period(start + g.begin * SLICE, start + g.end * SLICE) for g in gaps])),
        partial=tuple(source.warnings),
        pinned=pinned,
        surfaces=surfaces,
        detection=detection,
    )


def by_threshold(found: Backtest) -> list[ThresholdRow]:
    """Return what each L would have meant for all surfaces that have a reference."""
    budgets = [(s.budget, s.days) for s in found.surfaces if s.budget is not None]
    days = sum(of for _, of in budgets)
    rows = []
    for limit in budget.THRESHOLDS:
        alarms = sum(b.by_threshold[limit] for b, _ in budgets)
        over = sum(_rate(b.by_threshold[limit], of) > b.allowed for b, of in budgets if b.allowed is not None)
        mild, rough = (thresholds.budget(limit, concentration) for concentration in (math.inf, 0.0))
        rows.append(ThresholdRow(limit, alarms, per_month(alarms, days), over, mild, rough))
    return rows


def _rate(alarms: int, days: float) -> float:
    return per_month(alarms, days) or 0.0


def _within(whole: Period, periods: list[Period]) -> list[Period]:
    cut = [Period(max(p.start, whole.start), min(p.end, whole.end)) for p in periods]
    return [period for period in cut if period.start < period.end]


# The reference --------------------------------------------------------------------------------------------------------


def _first_weeks(start: float, end: float) -> Period:
    held = (end - start) / DAY
    for days in (FULL_DAYS, LEAST_DAYS):
        if held >= days + LEAST_REPLAYED:
            return Period(start, start + days * DAY)
    msg = (
        f"there are {held:.1f} days of counts; without a reference {LEAST_DAYS} are needed to pin one, and "
        f"{LEAST_REPLAYED} to replay: name a reference with --reference, or more --days where the source holds more"
    )
    raise BacktestError(msg)


def _pinned(source: Source, period: Period, name: str) -> Reference:
    days = round((period.end - period.start) / DAY)
    try:
        return pinning.pin(source, name=name or "-", reason="backtest", end=period.end, days=days).reference
    except pinning.PinError as error:
        msg = f"no reference can be pinned from the first {days} days: {error}; or name one with --reference"
        raise BacktestError(msg) from None


# Judging --------------------------------------------------------------------------------------------------------------


def judged(
    archive: Archive,
    gaps: Sequence[Gap],
    policy: Policy | None,
    reference: Reference,
    replayed: Period,
    progress: Progress = lambda _, __, ___: None,
) -> tuple[tuple[SurfaceReplay, ...], Detection]:
    """Replay what ``archive`` holds, surface by surface, and by day for the detector; ``replayed`` begins a day."""
    ground = Ground(archive, replayed.start, gaps)
    watched = plan(policy, reference)
    streams: dict[str, list[StreamPlan]] = defaultdict(list)
    for stream in watched.streams:
        streams[stream.surface].append(stream)
    declared: dict[str, SurfacePlan] = {surface.name: surface for surface in watched.surfaces}
    pins: dict[str, list[Period]] = defaultdict(list)
    for measured in reference.streams:
        act = reference.pin_of(measured)
        pins[measured.surface].append(Period(act.start.timestamp(), act.end.timestamp()))
    allowed = _allowed(policy)
    nobody = Plan((), (), watched.owner, watched.unknown_limit)
    general = [v for v in verdicts.evaluate(archive.whole(), nobody) if v.alert == UNKNOWN_SURFACE]
    names = sorted({*archive.surfaces(), *declared})
    first, days = int(ground.replayed.argmax()), int((replayed.end - replayed.start) // DAY)
    found: list[SurfaceReplay] = []
    by_day = History(replayed.start, DAY, days)
    for number, name in enumerate(names):
        history = archive.of(name)
        mine = (declared[name],) if name in declared else ()
        sub = Plan(tuple(streams[name]), mine, watched.owner, watched.unknown_limit)
        about_all = general if name == NAMELESS else ()
        budgeted = allowed.get(name, allowed.get(""))
        found.append(replay(name, history, sub, ground, pins[name], budgeted, about_all))
        if name in declared:
            add_days(by_day, history, first)
        progress("judging", number + 1, len(names))
    detection = detector.detect(by_day, watched, since=detector.pinned_until(reference), until=replayed.end)
    return tuple(found), detection


def _allowed(policy: Policy | None) -> Mapping[str, float | None]:
    """Return the budget of every surface of the policy, and under the empty name that of all others."""
    if policy is None:
        return {"": None}
    return {"": policy.defaults.false_alarms_per_month} | {
        surface.name: surface.false_alarms_per_month for surface in policy.resolved()
    }


# As a document --------------------------------------------------------------------------------------------------------


def detector_sentence(alarm: detector.Alarm) -> str:
    """Return what an alarm of the daily detector says, without the name of its surface."""
    who = f"models matching {alarm.band}" if alarm.band else alarm.served
    asked = f"`{alarm.requested}`" if alarm.requested else "its requests"
    limit = f"the policy allows at {'most' if alarm.side == 'above' else 'least'} {percentage(alarm.edge)}"
    reference = "no reference" if alarm.reference is None else f"reference {percentage(alarm.reference)}"
    return (
        f"{who} served {percentage(alarm.share)} of {asked} since {utc(alarm.onset)[:10]} "
        f"(95 % interval {percentage(alarm.low)} to {percentage(alarm.high)}); "
        f"{limit if alarm.band else reference}."
    )


def as_json(found: Backtest) -> dict[str, Any]:
    """Return what was found as a document. Shares are 0 to 1, times are UTC."""
    detected = found.detected()
    return {
        "schema": SCHEMA,
        "asked": _period(found.asked),
        "replayed": _period(found.replayed),
        "last_request": utc(found.last),
        "gap_days": round(found.gap_days, 3),
        "gaps": [_period(gap) for gap in found.gaps],
        "partial": list(found.partial),
        "pinned_for_this": None if found.pinned is None else _period(found.pinned),
        "thresholds": [row._asdict() for row in by_threshold(found)],
        "over_budget": [surface.surface for surface in found.over_budget()],
        "surfaces": [_surface(surface, detected.get(surface.surface, [])) for surface in found.surfaces],
    }


def _surface(of: SurfaceReplay, detected: list[Detected]) -> dict[str, Any]:
    kept = None
    if of.budget is not None:
        by = [{"threshold": limit, "alarms": alarms} for limit, alarms in of.budget.by_threshold.items()]
        kept = of.budget._asdict() | {"by_threshold": by}
    return {
        "surface": of.surface,
        "owner": of.owner,
        "days": round(of.days, 3),
        "pinned": [_period(period) for period in of.pinned],
        "older_days": round(of.older, 3),
        "rates": [
            {
                "alert": rate.alert,
                "window": rate.window,
                "severity": rate.severity,
                "fired": rate.fired,
                "not_counted": rate.not_counted,
                "per_month": rate.per_month,
                "first": utc(rate.first),
                "last": utc(rate.last),
                "longest_hours": round(rate.longest / HOUR, 3),
                "firing_hours": round(rate.firing / HOUR, 3),
            }
            for rate in of.rates
        ],
        "alarms": [
            {
                "alert": alarm.alert.alert,
                "window": alarm.alert.window,
                "severity": alarm.alert.severity,
                "begin": utc(alarm.begin),
                "end": None if alarm.ongoing else utc(alarm.end),
                "hours": round(alarm.seconds / HOUR, 3),
                "before": alarm.before,
                "counted": alarm.counted,
                "requested": alarm.alert.requested,
                "served": list(alarm.served),
                "value": alarm.alert.value,
                "description": description(alarm.alert),
            }
            for alarm in of.alarms
        ],
        "budget": kept,
        "detector": {
            "days": round(of.after, 3),
            "fired": len(detected),
            "per_month": per_month(len(detected), of.after),
            "alarms": [
                {
                    "at": utc(one.alarm.at),
                    "onset": utc(one.alarm.onset),
                    "until": utc(one.until),
                    "times": one.times,
                    "requested": one.alarm.requested,
                    "served": one.alarm.served,
                    "band": one.alarm.band,
                    "share": one.alarm.share,
                    "reference": one.alarm.reference,
                    "description": f"{of.surface}: {detector_sentence(one.alarm)}",
                }
                for one in detected
            ],
        },
    }


def _period(period: Period) -> dict[str, str]:
    return {"start": utc(period.start), "end": utc(period.end)}
