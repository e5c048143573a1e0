"""Which texts a reference stands for: names are followed through the files that are audited.

What is assigned is followed whatever the order: a name stands for everything that it may stand for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_llm_routing.analyze.audit.names import CALLED, Class, Import, Names, Path, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otel_llm_routing.analyze.audit.modules import Modules
    from otel_llm_routing.analyze.audit.names import Value

_MOST_STEPS = 500
"""Steps from one reference; more of them is a program that nobody can follow."""
_MOST_DEEP = 60


class Slot(NamedTuple):
    """A name of a scope, or what is some steps from it."""

    file: str
    scope: int
    path: Path


class _Module(NamedTuple):
    stem: str


class _Made(NamedTuple):
    """A class, or what is made of it."""

    file: str
    what: Class


_Thing = Slot | _Module | _Made


class Follower:
    """Follows references from file to file."""

    def __init__(self, modules: Modules, names: Callable[[str], Names]) -> None:
        """``names`` returns those of a file by its path."""
        self._modules = modules
        self._names = names
        self._left = 0
        self._deep = 0
        self._known: dict[tuple[str, Reference], list[tuple[str, int]]] = {}

    def texts(self, file: str, reference: Reference) -> list[tuple[str, int]]:
        """Return the texts that a reference in a file may stand for: their files, and their numbers in them."""
        if (file, reference) not in self._known:
            self._left = _MOST_STEPS
            self._known[file, reference] = list(self._texts(self._things(file, reference)))
        return self._known[file, reference]

    def _texts(self, waiting: list[_Thing]) -> Iterator[tuple[str, int]]:
        seen: set[_Thing] = set()
        while waiting and self._left > 0:
            thing = waiting.pop()
            self._left -= 1
            if thing in seen:
                continue
            seen.add(thing)
            for value in self._values(thing):
                if isinstance(value, int):
                    yield thing[0], value
                else:
                    waiting += self._meant(thing[0], value)

    def _values(self, thing: _Thing) -> Iterable[Value]:
        return self._names(thing.file).bound.get((thing.scope, thing.path), ()) if isinstance(thing, Slot) else ()

    def _things(self, file: str, reference: Reference) -> list[_Thing]:
        if self._left <= 0 or self._deep >= _MOST_DEEP:
            return []
        self._deep += 1
        things = self._first(file, reference)
        for step in reference.path[1:]:
            things = list(dict.fromkeys(after for thing in things for after in self._step(thing, step)))
        self._deep -= 1
        return things

    def _first(self, file: str, reference: Reference) -> list[_Thing]:
        name = reference.path[0]
        defined = self._names(file).defined
        for scope in reference.scopes:
            if (scope, name) in defined:
                return [Slot(file, scope, (name,))]
        return self._starred(file, name)

    def _starred(self, file: str, name: str) -> list[_Thing]:
        """Return what ``name`` is by an ``import *``."""
        for star in self._names(file).stars if not name.startswith("_") else ():
            if found := [after for thing in self._imported(file, star) for after in self._step(thing, f".{name}")]:
                return found
        return []

    def _step(self, thing: _Thing, step: str) -> list[_Thing]:
        self._left -= 1
        if self._left <= 0 or self._deep >= _MOST_DEEP:
            return []
        self._deep += 1
        things = list(self._after(thing, step))
        self._deep -= 1
        return things

    def _after(self, thing: _Thing, step: str) -> Iterable[_Thing]:
        if isinstance(thing, Slot):
            return self._from_a_slot(thing, step)
        if step == CALLED:
            return [thing]
        if step[0] != ".":
            return []
        name = step[1:]
        return self._member(thing.stem, name) if isinstance(thing, _Module) else self._attribute(thing, name)

    def _from_a_slot(self, slot: Slot, step: str) -> Iterator[_Thing]:
        after = slot._replace(path=(*slot.path, step))
        if (after.scope, after.path) in self._names(slot.file).bound:
            yield after
        for value in self._values(slot):
            if isinstance(value, int):
                if step in (CALLED, ".value"):  # of a lambda, of a member of an enumeration
                    yield slot
            else:
                for thing in self._meant(slot.file, value):
                    yield from self._step(thing, step)

    def _meant(self, file: str, value: Reference | Class | Import) -> list[_Thing]:
        if isinstance(value, Reference):
            return self._things(file, value)
        return [_Made(file, value)] if isinstance(value, Class) else self._imported(file, value)

    def _imported(self, file: str, value: Import) -> list[_Thing]:
        stem = self._modules.find(file, value.level, value.module)
        if stem is None:
            return []
        if value.name:
            return self._member(stem, value.name)
        above = value.module.count(".") if value.top else 0
        return [_Module(stem.rsplit("/", above)[0])]

    def _member(self, stem: str, name: str) -> list[_Thing]:
        file = self._modules.file(stem)
        if file is not None:
            if (0, name) in self._names(file).defined:
                return [Slot(file, 0, (name,))]
            if found := self._starred(file, name):
                return found
        return [_Module(f"{stem}/{name}")] if self._modules.is_one(f"{stem}/{name}") else []

    def _attribute(self, made: _Made, name: str) -> list[_Thing]:
        found: list[_Thing] = []
        if (made.what.scope, name) in self._names(made.file).defined:
            slot = Slot(made.file, made.what.scope, (name,))
            found.append(slot)
            if self._values(slot):
                return found
        for base in made.what.bases:
            for thing in self._things(made.file, base):
                found += self._step(thing, f".{name}")
        return found
