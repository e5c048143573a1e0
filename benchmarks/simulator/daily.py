"""The daily report's detector on the same counts, with the same reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_llm_routing.analyze import detector
from otel_llm_routing.policy.thresholds import SLICE
from simulator.shipped import month
from simulator.traffic import BEGIN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from otel_llm_routing.policy.plan import Plan


def alarms(counts: NDArray[np.float64], plan: Plan) -> list[list[int]]:
    """Return the slices of the month at whose beginning each surface raises an alarm: at the end of a day."""
    found: dict[str, list[int]] = {stream.surface: [] for stream in plan.streams}
    for alarm in detector.detect(month(counts, plan, BEGIN), plan).alarms:
        found[alarm.surface].append(round(alarm.at) // SLICE)
    return [*found.values()]
