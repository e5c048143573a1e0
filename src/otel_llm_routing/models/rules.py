"""Pinned, alias, router or unknown: the rules that say so, and how they are asked.

The rules are JSON because what runs in the user's application depends on the standard library alone, and that has a
TOML reader only since Python 3.11.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from otel_llm_routing.models.identifiers import MAX_LENGTH, canonical, provider_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RULES_VARIABLE = "OTEL_LLM_ROUTING_MODEL_RULES"
"""Environment variable that names a file of the user's own rules, asked before the built-in ones."""

PINNED = "pinned"
ALIAS = "alias"
ROUTER = "router"
UNKNOWN = "unknown"
KINDS = (PINNED, ALIAS, ROUTER, UNKNOWN)

EVIDENCE = {
    "C": "read in package code",
    "D": "read in the provider's documentation",
    "X": "read in an excerpt of the documentation",
    "2": "second-hand",
    "?": "not verified",
}

ANYWHERE = "anywhere"
PROVIDER = "provider"
FALLBACK = "fallback"
SCOPES = {
    ANYWHERE: "for its provider, and wherever the provider is another or not known: the identifier is unmistakable",
    PROVIDER: "only when its provider is named",
    FALLBACK: "only when its provider is named, and after every other rule has been silent",
}

_CACHE_SIZE = 4096
_FIELDS = {"id", "provider", "kind", "pattern", "evidence", "source", "note", "scope", "examples"}

_logger = logging.getLogger(__name__)


class RulesError(ValueError):
    """A file of rules cannot be used. The message names the file, the entry, what is wrong and what to do."""


@dataclass(frozen=True)
class Rule:
    """One statement about identifiers, and where it was read."""

    id: str
    provider: str | None
    """GenAI name of the provider it is about; None for identifiers that mean the same everywhere."""
    kind: str
    pattern: str
    """Regular expression for the whole identifier, as written in lower case or as ``canonical`` spells it."""
    evidence: str
    source: str
    note: str = ""
    scope: str = ANYWHERE
    examples: tuple[str, ...] = ()

    def matches(self, *spellings: str) -> bool:
        """Return whether the pattern matches one of ``spellings``."""
        compiled = _compiled(self.pattern)
        return any(compiled.fullmatch(spelling) for spelling in spellings)


@dataclass(frozen=True)
class Classification:
    """What is known about one identifier."""

    model: str
    provider: str | None
    """The provider as given; else the one the rule is about; else None."""
    kind: str
    rule: Rule | None
    """The rule that decided; None if none matched."""


@lru_cache(maxsize=_CACHE_SIZE)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def classify(model: str, provider: str | None = None, own: Iterable[Rule] | None = None) -> Classification:
    """Return what the rules say about ``model``, called at ``provider`` (a GenAI provider name) if that is known.

    ``own`` are rules to ask before the built-in ones, in place of those the environment names. The first rule that
    matches decides: those about the provider, then those of any provider, then the provider's fallbacks.
    """
    rules = _active() if own is None else (*own, *builtin_rules())
    rule = _first_match(model, provider_name(provider), rules) if len(model) <= MAX_LENGTH else None
    return Classification(model, provider or (rule.provider if rule else None), rule.kind if rule else UNKNOWN, rule)


def _first_match(model: str, provider: str | None, rules: tuple[Rule, ...]) -> Rule | None:
    written, normal = model.strip().lower(), canonical(model)
    if not written:
        return None
    spellings = (written,) if written == normal else (written, normal)

    def first(asked: Callable[[Rule], bool]) -> Rule | None:
        return next((rule for rule in rules if asked(rule) and rule.matches(*spellings)), None)

    if provider is None:
        return first(lambda rule: rule.scope == ANYWHERE)
    return (
        first(lambda rule: rule.scope != FALLBACK and rule.provider in (None, provider))
        or first(lambda rule: rule.scope == ANYWHERE)
        or first(lambda rule: rule.scope == FALLBACK and rule.provider == provider)
    )


_kinds: dict[tuple[str, str | None], str] = {}


def kind_of(model: str, provider: str | None = None) -> str:
    """Return ``pinned``, ``alias``, ``router`` or ``unknown`` for ``model`` as ``provider`` understands it.

    Never raises, and is a dictionary look-up for an identifier seen before.
    """
    key = (model, provider)
    kind = _kinds.get(key)
    if kind is not None:
        return kind
    if len(model) > MAX_LENGTH:
        return UNKNOWN
    kind = classify(model, provider).kind
    if len(_kinds) >= _CACHE_SIZE:
        _kinds.clear()
    _kinds[key] = kind
    return kind


def model_part(model: str, provider: str | None = None) -> str:
    """Return the part of ``model`` that names the model: the group ``model`` of its rule's pattern, if there is one."""
    rule = classify(model, provider).rule
    if rule is None or "?P<model>" not in rule.pattern:
        return model
    pattern = _compiled(rule.pattern)
    found = pattern.fullmatch(model.strip()) or pattern.fullmatch(canonical(model))
    return found["model"] if found is not None else model


