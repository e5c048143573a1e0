"""Did our traffic change, or their router? A change of shares, split by the sizes of the requests.

With w the shares of the size buckets in the traffic and s the share of a served model within a bucket, then (0) and now
(1), a change splits into

    mix = Σ (w1-w0)(s1+s0)/2        router = Σ (w1+w0)/2·(s1-s0)        mix + router = the change, exactly

(E. M. Kitagawa, "Components of a Difference Between Two Rates", JASA 50, 1955, pp. 1168-1194.) ``docs/detection.md``
has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from otel_llm_routing.analyze.wording import percent, points, quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from otel_llm_routing.analyze.sizes import SizePair

Verdict = Literal["router", "traffic", "both", "none", "unknown"]
"""``unknown``: the mix has changed, and the sizes do not tell why."""

LEAST = 20
"""Requests that a bucket holds on either side, for its shares to be compared."""
ENOUGH = 30
"""Requests, of the smaller side and the mean of the two mixes, up to which neighbouring buckets are joined."""
ERRORS = 3.0
"""Standard errors beyond which an effect is established."""
POINTS = 0.02
"""The least effect that counts."""
COMPARED = 0.5
"""The share of the traffic in comparable buckets below which nothing is said about the router."""
_LEAK = {1: 1.0, 2: 0.5, 3: 0.22, 4: 0.10, 6: 0.06, 8: 0.03}
NOT_RECORDED = "the router, or a request property we do not record"


class Effect(NamedTuple):
    """What moved the share of one served model; shares and changes from -1 to 1."""

    served: str
    then: float
    now: float
    mix: float
    """The part that our traffic explains: other sizes than before."""
    mix_error: float
    """One standard error."""
    router: float
    """The part at requests of the same size."""
    router_error: float
    """One standard error."""

    @property
    def change(self) -> float:
        """The observed change: ``mix + router``."""
        return self.now - self.then


class Decomposition(NamedTuple):
    """The change of one stream, split."""

    verdict: Verdict
    effects: tuple[Effect, ...]
    """The model that moved furthest first, by the larger of its two effects."""
    buckets: int
    """How many size buckets there are, after thin ones were joined to their neighbours."""
    compared: float
    """The share of the traffic, the mean of then and now, in buckets with enough requests on both sides; 0 to 1."""

    @property
    def sentence(self) -> str:
        """The verdict in words, with names in backticks."""
        return _sentence(self)


def decompose(sizes: SizePair, *, design_effect: float = 1.0, wobble: float = 0.0) -> Decomposition:
    """Split what moved between the two sides of ``sizes``.

    ``design_effect`` is φ of the stream's bursts. ``wobble`` is 1/(f·m), the variance by which a share moves with
    nothing changed over p(1-p) (``Mix.concentration`` and ``Window.factor``); 0 takes that for a change as well.
    """
    then, now = _joined(sizes.then, sizes.now)
    n0, n1 = then.sum(axis=0), now.sum(axis=0)
    if not n0.sum() or not n1.sum():
        return Decomposition("unknown", (), 0, 0.0)
    w0, w1 = n0 / n0.sum(), n1 / n1.sum()
    # A bucket that is thin on one side says nothing about the router. All of it counts as traffic: by far the most
    # common reason for it, and without it the two parts would not add up.
    fit = (n0 >= LEAST) & (n1 >= LEAST)
    s0, s1 = then / np.maximum(n0, 1e-9), now / np.maximum(n1, 1e-9)
    weight = (w0 + w1) / 2
    router = (weight * fit * (s1 - s0)).sum(axis=1)
    within = design_effect * (_variance(then, n0) + _variance(now, n1))
    moved = (w1 - w0) ** 2 / 4
    mean = np.where(fit, (s0 + s1) / 2, 0)
    mix_variance = (
        (np.where(fit, moved, 0) * within).sum(axis=1)
        + design_effect * (_spread(mean, w0) / n0.sum() + _spread(mean, w1) / n1.sum())
        + design_effect * (_thin(then, fit) + _thin(now, fit))
    )
    p0, p1 = then.sum(axis=1) / n0.sum(), now.sum(axis=1) / n1.sum()
    router_variance = (np.where(fit, weight**2, 0) * within).sum(axis=1) + wobble * p0 * (1 - p0)
    mix, mix_error, router_error = p1 - p0 - router, np.sqrt(mix_variance), np.sqrt(router_variance)
    effects = [
        Effect(name, *(float(of[k]) for of in (p0, p1, mix, mix_error, router, router_error)))
        for k, name in enumerate(sizes.served)
    ]
    # Of two models alone, one gains what the other loses: the first is the one that gains.
    effects.sort(key=lambda e: (-round(max(abs(e.mix), abs(e.router)), 9), -round(e.change, 9), e.served))
    compared = float(weight[fit].sum())
    buckets = len(n0)
    return Decomposition(_verdict(effects, buckets, int(fit.sum()), compared), tuple(effects), buckets, compared)


def leak(buckets: int) -> float:
    """Return how much of a change of traffic may pass for the router's: sizes still differ within a bucket.

    Measured at 4, 6 and 8 buckets; below, the share of a gradual effect that so few buckets miss.
    """
    return float(np.interp(buckets, list(_LEAK), list(_LEAK.values())))


def _verdict(effects: list[Effect], buckets: int, fit: int, compared: float) -> Verdict:
    if fit < 2 or compared < COMPARED:  # noqa: PLR2004  (one bucket compares nothing of the same size)
        moved = any(abs(e.change) - ERRORS * float(np.hypot(e.mix_error, e.router_error)) > POINTS for e in effects)
        return "unknown" if moved else "none"
    router = any(abs(e.router) - ERRORS * e.router_error > max(POINTS, leak(buckets) * abs(e.mix)) for e in effects)
    traffic = any(abs(e.mix) - ERRORS * e.mix_error > POINTS for e in effects)
    if router:
        return "both" if traffic else "router"
    return "traffic" if traffic else "none"


def _joined(then: NDArray[np.float64], now: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two tables with neighbouring buckets joined that are thin by the mean of both sides."""
    n0, n1 = then.sum(axis=0), now.sum(axis=0)
    total0, total1 = float(n0.sum()), float(n1.sum())
    if not total0 or not total1:
        return then, now
    held = (n0 / total0 + n1 / total1) / 2 * min(total0, total1)
    starts, room = [0], 0.0
    for at, requests in enumerate(held.tolist()):
        if room >= ENOUGH:
            starts.append(at)
            room = 0.0
        room += requests
    if room < ENOUGH and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(then, starts, axis=1), np.add.reduceat(now, starts, axis=1)


