"""The report of a range of time as data: what every format, and the page of ``serve``, is written from.

Report -> SurfaceReport -> StreamReport -> ServedRow. Times are in seconds since the epoch, shares 0 to 1, changes of a
share -1 to 1, costs in US dollars. None means "not known" throughout, and never zero. Names (surfaces, models, owners,
globs) come from outside: escape them. ``build.build`` makes a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_llm_routing.analyze.shares import SurfaceMix

Kind = Literal[
    "pin_violated",
    "shifted",
    "beyond_limit",
    "vanished_model",
    "new_model",
    "unpinned",
    "partial",
    "silent",
    "unmeasured",
    "recovered",
    "renamed",
    "no_reference",
    "too_little",
    "no_traffic",
    "steady",
]
"""What a finding is about, the most urgent first.

pin_violated    a pinned model was asked for and another one answered
shifted         a share is further from its reference than noise explains
beyond_limit    a share is beyond a limit that the policy declares
vanished_model  a model of the reference no longer answers, though enough requests would have met it
new_model       a model answers that the reference does not have
unpinned        a surface that the policy declares pinned asks for an alias or a router
partial         the source did not give all of its counts, so that calm, or an absence, would mean nothing
silent          no request, where the reference's traffic makes some expected
unmeasured      of too many requests, or of all, nobody reported the served model
recovered       a share that had shifted is back
renamed         a model of the reference answers by another spelling of its name
no_reference    requests, and nothing to compare them with
too_little      calm, but with this traffic no shift at all would be seen
no_traffic      no request, and none was to be expected, or nothing was counted of any surface
steady          no share moved further than noise explains
"""

Level = Literal["alarm", "note", "calm"]
"""``alarm``: the mix is not what was agreed, and --exit-code gives 1. ``note``: worth knowing, such as a measurement
that fails. ``calm``: nothing to do."""

LEVELS: Mapping[Kind, Level] = {
    "pin_violated": "alarm",
    "shifted": "alarm",
    "beyond_limit": "alarm",
    "vanished_model": "alarm",
    "new_model": "alarm",
    "unpinned": "alarm",
    "partial": "note",
    "silent": "note",
    "unmeasured": "note",
    "recovered": "note",
    "renamed": "note",
    "no_reference": "note",
    "too_little": "calm",
    "no_traffic": "calm",
    "steady": "calm",
}
"""The kinds in their order."""

Evidence = Literal["detector", "score", "rule", "count", "source", "none"]
"""What a finding rests on.

detector  the e-detector over the days since the reference was pinned (``analyze.detector``)
score     J over the report's range, with the limit and the points of the alert rules (``analyze.comparison``)
rule      the alert rules' thresholds, on the counts of the range or the last day (new, vanished, silent, unmeasured)
count     requests that were counted, each of which is a case (pins)
source    what the source said of its own answers
none      nothing: there is nothing to judge by
"""

DayState = Literal["measured", "unnamed", "idle", "gap"]
"""What there is to draw of a stream on a day; only the first has shares.

measured  it has shares
unnamed   it had requests, and of none the served model is known
idle      it had no request that could have a share, and something else was counted that day
gap       nothing was counted of any surface: an outage of the measurement, or nobody worked
"""


State = Literal["shifted", "new", "vanished", "substituted", ""]
"""What the findings say of a served model."""


class Finding(NamedTuple):
    """One thing that there is to say, in one sentence."""

    kind: Kind
    sentence: str
    """Whole, in plain text with model names in backticks; it does not begin with the name of its surface."""
    evidence: Evidence
    requested: str | None = None
    """The requested identifier (empty: the requests named none); None: it is about the surface as a whole."""
    served: str = ""
    """The served model, or empty."""
    since: float | None = None
    """When it began, as far as that is known."""

    @property
    def level(self) -> Level:
        """How urgent it is."""
        return LEVELS[self.kind]


class Interval(NamedTuple):
    """The shares that the counts are compatible with: 95 %, Wilson's score interval (see ``analyze.interval``)."""

    low: float
    high: float


class Band(NamedTuple):
    """Where a share may be: within the detector's band around the reference, or as the policy declares."""

    low: float
    high: float
    low_declared: bool
    """Whether this end is a limit of the policy."""
    high_declared: bool


class Cost(NamedTuple):
    """What a served model's requests cost by list price; see ``costs``."""

    per_thousand: float
    """Of 1,000 requests."""
    total: float
    """Of the row's requests."""
    input_tokens: float
    """Of one request, on average."""
    output_tokens: float
    """Of one request, on average."""
    priced_as: str
    """Provider and model in the price list."""


class Prices(NamedTuple):
    """Where prices come from."""

    name: str
    """Package and version."""
    date: str
    """The day whose prices were taken, YYYY-MM-DD."""
    newest: str
    """The latest day up to then on which a price in the list began to hold, or empty: how old the list may be."""


class Effect(NamedTuple):
    """What moved the share of one served model since the reference: the two parts add up to the change."""

    served: str
    then: float
    now: float
    traffic: float
    """By requests of other sizes than then."""
    traffic_error: float
    """One standard error."""
    router: float
    """At requests of the same size: the router, or a request property that is not recorded."""
    router_error: float
    """One standard error."""


class Decomposition(NamedTuple):
    """Did our traffic change, or their router? See ``analyze.decomposition``."""

    verdict: Literal["router", "traffic", "both", "none", "unknown"]
    sentence: str
    effects: tuple[Effect, ...]
    """The model that moved furthest first."""
    compared: float
    """The share of the traffic that is of sizes which both sides have enough of."""


class Limit(NamedTuple):
    """A limit that the policy declares for a surface, and how it is kept."""

    glob: str
    """Of served models."""
    side: Literal["max", "min"]
    share: float
    """What the policy allows."""
    now: float | None
    """The share in the range; None: no request with a known served model."""
    beyond: bool
    """Whether it is beyond the limit, further than noise explains."""


