"""What moved since the reference was pinned, and how small a move this traffic can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from otel_llm_routing.analyze import shift
from otel_llm_routing.analyze.novelty import has_vanished
from otel_llm_routing.policy.thresholds import SHIFT_RULES, WINDOWS, ShiftRule, threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.policy.reference import ReferenceStream

DAY = 86_400


class ServedChange(NamedTuple):
    """One served model, then and now. Shares are 0 to 1."""

    served: str
    reference: float | None
    """None: the reference does not have it."""
    now: float | None
    """None: the stream has no requests."""
    requests: int
    wobble: float
    """Two standard errors of an unchanged share."""
    shifted: bool
    """Whether an alert rule on a window of this length would call it a shift: far enough, and beyond noise."""
    gone: bool
    """Whether it has no request left, where more than a few were to be expected."""

    @property
    def change(self) -> float | None:
        """The change of the share, -1 to 1."""
        return None if self.now is None else self.now - (self.reference or 0.0)


class StreamChange(NamedTuple):
    """One surface and requested identifier, then and now."""

    surface: str
    requested: str
    requests: int
    served: tuple[ServedChange, ...]
    """The largest move first."""
    detectable: Mapping[str, float]
    """The smallest shift that is seen within ``24h`` and ``7d``, 0 to 1, by the reference's traffic."""


def factor(seconds: float) -> float:
    """Return f of a window: how much a share's own wobble averages out in it, read between the known windows."""
    known = sorted({(w.seconds, w.factor) for w in WINDOWS.values()})
    found = np.interp(math.log(max(seconds, 1)), [math.log(s) for s, _ in known], [f for _, f in known])
    return float(found)


def rule_of(seconds: float) -> ShiftRule:
    """Return the alert rule about a window of ``seconds``, the next shorter, or else the shortest."""
    rules = sorted(SHIFT_RULES, key=lambda rule: rule.window.seconds)
    return ([rule for rule in rules if rule.window.seconds <= seconds] or rules[:1])[-1]


def least_change(seconds: float) -> float:
    """Return the smallest change, 0 to 1, that the alert rules heed in a window of ``seconds``; see ``rule_of``."""
    return rule_of(seconds).points / 100


def detectable(stream: ReferenceStream) -> dict[str, float]:
    """Return the smallest shift that is seen within a day and a week, 0 to 1, for the model hardest to judge."""
    shares = np.array(list(stream.shares.values()))
    limit = threshold(None, stream.days, stream.concentration)
    found = {}
    for name in ("24h", "7d"):
        window = WINDOWS[name]
        n = stream.requests / stream.days * window.seconds / DAY
        effective = shift.effective_requests(
            n,
            stream.requests,
            stream.design_effect,
            stream.concentration,
            window.factor,
        )
        found[name] = max(float(shift.detectable(shares, effective, limit, n).max()), least_change(window.seconds))
    return found


def in_words(smallest: Mapping[str, float]) -> str:
    """Return what ``detectable`` found as a sentence."""

    def points(share: float) -> str:
        return "none" if share >= 1 else f"{share * 100:.0f} points"

    day, week = points(smallest["24h"]), points(smallest["7d"])
    if day == week == "none":
        return "with this traffic no shift is seen within 7 days"
    if day == "none":
        return f"with this traffic no shift is seen within 24 h; the smallest within 7 days is {week}"
    return f"with this traffic the smallest shift seen within 24 h is {day}, within 7 days {week}"


def compare(
    stream: ReferenceStream,
    counts: Mapping[str, int],
    seconds: float,
    *,
    limit: float | None = None,
    least: float | None = None,
) -> StreamChange:
    """Compare a reference with the requests by served model of the last ``seconds``.

    ``limit`` is L and ``least`` the smallest change that counts, 0 to 1, where the policy says other than the default.
    """
    n = sum(counts.values())
    effective = shift.effective_requests(
        n, stream.requests, stream.design_effect, stream.concentration, factor(seconds)
    )
    limit = threshold(None, stream.days, stream.concentration) if limit is None else limit
    least = least_change(seconds) if least is None else least
    changes = []
    for served in dict.fromkeys([*stream.shares, *counts]):
        c, p = counts.get(served, 0), stream.shares.get(served)
        moved = n > 0 and abs(c / n - (p or 0.0)) >= least
        far = moved and float(shift.score(c, n, p or 0.0, effective)) > limit
        gone = bool(has_vanished(c, n, p or 0.0, stream.design_effect))
        wobble = float(shift.wobble(p or 0.0, effective)) if n else math.inf
        changes.append(ServedChange(served, p, c / n if n else None, c, min(wobble, 1.0), far, gone))
    changes.sort(key=lambda change: (-abs(change.change or 0), change.served))
    return StreamChange(stream.surface, stream.requested, n, tuple(changes), detectable(stream))
