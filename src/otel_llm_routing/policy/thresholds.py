"""The numbers of the alert rules, read from ``thresholds.json``; ``docs/detection.md`` says what they mean."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Literal, NamedTuple

Level = Literal["page", "ticket", "info"]

_TABLE = json.loads(files(__package__).joinpath("thresholds.json").read_text("utf-8"))

SLICE: int = _TABLE["slice_seconds"]
"""Seconds of one slice: how often rules are evaluated, and the unit that windows are made of."""


class Window(NamedTuple):
    """A window of time that ends now."""

    name: str
    seconds: int
    factor: float
    """f_W: how much the share's own wobble averages out within the window; 1 is a day's."""

    @property
    def slices(self) -> int:
        """How many slices it is made of."""
        return self.seconds // SLICE


class AlertRule(NamedTuple):
    """What is the same for an alert wherever it is raised."""

    alert: str
    window: Window | None
    """None: the alert has no window of its own, or several."""
    level: Level
    hold: int
    """Seconds that it must hold before it fires (``for``)."""
    keep: int
    """Seconds that it goes on firing when it no longer holds (``keep_firing_for``)."""


class Trailing(NamedTuple):
    """What stands in for the noise and the threshold of a reference that nobody pinned."""

    design_effect: float
    concentration: float
    threshold: float


class ShiftRule(NamedTuple):
    """One rule about the distance between a share and its reference."""

    alert: str
    window: Window
    above_threshold: float
    """Added to the stream's threshold."""
    points: float
    """The least change, in points, where the policy names no tolerance."""
    level: Level


WINDOWS = {name: Window(name, w["seconds"], w["factor"]) for name, w in _TABLE["windows"].items()}
ALERTS = {
    (a["alert"], a.get("window", "")): AlertRule(
        a["alert"], WINDOWS.get(a.get("window", "")), a["level"], a["for"], a["keep_firing_for"]
    )
    for a in _TABLE["alerts"]
}
"""Every alert, by its name and the name of its window, which is empty where it has none."""
SHIFT_RULES = tuple(
    ShiftRule(a["alert"], WINDOWS[a["window"]], a.get("above_threshold", 0), a["points"], a["level"])
    for a in _TABLE["alerts"]
    if "points" in a
)
DEFAULT_THRESHOLD: float = _TABLE["default_threshold"]
FULL_DAYS: int = _TABLE["full_reference_days"]
LEAST_DAYS: int = _TABLE["least_reference_days"]
BAND_THRESHOLD: float = _TABLE["band"]["threshold"]
BAND_CONCENTRATION: float = _TABLE["band"]["concentration"]
BAND_DESIGN_EFFECT: float = _TABLE["band"]["design_effect"]
"""Stands in for a surface that has bands but no reference."""
NEW_REQUESTS: float = _TABLE["new_model"]["requests"]
NEW_SHARE: float = _TABLE["new_model"]["share"]
VANISHED_EXPECTED: float = _TABLE["vanished_model"]["expected_requests"]
VANISHED_SHARE: float = _TABLE["vanished_model"]["share"]
MODEL_DESIGN_EFFECT: float = _TABLE["largest_design_effect_of_a_model"]
"""The bursts of one model's requests are at most this, whatever the stream's are."""
TRAILING = Trailing(**_TABLE["trailing_reference"])
SILENT_REQUESTS: float = _TABLE["silent_surface_requests"]
"""Independent requests that were to be expected, for none to be worth a word."""
NO_REFERENCE_REQUESTS: float = _TABLE["no_reference_requests"]
"""Requests a week from which on a stream should have a reference."""
LEAST_UNKNOWN: float = _TABLE["unknown_served"]["requests"]
UNKNOWN_SURFACE_LIMIT: float = _TABLE["unknown_surface_limit"]
"""The share of all requests that may come without a surface."""
_BUDGET = _TABLE["false_alarms_per_month"]
SMALLEST_BUDGET: float = min(_BUDGET["mild"])
"""False alarms per surface and month that the highest threshold of the table keeps."""


def threshold(budget: float | None, days: float, concentration: float) -> float:
    """Return L, which the score of the 24 h and 7 d windows must exceed.

    ``budget`` is how many false alarms of a shift a surface may raise in a month (None: the default threshold),
    ``days`` what the reference was computed from, ``concentration`` its m. A budget below the table's smallest rate
    gives the table's highest threshold.
    """
    if budget is None:
        found = DEFAULT_THRESHOLD
    else:
        rates = _BUDGET["rough" if concentration < _TABLE["rough_below_concentration"] else "mild"]
        kept = [limit for limit, rate in zip(_BUDGET["thresholds"], rates, strict=True) if rate <= budget]
        found = float(min(kept, default=max(_BUDGET["thresholds"])))
    return max(found, _TABLE["short_reference_threshold"]) if days < FULL_DAYS else found


def budget(limit: float, concentration: float) -> float | None:
    """Return the false alarms of a month to declare for a threshold of ``limit`` or more; None: no budget gives it."""
    rates = _BUDGET["rough" if concentration < _TABLE["rough_below_concentration"] else "mild"]
    kept = [rate for at, rate in zip(_BUDGET["thresholds"], rates, strict=True) if at >= limit]
    return max(kept, default=None)


def least_points(rule: ShiftRule, tolerance: float | None) -> float:
    """Return the least change in points that ``rule`` fires at, given the policy's tolerance in points."""
    if tolerance is None:
        return rule.points
    return max(rule.points, tolerance) if rule.level == "page" else tolerance
