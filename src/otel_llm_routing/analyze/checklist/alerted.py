"""Whether there is an alert on a surface's mix that somebody would get, and whether it goes by these files.

A rule file that is older than the policy is known by what it says: the generated rules hold the policy and the
reference as constants, and those are compared with the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.checklist.answers import Answer, Fact
from otel_llm_routing.analyze.wording import NOT_SAID, many, percent, quoted
from otel_llm_routing.policy.thresholds import ALERTS, SHIFT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_llm_routing.analyze.checklist.answers import Verdict
    from otel_llm_routing.analyze.checklist.rules import Loaded, Rule
    from otel_llm_routing.analyze.checklist.traffic import Traffic
    from otel_llm_routing.policy.plan import StreamPlan, SurfacePlan

SHIFTS = tuple((rule.alert, rule.window.name) for rule in SHIFT_RULES)
MODELS = (("LLMRoutingNewServedModel", ""), ("LLMRoutingServedModelVanished", ""))
PINS = (("LLMRoutingPinViolated", ""), ("LLMRoutingUnpinnedTraffic", ""))
MEASURED = (("LLMRoutingServedModelUnknown", ""), ("LLMRoutingSurfaceSilent", ""))
BANDS = {
    side: tuple(key for key in ALERTS if key[0] == name)
    for side, name in (("max", "LLMRoutingShareAboveBand"), ("min", "LLMRoutingShareBelowBand"))
}
SMALL = 0.01
"""Of a surface's requests: an identifier that is asked for less needs no reference of its own."""
NEAR = 1e-6
MOST = 3
"""Things of one kind that are named."""
GENERATE = "generate the rules again (otel-llm-routing generate prometheus) and load them"


class Asked(NamedTuple):
    """The surface that is asked about."""

    surface: str
    plan: SurfacePlan | None
    """None: neither file names it."""
    streams: tuple[StreamPlan, ...]
    """Those of the reference."""
    traffic: Traffic | None
    pinned: bool
    declared: bool
    """Whether there is a policy, which the rules should go by."""


def alerted(asked: Asked, loaded: Loaded) -> Answer:
    """Answer for one surface."""
    asked_at = f"{loaded.url}/api/v1/rules"
    if not loaded.rules:
        said = f"None of the generated rules is loaded ({many(loaded.others, 'rule')} of others)."
        hint = "load the rules (otel-llm-routing generate prometheus), or name the server that has them"
        if not loaded.others:
            hint += "; with VictoriaMetrics, name the address of vmalert"
        return Answer("no", (Fact(said, asked_at),), (hint,))
    return _Surface(asked, loaded).answer(asked_at)


