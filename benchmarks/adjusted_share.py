"""The raw share against the adjusted one: which sees the router, and which takes our own traffic for it.

python benchmarks/adjusted_share.py [--surfaces 300]
"""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import numpy as np

from otel_llm_routing.analyze import adjusted, noise, shift
from otel_llm_routing.analyze.sizes import BOUNDS, SizePair, SizeTable
from otel_llm_routing.policy.thresholds import DEFAULT_THRESHOLD, SHIFT_RULES, WINDOWS

REFERENCE_DAYS, DAYS = 28, 7
EDGES = (*BOUNDS, math.inf)
SERVED = ("large", "small")
MEDIAN, SPREAD = 2000.0, 1.2
"""Of the sizes, in characters; the standard deviation of their logarithm."""
LEVEL, SLOPE = -1.0, -0.9
"""The logit of the small model's share at the median, and its slope over the logarithm of the size: 31 % in all."""
RULES = tuple(rule for rule in SHIFT_RULES if rule.window in (WINDOWS["24h"], WINDOWS["7d"]))


class Scenario(NamedTuple):
    """What happens on a surface, from the first day after the reference on."""

    name: str
    restless: float = 0.0
    """The standard deviation by which the logarithm of the median size differs from day to day, at all times."""
    smaller: float = 1.0
    """What requests shrink to: the traffic's part."""
    router: float = 0.0
    """What the small model gains at every size."""


class Rates(NamedTuple):
    """The share of surfaces on which an alert is raised within the seven days, 0 to 1."""

    raw: float
    adjusted: float
    adjusted_with_raw_noise: float
    """With the m of the raw share, to show that the adjusted share needs its own."""
    change: float
    """By how much the small model's raw share moved, on average."""


SCENARIOS = (
    Scenario("sizes steady, nothing changes"),
    Scenario("sizes steady, our requests shrink by half", smaller=0.5),
    Scenario("sizes steady, router +12 points", router=0.12),
    Scenario("sizes restless, nothing changes", restless=0.5),
    Scenario("sizes restless, our requests shrink by half", restless=0.5, smaller=0.5),
    Scenario("sizes restless, router +12 points", restless=0.5, router=0.12),
)


def compare(scenario: Scenario, surfaces: int, per_day: float = 200, concentration: float = 300) -> Rates:
    """Return how often the rules of 24 h and 7 d fire on the raw and on the adjusted share."""
    found = [
        _surface(np.random.default_rng([17, number]), scenario, per_day, concentration) for number in range(surfaces)
    ]
    return Rates(*np.mean(found, axis=0).tolist())


def _surface(
    rng: np.random.Generator, scenario: Scenario, per_day: float, concentration: float
) -> tuple[bool, bool, bool, float]:
    hours = _traffic(rng, scenario, per_day, concentration)
    reference = hours[: REFERENCE_DAYS * 24]
    whole = SizeTable(SERVED, EDGES, reference.sum(axis=0))
    own = noise.estimate(reference.sum(axis=2))
    days = [whole._replace(counts=day) for day in reference.reshape(-1, 24, *whole.counts.shape).sum(axis=1)]
    steady = adjusted.concentration(whole, days, own.design_effect)
    requests = float(whole.counts.sum())
    p = whole.counts.sum(axis=1) / requests
    upto = np.concatenate([np.zeros((1, *whole.counts.shape)), hours.cumsum(axis=0)])
    raised = [False, False, False]
    for rule in RULES:
        factor, length = rule.window.factor, rule.window.seconds // 3600
        for at in range(REFERENCE_DAYS * 24 + 1, len(upto)):
            now = upto[at] - upto[at - length]
            c, n = now.sum(axis=1), now.sum()
            effective = shift.effective_requests(n, requests, *own, factor)
            raised[0] |= _fires(shift.score(c, n, p, effective), c / max(n, 1) - p, rule.points)
            if (found := adjusted.adjust(SizePair(SERVED, EDGES, whole.counts, now))) is not None:
                moved = found.share - found.reference
                for place, m in ((1, steady), (2, own.concentration)):
                    j = adjusted.score(
                        found,
                        reference_requests=requests,
                        design_effect=own.design_effect,
                        concentration=m,
                        factor=factor,
                    )
                    raised[place] |= _fires(j, moved, rule.points)
    after = hours[REFERENCE_DAYS * 24 :].sum(axis=(0, 2))
    return (*raised, float(after[1] / after.sum() - p[1]))  # type: ignore[return-value]


def _fires(score: np.ndarray, moved: np.ndarray, points: float) -> bool:
    return bool(((score > DEFAULT_THRESHOLD) & (np.abs(moved) * 100 >= points)).any())


def _traffic(rng: np.random.Generator, scenario: Scenario, per_day: float, concentration: float) -> np.ndarray:
    """Return the requests of every hour: (hours, served models, size buckets)."""
    found = np.zeros(((REFERENCE_DAYS + DAYS) * 24, len(SERVED), len(EDGES)))
    for day in range(REFERENCE_DAYS + DAYS):
        changed = day >= REFERENCE_DAYS
        n = rng.poisson(per_day)
        log_size = math.log(scenario.smaller if changed else 1) + scenario.restless * rng.standard_normal()
        log_size = log_size + SPREAD * rng.standard_normal(n)
        # √(p(1-p)/m) of a share, as the standard deviation of its logit at p(1-p) = 0.2.
        wobble = rng.standard_normal() / math.sqrt(concentration * 0.2)
        share = 1 / (1 + np.exp(-(LEVEL + SLOPE * log_size + wobble)))
        small = rng.random(n) < share + (scenario.router if changed else 0)
        bucket = np.searchsorted(EDGES, MEDIAN * np.exp(log_size))
        np.add.at(found, (day * 24 + rng.integers(24, size=n), small.astype(int), bucket), 1)
    return found


def main() -> None:
    """Print the table of ``docs/detection.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surfaces", type=int, default=300)
    surfaces = parser.parse_args().surfaces
    print("| 200 requests/day | raw share moves | raw | adjusted | adjusted, with the raw share's m |")
    print("|---|---|---|---|---|")
    for scenario in SCENARIOS:
        found = compare(scenario, surfaces)
        rates = " | ".join(f"{rate:.0%}" for rate in found[:3])
        print(f"| {scenario.name} | {found.change * 100:+.1f} | {rates} |")


if __name__ == "__main__":
    main()
