"""Making a checklist: the policy, the traffic, the loaded rules and the eval's cases in, five answers a surface out."""

from __future__ import annotations

from datetime import datetime, timezone
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.checklist import alerted, declared, evaluated, logged
from otel_llm_routing.analyze.checklist.answers import Answer, Checklist, Fact, SurfaceAnswers
from otel_llm_routing.analyze.checklist.traffic import DAY, Traffic
from otel_llm_routing.analyze.checklist.traffic import read as read_traffic
from otel_llm_routing.analyze.evals.check import NotJudgedError, check
from otel_llm_routing.analyze.evals.production import read as read_production
from otel_llm_routing.analyze.reference import without_secrets
from otel_llm_routing.analyze.wording import many, percent, quoted
from otel_llm_routing.policy.draft import UNNAMED
from otel_llm_routing.policy.plan import UNKNOWN_LIMIT, UNOWNED
from otel_llm_routing.policy.plan import plan as planned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_llm_routing.analyze.audit.lifetimes import Lifetimes
    from otel_llm_routing.analyze.checklist.answers import Question
    from otel_llm_routing.analyze.checklist.rules import Loaded
    from otel_llm_routing.analyze.evals.cases import Case
    from otel_llm_routing.analyze.sources import Source
    from otel_llm_routing.policy.loading import Loaded as LoadedPolicy
    from otel_llm_routing.policy.reference import Reference


class UnknownSurfaceError(Exception):
    """A surface that is neither in the policy nor in the traffic; the message says which there are."""


class Cases(NamedTuple):
    """The cases of an eval, and the file that they are from."""

    cases: Sequence[Case]
    file: str


class Rules(NamedTuple):
    """What is known of the loaded rules."""

    loaded: Loaded | None
    why_not: str
    """Why nothing is; names in backticks."""
    todo: str


class Inputs(NamedTuple):
    """All that answers are made from, but for the counts."""

    policy: LoadedPolicy | None
    reference: Reference | None
    reference_file: str
    cases: Cases | None
    rules: Rules
    lifetimes: Lifetimes


def build(
    source: Source,
    name: str,
    inputs: Inputs,
    *,
    days: int,
    now: float,
    only: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Checklist:
    """Return the checklist of ``days`` up to ``now``, of the surfaces ``only``, or of all that have a name.

    ``name`` is what the source is called. Raises ``SourceError`` and ``UnknownSurfaceError``.
    """
    progress("counting the requests")
    traffic = read_traffic(source, now - days * DAY, now)
    made = _Maker(source, without_secrets(name), inputs, days, now, traffic, progress)
    return made.checklist(_chosen(only, made.surfaces()))


def _chosen(only: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in only:
        if name not in known:
            near = get_close_matches(name, known, 1)
            there = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:5]) or 'none'}"
            msg = f"{name[:80]!r} is a surface neither of the policy nor of the traffic; {there}"
            raise UnknownSurfaceError(msg)
    return list(dict.fromkeys(only)) or known


