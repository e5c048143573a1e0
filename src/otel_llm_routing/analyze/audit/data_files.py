"""Data files: the texts of YAML, JSON, TOML, settings, notebooks and front matter, with what their place says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from otel_llm_routing.analyze.audit import formats, python
from otel_llm_routing.analyze.audit.mention import ASKED, BARE, MAX_TEXT, NAMED, Mention, Role, Table, Trouble, pieces
from otel_llm_routing.analyze.audit.tree import Items, Leaf, Mapping, Node, UnreadableError
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
    offers,
    options,
    vocabulary,
)
from otel_llm_routing.models import provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable

Found = tuple[list[Mention], list[Trouble]]

_FRONT_MATTER_BESIDE = frozenset({"name", "description", "tools", "mode", "allowed-tools", "argument-hint", "prompt"})
_PROVIDERS = ("provider", "model_provider", "custom_llm_provider", "llm_provider", "api_type")
_ADDRESSES = ("base_url", "api_base", "azure_endpoint", "endpoint", "url")
_PAIR = re.compile(r"([A-Z][A-Z0-9_]{2,127})=(.+)")
_VARIABLE = re.compile(r"\$\{(\w+):?-([^{}$]+)\}")
"""What shells and Compose put for a variable that is not set."""
_HOST = re.compile(r"https?://([^/\s]+)")


class _Around(NamedTuple):
    """What is known of where a node stands."""

    key: str = ""
    role: Role = "config"
    weight: int = BARE
    provider: str | None = None
    table: Table | None = None
    entry: bool = False
    """Whether it is one of a list."""


class Reader:
    """Walks the trees of one file."""

    def __init__(self, beside: frozenset[str] = frozenset()) -> None:
        self._words = vocabulary()
        self._beside = self._words.beside | beside
        self._count = 0
        self.found: list[Mention] = []

    def read(self, documents: list[Node]) -> None:
        """Note every text of ``documents``."""
        for document in documents:
            self._node(document, _Around())

    def _node(self, node: Node, around: _Around) -> None:
        if isinstance(node, Leaf):
            self._leaf(node, around)
        elif isinstance(node, Items):
            table = Table(around.table.number, "item") if around.table else self._new("item")
            if around.role == "config" and offers(around.key):
                around = around._replace(role="catalogue")
            self._items(node, around, table)
        else:
            self._mapping(node, around)

    def _items(self, node: Items, around: _Around, table: Table) -> None:
        texts = [item.text if isinstance(item, Leaf) else None for item in node.items]
        for item, option in zip(node.items, options(texts), strict=True):
            if not isinstance(item, Leaf):
                self._node(item, around._replace(table=Table(table.number, "value"), entry=True))
            elif option is None:
                self._leaf(item, around._replace(table=table))
            else:
                text = Leaf(option.value or item.text, item.line, item.column, item.end_column)
                self._leaf(text, self._behind(option.name, _Around(), asked=False, provider=None, table=table))

    def _new(self, slot: Literal["item", "value"]) -> Table:
        self._count += 1
        return Table(self._count, slot)

    def _mapping(self, node: Mapping, around: _Around) -> None:
        texts = {key.text: value.text for key, value in node.pairs if isinstance(value, Leaf)}
        keys = {key.text for key, _ in node.pairs}
        asked = not self._beside.isdisjoint(keys) or around.key == "litellm_params"
        provider = self._provider(texts, around.provider)
        table = around.table or self._new("value")
        # In `name: OPENAI_MODEL, value: gpt-5` the name is the key.
        renamed = texts.get("name") if {"name", "value"} <= texts.keys() and len(keys) <= 3 else None  # noqa: PLR2004
        beside_a_model = any(names_a_model(key) for key in keys)
        described = around.role == "config" and not around.entry and not beside_a_model
        its_name = key_of_the_name(around.key, keys) if described else ""
        itself = _Around(its_name, "config", NAMED, provider, Table(table.number, "value"))
        if asked or not keys.isdisjoint(_PROVIDERS):
            itself = itself._replace(weight=ASKED, table=None)
        for key, value in node.pairs:
            name = renamed if renamed and key.text == "value" else key.text
            if not names_a_model(name):
                self._leaf(
                    key, _Around(around.key, "comparison", min(around.weight, NAMED), None, Table(table.number, "item"))
                )
            if its_name and name in IDENTITIES:
                self._node(value, itself if name == its_name else _Around(name, "comparison"))
                continue
            about = name in self._words.about_models and (isinstance(value, Leaf) or name in EXAMPLES)
            about = about and (beside_a_model or around.entry or not holds_many(around.key))
            if about or (name in self._words.listing and beside_a_model):
                self._node(value, _Around(name, "comparison"))
            else:
                self._node(value, self._behind(name, around, asked, provider, table))

    def _behind(self, name: str, around: _Around, asked: bool, provider: str | None, table: Table) -> _Around:
        if around.role == "comparison":
            return _Around(name, "comparison", BARE, None, Table(table.number, "value"))
        if names_a_model(name) or asks_a_model(name):
            if (asked and is_the_model(name)) or asks_a_model(name):
                return _Around(name, "config", ASKED, provider, None)
            return _Around(name, "config", NAMED, provider, Table(table.number, "value"))
        of_many = holds_many(around.key) and not around.entry
        if name in self._beside or (names_something_else(name) and not of_many):
            weight = BARE
        else:
            weight = min(around.weight, NAMED)
            if "fallback" in around.key.lower():
                name = around.key  # the keys there are what falls back
        listed = name in self._words.listing and around.table is not None and around.table.slot == "value"
        if listed and chooses(around.key):
            name, listed = around.key, False
        return _Around(name, "catalogue" if listed else "config", weight, provider, Table(table.number, "value"))

    def _provider(self, texts: dict[str, str], known: str | None) -> str | None:
        for name in _PROVIDERS:
            if said := texts.get(name):
                return self._words.provider(said)
        for name in _ADDRESSES:
            if (address := _HOST.match(texts.get(name, ""))) is not None:
                return provider_of_host(address[1])
        return known

    def _leaf(self, leaf: Leaf, around: _Around) -> None:
        text = leaf.text
        if (pair := _PAIR.fullmatch(text)) is not None and around.role == "config":
            around = self._behind(pair[1], _Around(), asked=False, provider=None, table=Table(0, "value"))
            around = around._replace(table=None)
            text = pair[2]
        if (variable := _VARIABLE.fullmatch(text)) is not None and around.role == "config":
            if around.weight == BARE:
                around = self._behind(variable[1], _Around(), asked=False, provider=None, table=Table(0, "value"))
            around = around._replace(role="default", table=None)
            text = variable[2]
        texts = pieces(text) if around.weight > BARE else [text]
        if len(texts) > 1:
            around = around._replace(table=around.table or self._new("item"))
            if offers(around.key):
                around = around._replace(role="catalogue")
        place = {field: value for field, value in around._asdict().items() if field != "entry"}
        self.found += [
            Mention(one, leaf.line, leaf.column, leaf.end_column, **place)
            for one in texts
            if 1 < len(one) <= MAX_TEXT and " " not in one
        ]


def _scan(text: str, read: Callable[[str], list[Node]], beside: frozenset[str] = frozenset()) -> Found:
    """Read ``text`` in its format; where it is not of it, line by line, and say so."""
    troubles = []
    try:
        documents = read(text)
    except UnreadableError as error:
        documents = formats.read_settings(text)
        troubles.append(Trouble(error.line, f"{error}; read line by line instead"))
    if any(_is_ours(document) for document in documents):
        return [], troubles
    reader = Reader(beside)
    reader.read(documents)
    return reader.found, troubles


def _is_ours(document: Node) -> bool:
    """Return whether this is a policy, a reference, or what this program has written: they ask for no model."""
    if not isinstance(document, Mapping):
        return False
    keys = {key.text: value for key, value in document.pairs}
    schema = keys.get("schema")
    if isinstance(schema, Leaf) and schema.text.startswith("otel-llm-routing/"):
        return True
    return "lifetimes" in keys or ("version" in keys and not {"surfaces", "streams"}.isdisjoint(keys))


def scan_yaml(text: str) -> Found:
    """Return every text of a YAML file."""
    return _scan(text, formats.read_yaml)


def scan_json(text: str) -> Found:
    """Return every text of a JSON file, with or without comments."""
    return _scan(text, formats.read_json)


def scan_toml(text: str) -> Found:
    """Return every text of a TOML file."""
    return _scan(text, formats.read_toml)


def scan_settings(text: str) -> Found:
    """Return the values of an .env or .ini file."""
    return _scan(text, formats.read_settings)


def scan_markdown(text: str) -> Found:
    """Return the texts of a Markdown file's front matter, where definitions of agents name their model."""
    head = formats.front_matter(text)
    return ([], []) if head is None else _scan(head, formats.read_yaml, _FRONT_MATTER_BESIDE)


