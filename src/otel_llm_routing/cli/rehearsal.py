"""What the rules should make of the traffic of their generated tests, judged from its counts as ``check`` would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from otel_llm_routing.analyze.alert_text import description, summary
from otel_llm_routing.analyze.alerts import Alert
from otel_llm_routing.analyze.alerts import Judged as JudgedHistory
from otel_llm_routing.analyze.history import History, Known, Unknown
from otel_llm_routing.generate.promql import REQUESTED, SERVED, SURFACE
from otel_llm_routing.generate.rule_tests import WITH_FILES, Firing, Series
from otel_llm_routing.policy.plan import UNKNOWN_LIMIT, UNOWNED, Plan, StreamPlan
from otel_llm_routing.policy.thresholds import SHIFT_RULES, SLICE, TRAILING, WINDOWS, least_points

if TYPE_CHECKING:
    from collections.abc import Sequence


class Rehearsal:
    """The alerts of some traffic under the rules of a plan; None: under those that need no files."""

    def __init__(self, plan: Plan | None, runbooks: str, traffic: Sequence[Series]) -> None:
        self._runbooks = runbooks.rstrip("/")
        self._history = _history(traffic)
        self._generic = plan is None
        self._judged = None if plan is None else JudgedHistory(self._history, plan)

    def at(self, slice_: int) -> list[Firing]:
        """Return the alerts that fire at the end of a slice."""
        found = (self._judged or self._trailing(slice_)).at(slice_)
        return [self._firing(alert) for alert in found if not (self._generic and alert.alert in WITH_FILES)]

    def begins(self, alert: str, after: int) -> int | None:
        """Return the first slice later than ``after`` at which one more alert of that name fires; None if none does.

        None without files too, where the reference is another one in each slice.
        """
        return None if self._judged is None else self._judged.begins(alert, after)

    def _trailing(self, slice_: int) -> JudgedHistory:
        """Judge by the week that ended a day before a slice."""
        until = max(slice_ + 1 - WINDOWS["24h"].slices, 0)
        points = {rule.window.name: least_points(rule, None) / 100 for rule in SHIFT_RULES}
        streams = []
        for key, models in self._history.streams().items():
            week = {
                served: float(counts[max(until - WINDOWS["7d"].slices, 0) : until].sum())
                for served, counts in models.items()
            }
            if total := sum(week.values()):
                shares = {served: count / total for served, count in week.items() if count}
                streams.append(StreamPlan(*key, round(total), 7, *TRAILING[:2], shares, TRAILING.threshold, points))
        return JudgedHistory(self._history, Plan(tuple(streams), (), UNOWNED, UNKNOWN_LIMIT))

    def _firing(self, alert: Alert) -> Firing:
        severity = "ticket" if self._generic and alert.severity == "page" else alert.severity
        labels = {
            SURFACE: alert.surface,
            REQUESTED: alert.requested,
            SERVED: alert.served,
            "llm_routing_band": alert.band,
            "owner": alert.owner,
            "severity": severity,
            "llm_routing_window": alert.window,
        }
        annotations = {
            "summary": summary(alert),
            "description": description(alert),
            "runbook_url": f"{self._runbooks}/{alert.alert}.md",
        }
        return Firing(alert.alert, {name: value for name, value in labels.items() if value}, annotations)


def _history(traffic: Sequence[Series]) -> History:
    history = History(0, SLICE, max(len(series.counts) for series in traffic))
    for series in traffic:
        counts = np.zeros(history.size)
        counts[: len(series.counts)] = series.counts
        if series.served:
            known = Known(series.surface, series.requested, series.served, series.match, series.kind)
            history.known[known] = history.known[known] + counts
        else:
            unknown = Unknown(series.surface, series.requested, series.kind)
            history.unknown[unknown] = history.unknown[unknown] + counts
    return history