class _Maker:
    def __init__(
        self,
        source: Source,
        name: str,
        inputs: Inputs,
        days: int,
        now: float,
        traffic: Mapping[str, Traffic],
        progress: Callable[[str], None],
    ) -> None:
        self._source, self._name, self._inputs = source, name, inputs
        self._days, self._now, self._traffic = days, now, traffic
        self._today = datetime.fromtimestamp(now, timezone.utc).date()
        loaded = inputs.policy
        self._policy = loaded.policy if loaded else None
        plan = planned(self._policy, inputs.reference) if loaded or inputs.reference else None
        self._plans = {one.name: one for one in plan.surfaces} if plan else {}
        self._streams = plan.streams if plan else ()
        self._owner = plan.owner if plan else UNOWNED
        self._limit = plan.unknown_limit if plan else UNKNOWN_LIMIT
        self._evals = self._evaluated(progress)

    def surfaces(self) -> list[str]:
        """Return the surfaces of the policy, in its order, then those of the traffic alone, the busiest first."""
        listed = list(self._policy.surfaces) if self._policy else []
        others = sorted(self._traffic.items(), key=lambda item: (-item[1].requests, item[0]))
        return listed + [name for name, _ in others if name not in listed and name not in UNNAMED]

    def checklist(self, surfaces: Sequence[str]) -> Checklist:
        """Return the answers for these surfaces."""
        inputs = self._inputs
        return Checklist(
            made=self._now,
            start=self._now - self._days * DAY,
            end=self._now,
            source=self._name,
            policy=inputs.policy.located.file if inputs.policy else "",
            reference=inputs.reference_file if inputs.reference else "",
            cases=inputs.cases.file if inputs.cases else "",
            rules=inputs.rules.loaded.url if inputs.rules.loaded else "",
            notes=tuple(self._notes()),
            surfaces=tuple(self._surface(name) for name in surfaces),
        )

    def _notes(self) -> list[str]:
        total = sum(traffic.requests for traffic in self._traffic.values())
        notes = [
            f"The source answered in part only: {text}" for text in self._source.warned(self._now - self._days * DAY)
        ]
        for name, meaning in zip(UNNAMED, ("without a surface", "of more surfaces than are kept apart"), strict=True):
            if (nameless := self._traffic.get(name)) is not None:
                share = percent(nameless.requests / total)
                notes.append(
                    f"{many(nameless.requests, 'request')}, {share} of all, came {meaning} ({quoted(name)}): they "
                    "belong to none of the surfaces below."
                )
        return notes

    def _surface(self, name: str) -> SurfaceAnswers:
        traffic = self._traffic.get(name)
        kinds = {requested: dict(of) for requested, of in traffic.asked.items()} if traffic else {}
        pinned = self._pinned(name, traffic)
        said = self._policy.surfaces.get(name) if self._policy else None
        located = self._inputs.policy.located if self._inputs.policy else None
        surface = declared.Declared(name, said, located, pinned)
        asked = declared.asked_for(surface, kinds)
        plan = self._plans.get(name)
        answers: dict[Question, Answer] = {
            "logged": logged.logged(
                name, traffic, plan.unknown_limit if plan else self._limit, self._days, self._now, self._name
            ),
            "evaluated": self._evals(name),
            "alerted": self._alerted(name, traffic, pinned),
            "commitment": declared.commitment(surface, asked, self._inputs.lifetimes, self._today),
            "conditions": declared.conditions(surface, asked),
        }
        return SurfaceAnswers(
            surface=name,
            line=located.line("surfaces", name) if located and said else None,
            owner=plan.owner if plan else self._owner,
            customer_facing=said.customer_facing if said else None,
            pinned=pinned,
            requests=traffic.requests if traffic else 0,
            asked=asked,
            answers=answers,
        )

    def _pinned(self, name: str, traffic: Traffic | None) -> bool:
        """Return whether a surface asks for pinned models only, as far as the policy and the traffic can tell."""
        seen = (
            {kind for kinds in traffic.asked.values() for kind, number in kinds.items() if number} if traffic else set()
        )
        if self._policy and name in self._policy.surfaces:
            return self._policy.surface(name).pinned and not seen & {"alias", "router"}
        return seen == {"pinned"}

    def _alerted(self, name: str, traffic: Traffic | None, pinned: bool) -> Answer:
        rules = self._inputs.rules
        if rules.loaded is None:
            return Answer("cannot be said", (Fact(rules.why_not),), (rules.todo,))
        streams = tuple(stream for stream in self._streams if stream.surface == name)
        asked = alerted.Asked(name, self._plans.get(name), streams, traffic, pinned, self._policy is not None)
        return alerted.alerted(asked, rules.loaded)

    def _evaluated(self, progress: Callable[[str], None]) -> Callable[[str], Answer]:
        """Return what answers whether there is an eval slice that matches a surface's traffic."""
        if self._inputs.cases is None:
            answer = evaluated.unasked()
            return lambda _: answer
        cases, file = self._inputs.cases
        progress("comparing the eval with production")
        production = read_production(self._source, self._now - self._days * DAY, self._now)
        try:
            checked = check(cases, production, self._policy)
        except NotJudgedError as error:
            unjudged = evaluated.unjudged(str(error))
            return lambda _: unjudged
        return lambda name: evaluated.evaluated(checked.surface(name), checked.unseen.get(name, 0), file)
