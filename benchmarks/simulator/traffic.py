"""Counts of simulated surfaces: arrays (surfaces, slices, models) of requests in every slice of five minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.policy.thresholds import SLICE
from simulator.scenarios import (
    DAILY_SWING,
    DAYS,
    DEPLOY_LOSS,
    EARLIEST,
    LATEST,
    MIXES,
    OUTAGES,
    REFERENCE_DAYS,
    SESSIONS,
    VOLUME_WOBBLE,
    WEEKENDS,
    WITHIN_DAY,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.scenarios import Change, Volume, Wobble

    Array = NDArray[np.float64]

HOUR, DAY = 3600 // SLICE, 86_400 // SLICE
"""In slices."""
SIZE = (REFERENCE_DAYS + DAYS) * DAY
BEGIN = REFERENCE_DAYS * DAY
"""The slice at which the month begins that is judged."""


class Shifted(NamedTuple):
    """Traffic in which the mix changes."""

    counts: Array
    onset: NDArray[np.int64]
    """The slice at the beginning of which it does, by surface."""


def usual(surfaces: int) -> Array:
    """Return the mixes of ``surfaces`` to which nothing happens: (surfaces, models), 0 where there are fewer models."""
    kinds = [mix.shares for mix in MIXES for _ in range(mix.of_ten)]
    shares = np.zeros((surfaces, max(map(len, kinds))))
    for row, of in zip(shares, (kinds[n % len(kinds)] for n in range(surfaces)), strict=False):
        row[: len(of)] = of
    return shares


def steady(rng: np.random.Generator, volume: Volume, wobble: Wobble, shares: Array) -> Array:
    """Return the counts of surfaces whose mix only wobbles."""
    weights = _wobbling(rng, shares, wobble.concentration)
    weights *= shares[:, None, :]
    return _requests(rng, volume, np.repeat(weights, HOUR, axis=1))


def shifted(rng: np.random.Generator, volume: Volume, wobble: Wobble, shares: Array, change: Change) -> Shifted:
    """Return the counts of surfaces whose mix changes at some time of the month, another on each."""
    onset = BEGIN + rng.integers(int(EARLIEST * DAY), int(LATEST * DAY), size=len(shares))
    since = np.arange(SIZE) - onset[:, None]
    done = np.where(since < 0, 0.0, np.clip(since / (change.ramp * DAY), 0, 1) if change.ramp else 1.0)
    after = changed(shares, change)
    meant = shares[:, None, :] + done[:, :, None] * (after - shares)[:, None, :]
    weights = np.repeat(_wobbling(rng, shares, wobble.concentration), HOUR, axis=1)
    return Shifted(_requests(rng, volume, meant * weights), onset)


def changed(shares: Array, change: Change) -> Array:
    """Return the shares after ``change``."""
    at, to = change.moved
    after = shares.copy()
    if change.swap is not None:
        after[:, at] = after[:, change.swap]
        after[:, change.swap] = 0
        return after
    after *= ((1 - to) / (1 - shares[:, at]))[:, None]
    after[:, at] = to
    return after


def _wobbling(rng: np.random.Generator, shares: Array, concentration: float) -> Array:
    """Return by what each share is multiplied in each hour: (surfaces, hours, models), about 1."""
    days = _dirichlet(rng, shares, concentration, SIZE // DAY)
    hours = _dirichlet(rng, shares, concentration / WITHIN_DAY, SIZE // HOUR)
    return np.repeat(days, 24, axis=1) * hours


def _dirichlet(rng: np.random.Generator, shares: Array, concentration: float, times: int) -> Array:
    drawn = rng.standard_gamma(concentration * shares[:, None, :], size=(len(shares), times, shares.shape[1]))
    drawn /= drawn.sum(axis=2, keepdims=True)
    return np.divide(drawn, shares[:, None, :], out=np.ones_like(drawn), where=shares[:, None, :] > 0)


def _requests(rng: np.random.Generator, volume: Volume, weights: Array) -> Array:
    weights /= weights.sum(axis=2, keepdims=True)
    surfaces = len(weights)
    session = np.resize(SESSIONS, surfaces)
    rng.shuffle(session)
    weights *= (_rate(rng, surfaces, volume.per_day) / session[:, None])[:, :, None]
    counts = rng.poisson(weights)
    # The sum of so many geometric sizes of a session.
    more = np.nonzero((counts > 0) & (session > 1)[:, None, None])
    counts[more] += rng.negative_binomial(counts[more], 1 / session[more[0]])
    return counts.astype(np.float64)


def _rate(rng: np.random.Generator, surfaces: int, per_day: float) -> Array:
    """Return the requests meant in each slice: (surfaces, slices)."""
    slices = np.arange(SIZE)
    peak = rng.integers(DAY, size=(surfaces, 1))
    rate = 1 + DAILY_SWING * np.cos(2 * np.pi * (slices - peak) / DAY)
    weekend = np.resize(WEEKENDS, surfaces)
    rng.shuffle(weekend)
    days = np.where(np.arange(SIZE // DAY) % 7 >= 5, weekend[:, None], 1.0) / ((5 + 2 * weekend[:, None]) / 7)  # noqa: PLR2004  (of a week)
    days *= rng.lognormal(-(VOLUME_WOBBLE**2) / 2, VOLUME_WOBBLE, size=days.shape)
    rate *= np.repeat(days, DAY, axis=1) * per_day / DAY
    deploys = np.arange(SIZE // DAY) * DAY + rng.integers(DAY, size=(surfaces, SIZE // DAY))
    np.put_along_axis(rate, deploys, np.take_along_axis(rate, deploys, axis=1) * (1 - DEPLOY_LOSS), axis=1)
    for row in rate:
        for begin in rng.integers(SIZE, size=rng.poisson(OUTAGES * SIZE / (DAYS * DAY))):
            row[begin : begin + rng.integers(HOUR, 6 * HOUR)] = 0
    return rate
