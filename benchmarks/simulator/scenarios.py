"""What is simulated: volumes, how restless the mix is, mixes, and the changes to be found.

All that there is to choose is here. Every figure of the tables is of these; ``docs/detection.md`` names them.
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


class Case(NamedTuple):
    """How restless traffic is to which nothing happens."""

    name: str
    concentration: float = 300
    """m: the mix of a day is drawn from a Dirichlet distribution of that concentration around the shares."""
    session: float = 1.0
    """Mean requests of a session, whose sizes are geometric and which one model serves: φ is twice that less one."""
    alike: float = 0.0
    """The correlation of a day's mix with that of the day before."""
    hours: float = 0.0
    """The variance with which the mix of an hour wobbles around that of its day, by the variance of the day's."""
    rarest: float = 0.02
    """The share of the rarest model of the mixes."""


class Change(NamedTuple):
    """A change of the mix to be found."""

    name: str
    model: int
    """Its position in ``CHANGING``."""
    share: float
    """What it becomes; the others give or take in proportion."""
    replaces: int | None = None
    """The position of the model that it replaces, instead."""
    ramp: float = 0.0
    """Days that it takes, evenly; 0: all at once."""


VOLUMES = (
    Volume("20/day", 20),
    Volume("200/day", 200),
    Volume("100/h", 2400),
    Volume("10k/h", 240_000),
    Volume("1M/h", 24_000_000),
)
CALM, MILD, ROUGH = Case("calm", 1000), Case("mild"), Case("rough", 80)
CASES = (CALM, MILD, ROUGH)
BURSTS = Case("bursts, φ = 3", session=2)
HARSHER = (
    Case("bursts, φ = 2", session=1.5),
    BURSTS,
    Case("bursts, φ = 5", session=3),
    Case("days alike", alike=0.7),
    Case("hours wobble too", hours=1),
    Case("rough, rarest 1 %", 80, rarest=0.01),
)
"""What the headline figures depend on: each is mild but for what it says."""
MIXES = (
    (0.83, 0.12, 0.05),
    (0.83, 0.12, 0.05),
    (0.5, 0.45, 0.05),
    (0.7, 0.3),
    (0.6, 0.25, 0.1, 0.05),
)
"""A fifth of the surfaces each. The rarest model takes its share from the first of the last mix."""
CHANGING = (0.83, 0.12, 0.05, 0.0)
"""The mix that changes; the last model is not in the reference."""
CHANGES = (
    Change("12 → 30 %", 1, 0.3),
    Change("5 → 25 %", 2, 0.25),
    Change("5 → 15 %", 2, 0.15),
    Change("5 → 0.7 %", 2, 0.007),
    Change("a 5 % model vanishes", 2, 0.0),
    Change("new model at 2 %", 3, 0.02),
    Change("pool swap: a new model takes the 83 %", 3, 0.83, replaces=0),
    Change("5 → 15 % over 14 days", 2, 0.15, ramp=14),
)
CHANGED = (*((volume, MILD) for volume in VOLUMES), (VOLUMES[1], BURSTS), (VOLUMES[2], BURSTS))
"""The traffic in which each change is to be found."""
EARLIEST, LATEST = 3.0, 10.0
"""Days of the month between which a change begins, at any time."""
WEEKENDS = (1.0, 0.5, 0.1)
"""Requests of a weekend's day by those of a weekday; a third of the surfaces each."""
DAILY_SWING = 0.8
"""How far the busiest and the quietest hour are from the mean of a day."""
VOLUME_WOBBLE = 0.2
"""Standard deviation of the logarithm of a day's requests."""
OUTAGES = 1.0
"""A month, each of 1 to 6 hours without a request."""
DEPLOY_LOSS = 0.2
"""Of one slice's requests, once a day: what processes had counted and not exported when they were replaced."""
THRESHOLDS = (5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
"""The values of L for the table that turns a budget of false alarms into one."""
