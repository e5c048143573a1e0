"""What ``vocabulary.json`` says: which names, calls and neighbours tell that a text is the identifier of a model."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_llm_routing.models import provider_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_LONGEST_KEY = 80
EXAMPLES = frozenset({"enum", "example", "examples"})
"""Keys of which whatever stands below them asks for no model; other keys about models have a text beside them."""

IDENTITIES = ("id", "name")
"""Keys of which the first that is there names the model that a mapping describes."""
_FLAG = re.compile(r"--?([A-Za-z][\w-]{0,79})(?:=(.*))?", re.DOTALL)
_PLAIN = re.compile(r"[\w. -]+")


class Call(NamedTuple):
    """A function that asks a model, or makes what does."""

    at: int | None
    """The position of the model among the arguments."""
    keywords: frozenset[str]
    provider: str | None


class Doubt(NamedTuple):
    """When a rule about identifiers also matches texts that are none."""

    sure: re.Pattern[str] | None
    asked: bool
    """Whether only a place counts where a model is certainly asked."""
    never: bool
    """Whether no place makes up for a text that is not ``sure``."""


class KeyWords(NamedTuple):
    """What the words of a name, such as that of an argument or a variable, say of what it holds."""

    words: frozenset[str]
    one: frozenset[str]
    whole: frozenset[str]
    excluded: frozenset[str]
    asking: frozenset[str]
    last: frozenset[str]
    offering: frozenset[str]


@dataclass(frozen=True)
class Vocabulary:
    """``vocabulary.json``, ready for use."""

    keys: KeyWords
    calls: Mapping[str, tuple[tuple[tuple[str, ...], Call], ...]]
    """Last name of a call -> the dotted names that end so, and the call."""
    about_models: frozenset[str]
    listing: frozenset[str]
    choosing: tuple[str, ...]
    not_calls: frozenset[str]
    lookups: frozenset[str]
    fields: frozenset[str]
    default_keywords: frozenset[str]
    beside: frozenset[str]
    beside_within: frozenset[str]
    provider_keys: tuple[str, ...]
    addresses: tuple[str, ...]
    inherit: frozenset[str]
    doubts: Mapping[str, Doubt]
    family: re.Pattern[str]
    telling: tuple[bytes, ...]
    """What a file has in it that names a model, in small letters; others need no parser."""
    organisations: frozenset[str]
    colon_prefixes: Mapping[str, str]
    kinds: frozenset[str]
    """What stands between such a prefix and the name, such as ``chat`` in ``openai:chat:gpt-5``."""
    slash_prefixes: Mapping[str, str]

    def call(self, dotted: str) -> Call | None:
        """Return what is known of the function with this dotted name; of two the longer one."""
        parts = tuple(dotted.split("."))
        for ends, call in self.calls.get(parts[-1], ()):
            if parts[-len(ends) :] == ends:
                return call
        return None

    def may_name_a_model(self, content: bytes) -> bool:
        """Return whether a file has anything in it by which it can name a model."""
        small = content.lower()
        return any(word in small for word in self.telling)

    def provider(self, said: str) -> str | None:
        """Return the GenAI name of the provider that an argument or a setting names.

        It may stand before a colon, with the model, or at the end of a path of plug-ins.
        """
        head = said.strip().lower().partition(":")[0].rpartition("/")[2]
        if known := self.colon_prefixes.get(head):
            return known
        return provider_name(said) if _PLAIN.fullmatch(said) else None


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """Return the vocabulary; it is read once."""
    data = json.loads(files(__package__).joinpath("vocabulary.json").read_text("utf-8"))
    known = json.loads(files("otel_llm_routing.models").joinpath("providers.json").read_text("utf-8"))
    families = "|".join(map(re.escape, data["families"]["names"]))
    keys = data["keys"]
    return Vocabulary(
        keys=KeyWords(
            words=frozenset(keys["words"]),
            one=frozenset(keys["one"]),
            whole=frozenset(keys["whole"]),
            excluded=frozenset(keys["not"]),
            asking=frozenset(keys["asking"]),
            last=frozenset(keys["last"]),
            offering=frozenset(data["listing"]["names"]),
        ),
        calls=_calls(data["calls"]["entries"]),
        about_models=frozenset(data["about_models"]["keys"]),
        listing=frozenset(data["listing"]["keys"]),
        choosing=tuple(data["choosing"]["words"]),
        not_calls=frozenset(data["not_calls"]["names"]),
        lookups=frozenset(data["defaults"]["lookups"]),
        fields=frozenset(data["defaults"]["fields"]),
        default_keywords=frozenset(data["defaults"]["keywords"]),
        beside=frozenset(data["beside"]["keys"]),
        beside_within=frozenset(data["beside"]["within"]),
        provider_keys=tuple(data["neighbours"]["providers"]),
        addresses=tuple(data["neighbours"]["addresses"]),
        inherit=frozenset(data["inherit"]["words"]),
        doubts={
            rule["id"]: Doubt(
                re.compile(rule["sure"], re.IGNORECASE) if "sure" in rule else None,
                rule.get("asked", False),
                rule.get("never", False),
            )
            for rule in data["doubtful"]["rules"]
        },
        family=re.compile(rf"(?:[a-z0-9_.-]+/)*(?:{families})[-_.:/]?[a-z0-9].*", re.IGNORECASE),
        telling=tuple(word.encode() for word in (*data["telling"]["words"], *data["families"]["names"])),
        organisations=frozenset(data["families"]["organisations"]["names"]),
        colon_prefixes=data["prefixes"]["names"],
        kinds=frozenset(data["prefixes"]["kinds"]),
        slash_prefixes={
            prefix: provider["name"] for provider in known["providers"] for prefix in provider.get("prefixes", ())
        },
    )


def _calls(entries: Iterable[Mapping[str, Any]]) -> dict[str, tuple[tuple[tuple[str, ...], Call], ...]]:
    found: dict[str, list[tuple[tuple[str, ...], Call]]] = {}
    for entry in entries:
        call = Call(entry.get("at", entry.get("at_if_text")), frozenset(entry["keywords"]), entry.get("provider"))
        for dotted in entry["ends"]:
            parts = tuple(dotted.split("."))
            found.setdefault(parts[-1], []).append((parts, call))
    return {last: tuple(sorted(calls, key=lambda one: -len(one[0]))) for last, calls in found.items()}


_NAMES = 16_384


@lru_cache(maxsize=_NAMES)
def names_a_model(key: str) -> bool:
    """Return whether a name, such as that of an argument or a variable, says that it holds a model's identifier.

    ``default_model``, ``modelId`` and ``OPENAI_MODEL`` do; ``model_path`` and ``remodel`` do not.
    """
    if len(key) > _LONGEST_KEY:
        return False
    known, parts = vocabulary().keys, _parts(key)
    if "_".join(parts) in known.whole:
        return True
    return not known.words.isdisjoint(parts) and known.excluded.isdisjoint(parts)


@lru_cache(maxsize=_NAMES)
def offers(key: str) -> bool:
    """Return whether a name is that of a list of models to choose from, as ``ALLOWED_MODELS`` is."""
    return not vocabulary().keys.offering.isdisjoint(_parts(key[:_LONGEST_KEY]))


@lru_cache(maxsize=_NAMES)
def chooses(key: str) -> bool:
    """Return whether a name is that of what is asked, however many stand there, as ``default_fallbacks`` is."""
    return any(word in key.lower() for word in vocabulary().choosing)


@lru_cache(maxsize=_NAMES)
def is_the_model(key: str) -> bool:
    """Return whether a name is that of the model itself, as ``model_name`` is and ``model_armor`` is not."""
    parts = _parts(key)
    return bool(parts) and parts[-1] in vocabulary().keys.last


@lru_cache(maxsize=_NAMES)
def asks_a_model(key: str) -> bool:
    """Return whether the name of a setting asks for a model, or a deployment of one, as ``OPENAI_MODEL`` does."""
    if len(key) > _LONGEST_KEY:
        return False
    known, parts = vocabulary().keys, _parts(key)
    if known.asking.isdisjoint(parts) or not known.excluded.isdisjoint(parts) or parts[-1] not in known.last:
        return False
    return "deployment" in parts or not known.words.isdisjoint(parts)


@lru_cache(maxsize=_NAMES)
def provider_of_setting(key: str) -> str | None:
    """Return at whose a model is asked by the name of a setting: what Azure calls a deployment is its owner's word."""
    return "azure.ai.openai" if {"azure", "deployment"} <= set(_parts(key[:_LONGEST_KEY])) else None


