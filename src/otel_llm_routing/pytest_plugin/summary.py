"""What is printed at the end of a session: which models served the cases of each surface."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from otel_llm_routing.models import KNOWN_MATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = ("surface", "served model", "cases", "calls")
NO_SURFACE = "(no surface)"
NO_CALL = "(no call)"
WIDEST = 60
"""Characters of a name that are shown."""


def table(lines: Iterable[str]) -> list[str]:
    """Return the table's lines: the cases and the calls of each surface by served model, the unknown beside them."""
    cases: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    for case in map(json.loads, lines):
        rows = Counter((call["surface"] or case["surface"] or NO_SURFACE, served(call)) for call in case["calls"])
        calls += rows
        cases.update(rows.keys() or [(case["surface"] or NO_SURFACE, NO_CALL)])
    if not cases:
        return []
    rows_ = sorted(cases, key=lambda row: (row[0], row[1].startswith("("), -cases[row], row[1]))
    texts = [HEAD, *((*map(shortened, row), f"{cases[row]:,}", f"{calls[row]:,}") for row in rows_)]
    width = [max(len(row[column]) for row in texts) for column in range(len(HEAD))]
    return [
        f"{surface:<{width[0]}}  {model:<{width[1]}}  {of:>{width[2]}}  {number:>{width[3]}}"
        for surface, model, of, number in texts
    ]


def shortened(name: str) -> str:
    """Return a name that leaves room for the numbers."""
    return name if len(name) <= WIDEST else name[: WIDEST - 1] + "…"


def served(call: dict[str, str]) -> str:
    """Return the model that served a call, or why it is not known."""
    return call["served_model"] if call["match"] in KNOWN_MATCHES else f"({call['match']})"


def notes(lines: Iterable[str], elsewhere: int) -> list[str]:
    """Return what the table does not show."""
    unscored = sum(json.loads(text)["score"] is None for text in lines)
    found = []
    if unscored:
        found.append(f"cases without a score, as their tests did not get as far as running: {unscored:,}")
    if elsewhere:
        found.append(f"calls of no case, such as of fixtures that several tests share: {elsewhere:,}")
    return found
