"""Function wrappers of wrapt's that are copied and pickled as what they wrap is.

wrapt refuses to copy or pickle a wrapper. But an application may keep ``client.chat`` in a dataclass, hand it to a pool
of processes, or copy what holds it, and Python's methods and functions take part in all of that.
"""

from __future__ import annotations

import copy
from types import MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import wrapt

from otel_llm_routing.instrument.decorator import decorate, plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class _BoundHook(wrapt.BoundFunctionWrapper):  # type: ignore[type-arg]
    """A hooked method, as an instance or its class hands it out."""

    def __copy__(self) -> Any:
        return self  # which changes no more than a method or a function does

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        method: Any = self.__wrapped__
        if not isinstance(method, MethodType) or method.__self__ is not self._self_instance:
            return self  # a function, or a class's method
        instance = copy.deepcopy(method.__self__, memo)
        return self._self_parent.__get__(instance, type(instance))

    def __reduce_ex__(self, protocol: Any) -> Any:
        method: Any = self.__wrapped__
        if isinstance(method, MethodType):
            return getattr, (method.__self__, self.__name__)
        return self._self_parent.__reduce_ex__(protocol)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)


class _Wrapper(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    __bound_function_wrapper__ = _BoundHook

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)


class Hook(_Wrapper):
    """Puts ``wrapper(wrapped, instance, args, kwargs)`` around ``original``, which is ``owner.name``.

    It is pickled as that name: what comes of it is hooked where this package hooks the SDK, and plain where it is not.
    """

    def __init__(self, owner: Any, name: str, original: Any, wrapper: Callable[..., Any]) -> None:
        super().__init__(original, wrapper)
        self._self_place = owner, name

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        owner, name = self._self_place
        if isinstance(owner, ModuleType):  # which cannot be pickled
            import pkgutil  # noqa: PLC0415  (hardly any application needs it)

            return pkgutil.resolve_name, (f"{owner.__name__}:{name}",)
        return getattr, (owner, name)


class CalledWithin(_Wrapper):
    """An object that can be called, whose calls run within ``scope``."""

    def __init__(self, scope: AbstractContextManager[Any], called: Any) -> None:
        super().__init__(called, _called_within(scope))
        self._self_scope = scope

    def __copy__(self) -> Any:
        return CalledWithin(self._self_scope, copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return CalledWithin(self._self_scope, copy.deepcopy(self.__wrapped__, memo))

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced = self.__wrapped__.__reduce_ex__(protocol)
        # A string is a name, by which this is found.
        return reduced if isinstance(reduced, str) else (decorate, (self._self_scope, self.__wrapped__))


def _called_within(scope: AbstractContextManager[Any]) -> Callable[..., Any]:
    within = plain(scope, lambda called, args, kwargs: called(*args, **kwargs))

    def wrapper(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG001
        return within(wrapped, args, kwargs)

    return wrapper