@lru_cache(maxsize=_NAMES)
def names_something_else(key: str) -> bool:
    """Return whether a name says what it holds and that it is no model, as ``provider`` does."""
    return not vocabulary().keys.excluded.isdisjoint(_parts(key[:_LONGEST_KEY]))


@lru_cache(maxsize=_NAMES)
def describes_one(key: str) -> bool:
    """Return whether a mapping behind this name describes one model, as that behind ``model`` does."""
    return names_a_model(key) and _parts(key)[-1] in vocabulary().keys.one


@lru_cache(maxsize=_NAMES)
def holds_many(key: str) -> bool:
    """Return whether a mapping behind this name holds models, each behind what it is for, as ``MODELS`` does."""
    return names_a_model(key) and not describes_one(key)


def key_of_the_name(key: str, keys: Collection[str]) -> str:
    """Return which of its ``keys`` names the model, where the mapping behind ``key`` describes one; empty elsewhere.

    As in ``model: {name: ..., mode: chat}``.
    """
    return next((name for name in IDENTITIES if name in keys), "") if describes_one(key) else ""


class Option(NamedTuple):
    """An option of a command that asks for a model."""

    name: str
    value: str
    """Empty where the next argument is it."""


def options(arguments: Iterable[str | None]) -> Iterator[Option | None]:
    """Yield for each argument of a command the option whose value it has, or is; None for all others.

    An argument that is no text is None.
    """
    before = None
    for argument in arguments:
        said = _option(argument) if argument is not None else None
        if said is None:
            yield before if argument is not None else None
        else:
            yield said if said.value else None
        before = said if said is not None and not said.value else None


def _option(argument: str) -> Option | None:
    """Return what ``--model`` or ``--model=gpt-5`` says; None of what is no such."""
    found = _FLAG.fullmatch(argument) if argument.startswith("-") else None
    if found is None or not names_a_model(found[1]):
        return None
    return Option(found[1].replace("-", "_"), found[2] or "")


def _parts(key: str) -> list[str]:
    return [part.lower() for part in _WORD.findall(key)]
