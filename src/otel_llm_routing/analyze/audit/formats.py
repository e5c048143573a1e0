"""The formats of data files, each read into ``tree``: YAML, JSON with comments or none, TOML, lines of settings."""

from __future__ import annotations

import json
import re
import sys
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import yaml

from otel_llm_routing.analyze.audit.tree import Builder, Items, Leaf, Mapping, Node, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""LibYAML is ten times as fast, where PyYAML was built with it."""


class Lines:
    """In which line and column an offset of a text is."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
        # Of what splitlines takes for an end of line, editors and other readers know three.
        if any(c in text for c in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"):
            self._starts = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]

    def leaf(self, text: str, start: int, end: int) -> Leaf:
        """Return the leaf of ``text``, which stands from ``start`` to ``end`` in one line."""
        line = bisect_right(self._starts, start)
        column = start - self._starts[line - 1] + 1
        return Leaf(text, line, column, column + end - start)


# YAML -----------------------------------------------------------------------------------------------------------------


def read_yaml(text: str) -> list[Node]:
    """Return the documents of a YAML text; tags are not obeyed, aliases are left out. Raises ``UnreadableError``."""
    made = Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            begin: Any = event.start_mark
            end: Any = event.end_mark
            line = begin.line + 1
            if isinstance(event, yaml.ScalarEvent) and event.style in ("|", ">"):
                made.leaf(Leaf(event.value, line + 1, 1, 2, lines=event.style == "|"))
            elif isinstance(event, yaml.ScalarEvent):
                column = begin.column + 1
                made.leaf(Leaf(event.value, line, column, end.column + 1 if end.line == begin.line else column + 1))
            elif isinstance(event, yaml.AliasEvent):
                made.leaf(Leaf("", line, 1, 1))
            elif isinstance(event, yaml.CollectionStartEvent):
                made.begin(Mapping() if isinstance(event, yaml.MappingStartEvent) else Items(), line)
            elif isinstance(event, yaml.CollectionEndEvent):
                made.end()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        raise UnreadableError(mark.line + 1 if mark else None, f"not YAML ({_plain(str(said))})") from None
    return made.tops


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:120]


# JSON -----------------------------------------------------------------------------------------------------------------

_JSON = re.compile(
    r"""(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<open>[{\[])|(?P<close>[}\]])|(?P<colon>:)"""
    r"""|//[^\n]*|/\*(?:.*?\*/|.*)|(?P<other>[^\s{}\[\],:"/]+|/)|["]""",
    re.DOTALL,
)


def read_json(text: str) -> list[Node]:
    """Return what a JSON text says, comments left out. Raises ``UnreadableError``."""
    made = Builder()
    lines = Lines(text)
    opened: list[str] = []
    for found in _JSON.finditer(text):
        kind, part = found.lastgroup, found[0]
        if kind == "text":
            made.leaf(lines.leaf(_unquoted(part), found.start(), found.end()))
        elif kind == "other":
            made.leaf(lines.leaf("", found.start(), found.end()))
        elif kind == "open":
            opened.append(part)
            made.begin(Mapping() if part == "{" else Items(), lines.leaf("", found.start(), found.end()).line)
        elif kind == "close":
            if not opened or opened.pop() + part not in ("{}", "[]"):
                break
            made.end()
        elif part == '"':
            break
    else:
        if not opened and made.tops:
            return made.tops
    raise UnreadableError(*_json_error(text))


def _json_error(text: str) -> tuple[int | None, str]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, f"not JSON ({_plain(error.msg)})"
    except (ValueError, RecursionError):
        pass
    return None, "not JSON"


def _unquoted(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        value = json.loads(token)
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""


# TOML -----------------------------------------------------------------------------------------------------------------


def read_toml(text: str) -> list[Node]:
    """Return what a TOML text says. Raises ``UnreadableError``.

    The parser tells no places: a text's place is where it stands in quotes, the first time that nobody has taken yet.
    """
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415
    else:
        import tomli as tomllib  # noqa: PLC0415
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"\(at line (\d+)", str(error))
        raise UnreadableError(int(line[1]) if line else None, f"not TOML ({_plain(str(error))})") from None
    except RecursionError:
        raise UnreadableError(None, "not TOML (nested too deeply)") from None
    places = _Quoted(text)
    return [_toml(data, places, 0)]


