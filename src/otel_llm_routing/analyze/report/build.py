"""Making a report: counts in, ``model.Report`` out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import datetime, timezone, tzinfo
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import adjusted, decomposition, detector, interval, sizes, tokens, watch
from otel_llm_routing.analyze.comparison import detectable, factor, in_words
from otel_llm_routing.analyze.reference import without_secrets
from otel_llm_routing.analyze.report import costs as pricing
from otel_llm_routing.analyze.report.counts import DAY, Asked, Served, calendar, days_to_read, read
from otel_llm_routing.analyze.report.judge import Judge, urgency
from otel_llm_routing.analyze.report.model import (
    Band,
    Cost,
    Decomposition,
    Effect,
    Finding,
    Interval,
    Report,
    ServedRow,
    StreamReport,
    SurfaceReport,
)
from otel_llm_routing.analyze.shares import SurfaceMix
from otel_llm_routing.policy.plan import plan as planned
from otel_llm_routing.policy.thresholds import TRAILING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.adjusted import Adjusted
    from otel_llm_routing.analyze.detector import Detection
    from otel_llm_routing.analyze.report.counts import Counted, Stream
    from otel_llm_routing.analyze.report.judge import StreamFindings
    from otel_llm_routing.analyze.report.model import Day, DayState, Prices
    from otel_llm_routing.analyze.sizes import SizeHistory
    from otel_llm_routing.analyze.sources import Source
    from otel_llm_routing.analyze.watch import Watched
    from otel_llm_routing.policy.plan import Plan
    from otel_llm_routing.policy.reference import Reference, ReferenceStream
    from otel_llm_routing.policy.schema import Policy

SOON = 60
"""Seconds that a range may reach into the future and yet be over: clocks differ, and "now" is rounded up."""
LEVEL_ORDER = {"alarm": 0, "note": 1, "calm": 2}


class _Costs(NamedTuple):
    """The price list, or why there is none."""

    of: pricing.Costs | None
    prices: Prices | None
    missing: str


def build(
    source: Source,
    start: float,
    end: float,
    *,
    now: float,
    policy: Policy | None = None,
    reference: Reference | None = None,
    name: str = "",
    zone: tzinfo = timezone.utc,
    costs: bool = True,
    false_alarm_days: float | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Return the report of ``[start, end)``, in seconds since the epoch. Raises ``SourceError`` and ``ValueError``.

    Either of ``policy`` and ``reference`` may be missing; without both there are shares and no verdicts. ``name`` is
    what the source is called, ``zone`` that of the labels of days. ``false_alarm_days`` asks for one false alarm of the
    detector in so many days over all surfaces together; else each surface may raise one in 1,000 days.
    """
    start, end = int(start), math.ceil(end)
    if start >= end:
        msg = "the range ends before it starts"
        raise ValueError(msg)
    over = end <= now + SOON
    upto = float(end) if over else now
    plan = planned(policy, reference) if policy or reference else None
    pinned = detector.pinned_until(reference) if reference else {}
    shares = {(s.surface, s.requested): s.shares for s in reference.streams} if reference else {}
    days = days_to_read(end, pinned.values(), math.ceil((end - start) / DAY))
    counted = read(source, start, end, days, shares, progress)
    progress("judging")
    detection = None
    if plan is not None:
        alarm_at = detector.DAYS_TO_FALSE_ALARM
        if false_alarm_days is not None:
            alarm_at = detector.fleet(max(len({*(s.name for s in plan.surfaces)}), 1), false_alarm_days)
        detection = detector.detect(counted.history, plan, alarm_at=alarm_at, since=pinned, until=upto)
    size_of = None
    if reference and any(stream.sizes for stream in reference.streams):
        progress("reading the sizes of requests")
        size_of = sizes.read(source, start, end)
    found = _costs(source, counted, upto, progress) if costs else _Costs(None, None, "")
    held = None if counted.mixes else source.extent()
    partial = tuple(source.warned(start))
    maker = _Maker(counted, plan, reference, detection, upto, partial, zone, size_of, found)
    return Report(
        start=start,
        end=end,
        made=now,
        source=without_secrets(name),
        timezone=str(zone),
        over=over,
        policy=policy is not None,
        reference=reference is not None,
        partial=partial,
        held=held,
        prices=found.prices,
        prices_missing=found.missing,
        days=maker.days,
        surfaces=maker.surfaces(),
    )


