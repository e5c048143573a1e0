"""Statements that decide whether a model is pinned, an alias or a router, from the rules that an application asks."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.generate.collector.ottl import cache, matches, re2, text
from otel_llm_routing.models.rules import ANYWHERE, FALLBACK, ROUTER, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROVIDER = "provider"
"""The variable with the provider's GenAI name."""


class Statement(NamedTuple):
    """A statement, and the ids of the rules that it was written from."""

    text: str
    about: str = ""


class _Step(NamedTuple):
    provider: str | None
    """Asked only for this provider; None: for each."""
    rule: Rule
    kind: str


def kind_of(name: str, rules: tuple[Rule, ...]) -> Iterator[Statement]:
    """Yield statements that write the kind of the model in the variable ``name`` to ``name``_kind.

    The part of it that names the model, where a rule knows one, goes to ``name``_part.
    """
    yield from _classify(name, rules, lambda rule: rule.kind)


def is_router(name: str, rules: tuple[Rule, ...]) -> Iterator[Statement]:
    """Yield statements that write to ``name``_kind whether the model in the variable ``name`` is a router."""
    yield from _classify(name, rules, lambda rule: ROUTER if rule.kind == ROUTER else "other", parts=False)


def _classify(
    name: str, rules: tuple[Rule, ...], kind: Callable[[Rule], str], *, parts: bool = True
) -> Iterator[Statement]:
    decided = cache(f"{name}_kind")
    steps = [_Step(provider, rule, kind(rule)) for provider, rule in _asked(rules)]
    for (provider, of, _), group in groupby(steps, lambda step: _alone(step, parts=parts)):
        together = [step.rule for step in group]
        condition = f"{decided} == nil and "
        if provider is not None:
            condition += f"{cache(PROVIDER)} == {text(provider)} and "
        condition += _matches(name, together)
        ids = ", ".join(rule.id for rule in together)
        if parts and "?P<model>" in together[0].pattern:
            found = f"ExtractPatterns({cache(f'{name}_names')}, {text(re2(together[0].pattern)[0])})[{text('model')}]"
            yield Statement(f"set({cache(f'{name}_part')}, {found}) where {condition}", f"{ids}: the part")
        yield Statement(f"set({decided}, {text(of)}) where {condition}", ids)


def _asked(rules: tuple[Rule, ...]) -> Iterator[tuple[str | None, Rule]]:
    """Yield the rules in the order of ``models.rules``: the provider's and anybody's, every other, then fallbacks."""
    yield from ((rule.provider, rule) for rule in rules if rule.scope != FALLBACK)
    yield from ((None, rule) for rule in rules if rule.scope == ANYWHERE and rule.provider is not None)
    yield from ((rule.provider, rule) for rule in rules if rule.scope == FALLBACK)


def _alone(step: _Step, *, parts: bool) -> tuple[str | None, str, str]:
    """Return what neighbouring rules must have in common to be one statement."""
    apart = re2(step.rule.pattern)[1] is not None or (parts and "?P<model>" in step.rule.pattern)
    return step.provider, step.kind, step.rule.id if apart else ""


def _matches(name: str, rules: list[Rule]) -> str:
    pattern, forbidden = re2(rules[0].pattern if len(rules) == 1 else "|".join(rule.pattern for rule in rules))
    if forbidden is None:
        return matches(cache(f"{name}_names"), pattern)
    spellings = (cache(f"{name}_{spelling}") for spelling in ("written", "canonical"))
    return "(" + " or ".join(f"({matches(one, pattern)} and not {matches(one, forbidden)})" for one in spellings) + ")"
