"""Running the steps of a generator in a context of its own, whoever asks for the next one, and wherever.

A generator that opens a span around its ``yield`` leaves the span current for its consumer, and cannot take it back
where it is closed in another context, by the garbage collector or by another task. In a context of its own it can.
"""

from __future__ import annotations

import functools
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator


def in_own_context(inner: Any, over: Callable[[Context, BaseException | None], None]) -> Any:
    """Return a generator of ``inner``'s kind that yields what it yields, run in a copy of the context of now.

    ``over`` is told of that context, and of the error, when a generator that has started ends, or is closed.
    """
    own = copy_context()
    return _async_steps(inner, own, over) if hasattr(inner, "__anext__") else _steps(inner, own, over)


def _steps(inner: Generator[Any, Any, Any], own: Context, over: Any) -> Generator[Any, Any, Any]:
    try:
        while True:
            try:
                item = own.run(next, inner)
            except StopIteration:
                break
            yield item
    except BaseException as error:
        over(own, None if isinstance(error, GeneratorExit) else error)
        raise
    else:
        over(own, None)
    finally:
        own.run(inner.close)


async def _async_steps(inner: AsyncGenerator[Any, Any], own: Context, over: Any) -> AsyncGenerator[Any, Any]:
    try:
        while True:
            try:
                item = await _Within(own, anext(inner))
            except StopAsyncIteration:
                break
            yield item
    except BaseException as error:
        over(own, None if isinstance(error, GeneratorExit) else error)
        raise
    else:
        over(own, None)
    finally:
        await _Within(own, inner.aclose())


class _Within:
    """Awaits something piece by piece, each piece in the context given."""

    __slots__ = ("_awaitable", "_own")

    def __init__(self, own: Context, awaitable: Awaitable[Any]) -> None:
        self._own = own
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        run: Any = self._own.run
        pieces: Any = self._awaitable.__await__()
        piece = functools.partial(run, next, pieces)
        while True:
            try:
                awaited = piece()
            except StopIteration as over:
                return over.value
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001  (what is awaited decides)
                piece = functools.partial(run, pieces.throw, error)
            else:
                piece = functools.partial(run, next, pieces)
