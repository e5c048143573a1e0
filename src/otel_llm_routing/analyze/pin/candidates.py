"""Which concrete model serves most of what a surface asks for, and whether it can be asked for by that name."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.pin.model import Candidate, Part
from otel_llm_routing.analyze.wording import many, percent, quoted
from otel_llm_routing.models import KNOWN_MATCHES, UNCONFIRMED, UNREPORTED, canonical, classify, same_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_llm_routing.analyze.sources import Count
    from otel_llm_routing.policy.schema import Uses

LEAST_SHARE = 0.01
"""Of an identifier's requests: a model that serves less is not moved to on the strength of this traffic."""
FEW = 100
"""Requests below which shares are called uncertain."""
LOOSE = ("alias", "router", "unknown")
"""The kinds of ``uses`` that are not pinned."""
ASKED_OTHERWISE = {
    "azure.ai.openai": "takes the name of a deployment, not of a model: make a deployment of this model and version "
    "whose upgrades are off, and write its name (learn.microsoft.com, Azure OpenAI, Working with models)",
}
"""Providers that report a model by a name that nobody can ask them for."""
FEW_LATELY = 30
"""Requests of the last days below which they are not looked at by themselves."""
MOST = 5


@dataclass(slots=True)
class Requested:
    """The requests of one surface for one identifier; cached answers and failures without a served model left out."""

    served: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By requested spelling, provider and served model, as they were counted."""
    unknown: Counter[str] = field(default_factory=Counter)
    """By reason."""

    @property
    def known(self) -> int:
        """Requests with a known served model."""
        return self.served.total()

    @property
    def requests(self) -> int:
        """All of them."""
        return self.known + self.unknown.total()


def by_identifier(counts: Iterable[Count], surface: str, listed: Sequence[str]) -> dict[str, Requested]:
    """Return the requests of a surface by identifier, spelled as in ``listed`` where it is there."""
    names: dict[str, str] = {}
    found: dict[str, Requested] = defaultdict(Requested)
    for count in counts:
        if count.surface != surface or count.cached:
            continue
        known = count.match in KNOWN_MATCHES and bool(count.served)
        if not known and count.error:
            continue
        if count.requested not in names:
            same = (name for name in listed if count.requested and same_model(name, count.requested))
            names[count.requested] = count.requested if count.requested in listed else next(same, count.requested)
        of = found[names[count.requested]]
        if known:
            of.served[count.requested, count.provider, count.served] += count.requests
        else:
            of.unknown[UNCONFIRMED if count.match == UNCONFIRMED else UNREPORTED] += count.requests
    return dict(found)


def candidates(of: Requested) -> tuple[Candidate, ...]:
    """Return the models that served, those that differ only in spelling as one, the most served first."""
    groups: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for (_, provider, served), requests in of.served.items():
        groups[canonical(served)][served, provider] += requests
    found = []
    for group in groups.values():
        (served, provider), _ = min(group.items(), key=lambda item: (-item[1], item[0]))
        known = classify(served, provider)
        if known.kind == "unknown":
            # Where names of deployments are anybody's, the name that a provider reports is still that of a model.
            known = classify(served)
        rule = f"rule {quoted(known.rule.id)}: {known.rule.source}" if known.rule else ""
        requests = group.total()
        others = tuple(sorted({name for name, _ in group} - {served}))
        found.append(Candidate(served, provider, known.kind, rule, requests, requests / of.known, others))
    return tuple(sorted(found, key=lambda one: (-one.requests, one.model)))


def parts(uses: Uses, asked: dict[str, Requested], days: int, model: str | None, only: str | None) -> list[Part]:
    """Return what is proposed for each identifier that is not pinned; ``only`` leaves the others as they are.

    ``model`` is to be moved to in place of the one that serves most.
    """
    found = []
    for kind in LOOSE:
        for requested in getattr(uses, kind):
            of = asked.get(requested, Requested())
            seen = candidates(of) if of.known else ()
            part = Part(requested, kind, of.requests, of.known, seen, None, "", (), None)
            if only is not None and not same_model(only, requested):
                found.append(part._replace(why_not=f"left as it is: --requested names {quoted(only)}"))
                continue
            chosen, why_not = _chosen(of, seen, days, model)
            if why_not:
                found.append(part._replace(why_not=why_not))
            elif chosen is not None:
                found.append(part._replace(chosen=chosen, doubts=tuple(_doubts(of, seen, chosen))))
    return found


def lately(part: Part, of: Requested | None, days: int) -> Part:
    """Return what is proposed, with the doubt that another model has served most since: ``of`` are the last days."""
    if part.chosen is None or of is None or of.known < FEW_LATELY:
        return part
    seen = candidates(of)
    most = seen[0]
    if same_model(most.model, part.chosen.model):
        return part
    own = next((one.share for one in seen if same_model(one.model, part.chosen.model)), 0.0)
    said = (
        f"In the last {many(days, 'day')} {quoted(most.model)} served most of it, {percent(most.share)}, and "
        f"{quoted(part.chosen.model)} {percent(own)}: name the one that is wanted with --model, or look back less with "
        "--days."
    )
    return part._replace(doubts=(*part.doubts, said))


def _chosen(of: Requested, seen: Sequence[Candidate], days: int, model: str | None) -> tuple[Candidate | None, str]:
    """Return the model to pin, or why there is none."""
    if not of.requests:
        return None, f"no request asked for it in {many(days, 'day')}; take it out, or look back further with --days"
    if not of.known:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(of.unknown.items()))
        return None, (
            f"the served model is known of none of its {many(of.requests, 'request')} ({reasons}), so nothing says "
            "what to pin; have it reported first: the runbook of LLMRoutingServedModelUnknown says how"
        )
    chosen = seen[0]
    if model is not None:
        same = next((one for one in seen if same_model(one.model, model)), None)
        listed = ", ".join(f"{quoted(one.model)} {percent(one.share)}" for one in seen[:MOST])
        if same is None:
            return None, f"{quoted(model)} served none of its requests in {many(days, 'day')}; these did: {listed}"
        if same.share < LEAST_SHARE:
            few = f"{percent(same.share)} ({same.requests:,})"
            return None, f"{quoted(same.model)} served only {few} of its requests, less than 1 %; these did: {listed}"
        chosen = same
    if chosen.kind != "pinned":
        return None, _moves(chosen, seen)
    if chosen.share < LEAST_SHARE:
        return None, f"its most served model, {quoted(chosen.model)}, has {percent(chosen.share)}, less than 1 %"
    return chosen, ""


def _moves(chosen: Candidate, seen: Sequence[Candidate]) -> str:
    """Say why a model is no pin, and what would be one."""
    rule = f" ({chosen.rule})" if chosen.rule else ""
    if chosen.kind == "unknown":
        what = "and nobody knows whether that name moves"
        todo = "if it is concrete, say so in a rule of your own (docs/models.md)"
    else:
        article = "an alias" if chosen.kind == "alias" else "a router"
        what = f"which is {article} itself{rule}: asking for it pins nothing"
        todo = "have the concrete model reported"
    serves = f"most of it is served by {quoted(chosen.model)} ({percent(chosen.share)})"
    others = [one for one in seen if one.kind == "pinned" and one.share >= LEAST_SHARE]
    if others:
        names = ", ".join(f"{quoted(one.model)} ({percent(one.share)})" for one in others[:MOST])
        todo += f", or name one of these with --model: {names}"
    return f"{serves}, {what}; {todo}"


def _doubts(of: Requested, seen: Sequence[Candidate], chosen: Candidate) -> Iterable[str]:
    unknown = of.unknown.total()
    second = next((one for one in seen if one is not chosen), None)
    if unknown:
        said = f"Of {percent(unknown / of.requests)} of its requests the served model is not known"
        next_most = second.requests if second is not None else 0
        if chosen.requests > next_most and unknown > chosen.requests - next_most:
            said += f": more than {quoted(chosen.model)} is ahead by, so another model may serve most"
        yield f"{said}."
    if of.known < FEW:
        yield f"It had {many(of.known, 'request')} with a known served model: few to go by."
    if second is not None and second.requests > chosen.requests:
        yield f"{quoted(second.model)} serves more of it: {percent(second.share)}."
    elif second is not None and second.requests == chosen.requests:
        yield f"{quoted(second.model)} serves as much of it: name the one that is wanted with --model."
    if (how := ASKED_OTHERWISE.get(chosen.provider)) is not None:
        yield f"{quoted(chosen.provider)} {how}."
    if chosen.spellings:
        yield f"Seen as {', '.join(map(quoted, chosen.spellings[:MOST]))} too, which is the same model."
    providers = {provider for _, provider, served in of.served if same_model(served, chosen.model)}
    if len(providers) > 1:
        names = ", ".join(map(quoted, sorted(providers)))
        yield f"It came from {names}; the spelling is that of {quoted(chosen.provider)}."
