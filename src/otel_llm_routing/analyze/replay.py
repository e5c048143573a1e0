"""One surface's past under the alert rules: when each alert fired, how often in a month, and under which threshold."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import budget, verdicts
from otel_llm_routing.analyze.alerts import Judged
from otel_llm_routing.policy import thresholds
from otel_llm_routing.policy.thresholds import SLICE, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.alerts import Alert
    from otel_llm_routing.analyze.archive import Archive, Gap
    from otel_llm_routing.analyze.history import History
    from otel_llm_routing.analyze.verdicts import Verdict
    from otel_llm_routing.policy.plan import Plan
    from otel_llm_routing.policy.thresholds import Level

    Slices = NDArray[np.bool_]

DAY = WINDOWS["24h"].seconds
MONTH = 30.0
"""Days."""
SILENT, UNKNOWN_SURFACE = "LLMRoutingSurfaceSilent", "LLMRoutingUnknownSurface"


class Period(NamedTuple):
    """From ``start`` up to ``end``, in seconds since the epoch."""

    start: float
    end: float


class Alarm(NamedTuple):
    """One alert of one surface, from its beginning to fire to its end. Times are in seconds since the epoch."""

    alert: Alert
    """What would have been sent when it began; of several models, of the one whose evidence is strongest."""
    served: tuple[str, ...]
    """Every served model that it was about while it fired."""
    begin: float
    end: float
    before: bool
    """Whether it fired already when the replay began, which is then its beginning."""
    ongoing: bool
    """Whether it fires at the end of the replay."""
    counted: bool
    """Whether it counts: it does not if it began on a day that the reference comes from."""

    @property
    def seconds(self) -> float:
        """How long it fired, within the replay."""
        return self.end - self.begin


class Rate(NamedTuple):
    """How often one alert fired on one surface. Times are in seconds since the epoch."""

    alert: str
    window: str
    severity: Level
    fired: int
    not_counted: int
    """Alarms on top of ``fired`` that do not count."""
    per_month: float | None
    """Of those that count; None: no day does."""
    first: float
    last: float
    """When the first and the last of all began."""
    longest: float
    """Of all, in seconds."""
    firing: float
    """Of all together, in seconds."""


class Budget(NamedTuple):
    """How the shift alerts of a surface keep its budget of false alarms, if every alarm was false."""

    allowed: float | None
    """Alarms a month that the policy declares; None: it declares none."""
    threshold: float
    """L as the policy has it now, the lowest of the surface's streams."""
    alarms: int
    """With every stream's own L."""
    by_threshold: Mapping[float, int]
    """Alarms if L were this for every stream."""
    kept: bool | None
    """Whether the budget is kept now; None: there is none, or no day counts."""
    needed: float | None
    """The lowest L from which on the budget is kept; None: none that was tried, or there is no budget."""
    write: float | None
    """The ``false_alarms_per_month`` that gives ``needed``; None: none does."""


class SurfaceReplay(NamedTuple):
    """What was found of one surface."""

    surface: str
    owner: str
    days: float
    """Days that count: they were measured, and the reference is not from them."""
    pinned: tuple[Period, ...]
    """The part of the replay from which its reference was pinned."""
    older: float
    """Days of the replay before its reference was pinned."""
    after: float
    """Measured days since then, in which the daily detector judged it; 0: it has nothing to judge."""
    alarms: tuple[Alarm, ...]
    rates: tuple[Rate, ...]
    budget: Budget | None
    """None: nothing of it has a reference."""


class Ground:
    """What holds for all surfaces: which slices are replayed, and which were measured."""

    def __init__(self, archive: Archive, start: float, gaps: Sequence[Gap]) -> None:
        """``start`` is the beginning of the replay, in seconds since the epoch."""
        self.start = archive.start
        self.size = archive.size
        self.replayed: Slices = self.since(start)
        self.measured: Slices = np.ones(self.size, dtype=bool)
        self.measured[: int(archive.measured.argmax())] = False
        for gap in gaps:
            self.measured[gap.begin : gap.end] = False
        unmeasured = (~self.measured).astype(np.float64)
        self.day_measured: Slices = verdicts.rolling(unmeasured, WINDOWS["24h"].slices) <= 0
        """Whether all of the last day was: where it was not, nobody knows who was silent."""
        self.day_measured[: WINDOWS["24h"].slices] = False

    def since(self, seconds: float) -> Slices:
        """Return the slices that begin at a time or later."""
        begins: Slices = self.start + np.arange(self.size) * SLICE >= seconds
        return begins

    def within(self, period: Period) -> Slices:
        """Return the slices that begin in a period."""
        return self.since(period.start) & ~self.since(period.end)

    def time(self, slice_: int) -> float:
        """Return when a slice ends, and what it holds is judged, in seconds since the epoch."""
        return self.start + (slice_ + 1) * SLICE

    def days(self, slices: Slices) -> float:
        """Return how many days these slices are."""
        return float(slices.sum()) * SLICE / DAY


def judge(history: History, plan: Plan, measured: Slices) -> tuple[list[Verdict], list[Verdict]]:
    """Return the verdicts of one surface by its plan, and those of shift rules with the lowest threshold.

    What is about all surfaces is left out, and silence where the measurement was silent.
    """
    lowered = plan._replace(
        streams=tuple(s._replace(threshold=min(s.threshold, budget.THRESHOLDS[0])) for s in plan.streams)
    )
    own = {(s.surface, s.requested): s.threshold for s in plan.streams}
    found, low = [], []
    for verdict in verdicts.evaluate(history, lowered):
        if verdict.alert == UNKNOWN_SURFACE:
            continue
        meant = verdict
        if verdict.score is not None:
            low.append(verdict)
            meant = budget.with_threshold(verdict, own[verdict.surface, verdict.requested])
        elif verdict.alert == SILENT:
            meant = verdict._replace(active=verdict.active & measured)
        if meant.active.any():
            found.append(meant)
    return found, low


