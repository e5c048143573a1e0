"""Has the model mix of a surface shifted between two windows, beyond noise?

A G-test of independence on the table (before, after) x (served models), see R. R. Sokal and F. J. Rohlf, Biometry,
ch. 17. It is the simplest test that is right for one comparison of two windows whose requests are independent, as in
this demo; alerting on live traffic needs more, see ``docs/``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_P = 0.001
"""A shift has a p-value below this."""
MIN_POINTS = 5.0
"""A shift moves some model's share by at least so many percentage points."""


@dataclass(frozen=True)
class Shift:
    """The comparison of one surface's two windows."""

    surface: str
    model: str
    """The model whose share moved the most."""
    before: float
    after: float
    """That model's share, 0 to 1."""
    p: float

    @property
    def points(self) -> float:
        """How far the share moved, in percentage points."""
        return 100 * (self.after - self.before)

    @property
    def established(self) -> bool:
        """It is a shift: large enough to matter, and beyond noise."""
        return self.p < MAX_P and abs(self.points) >= MIN_POINTS


def compare(surface: str, before: Mapping[str, int], after: Mapping[str, int]) -> Shift:
    """Compare how many requests each model served; both windows must have some."""
    models = sorted({*before, *after})
    n, m = sum(before.values()), sum(after.values())
    moved = max(models, key=lambda k: abs(after.get(k, 0) / m - before.get(k, 0) / n))
    g = 0.0
    for model in models:
        total = before.get(model, 0) + after.get(model, 0)
        for observed, size in ((before.get(model, 0), n), (after.get(model, 0), m)):
            if observed:
                g += 2 * observed * math.log(observed * (n + m) / (total * size))
    p = chi_square_tail(g, len(models) - 1)
    return Shift(surface, moved, before.get(moved, 0) / n, after.get(moved, 0) / m, p)


def chi_square_tail(x: float, degrees: int) -> float:
    """Return P(X > x) for a chi-square variable. Abramowitz and Stegun, 26.4.4 and 26.4.5."""
    if degrees <= 0 or x <= 0:
        return 1.0
    a = 0.5 if degrees % 2 else 1.0
    tail = math.erfc(math.sqrt(x / 2)) if degrees % 2 else math.exp(-x / 2)
    while 2 * a < degrees:  # Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1), y = x / 2
        tail += math.exp(a * math.log(x / 2) - x / 2 - math.lgamma(a + 1))
        a += 1
    return min(1.0, tail)
