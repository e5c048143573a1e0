"""Python source: every text in it with what its place says, from the syntax tree; nothing is imported or run."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_llm_routing.analyze.audit.mention import MAX_TEXT, NAMED, Found, Role, Table, Trouble
from otel_llm_routing.analyze.audit.names import ANYWHERE, CALLED, Class, Import, Path, Reference, path_of
from otel_llm_routing.analyze.audit.place import NOWHERE, SPOKEN_OF, Place
from otel_llm_routing.analyze.audit.python_expressions import Expressions, dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otel_llm_routing.analyze.audit.place import Target

_PROPERTIES = frozenset({"property", "cached_property", "computed_field"})
_OF_A_TYPE = frozenset({"Annotated", "ClassVar", "Final", "Optional", "Type", "Union", "type"})
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_NEWLINE = re.compile(r"\r\n|\r|\n")


def scan(content: bytes) -> Found:
    """Return every text of a Python file, and what could not be read of it."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, ValueError, LookupError) as error:
        return _unread(None, f"not text that Python reads ({_said(error)})")
    return scan_text(text)


def scan_text(text: str) -> Found:
    """Return what ``scan`` does, of source that is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other people's escapes
            tree = ast.parse(text)
    except SyntaxError as error:
        return _unread(error.lineno or 1, f"not Python that this interpreter reads ({_said(error)})")
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return _unread(None, f"not Python that this interpreter reads ({_said(error)})")
    reader = _Statements(_NEWLINE.split(text))
    troubles = []
    try:
        for statement in tree.body:
            reader.visit(statement, NOWHERE)
    except RecursionError:
        troubles.append(Trouble(None, "nested too deeply, so it was read in part"))
    reader.forget()
    reader.names.forget_locals()
    return Found(reader.found, troubles, reader.names)


def _unread(line: int | None, text: str) -> Found:
    return Found([], [Trouble(line, text)])


def _said(error: BaseException) -> str:
    said = str(getattr(error, "msg", None) or error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in said)[:120]


class _Statements(Expressions):
    """Walks the statements of a file, and knows which names stand for which texts."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines)
        self._scope_count = 0
        self._in_class = False
        self._in_enum = False
        self._function_name = ""
        self._returned: Target = (0, ("",))
        """What stands for what the function returns."""
        self._bases: dict[int, tuple[Reference, ...]] = {}
        self._self: tuple[str, int] = ("", 0)
        """What a method calls its object, and the scope of its class."""
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
            ast.ImportFrom: self._import_from,
            ast.Global: self._global,
            ast.For: self._loop,
            ast.AsyncFor: self._loop,
        }
        self._handlers |= {
            ast.NamedExpr: self._walrus,
            ast.Lambda: self._lambda,
            **{kind: partial(_without_place, handler) for kind, handler in statements.items()},
        }

    # Names and what they stand for ------------------------------------------------------------------------------------

    def _bind(self, target: ast.expr, value: ast.expr, role: Role) -> None:
        table = None
        if isinstance(target, ast.Name) and (self._in_class or len(self.scopes) == 1):
            table = Table(-1 - self.scopes[0], "class" if self._in_class else "member")
        name = _target_name(target)
        where = Place("catalogue" if self._in_enum else role, table=table, target=self._bound(target))
        where = where.set_to(name) if name.isupper() and not self._in_enum else where.named(name)
        if self._in_class and name == "id":
            where = where._replace(weight=NAMED)  # agno's classes of models name theirs so
        self.visit(value, where)

    def _bound(self, target: ast.expr) -> Target | None:
        """Return what an assignment defines, if it is one thing; names of several are defined, too."""
        if isinstance(target, ast.Attribute):
            itself, scope = self._self
            is_own = isinstance(target.value, ast.Name) and target.value.id == itself
            scope = scope if is_own else ANYWHERE
            self.names.define(scope, target.attr)
            return scope, (target.attr,)
        if not isinstance(target, ast.Subscript):
            self.visit(target, NOWHERE)
        return (self.scopes[0], path) if (path := path_of(target)) else None

    def _walrus(self, node: ast.NamedExpr, place: Place) -> None:
        self.visit(node.value, place._replace(target=self._bound(node.target)).named(node.target.id))

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
        self._annotation(node.annotation, _target_name(node.target), self._bound(node.target))
        if node.value is not None:
            self._bind(node.target, node.value, "default" if self._in_class else "constant")

    def _loop(self, node: ast.For | ast.AsyncFor) -> None:
        if isinstance(node.iter, (ast.List, ast.Tuple, ast.Set)):
            self._bind(node.target, node.iter, "constant")
        else:  # Not all of a list that has a name: a program that goes through its models seldom asks them all.
            self.visit(node.target, NOWHERE)
            self.visit(node.iter, NOWHERE)
        for statement in (*node.body, *node.orelse):
            self.visit(statement, NOWHERE)

    def _annotation(self, node: ast.expr, name: str, target: Target | None) -> None:
        """Read a type, in which ``Annotated[str, Field(default="gpt-5")]`` says what ``name`` stands for."""
        is_a_type = isinstance(node, ast.Constant)
        self.visit(node, Place("catalogue", name, target=None if is_a_type else target))
        if target is not None:
            self.names.bind(target, *(Reference(self.scopes, path) for path in _classes(node)))

    def _augmented(self, node: ast.AugAssign) -> None:
        self._bind(node.target, node.value, "constant")

    def _target(self, target: ast.expr) -> None:
        if isinstance(target, ast.Subscript):
            self.visit(target.value, NOWHERE)
            self.visit(target.slice, SPOKEN_OF)

    def _import(self, node: ast.Import) -> None:
        for name in node.names:
            self.imported[name.asname or name.name] = name.name
            known_as = name.asname or name.name.partition(".")[0]
            self._imported_as(known_as, Import(0, name.name, top=name.asname is None))

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for name in node.names:
            if name.name == "*":
                self.names.stars.append(Import(node.level, module))
                continue
            known_as = name.asname or name.name
            self.imported[known_as] = f"{module}.{name.name}" if module else name.name
            self._imported_as(known_as, Import(node.level, module, name.name))

    def _imported_as(self, name: str, what: Import) -> None:
        self.names.define(self.scopes[0], name)
        self.names.bind((self.scopes[0], (name,)), what)

    def _global(self, node: ast.Global) -> None:
        here = self.scopes[0]
        for name in node.names:
            self.names.define(here, name)
            self.names.define(0, name)
            self.names.bind((here, (name,)), Reference((0,), (name,)))
            self.names.bind((0, (name,)), Reference((here,), (name,)))

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.visit(node.value, Place("constant", target=self._returned).named(self._function_name))

    # Functions and classes --------------------------------------------------------------------------------------------

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator, NOWHERE)
        if node.returns is not None:
            self.visit(node.returns, Place("catalogue"))
        before = self._function_name, self._in_class, self._in_enum, self.scopes, self._returned, self._self
        decorators = {dotted(decorator).rpartition(".")[2] for decorator in node.decorator_list}
        returned = (node.name,) if decorators & _PROPERTIES else (node.name, CALLED)
        self._returned = self.scopes[0], returned
        self.names.define(self.scopes[0], node.name)
        self.names.bind(self._returned, *(Reference(self.scopes, path) for path in _classes(node.returns)))
        self._enter()
        self._parameters(node.args, before[3])
        if self._in_class:
            self._receive(node.args, self.scopes[1])
        self.scopes = (self.scopes[0], *(scope for scope in self.scopes[1:] if scope not in self.names.classes))
        self._in_class = self._in_enum = False
        self._function_name = node.name
        for statement in node.body:
            self.visit(statement, NOWHERE)
        self._function_name, self._in_class, self._in_enum, self.scopes, self._returned, self._self = before

    def _receive(self, args: ast.arguments, scope: int) -> None:
        """Note what a method of the class of ``scope`` calls its object."""
        if first := next(iter((*args.posonlyargs, *args.args)), None):
            self._self = first.arg, scope
            self.names.bind((self.scopes[0], (first.arg,)), Class(scope, self._bases.get(scope, ())))

    def _enter(self) -> None:
        self._scope_count += 1
        self.scopes = (self._scope_count, *self.scopes)

    def _lambda(self, node: ast.Lambda, place: Place) -> None:
        around = self.scopes
        self._enter()
        self._parameters(node.args, around)
        self.visit(node.body, place)
        self.scopes = around

    def _parameters(self, args: ast.arguments, around: tuple[int, ...]) -> None:
        """Read parameters of the innermost scope; their types and defaults are looked up in the scopes ``around``."""
        within, self.scopes = self.scopes, around
        positional = [*args.posonlyargs, *args.args]
        given = positional[len(positional) - len(args.defaults) :]
        defaults = [*zip(given, args.defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
        for argument in (*positional, *args.kwonlyargs):
            self.names.define(within[0], argument.arg)
            if argument.annotation is not None:
                self._annotation(argument.annotation, argument.arg, (within[0], (argument.arg,)))
        for argument, default in defaults:
            if default is not None:
                self.visit(default, Place("default", target=(within[0], (argument.arg,))).named(argument.arg))
        self.scopes = within

    def _class(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(part, NOWHERE)
        before = self._in_class, self._in_enum, self.scopes
        bases = tuple(Reference(self.scopes, path) for base in node.bases if (path := path_of(base)))
        self._enter()
        scope = self.scopes[0]
        self._bases[scope] = bases
        self.names.classes.add(scope)
        self.names.define(self.scopes[1], node.name)
        self.names.bind((self.scopes[1], (node.name,)), Class(scope, bases))
        self._in_class = True
        self._in_enum = any(dotted(base).rpartition(".")[2].endswith("Enum") for base in node.bases)
        for statement in node.body:
            self.visit(statement, NOWHERE)
        self._in_class, self._in_enum, self.scopes = before


def _classes(node: ast.expr | None) -> Iterator[Path]:
    """Yield the paths of the classes that a type names."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            first, *others = node.value.split(".")
            yield first, *(f".{name}" for name in others)
        elif isinstance(node, ast.BinOp):
            waiting += [node.left, node.right]
        elif isinstance(node, ast.Subscript) and dotted(node.value).rpartition(".")[2] in _OF_A_TYPE:
            waiting += node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        elif (
            isinstance(node, (ast.Name, ast.Attribute))
            and (path := path_of(node))
            and path[-1].lstrip("._")[:1].isupper()
        ):
            yield path


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
