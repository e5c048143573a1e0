"""What the names of a Python file stand for, as its syntax tells: texts, other names, classes, imports."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from otel_llm_routing.analyze.audit.place import Place, Target

Path = tuple[str, ...]
"""A name, and the steps from it: ``.attribute``, ``[key]`` and ``()``, as in ``("settings", ".llm", ".model")``."""
CALLED = "()"
_LONGEST_PATH = 12
ANYWHERE = -1
"""Stands for the scope of attributes of what nobody knows."""


class Reference(NamedTuple):
    """An expression that is looked up by its name when the program runs."""

    scopes: tuple[int, ...]
    """Where its name is looked for, one after the other."""
    path: Path


class Class(NamedTuple):
    """A class, or what is made of it."""

    scope: int
    bases: tuple[Reference, ...] = ()


class Import(NamedTuple):
    """What a name was imported from."""

    level: int
    """Dots before it."""
    module: str
    name: str = ""
    """Of what is in the module; empty for the module itself."""
    top: bool = False
    """Whether it stands for the first package of the module's dotted name, as in ``import a.b``."""


Value = int | Reference | Class | Import
"""What a name stands for; a number is that of a text among those of its file."""


class Asked(NamedTuple):
    """A reference that stands where a model is named, or asked for."""

    reference: Reference
    line: int
    place: Place


@dataclass
class Names:
    """The names of one file."""

    bound: dict[Target, list[Value]] = field(default_factory=dict)
    defined: set[tuple[int, str]] = field(default_factory=set)
    """Scopes, and the names in them."""
    asked: list[Asked] = field(default_factory=list)
    stars: list[Import] = field(default_factory=list)
    """Modules whose names were all imported."""
    classes: set[int] = field(default_factory=set)
    """Scopes that are classes."""

    def define(self, scope: int, name: str) -> None:
        """Note that a name is one of ``scope``, whatever it stands for."""
        self.defined.add((scope, name))

    def bind(self, target: Target, *values: Value) -> None:
        """Note that ``target`` stands for ``values``, among others."""
        if values:
            scope, path = target
            self.bound.setdefault(target, []).extend(values)
            for steps in range(1, len(path)):
                self.bound.setdefault((scope, path[:steps]), [])

    def forget_locals(self) -> None:
        """Forget names of functions to which nothing leads: no call that asks a model, and nothing from outside."""
        local: dict[tuple[int, str], list[Target]] = defaultdict(list)
        kept: dict[Target, list[Value]] = {}
        for target in self.bound:
            scope, (name, *_) = target
            if scope in self.classes or scope in (0, ANYWHERE):
                kept[target] = self.bound[target]
            else:
                local[scope, name].append(target)
        references = [asked.reference for asked in self.asked]
        references += [value for values in kept.values() for value in values if isinstance(value, Reference)]
        scopes = {0, ANYWHERE, *self.classes}
        while references:
            reference = references.pop()
            scopes.update(reference.scopes)
            for scope in reference.scopes:
                for target in local.pop((scope, reference.path[0]), ()):
                    kept[target] = self.bound[target]
                    references += [value for value in kept[target] if isinstance(value, Reference)]
        self.bound = kept
        self.defined = {(scope, name) for scope, name in self.defined if scope in scopes}

    def attributes(self) -> dict[Path, list[int]]:
        """Return the texts of attributes by their name alone, for what is asked of nobody knows what."""
        found: dict[Path, list[int]] = defaultdict(list)
        for (scope, path), values in self.bound.items():
            if scope in self.classes or scope == ANYWHERE:
                found[path] += [value for value in values if isinstance(value, int)]
        return found

    def texts(self) -> set[int]:
        """Return the numbers of the texts that a name stands for."""
        return {value for values in self.bound.values() for value in values if isinstance(value, int)}


def path_of(node: ast.expr) -> Path:
    """Return the path of an expression; empty where it is none."""
    steps: list[str] = []
    while len(steps) < _LONGEST_PATH:
        if isinstance(node, ast.Name):
            return (node.id, *reversed(steps))
        if isinstance(node, ast.Attribute):
            steps.append(f".{node.attr}")
            node = node.value
        elif isinstance(node, ast.Subscript) and (key := _key(node.slice)):
            steps.append(f"[{key}]")
            node = node.value
        elif isinstance(node, ast.Call):
            step, node = _of_a_call(node)
            steps.append(step)
        elif isinstance(node, ast.Await):
            node = node.value
        else:
            break
    return ()


def _of_a_call(node: ast.Call) -> tuple[str, ast.expr]:
    """Return which step a call is, and from where: ``getattr(x, "a")`` takes an attribute, ``x.get("a")`` a key."""
    function, arguments = node.func, node.args
    if isinstance(function, ast.Name) and function.id == "getattr" and len(arguments) > 1 and _key(arguments[1]):
        return f".{_key(arguments[1])}", arguments[0]
    if isinstance(function, ast.Attribute) and function.attr == "get" and arguments and _key(arguments[0]):
        return f"[{_key(arguments[0])}]", function.value
    return CALLED, function


def _key(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
