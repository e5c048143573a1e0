"""Changing values of a YAML text where they stand: comments, order and quoting of everything else stay as they are.

PyYAML says where each node begins and ends, which is enough. A library that writes the whole document anew, as
ruamel.yaml does, would wrap and indent lines that nobody meant to change, and a reviewer would have to read them.

JSON is YAML too, and a text that is JSON stays JSON: what is written into it has the quotes that JSON needs.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from otel_llm_routing.policy.draft import quoted
from otel_llm_routing.whole_text import whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FLOW = set(",[]{}")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_INDENTED_COMMENT = re.compile(r" +#")
_COMMA_BEFORE = re.compile(r",\s*\Z")


class EditError(Exception):
    """A text that cannot be changed in place; the message says why."""


class Entry(NamedTuple):
    """One key of a mapping, with its value."""

    key: yaml.Node
    value: yaml.Node
    start: int
    """Where the value begins in the text; of an alias, where that stands."""
    end: int
    alias: bool

    @property
    def begin(self) -> int:
        """Where all of it begins: its key, or of an item of a list, whose key is itself, the value."""
        return self.start if self.key is self.value else int(self.key.start_mark.index)


class _Loader(yaml.SafeLoader):
    """Composes nodes, and remembers where aliases stand: their nodes only know where the anchor is."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.aliases: dict[tuple[int, int], tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; ``index`` is its place in a list, or the node of its key."""
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            at = index if isinstance(index, int) else id(index)
            self.aliases[id(parent), at] = (event.start_mark.index, event.end_mark.index)
        return super().compose_node(parent, index)


