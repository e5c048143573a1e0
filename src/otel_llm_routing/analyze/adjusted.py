"""The adjusted share: what a model's share would be if requests had the sizes of the reference.

Our own traffic does not move it; the router does. The generated rules record the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import noise, shift
from otel_llm_routing.analyze.sizes import SizePair

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from otel_llm_routing.analyze.sizes import SizeTable

LEAST = 10
"""Requests that a bucket holds now, for its share to be taken."""


class Adjusted(NamedTuple):
    """The adjusted shares of one stream, over the buckets that hold enough requests now."""

    served: tuple[str, ...]
    share: NDArray[np.float64]
    """Σ w0·s1 / Σ w0 of each served model, 0 to 1."""
    reference: NDArray[np.float64]
    """Σ w0·s0 / Σ w0 over the same buckets: what ``share`` is compared with."""
    requests: float
    """n_adj = (Σ w0)² / Σ (w0²/n): how many requests with the sizes of the reference would say as much."""
    covered: float
    """Σ w0: how much of the reference's traffic is of sizes that there are enough of now, 0 to 1."""


def adjust(sizes: SizePair) -> Adjusted | None:
    """Return the shares of ``sizes.now`` with the sizes of ``sizes.then``; None where no bucket holds enough."""
    n0, n1 = sizes.then.sum(axis=0), sizes.now.sum(axis=0)
    fit = (n1 >= LEAST) & (n0 > 0)
    if not fit.any():
        return None
    w, n = n0[fit] / n0.sum(), n1[fit]
    covered = float(w.sum())
    return Adjusted(
        sizes.served,
        (w * sizes.now[:, fit] / n).sum(axis=1) / covered,
        (w * sizes.then[:, fit] / n0[fit]).sum(axis=1) / covered,
        covered**2 / float((w**2 / n).sum()),
        covered,
    )


def score(
    found: Adjusted, *, reference_requests: float, design_effect: float, concentration: float, factor: float
) -> NDArray[np.float64]:
    """Return J of each adjusted share; the arguments are those of ``shift.effective_requests``."""
    n = found.requests
    effective = shift.effective_requests(n, reference_requests, design_effect, concentration, factor)
    return shift.score(found.share * n, n, found.reference, effective)


def concentration(whole: SizeTable, days: Iterable[SizeTable], design_effect: float) -> float:
    """Return m of the adjusted shares: how much they wobble from day to day with nothing changed.

    ``days`` are the tables of each day of ``whole``, on the same models and buckets. The m of the raw shares is not it:
    where our own traffic changes from day to day they wobble more, and a score with that m would see less.
    """
    n = whole.counts.sum()
    share = whole.counts.sum(axis=1) / n if n else whole.counts.sum(axis=1)
    rows = []
    for day in days:
        found = adjust(SizePair(whole.served, whole.bounds, whole.counts, day.counts))
        if found is not None:
            # Which buckets hold enough differs from day to day, and is no wobble.
            wobbled = np.clip(share + found.share - found.reference, 0, 1)
            rows.append(wobbled / wobbled.sum() * found.requests)
    return noise.concentration(np.array(rows).reshape(-1, len(whole.served)), design_effect)
