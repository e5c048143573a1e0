"""Whether a text names a model, and what kind of name it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.audit.mention import ASKED, BARE, NAMED
from otel_llm_routing.analyze.audit.vocabulary import vocabulary
from otel_llm_routing.models import builtin_rules, canonical, classify

if TYPE_CHECKING:
    from otel_llm_routing.analyze.audit.mention import Mention
    from otel_llm_routing.analyze.audit.vocabulary import Doubt
    from otel_llm_routing.models import Classification

INHERIT = "inherit"
UNKNOWN = "unknown"

_IDENTIFIER = re.compile(r"[A-Za-z0-9@~](?:[A-Za-z0-9._:/@~+\[-]*[A-Za-z0-9\]])?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_NAME = frozenset(
    {
        "true",
        "false",
        "none",
        "null",
        "yes",
        "no",
        "on",
        "off",
        "undefined",
        "nan",
        "str",
        "string",
        "unknown",
        "all",
        "any",
    }
)
_FILE = re.compile(
    r".*\.(?:bin|cfg|conf|csv|db|h5|html?|ini|ipynb|jpe?g|js|jsonl?|log|md|onnx|pb|pdf|pkl|png|pth?|py|safetensors|sh"
    r"|sql|tar|tgz|tflite|toml|txt|vue|wav|xml|ya?ml|zip)$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://|localhost\b|[\w.-]+\.(?:com|org|net|io|local)(?::\d+)?(?:/|$)|\.{0,2}/|~/", re.IGNORECASE
)
_PLACEHOLDER = re.compile(
    r"(?:.*[^a-z])?(?:your|my-model-here|placeholder|xxx+|todo|changeme|example)(?:[^a-z].*)?$", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"[a-z_]+(?:\.[a-z_]+)+", re.IGNORECASE)
_SHORTEST_BARE = 4
_HOLE = "{}"


class Identity(NamedTuple):
    """What is known of the name of a model."""

    kind: str
    """``pinned``, ``alias``, ``router``, ``unknown``, or ``inherit``: the model is chosen elsewhere."""
    provider: str | None
    rule: str
    """What says that it names a model: a rule of ``models/rules.json``, or the reason in a few words."""
    source: str
    """Where the rule was read, or empty."""


@dataclass(frozen=True)
class Knowledge:
    """What is known of identifiers beyond the rules."""

    priced: frozenset[str] = frozenset()
    """Identifiers of the installed price list, as ``canonical`` spells them."""
    declared: frozenset[str] = frozenset()
    """Identifiers that the policy names."""


def identify(mention: Mention, known: Knowledge) -> Identity | None:
    """Return what the text of ``mention`` names, or None if it is no model, or nobody could tell that it is one."""
    text, weight = mention.text.strip(), mention.weight
    if text.lower() == mention.key.lower():
        return None  # fields that are named after themselves
    if mention.dynamic:
        return _dynamic(text, weight, mention.provider)
    if text in known.declared and weight >= NAMED:
        return _declared(text, mention.provider)
    return _identified(text, weight, mention.provider, known)


@lru_cache(maxsize=65_536)
def _identified(text: str, weight: int, provider: str | None, known: Knowledge) -> Identity | None:
    if not _IDENTIFIER.fullmatch(text) or any(no.match(text) for no in (_ADDRESS, _FILE, _PLACEHOLDER)):
        return None
    if not any(c.isalpha() for c in text) or text.lower() in _NO_NAME:
        return None
    if weight == BARE and _WORD.fullmatch(text):
        return None  # a plain word is a name only where its place says so
    said, rest = _split(text)
    found = classify(rest, provider or said)
    if weight == BARE and found.rule is not None and "/" not in text and text[:1].isupper():
        return None  # "GPT-4" is what people read; no rule is about names that are written so
    inherit = text.lower() in vocabulary().inherit
    if inherit and (weight == ASKED or (weight == NAMED and text.lower() == INHERIT)):
        return Identity(INHERIT, provider, "inherit", "")
    if inherit or (weight == BARE and len(rest) < _SHORTEST_BARE):
        return None
    if _sure(found, rest, weight) or _sure(classify(rest), rest, weight):
        return _as(found, provider or said, "")
    if (doubt := _doubt(found)) is not None and doubt.never:
        found = replace(found, kind=UNKNOWN, rule=None)
    listed = canonical(rest) in known.priced and any(c.isdigit() for c in rest) and "-" in canonical(rest)
    if listed and (weight >= NAMED or _of_a_family(rest)):
        return _as(found, provider or said, "listed in genai-prices")
    if weight == BARE:
        certain = said and (_of_a_family(rest) or _has_a_kind(text))
        return _as(found, said, "provider before it") if certain else None
    if _of_a_family(rest) or _of_an_organisation(rest):
        return _as(found, provider or said, "name of a family")
    if said:
        return _as(found, provider or said, "provider before it")
    if _ATTRIBUTE.fullmatch(rest):
        return None  # "llm.model" says where to look, in the program or its settings
    return _as(found, provider, "asked for") if weight == ASKED else None


def _declared(text: str, provider: str | None) -> Identity:
    said, rest = _split(text)
    return _as(classify(rest, provider or said), provider or said, "named by the policy")


def _as(found: Classification, provider: str | None, why: str) -> Identity:
    if found.rule is None:
        return Identity(UNKNOWN, provider or found.provider, why, "")
    return Identity(found.kind, provider or found.provider, found.rule.id, found.rule.source)


def _sure(found: Classification, text: str, weight: int) -> bool:
    """Return whether a rule matched that leaves no doubt, where it stands, that ``text`` names a model."""
    if found.rule is None:
        return False
    doubt = _doubt(found)
    if doubt is None:
        return found.rule.id in _builtin() or weight >= NAMED
    if doubt.sure is not None and (doubt.sure.fullmatch(text) or doubt.sure.fullmatch(canonical(text))):
        return True
    return not doubt.never and weight >= (ASKED if doubt.asked else NAMED)


def _doubt(found: Classification) -> Doubt | None:
    rule = found.rule
    return None if rule is None or rule.id not in _builtin() else vocabulary().doubts.get(rule.id)


@lru_cache(maxsize=1)
def _builtin() -> frozenset[str]:
    return frozenset(rule.id for rule in builtin_rules())


def _split(text: str) -> tuple[str | None, str]:
    """Return the provider that is written before a name, if one is, and the name."""
    words = vocabulary()
    head, colon, rest = text.partition(":")
    if colon and rest and (provider := words.colon_prefixes.get(head.lower())):
        return provider, rest.partition(":")[2] if _has_a_kind(text) else rest
    at = text.find("/")
    while at > 0:
        if (provider := words.slash_prefixes.get(text[: at + 1].lower())) and len(text) > at + 1:
            return provider, text
        at = text.find("/", at + 1)
    return None, text


def _has_a_kind(text: str) -> bool:
    """Return whether a text is written as ``azure:chat:my-deployment``, which nothing else is."""
    head, kind, name = (*text.split(":", 2), "", "")[:3]
    words = vocabulary()
    return bool(name) and kind in words.kinds and head.lower() in words.colon_prefixes


def name_of(identifier: str) -> str:
    """Return the name that is sent to the provider, where a framework has the provider written before a colon."""
    return _split(identifier)[1]


def _of_a_family(text: str) -> bool:
    return any(c.isdigit() for c in text) and vocabulary().family.fullmatch(text) is not None


def _of_an_organisation(text: str) -> bool:
    owner, slash, name = text.partition("/")
    return bool(slash and name and owner.lower() in vocabulary().organisations and not name.startswith("/"))


def _dynamic(text: str, weight: int, provider: str | None) -> Identity | None:
    """Return an identity where the known part of a text tells the provider or the family."""
    fixed = text.replace(_HOLE, "")
    if not re.fullmatch(r"[A-Za-z0-9._:/@~+{}-]+", text) or not any(c.isalnum() for c in fixed):
        return None
    head = text.partition(_HOLE)[0]
    said, _ = _split(f"{head}x") if head else (None, "")
    family = head and vocabulary().family.fullmatch(f"{head}0") is not None
    if (weight == ASKED and (said or family)) or (weight == NAMED and said):
        return Identity(UNKNOWN, provider or said, "put together at run time", "")
    return None


def priced() -> frozenset[str]:
    """Return the identifiers of the installed price list; empty without one."""
    try:
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  (an extra)
    except ImportError:
        return frozenset()
    return frozenset(canonical(model.id) for provider in get_snapshot().providers for model in provider.models)