class _Surface:
    def __init__(self, asked: Asked, loaded: Loaded) -> None:
        self._asked, self._loaded = asked, loaded
        self._name = asked.surface
        self._facts: list[Fact] = []
        self._todo: list[str] = []

    def answer(self, where: str) -> Answer:
        on_mix = self._on_mix()
        working, missing = self._state(on_mix)
        compared = self._compared()
        self._rules(working, missing, where)
        self._recordings()
        self._differences()
        self._seen()
        self._told()
        self._firing()
        works = {rule.name for rule in working} & {name for name, _ in on_mix}
        verdict: Verdict = "no" if not (compared and works) else "partly" if self._todo else "yes"
        return Answer(verdict, tuple(self._facts), tuple(dict.fromkeys(self._todo)))

    def _say(self, text: str, todo: str) -> None:
        self._facts.append(Fact(text))
        self._todo.append(todo)

    # What the surface needs -------------------------------------------------------------------------------------------

    def _on_mix(self) -> list[tuple[str, str]]:
        """Return the alerts that say when its mix is not as agreed."""
        if self._asked.pinned:
            return list(PINS)
        sides = {edge.side for edge in self._asked.plan.edges} if self._asked.plan else ()
        return [*SHIFTS, *MODELS, *(key for side in sides for key in BANDS[side])]

    def _state(self, on_mix: Iterable[tuple[str, str]]) -> tuple[list[Rule], list[tuple[str, str]]]:
        """Return which of its alerts work, and which are not loaded."""
        working, missing = [], []
        for key in (*on_mix, *MEASURED):
            found = self._loaded.alerts(*key)
            well = [rule for rule in found if not rule.trouble(self._loaded.at)]
            working += well[:1]
            if not found:
                missing.append(key)
        return working, missing

    def _rules(self, working: Iterable[Rule], missing: Iterable[tuple[str, str]], where: str) -> None:
        """Say what is loaded and works, and what is not or does not."""
        if names := list(dict.fromkeys(quoted(rule.name) for rule in working)):
            self._facts.append(Fact(f"Loaded, healthy and evaluated: {', '.join(names)}.", where))
        if absent := list(dict.fromkeys(quoted(name) for name, _ in missing)):
            self._say(f"Not loaded: {', '.join(absent)}.", GENERATE)
        # Alerts are made of recordings: trouble with any of those is trouble with them.
        broken = self._loaded.troubled
        for rule, trouble in broken[:MOST]:
            file = f", file {quoted(rule.file)}" if rule.file else ""
            self._say(
                f"{quoted(rule.name)} {trouble}{file}.", "mend what the server says of its rules, on its page /rules"
            )
        if len(broken) > MOST:
            self._facts.append(Fact(f"{len(broken) - MOST} more rules are in trouble."))

    def _compared(self) -> bool:
        """Say what its mix is compared with, and return whether it is with anything."""
        if self._asked.pinned:
            return True  # with what was asked for: the instrumentation says of each call whether it was served
        found = self._references()
        bands = self._constants("llm_routing:band:edge")
        names = self._needed()
        # By the letter, as rules join on labels.
        lacking = [name for name in names if name not in found]
        for name in lacking[:MOST]:
            self._say(
                f"Without a reference in the rules, so no alert about a shift: {_asked_for(name)}.",
                "pin a reference (otel-llm-routing reference pin), then generate the rules again and load them",
            )
        compared = [name for name in found if not names or name in names]
        if compared:
            self._facts.append(
                Fact(f"Compared with a reference: {', '.join(_asked_for(n) for n in sorted(compared)[:MOST])}.")
            )
        if not compared and not lacking and not bands:
            self._say(
                "The rules have nothing to compare its mix with.", "pin a reference, then generate the rules again"
            )
        return bool(compared or bands)

    def _needed(self) -> list[str]:
        """Return the identifiers that it asks for, but for those that it hardly does."""
        traffic = self._asked.traffic
        if traffic is None or not traffic.requests:
            return [stream.requested for stream in self._asked.streams]
        return [
            name
            for name, kinds in traffic.asked.items()
            if kinds.total() >= SMALL * traffic.requests and kinds.most_common(1)[0][0] != "pinned"
        ]

    def _references(self) -> set[str]:
        """Return the identifiers whose reference the rules hold."""
        held = self._constants("llm_routing:reference:requests")
        named = {labels.get("gen_ai_request_model", "") for labels, _ in held}
        recorded = self._loaded.references or ()
        return named | {requested for surface, requested in recorded if surface == self._name}

    def _constants(self, name: str) -> list[tuple[dict[str, str], set[float]]]:
        return [(dict(labels), values) for labels, values in self._loaded.constants(name, self._name).items()]

    # Whether they do their work ---------------------------------------------------------------------------------------

    def _recordings(self) -> None:
        routes = self._loaded.routes
        if routes is not None and self._constants("llm_routing:policy:route") and self._name not in routes:
            self._say(
                "Its constants (`llm_routing:policy:route`) are in the rules and are not recorded.",
                "see that the server evaluates the groups llm_routing_policy and llm_routing_reference, and that the "
                "address asked is the one that they are recorded to",
            )

    def _seen(self) -> None:
        traffic, requests = self._asked.traffic, self._loaded.requests
        if requests is None:
            said = "Whether the rules have counted its requests cannot be said: this server answers no queries."
            self._facts.append(Fact(said))
            return
        if traffic is None or not traffic.exact:
            return
        if not requests.get(self._name):
            self._say(
                "The rules have counted none of its requests of the last 24 hours, and the source has some.",
                "see that `llm_routing_requests_total` reaches the server that evaluates the rules",
            )
        else:
            self._facts.append(Fact(f"The rules have counted {requests[self._name]:,.0f} of its requests in 24 hours."))

    def _told(self) -> None:
        told = self._loaded.told
        if told is None:
            self._facts.append(Fact("Who is told cannot be said: this server does not say where it sends alerts."))
        elif told:
            self._facts.append(
                Fact(f"Alerts are sent to {many(told, 'Alertmanager')}; whom it tells is not seen from here.")
            )
        else:
            self._say(
                "Alerts are sent to no Alertmanager: nobody is told.",
                "name an Alertmanager in the server's configuration",
            )

    def _firing(self) -> None:
        if firing := self._loaded.firing.get(self._name):
            self._facts.append(Fact(f"Firing now: {', '.join(map(quoted, sorted(firing)))}."))

    # Whether they go by these files -----------------------------------------------------------------------------------

    def _differences(self) -> None:
        said = [*self._of_policy(), *self._of_reference()]
        for text in said[: 2 * MOST]:
            self._say(f"The rules are not of these files: {text}.", GENERATE)
        if len(said) > 2 * MOST:
            self._facts.append(Fact(f"{len(said) - 2 * MOST} more differences."))

    def _of_policy(self) -> Iterator[str]:
        plan = self._asked.plan
        if not self._asked.declared or plan is None:
            return
        routes = self._constants("llm_routing:policy:route")
        if not routes:
            yield "they do not have this surface"
            return
        for level, severity in plan.severity.items():
            told = {
                (labels.get("owner", ""), labels.get("severity", ""))
                for labels, _ in routes
                if labels.get("level") == level
            }
            if told and told != {(plan.owner, severity)}:
                owner, other = min(told - {(plan.owner, severity)})
                yield (
                    f"an alert of level {level} goes to {quoted(owner)} as {other}, "
                    f"by the policy to {quoted(plan.owner)} as {severity}"
                )
        limits = {value for _, values in self._constants("llm_routing:policy:unknown_limit") for value in values}
        if wrong := _other(limits, plan.unknown_limit):
            limit = percent(plan.unknown_limit)
            yield f"the limit of unknown served models is {percent(wrong[0])}, by the policy {limit}"
        if bool(self._constants("llm_routing:policy:pinned")) != plan.pinned:
            yield (
                "they do not know that it is pinned" if plan.pinned else "they take it for pinned, the policy does not"
            )
        edges = {
            (labels.get("llm_routing_band", ""), labels.get("side", "")): values
            for labels, values in self._constants("llm_routing:band:edge")
        }
        for edge in plan.edges:
            values = edges.pop((edge.glob, edge.side), set())
            if not values:
                yield f"{edge.side} {percent(edge.share)} of {quoted(edge.glob)} is not in them"
            elif wrong := _other(values, edge.share):
                yield f"{edge.side} of {quoted(edge.glob)} is {percent(wrong[0])}, by the policy {percent(edge.share)}"
        for (glob, side), values in edges.items():
            yield f"they have {side} {percent(min(values))} of {quoted(glob)}, which the policy has not"

    def _of_reference(self) -> Iterator[str]:
        held: dict[str, dict[str, set[float]]] = {}
        for labels, values in self._constants("llm_routing:reference:share"):
            models = held.setdefault(labels.get("gen_ai_request_model", ""), {})
            models[labels.get("gen_ai_response_model", "")] = values
        if not held:
            return
        for stream in self._asked.streams:
            models = held.get(stream.requested, {})
            if not models:
                yield f"the reference of {_asked_for(stream.requested)} is not in them"
                continue
            for served in sorted({*models, *stream.shares}):
                share = stream.shares.get(served)
                if share is None:
                    yield f"{quoted(served)} is in their reference of {_asked_for(stream.requested)}, not in the file's"
                elif served not in models:
                    yield f"{quoted(served)} is not in their reference of {_asked_for(stream.requested)}"
                elif other := _other(models[served], share):
                    yield (
                        f"the reference of {_asked_for(stream.requested)} has {percent(other[0])} of {quoted(served)}, "
                        f"in the file {percent(share)}"
                    )


def _other(values: Iterable[float], expected: float) -> list[float]:
    """Return those of ``values`` that are not the expected one."""
    return sorted(value for value in values if abs(value - expected) > NEAR)


def _asked_for(requested: str) -> str:
    return quoted(requested) if requested else NOT_SAID
