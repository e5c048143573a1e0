"""What the policy says of a surface: what the provider has committed to, and when to move to a pin and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.checklist.answers import Answer, AskedFor, Fact
from otel_llm_routing.analyze.wording import NOT_SAID, many, percent, quoted
from otel_llm_routing.models import classify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from otel_llm_routing.analyze.audit.finding import Lifetime
    from otel_llm_routing.analyze.audit.lifetimes import Lifetimes
    from otel_llm_routing.analyze.checklist.answers import Verdict
    from otel_llm_routing.policy.document import Located
    from otel_llm_routing.policy.schema import Surface

SHOWN = 300
"""Characters of a text that are shown; the rest is in the file."""
MOST = 5


class Declared(NamedTuple):
    """One surface as the policy has it."""

    name: str
    said: Surface | None
    """None: the policy does not have it, or there is none."""
    located: Located | None
    pinned: bool

    def place(self, *field: str | int) -> str:
        """Return ``policy.yaml:12`` for a field of the surface, or nothing."""
        if self.located is None or self.said is None:
            return ""
        return f"{self.located.file}:{self.located.line('surfaces', self.name, *field)}"

    @property
    def absent(self) -> str:
        """Say that the surface is not there."""
        return (
            "There is no policy."
            if self.located is None
            else f"{quoted(self.located.file)} does not have this surface."
        )


def commitment(surface: Declared, asked: Sequence[AskedFor], lifetimes: Lifetimes, today: date) -> Answer:
    """Answer whether it is known what the provider has committed to, also to how long it offers a model."""
    answer = _promised(surface, asked)
    facts, ends = list(answer.facts), False
    for one in asked[:MOST]:
        known = lifetimes.of(one.requested, None, today) if one.requested else None
        if known is not None:
            ends = ends or known.state != "deprecated"
            facts.append(Fact(f"{quoted(one.requested)} {_until(known)}.", known.source))
    if not ends:
        return answer._replace(facts=tuple(facts))
    verdict: Verdict = "no" if answer.verdict == "no" else "partly"
    return Answer(verdict, tuple(facts), (*answer.todo, "move away from the model that ends"))


def _until(known: Lifetime) -> str:
    if known.state == "retired":
        return f"is offered no longer, since {known.on}" if known.on else "is offered no longer"
    return f"is offered until {known.on}" if known.on else "is deprecated, and nobody says until when it is offered"


def _promised(surface: Declared, asked: Sequence[AskedFor]) -> Answer:
    facts = tuple(_identifiers(asked))
    if surface.said is None:
        if surface.pinned:
            return Answer("does not apply", (Fact("It asks for pinned models only."), *facts))
        return Answer("no", (Fact(surface.absent), *facts), ("write the surface into the policy, with `commitment`",))
    said, where = surface.said.commitment, surface.place("commitment")
    if said is None:
        if surface.pinned:
            text = "It asks for pinned models only, and the policy has no commitment: the provider does not move them."
            return Answer("does not apply", (Fact(text, surface.place()), *facts))
        text = "The policy has no commitment: nobody has written down whether there is one."
        todo = "ask the provider, and write `commitment`: a link to what it promises about changes, or `none`"
        return Answer("no", (Fact(text, surface.place()), *facts), (todo,))
    if said == "none":
        if surface.pinned:
            text = "It asks for pinned models only, and by the policy nothing more is promised."
            return Answer("does not apply", (Fact(text, where), *facts))
        text = "Nothing: the policy says `none`, so somebody looked, and the model may change without notice."
        todo = "get a promise from the provider, or pin; or accept it, and rest on the alert"
        return Answer("partly", (Fact(text, where), *facts), (todo,))
    return Answer("yes", (Fact(f"What is promised is at {quoted(said)}; nobody opened it now.", where), *facts))


def conditions(surface: Declared, asked: Sequence[AskedFor]) -> Answer:
    """Answer whether it is written down when to move to a pin, and when back."""
    said = surface.said
    back = "" if said is None else said.unpin_when or ""
    if surface.pinned:
        facts = [Fact("It asks for pinned models only: there is no pin to move to.", surface.place("uses"))]
        if back:
            facts.append(Fact(f"Back when: {_shown(back)}", surface.place("unpin_when")))
        return Answer("yes" if back else "does not apply", tuple(facts))
    if said is None:
        todo = "write the surface into the policy, with `pin_when` and `unpin_when`"
        return Answer("no", (Fact(surface.absent),), (todo,))
    texts = {"pin_when": said.pin_when, "unpin_when": said.unpin_when}
    words = {"pin_when": "To a pin when", "unpin_when": "Back when"}
    found = [Fact(f"{words[field]}: {_shown(text)}", surface.place(field)) for field, text in texts.items() if text]
    missing = [field for field, text in texts.items() if not text]
    facts = [*_not_as_declared(said, asked, surface.place("uses")), *found]
    if not missing:
        return Answer("yes", tuple(facts))
    facts.append(Fact(f"The policy has no {' and no '.join(map(quoted, missing))}.", surface.place()))
    todo = f"write {' and '.join(map(quoted, missing))} in words, before it is needed"
    return Answer("partly" if found else "no", tuple(facts), (todo,))


def _not_as_declared(said: Surface, asked: Sequence[AskedFor], where: str) -> Iterator[Fact]:
    """Yield what the traffic asks for though the policy lists pinned models only."""
    loose = [quoted(one.requested) for one in asked if one.kind in ("alias", "router") and one.requests]
    if said.uses.pinned and said.uses.pinned == said.uses.identifiers and loose:
        yield Fact(
            f"The policy lists pinned models only, and its traffic asks for {', '.join(loose[:MOST])} too.", where
        )


def asked_for(surface: Declared, kinds: dict[str, dict[str, int]]) -> tuple[AskedFor, ...]:
    """Return what a surface asks for: by its policy, and by ``kinds``, requests by requested identifier and kind."""
    found: dict[str, AskedFor] = {}
    if surface.said is not None:
        for kind in ("pinned", "alias", "router", "unknown"):
            for at, name in enumerate(getattr(surface.said.uses, kind)):
                line = None
                if surface.located is not None:
                    line = surface.located.line("surfaces", surface.name, "uses", kind, at)
                found[name] = AskedFor(name, kind, 0, line)
    for requested, of in kinds.items():
        most = max(of, key=lambda kind: (of[kind], kind))
        known = found.get(requested) or AskedFor(requested, most or "unknown", 0, None)
        found[requested] = known._replace(requests=sum(of.values()))
    return tuple(sorted(found.values(), key=lambda one: (-one.requests, one.requested)))


def _identifiers(asked: Sequence[AskedFor]) -> Iterator[Fact]:
    total = sum(one.requests for one in asked)
    for one in asked[:MOST]:
        name = quoted(one.requested) if one.requested else NOT_SAID
        share = f", {percent(one.requests / total)} of its requests" if total else ""
        text = f"It asks for {name} ({one.kind}{share})"
        known = classify(one.requested) if one.requested else None
        if known is not None and known.rule is not None and known.kind != one.kind:
            text += f", which is known as {known.kind}"
        text += f" (rule {quoted(known.rule.id)}: {known.rule.source})." if known is not None and known.rule else "."
        yield Fact(text)
    if len(asked) > MOST:
        yield Fact(f"It asks for {many(len(asked) - MOST, 'other identifier')} too.")


def _shown(text: str) -> str:
    """Return a text of the policy on one line, and no longer than needed; a backtick would begin a name."""
    line = " ".join(text.split()).replace("`", "'")
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
