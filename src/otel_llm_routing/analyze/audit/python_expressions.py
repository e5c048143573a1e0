"""Expressions of Python: every text in them, with what its place hands on to it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.audit.mention import ASKED, BARE, MAX_TEXT, NAMED, Mention, Role, Table, pieces
from otel_llm_routing.analyze.audit.names import Asked, Names, Reference, path_of
from otel_llm_routing.analyze.audit.place import (
    NOWHERE,
    SPOKEN_OF,
    Keys,
    Place,
    is_about_models,
    provider_beside,
)
from otel_llm_routing.analyze.audit.vocabulary import (
    is_the_model,
    names_a_model,
    offers,
    options,
    vocabulary,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from otel_llm_routing.analyze.audit.vocabulary import Call

HOLE = "{}"
"""Stands for what is only known when the program runs."""
_LONG_LINE = 2000
"""Characters; in longer lines with letters beyond ASCII, columns count bytes."""
_HANDING_ON = frozenset({"str", "list", "tuple"})
_SAME_TEXT = frozenset({"strip", "lstrip", "rstrip", "lower", "split"})
"""Methods of a text that leave what it names: the place of the result is that of the text."""
_FIELD_OF_FORMAT = re.compile(r"\{[^{}]*\}")
_FIELD_OF_PERCENT = re.compile(r"%(?:\(\w*\))?[sdr]")
_SETS = frozenset({"set", "frozenset"})


class Expressions:
    """Walks expressions. A handler takes a node and its place, and notes what it finds."""

    def __init__(self, lines: Sequence[str]) -> None:
        """``lines`` are those of the source, to tell columns."""
        self._lines = lines
        self._words = vocabulary()
        self._tables = 0
        self.found: list[Mention] = []
        self.names = Names()
        self.imported: dict[str, str] = {}
        """What names that were imported stand for: ``completion`` for ``litellm.completion``."""
        self.scopes: tuple[int, ...] = (0,)
        """The functions and classes around, from the innermost outwards; 0 is the module."""
        self._handlers: dict[type[ast.AST], Callable[[Any, Place], None]] = {
            ast.Constant: self._constant,
            ast.JoinedStr: self._joined,
            ast.BinOp: self._operation,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.Dict: self._dict,
            ast.List: self._items,
            ast.Tuple: self._items,
            ast.Set: self._items,
            ast.IfExp: self._choice,
            ast.BoolOp: self._alternatives,
            ast.Compare: self._spoken_of,
            ast.MatchValue: self._spoken_of,
            ast.Raise: self._spoken_of,
            ast.Assert: self._spoken_of,
            ast.GeneratorExp: self._comprehension,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.Subscript: self._subscript,
            ast.Await: self._inner,
            ast.Starred: self._inner,
        }

    def visit(self, node: ast.AST, place: Place) -> None:
        """Note every text of ``node``, which stands at ``place``."""
        handler = self._handlers.get(type(node))
        if handler is not None:
            handler(node, place)
        else:
            self._children(node)

    def forget(self) -> None:
        """Let go of what keeps this object alive, and with it the source: its methods, which it has of itself."""
        self._handlers.clear()

    def _children(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child, NOWHERE)

    # Texts ------------------------------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant, place: Place) -> None:
        if isinstance(node.value, str):
            self._note(node, node.value, place)

    def _note(self, node: ast.expr, text: str, place: Place, *, dynamic: bool = False) -> None:
        column = self._column(node.lineno, node.col_offset)
        end = column + 1
        if node.end_lineno == node.lineno and node.end_col_offset is not None:
            end = self._column(node.lineno, node.end_col_offset)
        texts = pieces(text) if place.weight > BARE and not dynamic else [text]
        if len(texts) > 1:
            place = self._inside(place)
        for one in texts:
            if 1 < len(one) <= MAX_TEXT and " " not in one:
                if place.target is not None:
                    self.names.bind(place.target, len(self.found))
                self.found.append(place.mention(one, node.lineno, column, end, dynamic=dynamic))

    def _column(self, line: int, offset: int) -> int:
        """Return a column in characters, of an offset in bytes."""
        text = self._lines[line - 1] if line <= len(self._lines) else ""
        if text.isascii() or len(text) > _LONG_LINE:  # or thousands of texts in one line would take hours
            return offset + 1
        return len(text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace")) + 1

    def _joined(self, node: ast.JoinedStr, place: Place) -> None:
        self._put_together(node, "".join(_known(part) for part in node.values), place)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value, NOWHERE)

    def _put_together(self, node: ast.expr, text: str, place: Place) -> None:
        if HOLE not in text:
            self._note(node, text, place)
        elif place.weight > BARE and text != HOLE:
            self._note(node, text, place, dynamic=True)

    def _operation(self, node: ast.BinOp, place: Place) -> None:
        if isinstance(node.op, ast.Mod) and _known(node.left) != HOLE:
            self._put_together(node, _FIELD_OF_PERCENT.sub(HOLE, _known(node.left)), place)
            self.visit(node.right, NOWHERE)
            return
        if not isinstance(node.op, ast.Add):
            self._children(node)
            return
        # Not one call for each: a program may add up thousands.
        operands: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
            operands.append(left.right)
            left = left.left
        operands = [left, *reversed(operands)]
        texts = [_known(operand) for operand in operands]
        if any(text != HOLE for text in texts):
            self._put_together(node, "".join(texts), place)
        for operand in operands:
            if isinstance(operand, (ast.List, ast.Tuple)):
                self.visit(operand, place)
            elif not isinstance(operand, ast.Constant):
                self.visit(operand, NOWHERE)

    # What hands on what its place says --------------------------------------------------------------------------------

    def _name(self, node: ast.Name, place: Place) -> None:
        if isinstance(node.ctx, ast.Store):
            self.names.define(self.scopes[0], node.id)
        else:
            self._refer(node, place)

    def _attribute(self, node: ast.Attribute, place: Place) -> None:
        self._refer(node, place)
        self.visit(node.value, _around(place))

    def _refer(self, node: ast.expr, place: Place) -> None:
        """Note what ``node`` refers to, where that says of the texts it stands for what they are."""
        # One of many, named in passing, is listed and not asked for.
        asked = place.weight == ASKED or (place.weight == NAMED and not place.is_of_a_table)
        if place.role in ("comparison", "catalogue") or not (asked or place.target):
            return
        if path := path_of(node):
            reference = Reference(self.scopes, path)
            if place.target is not None:
                self.names.bind(place.target, reference)
            if asked:
                self.names.asked.append(Asked(reference, node.lineno, place))

    def _inner(self, node: ast.Await | ast.Starred, place: Place) -> None:
        self.visit(node.value, place)

    def _choice(self, node: ast.IfExp, place: Place) -> None:
        self.visit(node.test, SPOKEN_OF)
        self.visit(node.body, place)
        self.visit(node.orelse, place)

    def _alternatives(self, node: ast.BoolOp, place: Place) -> None:
        first, *later = node.values
        self.visit(first, place)
        role: Role = "default" if isinstance(node.op, ast.Or) and place.role != "comparison" else place.role
        for value in later:
            self.visit(value, place._replace(role=role))

    def _items(self, node: ast.List | ast.Tuple | ast.Set, place: Place) -> None:
        if isinstance(node, ast.Set):
            place = _of_a_set(place)
        inside = self._inside(place)
        for item, option in zip(node.elts, options(map(_known, node.elts)), strict=True):
            if option is None:
                self.visit(item, inside)
            elif option.value:
                self._note(item, option.value, inside._replace(table=None).set_to(option.name))
            else:
                self.visit(item, inside._replace(table=None).set_to(option.name))

    def _inside(self, place: Place) -> Place:
        """Return the place of what is in a list at ``place``."""
        inside = place._replace(table=Table(self._table(place), "item"))
        return inside._replace(role="catalogue") if place.role != "comparison" and offers(place.key) else inside

    def _table(self, place: Place) -> int:
        """Return the number of the outermost list or mapping around a list or mapping at ``place``."""
        if place.table is not None and place.table.slot in ("item", "value"):
            return place.table.number
        self._tables += 1
        return self._tables

    def _dict(self, node: ast.Dict, place: Place) -> None:
        names = [key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else "" for key in node.keys]
        texts = {name: _text(value) for name, value in zip(names, node.values, strict=True) if name}
        keys = Keys(place, texts, self._table(place))
        for key, name, value in zip(node.keys, names, node.values, strict=True):
            if key is None:
                self.visit(value, place._replace(key=""))
                continue
            if not name or not names_a_model(name):
                self.visit(key, keys.itself())
            behind = keys.behind(name, plain=_is_plain(value))
            self.visit(value, behind.inside(f"[{name}]") if name else behind._replace(target=None))

    # What only speaks of texts ----------------------------------------------------------------------------------------

    def _spoken_of(self, node: ast.AST, _place: Place) -> None:
        for child in ast.iter_child_nodes(node):
            self.visit(child, SPOKEN_OF)

    def _comprehension(self, node: ast.GeneratorExp | ast.ListComp | ast.SetComp, place: Place) -> None:
        # In `any(name in model for name in ["gpt-5", "o3"])` the list is compared with.
        where = SPOKEN_OF if place.role == "comparison" else NOWHERE
        self.visit(node.elt, where)
        for generator in node.generators:
            self.visit(generator.iter, where)
            for condition in generator.ifs:
                self.visit(condition, SPOKEN_OF)

    def _subscript(self, node: ast.Subscript, place: Place) -> None:
        self._refer(node, place)
        self.visit(node.value, _around(place))
        name = dotted(node.value).rpartition(".")[2]
        if name == "Annotated" and isinstance(node.slice, ast.Tuple):
            for part in node.slice.elts:
                is_field = isinstance(part, ast.Call) and dotted(part.func).rpartition(".")[2] in self._words.fields
                self.visit(part, place if is_field else SPOKEN_OF)
            return
        self.visit(node.slice, place._replace(role="catalogue", target=None) if name == "Literal" else SPOKEN_OF)

    # Calls ------------------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, place: Place) -> None:
        name = dotted(node.func)
        last = name.rpartition(".")[2]
        if last == "format" and isinstance(node.func, ast.Attribute) and _known(node.func.value) != HOLE:
            self._put_together(node, _FIELD_OF_FORMAT.sub(HOLE, _known(node.func.value)), place)
        elif isinstance(node.func, ast.Attribute):
            self.visit(node.func.value, place if last in _SAME_TEXT else _around(place))
        elif not isinstance(node.func, ast.Name):
            self.visit(node.func, NOWHERE)
        if self._looks_up(node, name):
            self._lookup(node, place)
        elif last in self._words.fields:
            self._field(node, place, name)
        elif last in _HANDING_ON and len(node.args) == 1:
            self.visit(node.args[0], place)
        elif last in _SETS and len(node.args) == 1:
            self.visit(node.args[0], _of_a_set(place))
        elif (
            (place.role == "comparison" and not self._asks(node, name))
            or last in self._words.not_calls
            or last.lower().endswith(("error", "exception"))
        ):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                self.visit(argument, SPOKEN_OF)
        else:
            self._arguments(node, place, name)

    def _asks(self, node: ast.Call, name: str) -> bool:
        """Return whether a call certainly asks a model, wherever it stands."""
        said = {keyword.arg for keyword in node.keywords if keyword.arg}
        return self._known_call(name) is not None or not self._words.beside.isdisjoint(said)

    def _known_call(self, name: str) -> Call | None:
        head, dot, rest = name.partition(".")
        return self._words.call(f"{self.imported.get(head, head)}{dot}{rest}")

    def _looks_up(self, node: ast.Call, name: str) -> bool:
        parts = name.split(".")
        if parts[-1] not in self._words.lookups and ".".join(parts[-2:]) not in self._words.lookups:
            return False
        named = 2 if parts[-1] == "getattr" else 1
        return len(node.args) > named or any(keyword.arg in self._words.default_keywords for keyword in node.keywords)

    def _lookup(self, node: ast.Call, place: Place) -> None:
        """Read ``environ.get("MODEL", "gpt-5")``: the last argument is what holds if nothing is said."""
        self._refer(node, place)
        defaults = [keyword.value for keyword in node.keywords if keyword.arg in self._words.default_keywords]
        looked_up = [*node.args, *(keyword.value for keyword in node.keywords if keyword.value not in defaults)]
        if not defaults:
            defaults = [looked_up.pop(len(node.args) - 1)]
        for argument in looked_up:
            self.visit(argument, SPOKEN_OF)
        role: Role = place.role if place.role == "comparison" else "default"
        where = place._replace(role=role, table=None)
        if name := next(_texts(reversed(looked_up)), ""):
            where = where.set_to(name)
        for fallback in defaults:
            self.visit(fallback, where)

    def _field(self, node: ast.Call, place: Place, name: str) -> None:
        """Read ``Field("gpt-5")`` and ``add_argument("--model", default="gpt-5")``."""
        flags = [text.lstrip("-").replace("-", "_") for text in _texts(node.args) if text.startswith("-")]
        flag = next(filter(names_a_model, flags), flags[-1] if flags else "")
        where = place._replace(role="default", table=None, call=name).named(flag or place.key)
        for argument in node.args:
            self.visit(argument, where)
        for keyword in node.keywords:
            self.visit(keyword.value, where if keyword.arg in self._words.default_keywords else SPOKEN_OF)

    def _arguments(self, node: ast.Call, place: Place, name: str) -> None:
        self._refer(node, place)
        said = {keyword.arg: _text(keyword.value) for keyword in node.keywords if keyword.arg}
        known = self._known_call(name)
        asked = not self._words.beside.isdisjoint(said)
        provider = provider_beside(said, known.provider if known else None)
        beside_a_model = any(map(names_a_model, said))
        table = Table(0, "argument") if place.table is None and place.role == "call" else place.table
        here = Place("call", "", name, BARE, provider, table)
        for at, argument in enumerate(node.args):
            self.visit(argument, here._replace(weight=ASKED if known is not None and known.at == at else BARE))
        for keyword in node.keywords:
            if keyword.arg is None:
                self.visit(keyword.value, here)
            elif is_about_models(keyword.arg, plain=_is_plain(keyword.value)) or (
                keyword.arg in self._words.listing and beside_a_model
            ):
                self.visit(keyword.value, SPOKEN_OF)
            else:
                weight = _weight(keyword.arg, known, asked)
                self.visit(keyword.value, here._replace(key=keyword.arg, weight=weight))


def _around(place: Place) -> Place:
    """Return the place of what an expression at ``place`` is taken from."""
    return SPOKEN_OF if place.role == "comparison" else NOWHERE


def _of_a_set(place: Place) -> Place:
    """Return the place of what is in a set, which is there to be looked up in."""
    return place._replace(role="catalogue") if place.role in ("constant", "default") else place


def _weight(name: str, known: Call | None, asked: bool) -> int:
    """Return what the name of an argument says; ``asked``: others of the call say that a model is asked."""
    if known is not None and name in known.keywords:
        return ASKED
    if names_a_model(name):
        return ASKED if asked and is_the_model(name) else NAMED
    return BARE


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_plain(node: ast.expr) -> bool:
    """Return whether a value is a text, or texts: nothing in it is a mapping or made by a call."""
    return not any(isinstance(one, (ast.Dict, ast.Call)) for one in _elements(node))


def _elements(node: ast.expr) -> Iterator[ast.expr]:
    return iter(node.elts) if isinstance(node, (ast.List, ast.Tuple, ast.Set)) else iter((node,))


def _known(node: ast.expr) -> str:
    """Return the text of a constant, and a hole for what is only known when the program runs."""
    text = _text(node)
    return HOLE if text is None else text


def _texts(nodes: Iterable[ast.expr]) -> Iterator[str]:
    """Return those of ``nodes`` that are texts."""
    return (text for node in nodes if (text := _text(node)) is not None)


def dotted(node: ast.expr) -> str:
    """Return ``client.chat.completions.create``, without what is called or looked up on the way."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            break
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))
