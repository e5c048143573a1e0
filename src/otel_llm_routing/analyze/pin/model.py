"""What a proposal to pin a surface holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from otel_llm_routing.analyze.report.model import Prices
    from otel_llm_routing.policy.schema import Edge


class Candidate(NamedTuple):
    """One model that serves an identifier, in all its spellings."""

    model: str
    """The spelling that served most."""
    provider: str
    """That reported most of them under this spelling."""
    kind: str
    """What the spelling itself is: ``pinned``, or a name that can move, or one of which nobody knows."""
    rule: str
    """Which rule says so, and its source; empty: none does."""
    requests: int
    share: float
    """Of the identifier's requests with a known served model, 0 to 1."""
    spellings: tuple[str, ...]
    """Other spellings of it that were seen."""


class Money(NamedTuple):
    """Dollars of 1,000 requests for one identifier."""

    now: float | None
    pinned: float | None
    unsaid: str
    """Why one of the two, or both, cannot be said; names in backticks."""


class Part(NamedTuple):
    """One identifier that the surface asks for and that is not pinned."""

    requested: str
    """As the policy has it."""
    kind: str
    """Under which it is listed."""
    requests: int
    """All in the period but those that failed with no served model, or that a cache answered."""
    known: int
    """Those of which the served model is known."""
    candidates: tuple[Candidate, ...]
    """The most served first."""
    chosen: Candidate | None
    """None: it stays as it is, see ``why_not``."""
    why_not: str
    """Why nothing is proposed, and what to do; names in backticks."""
    doubts: tuple[str, ...]
    """What speaks against the choice, or is to be known of it, names in backticks."""
    money: Money | None
    """None: nothing is proposed, or prices were not asked for."""


class MixRow(NamedTuple):
    """One model in the mix of the surface, over requests with a known served model; shares are 0 to 1."""

    model: str
    now: float
    pinned: float

    @property
    def change(self) -> float:
        """The pinned share less that of now."""
        return self.pinned - self.now


class SliceScore(NamedTuple):
    """What an eval gave a model on this surface."""

    model: str
    cases: int
    mean: float


class Proposal(NamedTuple):
    """The change that is proposed."""

    surface: str
    start: float
    """Seconds since the epoch, as all times here."""
    end: float
    source: str
    policy: str
    """The file."""
    requests: int
    """Of the surface, but those that failed with no served model, or that a cache answered."""
    known: int
    """Those of which the served model is known: what shares are shares of."""
    parts: tuple[Part, ...]
    """What the policy lists that is not pinned, in its order."""
    mix: tuple[MixRow, ...]
    """The largest change first."""
    violated: tuple[Edge, ...]
    """Limits of the policy that the pinned mix passes: they are taken out."""
    prices: Prices | None
    scores: tuple[SliceScore, ...]
    """Of the models of the mix, where an eval was named; those without a case are left out."""
    notes: tuple[str, ...]
    """What is to be known beside it, names in backticks."""
    steps: tuple[str, ...]
    """What is left to do, names in backticks."""
    changed: str
    """The policy's text with the change; empty: none can be made in place, see ``unchanged``."""
    unchanged: str
    """Why the text cannot be changed."""
