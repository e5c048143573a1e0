"""What the server could not keep apart, take in or write since it started: for its page, its log and its metrics."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

_logger = logging.getLogger("otel_llm_routing.serve")
PAUSE = 60.0
"""Seconds between two lines of the log about one thing."""


@dataclass(slots=True)
class Notices:
    """Counts since the start, written by the store under its lock."""

    overflowed: int = 0
    """Points and spans whose series was merged into ``other`` for want of room."""
    refused: int = 0
    """Points of cumulative streams that were not taken in, because as many are remembered as may be."""
    shortened: int = 0
    """Buckets' seconds that were deleted before their time, because the file was as large as it may be."""
    replaced: int = 0
    """Times that the database was deleted or replaced while it was served."""
    failed: int = 0
    """Exports that could not be written; they were answered with an error, and their senders may try again."""
    _said: dict[str, float] = field(default_factory=dict)

    def log(self, about: str, message: str, *values: object) -> None:
        """Write a line about ``about``, unless there was one within the last minute."""
        now = time.monotonic()
        if now - self._said.get(about, -PAUSE) >= PAUSE:
            self._said[about] = now
            _logger.warning(message, *values)

    def sentences(self) -> list[str]:
        """Return what whoever reads the page has to know, in plain text."""
        told = (
            (self.overflowed, "Too many different series: {} counted as “other”", "point was", "points were"),
            (self.refused, "Too many streams to remember: {} of new ones refused", "point was", "points were"),
            (
                self.shortened // 3600,
                "The file is as large as it may be: the oldest {} deleted",
                "hour was",
                "hours were",
            ),
            (self.replaced, "The database was deleted or replaced {}", "time", "times"),
            (self.failed, "The database could not be written: {} answered with an error", "export was", "exports were"),
        )
        return [
            f"{text.format(f'{number:,} {one if number == 1 else many}')} since the server started."
            for number, text, one, many in told
            if number
        ]