class Text:
    """A YAML text and the changes to be made to it; every place is of the text as it was."""

    def __init__(self, text: str) -> None:
        """Raise ``yaml.YAMLError`` for what is no YAML."""
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.is_json = is_json(text)
        self._text = text if text.endswith("\n") else text + self.newline
        loader = _Loader(self._text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise EditError("it is no mapping")
        self.root: yaml.MappingNode = root
        self._aliases = loader.aliases
        self._changes: list[tuple[int, int, str]] = []

    def changed(self) -> str:
        """Return the text with all changes made."""
        text = self._text
        upto = len(text)
        for start, end, new in sorted(self._changes, reverse=True):
            if end > upto:
                raise EditError("two changes meet in one place")
            text = text[:start] + new + text[end:]
            upto = start
        return text

    # As it is written here --------------------------------------------------------------------------------------------

    def name(self, name: str) -> str:
        """Return a name, or a key, as this text has them."""
        return as_json(name) if self.is_json else quoted(name)

    def names(self, names: Sequence[str]) -> str:
        """Return one name, or a list of several."""
        return self.name(names[0]) if len(names) == 1 else f"[{', '.join(map(self.name, names))}]"

    def mapping(self, values: Mapping[str, str]) -> str:
        """Return a mapping on one line, of values that are written already."""
        return "{" + ", ".join(f"{self.name(key)}: {value}" for key, value in values.items()) + "}"

    # Looking ----------------------------------------------------------------------------------------------------------

    def entries(self, mapping: yaml.MappingNode) -> list[Entry]:
        """Return the entries that stand in a mapping itself, in their order."""
        return [self._entry(mapping, id(key), key, value) for key, value in mapping.value]

    def entry(self, mapping: yaml.MappingNode, name: str) -> Entry | None:
        """Return the entry of that name; None: it does not stand in this mapping, though it may be merged into it."""
        return next((one for one in self.entries(mapping) if _name(one.key) == name), None)

    def items(self, sequence: yaml.Node) -> list[Entry]:
        """Return the items of a list, whose keys are themselves."""
        return [self._entry(sequence, at, value, value) for at, value in enumerate(sequence.value)]

    def _entry(self, parent: yaml.Node, at: int, key: yaml.Node, value: yaml.Node) -> Entry:
        alias = self._aliases.get((id(parent), at))
        start, end = alias or (value.start_mark.index, self.end(value))
        return Entry(key, value, start, end, alias is not None)

    def _inside(self, node: yaml.CollectionNode) -> list[Entry]:
        return self.entries(node) if isinstance(node, yaml.MappingNode) else self.items(node)

    def end(self, node: yaml.Node) -> int:
        """Return where a node ends: of one in block style PyYAML gives the next one's beginning, past all comments."""
        begin, end = int(node.start_mark.index), int(node.end_mark.index)
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            return self._inside(node)[-1].end
        # A block of text ends with the lines that follow it and are empty.
        return begin + len(self._text[begin:end].rstrip()) if isinstance(node, yaml.ScalarNode) else end

    def source(self, entry: Entry) -> str:
        """Return an entry's value as it is written."""
        return self._text[entry.start : entry.end]

    # Changing ---------------------------------------------------------------------------------------------------------

    def replace(self, start: int, end: int, new: str) -> None:
        """Put ``new`` in place of a part of the text."""
        self._changes.append((start, end, new))

    def rename(self, entry: Entry, name: str) -> None:
        """Give an entry another key."""
        self.replace(entry.key.start_mark.index, entry.key.end_mark.index, self.name(name))

    def set(self, entry: Entry, value: str) -> None:
        """Write a text in place of a value, in the way that is written."""
        style = entry.value.style if isinstance(entry.value, yaml.ScalarNode) and not entry.alias else None
        if self.is_json:
            style = '"'
        self.replace(entry.start, entry.end, scalar(value, style, self._in_flow(entry.start)))

    def remove(self, parent: yaml.CollectionNode, gone: list[Entry]) -> None:
        """Take entries or items out of their parent, which keeps at least one."""
        if parent.flow_style:
            for one in gone:
                self._remove_in_flow(one)
            return
        for one in gone:
            begin = self._line(one.begin)
            lead = self._text[begin : one.begin]
            if lead.strip() not in ("", "-"):
                raise EditError("something else stands in its line")
            self.replace(begin, self._next_line(one.end), "")

    def insert(self, mapping: yaml.MappingNode, after: Entry, name: str, value: str) -> None:
        """Write a new entry after another one; ``value`` is YAML."""
        if mapping.flow_style:
            lead = self._text[self._line(after.begin) : after.begin]
            # JSON has no comments, which could stand behind the comma and be about the entry before.
            apart = f"{self.newline}{lead}" if self.is_json and not lead.strip() else " "
            self.replace(after.end, after.end, f",{apart}{self.name(name)}: {value}")
            return
        column = mapping.value[0][0].start_mark.column
        at = self._next_line(after.end)
        while _INDENTED_COMMENT.match(self._text, at) and self._text[at:].startswith(" " * (column + 1)):
            at = self._next_line(at)  # further in than the keys, so it is about the entry before
        self.replace(at, at, f"{' ' * column}{name}: {value}{self.newline}")

    def append(self, entry: Entry, values: list[str]) -> None:
        """Add names to what is one name or a list of names."""
        node = entry.value
        if entry.alias:
            raise EditError("the list is an alias")
        if isinstance(node, yaml.ScalarNode):
            own = self.source(entry)
            if node.style is None and _FLOW & set(own):
                own = as_json(node.value)
            self.replace(entry.start, entry.end, f"[{', '.join([own, *map(self.name, values)])}]")
            return
        assert isinstance(node, yaml.SequenceNode)  # noqa: S101  (the policy was read: nothing else is taken)
        items = self.items(node)
        if not items:
            self.replace(entry.start, entry.end, f"[{', '.join(map(self.name, values))}]")
        elif node.flow_style:
            self.replace(items[-1].end, items[-1].end, "".join(f", {self.name(value)}" for value in values))
        else:
            at = self._next_line(items[-1].end)
            lead = self._text[self._line(items[-1].start) : items[-1].start]
            self.replace(at, at, "".join(f"{lead}{quoted(value)}{self.newline}" for value in values))

    def prepend(self, entry: Entry, value: str) -> bool:
        """Begin a block of text (``|`` or ``>``) with one more line; return False where the value is none."""
        node = entry.value
        if (
            entry.alias
            or not isinstance(node, yaml.ScalarNode)
            or node.style not in ("|", ">")
            or not node.value.strip()
        ):
            return False
        first = self._next_line(entry.start)
        while not self._text[first : self._next_line(first)].strip():
            first = self._next_line(first)
        line = self._text[first : self._next_line(first)]
        indent = line[: len(line) - len(line.lstrip())]
        self.replace(first, first, f"{indent}{value}{self.newline}")
        return True

    def _remove_in_flow(self, one: Entry) -> None:
        start = one.begin
        if (comma := _COMMA.match(self._text, one.end)) is not None:
            end = comma.end()
            if self._text[end] in "\r\n":
                start = len(self._text[:start].rstrip(" "))
                if start == self._line(start):
                    end = self._next_line(end)  # nothing else stands in the line
            self.replace(start, end, "")
        elif (before := _COMMA_BEFORE.search(self._text, 0, start)) is not None:
            self.replace(before.start(), one.end, "")
        else:
            raise EditError("a list that is written in an unusual way")

    def _in_flow(self, at: int) -> bool:
        """Return whether a place is inside brackets."""
        nodes: list[yaml.Node] = [self.root]
        while nodes:
            node = nodes.pop()
            if not isinstance(node, yaml.CollectionNode):
                continue
            if node.flow_style and node.start_mark.index < at < node.end_mark.index:
                return True
            nodes += [one.value for one in self._inside(node) if not one.alias]
        return False

    def _line(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _next_line(self, at: int) -> int:
        return self._text.index("\n", at) + 1


def scalar(value: str, style: str | None = None, flow: bool = False) -> str:
    """Return a text as YAML on one line: in the quotes of ``style``; with none plain, where that is read as text."""
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style is None and _plain(value, flow):
        return value
    return as_json(value)


def is_json(text: str) -> bool:
    """Return whether a text is JSON, and not only YAML."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def as_json(value: str) -> str:
    """Return a text as JSON has it, which is a double-quoted scalar of YAML."""
    return json.dumps(value, ensure_ascii=False)


def _plain(value: str, flow: bool) -> bool:
    if (
        not value.isprintable()
        or ": " in value
        or " #" in value
        or value.endswith(":")
        or (flow and _FLOW & set(value))
    ):
        return False
    if not re.match(r"[A-Za-z]", value):
        return quoted(value) == value
    try:
        return bool(yaml.safe_load(value) == value)
    except yaml.YAMLError:
        return False


def _name(key: yaml.Node) -> str:
    return whole(key.value.strip()) if isinstance(key, yaml.ScalarNode) else ""
