"""What is known of where a text stands, and what the keys of a mapping say of what stands behind them.

It is one rule for Python and for data files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from otel_llm_routing.analyze.audit.mention import ASKED, BARE, NAMED, Mention, Role, Table
from otel_llm_routing.analyze.audit.vocabulary import (
    EXAMPLES,
    IDENTITIES,
    asks_a_model,
    chooses,
    holds_many,
    is_the_model,
    key_of_the_name,
    names_a_model,
    names_something_else,
    provider_of_setting,
    vocabulary,
)
from otel_llm_routing.models import provider_of_host

if TYPE_CHECKING:
    from collections.abc import Mapping

Target = tuple[int, tuple[str, ...]]
"""A scope of a Python file, and what is defined in it: a name, and the steps from it to what it holds."""
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_KEYS_OF_A_SETTING = 3
"""So many keys at most has a mapping of which ``name`` tells what its ``value`` is."""


class Place(NamedTuple):
    """What is known of where a text stands."""

    role: Role = "constant"
    key: str = ""
    call: str = ""
    weight: int = BARE
    provider: str | None = None
    table: Table | None = None
    target: Target | None = None
    """What stands for the text from there on."""

    def named(self, key: str) -> Place:
        """Return the place of what a name stands for."""
        weight = max(self.weight, NAMED) if names_a_model(key) else self.weight
        return self._replace(key=key, weight=weight, provider=self.provider or provider_of_setting(key))

    def set_to(self, key: str) -> Place:
        """Return the place of what a setting is: an option of a command, a variable of the environment."""
        named = self.named(key)
        return named._replace(weight=ASKED) if asks_a_model(key) else named

    def inside(self, step: str) -> Place:
        """Return the same place, one step from what stands for it."""
        return self if self.target is None else self._replace(target=(self.target[0], (*self.target[1], step)))

    @property
    def is_of_a_list(self) -> bool:
        """Whether it is one of several."""
        return self.table is not None and self.table.slot == "item"

    @property
    def is_of_a_table(self) -> bool:
        """Whether it is in a list or a mapping."""
        return self.table is not None and self.table.slot in ("item", "value")

    def mention(self, text: str, line: int, column: int, end_column: int, *, dynamic: bool = False) -> Mention:
        """Return ``text`` at this place."""
        return Mention(
            text, line, column, end_column,
            self.role, self.key, self.call, self.weight, self.provider, self.table, dynamic,
        )  # fmt: skip


NOWHERE = Place()
SPOKEN_OF = Place(role="comparison")


class Keys:
    """The keys of one mapping, and what they say of what stands behind each of them."""

    def __init__(
        self, place: Place, texts: Mapping[str, str | None], table: int, beside: frozenset[str] = frozenset()
    ) -> None:
        """``texts`` stand behind the keys, None for what is no text; ``beside`` tell of a model here besides others.

        ``place`` is that of the mapping, ``table`` the number of the outermost one around it.
        """
        words = vocabulary()
        self._place = place
        self._table = Table(table, "value")
        self._beside = words.beside | beside
        self._listing = words.listing
        self._about = words.about_models
        self._asked = not self._beside.isdisjoint(texts) or place.key in words.beside_within
        self._beside_a_model = any(map(names_a_model, texts))
        self._provider = provider_beside(texts, place.provider)
        # In `name: OPENAI_MODEL, value: gpt-5` the name is the key.
        is_a_setting = {"name", "value"} <= texts.keys() and len(texts) <= _KEYS_OF_A_SETTING
        self._renamed = _name_of_a_setting(texts["name"] or "") if is_a_setting else ""
        described = not (place.role in ("comparison", "catalogue") or place.is_of_a_list or self._beside_a_model)
        self._its_name = key_of_the_name(place.key, texts) if described else ""
        self._has_a_provider = not texts.keys().isdisjoint(words.provider_keys)

    def itself(self) -> Place:
        """Return the place of a key as such."""
        return Place("comparison", self._place.key, "", min(self._place.weight, NAMED), None, self._table.of("item"))

    def behind(self, name: str, *, plain: bool) -> Place:
        """Return the place of what stands behind the key ``name``; ``plain``: a text, or texts."""
        if name == "value" and self._renamed:
            name = self._renamed
        if self._its_name and name in IDENTITIES:
            return self._name_of_the_model() if name == self._its_name else SPOKEN_OF._replace(key=name)
        if self._tells_people(name, plain=plain) or (name in self._listing and self._beside_a_model):
            return SPOKEN_OF._replace(key=name)
        role: Role = "config"
        weight = min(self._place.weight, NAMED)
        key = name or self._place.key
        if self._place.role in ("comparison", "catalogue"):
            role, weight = "comparison", BARE
        elif asks_a_model(name) or (self._asked and names_a_model(name) and is_the_model(name)):
            return self._at(role, key, ASKED)._replace(table=None)
        elif names_a_model(name):
            weight = NAMED
        elif name in self._listing and self._place.is_of_a_list:
            if chooses(self._place.key):
                key = self._place.key
            else:
                role = "catalogue"
        elif name in self._beside or (names_something_else(name) and not self._is_of_many()):
            weight = BARE
        elif "fallback" in self._place.key.lower():
            key = self._place.key  # the keys there are what falls back
        return self._at(role, key, weight)

    def _at(self, role: Role, key: str, weight: int) -> Place:
        return self._place._replace(
            role=role, key=key, weight=weight, provider=self._provider or provider_of_setting(key), table=self._table
        )

    def _name_of_the_model(self) -> Place:
        itself = self._at("config", self._its_name, NAMED)
        return itself._replace(weight=ASKED, table=None) if self._asked or self._has_a_provider else itself

    def _is_of_many(self) -> bool:
        """Return whether the keys say what each model behind them is for."""
        return holds_many(self._place.key) and not self._place.is_of_a_list

    def _tells_people(self, name: str, *, plain: bool) -> bool:
        """Return whether what stands behind ``name`` is about models, for people."""
        return is_about_models(name, plain=plain) and (self._beside_a_model or not self._is_of_many())


def _name_of_a_setting(name: str) -> str:
    """Return ``name`` if it is that of a setting; one of two entries of a menu is none."""
    return name if _VARIABLE.fullmatch(name) or names_a_model(name) else ""


def is_about_models(name: str, *, plain: bool) -> bool:
    """Return whether an argument or a key tells people about models; ``plain``: a text, or texts, is what it holds."""
    return name in vocabulary().about_models and (plain or name in EXAMPLES)


def provider_beside(texts: Mapping[str, str | None], known: str | None) -> str | None:
    """Return the provider that the neighbours name; an address that is nobody's makes it unknown."""
    words = vocabulary()
    if said := next(filter(None, (texts.get(name) for name in words.provider_keys)), None):
        return words.provider(said)
    if known in ("azure.ai.openai", "aws.bedrock"):
        return known  # wherever they are reached
    for name in words.addresses:
        if name in texts:
            return _provider_at(texts[name] or "")
    return known


def _provider_at(address: str) -> str | None:
    try:
        return provider_of_host(urlsplit(address).netloc)
    except ValueError:
        return None