_MAGIC = re.compile(r"^(?P<indent>[ \t]*)(?P<magic>[%!?](?:.*\\\n)*.*|[\w.]+\?\??[ \t]*)$", re.MULTILINE)
_OUTPUT = re.compile(r"^(?P<target>[ \t]*[\w, ]+=[ \t]*)(?P<magic>[%!](?:.*\\\n)*.*)$", re.MULTILINE)
_OTHER_LANGUAGE = re.compile(r"\s*%%(?!(?:capture|prun|time|timeit)\b)\w+")


def scan_notebook(text: str) -> Found:
    """Return the texts of a notebook's code cells; outputs and text cells are left out."""
    try:
        documents = formats.read_json(text)
    except UnreadableError as error:
        return [], [Trouble(error.line, f"{error}, so it is no notebook")]
    found: list[Mention] = []
    troubles: list[Trouble] = []
    for document in documents:
        for number, lines in enumerate(formats.cells(document), 1):
            source = "".join(line.text for line in lines)
            if _OTHER_LANGUAGE.match(source):
                continue
            mentions, wrong = python.scan_text(_without_magic(source))
            at = [line.line for line in lines]
            found += [_moved(mention, at, number) for mention in mentions]
            troubles += [Trouble(_line(one.line, at), one.text) for one in wrong]
    return found, troubles


def _without_magic(source: str) -> str:
    """Return the source of a cell without what IPython takes for itself; every line keeps its place."""

    def left(found: re.Match[str]) -> str:
        kept = found["target"] + "None" if "target" in found.groupdict() else found["indent"] + "pass"
        return kept + "\n" * found["magic"].count("\n")

    return _MAGIC.sub(left, _OUTPUT.sub(left, source))


_TABLES = 1_000_000
"""More than one cell has."""


def _moved(mention: Mention, at: list[int], cell: int) -> Mention:
    used = tuple(sorted({_line(line, at) or line for line in mention.used_at}))
    table = mention.table and mention.table._replace(number=mention.table.number + cell * _TABLES)
    line = _line(mention.line, at) or mention.line
    return mention._replace(line=line, column=1, end_column=2, used_at=used, table=table)


def _line(line: int | None, at: list[int]) -> int | None:
    """Return the line of the file in which a line of a cell stands."""
    return None if line is None or not at else at[min(line, len(at)) - 1]