def _costs(source: Source, counted: Counted, upto: float, progress: Callable[[str], None]) -> _Costs:
    try:
        prices = pricing.PriceList(upto - 1)
    except ModuleNotFoundError:
        return _Costs(None, None, pricing.NOT_INSTALLED)
    progress("reading tokens")
    held = tokens.read(source, counted.start, counted.end)
    return _Costs(pricing.Costs(prices, counted.counts, held), prices.prices, "")


class _Maker:
    """Puts the parts together."""

    def __init__(
        self,
        counted: Counted,
        plan: Plan | None,
        reference: Reference | None,
        detection: Detection | None,
        upto: float,
        partial: tuple[str, ...],
        zone: tzinfo,
        size_of: SizeHistory | None,
        costs: _Costs,
    ) -> None:
        self._counted = counted
        self._plan = plan
        self._reference = reference
        self._sizes = size_of
        self._costs = costs
        self._zone = zone
        self._judge = Judge(counted, plan, detection, upto, partial, self._when)
        self._elapsed = max(upto - counted.start, 1.0)
        self._known = {(s.surface, s.requested): s for s in reference.streams} if reference else {}
        self._daily = counted.history.streams()
        self.days: tuple[Day, ...] = calendar(counted, upto, zone)
        self._keys: dict[str, set[Stream]] = defaultdict(set)
        for key in (*counted.asked, *self._known):
            self._keys[key[0]].add(key)
        self._nameless: dict[Stream, NDArray[np.float64]] = {}
        for unknown, counts in counted.history.unknown.items():
            stream = (unknown.surface, unknown.requested)
            self._nameless[stream] = self._nameless.get(stream, 0) + counts
        self._skipped = counted.history.size - len(self.days)
        self._owners = {s.name: s.owner for s in plan.surfaces} if plan else {}
        self._bands = _bands(counted, plan)
        self._closeness: dict[Stream, float] = {}
        for standing in detection.standing if detection else ():
            if standing.requested is not None:
                self._closeness[standing.surface, standing.requested] = standing.closeness

    def _when(self, seconds: float) -> str:
        when = datetime.fromtimestamp(seconds, self._zone)
        return when.strftime("%Y-%m-%d" if (when.hour, when.minute) == (0, 0) else "%Y-%m-%d %H:%M")

    # Surfaces ---------------------------------------------------------------------------------------------------------

    def surfaces(self) -> tuple[SurfaceReport, ...]:
        lately = {name for name, counts in self._counted.by_surface().items() if counts[self._skipped :].any()}
        names = {*self._counted.mixes, *lately, *self._owners}
        found = [self._surface(name) for name in sorted(names)]
        found.sort(key=lambda s: (LEVEL_ORDER[s.verdict.level], -s.mix.requests, s.surface))
        return tuple(found)

    def _surface(self, name: str) -> SurfaceReport:
        mix = self._counted.mixes.get(name) or SurfaceMix(name, 0, 0, 0, 0, 0, 0, ())
        keys = self._keys.get(name, ())
        streams = [self._stream(key, mix.known) for key in sorted(keys)]
        streams.sort(key=lambda s: (-s.requests - s.unknown, s.requested))
        limits, broken = self._judge.limits(name)
        findings = [
            *self._judge.surface(name),
            *broken,
            *(finding for stream in streams for finding in stream.findings),
        ]
        if not mix.requests:  # what there is to say of it is said of the surface
            findings = [finding for finding in findings if finding.requested is None or finding.level == "alarm"]
        verdicts = sorted(findings, key=urgency)
        kinds: Counter[str] = Counter()
        for key in keys:
            kinds.update(self._counted.asked.get(key, Asked()).kinds)
        return SurfaceReport(
            surface=name,
            owner=self._owners.get(name, ""),
            verdict=self._first(verdicts, streams),
            # Of several streams without a reference one sentence says so.
            findings=tuple({finding.sentence: finding for finding in reversed(verdicts)}.values())[::-1],
            mix=mix,
            kinds=dict(kinds.most_common()),
            limits=tuple(limits),
            streams=tuple(streams),
        )

    def _first(self, findings: list[Finding], streams: list[StreamReport]) -> Finding:
        """Return the most urgent; among equals, of the busiest stream."""
        busiest = {stream.requested: at for at, stream in enumerate(streams)}
        calm = [finding for finding in findings if finding.kind == findings[0].kind]
        return min(calm, key=lambda finding: -1 if finding.requested is None else busiest.get(finding.requested, 0))

    # Streams ----------------------------------------------------------------------------------------------------------

    def _stream(self, key: Stream, of_surface: int) -> StreamReport:
        asked = self._counted.asked.get(key, Asked())
        reference = self._known.get(key)
        judged = self._judge.stream(key, reference)
        pin = self._reference.pin_of(reference) if self._reference and reference else None
        smallest = detectable(reference) if reference else None
        pair = self._pair(key, asked, reference)
        rows = self._rows(key, asked, reference, judged, of_surface, None if pair is None else adjusted.adjust(pair))
        models = self._daily.get(key, {})
        daily = sum(models.values(), np.zeros(self._counted.history.size))
        return StreamReport(
            requested=key[1],
            kind=asked.kinds.most_common(1)[0][0] if asked.kinds else "unknown",
            requests=asked.known,
            unknown=asked.unknown,
            verdict=judged.findings[0],
            findings=judged.findings,
            served=rows,
            pinned=pin.end.timestamp() if pin else None,
            pin_reason=pin.reason if pin else "",
            detectable=smallest,
            detectable_words=in_words(smallest) if smallest else "",
            closeness=self._closeness.get(key),
            decomposition=None if pair is None or reference is None else self._decomposed(pair, reference),
            days=self._states(key, daily),
            daily_requests=tuple(round(float(n)) for n in daily[self._skipped :]),
        )

    def _rows(
        self,
        key: Stream,
        asked: Asked,
        reference: ReferenceStream | None,
        judged: StreamFindings,
        of_surface: int,
        same_size: Adjusted | None,
    ) -> tuple[ServedRow, ...]:
        shares: Mapping[str, float] = reference.shares if reference else {}
        changes = {one.served: one for one in judged.change.served} if judged.change else {}
        n = asked.known
        effective = self._effective(key, n, reference)
        rows = []
        for name in dict.fromkeys([*asked.served, *shares]):
            served = asked.served.get(name, Served())
            share = served.requests / n if n else None
            change = changes.get(name)
            cost = self._costs.of.of(key, served) if self._costs.of and served.requests else ""
            rows.append(
                ServedRow(
                    served=name,
                    spellings=() if served.most("served") == (name,) else served.most("served"),
                    providers=served.most("provider"),
                    matches=served.most("match"),
                    requests=served.requests,
                    share=share,
                    surface_share=served.requests / of_surface if of_surface else None,
                    interval=None if share is None else _interval(share, effective),
                    reference=shares.get(name),
                    change=change.change if change else None,
                    wobble=change.wobble if change and n and name in shares else None,
                    band=self._bands.get((*key, name)),
                    state=judged.states.get(name, ""),
                    adjusted=None if same_size is None else _adjusted(same_size, name),
                    cost=cost if isinstance(cost, Cost) else None,
                    cost_unknown=cost if isinstance(cost, str) else "",
                    daily=self._day_shares(key, name),
                )
            )
        rows.sort(key=lambda row: (-row.requests, -(row.reference or 0), row.served))
        return tuple(rows)

    def _effective(self, key: Stream, n: int, reference: ReferenceStream | None) -> float:
        """Return how many independent requests the share of the range is known from."""
        phi = reference.design_effect if reference else TRAILING.design_effect
        m = reference.concentration if reference else TRAILING.concentration
        length = math.ceil(self._counted.seconds / DAY)
        by_day = sum(self._daily.get(key, {}).values(), np.zeros(self._counted.history.size))[-length:]
        if length > 1 and by_day.sum() > 0:
            return interval.effective_requests(by_day * (n / by_day.sum()), phi, m)
        return interval.effective_requests([float(n)], phi, m * min(factor(self._elapsed), 1.0))

    def _states(self, key: Stream, daily: NDArray[np.float64]) -> tuple[DayState, ...]:
        nameless = self._nameless.get(key, np.zeros(len(daily)))
        found: list[DayState] = []
        for at in range(self._skipped, len(daily)):
            if daily[at]:
                found.append("measured")
            elif nameless[at]:
                found.append("unnamed")
            else:
                found.append("idle" if self._counted.history.measured[at] else "gap")
        return tuple(found)

    def _day_shares(self, key: Stream, served: str) -> tuple[float | None, ...]:
        models = self._daily.get(key, {})
        none = np.zeros(self._counted.history.size)
        total = sum(models.values(), none)[self._skipped :]
        counts = models.get(served, none)[self._skipped :]
        return tuple(float(c / n) if n else None for c, n in zip(counts, total, strict=True))

    # Traffic or router ------------------------------------------------------------------------------------------------

    def _pair(self, key: Stream, asked: Asked, reference: ReferenceStream | None) -> sizes.SizePair | None:
        if self._sizes is None or reference is None or (then := sizes.of_reference(reference)) is None:
            return None
        spelled = {spelling: name for name, served in asked.served.items() for spelling in served.most("served")}
        table = self._sizes.table(key, tuple(spelled))
        if table is None:
            return None
        # What nobody confirmed to have served is a name that the answer repeats, or a failed call's.
        table = table.of(tuple(spelled))
        if not table.counts.sum():
            return None
        names = tuple(dict.fromkeys(spelled[name] for name in table.served))
        counts = np.zeros((len(names), len(table.bounds)))
        for name, row in zip(table.served, table.counts, strict=True):
            counts[names.index(spelled[name])] += row
        return sizes.pair(then, sizes.SizeTable(names, table.bounds, counts))

    def _decomposed(self, pair: sizes.SizePair, reference: ReferenceStream) -> Decomposition:
        wobble = 1 / (factor(self._elapsed) * reference.concentration)
        found = decomposition.decompose(pair, design_effect=reference.design_effect, wobble=wobble)
        effects = tuple(
            Effect(e.served, e.then, e.now, e.mix, e.mix_error, e.router, e.router_error) for e in found.effects
        )
        return Decomposition(found.verdict, found.sentence, effects, found.compared)


