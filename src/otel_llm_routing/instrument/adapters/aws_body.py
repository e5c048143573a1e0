"""The body of an InvokeModel answer, which the application reads by itself, when and how it likes.

Its class's methods are surrounded, so that its type stays what it is: what they return is looked at as it passes, and
what they raise is how the call ended. A body that nobody reads ends its call when it is closed or collected.
"""

from __future__ import annotations

import functools
import inspect
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.streams import BodyReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.instrument.call import Call

OBSERVER = "_self_llm_routing"
"""Attribute of a body that holds its observer. aiobotocore 2.x has a wrapt proxy for a body: only attributes of its own
are named so, the others are those of the aiohttp response inside."""
LENT = ("read", "read1", "readinto")
WHOLE = ("read", "readlines")
"""Methods that, asked for no amount, read all there is."""


class BodyObserver:
    """Sees one body being read; goes with it."""

    __slots__ = ("_call", "_inside", "_left", "_lent", "_reader")

    def __init__(self, call: Call, length: Any) -> None:
        self._call = call
        self._reader = BodyReader(call, call.request.read, events=False, zipped=False)
        self._left = int(length) if type(length) is str and length.isdigit() else None
        self._inside = False
        self._lent: Any = None

    def around(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``read``, a method that returns bytes or lines, or fills a buffer, and look at what it read."""
        if self._inside:  # one of the body's methods uses another
            return read(*args, **kwargs)
        self._inside = True
        try:
            result = read(*args, **kwargs)
        except BaseException as error:
            self._call.end(error)
            raise
        finally:
            self._inside = False
        self._take(result, read, args, kwargs)
        return result

    async def around_async(self, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``read`` as ``around`` does."""
        if self._inside:
            return await read(*args, **kwargs)
        self._inside = True
        try:
            result = await read(*args, **kwargs)
        except BaseException as error:
            self._call.end(None if isinstance(error, GeneratorExit) else error)
            raise
        finally:
            self._inside = False
        self._take(result, read, args, kwargs)
        return result

    def _take(self, result: Any, read: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._call.ended:
            return
        try:
            asked: Any = args[0] if args else kwargs.get("amt", kwargs.get("b"))
            if type(result) is int:
                wanted, data = len(asked), bytes(memoryview(asked)[:result])
            elif type(result) is list:
                wanted, data = -1, b"".join(result)
            else:
                wanted, data = -1 if asked is None else asked, result
            everything = wanted < 0 and read.__name__ in WHOLE
            self._reader.feed(data)
            if self._left is not None:
                self._left -= len(data)
            if everything or (not data and wanted) or (self._left is not None and self._left <= 0):
                self.over()
        except Exception:  # noqa: BLE001
            swallowed("look at a body that is read")

    def over(self, error: BaseException | None = None) -> None:
        """Say that nothing more is read. Never raises."""
        if not self._call.ended:
            self._reader.finish()
            self._call.end(error)

    def lend(self, raw: Any) -> None:
        """See the reads of ``raw`` as well: what is inside the body, which its ``with`` statement hands out."""
        around = self.around_async if inspect.iscoroutinefunction(getattr(raw, "read", None)) else self.around
        for name in LENT:
            with suppress(AttributeError):  # no such method, or an object of a kind that takes no attributes
                setattr(raw, name, functools.partial(around, getattr(raw, name)))
        self._lent = raw

    def take_back(self) -> None:
        """Leave what was lent as it was."""
        raw, self._lent = self._lent, None
        for name in LENT:
            getattr(raw, "__dict__", {}).pop(name, None)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.over()


def observe(body: Any, call: Call, length: Any) -> None:
    """Let ``body`` end ``call``; a stand-in for a body, in somebody's test, ends it at once."""
    if any(hasattr(base.__dict__.get("read"), "__wrapped__") for base in type(body).__mro__):
        setattr(body, OBSERVER, BodyObserver(call, length))
    else:
        call.end()


def observer_of(body: Any) -> BodyObserver | None:
    """Return the observer of ``body``; most bodies are those of other services, and have none."""
    return getattr(body, OBSERVER, None)


# The methods of the body's class, as ``Adapter.replace`` and ``Adapter.wrap`` call them ------------------------------


def reading(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``original``, a method that reads, looking at what is read; bodies of other services barely feel it."""

    def read(self: Any, *args: Any, **kwargs: Any) -> Any:
        observer = self.__dict__.get(OBSERVER)
        if observer is None:
            return original(self, *args, **kwargs)
        return observer.around(original.__get__(self, type(self)), *args, **kwargs)

    return read


def read_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Look at what is read; the caller awaits it."""
    observer = observer_of(instance)
    return wrapped(*args, **kwargs) if observer is None else observer.around_async(wrapped, *args, **kwargs)


def close(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """End the call; where closing is asynchronous, the caller awaits it."""
    observer = observer_of(instance)
    if observer is not None:
        observer.over()
    return wrapped(*args, **kwargs)


def enter(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Watch over what the ``with`` statement hands out."""
    raw = wrapped(*args, **kwargs)
    observer = observer_of(instance)
    if observer is not None and raw is not instance:
        observer.lend(raw)
    return raw


async def enter_async(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Watch over what the ``async with`` statement hands out."""
    raw = await wrapped(*args, **kwargs)
    observer = observer_of(instance)
    if observer is not None and raw is not instance:
        observer.lend(raw)
    return raw


def leave(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """End the call with the ``with`` statement, as its body ended; where that is asynchronous, the caller awaits it."""
    observer = observer_of(instance)
    if observer is not None:
        error = args[1] if len(args) > 1 else None
        observer.over(error if isinstance(error, BaseException) and not isinstance(error, GeneratorExit) else None)
        observer.take_back()
    return wrapped(*args, **kwargs)
