"""The verdicts on the last day, for the page: the report's, where there is a policy or a reference."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.sources.sqlite import BUCKET, SQLiteSource
from otel_llm_routing.analyze.window import utc

if TYPE_CHECKING:
    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy

DAY = 86_400
COST = 20
"""Verdicts are kept for this many times the time they took."""
KEPT = (20.0, 600.0)
"""Seconds that they are kept at least and at most."""


class Judging:
    """Gives the verdicts, from any thread, and keeps them for a while."""

    def __init__(self, path: str, policy: Policy | None, reference: Reference | None) -> None:
        self._path = path
        self._policy = policy
        self._reference = reference
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}
        self._until = 0.0

    @property
    def judges(self) -> bool:
        """Whether there is anything to judge by."""
        return bool(self._policy or self._reference)

    def get(self) -> dict[str, Any]:
        """Return the verdicts by surface, and all of them in a line. Raises ``SourceError``."""
        if not self.judges:
            return {"summary": "", "surfaces": {}}
        with self._lock:
            begin = time.monotonic()
            if begin >= self._until:
                self._kept = self._judge()
                after = time.monotonic()
                self._until = after + min(max(KEPT[0], COST * (after - begin)), KEPT[1])
            return self._kept

    def _judge(self) -> dict[str, Any]:
        # NumPy takes its time and memory: only those who judge pay for it.
        from otel_llm_routing.analyze.report.build import build  # noqa: PLC0415
        from otel_llm_routing.analyze.report.summary import WORDS, summary  # noqa: PLC0415

        now = time.time()
        end = int(now) // BUCKET * BUCKET + BUCKET
        report = build(
            SQLiteSource(self._path),
            end - DAY,
            end,
            now=now,
            policy=self._policy,
            reference=self._reference,
            costs=False,
        )
        return {
            "start": utc(report.start),
            "end": utc(report.end),
            "summary": summary(report),
            "surfaces": {
                surface.surface: {
                    "level": surface.verdict.level,
                    "words": WORDS[surface.verdict.kind],
                    "sentences": [one.sentence for one in surface.findings if one.level != "calm"]
                    or [surface.verdict.sentence],
                }
                for surface in report.surfaces
            },
        }
