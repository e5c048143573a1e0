"""Leading every call of a function another way, by whatever name it is known.

Replacing a module's attribute misses those who have imported the function before: ``from sdk import completion``. Here
the function object itself stays, and everybody's reference to it with it; its code is exchanged for a few instructions
that call somebody else, who is given the original as a function of its own.
"""

from __future__ import annotations

import inspect
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Around = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
    """``(original, args, kwargs)``: what is called instead; a coroutine function where the original is one."""


_LEAD = """
def outer({cells}):
    {define} lead(*args, _llm_routing, **kwargs):
        {give} _llm_routing[0](_llm_routing[1], args, kwargs)
        ({cells})
"""


def _code(like: CodeType) -> CodeType:
    """Return the code that leads away; a function takes only code that has as many free variables as itself."""
    cells = "".join(f"_{i}, " for i in range(len(like.co_freevars)))
    awaits = like.co_flags & inspect.CO_COROUTINE
    define, give = ("async def", "return await") if awaits else ("def", "return")
    outer = _inner(compile(_LEAD.format(cells=cells, define=define, give=give), __name__, "exec"))
    return _inner(outer).replace(co_name=like.co_name)


def _inner(code: CodeType) -> CodeType:
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))


def detour(function: FunctionType, around: Around) -> Callable[[], None]:
    """Make every call of ``function`` one of ``around``; return what takes that back."""
    code, keyword_defaults = function.__code__, function.__kwdefaults__
    original = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    original.__kwdefaults__ = keyword_defaults
    ours = _code(code)
    signed = not hasattr(function, "__wrapped__") and "__signature__" not in function.__dict__
    if signed:
        function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    # In this order: the old code ignores a default that it has no parameter for.
    function.__kwdefaults__ = {**(keyword_defaults or {}), "_llm_routing": (around, original)}
    function.__code__ = ours

    def undo() -> None:
        if function.__code__ is ours:
            function.__code__ = code
            function.__kwdefaults__ = keyword_defaults
            if signed:
                del function.__signature__  # type: ignore[attr-defined]

    return undo
