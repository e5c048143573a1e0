"""The verdicts of the report: which findings there are about a stream and a surface, and what each rests on.

A shift is called by the e-detector over the days since the reference was pinned, or by the score of the alert rules
over the report's own range, whichever sees it: the first finds what is small and lasts, the second what is large and
new. New and vanished models, silence and unknown served models follow the alert rules' thresholds; a pin that is
violated is a fact, of which one request is enough.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import novelty, shift
from otel_llm_routing.analyze.comparison import compare, detectable, in_words, rule_of
from otel_llm_routing.analyze.report import sentences
from otel_llm_routing.analyze.report.counts import DAY, WEEK, Asked
from otel_llm_routing.analyze.report.model import LEVELS, Limit
from otel_llm_routing.models.rules import ALIAS, ROUTER
from otel_llm_routing.policy.plan import UNKNOWN_LIMIT
from otel_llm_routing.policy.schema import glob_matches
from otel_llm_routing.policy.thresholds import (
    LEAST_UNKNOWN,
    SILENT_REQUESTS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.comparison import StreamChange
    from otel_llm_routing.analyze.detector import Alarm, Detection
    from otel_llm_routing.analyze.novelty import NewModel, VanishedModel
    from otel_llm_routing.analyze.report.counts import Counted, Stream
    from otel_llm_routing.analyze.report.model import Finding, State
    from otel_llm_routing.policy.plan import Plan, StreamPlan
    from otel_llm_routing.policy.reference import ReferenceStream

ORDER = {kind: at for at, kind in enumerate(LEVELS)}
FULL_DAY = 0.95 * DAY
"""Seconds of a range from which on silence is no night."""
ALIKE = 0.05
"""How near the share of a new model is to that of a vanished one whose place it may have taken."""


class StreamFindings(NamedTuple):
    """What there is to say of one stream."""

    findings: tuple[Finding, ...]
    states: Mapping[str, State]
    """``shifted``, ``new``, ``vanished`` or ``substituted``, by served model."""
    change: StreamChange | None
    """None: it has no reference."""


class Judge:
    """Judges one report."""

    def __init__(
        self,
        counted: Counted,
        plan: Plan | None,
        detection: Detection | None,
        upto: float,
        partial: tuple[str, ...],
        when: Callable[[float], str],
    ) -> None:
        self._counted = counted
        self._plan = plan
        self._partial = partial
        self._when = when
        self._elapsed = max(upto - counted.start, 1.0)
        self._asked: dict[str, dict[str, Asked]] = defaultdict(dict)
        for (surface, requested), asked in counted.asked.items():
            self._asked[surface][requested] = asked
        self._streams = {(s.surface, s.requested): s for s in plan.streams} if plan else {}
        self._surfaces = {s.name: s for s in plan.surfaces} if plan else {}
        self._daily = counted.history.streams()
        self._by_surface = counted.by_surface()
        self._alarms: dict[Stream, Alarm] = {}
        self._beyond: dict[tuple[str, str, str], Alarm] = {}
        self._gone: dict[Stream, list[VanishedModel]] = defaultdict(list)
        if detection is not None:
            for alarm in detection.alarms:  # in their order: the last one counts
                if alarm.band:
                    self._beyond[alarm.surface, alarm.band, alarm.side] = alarm
                else:
                    self._alarms[alarm.surface, alarm.requested] = alarm
            if detection.end > counted.start:
                for gone in detection.vanished:
                    self._gone[gone.surface, gone.requested].append(gone)

    # Streams ----------------------------------------------------------------------------------------------------------

    def stream(self, key: Stream, reference: ReferenceStream | None) -> StreamFindings:
        """Return the findings about one stream, the most urgent first."""
        asked = self._counted.asked.get(key, Asked())
        states: dict[str, State] = {}
        found = list(self._pins(key, asked, states))
        change = None
        if (plan := self._streams.get(key)) is not None and reference is not None:
            change = self._compared(plan, reference, asked)
            found += self._models(plan, asked, states)
            found += self._shift(plan, asked, change, states)
            found += self._renamed(key, asked)
            if not asked.known:
                found.append(sentences.idle(key[1]))
            elif not any(LEVELS[finding.kind] == "alarm" for finding in found):
                smallest = detectable(reference)
                say = sentences.too_little if smallest["7d"] >= 1 else sentences.steady
                found.append(say(key[1], in_words(smallest)))
        elif asked.known:
            found.append(sentences.no_reference(key[1], any_reference=bool(self._streams)))
        else:
            found.append(sentences.idle(key[1]))
        return StreamFindings(tuple(sorted(found, key=urgency)), states, change)

    def _compared(self, plan: StreamPlan, reference: ReferenceStream, asked: Asked) -> StreamChange:
        rule = rule_of(self._elapsed)
        limit = plan.threshold + rule.above_threshold
        return compare(reference, asked.by_model(), self._elapsed, limit=limit, least=plan.points[rule.window.name])

    def _pins(self, key: Stream, asked: Asked, states: dict[str, State]) -> Iterable[Finding]:
        for served, of in sorted(asked.served.items(), key=lambda item: (-item[1].substituted, item[0])):
            if of.substituted:
                states[served] = "substituted"
                yield sentences.pin_violated(key[1], served, of.substituted, asked.known)

    def _models(self, plan: StreamPlan, asked: Asked, states: dict[str, State]) -> Iterable[Finding]:
        key = (plan.surface, plan.requested)
        total = np.array([float(asked.known)])
        counts = {name: np.array([float(requests)]) for name, requests in asked.by_model().items()}
        start = self._counted.start
        new = [one._replace(since=self._first_seen(key, one)) for one in novelty.new_models(plan, counts, total, start)]
        gone = {one.served: one._replace(last=None) for one in novelty.vanished_models(plan, counts, total, start)}
        # Seven days can tell of a rare model what the range cannot.
        gone = {**{one.served: one for one in self._gone[key] if one.served not in counts}, **gone}
        if self._partial:
            gone = {}
        successors = list(new)
        for one in sorted(gone.values(), key=lambda one: -one.reference):
            after = next((n for n in successors if abs(n.share - one.reference) < ALIKE), None)
            if after is not None:
                successors.remove(after)
            states[one.served] = "vanished"
            yield sentences.vanished(one._replace(last=self._last_seen(key, one)), after, self._when)
        for model in new:
            states.setdefault(model.served, "new")
            yield sentences.new(model, self._when)

    def _shift(
        self, plan: StreamPlan, asked: Asked, change: StreamChange, states: dict[str, State]
    ) -> Iterable[Finding]:
        key = (plan.surface, plan.requested)
        moved = [one for one in change.served if one.shifted and one.served not in states]
        moved.sort(key=lambda one: (-round(abs(one.change or 0), 3), -(one.change or 0)))
        alarm = self._alarms.get(key)
        today = {one.served: one.now for one in change.served}
        if alarm is not None and self._stands(alarm) and states.get(alarm.served) != "vanished":
            states.setdefault(alarm.served, "shifted")
            others = [one for one in moved if one.served != alarm.served]
            yield sentences.shifted_since(alarm, today.get(alarm.served), others, self._when)
        elif moved:
            yield sentences.shifted(plan.requested, moved[0], moved[1:])
        elif alarm is not None and asked.known and self._counted.end - alarm.at <= WEEK * DAY and not states:
            yield sentences.recovered(alarm, today.get(alarm.served) or 0.0, self._when)
        for one in moved:
            states.setdefault(one.served, "shifted")

    def _stands(self, alarm: Alarm) -> bool:
        """Return whether a share that has left its band is still beyond it, in the last week and since its onset."""
        history = self._counted.history
        if alarm.at >= self._counted.end:
            return True
        models = self._daily.get((alarm.surface, alarm.requested), {})
        return self._beyond_edge(alarm, models.get(alarm.served), sum(models.values(), np.zeros(history.size)))

    def _beyond_edge(self, alarm: Alarm, counts: NDArray[np.float64] | None, total: NDArray[np.float64]) -> bool:
        history = self._counted.history
        begin = max(int((alarm.onset - history.start) // DAY), history.size - WEEK, 0)
        n = float(total[begin:].sum())
        if not n:
            return True  # nothing has shown since that it is over
        share = 0.0 if counts is None else float(counts[begin:].sum()) / n
        return share > alarm.edge if alarm.side == "above" else share < alarm.edge

    def _renamed(self, key: Stream, asked: Asked) -> Iterable[Finding]:
        for served, of in sorted(asked.served.items()):
            for spelling in of.most("served"):
                if spelling != served:
                    yield sentences.renamed(key[1], served, spelling)

    def _first_seen(self, key: Stream, model: NewModel) -> float:
        history = self._counted.history
        days = np.flatnonzero(self._daily.get(key, {}).get(model.served, np.zeros(history.size)))
        return max(history.start + int(days[0]) * DAY, 0.0) if len(days) else self._counted.start

    def _last_seen(self, key: Stream, model: VanishedModel) -> float | None:
        history = self._counted.history
        days = np.flatnonzero(self._daily.get(key, {}).get(model.served, np.zeros(history.size)))
        return history.start + (int(days[-1]) + 1) * DAY if len(days) else None

    # Surfaces ---------------------------------------------------------------------------------------------------------

    def limits(self, surface: str) -> tuple[list[Limit], list[Finding]]:
        """Return how the limits that the policy declares are kept, and the findings about them."""
        plan = self._surfaces.get(surface)
        limits: list[Limit] = []
        found: list[Finding] = []
        for edge in plan.edges if plan else ():
            side = "above" if edge.side == "max" else "below"
            counts = [asked.by_model() for asked in self._asked[surface].values()]
            n = sum(sum(models.values()) for models in counts)
            c = sum(k for models in counts for name, k in models.items() if glob_matches(edge.glob, name))
            alarm = self._beyond.get((surface, edge.glob, side))
            stands = alarm is not None and self._limit_stands(alarm)
            beyond = stands or bool(plan and shift.beyond(c, n, edge.share, edge.side, plan.design_effect))
            limit = Limit(edge.glob, edge.side, edge.share, c / n if n else None, beyond)
            limits.append(limit)
            if alarm is not None and stands:
                found.append(sentences.beyond_since(alarm, limit, self._when))
            elif beyond:
                found.append(sentences.beyond(limit))
        return limits, found

    def _limit_stands(self, alarm: Alarm) -> bool:
        if alarm.at >= self._counted.end:
            return True
        none = np.zeros(self._counted.history.size)
        streams = [models for key, models in self._daily.items() if key[0] == alarm.surface]
        total = sum((counts for models in streams for counts in models.values()), none)
        matching = (counts for models in streams for name, counts in models.items() if glob_matches(alarm.band, name))
        return self._beyond_edge(alarm, sum(matching, none), total)

    def surface(self, surface: str) -> list[Finding]:
        """Return the findings about a surface as a whole, but for limits."""
        mix = self._counted.mixes.get(surface)
        asked = self._asked[surface]
        found: list[Finding] = []
        if self._partial:
            found.append(sentences.partial(self._partial))
        if mix is None or not mix.requests:
            found.append(self._absent(surface))
            return found
        plan = self._surfaces.get(surface)
        if plan is not None and plan.pinned:
            found += (
                sentences.unpinned(requested, kind, of.kinds[kind])
                for requested, of in sorted(asked.items())
                for kind in (ALIAS, ROUTER)
                if of.kinds[kind]
            )
        lost = sum(of.unknown for of in asked.values())
        known = sum(of.known for of in asked.values())
        limit = plan.unknown_limit if plan else self._plan.unknown_limit if self._plan else UNKNOWN_LIMIT
        if not known:
            found.append(sentences.nothing_known(mix.requests, mix.errors, mix.cached))
        elif lost >= LEAST_UNKNOWN and lost / (lost + known) > limit:
            found.append(sentences.unmeasured(lost, lost + known, limit))
        return found

    def _absent(self, surface: str) -> Finding:
        history = self._counted.history
        everything = not self._counted.mixes
        days = self._by_surface.get(surface, np.zeros(history.size))
        seen = np.flatnonzero(days)
        last = self._counted_last(history.start + int(seen[-1]) * DAY) if len(seen) else ""
        plans = [plan for plan in self._streams.values() if plan.surface == surface]
        expected = sum(plan.independent_daily for plan in plans)
        meant = sum(plan.requests / plan.days for plan in plans)
        whole = self._elapsed / DAY
        if (
            expected * whole >= SILENT_REQUESTS
            and self._elapsed >= FULL_DAY
            and not self._rested(days)
            and not self._partial
        ):
            return sentences.silent(meant * whole, everything=everything, last=last)
        return sentences.no_traffic(everything=everything, last=last)

    def _counted_last(self, begin: float) -> str:
        """Say when the day was that begins then; the days of a range of hours begin at any time."""
        day = self._when(begin)
        return f"before {self._when(begin + DAY)}" if " " in day else f"on {day}"

    def _rested(self, days: NDArray[np.float64]) -> bool:
        """Return whether the surface had no request a week before the range either, when others had some or none."""
        length = max(round(self._counted.seconds / DAY), 1)
        week = slice(max(len(days) - WEEK - length, 0), max(len(days) - WEEK, 0))
        measured = np.flatnonzero(self._counted.history.measured)
        known = len(measured) > 0 and int(measured[0]) < len(days) - WEEK
        return known and not days[week].any()


def urgency(finding: Finding) -> tuple[int, str, str]:
    """Return what findings are sorted by."""
    return (ORDER[finding.kind], finding.requested or "", finding.served)
