"""Counts of simulated surfaces: arrays (surfaces, slices, models) of requests in every slice of five minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.policy.thresholds import SLICE
from simulator.scenarios import (
    CHANGING,
    DAILY_SWING,
    DAYS,
    DEPLOY_LOSS,
    EARLIEST,
    LATEST,
    MIXES,
    OUTAGES,
    REFERENCE_DAYS,
    VOLUME_WOBBLE,
    WEEKENDS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.scenarios import Case, Change, Volume

    Array = NDArray[np.float64]

HOUR, DAY = 3600 // SLICE, 86_400 // SLICE
"""In slices."""
BEGIN = REFERENCE_DAYS * DAY
"""The slice at which the month begins that is judged."""
SIZE = BEGIN + DAYS * DAY
WEEK, WORKDAYS = 7, 5
FADED = 14
"""Days before the first, after which nothing is left of how a mix of days that are alike began."""


class Shifted(NamedTuple):
    """Traffic in which the mix changes."""

    counts: Array
    onset: NDArray[np.int64]
    """The slice at the beginning of which it does, by surface."""


def steady(rng: np.random.Generator, surfaces: int, volume: Volume, case: Case) -> Array:
    """Return the counts of surfaces whose mix only wobbles."""
    shares = _mixes(surfaces, case.rarest)
    return _requests(rng, volume, case.session, shares[:, None, :] * _wobble(rng, shares, case))


def shifted(rng: np.random.Generator, surfaces: int, volume: Volume, case: Case, change: Change) -> Shifted:
    """Return the counts of surfaces whose mix changes at some time of the month, another on each."""
    shares = np.tile(CHANGING, (surfaces, 1))
    onset = BEGIN + rng.integers(int(EARLIEST * DAY), int(LATEST * DAY), size=surfaces)
    since = np.arange(SIZE) - onset[:, None]
    done = np.clip(since / (change.ramp * DAY), 0, 1) if change.ramp else (since >= 0).astype(np.float64)
    meant = shares[:, None, :] + done[:, :, None] * (_changed(shares, change) - shares)[:, None, :]
    return Shifted(_requests(rng, volume, case.session, meant * _wobble(rng, shares, case)), onset)


def _mixes(surfaces: int, rarest: float) -> Array:
    """Return shares (surfaces, models): 0 where a mix has fewer models than others."""
    mixes = np.zeros((len(MIXES), max(map(len, MIXES)) + 1))
    for row, mix in zip(mixes, MIXES, strict=True):
        row[: len(mix)] = mix
    mixes[-1, 0] -= rarest
    mixes[-1, -1] = rarest
    return np.resize(mixes, (surfaces, mixes.shape[1]))


def _changed(shares: Array, change: Change) -> Array:
    after = shares.copy()
    if change.replaces is not None:
        after[:, change.replaces] = 0
    else:
        after *= ((1 - change.share) / (1 - shares[:, change.model]))[:, None]
    after[:, change.model] = change.share
    return after


def _wobble(rng: np.random.Generator, shares: Array, case: Case) -> Array:
    """Return by what each share is multiplied in each slice, 1 on the average: (surfaces, slices, models)."""
    days = SIZE // DAY
    # A fading average of days, each of them that much more restless, is as restless as a day of its own.
    restless = case.concentration * (1 - case.alike) / (1 + case.alike)
    drawn = _dirichlet(rng, shares, restless, FADED + days)
    for day in range(1, FADED + days):
        drawn[:, day] = case.alike * drawn[:, day - 1] + (1 - case.alike) * drawn[:, day]
    factors = np.repeat(drawn[:, FADED:], DAY, axis=1)
    if case.hours:
        factors *= np.repeat(_dirichlet(rng, shares, case.concentration / case.hours, SIZE // HOUR), HOUR, axis=1)
    return factors


def _dirichlet(rng: np.random.Generator, shares: Array, concentration: float, times: int) -> Array:
    wide = shares[:, None, :]
    drawn = rng.standard_gamma(concentration * wide, size=(len(shares), times, shares.shape[1]))
    drawn /= drawn.sum(axis=2, keepdims=True)
    return np.divide(drawn, wide, out=np.ones_like(drawn), where=wide > 0)


def _requests(rng: np.random.Generator, volume: Volume, session: float, weights: Array) -> Array:
    weights /= weights.sum(axis=2, keepdims=True)
    weights *= _rate(rng, len(weights), volume.per_day / session)[:, :, None]
    counts = rng.poisson(weights)
    if session > 1:  # the sum of so many geometric sizes
        some = counts > 0
        counts[some] += rng.negative_binomial(counts[some], 1 / session)
    return counts.astype(np.float64)


def _rate(rng: np.random.Generator, surfaces: int, per_day: float) -> Array:
    """Return the sessions meant in each slice: (surfaces, slices)."""
    days = SIZE // DAY
    peak = rng.integers(DAY, size=(surfaces, 1))
    rate = 1 + DAILY_SWING * np.cos(2 * np.pi * (np.arange(SIZE) - peak) / DAY)
    weekend = rng.choice(WEEKENDS, size=(surfaces, 1))
    daily = np.where(np.arange(days) % WEEK >= WORKDAYS, weekend, 1.0)
    daily *= rng.lognormal(-(VOLUME_WOBBLE**2) / 2, VOLUME_WOBBLE, size=daily.shape) / daily.mean(axis=1, keepdims=True)
    rate *= np.repeat(daily, DAY, axis=1) * per_day / DAY
    deploys = np.arange(days) * DAY + rng.integers(DAY, size=(surfaces, days))
    np.put_along_axis(rate, deploys, np.take_along_axis(rate, deploys, axis=1) * (1 - DEPLOY_LOSS), axis=1)
    for row in rate:
        for begin in rng.integers(SIZE, size=rng.poisson(OUTAGES * days / DAYS)):
            row[begin : begin + rng.integers(HOUR, 6 * HOUR)] = 0
    return rate
