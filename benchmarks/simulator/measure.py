"""Runs the simulation in pieces, on several processes, and adds up what fired."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.policy.thresholds import SLICE
from simulator import daily, shipped, traffic, usual
from simulator.scenarios import CASES, CHANGED, CHANGES, HARSHER, MILD, ROUGH, THRESHOLDS, VOLUMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from otel_llm_routing.policy.plan import Plan
    from simulator.scenarios import Case, Change, Volume
    from simulator.shipped import Firing

TOGETHER = 20
"""Surfaces of one piece."""
SETTLE = 30
"""Seconds that rules let samples settle before they count them."""
ANY, DAILY = "any", "daily"


class Piece(NamedTuple):
    """Some surfaces of one volume and case; without a change the alarms are false."""

    volume: Volume
    case: Case
    change: Change | None
    surfaces: int
    seed: tuple[int, ...]


class Found(NamedTuple):
    """What a piece gave."""

    piece: Piece
    alarms: Counter[str]
    """How often an alert, a usual rule, ``any`` of the five, a shift alert at an ``L=…`` or ``daily`` began to fire."""
    time: Counter[str]
    """For how many slices the usual rules fired."""
    delays: list[float]
    """Hours from a change to the first of the five; inf where none came within the month."""
    days: list[float]
    """The same of the daily report's detector."""


class Measured:
    """The sums over all pieces."""

    def __init__(self) -> None:
        self.months: Counter[tuple[str, str]] = Counter()
        """Surface-months by volume and case."""
        self.alarms: Counter[tuple[str, str, str]] = Counter()
        """By volume, case and what fired."""
        self.time: Counter[tuple[str, str, str]] = Counter()
        """Slices, by the same."""
        self.delays: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        """Hours, by volume, case and change."""
        self.days: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        """The same of the daily report's detector."""

    def add(self, found: Found) -> None:
        """Add what a piece gave."""
        volume, case, change = found.piece.volume.name, found.piece.case.name, found.piece.change
        if change is not None:
            self.delays[volume, case, change.name] += found.delays
            self.days[volume, case, change.name] += found.days
            return
        self.months[volume, case] += found.piece.surfaces
        for name, times in found.alarms.items():
            self.alarms[volume, case, name] += times
        for name, slices in found.time.items():
            self.time[volume, case, name] += slices


def pieces(surfaces: int, seed: int) -> list[Piece]:
    """Return what there is to simulate, with ``surfaces`` of each kind (a quarter as many to find each change on)."""
    kinds: list[tuple[Volume, Case, Change | None, int]] = []
    kinds += [(volume, case, None, surfaces) for volume in VOLUMES for case in (*CASES, *HARSHER)]
    kinds += [(volume, case, change, -(-surfaces // 4)) for volume, case in CHANGED for change in CHANGES]
    return [
        Piece(volume, case, change, min(TOGETHER, of - at), (seed, number, at))
        for number, (volume, case, change, of) in enumerate(kinds)
        for at in range(0, of, TOGETHER)
    ]


def measure(todo: list[Piece], processes: int, progress: Callable[[int], None]) -> Measured:
    """Simulate the pieces; ``progress`` is told of how many surfaces, after each."""
    measured = Measured()
    with ProcessPoolExecutor(processes or os.cpu_count() or 1) as pool:
        running = [pool.submit(run, piece) for piece in todo]
        for done in as_completed(running):
            found = done.result()
            measured.add(found)
            progress(found.piece.surfaces)
    return measured


def run(piece: Piece) -> Found:
    """Simulate one piece and judge it."""
    rng = np.random.default_rng(piece.seed)
    if piece.change is None:
        return _false_alarms(piece, traffic.steady(rng, piece.surfaces, piece.volume, piece.case))
    counts, onset = traffic.shifted(rng, piece.surfaces, piece.volume, piece.case, piece.change)
    plan = shipped.watched(counts)
    begins = (onset - traffic.BEGIN).tolist()
    rules = [
        _delay(_any(of, shipped.ALERTS), begin) for of, begin in zip(shipped.firing(counts, plan), begins, strict=True)
    ]
    days = [_next(at, begin) for at, begin in zip(daily.alarms(counts, plan), begins, strict=True)]
    return Found(piece, Counter(), Counter(), [delay for delay in rules if delay is not None], days)


def _false_alarms(piece: Piece, counts: NDArray[np.float64]) -> Found:
    alarms: Counter[str] = Counter()
    time: Counter[str] = Counter()
    plan = shipped.watched(counts)
    for of in shipped.firing(counts, plan):
        alarms[ANY] += _times(_any(of, shipped.ALERTS))
        for alert, fires in of.items():
            alarms[alert] += _times(fires)
    alarms[DAILY] = sum(map(len, daily.alarms(counts, plan)))
    if piece.case in (MILD, ROUGH):
        alarms += _by_threshold(counts, plan)
    if piece.case == MILD:
        for of_surface in counts:
            for rule, fires in usual.firing(of_surface).items():
                alarms[rule] += _times(fires)
                time[rule] += int(fires.sum())
    return Found(piece, alarms, time, [], [])


def _by_threshold(counts: NDArray[np.float64], plan: Plan) -> Counter[str]:
    alarms: Counter[str] = Counter()
    for threshold in sorted(THRESHOLDS):
        fired = []
        for position, of in enumerate(shipped.firing(counts, shipped.with_threshold(plan, threshold))):
            if times := _times(_any(of, shipped.SHIFTS)):
                alarms[limit(threshold)] += times
                fired.append(position)
        # What does not fire at one threshold does not at a higher one.
        counts, plan = counts[fired], shipped.only(plan, fired)
    return alarms


def limit(threshold: float) -> str:
    """Return under which name alarms of the shift alerts at another L are counted."""
    return f"L={threshold:g}"


def _any(of: Firing, alerts: Iterable[str]) -> NDArray[np.bool_]:
    fires = np.zeros(traffic.SIZE - traffic.BEGIN, dtype=bool)
    for alert in alerts:
        if alert in of:
            fires |= of[alert]
    return fires


def _times(fires: NDArray[np.bool_]) -> int:
    """Return how often it begins to fire: how often somebody is told, as alerts are grouped by surface."""
    return int((fires & ~np.concatenate([[False], fires[:-1]])).sum())


def _delay(fires: NDArray[np.bool_], onset: int) -> float | None:
    """Return the hours from ``onset`` to the first alarm; None where a false one is still on."""
    if fires[onset - 1]:
        return None
    after = np.flatnonzero(fires[onset:])
    return ((int(after[0]) + 1) * SLICE + SETTLE) / 3600 if len(after) else np.inf


def _next(at: list[int], onset: int) -> float:
    """Return the hours from ``onset`` to the first of the alarms ``at``, in slices, that follows it."""
    return min(((one - onset) * SLICE / 3600 for one in at if one > onset), default=np.inf)