class Day(NamedTuple):
    """One column of the charts: 24 hours, counted back from the end of the report."""

    start: float
    end: float
    label: str
    """YYYY-MM-DD in the report's time zone: of its beginning."""
    over: bool
    """False: it is still going on, so that its counts will grow. The detector leaves it out."""
    in_range: bool
    """Whether the report's range takes in at least a part of it."""


@dataclass(frozen=True, slots=True)
class ServedRow:
    """One served model of one stream, in the range."""

    served: str
    """As the reference spells it, where it has it."""
    spellings: tuple[str, ...]
    """As it was counted, where that is another spelling of ``served``; mostly empty."""
    providers: tuple[str, ...]
    matches: tuple[str, ...]
    """``exact``, ``resolved``, ``substituted``: how served relates to requested, as it was counted."""
    requests: int
    share: float | None
    """Of the stream's requests with a known served model; None: there are none."""
    surface_share: float | None
    """Of the surface's, which is the same where the surface asks for one identifier."""
    interval: Interval | None
    """Of ``share``; None: there is no request."""
    reference: float | None
    """The share when the reference was pinned; None: the reference does not have the model, or there is none."""
    change: float | None
    """``share`` less the reference, whose lack counts as 0 in a stream that has one; None: nothing to compare with."""
    wobble: float | None
    """Two standard errors of a share that has not changed: what is normal for ``change``."""
    band: Band | None
    """None: no reference and no limit."""
    state: State
    """What the findings say of it."""
    adjusted: float | None
    """The share if requests had the sizes of the reference (``analyze.adjusted``); None where sizes are not known."""
    cost: Cost | None
    """None: the price or the tokens are not known; ``cost_unknown`` says which."""
    cost_unknown: str
    """Why there is no cost, in a few words; empty where there is one, or where no costs were asked for."""
    daily: tuple[float | None, ...]
    """Its share on each of ``Report.days``; None where the stream has none that day, which is a gap and no zero."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What one requested identifier resolved to on one surface."""

    requested: str
    """Empty where the requests named no model."""
    kind: str
    """``pinned``, ``alias``, ``router`` or ``unknown``: the kind of most of its requests."""
    requests: int
    """With a known served model: what shares are shares of."""
    unknown: int
    """Without one, failed calls left out."""
    verdict: Finding
    """The most urgent of the findings about it."""
    findings: tuple[Finding, ...]
    """The most urgent first."""
    served: tuple[ServedRow, ...]
    """The largest share first; models of the reference without a request are among them."""
    pinned: float | None
    """The end of the weeks that the reference is of; None: there is no reference."""
    pin_reason: str
    """Why somebody pinned it."""
    detectable: Mapping[str, float] | None
    """The smallest shift seen within ``24h`` and ``7d`` with the reference's traffic, 1: none; None: no reference."""
    detectable_words: str
    """The same in words; empty without a reference."""
    closeness: float | None
    """How far the detector's evidence is on the way to an alarm, 0 to 1; None: it watches nothing here."""
    decomposition: Decomposition | None
    """None: sizes are not known then, now, or at all."""
    days: tuple[DayState, ...]
    """What there is of it on each of ``Report.days``."""
    daily_requests: tuple[int, ...]
    """With a known served model, on each of ``Report.days``."""


@dataclass(frozen=True, slots=True)
class SurfaceReport:
    """One product surface."""

    surface: str
    owner: str
    """Empty where the policy names none."""
    verdict: Finding
    """The most urgent finding; there always is one."""
    findings: tuple[Finding, ...]
    """All of them, the most urgent first: those of its streams, and those about the surface as a whole."""
    mix: SurfaceMix
    """Its counts in the range: requests, known, unreported, unconfirmed, cached, errors, unknown share."""
    kinds: Mapping[str, int]
    """Requests by the kind of the identifier they asked for, the most first; cached ones left out."""
    limits: tuple[Limit, ...]
    streams: tuple[StreamReport, ...]
    """The busiest first; those of the reference without a request are among them."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a range of time looked like, and what is to be made of it."""

    start: float
    end: float
    """The range is [start, end)."""
    made: float
    """When it was made."""
    source: str
    """Where counts come from, without credentials; empty where that was not said."""
    timezone: str
    """IANA name: of the labels of days."""
    over: bool
    """False: the range reaches into the future, so that its counts will grow."""
    policy: bool
    """Whether there was a policy."""
    reference: bool
    """Whether there was a reference."""
    partial: tuple[str, ...]
    """What the source could not take in, one line each; empty: it answered whole."""
    held: tuple[float, float] | None
    """The first and the last time that the source holds requests of; asked only where the range has none."""
    prices: Prices | None
    """None: costs were not asked for, or the price list is not installed."""
    prices_missing: str
    """Why there are no costs, in a few words; empty where there are prices, or where no costs were asked for."""
    days: tuple[Day, ...]
    """The last weeks, for charts; the earliest first, none before the source's first request."""
    surfaces: tuple[SurfaceReport, ...]
    """Those with alarms first, then those with notes, within each the busiest first."""

    @property
    def requests(self) -> int:
        """All calls of the range."""
        return sum(surface.mix.requests for surface in self.surfaces)

    @property
    def judged(self) -> bool:
        """Whether calm means anything: there are requests, something to judge them by, and the source was whole."""
        return self.requests > 0 and (self.policy or self.reference) and not self.partial

    def at(self, level: Level) -> tuple[SurfaceReport, ...]:
        """Return the surfaces whose verdict is of that level."""
        return tuple(surface for surface in self.surfaces if surface.verdict.level == level)
