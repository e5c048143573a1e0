"""Data files: the texts of YAML, JSON, TOML, settings, notebooks and front matter, with what their place says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from otel_llm_routing.analyze.audit import formats, python
from otel_llm_routing.analyze.audit.mention import BARE, MAX_TEXT, Found, Mention, Table, Trouble, pieces
from otel_llm_routing.analyze.audit.place import Keys, Place
from otel_llm_routing.analyze.audit.tree import Items, Leaf, Mapping, Node, UnreadableError
from otel_llm_routing.analyze.audit.vocabulary import names_a_model, offers, options

if TYPE_CHECKING:
    from collections.abc import Callable

_FRONT_MATTER_BESIDE = frozenset({"name", "description", "tools", "mode", "allowed-tools", "argument-hint", "prompt"})
_PAIR = re.compile(r"([A-Z][A-Z0-9_]{2,127})=(.+)")
_VARIABLE = re.compile(r"\$\{([\w.]+)(?::?[-=]|:(?![?+]))([^{}$]+)\}")
"""What shells, Compose and Spring put for a variable that is not set."""
_EXPRESSION = re.compile(r"\$\{\{\s*(?:\w+\.)*(\w+)\s*\|\|\s*'([^'{}]+)'\s*\}\}")
"""What workflows of GitHub put for one."""
_LONGEST_COMMAND = 65_536
"""Characters; scripts that stand in settings are shorter."""
_ARGUMENT = re.compile(r"[^\s\"']+")
_TOP = Place("config")


class Reader:
    """Walks the trees of one file."""

    def __init__(self, beside: frozenset[str] = frozenset()) -> None:
        self._beside = beside
        self._count = 0
        self.found: list[Mention] = []

    def read(self, documents: list[Node]) -> None:
        """Note every text of ``documents``."""
        for document in documents:
            self._node(document, _TOP)

    def _node(self, node: Node, place: Place) -> None:
        if isinstance(node, Leaf):
            self._leaf(node, place)
        elif isinstance(node, Items):
            self._items(node, self._inside(place))
        else:
            self._mapping(node, place)

    def _items(self, node: Items, inside: Place) -> None:
        texts = [item.text if isinstance(item, Leaf) else None for item in node.items]
        for item, option in zip(node.items, options(texts), strict=True):
            if option is None or not isinstance(item, Leaf):
                self._node(item, inside)
            else:
                text = Leaf(option.value or item.text, item.line, item.column, item.end_column)
                self._leaf(text, inside._replace(table=None).set_to(option.name))

    def _inside(self, place: Place) -> Place:
        """Return the place of what is in a list at ``place``."""
        inside = place._replace(table=Table(self._table(place), "item"))
        return inside._replace(role="catalogue") if place.role != "comparison" and offers(place.key) else inside

    def _table(self, place: Place) -> int:
        """Return the number of the outermost list or mapping around one at ``place``."""
        if place.table is not None:
            return place.table.number
        self._count += 1
        return self._count

    def _mapping(self, node: Mapping, place: Place) -> None:
        texts = {key.text: value.text if isinstance(value, Leaf) else None for key, value in node.pairs}
        keys = Keys(place, texts, self._table(place), self._beside)
        for key, value in node.pairs:
            if not names_a_model(key.text):
                self._leaf(key, keys.itself())
            self._node(value, keys.behind(key.text, plain=_is_plain(value)))

    def _leaf(self, leaf: Leaf, place: Place) -> None:
        text = leaf.text
        if (pair := _PAIR.fullmatch(text)) is not None and place.role == "config":
            place = _TOP.set_to(pair[1])
            text = pair[2]
        if (
            variable := _VARIABLE.fullmatch(text) or _EXPRESSION.fullmatch(text)
        ) is not None and place.role == "config":
            if place.weight == BARE:
                place = _TOP.set_to(variable[1])
            place = place._replace(role="default", table=None)
            text = variable[2]
        if "--" in text and " " in text and len(text) <= _LONGEST_COMMAND and place.role == "config":
            self._command(leaf)
            return
        texts = pieces(text) if place.weight > BARE else [text]
        if len(texts) > 1:
            place = self._inside(place)
        self.found += [
            place.mention(one, leaf.line, leaf.column, leaf.end_column)
            for one in texts
            if 1 < len(one) <= MAX_TEXT and " " not in one
        ]

    def _command(self, leaf: Leaf) -> None:
        """Note the models of options in a command, or in the lines of a script."""
        arguments = list(_ARGUMENT.finditer(leaf.text))
        for argument, option in zip(arguments, options(found[0] for found in arguments), strict=True):
            if option is not None:
                line = leaf.line + (leaf.text.count("\n", 0, argument.start()) if leaf.lines else 0)
                text = Leaf(option.value or argument[0], line, leaf.column, leaf.end_column)
                self._leaf(text, _TOP.set_to(option.name))


def _is_plain(node: Node) -> bool:
    """Return whether a value is a text, or texts."""
    return isinstance(node, Leaf) or (isinstance(node, Items) and all(isinstance(item, Leaf) for item in node.items))


def _scan(text: str, read: Callable[[str], list[Node]], beside: frozenset[str] = frozenset()) -> Found:
    """Read ``text`` in its format; where it is not of it, line by line, and say so."""
    troubles = []
    try:
        documents = read(text)
    except UnreadableError as error:
        documents = formats.read_settings(text)
        troubles.append(Trouble(error.line, f"{error}; read line by line instead"))
    if any(_is_ours(document) for document in documents):
        return Found([], troubles)
    reader = Reader(beside)
    reader.read(documents)
    return Found(reader.found, troubles)


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
    return Found([], []) if head is None else _scan(head, formats.read_yaml, _FRONT_MATTER_BESIDE)


_MAGIC = re.compile(r"^(?P<indent>[ \t]*)(?P<magic>[%!?](?:.*\\\n)*.*|[\w.]+\?\??[ \t]*)$", re.MULTILINE)
_OUTPUT = re.compile(r"^(?P<target>[ \t]*[\w, ]+=[ \t]*)(?P<magic>[%!](?:.*\\\n)*.*)$", re.MULTILINE)
_OTHER_LANGUAGE = re.compile(r"\s*%%(?!(?:capture|prun|time|timeit)\b)\w+")


def scan_notebook(text: str) -> Found:
    """Return the texts of a notebook's code cells; outputs and text cells are left out.

    The cells are one program: a name of one is known in the next.
    """
    try:
        documents = formats.read_json(text)
    except UnreadableError as error:
        return Found([], [Trouble(error.line, f"{error}, so it is no notebook")])
    sources: list[str] = []
    at: list[int] = []
    troubles: list[Trouble] = []
    for document in documents:
        for lines in formats.cells(document):
            source = "".join(line.text for line in lines)
            if _OTHER_LANGUAGE.match(source):
                continue
            source = f"{_without_magic(source)}\n"
            where = _lines(lines, source.count("\n"))
            if wrong := python.scan_text(source).troubles:
                troubles += [Trouble(_line(one.line, where), one.text) for one in wrong]
                continue
            sources.append(source)
            at += where
    return _moved(python.scan_text("".join(sources)), at)._replace(troubles=troubles)


def _lines(lines: list[Leaf], count: int) -> list[int]:
    """Return the line of the file in which each of the ``count`` lines of a cell stands."""
    found = [line.line for line in lines for _ in range(max(1, line.text.count("\n")))]
    return (found + found[-1:] * count)[:count]


def _without_magic(source: str) -> str:
    """Return the source of a cell without what IPython takes for itself; every line keeps its place."""

    def left(found: re.Match[str]) -> str:
        kept = found["target"] + "None" if "target" in found.groupdict() else found["indent"] + "pass"
        return kept + "\n" * found["magic"].count("\n")

    return _MAGIC.sub(left, _OUTPUT.sub(left, source))


def _moved(found: Found, at: list[int]) -> Found:
    """Return what was found in the cells, with the lines of the file."""
    mentions = [
        mention._replace(line=_line(mention.line, at) or mention.line, column=1, end_column=2)
        for mention in found.mentions
    ]
    if found.names is not None:
        found.names.asked = [asked._replace(line=_line(asked.line, at) or asked.line) for asked in found.names.asked]
    return found._replace(mentions=mentions)


def _line(line: int | None, at: list[int]) -> int | None:
    """Return the line of the file in which a line of a cell stands."""
    return None if line is None or not at else at[min(line, len(at)) - 1]