def _interval(share: float, effective: float) -> Interval:
    low, high = interval.wilson(share, effective)
    return Interval(float(low), float(high))


def _adjusted(found: Adjusted, served: str) -> float | None:
    return float(found.share[found.served.index(served)]) if served in found.served else None


def _bands(counted: Counted, plan: Plan | None) -> dict[tuple[str, str, str], Band]:
    """Return the band of each served model of each stream that is watched."""
    if plan is None:
        return {}
    history = counted.history
    counts = history.streams()
    ends: dict[tuple[str, str, str], dict[str, Watched]] = {}
    declared: dict[tuple[str, str], dict[str, Watched]] = {}
    requested = {(s.surface, s.requested): s for s in plan.streams}
    for unit in watch.units(counts, plan, history.size):
        for one in unit.watched:
            if unit.requested is None:
                if one.served:
                    declared.setdefault((unit.surface, one.served), {})[one.side] = one
            else:
                ends.setdefault((unit.surface, unit.requested, one.served), {})[one.side] = one
    found = {}
    for (surface, asked), stream in requested.items():
        for served in stream.shares:
            by_reference = ends.get((surface, asked, served), {})
            # A limit stands in the place of a side that the reference's own band leaves out.
            by_policy = {s: w for s, w in declared.get((surface, served), {}).items() if s not in by_reference}
            both = {**by_policy, **by_reference}
            found[surface, asked, served] = Band(
                both["below"].edge if "below" in both else 0.0,
                both["above"].edge if "above" in both else 1.0,
                "below" in by_policy,
                "above" in by_policy,
            )
    return found
