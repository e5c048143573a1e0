"""YAML to plain values, with the line of every place: what the policy file says, whether or not it is a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import yaml

from otel_llm_routing.whole_text import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_NODES = 100_000
"""Values in a document whose aliases are written out: a small file can stand for an enormous one."""
MAX_DEPTH = 64
"""Mappings and lists inside each other; a policy needs six."""
MAX_PROBLEMS = 100
Place = tuple["str | int", ...]
"""Keys and list positions from the top of the document down."""


class Problem(NamedTuple):
    """One thing that is wrong, and what to do about it."""

    line: int | None
    """Counted from 1; None where the file could not be read at all."""
    place: Place
    text: str

    def shown(self, file: str) -> str:
        """Return the problem as one line: where, what is wrong, what to do."""
        where = file if self.line is None else f"{file}:{self.line}"
        return f"{where}: {shown(self.place)}: {self.text}" if self.place else f"{where}: {self.text}"


class PolicyError(Exception):
    """A policy file that cannot be used; each line of the message says where, what is wrong and what to do."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        lines = [problem.shown(file) for problem in self.problems]
        if len(lines) > MAX_PROBLEMS:
            lines[MAX_PROBLEMS:] = [f"{file}: and {len(lines) - MAX_PROBLEMS} more; mend these first"]
        super().__init__("\n".join(lines))


class Located:
    """In which line of the file each place is."""

    def __init__(self, file: str, lines: Mapping[Place, int]) -> None:
        self.file = file
        self._lines = lines

    def line(self, *place: str | int) -> int:
        """Return the line of ``place``, or of the nearest place around it that the file has."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)


def shown(place: Place) -> str:
    """Return ``place`` as people write it: ``surfaces.autocomplete.uses.pinned[0]``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{brief(part)}" for part in place]
    return "".join(parts).removeprefix(".")


def brief(value: Any) -> str:
    """Return ``value`` in a few printable characters."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        text = str(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "so large a number"
    if not text.isprintable() or not text:
        text = repr(text)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004


_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp"))
# What PyYAML says -> what it means in a policy.
_SYNTAX = {
    "found undefined alias": "a * at the beginning is an alias in YAML; put the text in quotes",
    "expected alphabetic or numeric character": "a * or & at the beginning is special in YAML; put the text in quotes",
    "found unexpected end of stream": "a quotation mark that is never closed; close it",
    "expected ',' or '": "a bracket that is never closed, or a comma that is missing; correct it",
    "second occurrence": "the same & name a second time; give one of the two another name",
    "'\\t'": "a tab; indent with spaces",
    "mapping values are not allowed here": "a colon that does not fit here; put the text in quotes, or check the "
    "indentation",
    "expected <block end>": "the indentation does not fit the lines above; line it up with them",
    "could not find expected ':'": "a key without a colon; write key: value",
    "special characters are not allowed": "a control character; take it out",
    "that cannot start any token": "a character that has a meaning in YAML; put the text in quotes",
}


class Document:
    """One document: its plain value, the line of every place in it, and what is wrong with it."""

    # What is said of a text that is no such document; others than policies have words of their own.
    EMPTY = "empty; write one with otel-llm-routing policy init"
    NO_MAPPING = "not a policy; the file begins with version: 1"
    SECOND = "a second document begins here; a policy is one, so take out the ---"
    FOREIGN = "this is not a policy file"

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._nodes = 0
        self._problems: list[Problem] = []
        self.lines: dict[Place, int] = {}

    def read(self) -> Any:
        """Return the document's value; raise ``PolicyError`` where there is no telling what it is."""
        try:
            self._loader = yaml.SafeLoader(self._text)
            if not self._loader.check_node():
                self._stop(0, self.EMPTY)
            node = self._loader.get_node()
            if self._loader.check_node():
                second = self._loader.get_node()
                self._stop(second.start_mark.line if second else None, self.SECOND)
            if not isinstance(node, yaml.MappingNode):
                self._stop(0, self.NO_MAPPING)
            return self._value(node, (), ())
        except yaml.YAMLError as error:
            self._stop(*self._syntax(error))
        except RecursionError:
            self._stop(self._loader.line, f"nested too deeply; {self.FOREIGN}")

    def problem(self, place: Place, text: str, line: int | None = None) -> None:
        """Note what is wrong at ``place``."""
        if line is None:
            line = Located("", self.lines).line(*place)
        self._problems.append(Problem(line, place, text))

    def complain(self) -> None:
        """Raise ``PolicyError`` with all that is wrong, if anything is."""
        if self._problems:
            raise PolicyError(self._name, sorted(dict.fromkeys(self._problems), key=lambda found: found.line or 0))

    def _stop(self, line: int | None, text: str) -> NoReturn:
        raise PolicyError(self._name, [Problem(1 if line is None else line + 1, (), text)]) from None

    def _syntax(self, error: yaml.YAMLError) -> tuple[int | None, str]:
        mark = getattr(error, "problem_mark", None)
        line = mark.line if mark else None
        if isinstance(error, yaml.reader.ReaderError):
            line = self._text.count("\n", 0, error.position)
        said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
        meaning = next((text for fragment, text in _SYNTAX.items() if fragment in said), None)
        return line, meaning or f"not YAML ({brief(said)}); correct it"

    def _value(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> Any:
        self._nodes += 1
        line = node.start_mark.line
        if self._nodes > MAX_NODES:
            self._stop(line, f"more than {MAX_NODES:,} values with its aliases; {self.FOREIGN}")
        if any(outer is node for outer in above):
            self._stop(line, f"{shown(place) or 'the file'}: an alias of something it is in; write the value out")
        if len(above) > MAX_DEPTH:
            self._stop(line, f"nested too deeply; {self.FOREIGN}")
        self.lines.setdefault(place, line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        inside = (*above, node)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self.problem(place, f"the tag {brief(node.tag)} is not used in policies; take it out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, inside)
        return [self._value(item, (*place, i), inside) for i, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        if node.tag in _SCALARS:
            try:
                value = self._loader.construct_object(node)
                return whole(value) if isinstance(value, str) else value
            except (yaml.YAMLError, ValueError, LookupError, AttributeError, OverflowError):
                pass
        self.problem(place, f"{brief(node.value)} has a meaning of its own in YAML; put it in quotes")
        return node.value

    def _mapping(self, node: yaml.MappingNode, place: Place, inside: tuple[yaml.Node, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                for name, taken in self._merged(value, place, inside):
                    found.setdefault(name, taken)
        said: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == f"{_TAG}merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.problem(place, "a key that is not text; write a name", line)
                continue
            name = whole(key.value.strip())
            inner = (*place, name)
            if key.style is None and key.value[:1].isspace():
                self.problem(inner, "a no-break space before it, which is no indentation; type ordinary spaces", line)
            if key.tag != f"{_TAG}str":
                self.problem(inner, "this key is not read as text; put it in quotes", line)
            if name in said:
                self.problem(inner, "the same key a second time; take one of the two out", line)
                continue
            said.add(name)
            self.lines[inner] = line
            found[name] = self._value(value, inner, inside)
        return found

    def _merged(self, node: yaml.Node, place: Place, inside: tuple[yaml.Node, ...]) -> Iterator[tuple[str, Any]]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            value = self._value(source, place, inside)
            if isinstance(value, dict):
                yield from value.items()
            else:
                self.problem(place, "<<: takes the alias of a mapping; write one", source.start_mark.line + 1)