_lock = Lock()
_loaded: tuple[Rule, ...] | None = None


def _active() -> tuple[Rule, ...]:
    """Return the user's rules, then the built-in ones. A user file that is broken is logged, once, and left out."""
    global _loaded  # noqa: PLW0603  (read once per process, at the first question)
    if _loaded is not None:
        return _loaded
    with _lock:
        if _loaded is None:
            own: tuple[Rule, ...] = ()
            if path := os.environ.get(RULES_VARIABLE):
                try:
                    own = load_rules(path)
                except RulesError as error:
                    _logger.error("%s. Going on with the built-in rules.", error)  # noqa: TRY400  (message is complete)
            _loaded = own + builtin_rules()
        return _loaded


def forget() -> None:
    """Forget loaded rules and answers given, so that the next question reads the environment again."""
    global _loaded  # noqa: PLW0603
    with _lock:
        _loaded = None
        _kinds.clear()


@lru_cache(maxsize=1)
def builtin_rules() -> tuple[Rule, ...]:
    """Return the rules that come with this package, in the order in which they are asked."""
    return _parse(files(__package__).joinpath("rules.json").read_text("utf-8"), "rules.json")


def load_rules(path: str | Path) -> tuple[Rule, ...]:
    """Read the user's rules from the JSON file at ``path``; raise ``RulesError`` if anything in it is wrong."""
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RulesError(f"{path}: not UTF-8 text (byte {error.start}): save it as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RulesError(
            f"{path}: cannot be read ({reason}): correct the path in {RULES_VARIABLE} or --rules"
        ) from error
    return _parse(text, str(path))


def _parse(text: str, name: str) -> tuple[Rule, ...]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise RulesError(
            f"{name}: line {error.lineno}, column {error.colno}: not JSON ({error.msg}): correct it"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RulesError(f"{name}: not JSON ({error}): correct it") from error
    entries = data.get("rules") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise RulesError(f'{name}: has no list of rules: write {{"rules": [...]}}')
    rules: list[Rule] = []
    ids: set[str] = set()
    for number, entry in enumerate(entries, 1):
        where = f"{name}: entry {number}"
        if not isinstance(entry, dict):
            raise RulesError(f"{where}: is not an object: write {{...}} with id, kind, pattern and source")
        if isinstance(entry.get("id"), str):
            where += f" ({entry['id']!r})"
        rule = _rule(entry, where)
        if rule.id in ids:
            raise RulesError(f"{where}: its id is taken by an earlier entry: choose another")
        ids.add(rule.id)
        rules.append(rule)
    return tuple(rules)


def _rule(entry: dict[str, Any], where: str) -> Rule:
    if unknown := sorted(set(entry) - _FIELDS):
        raise RulesError(f"{where}: unknown field {unknown[0]!r}: use {', '.join(sorted(_FIELDS))}")
    for field in ("id", "kind", "pattern", "source"):
        if not isinstance(entry.get(field), str) or not entry[field].strip():
            hint = ": say where you read it" if field == "source" else ""
            raise RulesError(f"{where}: {field!r} is missing, empty or not a string: give it{hint}")
    provider = entry.get("provider")
    if provider is not None and not isinstance(provider, str):
        raise RulesError(f"{where}: 'provider' is not a string: name a provider, or leave it out for any")
    note = entry.get("note", "")
    if not isinstance(note, str):
        raise RulesError(f"{where}: 'note' is not a string: write it as text")
    examples = entry.get("examples", [])
    if not isinstance(examples, list) or not all(isinstance(example, str) for example in examples):
        raise RulesError(f"{where}: 'examples' is not a list of strings: write identifiers the rule matches")
    try:
        _compiled(entry["pattern"])
    except (re.error, OverflowError, RecursionError) as error:
        raise RulesError(f"{where}: 'pattern' is not a regular expression ({error}): correct it") from error
    rule = Rule(
        id=entry["id"],
        provider=provider_name(provider),
        kind=_one_of(entry, "kind", KINDS, UNKNOWN, where),
        pattern=entry["pattern"],
        evidence=_one_of(entry, "evidence", EVIDENCE, "?", where),
        source=entry["source"],
        note=note,
        scope=_one_of(entry, "scope", SCOPES, ANYWHERE, where),
        examples=tuple(examples),
    )
    if rule.scope != ANYWHERE and rule.provider is None:
        raise RulesError(f"{where}: scope {rule.scope!r} needs a provider: name one, or write scope 'anywhere'")
    for example in rule.examples:
        if not rule.matches(example.strip().lower(), canonical(example)):
            raise RulesError(f"{where}: the pattern does not match its example {example!r}: correct one of them")
    return rule


def _one_of(entry: dict[str, Any], field: str, allowed: Iterable[str], default: str, where: str) -> str:
    value = entry.get(field, default)
    choices = tuple(allowed)
    if not isinstance(value, str) or value not in choices:
        raise RulesError(f"{where}: {field!r} is {value!r}: write one of {', '.join(choices)}")
    return value
