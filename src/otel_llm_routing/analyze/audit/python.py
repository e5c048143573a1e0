"""Python source: every text in it with what its place says, from the syntax tree; nothing is imported or run."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.audit.mention import ASKED, MAX_TEXT, NAMED, Mention, Role, Table, Trouble
from otel_llm_routing.analyze.audit.python_expressions import (
    NOWHERE,
    SPOKEN_OF,
    Asked,
    Expressions,
    Place,
    dotted,
    item_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_USED = 50
"""Lines that are told of one constant."""
_NEWLINE = re.compile(r"\r\n|\r|\n")


def scan(content: bytes) -> tuple[list[Mention], list[Trouble]]:
    """Return every text of a Python file, and what could not be read of it."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, ValueError, LookupError) as error:
        return [], [Trouble(None, f"not text that Python reads ({_said(error)})")]
    return scan_text(text)


def scan_text(text: str) -> tuple[list[Mention], list[Trouble]]:
    """Return what ``scan`` does, of source that is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other people's escapes
            tree = ast.parse(text)
    except SyntaxError as error:
        return [], [Trouble(error.lineno or 1, f"not Python that this interpreter reads ({_said(error)})")]
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return [], [Trouble(None, f"not Python that this interpreter reads ({_said(error)})")]
    reader = _Statements(_NEWLINE.split(text))
    troubles = []
    try:
        for statement in tree.body:
            reader.visit(statement, NOWHERE)
    except RecursionError:
        troubles.append(Trouble(None, "nested too deeply, so it was read in part"))
    return reader.resolved(), troubles


def _said(error: BaseException) -> str:
    said = str(getattr(error, "msg", None) or error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in said)[:120]


class _Statements(Expressions):
    """Walks the statements of a file, and knows which names stand for which texts."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines)
        self._defined: dict[tuple[int, str], list[int]] = {}
        """Scope and name -> where in ``found`` the texts are that it stands for."""
        self._attributes: dict[str, list[int]] = {}
        self._scope_count = 0
        self._in_class = False
        self._in_enum = False
        self._function_name = ""
        statements: dict[type[ast.AST], Callable[[Any], None]] = {
            ast.Expr: self._statement,
            ast.Assign: self._assign,
            ast.AnnAssign: self._annotated,
            ast.AugAssign: self._augmented,
            ast.Return: self._return,
            ast.FunctionDef: self._function,
            ast.AsyncFunctionDef: self._function,
            ast.ClassDef: self._class,
            ast.Import: self._import,
            ast.ImportFrom: self._import,
            ast.For: self._loop,
            ast.AsyncFor: self._loop,
        }
        self._handlers |= {
            ast.NamedExpr: self._walrus,
            ast.Lambda: self._lambda,
            **{kind: partial(_without_place, handler) for kind, handler in statements.items()},
        }

    def resolved(self) -> list[Mention]:
        """Return what was found, with the lines in which a call asks for a constant."""
        asked_for: dict[tuple[int, str] | str, list[Asked]] = {}
        for asked in self.asked:
            places = ((scope, asked.name) for scope in asked.scopes)
            key = next((place for place in places if place in self._defined), None) if asked.scopes else asked.name
            if key is not None:
                asked_for.setdefault(key, []).append(asked)
        for key, calls in asked_for.items():
            at = self._attributes.get(key, ()) if isinstance(key, str) else self._defined[key]
            lines = tuple(sorted({call.line for call in calls})[:MAX_USED])
            for index in at:
                said = self.found[index]
                self.found[index] = said._replace(
                    role="constant" if said.role == "catalogue" else said.role,
                    weight=ASKED,
                    provider=said.provider or calls[0].place.provider,
                    call=said.call or next((call.place.call for call in calls if call.place.call), ""),
                    used_at=tuple(sorted({*said.used_at, *lines})),
                )
        return self.found

    # Names and what they stand for ------------------------------------------------------------------------------------

    def _define(self, name: str, visit: Callable[[], None], *, attribute: bool = False) -> None:
        """Note which texts ``name`` stands for, while ``visit`` finds them."""
        before = len(self.found)
        visit()
        for index in range(before, len(self.found)) if name else ():
            said = self.found[index]
            if said.key == name and (said.role in ("constant", "default", "config") or self._in_enum):
                key = name
            elif said.role == "config":
                key = item_of(name, said.key)
            else:
                continue
            if not attribute:
                self._defined.setdefault((self.scopes[0], key), []).append(index)
            if attribute or self._in_class:
                self._attributes.setdefault(key, []).append(index)

    def _bind(self, target: ast.expr, value: ast.expr, role: Role) -> None:
        name = _target_name(target)
        simple = isinstance(target, ast.Name)
        table = None
        if simple and (self._in_class or len(self.scopes) == 1):
            table = Table(-1 - self.scopes[0], "class" if self._in_class else "member")
        where = Place("catalogue" if self._in_enum else role, table=table).named(name)
        if self._in_class and name == "id":
            where = where._replace(weight=NAMED)  # agno's classes of models name theirs so
        self._define(name, partial(self.visit, value, where), attribute=not simple)

    def _walrus(self, node: ast.NamedExpr, place: Place) -> None:
        name = node.target.id
        self._define(name, partial(self.visit, node.value, place.named(name)))

    # Statements -------------------------------------------------------------------------------------------------------

    def _statement(self, node: ast.Expr) -> None:
        # A text by itself is a docstring, or as good as one.
        if not isinstance(node.value, (ast.Constant, ast.JoinedStr)):
            self.visit(node.value, NOWHERE)

    def _assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._target(target)
        target, value = node.targets[0], node.value
        lists = (ast.Tuple, ast.List)
        if isinstance(target, lists) and isinstance(value, lists) and len(target.elts) == len(value.elts):
            for one, other in zip(target.elts, value.elts, strict=True):
                self._bind(one, other, "constant")
        else:
            self._bind(target, value, "constant")

    def _annotated(self, node: ast.AnnAssign) -> None:
        self._target(node.target)
        self._annotation(node.annotation, _target_name(node.target), attribute=not isinstance(node.target, ast.Name))
        if node.value is not None:
            self._bind(node.target, node.value, "default" if self._in_class else "constant")

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        self._bind(node.target, node.iter, "constant")
        for statement in (*node.body, *node.orelse):
            self.visit(statement, NOWHERE)

    def _annotation(self, node: ast.expr, name: str, *, attribute: bool = False) -> None:
        """Read a type, in which ``Annotated[str, Field(default="gpt-5")]`` says what ``name`` stands for."""
        self._define(name, partial(self.visit, node, Place("catalogue", name)), attribute=attribute)

    def _augmented(self, node: ast.AugAssign) -> None:
        self._bind(node.target, node.value, "constant")

    def _target(self, target: ast.expr) -> None:
        if isinstance(target, ast.Subscript):
            self.visit(target.value, NOWHERE)
            self.visit(target.slice, SPOKEN_OF)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) and node.module else ""
        self.imported |= {name.asname or name.name: f"{module}{name.name}" for name in node.names}

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.visit(node.value, Place("constant").named(self._function_name))

    # Functions and classes --------------------------------------------------------------------------------------------

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator, NOWHERE)
        if node.returns is not None:
            self.visit(node.returns, Place("catalogue"))
        before = self._function_name, self._in_class, self._in_enum, self.scopes
        self._enter()
        self._in_class = self._in_enum = False
        self._function_name = node.name
        self._parameters(node.args)
        for statement in node.body:
            self.visit(statement, NOWHERE)
        self._function_name, self._in_class, self._in_enum, self.scopes = before

    def _enter(self) -> None:
        self._scope_count += 1
        self.scopes = (self._scope_count, *self.scopes)

    def _lambda(self, node: ast.Lambda, place: Place) -> None:
        self._parameters(node.args)
        self.visit(node.body, place)

    def _parameters(self, args: ast.arguments) -> None:
        positional = [*args.posonlyargs, *args.args]
        given = positional[len(positional) - len(args.defaults) :]
        defaults = [*zip(given, args.defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
        for argument, default in defaults:
            if default is not None:
                where = Place("default").named(argument.arg)
                self._define(argument.arg, partial(self.visit, default, where))
        for argument in (*positional, *args.kwonlyargs):
            if argument.annotation is not None:
                self._annotation(argument.annotation, argument.arg)

    def _class(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(part, NOWHERE)
        before = self._in_class, self._in_enum, self.scopes
        self._enter()
        self._in_class = True
        self._in_enum = any(dotted(base).rpartition(".")[2].endswith("Enum") for base in node.bases)
        for statement in node.body:
            self.visit(statement, NOWHERE)
        self._in_class, self._in_enum, self.scopes = before


def _without_place(handler: Callable[[Any], None], node: ast.AST, _place: Place) -> None:
    handler(node)


def _target_name(target: ast.expr) -> str:
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)[:MAX_TEXT]
    return ""
