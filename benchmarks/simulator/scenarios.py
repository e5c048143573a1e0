"""What is simulated: volumes, how restless the mix is, mixes, and the changes to be found.

DETECTION names the volumes, the wobbles and the changes; how traffic looks otherwise is said here and nowhere else.
"""

from __future__ import annotations

from typing import NamedTuple

REFERENCE_DAYS, DAYS = 28, 28
"""Days from which the reference is pinned, and days that are judged: a surface-month."""


class Volume(NamedTuple):
    """How busy a surface is."""

    name: str
    per_day: float
    """Requests of a mean day."""


class Wobble(NamedTuple):
    """How restless a mix is by itself."""

    name: str
    concentration: float
    """m: the mix of a day is drawn from a Dirichlet distribution of that concentration around the shares."""


class Mix(NamedTuple):
    """A reference mix, and how many surfaces in ten have it."""

    shares: tuple[float, ...]
    of_ten: int


class Change(NamedTuple):
    """A change of the mix to be found."""

    name: str
    moved: tuple[int, float]
    """The position of a model in ``CHANGING``, and its new share; the others give or take in proportion."""
    swap: int | None = None
    """The position of a model whose whole share goes to the one that ``moved`` names, instead."""
    ramp: float = 0.0
    """Days that it takes, evenly; 0: all at once."""


VOLUMES = (
    Volume("20/day", 20),
    Volume("200/day", 200),
    Volume("100/h", 2400),
    Volume("10k/h", 240_000),
    Volume("1M/h", 24_000_000),
)
WOBBLES = (Wobble("calm", 1000), Wobble("mild", 300), Wobble("rough", 80))
WITHIN_DAY = 1 / 0.45 - 1
"""The mix of an hour wobbles around its day's, by this many times the variance of the day's."""
MIXES = (
    Mix((0.83, 0.12, 0.05), 4),
    Mix((0.5, 0.45, 0.05), 2),
    Mix((0.7, 0.3), 2),
    Mix((0.6, 0.25, 0.1, 0.04, 0.01), 2),
)
CHANGING = (0.83, 0.12, 0.05, 0.0)
"""The mix that changes; the last model is not in the reference."""
CHANGES = (
    Change("12 → 30 %", (1, 0.3)),
    Change("5 → 25 %", (2, 0.25)),
    Change("5 → 15 %", (2, 0.15)),
    Change("5 → 0.7 %", (2, 0.007)),
    Change("a 5 % model vanishes", (2, 0.0)),
    Change("new model at 2 %", (3, 0.02)),
    Change("pool swap: the 83 % model is replaced", (3, 0.83), swap=0),
    Change("5 → 15 % over 14 days", (2, 0.15), ramp=14),
)
CHANGED_VOLUMES = VOLUMES[1:4]
EARLIEST, LATEST = 3.0, 10.0
"""Days of the month between which a change begins, at any time."""
SESSIONS = (1.0, 2.0, 3.0)
"""Mean requests of a session, geometric, all served by one model; a third of the surfaces each: φ = 1, 3, 5."""
WEEKENDS = (1.0, 0.5, 0.1)
"""Requests of a weekend's day by those of a weekday; a third of the surfaces each."""
DAILY_SWING = 0.8
"""How far the hours of a day are above and below its mean."""
VOLUME_WOBBLE = 0.2
"""Standard deviation of the logarithm of a day's requests."""
OUTAGES = 1.0
"""A month, of 1 to 6 hours without a request."""
DEPLOY_LOSS = 0.2
"""Of one slice's requests, once a day: what processes had counted and not exported."""
