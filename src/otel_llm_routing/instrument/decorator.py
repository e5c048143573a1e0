"""Decorating what can be called with a context manager that may be entered any number of times, from any thread.

The context manager is in force while the decorated code runs, and never while a generator waits for its consumer. What
comes of it is of the same kind: a function, a coroutine function, a generator function of either kind. So it is of an
object whose ``__call__`` is of such a kind; any other object stays what it is, with all that it has. A plain function
may return what runs only later, a coroutine or a generator of either kind: then one of the same type is returned that
runs it. Whatever else it returns is handed on as it is.
"""

from __future__ import annotations

import functools
import inspect
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager

    Scope = AbstractContextManager[Any]
    Function = Callable[..., Any]


def decorate(scope: Scope, function: Any) -> Any:
    """Return ``function`` with ``scope`` in force while its code runs; raise a TypeError where that cannot be."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(decorate(scope, function.__func__))
    if isinstance(function, type) or not callable(function):
        what, instead = f"a {type(function).__name__}", "put it below what makes that, directly above def"
        if isinstance(function, type):
            what, instead = f"the class {function.__name__}", "decorate its methods"
        raise TypeError(f"{type(scope).__name__}() decorates functions, not {what}: {instead}")
    make = _kind(function)
    if make is None and not (inspect.isfunction(function) or inspect.ismethod(function)):
        make = plain if isinstance(function, _FUNCTIONS) else _kind(type(function).__call__)
        if make is None:
            from otel_llm_routing.instrument.hook import CalledWithin  # noqa: PLC0415  (few need what it imports)

            return CalledWithin(scope, function)
    return _dressed((make or plain)(scope, function), function)


_FUNCTIONS = (types.BuiltinFunctionType, functools.partial)
"""Beside functions and methods; a ``partial`` is asked for the function inside."""


def _kind(function: Any) -> Callable[[Scope, Function], Function] | None:
    """Return what decorates a function whose result runs later, and None for any other."""
    if inspect.isasyncgenfunction(function):
        return _async_generator
    if inspect.isgeneratorfunction(function):
        code = getattr(function, "__code__", None)
        return _awaited_generator if code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE else _generator
    return _coroutine if inspect.iscoroutinefunction(function) else None


def plain(scope: Scope, function: Function) -> Function:
    """Return ``function`` in ``scope``, and what it returns as well where that runs later."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        with scope:
            result = function(*args, **kwargs)
        make = _LATER.get(type(result))
        return result if make is None else _later(make, scope, result)

    return decorated


def _coroutine(scope: Scope, function: Function) -> Function:
    async def decorated(*args: Any, **kwargs: Any) -> Any:
        with scope:
            return await function(*args, **kwargs)

    return decorated


def _generator(scope: Scope, function: Function) -> Function:
    def decorated(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = function(*args, **kwargs)
        step, value = steps.send, None
        try:
            while True:
                with scope:
                    try:
                        item = step(value)
                    except StopIteration as stop:
                        return stop.value
                try:
                    step, value = steps.send, (yield item)
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001  (handed to the generator, as ``yield from`` does)
                    step, value = steps.throw, error
        finally:
            with scope:
                steps.close()

    return decorated


def _awaited_generator(scope: Scope, function: Function) -> Function:
    return types.coroutine(_generator(scope, function))


def _async_generator(scope: Scope, function: Function) -> Function:
    async def decorated(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = function(*args, **kwargs)
        step, value = steps.asend, None
        try:
            while True:
                with scope:
                    try:
                        item = await step(value)
                    except StopAsyncIteration:
                        return
                try:
                    step, value = steps.asend, (yield item)
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001
                    step, value = steps.athrow, error
        finally:
            with scope:
                await steps.aclose()

    return decorated


_LATER = {
    types.CoroutineType: _coroutine,
    types.GeneratorType: _generator,
    types.AsyncGeneratorType: _async_generator,
}


def _later(make: Callable[[Scope, Function], Function], scope: Scope, result: Any) -> Any:
    """Return what runs ``result``, of the same type, in ``scope``."""
    if make is _generator:
        if inspect.getgeneratorstate(result) != inspect.GEN_CREATED:
            return result  # begun elsewhere: somebody holds it who may go on with it
        if result.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE:
            make = _awaited_generator
    runs = make(scope, _Kept(result).get)()
    runs.__name__, runs.__qualname__ = result.__name__, result.__qualname__
    return runs


class _Kept:
    """Keeps what runs later until it is run."""

    __slots__ = ("_result",)

    def __init__(self, result: Any) -> None:
        self._result = result

    def get(self) -> Any:
        """Return it."""
        return self._result

    def __del__(self) -> None:
        # Where nobody has awaited the coroutine in its place, Python complains of that one.
        if type(self._result) is types.CoroutineType:
            self._result.close()


def _dressed(decorated: Function, function: Any) -> Function:
    """Give ``decorated`` the name, signature and documentation of ``function``."""
    named = function
    while isinstance(named, functools.partial):
        named = named.func
    if not hasattr(named, "__name__"):
        named = type(named)
    if named is not function:  # which has no name of its own
        functools.update_wrapper(decorated, named, ("__module__", "__name__", "__qualname__", "__doc__"), ())
    return functools.update_wrapper(decorated, function)
