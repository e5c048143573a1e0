"""The measured tables as Markdown, and where they stand in a page."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pages import Places, table

from simulator import usual
from simulator.measure import ANY, DAILY, limit
from simulator.scenarios import CASES, CHANGED, CHANGES, DAYS, HARSHER, MILD, ROUGH, THRESHOLDS, VOLUMES
from simulator.shipped import ALERTS
from simulator.traffic import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.measure import Measured
    from simulator.scenarios import Case

DAILY_CHANGES = tuple(change for change in CHANGES if change.name in {"12 → 30 %", "5 → 15 %", "5 → 0.7 %"})
NAMES = ("usual", "thresholds", "false-alarms", "harsher", "delays", "daily")
PLACES = Places("simulated", (*NAMES, "by"))


class Table(NamedTuple):
    """One table."""

    name: str
    """Of its place in the page."""
    about: str
    """What stands above its first column."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The name of each first."""

    def markdown(self) -> str:
        """Return it as Markdown."""
        return table((self.about, *self.columns), self.rows)


def tables(measured: Measured) -> tuple[Table, ...]:
    """Return every table."""
    volumes = tuple(volume.name for volume in VOLUMES)
    return (
        Table(
            "false-alarms",
            "requests",
            (*(case.name for case in CASES), *(f"`{alert.removeprefix('LLMRouting')}`" for alert in ALERTS)),
            tuple(
                (
                    v,
                    *(_rate(measured, v, case.name, ANY) for case in CASES),
                    *(_plain(measured, v, MILD.name, alert) for alert in ALERTS),
                )
                for v in volumes
            ),
        ),
        Table(
            "harsher",
            "traffic",
            volumes,
            tuple((case.name, *(_rate(measured, v, case.name, ANY) for v in volumes)) for case in HARSHER),
        ),
        Table(
            "usual",
            "rule",
            volumes,
            tuple((rule, *(_usual(measured, v, rule) for v in volumes)) for rule in usual.NAMES),
        ),
        Table(
            "delays",
            "change",
            tuple(v.name if case is MILD else f"{v.name}, {case.name}" for v, case in CHANGED),
            tuple(
                (change.name, *(_delay(measured.delays[v.name, case.name, change.name]) for v, case in CHANGED))
                for change in CHANGES
            ),
        ),
        Table(
            "daily",
            "requests",
            (*(case.name for case in CASES), *(change.name for change in DAILY_CHANGES)),
            tuple(
                (
                    v,
                    *(_rate(measured, v, case.name, DAILY) for case in CASES),
                    *(_delay(measured.days[v, MILD.name, change.name]) for change in DAILY_CHANGES),
                )
                for v in volumes
            ),
        ),
        Table(
            "thresholds",
            "L",
            (MILD.name, f"{MILD.name}, measured", ROUGH.name, f"{ROUGH.name}, measured"),
            tuple(
                (
                    f"{at:g}",
                    *(said for case in (MILD, ROUGH) for said in (_shipped(case, at), _worst(measured, case, at))),
                )
                for at in THRESHOLDS
            ),
        ),
    )


def headings(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each measured table of a page, with what its first line and first column say."""
    for match in PLACES.find(text):
        lines = [line for line in match[0].splitlines() if line.startswith("|")]
        first = [line.split("|")[1].strip() for line in lines[2:]]
        if lines:
            yield match["name"], [*(cell.strip() for cell in lines[0].strip("|").split("|")), *first]


def _rate(measured: Measured, volume: str, case: str, what: str) -> str:
    rate, error = _per_month(measured, volume, case, what)
    return f"{rate:.3f} ± {error:.3f}"


def _plain(measured: Measured, volume: str, case: str, what: str) -> str:
    return f"{_per_month(measured, volume, case, what)[0]:.3f}"


def _per_month(measured: Measured, volume: str, case: str, what: str) -> tuple[float, float]:
    months, times = measured.months[volume, case], measured.alarms[volume, case, what]
    # Of none the error is that of one.
    return times / months, math.sqrt(max(times, 1)) / months


def _usual(measured: Measured, volume: str, rule: str) -> str:
    months = measured.months[volume, MILD.name]
    share = measured.time[volume, MILD.name, rule] / (months * DAYS * DAY)
    rate = measured.alarms[volume, MILD.name, rule] / months
    return f"{rate:.{0 if rate >= 10 else 1 if rate >= 1 else 2}f} ({share * 100:.0f} %)"  # noqa: PLR2004


def _shipped(case: Case, threshold: float) -> str:
    table = json.loads(files("otel_llm_routing.policy").joinpath("thresholds.json").read_text("utf-8"))
    budgets = table["false_alarms_per_month"]
    return f"{budgets[case.name][budgets['thresholds'].index(threshold)]:g}"


def _worst(measured: Measured, case: Case, threshold: float) -> str:
    rates = [(*_per_month(measured, volume.name, case.name, limit(threshold)), volume.name) for volume in VOLUMES]
    rate, error, volume = max(rates)
    return f"{rate:.3f} ± {error:.3f} ({volume})"


def _delay(hours: list[float]) -> str:
    middle = float(np.median(hours)) if hours else math.inf
    seen = sum(map(math.isfinite, hours)) / max(len(hours), 1)
    found = "" if seen == 1 else f"{math.floor(seen * 100)} % found"
    if math.isinf(middle):
        return found
    said = f"{middle / 24:.1f} d" if middle >= 48 else f"{middle:.0f} h" if middle >= 10 else f"{middle:.1f} h"  # noqa: PLR2004
    return f"{said} ({found})" if found else said
