"""Telling the time by which counts are deleted."""

from __future__ import annotations

import logging
import time

LEAP = 3_600.0
"""Seconds that the clock may be put forward while the server runs."""

_logger = logging.getLogger("otel_llm_routing.serve")


class Clock:
    """The time of day, as long as it does not leap ahead: a clock that was set wrongly must not delete what is kept."""

    def __init__(self) -> None:
        self._start = time.time()
        self._running = _running()
        self._said = False

    def now(self) -> float:
        """Return seconds since the epoch, at most ``LEAP`` more than have passed since the start."""
        now, latest = time.time(), self._start + _running() - self._running + LEAP
        if now > latest and not self._said:
            self._said = True
            _logger.warning("the clock was put forward by more than an hour; until the next start that deletes nothing")
        return min(now, latest)


def _running() -> float:
    """Return seconds since some moment, those asleep included, where the system tells."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
