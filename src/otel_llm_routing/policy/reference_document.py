"""YAML to plain values, for the reference file: large, written by a program, and with names from outside in it.

Unlike a policy it may be of tens of thousands of lines, so LibYAML reads it where PyYAML has it; names are taken to the
letter; and there are no aliases, which are how a small file becomes a huge document.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import yaml

from otel_llm_routing.policy.document import Place, brief, shown

MAX_DEPTH = 12
"""Mappings and lists inside each other; a reference has six."""
_TAG = "tag:yaml.org,2002:"
_TEXT = f"{_TAG}str"
_SCALARS = frozenset(f"{_TAG}{name}" for name in ("int", "float", "bool", "null", "timestamp"))
_CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>)( |$)", re.MULTILINE)


class Problem(NamedTuple):
    """What is wrong in one line of the file."""

    line: int
    text: str


class UnreadableError(Exception):
    """Text of which there is no telling what it says."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class ReferenceDocument:
    """One document: its plain value, the line of every place in it, and what is wrong with it as YAML."""

    def __init__(self, text: str) -> None:
        """Read ``text``. Raises ``UnreadableError``."""
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []
        self._seen: set[int] = set()
        if (conflict := _CONFLICT.search(text)) is not None:
            line = text.count("\n", 0, conflict.start()) + 1
            raise UnreadableError(line, "an unresolved merge conflict; take one side of it, or pin again")
        self._constructor = yaml.constructor.SafeConstructor()
        root = _composed(text)
        self.value: Any = None if root is None else self._value(root, ())

    def line(self, place: Place) -> int:
        """Return the line of ``place``, or of the nearest place around it that the file has."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def _value(self, node: yaml.Node, place: Place) -> Any:
        line = node.start_mark.line + 1
        if id(node) in self._seen:
            raise UnreadableError(line, f"{shown(place)}: an alias (*); write the value out")
        if len(place) > MAX_DEPTH:
            raise UnreadableError(line, "nested too deeply for a reference file")
        self._seen.add(id(node))
        self.lines.setdefault(place, line)
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _TEXT else self._scalar(node, place, line)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self._problem(line, place, f"the tag {brief(node.tag)} is not used in reference files; take it out")
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*place, at)) for at, item in enumerate(node.value)]
        return self._mapping(node, place)

    def _mapping(self, node: yaml.Node, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TEXT:
                self._problem(line, place, f"the key {brief(key.value)} is not read as text; put it in quotes")
                continue
            if key.value in found:
                self._problem(line, (*place, key.value), "the same key a second time; take one of the two out")
                continue
            self.lines[(*place, key.value)] = line
            found[key.value] = self._value(value, (*place, key.value))
        return found

    def _scalar(self, node: yaml.ScalarNode, place: Place, line: int) -> Any:
        if node.tag in _SCALARS:
            try:
                return self._constructor.construct_object(node)
            except (yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError):
                pass
        self._problem(line, place, f"{brief(node.value)} has a meaning of its own in YAML; put it in quotes")
        return node.value

    def _problem(self, line: int, place: Place, text: str) -> None:
        self.problems.append(Problem(line, f"{shown(place)}: {text}" if place else text))


def _composed(text: str) -> yaml.Node | None:
    """Return the document in ``text``, None where there is none. Raises ``UnreadableError``."""
    if (fast := getattr(yaml, "CSafeLoader", None)) is not None:
        try:
            return yaml.compose(text, Loader=fast)
        except yaml.YAMLError:
            pass  # PyYAML's own parser says better what is wrong
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(
            line, f"the character U+{ord(text[error.position]):04X}, which YAML does not allow"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise UnreadableError(line, f"not YAML ({brief(getattr(error, 'problem', None) or error)})") from None
    except RecursionError:
        raise UnreadableError(1, "nested too deeply for a reference file") from None