def _variance(counts: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return s(1-s)/n with half a request more of either kind: a model not seen in twenty requests may yet be there."""
    s = (counts + 0.5) / (n + 1)
    found: NDArray[np.float64] = s * (1 - s) / np.maximum(n, 1)
    return found


def _spread(value: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance over requests of a value that their bucket has."""
    mean = (weight * value).sum(axis=1)
    found: NDArray[np.float64] = (weight * value**2).sum(axis=1) - mean**2
    return np.maximum(found, 0)


def _thin(counts: NDArray[np.float64], fit: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the variance of what the buckets that are not compared add to a share."""
    share = counts[:, ~fit].sum(axis=1) / counts.sum()
    found: NDArray[np.float64] = share * (1 - share) / counts.sum()
    return found


# Words ----------------------------------------------------------------------------------------------------------------


def _sentence(found: Decomposition) -> str:
    if not found.effects:
        return "On one of the two sides there are no requests whose size and served model are known."
    first = found.effects[0]
    went = (
        f"{quoted(first.served)} went from {percent(first.then)} to {percent(first.now)} "
        f"({points(first.change)} points)"
    )
    moved = (
        f"{went}: "
        f"{_part(first.router, first.router_error)} at requests of the same size, "
        f"{_part(first.mix, first.mix_error)} because their sizes changed"
    )
    if found.verdict == "router":
        return f"It was {NOT_RECORDED}. {moved}."
    if found.verdict == "traffic":
        return f"It was our own traffic. {moved}."
    if found.verdict == "both":
        hidden = abs(first.change) < min(abs(first.router), abs(first.mix)) / 2
        hide = ", and hide each other" if hidden else ""
        return f"Both changed{hide}: our own traffic, and {NOT_RECORDED}. {moved}."
    if found.verdict == "none":
        return f"Neither our traffic nor the router moved a share further than noise explains. {moved}."
    return (
        f"It cannot be told whether it was our own traffic or {NOT_RECORDED}: too few requests are of sizes that both "
        f"sides have ({found.compared:.0%} of them). {went}."
    )


def _part(effect: float, error: float) -> str:
    return f"{points(effect)} ±{ERRORS * error * 100:.1f}"
