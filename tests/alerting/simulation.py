"""Traffic with known causes: how many requests of which series in every slice of five minutes, and what changed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SLICE = 300
DAY = 86_400
SLICES = DAY // SLICE
"""Slices of a day."""


@dataclass(frozen=True)
class Series:
    """One series of the counter, but for the process that counts."""

    surface: str
    requested: str
    served: str
    kind: str
    match: str
    provider: str = "openai"
    error: str = ""
    cached: bool = False

    def labels(self):
        said = {
            "llm_routing_surface": self.surface,
            "gen_ai_provider_name": self.provider,
            "gen_ai_operation_name": "chat",
            "gen_ai_request_model": self.requested,
            "gen_ai_response_model": self.served,
            "llm_routing_request_kind": self.kind,
            "llm_routing_match": self.match,
            "llm_routing_served_source": "body" if self.served else "none",
            "llm_routing_cached": "true" if self.cached else "",
            "error_type": self.error,
        }
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True)
class Change:
    """From ``day`` on, or over ``ramp`` days from there, the shares are ``shares``; until ``until``, where given."""

    day: float
    shares: dict[str, float]
    ramp: float = 0.0
    until: float = 1e9


@dataclass(frozen=True)
class Stream:
    """What one surface asks for, and what is answered.

    ``session`` is the mean number of requests that one decision of the router serves (the bursts that make the design
    effect), ``concentration`` how steady the shares are from day to day; ``silent`` are days without requests.
    """

    surface: str
    requested: str
    shares: dict[str, float]
    per_day: float
    kind: str = "router"
    session: float = 1.0
    concentration: float = 800.0
    unreported: float = 0.0
    failed: float = 0.01
    changes: tuple[Change, ...] = ()
    silent: tuple[tuple[float, float], ...] = ()
    unreported_from: tuple[float, float] | None = None
    """Day from which on, and share in which, nobody reports the served model."""

    def mix(self, day):
        """Return the shares meant at ``day``, before they wobble."""
        now = self.shares
        for change in self.changes:
            if day >= change.until or day < change.day:
                continue
            done = 1.0 if change.ramp == 0 else min((day - change.day) / change.ramp, 1.0)
            names = dict.fromkeys([*now, *change.shares])
            now = {n: (1 - done) * now.get(n, 0.0) + done * change.shares.get(n, 0.0) for n in names}
        return now

    def match(self, served):
        if self.kind == "pinned":
            return "exact" if served == self.requested else "substituted"
        return "resolved"


@dataclass
class Traffic:
    """Requests in every slice, by series; slice ``i`` ends at ``start + (i + 1) * SLICE``."""

    start: int
    slices: int
    counts: dict[Series, np.ndarray] = field(default_factory=dict)

    @property
    def end(self):
        return self.start + self.slices * SLICE

    def add(self, series, at, requests):
        if series not in self.counts:
            self.counts[series] = np.zeros(self.slices)
        self.counts[series][at] += requests


def simulate(streams, start, days, seed):
    """Return the traffic of ``streams`` over ``days`` from ``start`` on, the same for the same seed."""
    traffic = Traffic(start, days * SLICES)
    for number, stream in enumerate(streams):
        _simulate(stream, traffic, days, np.random.default_rng([seed, number]))
    return traffic


def _simulate(stream, traffic, days, rng):
    hours = (np.arange(SLICES) / SLICES * 24 - 15) / 24 * 2 * np.pi
    daily = 1 + 0.7 * np.cos(hours)
    for day in range(days):
        weekday = 0.6 if (traffic.start // DAY + day) % 7 in (2, 3) else 1.0
        meant = stream.mix(day)
        wobble = rng.dirichlet([max(p, 1e-9) * stream.concentration for p in meant.values()])
        factors = {n: (w / p if p > 0 else 1.0) for (n, p), w in zip(meant.items(), wobble, strict=True)}
        for part in range(SLICES):
            at = day + part / SLICES
            if any(begin <= at < end for begin, end in stream.silent):
                continue
            mix = stream.mix(at)
            names = list(mix)
            weights = np.array([mix[n] * factors.get(n, 1.0) for n in names])
            weights /= weights.sum()
            sessions = rng.poisson(stream.per_day * weekday * daily[part] / SLICES / stream.session)
            if sessions:
                index = day * SLICES + part
                for served, of in zip(names, rng.multinomial(sessions, weights), strict=True):
                    if of:
                        # The sum of so many geometric sizes of a session.
                        more = rng.negative_binomial(of, 1 / stream.session) if stream.session > 1 else 0
                        _count(stream, traffic, index, at, served, int(of + more), rng)


def _count(stream, traffic, index, at, served, size, rng):
    unreported = stream.unreported
    if stream.unreported_from is not None and at >= stream.unreported_from[0]:
        unreported = stream.unreported_from[1]
    failed = rng.binomial(size, stream.failed)
    lost = rng.binomial(size - failed, unreported)
    asked = {"surface": stream.surface, "requested": stream.requested, "kind": stream.kind}
    if failed:
        traffic.add(Series(**asked, served="", match="unreported", error="RateLimitError"), index, failed)
    if lost:
        traffic.add(Series(**asked, served="", match="unreported"), index, lost)
    if known := size - failed - lost:
        traffic.add(Series(**asked, served=served, match=stream.match(served)), index, known)


def openmetrics(traffic, path, instances=2, deploy=1.0, seed=1):
    """Write the traffic as the counters of ``instances`` processes, all replaced every ``deploy`` days.

    One sample in each slice, a minute before its end: what a process that exports every minute last said when rules are
    evaluated at the end of the slice.
    """
    rng = np.random.default_rng(seed)
    lives = int(deploy * SLICES)
    with path.open("w", encoding="utf-8") as file:
        file.write("# TYPE llm_routing_requests counter\n")
        for series, counts in traffic.counts.items():
            rest = counts.astype(int)
            for instance in range(instances):
                mine = rng.binomial(rest, 1 / (instances - instance))
                rest = rest - mine
                for begin in range(0, traffic.slices, lives):
                    _process(file, traffic, series, mine[begin : begin + lives], begin, f"{begin // lives}-{instance}")
        file.write("# EOF\n")


def _process(file, traffic, series, counts, begin, instance):
    total = np.cumsum(counts)
    labels = {**series.labels(), "job": "shop", "instance": instance}
    text = ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())
    for index in np.flatnonzero(total):  # a series begins with its first request
        at = traffic.start + (begin + index + 1) * SLICE - 60
        file.write(f"llm_routing_requests_total{{{text}}} {total[index]} {at}\n")


def escape(value):
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
