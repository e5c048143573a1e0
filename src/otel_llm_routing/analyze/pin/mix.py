"""What a pin does to the mix of a surface, and to the limits that the policy sets it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.pin.model import MixRow
from otel_llm_routing.models import canonical
from otel_llm_routing.policy.schema import glob_matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.analyze.pin.candidates import Requested
    from otel_llm_routing.policy.schema import Edge, SurfacePolicy


def served(asked: Mapping[str, Requested], moves: Mapping[str, str]) -> Counter[str]:
    """Return the requests with a known served model, by its name, if ``moves`` had been made."""
    found: Counter[str] = Counter()
    for requested, of in asked.items():
        for (_, _, model), requests in of.served.items():
            found[moves.get(requested, model)] += requests
    return found


def rows(asked: Mapping[str, Requested], moves: Mapping[str, str]) -> tuple[MixRow, ...]:
    """Return the mix now and with ``moves`` made, spellings of one model as one, the largest change first."""
    now, pinned = served(asked, {}), served(asked, moves)
    total = now.total()
    names: dict[str, str] = {}
    for model in sorted({*now, *pinned}, key=lambda name: (name not in moves.values(), -now[name], name)):
        names.setdefault(canonical(model), model)
    shares: dict[str, list[int]] = {key: [0, 0] for key in names}
    for at, counts in enumerate((now, pinned)):
        for model, requests in counts.items():
            shares[canonical(model)][at] += requests
    found = [MixRow(names[key], before / total, after / total) for key, (before, after) in shares.items()]
    return tuple(sorted(found, key=lambda row: (-abs(row.change), -row.now, row.model)))


def violated(surface: SurfacePolicy, pinned: Counter[str]) -> tuple[Edge, ...]:
    """Return the declared limits that a mix passes."""
    total = pinned.total()
    found = []
    for edge in surface.edges:
        share = sum(requests for model, requests in pinned.items() if glob_matches(edge.glob, model)) / total
        if (share > edge.share) if edge.side == "max" else (share < edge.share):
            found.append(edge)
    return tuple(found)
