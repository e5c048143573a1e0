"""Data files: the texts of YAML, JSON, TOML, settings, notebooks and front matter, with what their place says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from otel_llm_routing.analyze.audit import formats, python
from otel_llm_routing.analyze.audit.mention import ASKED, BARE, MAX_TEXT, NAMED, Mention, Role, Table, Trouble
from otel_llm_routing.analyze.audit.tree import Items, Leaf, Mapping, Node, UnreadableError
from otel_llm_routing.analyze.audit.vocabulary import (
    EXAMPLES,
    asks_a_model,
    is_the_model,
    names_a_model,
    offers,
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
_HOST = re.compile(r"https?://([^/\s]+)")


class _Around(NamedTuple):
    """What is known of where a node stands."""

    key: str = ""
    role: Role = "config"
    weight: int = BARE
    provider: str | None = None
    table: Table | None = None


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
            for item in node.items:
                inside = around._replace(table=table if isinstance(item, Leaf) else Table(table.number, "value"))
                self._node(item, inside)
        else:
            self._mapping(node, around)

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
        for key, value in node.pairs:
            name = renamed if renamed and key.text == "value" else key.text
            if not names_a_model(name):
                self._leaf(
                    key, _Around(around.key, "comparison", min(around.weight, NAMED), None, Table(table.number, "item"))
                )
            about = name in self._words.about_models and (isinstance(value, Leaf) or name in EXAMPLES)
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
        weight = BARE if name in self._beside else min(around.weight, NAMED)
        listed = name in self._words.listing and around.table is not None and around.table.slot == "value"
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
            around = self._behind(pair[1], _Around(), False, None, Table(0, "value"))._replace(table=None)
            text = pair[2]
        if not 1 < len(text) <= MAX_TEXT or " " in text:
            return
        self.found.append(Mention(text, leaf.line, leaf.column, leaf.end_column, **around._asdict()))


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


_MAGIC = re.compile(r"^(?P<indent>\s*)[%!?].*$", re.MULTILINE)


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
            # A line that IPython takes for itself is left out, and keeps its place.
            source = _MAGIC.sub(r"\g<indent>pass", "".join(line.text for line in lines))
            mentions, wrong = python.scan_text(source)
            at = [line.line for line in lines]
            found += [_moved(mention, at, number) for mention in mentions]
            troubles += [Trouble(_line(one.line, at), one.text) for one in wrong]
    return found, troubles


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
