"""What every counter of every process grew by in the last 5 minutes: the one expression that all counts rest on.

``increase()`` would lose the first value of every process and of every rare model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.generate.promql import bracket
from otel_llm_routing.policy.thresholds import SLICE

if TYPE_CHECKING:
    from otel_llm_routing.generate.promql import Clock

SETTLE = 30
"""Seconds that samples may take to arrive."""
BACK = 21_600
"""Seconds that a silent process is remembered: what it says next is an increase, not a birth. After a longer outage of
Prometheus all that its processes ever counted is counted once more."""


def growth(series: str, clock: Clock, apart: str = "") -> str:
    """Return what each of ``series`` grew by: all of it, if it is new or has restarted.

    Those that differ only in the label ``apart`` are one counter, which restarts as a whole, also where the new value
    of one of them is larger than its old one.
    """
    now = f"last_over_time({series}[{clock(SLICE)}] offset {clock(SETTLE)})"
    before = f"last_over_time({series}[{clock(BACK)}] offset {clock(SLICE + SETTLE)})"
    grown = f"{now} - {before} >= 0"
    if apart:
        change = f"{now}\n- {before}"
        fell = bracket(f"{change}\n< 0 > -Inf")
        grown = f"{bracket(change)}\nunless ignoring ({apart}) {fell}"
    # What a process says that is no number (NaN, Inf) spoils neither the sums of a week nor the slice after it, in
    # which that process has neither been born nor restarted.
    earlier = f"last_over_time({series}[{clock(SLICE)}] offset {clock(SLICE + SETTLE)})"
    whole = bracket(f"{now}\nunless ({earlier} < bool Inf) == 0")
    counted = bracket(f"{grown}\nor\n{whole}")
    return f"{counted} >= 0 < Inf"
