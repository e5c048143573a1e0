"""Data files as one kind of tree: mappings, lists, and texts with their place."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Leaf:
    """A text."""

    text: str
    line: int
    """Counted from 1."""
    column: int
    """In characters, counted from 1; that of its quotation mark where it has one."""
    end_column: int
    lines: bool = False
    """Whether its lines are lines of the file."""


@dataclass(slots=True)
class Items:
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys, which are texts too, and what they stand for."""

    pairs: list[tuple[Leaf, Node]] = field(default_factory=list)


Node = Leaf | Items | Mapping
"""What stands in a data file."""


class UnreadableError(Exception):
    """Text that is not of its format; the message says why."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(text)
        self.line = line


MAX_DEPTH = 200


class Builder:
    """Puts a tree together from what a reader meets one after the other. It never recurses."""

    def __init__(self) -> None:
        self.tops: list[Node] = []
        """The documents of the file."""
        self._open: list[Items | Mapping] = []
        self._keys: list[Leaf | None] = []
        """The key that waits for its value, for every open mapping."""

    def leaf(self, leaf: Leaf) -> None:
        """Take a text: a key, or a value."""
        if self._open and isinstance(self._open[-1], Mapping) and self._keys[-1] is None:
            self._keys[-1] = leaf
        else:
            self._put(leaf)

    def begin(self, node: Items | Mapping, line: int) -> None:
        """Open a list or a mapping. Raises ``UnreadableError``."""
        if len(self._open) >= MAX_DEPTH:
            raise UnreadableError(line, f"more than {MAX_DEPTH} lists and mappings in each other")
        if self._open and isinstance(self._open[-1], Mapping) and self._keys[-1] is None:
            self._keys[-1] = Leaf("", line, 1, 1)  # a key that is no text
            self._open.append(node)  # hung to nothing: only texts are looked for
            self._keys.append(None)
            return
        self._put(node)
        self._open.append(node)
        self._keys.append(None)

    def end(self) -> None:
        """Close the innermost list or mapping, if one is open."""
        if self._open:
            self._open.pop()
            self._keys.pop()

    def _put(self, node: Node) -> None:
        if not self._open:
            self.tops.append(node)
        elif isinstance(self._open[-1], Items):
            self._open[-1].items.append(node)
        else:
            key = self._keys[-1]
            self._keys[-1] = None
            if key is not None:
                self._open[-1].pairs.append((key, node))