def replay(
    surface: str,
    history: History,
    plan: Plan,
    ground: Ground,
    pins: Sequence[Period],
    allowed: float | None,
    general: Sequence[Verdict] = (),
) -> SurfaceReplay:
    """Replay one surface. ``plan`` and ``history`` hold nothing else.

    ``pins`` are the periods that its reference comes from, ``allowed`` the false alarms a month that it may raise,
    ``general`` verdicts that are told with it.
    """
    own, low = judge(history, plan, ground.day_measured)
    taken = np.zeros(ground.size, dtype=bool)
    for period in pins:
        taken |= ground.within(period)
    counted = ground.replayed & ~taken
    days = ground.days(counted & ground.measured)
    alarms = _alarms(Judged(history, plan, [*own, *general]), ground, taken)
    begin = min((p.start for p in pins), default=ground.start)
    after = ground.replayed & ground.measured & ground.since(max((p.end for p in pins), default=ground.start))
    by_day = bool(history.known) and (bool(plan.streams) or any(of.edges for of in plan.surfaces))
    return SurfaceReplay(
        surface=surface,
        owner=plan.surfaces[0].owner if plan.surfaces else plan.owner,
        days=days,
        pinned=tuple(_pinned(ground, pins)),
        older=ground.days(ground.replayed & ground.measured & ~ground.since(begin)),
        after=ground.days(after) if by_day else 0.0,
        alarms=alarms,
        rates=_rates(alarms, days),
        budget=_budget(plan, own, low, counted, ground.replayed, days, allowed) if plan.streams else None,
    )


def _pinned(ground: Ground, pins: Sequence[Period]) -> list[Period]:
    """Return the parts of ``pins`` that are replayed."""
    found = []
    for period in sorted(set(pins)):
        slices = np.flatnonzero(ground.within(period) & ground.replayed)
        if len(slices):
            found.append(Period(ground.time(int(slices[0])) - SLICE, ground.time(int(slices[-1]))))
    return found


def _alarms(judged: Judged, ground: Ground, taken: Slices) -> tuple[Alarm, ...]:
    """Return what fired in the replay, in order: models and streams under one alert and window are one alarm."""
    together: dict[tuple[str, str], list[tuple[Verdict, Slices]]] = defaultdict(list)
    for verdict, fires in judged.fires:
        together[verdict.alert, verdict.window].append((verdict, fires))
    first = int(ground.replayed.argmax()) if ground.replayed.any() else ground.size
    found = []
    for of in together.values():
        union = np.logical_or.reduce([fires for _, fires in of])
        edges = np.flatnonzero(np.diff(union, prepend=False, append=False))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end <= first:
                continue
            at_first = [(verdict, fires) for verdict, fires in of if fires[begin]]
            leading = max(at_first, key=lambda pair: _strength(pair[0], begin))
            served = sorted({verdict.served for verdict, fires in of if verdict.served and fires[begin:end].any()})
            found.append(
                Alarm(
                    alert=judged.alert(*leading, begin),
                    served=tuple(served),
                    begin=ground.time(max(begin, first)),
                    end=ground.time(min(end, ground.size - 1)),
                    before=begin < first,
                    ongoing=end == ground.size,
                    counted=not taken[max(begin, first)],
                )
            )
    return tuple(sorted(found, key=lambda alarm: (alarm.begin, alarm.alert.alert, alarm.alert.window)))


def _strength(verdict: Verdict, at: int) -> float:
    return float((verdict.value if verdict.score is None else verdict.score)[at])


def _rates(alarms: Sequence[Alarm], days: float) -> tuple[Rate, ...]:
    by_alert: dict[tuple[str, str], list[Alarm]] = defaultdict(list)
    for alarm in alarms:
        by_alert[alarm.alert.alert, alarm.alert.window].append(alarm)
    found = []
    for (alert, window), of in by_alert.items():
        fired = sum(alarm.counted for alarm in of)
        found.append(
            Rate(
                alert,
                window,
                of[0].alert.severity,
                fired,
                len(of) - fired,
                per_month(fired, days),
                of[0].begin,
                of[-1].begin,
                max(alarm.seconds for alarm in of),
                sum(alarm.seconds for alarm in of),
            )
        )
    return tuple(found)


def per_month(alarms: int, days: float) -> float | None:
    """Return alarms as a rate; None: there is no day to speak of."""
    return alarms * MONTH / days if days > 0 else None


def _budget(
    plan: Plan,
    own: list[Verdict],
    low: list[Verdict],
    counted: Slices,
    replayed: Slices,
    days: float,
    allowed: float | None,
) -> Budget:
    alarms = budget.shift_alarms(own, counted, replayed)
    tried = budget.by_threshold(low, counted, replayed)
    most = 0.0 if allowed is None else allowed * days / MONTH
    needed = budget.least_threshold(tried, most) if allowed is not None and days > 0 else None
    rates = [] if needed is None else [thresholds.budget(needed, stream.concentration) for stream in plan.streams]
    said = [rate for rate in rates if rate is not None]
    return Budget(
        allowed=allowed,
        threshold=min(stream.threshold for stream in plan.streams),
        alarms=alarms,
        by_threshold=tried,
        kept=alarms <= most if allowed is not None and days > 0 else None,
        needed=needed,
        write=min(said) if said and len(said) == len(rates) else None,
    )