class _Quoted:
    """Where a text stands in quotes, outside of comments."""

    _TOKEN = re.compile(r"""(?P<text>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')(?P<key>[ \t]*[=.])?|#[^\n]*""")

    def __init__(self, text: str) -> None:
        self._lines = Lines(text)
        self._at: dict[str, list[tuple[int, int]]] = {}
        for found in self._TOKEN.finditer(text):
            if (token := found["text"]) and not found["key"] and text[found.start() - 1 : found.start()] != ".":
                value = _unquoted(token) if token[0] == '"' else token[1:-1]
                self._at.setdefault(value, []).append(found.span("text"))
        for places in self._at.values():
            places.reverse()

    def leaf(self, text: str) -> Leaf:
        """Return the next place of ``text``, or the file's first if there is none."""
        places = self._at.get(text)
        if not places:
            return Leaf(text, 1, 1, 1)
        start, end = places.pop() if len(places) > 1 else places[0]
        return self._lines.leaf(text, start, end)


def _toml(value: Any, places: _Quoted, depth: int) -> Node:
    if isinstance(value, dict):
        return Mapping([(Leaf(str(key), 1, 1, 1), _toml(inner, places, depth + 1)) for key, inner in value.items()])
    if isinstance(value, list):
        return Items([_toml(inner, places, depth + 1) for inner in value])
    return places.leaf(value) if isinstance(value, str) else Leaf("", 1, 1, 1)


# Lines of settings ----------------------------------------------------------------------------------------------------

_SETTING = re.compile(
    r"""^[ \t]*(?:-[ \t]+)?(?:(?:export|ENV|ARG)[ \t]+)?["']?(?P<key>[A-Za-z_][\w.-]{0,127})["']?"""
    r"""[ \t]*(?:[?:+]{0,3}=|:)[ \t]*"""
    r"""(?P<value>"[^"\n]*"|'[^'\n]*'|(?:[^\s#;,]|,(?=[^\s#;,]))+)""",
    re.MULTILINE,
)


_SECTION = re.compile(r"^[ \t]*\[.*\][ \t]*(?:[#;].*)?$", re.MULTILINE)


def read_settings(text: str) -> list[Node]:
    """Return ``KEY=value`` and ``key: value``, a mapping for each section; other lines, and comments, are left out.

    Of Makefiles and Dockerfiles these are the variables: ``KEY ?= value``, ``ENV KEY=value``.
    """
    lines = Lines(text)
    starts = [0, *(section.end() for section in _SECTION.finditer(text)), len(text)]
    return [found for start, end in pairwise(starts) if (found := _settings(text, start, end, lines)).pairs]


def _settings(text: str, start: int, end: int, lines: Lines) -> Mapping:
    found = Mapping()
    for setting in _SETTING.finditer(text, start, end):
        value, place = setting["value"], setting.span("value")
        if value[0] in "\"'":
            value = value[1:-1]
        key = lines.leaf(setting["key"], *setting.span("key"))
        found.pairs.append((key, lines.leaf(value, *place)))
    return found


# Markdown -------------------------------------------------------------------------------------------------------------

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


def front_matter(text: str) -> str | None:
    """Return the YAML at the head of a Markdown text, moved to the line it stands in; None if there is none."""
    found = _FRONT_MATTER.match(text)
    return None if found is None else f"\n{found['yaml']}"


def cells(document: Node) -> Iterator[list[Leaf]]:
    """Yield the lines of every code cell of a notebook."""
    for cell in _of(document, "cells", Items):
        kind = next(iter(_values(cell, "cell_type")), None)
        source = next(iter(_values(cell, "source")), None)
        if not isinstance(kind, Leaf) or kind.text != "code":
            continue
        if isinstance(source, Items):
            yield [line for line in source.items if isinstance(line, Leaf)]
        elif isinstance(source, Leaf):
            yield [source]


def _of(node: Node, key: str, kind: type[Items]) -> list[Node]:
    return next((value.items for value in _values(node, key) if isinstance(value, kind)), [])


def _values(node: Node, key: str) -> list[Node]:
    return [value for name, value in node.pairs if name.text == key] if isinstance(node, Mapping) else []
