"""Tests of the generated rules for promtool, made from the same policy and reference.

Each test is a piece of simulated traffic: a time in which every surface has the mix of its reference, then one event on
each surface that has one. What must fire, with which labels and texts, the caller judges: not from the expressions, but
from the counts.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from otel_llm_routing.generate.prometheus import to_yaml
from otel_llm_routing.generate.promql import REQUESTED, SERVED, SURFACE, quote
from otel_llm_routing.policy.plan import UNKNOWN_LIMIT
from otel_llm_routing.policy.schema import Edge, glob_matches
from otel_llm_routing.policy.thresholds import ALERTS, SHIFT_RULES, SLICE, VANISHED_EXPECTED, VANISHED_SHARE, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_llm_routing.generate.rules import Group
    from otel_llm_routing.policy.plan import Plan, StreamPlan, SurfacePlan
    from otel_llm_routing.policy.schema import Policy

Kind = Literal["shift", "new model", "vanished model", "pin violated", "not pinned", "band", "unknown served model"]

STEADY = 14
"""Slices before an event: longer than any alert has to hold, so that a false one would be seen."""
EVENT = 20
"""Slices of an event: the 1 h window is full of it, and what has to hold for an hour has held."""
EVENTS_OF_A_KIND = 8
"""How often each kind of event is tried, each time on another surface if there are so many."""
STREAMS = 200
"""How many streams have traffic in the first test."""
SILENT_EVALUATIONS = 100_000
"""A surface is silent after a day; that test is left out where the rules are so many that it would take a minute."""
MOST_REQUESTS = 10_000_000
FAST = SHIFT_RULES[0].alert


class Series(NamedTuple):
    """The requests that one process counts under one set of labels."""

    surface: str
    requested: str
    served: str
    """Empty where nobody reported the served model."""
    match: str
    kind: str
    counts: Sequence[int]
    """Requests in each slice; the series begins with its first request."""


class Firing(NamedTuple):
    """One alert that fires, as Alertmanager would get it."""

    alert: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Judged(Protocol):
    """What is to be expected of some traffic, slice by slice from 0."""

    def at(self, slice_: int) -> list[Firing]:
        """Return the alerts that fire at the end of a slice."""
        ...

    def begins(self, alert: str, after: int) -> int | None:
        """Return the first slice later than ``after`` at which one more alert of that name fires; None if none does."""
        ...


class Event(NamedTuple):
    """What happens on one surface."""

    kind: Kind
    surface: str
    edge: Edge | None = None


class Traffic(NamedTuple):
    """One stream as it is without an event."""

    surface: str
    requested: str
    kind: str
    mix: Mapping[str, int]
    """Requests of each served model in a slice."""
    reference: StreamPlan | None

    @property
    def total(self) -> int:
        """Requests in a slice."""
        return sum(self.mix.values())


def rule_tests(
    plan: Plan | None,
    policy: Policy | None,
    groups: Sequence[Group],
    rule_file: str,
    judge: Callable[[Sequence[Series]], Judged],
    labels: Mapping[str, str] | None = None,
    accepts: Callable[[Mapping[str, str]], bool] = lambda _: True,
) -> str:
    """Return the text of a promtool test file for ``groups``, which stand in ``rule_file`` beside it.

    ``policy`` and ``plan`` are what the groups were generated from; both None for the set that needs no files.
    ``judge`` says what the rules should make of some traffic. For rules that only look at some of the counter's series,
    ``labels`` are those that it must have besides, and ``accepts`` says of a series' labels whether they look at it.
    """
    writer = _Writer(plan, judge, labels or {}, accepts)
    if plan is None:
        notes = writer.generic()
    else:
        rules = sum(len(group["rules"]) for group in groups)
        notes = writer.planned(_streams(plan, policy), rules)
    document = {
        "rule_files": [rule_file],
        # As often as the rules are evaluated. promtool does not look at the interval of a group: the constants, which
        # Prometheus records every 2 minutes, are evaluated with the others here.
        "evaluation_interval": f"{SLICE // 60}m",
        # Without it the order is another one at each run.
        "group_eval_order": [group["name"] for group in groups],
        "tests": writer.tests,
    }
    lines = [
        "Tests of the rules beside this file. Written by: otel-llm-routing generate prometheus",
        f"Run them with: promtool test rules {rule_file.replace('.rules.', '.tests.')}",
        "",
        *notes,
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + to_yaml(document)


# Traffic without events -----------------------------------------------------------------------------------------------


def _streams(plan: Plan, policy: Policy | None) -> list[Traffic]:
    """Return a stream for every reference, and for every declared surface that has none."""
    kinds: dict[tuple[str, str], str] = {}
    for declared in policy.resolved() if policy else ():
        for kind in ("pinned", "alias", "router", "unknown"):
            kinds |= {(declared.name, name): kind for name in getattr(declared.uses, kind)}
    found = []
    for stream in plan.streams:
        kind = kinds.get((stream.surface, stream.requested), "unknown")
        found.append(Traffic(stream.surface, stream.requested, kind, _mix(stream), stream))
    have = {stream.surface for stream in plan.streams}
    for (surface, requested), kind in kinds.items():
        if surface not in have:
            served = requested if kind == "pinned" else "example-model"
            found.append(Traffic(surface, requested, kind, {served: 1000}, None))
    return found


def _mix(stream: StreamPlan) -> dict[str, int]:
    """Return requests a slice in the proportions of the reference, enough of them for every rule.

    Enough is: 100 of the rarest model whose disappearance is an alert, and so many that bursts (phi / n) count for less
    than the share's own wobble (1 / m).
    """
    shares = {served: share for served, share in stream.shares.items() if share > 0 and served}
    whole = sum(shares.values())
    rarest = min((share for share in shares.values() if share >= VANISHED_SHARE), default=1)
    least = max(5 * VANISHED_EXPECTED / rarest, stream.design_effect * stream.concentration, 1000)
    total = 1000
    while total < min(least, MOST_REQUESTS):
        total *= 10
    return {served: max(round(total * share / whole), 1) for served, share in shares.items()}


def _another(name: str, taken: Iterable[str]) -> str:
    """Return ``name``, with something added where it is taken."""
    found, names = name, set(taken)
    while found in names:
        found += "-x"
    return found


# Events ---------------------------------------------------------------------------------------------------------------


class _Writer:
    """Turns events into tests."""

    def __init__(
        self,
        plan: Plan | None,
        judge: Callable[[Sequence[Series]], Judged],
        labels: Mapping[str, str],
        accepts: Callable[[Mapping[str, str]], bool],
    ) -> None:
        self._plan = plan
        self._judge = judge
        self._labels = labels
        self._accepts = accepts
        self.tests: list[dict[str, Any]] = []

    def planned(self, streams: list[Traffic], rules: int) -> list[str]:
        """Write the tests for a plan; return what is covered, in sentences."""
        assert self._plan is not None  # noqa: S101  (the caller knows)
        by_surface: dict[str, list[Traffic]] = {}
        for stream in streams:
            by_surface.setdefault(stream.surface, []).append(stream)
        events = _events(self._plan.surfaces, by_surface)
        lanes = _lanes(events) or [{}]
        for number, lane in enumerate(lanes):
            # The first test has all the traffic: none of it may raise an alert before the events.
            involved = streams[:STREAMS] if number == 0 else []
            involved = [*involved, *(s for name in lane for s in by_surface[name] if s not in involved)]
            extra = _unmeasured(by_surface, sum(s.total for s in involved)) if number == 0 else []
            self._test(", ".join(dict.fromkeys(e.kind for e in lane.values())), involved, lane, extra)
        day = WINDOWS["24h"].slices + 5
        silent = rules * day <= SILENT_EVALUATIONS and any(s.reference for s in streams)
        if silent:
            self._silent(streams, day)
        kinds = {event.kind for event in events}
        surfaces = {event.surface for event in events}
        notes = [
            f"Steady traffic on {min(len(streams), STREAMS)} of {len(streams)} streams (surface and requested model).",
            f"Events, up to {EVENTS_OF_A_KIND} of a kind, on {len(surfaces)} of {len(by_surface)} surfaces:",
            f"{', '.join(sorted(kinds)) or 'none'}.",
            "Also traffic without a surface, of a surface that no file names, and merged into `other`.",
        ]
        if silent:
            notes.append("Also a surface without any traffic for a day.")
        elif any(s.reference for s in streams):
            notes.append("Left out: a surface without traffic; that takes a day of evaluating all these rules.")
        if any(s.reference is None for s in streams):
            notes.append(
                "Streams without a reference can have no shift, new or vanished model; there is an alert for that."
            )
        return notes

    def generic(self) -> list[str]:
        """Write the test of the rules without files; return what is covered."""
        day = WINDOWS["24h"].slices + STEADY
        gone = WINDOWS["6h"].slices + 8
        mix = {"example-large": 80_000, "example-small": 15_000, "example-tiny": 5_000}
        streams = {
            name: Traffic(name, "example/router", "router", mix, None)
            for name in ("steady", "shift", "new", "gone", "unsaid", "quiet")
        }
        steady, after = dict(mix), {**dict.fromkeys(mix, 0), "example-small": 100_000}
        traffic = _known(streams["steady"], [(steady, day + gone)])
        traffic += _known(streams["shift"], [(steady, day), (after, gone)])
        traffic += _known(streams["new"], [(steady, day), ({**steady, "example-new": 5_000}, gone)])
        traffic += _known(streams["gone"], [(steady, day), ({**steady, "example-tiny": 0}, gone)])
        traffic += _known(streams["unsaid"], [(steady, day + gone)])
        traffic += [Series("unsaid", "example/router", "", "unreported", "router", [0] * day + [1_000_000] * gone)]
        traffic += [
            Series("pinned", "example-1", "example-1", "exact", "pinned", [1000] * (day + gone)),
            Series("pinned", "example-1", "example-2", "substituted", "pinned", [0] * day + [10] * gone),
            Series("unknown", "example-1", "example-1", "exact", "pinned", [0] * day + [10_000_000] * gone),
            Series("merged", "other", "example-1", "exact", "pinned", [0] * day + [10] * gone),
        ]
        # Requests until the day before; the week that ended then still has them.
        talks = day + gone - WINDOWS["24h"].slices - 5
        traffic += _known(streams["quiet"], [(steady, talks), (dict.fromkeys(mix, 0), day + gone - talks)])
        self._write("every kind of alert", traffic, day)
        return [
            "A day of steady traffic, which becomes the reference and raises no alert.",
            "Then, each on its own surface: a shift, a new model, a vanished model, a pin violated, unknown served",
            "models, traffic without a surface, merged into `other`, and a surface that fell silent.",
        ]

    def _silent(self, streams: list[Traffic], day: int) -> None:
        quiet = next(s for s in streams if s.reference)
        others = [s for s in streams if s.surface != quiet.surface][:1]
        traffic = [one for stream in others for one in _known(stream, [(stream.mix, day)])]
        # promtool wants some traffic, and where there is only one surface there would be none.
        traffic = traffic or [Series("unknown", "", "example-model", "resolved", "unknown", [1000] * day)]
        self._write("a silent surface", traffic, day - 5)

    def _test(self, name: str, streams: list[Traffic], lane: Mapping[str, Event], extra: list[Series]) -> None:
        traffic = list(extra)
        for stream in streams:
            traffic += _with_event(stream, lane.get(stream.surface), self._limit(stream.surface))
        self._write(name or "steady", traffic, STEADY)

    def _limit(self, surface: str) -> float:
        plan = self._plan
        named = {s.name: s.unknown_limit for s in plan.surfaces} if plan else {}
        return named.get(surface, plan.unknown_limit if plan else UNKNOWN_LIMIT)

    def _write(self, name: str, traffic: list[Series], before: int) -> None:
        """Write one test: what fires after ``before`` slices, when the first page comes, and what fires at the end."""
        traffic = _merged(traffic)
        judged = self._judge([self._counted(one) for one in traffic])
        end = max(len(series.counts) for series in traffic)
        times = {(slices, alert) for slices in (before, end) for alert in _alerts(self._plan)}
        if (first := judged.begins(FAST, before - 1)) is not None:
            times |= {(first, FAST), (first + 1, FAST)}
        # At the end of slice i, which is the one numbered i + 1 in time.
        checks = [_check(slices, alert, judged.at(slices - 1)) for slices, alert in sorted(times)]
        minutes = SLICE // 60
        self.tests.append(
            {
                "name": name,
                "interval": f"{minutes}m",
                "input_series": [
                    {"series": _selector(_labels(one, self._labels)), "values": _values(one.counts)} for one in traffic
                ],
                "alert_rule_test": checks,
            }
        )

    def _counted(self, one: Series) -> Series:
        """Return a series as the rules see it: one that their matchers leave out is nothing."""
        return one if self._accepts(_labels(one, self._labels)) else one._replace(counts=[0] * len(one.counts))


def _events(surfaces: Iterable[SurfacePlan], by_surface: Mapping[str, list[Traffic]]) -> list[Event]:
    """Return events of every kind that there can be, each on the surfaces that have the fewest so far."""
    known = {surface.name: surface for surface in surfaces if surface.name in by_surface}
    referenced = [name for name in known if any(s.reference for s in by_surface[name])]
    pinned = [name for name in known if known[name].pinned]
    limited = [name for name in known if known[name].unknown_limit < 1]
    edges = [Event("band", name, edge) for name in known for edge in known[name].edges if _breaks(edge)]
    candidates: list[list[Event]] = [
        [Event("shift", name) for name in referenced],
        [Event("new model", name) for name in referenced],
        [Event("vanished model", name) for name in referenced],
        [Event("pin violated", name) for name in pinned or [*known][:1]],
        [Event("not pinned", name) for name in pinned],
        [event for event in edges if event.edge and event.edge.side == "max"],
        [event for event in edges if event.edge and event.edge.side == "min"],
        [Event("unknown served model", name) for name in limited],
    ]
    events: list[Event] = []
    busy: Counter[str] = Counter()
    for left in candidates:
        for _ in range(min(len(left), EVENTS_OF_A_KIND)):
            event = min(left, key=lambda e: busy[e.surface])
            left.remove(event)
            busy[event.surface] += 1
            events.append(event)
    return events


def _lanes(events: Iterable[Event]) -> list[dict[str, Event]]:
    """Return the events in as few tests as have one event on a surface each."""
    lanes: list[dict[str, Event]] = []
    for event in events:
        free = next((lane for lane in lanes if event.surface not in lane), None)
        if free is None:
            lanes.append(free := {})
        free[event.surface] = event
    return lanes


def _with_event(stream: Traffic, event: Event | None, limit: float) -> list[Series]:
    """Return the series of a stream on whose surface ``event`` happens."""
    steady, whole = dict(stream.mix), [(stream.mix, STEADY + EVENT)]
    if event is None:
        return _known(stream, whole)
    other = _another("example-other-model", steady)
    if event.kind == "shift":
        # Everything to the model that has the least, or to one that was never seen.
        to = min(steady, key=steady.__getitem__) if len(steady) > 1 else other
        return _known(stream, [(steady, STEADY), ({**dict.fromkeys(steady, 0), to: stream.total}, EVENT)])
    if event.kind == "new model":
        new = _another("example-new-model", steady)
        return _known(stream, [(steady, STEADY), ({**steady, new: max(stream.total // 20, 1)}, EVENT)])
    if event.kind == "vanished model":
        shares = {} if stream.reference is None else stream.reference.shares
        known = [served for served in steady if shares.get(served, 0) >= VANISHED_SHARE]
        gone = min(known, key=steady.__getitem__, default="")
        rest = {served: count for served, count in steady.items() if served != gone} or {other: stream.total}
        return _known(stream, [(rest, STEADY + EVENT)])
    if event.kind == "pin violated":
        count = max(stream.total // 50, 1)
        counts = [0] * STEADY + [count] * EVENT
        return [
            *_known(stream, whole),
            Series(stream.surface, stream.requested, other, "substituted", stream.kind, counts),
        ]
    if event.kind == "not pinned":
        alias = _another("example-alias", [stream.requested])
        counts = [0] * STEADY + [max(stream.total // 50, 1)] * EVENT
        return [*_known(stream, whole), Series(stream.surface, alias, other, "resolved", "alias", counts)]
    if event.kind == "band" and event.edge is not None:
        to = _breaks(event.edge, steady) or other
        return _known(stream, [(steady, STEADY), ({**dict.fromkeys(steady, 0), to: stream.total}, EVENT)])
    # So many that the share is above the limit at once, halfway between it and everything.
    ratio = (1 + limit) / 2
    unknown = round(stream.total * ratio / (1 - ratio)) * (STEADY + 1)
    counts = [0] * STEADY + [unknown] * EVENT
    return [*_known(stream, whole), Series(stream.surface, stream.requested, "", "unreported", stream.kind, counts)]


def _breaks(edge: Edge, models: Iterable[str] = ()) -> str:
    """Return a model that breaks ``edge`` when it serves everything, or nothing where there is none."""
    example = re.sub(r"\[!.*?\]|[*?]", "x", edge.glob)
    candidates = [*models, example, re.sub(r"\[(.).*?\]", r"\1", example), "example-other-model", "~"]
    wanted = edge.side == "max"
    return next((m for m in candidates if m.isprintable() and glob_matches(edge.glob, m) == wanted), "")


def _unmeasured(by_surface: Mapping[str, object], total: int) -> list[Series]:
    """Return traffic of which nobody knows where it belongs."""
    share = max(total // 5, 1000)
    stranger = _another("example-surface", by_surface)
    series = [
        Series(stranger, "example-model", "example-model", "exact", "pinned", [0] * STEADY + [1000] * EVENT),
        Series(stranger, "other", "example-model", "resolved", "unknown", [0] * STEADY + [1000] * EVENT),
    ]
    if "unknown" not in by_surface:
        counts = [0] * STEADY + [share * (STEADY + 1)] * EVENT
        series.append(Series("unknown", "example-model", "example-model", "exact", "pinned", counts))
    return series


def _known(stream: Traffic, parts: Sequence[tuple[Mapping[str, int], int]]) -> list[Series]:
    """Return a series for each served model: so many requests in each of so many slices, part after part."""
    found = []
    for served in dict.fromkeys(name for mix, _ in parts for name in mix):
        counts = [count for mix, slices in parts for count in [mix.get(served, 0)] * slices]
        match = "exact" if served == stream.requested else "resolved"
        found.append(Series(stream.surface, stream.requested, served, match, stream.kind, counts))
    return found


def _merged(traffic: Iterable[Series]) -> list[Series]:
    """Return the series with those of the same labels added up: of two, promtool would take one."""
    found: dict[tuple[str, ...], Series] = {}
    for one in traffic:
        *labels, counts = one
        same = found.get(key := tuple(labels))
        both = zip_longest(same.counts, counts, fillvalue=0) if same else ()
        found[key] = one._replace(counts=[sum(pair) for pair in both]) if same else one
    return list(found.values())


# The notation of promtool ---------------------------------------------------------------------------------------------


def _alerts(plan: Plan | None) -> list[str]:
    names = dict.fromkeys(alert for alert, _ in ALERTS)
    return [name for name in names if plan is not None or name not in WITH_FILES]


WITH_FILES = frozenset(
    ("LLMRoutingShareAboveBand", "LLMRoutingShareBelowBand", "LLMRoutingUnpinnedTraffic", "LLMRoutingNoReference")
)
"""Alerts that the rules without files cannot raise."""


def _check(at: int, alert: str, firing: Iterable[Firing]) -> dict[str, Any]:
    check: dict[str, Any] = {"eval_time": f"{at * SLICE // 60}m", "alertname": alert}
    expected = [f for f in firing if f.alert == alert]
    if expected:
        check["exp_alerts"] = [
            {"exp_labels": dict(one.labels), "exp_annotations": dict(one.annotations)} for one in expected
        ]
    return check


def _labels(one: Series, extra: Mapping[str, str]) -> dict[str, str]:
    labels = {
        **extra,
        SURFACE: one.surface,
        REQUESTED: one.requested,
        SERVED: one.served,
        "llm_routing_match": one.match,
        "llm_routing_request_kind": one.kind,
    }
    return {name: value for name, value in labels.items() if value}


def _selector(labels: Mapping[str, str]) -> str:
    inside = ", ".join(f"{name}={quote(value)}" for name, value in labels.items())
    return f"llm_routing_requests_total{{{inside}}}"


def _values(counts: Sequence[int]) -> str:
    """Return the counter that grows by ``counts``; it begins with its first request."""
    parts: list[str] = []
    total = at = 0
    while at < len(counts):
        step = counts[at]
        run = next((i for i in range(at, len(counts)) if counts[i] != step), len(counts)) - at
        if total or step:
            parts.append(f"{total + step}+{step}x{run - 1}" if run > 1 else str(total + step))
        else:
            parts.append(f"_x{run}")
        total += step * run
        at += run
    return " ".join(parts)
