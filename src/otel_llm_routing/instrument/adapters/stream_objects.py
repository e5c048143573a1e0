"""Observing streams that are objects of an SDK's own classes, with state that application and SDK look at.

The object stays what it is. It is given an attribute that holds its call, which ends with it at the latest; the class
that defines its iteration, or its closing, is hooked when the first of its kind is seen. Each step runs in the call's
context: what the SDK does then, such as turning to a fallback in the middle, is done beneath the call.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach

from otel_llm_routing.instrument.context import Within
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.instrument.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.instrument.adapters.adapter import Adapter
    from otel_llm_routing.instrument.call import Call

    Over = Callable[[Call, Any], None]
    """``(call, stream)``: reads what a stream says at its end; the stream is None where it is gone."""

ATTRIBUTE = "_llm_routing"


class _Watched:
    """The call of one stream; ends it when the stream is collected."""

    __slots__ = ("_over", "call", "read")

    def __init__(self, call: Call, read: Callable[[Call, Any], None] | None, over: Over) -> None:
        self.call = call
        self.read = read
        self._over = over

    def see(self, item: Any) -> None:
        """Take note of an item that the application gets."""
        try:
            self.call.first_chunk()
            if self.read is not None:
                self.read(self.call, item)
        except Exception:  # noqa: BLE001
            swallowed("read a chunk of a stream")

    def end(self, stream: Any) -> None:
        """End the call without an error, if it has not ended."""
        if self.call.ended:
            return
        try:
            self._over(self.call, stream)
        except Exception:  # noqa: BLE001
            swallowed("read the end of a stream")
        self.call.end()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.end(None)


class StreamObjects:
    """Watches the stream objects of one SDK, whose classes are hooked, and unhooked, by ``adapter``."""

    def __init__(self, adapter: Adapter, over: Over) -> None:
        self._adapter = adapter
        self._over = over
        self._hooks: dict[str, Callable[..., Any]] = {
            "__next__": _next,
            "__anext__": _anext,
            "close": _close,
            "aclose": _close,
            "__exit__": _exit,
            "__aexit__": _exit,
        }

    def watch(self, stream: Any, call: Call, read: Callable[[Call, Any], None] | None) -> None:
        """Let ``stream`` end ``call``, and read its items with ``read``."""
        self.hook(type(stream))
        stream.__dict__[ATTRIBUTE] = _Watched(call, read, self._over)

    def hook(self, cls: type) -> None:
        """Hook a class of streams, before one is seen: an SDK may hold on to the methods of one that it makes."""
        for name, hook in self._hooks.items():
            self._hook(cls, name, hook)

    def _hook(self, cls: type, name: str, hook: Callable[..., Any]) -> None:
        owner = next((base for base in cls.__mro__ if name in base.__dict__), None)
        if owner is None or owner.__module__ in ("builtins", "typing", "collections.abc"):
            return
        method = owner.__dict__[name]
        if getattr(method, "_self_wrapper", None) is hook:
            return
        if "<locals>" in owner.__qualname__:
            # A class made for this one stream: it goes with it, so that nobody may hold it to unhook it.
            setattr(owner, name, Hook(owner, name, method, hook))
        else:
            self._adapter.wrap(owner, name, hook)


def _watched(stream: Any) -> _Watched | None:
    watched = stream.__dict__.get(ATTRIBUTE)
    return watched if isinstance(watched, _Watched) and not watched.call.ended else None


def _next(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    watched = _watched(instance)
    if watched is None:
        return wrapped(*args, **kwargs)
    call = watched.call
    call.reading = True
    token = attach(call.context)
    try:
        item = wrapped(*args, **kwargs)
    except StopIteration:
        watched.end(instance)
        raise
    except BaseException as error:
        call.end(error)
        raise
    finally:
        detach(token)
        call.reading = False
    watched.see(item)
    return item


async def _anext(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    watched = _watched(instance)
    if watched is None:
        return await wrapped(*args, **kwargs)
    call = watched.call
    call.reading = True
    try:
        with Within(call.context):
            item = await wrapped(*args, **kwargs)
    except StopAsyncIteration:
        watched.end(instance)
        raise
    except BaseException as error:
        call.end(None if isinstance(error, GeneratorExit) else error)
        raise
    finally:
        call.reading = False
    watched.see(item)
    return item


# The asynchronous ones are called here, and awaited by the caller.


def _close(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # An SDK that closes the stream by itself, in the middle of a step, is about to say why.
    if (watched := _watched(instance)) is not None and not watched.call.reading:
        watched.end(instance)
    return wrapped(*args, **kwargs)


def _exit(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # The body of a ``with`` that fails, or is cancelled, cut the answer short: that is how the call ended.
    if (watched := _watched(instance)) is not None:
        error = args[1] if len(args) > 1 else None
        if isinstance(error, BaseException) and not isinstance(error, GeneratorExit):
            watched.call.end(error)
        else:
            watched.end(instance)
    return wrapped(*args, **kwargs)
