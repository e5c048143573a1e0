"""What every adapter is: methods of an SDK that are surrounded by a call, and taken back.

An adapter subclasses ``Adapter`` and says, in ``hook``, which methods to surround. ``begin`` reads the request before
the method runs; ``finish`` reads what it returned, and returns what the application gets: the very same object, or, for
a generator, a generator. Both are guarded: what they raise is logged once, and the application gets what it would have.
"""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry.context import attach, detach, get_current

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.call import under_way
from otel_llm_routing.instrument.context import Within
from otel_llm_routing.instrument.guard import once, swallowed
from otel_llm_routing.instrument.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_llm_routing.instrument.call import Call, CallRequest, Tracker

    Begin = Callable[[Any, tuple[Any, ...], dict[str, Any]], CallRequest | None]
    """``(instance, args, kwargs)``: what the application asks for, or None where it is no call to a model."""
    Finish = Callable[[Call, Any], Any]
    """``(call, result)``: what the application gets; ends the call, or leaves that to who reads a stream."""


FAILED = 400
"""An attempt with this HTTP status or a higher one is not the one that answered."""


class Adapter:
    """Hooks one SDK. ``package`` names it in messages; ``provider`` is whom it calls where nothing says otherwise."""

    def __init__(self, package: str, provider: str) -> None:
        self.package = package
        self.provider = provider
        self._undo: list[Callable[[], None]] = []
        self._tracker: Tracker | None = None

    # For an SDK to say -------------------------------------------------------------------------------------------

    def hook(self, sdk: Any) -> None:
        """Surround the methods of ``sdk``, the module that was imported."""
        raise NotImplementedError

    def providers(self) -> set[str]:
        """Return the providers whose every call this adapter sees: their spans by others are not counted again."""
        return {self.provider}

    def scopes(self) -> set[str]:
        """Return the scopes of the spans that the SDK opens itself for calls that this adapter sees."""
        return set()

    # Hooking -----------------------------------------------------------------------------------------------------

    def instrument(self, tracker: Tracker, sdk: Any) -> None:
        """Hook ``sdk``, and record its calls with ``tracker``."""
        self._tracker = tracker
        self.hook(sdk)

    def uninstrument(self) -> None:
        """Put every hooked method back as it was."""
        self._tracker = None
        while self._undo:
            self._undo.pop()()

    def surround(
        self, owner: Any, name: str, begin: Begin, finish: Finish | None = None, *, inside: bool = False
    ) -> bool:
        """Make ``owner.name`` a call to a model; false, and said once in the log, where there is no such method.

        ``owner`` is a class or a module; the method may be a function, a coroutine function, or a generator function of
        either kind, whose call then starts when its first item is asked for.
        """
        finish = finish or whole
        method = _plain(inspect.getattr_static(owner, name, None))
        if inspect.isasyncgenfunction(method):
            wrapper: Callable[..., Any] = functools.partial(self._around_async_generator, begin)
        elif inspect.isgeneratorfunction(method):
            wrapper = functools.partial(self._around_generator, begin)
        elif inspect.iscoroutinefunction(method):
            wrapper = functools.partial(self._around_async, begin, finish)
        else:
            wrapper = functools.partial(self._around, begin, finish)
        return self.wrap(owner, name, wrapper, inside=inside)

    def wrap(self, owner: Any, name: str, wrapper: Callable[..., Any], *, inside: bool = False) -> bool:
        """Put ``wrapper(wrapped, instance, args, kwargs)`` around ``owner.name``; false where there is none.

        With ``inside``, that is put inside the wrappers that others have put there before: then a span of theirs is
        open when a call starts, and is the call's span.
        """
        original = None if owner is None else owner.__dict__.get(name)
        if original is None:
            self.missing(name if owner is None else f"{getattr(owner, '__name__', owner)}.{name}")
            return False
        theirs = None
        while inside and isinstance(original, wrapt.FunctionWrapper):
            theirs, original = original, original.__wrapped__
        ours = Hook(owner, name, original, wrapper)
        if theirs is not None:
            theirs.__wrapped__ = ours
        else:
            setattr(owner, name, ours)
        self._undo.append(functools.partial(put_back, owner, name, ours, original))
        return True

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Put ``make(function)``, a plain function, in the place of ``owner.name``; false where there is none.

        ``function`` is to be called with the instance first. For methods that are called so often that a wrapper of
        wrapt's would be felt.
        """
        original = None if owner is None else owner.__dict__.get(name)
        if original is None:
            self.missing(name if owner is None else f"{getattr(owner, '__name__', owner)}.{name}")
            return False
        ours = functools.wraps(original)(make(_function(original)))
        setattr(owner, name, ours)
        self._undo.append(functools.partial(put_back, owner, name, ours, original))
        return True

    def missing(self, *names: str) -> None:
        """Log once that this version of the SDK lacks ``names``, so that calls through them are not recorded."""
        once(f"{self.package} {_version(self.package)} has no {', '.join(names)}; calls through it are not recorded")

    # A call ------------------------------------------------------------------------------------------------------

    def start(self, begin: Begin, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Start the call that ``begin`` finds in the arguments, or return None. Never raises."""
        tracker = self._tracker
        if tracker is None:
            return None
        try:
            request = begin(instance, args, kwargs)
            return None if request is None else tracker.start(request)
        except Exception:  # noqa: BLE001
            swallowed(f"read a request of {self.package}")
            return None

    def finish(self, finish: Finish, call: Call, result: Any) -> Any:
        """Return what the application gets of ``result``. Never raises."""
        try:
            return finish(call, result)
        except Exception:  # noqa: BLE001
            swallowed(f"read a response of {self.package}")
            call.end()
            return result

    def _around(
        self, begin: Begin, finish: Finish, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self.start(begin, instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        result = run(call, wrapped, args, kwargs)
        if inspect.isawaitable(result):  # a coroutine function behind somebody's decorator
            return self._awaited(finish, call, lambda: result, (), {})
        return self.finish(finish, call, result)

    async def _around_async(
        self, begin: Begin, finish: Finish, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self.start(begin, instance, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        return await self._awaited(finish, call, wrapped, args, kwargs)

    async def _awaited(
        self, finish: Finish, call: Call, wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return self.finish(finish, call, await run_async(call, wrapped, args, kwargs))

    def _around_generator(
        self, begin: Begin, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        start = functools.partial(self.start, begin, instance, args, kwargs)
        return streams.lazy_items(wrapped(*args, **kwargs), start, get_current())

    def _around_async_generator(
        self, begin: Begin, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        start = functools.partial(self.start, begin, instance, args, kwargs)
        return streams.lazy_async_items(wrapped(*args, **kwargs), start, get_current())


def run(call: Call, wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what ``wrapped`` returns, called beneath ``call``; an error ends the call."""
    token = attach(call.context)
    try:
        return wrapped(*args, **kwargs)
    except BaseException as error:
        call.end(error)
        raise
    finally:
        detach(token)  # the same frame of the same thread: always the right place


async def run_async(call: Call, wrapped: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what ``wrapped`` returns, called and awaited beneath ``call``; an error ends the call."""
    try:
        with Within(call.context):
            return await wrapped(*args, **kwargs)
    except BaseException as error:
        call.end(None if isinstance(error, GeneratorExit) else error)
        raise


def see_headers(package: str, response: Any) -> None:
    """Take the headers of an httpx response that arrives beneath a call: none served what failed. Never raises."""
    try:
        if (call := under_way()) is not None and response.status_code < FAILED:
            call.headers(response.headers.raw)
    except Exception:  # noqa: BLE001
        swallowed(f"look at an HTTP response of {package}")


def whole(call: Call, result: Any) -> Any:
    """Read evidence from an answer that is complete and end the call; of a generator, let its reader end it."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        return streams.observed(result, call, call.request.read)
    call.request.read(call, result)
    call.end()
    return result


def _function(method: Any) -> Callable[..., Any]:
    """Return what takes the instance first, as ``method`` in a class may not: a wrapper of wrapt's has to be bound."""
    if type(method) is FunctionType:  # not isinstance: such a wrapper says that it is one
        return method
    if not hasattr(type(method), "__get__"):  # a stand-in, in somebody's test, which Python does not bind
        return lambda _, *args, **kwargs: method(*args, **kwargs)

    def bound(instance: Any, *args: Any, **kwargs: Any) -> Any:
        return method.__get__(instance, type(instance))(*args, **kwargs)

    return bound


def _plain(method: Any) -> Any:
    """Return the function inside static and class methods, and inside decorators that keep what they wrap."""
    if isinstance(method, (staticmethod, classmethod)):
        method = method.__func__
    return inspect.unwrap(method) if callable(method) else method


def _version(package: str) -> str:
    import importlib.metadata  # noqa: PLC0415  (only where something is wrong)

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def put_back(owner: Any, name: str, ours: Any, original: Any) -> None:
    """Put ``original`` back in the place of ``ours``."""
    here = owner.__dict__.get(name)
    if here is ours:
        setattr(owner, name, original)
    # If somebody has wrapped ours, theirs stays; where ours cannot be taken out, it passes everything through.
    while isinstance(here, wrapt.FunctionWrapper) and here is not ours:
        if here.__wrapped__ is ours:
            here.__wrapped__ = original
        here = here.__wrapped__
