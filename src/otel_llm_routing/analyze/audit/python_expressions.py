"""Expressions of Python: every text in them, with what its place hands on to it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from otel_llm_routing.analyze.audit.mention import ASKED, BARE, MAX_TEXT, NAMED, Mention, Role, Table, pieces
from otel_llm_routing.analyze.audit.vocabulary import (
    EXAMPLES,
    IDENTITIES,
    asks_a_model,
    holds_many,
    is_the_model,
    key_of_the_name,
    names_a_model,
    names_something_else,
    offers,
    options,
    vocabulary,
)
from otel_llm_routing.models import provider_of_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from otel_llm_routing.analyze.audit.vocabulary import Call

HOLE = "{}"
"""Stands for what is only known when the program runs."""
_BASE_URLS = ("base_url", "api_base", "openai_api_base", "azure_endpoint", "endpoint", "server_url")
_LONG_LINE = 2000
"""Characters; in longer lines with letters beyond ASCII, columns count bytes."""
_HANDING_ON = frozenset({"str", "list", "tuple"})
_SAME_TEXT = frozenset({"strip", "lstrip", "rstrip", "lower", "split"})
"""Methods of a text that leave what it names: the place of the result is that of the text."""
_FIELD_OF_FORMAT = re.compile(r"\{[^{}]*\}")
_FIELD_OF_PERCENT = re.compile(r"%(?:\(\w*\))?[sdr]")
_SETS = frozenset({"set", "frozenset"})
_PROVIDERS = ("provider", "model_provider", "custom_llm_provider", "llm_provider")


class Place(NamedTuple):
    """What is known of where an expression stands."""

    role: Role = "constant"
    key: str = ""
    call: str = ""
    weight: int = BARE
    provider: str | None = None
    table: Table | None = None

    def named(self, key: str) -> Place:
        """Return the place of what a name or a key stands for."""
        return self._replace(key=key, weight=max(self.weight, NAMED) if names_a_model(key) else self.weight)


NOWHERE = Place()
SPOKEN_OF = Place(role="comparison")


class Asked(NamedTuple):
    """A name that stands where a model is asked for."""

    name: str
    scopes: tuple[int, ...]
    """From the innermost outwards; empty for an attribute."""
    line: int
    place: Place


class Expressions:
    """Walks expressions. A handler takes a node and its place, and notes what it finds."""

    def __init__(self, lines: Sequence[str]) -> None:
        """``lines`` are those of the source, to tell columns."""
        self._lines = lines
        self._words = vocabulary()
        self._tables = 0
        self.found: list[Mention] = []
        self.asked: list[Asked] = []
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
                self.found.append(Mention(one, node.lineno, column, end, **place._asdict(), dynamic=dynamic))

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
        if place.weight == ASKED:
            self.asked.append(Asked(node.id, self.scopes, node.lineno, place))

    def _attribute(self, node: ast.Attribute, place: Place) -> None:
        if node.attr == "value" and isinstance(node.value, ast.Attribute):
            self.visit(node.value, place)  # of a member of an enumeration
            return
        if place.weight == ASKED:
            self.asked.append(Asked(node.attr, (), node.lineno, place))
        self.visit(node.value, _around(place))

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
                self._note(item, option.value, inside._replace(table=None).named(option.name))
            else:
                self.visit(item, inside._replace(table=None).named(option.name))

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
        pairs = list(zip(node.keys, node.values, strict=True))
        said = {
            key.value: value for key, value in pairs if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        asked = not self._words.beside.isdisjoint(said)
        beside_a_model = any(map(names_a_model, said))
        provider = self._provider_beside(said, place.provider)
        number = self._table(place)
        is_one_of_many = place.table is not None and place.table.slot == "item"
        described = place.role not in ("comparison", "catalogue") and not is_one_of_many and not beside_a_model
        its_name = key_of_the_name(place.key, said) if described else ""
        itself = Place("config", its_name, place.call, NAMED, provider, Table(number, "value"))
        if asked or not said.keys().isdisjoint(_PROVIDERS):
            itself = itself._replace(weight=ASKED, table=None)
        for key, value in pairs:
            if key is None:
                self.visit(value, place._replace(key=""))
                continue
            as_key = Place("comparison", place.key, "", min(place.weight, NAMED), None, Table(number, "item"))
            self.visit(key, as_key)
            name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
            if its_name and name in IDENTITIES:
                self.visit(value, itself if name == its_name else SPOKEN_OF)
                continue
            about = self._is_about(name, value) and (beside_a_model or is_one_of_many or not holds_many(place.key))
            if about or (name in self._words.listing and beside_a_model):
                self.visit(value, SPOKEN_OF)
                continue
            self.visit(value, self._behind(place, name, asked, provider)._replace(table=Table(number, "value")))

    def _is_about(self, key: str, value: ast.expr) -> bool:
        """Return whether what stands behind ``key`` tells people about models."""
        return key in self._words.about_models and (key in EXAMPLES or not isinstance(value, (ast.Dict, ast.Call)))

    def _behind(self, place: Place, name: str, asked: bool, provider: str | None) -> Place:
        """Return the place of what stands behind the key ``name`` of a mapping at ``place``."""
        role: Role = "config"
        weight = min(place.weight, NAMED)
        if place.role in ("comparison", "catalogue"):
            role, weight = "comparison", BARE
        elif names_a_model(name):
            weight = ASKED if asked and is_the_model(name) else NAMED
        elif name in self._words.listing and place.table is not None and place.table.slot == "item":
            role = "catalogue"
        elif name in self._words.beside or (names_something_else(name) and not holds_many(place.key)):
            weight = BARE
        elif "fallback" in place.key.lower():
            name = place.key  # the keys there are what falls back
        return Place(role, name or place.key, place.call, weight, provider)

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
        self.visit(node.value, _around(place))
        if place.weight == ASKED and (key := next(_texts([node.slice]), "")):
            if isinstance(node.value, ast.Name):
                self.asked.append(Asked(item_of(node.value.id, key), self.scopes, node.lineno, place))
            elif isinstance(node.value, ast.Attribute):
                self.asked.append(Asked(item_of(node.value.attr, key), (), node.lineno, place))
        name = dotted(node.value).rpartition(".")[2]
        if name == "Annotated" and isinstance(node.slice, ast.Tuple):
            for part in node.slice.elts:
                is_field = isinstance(part, ast.Call) and dotted(part.func).rpartition(".")[2] in self._words.fields
                self.visit(part, place if is_field else SPOKEN_OF)
            return
        self.visit(node.slice, place._replace(role="catalogue") if name == "Literal" else SPOKEN_OF)

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
            or last.endswith(("Error", "Exception"))
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
        return len(node.args) > 1 or any(keyword.arg in self._words.default_keywords for keyword in node.keywords)

    def _lookup(self, node: ast.Call, place: Place) -> None:
        """Read ``environ.get("MODEL", "gpt-5")``: the last argument is what holds if nothing is said."""
        defaults = [keyword.value for keyword in node.keywords if keyword.arg in self._words.default_keywords]
        looked_up = [*node.args, *(keyword.value for keyword in node.keywords if keyword.value not in defaults)]
        if not defaults:
            defaults = [looked_up.pop(len(node.args) - 1)]
        for argument in looked_up:
            self.visit(argument, SPOKEN_OF)
        role: Role = place.role if place.role == "comparison" else "default"
        where = place._replace(role=role, table=None)
        if name := next(_texts(reversed(looked_up)), ""):
            where = where._replace(weight=ASKED, key=name) if asks_a_model(name) else where.named(name)
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
        said = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        known = self._known_call(name)
        asked = not self._words.beside.isdisjoint(said)
        provider = self._provider_beside(said, known.provider if known else None)
        beside_a_model = any(map(names_a_model, said))
        here = Place("call", "", name, BARE, provider, place.table)
        for at, argument in enumerate(node.args):
            self.visit(argument, here._replace(weight=ASKED if known is not None and known.at == at else BARE))
        for keyword in node.keywords:
            if keyword.arg is None:
                self.visit(keyword.value, here)
            elif self._is_about(keyword.arg, keyword.value) or (keyword.arg in self._words.listing and beside_a_model):
                self.visit(keyword.value, SPOKEN_OF)
            else:
                weight = _weight(keyword.arg, known, asked)
                self.visit(keyword.value, here._replace(key=keyword.arg, weight=weight))

    def _provider_beside(self, beside: Mapping[str, ast.expr], known: str | None) -> str | None:
        """Return the provider that the neighbours name; an address that is nobody's makes it unknown."""
        said = _texts(beside[name] for name in _PROVIDERS if name in beside)
        if text := next(filter(None, said), ""):
            return self._words.provider(text)
        if known in ("azure.ai.openai", "aws.bedrock"):
            return known  # wherever they are reached
        addresses = [beside[name] for name in _BASE_URLS if name in beside]
        return _provider_at(next(_texts(addresses), "")) if addresses else known


def item_of(name: str, key: str) -> str:
    """Return how what stands behind ``key`` of the mapping ``name`` is called."""
    return f"{name}[{key}]"


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


def _provider_at(address: str) -> str | None:
    try:
        return provider_of_host(urlsplit(address).netloc)
    except ValueError:
        return None


def _known(node: ast.expr) -> str:
    """Return the text of a constant, and a hole for what is only known when the program runs."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else HOLE


def _texts(nodes: Iterable[ast.expr]) -> Iterator[str]:
    """Return those of ``nodes`` that are texts."""
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


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
