"""Observing a stream without changing its type.

The items are seen by a generator put between the SDK's stream object and its own generator. The end of life is seen
by the HTTP response's byte stream, replaced by one of the same kind that notes ``close()`` and collection: so a stream
that is closed early, dropped halfway or never read ends its call too. Where the application reads the bytes by itself,
they are looked at as they pass; nothing is read that the application does not read.
"""

from __future__ import annotations

import json
import sys
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current

from otel_llm_routing.instrument.call import Call
from otel_llm_routing.instrument.guard import swallowed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

    from opentelemetry.context import Context

    Reader = Callable[[Call, Any], None]

EXTENSION = "llm_routing.call"
"""Key under which a response carries its call, in the dictionary httpx keeps for such things."""
MAX_HELD = 1 << 20
"""Bytes of one body, or of one event, that are held while they pass; a longer one is not read."""


def call_of(stream: Any) -> Call | None:
    """Return the open call of an SDK's stream object, whose HTTP response carries it; None where there is none."""
    try:
        call = stream.response.extensions.get(EXTENSION)
    except Exception:  # noqa: BLE001  (a stand-in for a response, in somebody's test)
        return None
    return call if isinstance(call, Call) and not call.ended else None


def leave(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Wrap the ``__exit__`` of such an object; an asynchronous one's is called here, and awaited by the caller."""
    # The body of a ``with`` that fails, or is cancelled, cut the answer short: that is how the call ended.
    error = args[1] if len(args) > 1 else None
    if isinstance(error, BaseException) and not isinstance(error, GeneratorExit):
        call = call_of(instance)
        if call is not None:
            call.end(error)
    return wrapped(*args, **kwargs)


def items(
    inner: Generator[Any, Any, Any], call: Call, read: Reader, *, resumes: bool = False
) -> Generator[Any, Any, Any]:
    """Yield what ``inner`` yields, tell ``call`` of each item, and end it when ``inner`` ends.

    Each item is read in this frame, without a call of ours around it: a stream may have very many. A stream that
    ``resumes`` can be iterated again from where it was left: leaving it does not end the call.
    """
    first = True
    call.reading = True
    try:
        for item in inner:
            call.reading = False
            try:
                if first:
                    first = False
                    call.first_chunk()
                read(call, item)
            except Exception:  # noqa: BLE001
                _unread(item)
            yield item
            call.reading = True
    except GeneratorExit:
        if not resumes:
            call.end()  # the consumer stopped: that is no error
        raise
    except BaseException as error:
        call.end(error)
        raise
    else:
        call.end()
    finally:
        call.reading = False
        inner.close()


async def async_items(
    inner: AsyncGenerator[Any, Any], call: Call, read: Reader, *, resumes: bool = False
) -> AsyncGenerator[Any, Any]:
    """Yield what ``inner`` yields, as ``items`` does."""
    first = True
    call.reading = True
    try:
        async for item in inner:
            call.reading = False
            try:
                if first:
                    first = False
                    call.first_chunk()
                read(call, item)
            except Exception:  # noqa: BLE001
                _unread(item)
            yield item
            call.reading = True
    except GeneratorExit:
        if not resumes:
            call.end()
        raise
    except BaseException as error:
        call.end(error)
        raise
    else:
        call.end()
    finally:
        call.reading = False
        await inner.aclose()


def observed(inner: Any, call: Call, read: Reader) -> Any:
    """Return a generator of ``inner``'s kind that yields what it yields; dropped unread, it ends ``call`` as well."""
    dropped = Dropped(call)
    if hasattr(inner, "__anext__"):
        return _async_until_dropped(async_items(inner, call, read), dropped)
    return _until_dropped(items(inner, call, read), dropped)


class Dropped:
    """Ends a call when the stream that holds this is gone, whether its reading was ever started or not."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.call.end()


def _until_dropped(inner: Generator[Any, Any, Any], dropped: Dropped) -> Generator[Any, Any, Any]:  # noqa: ARG001
    yield from inner


def lazy_items(
    inner: Generator[Any, Any, Any], start: Callable[[], Call | None], context: Context
) -> Generator[Any, Any, Any]:
    """Yield what ``inner`` yields, of a generator function whose work starts when its first item is asked for.

    The call starts then, in ``context``, which was current when the function was called.
    """
    token = attach(context)
    try:
        call = start()
    finally:
        detach(token)
    yield from inner if call is None else items(_steps(inner, call.context), call, call.request.read)


def _steps(inner: Generator[Any, Any, Any], context: Context) -> Generator[Any, Any, Any]:
    """Run each step of ``inner`` in ``context``, and what happens between them in the consumer's."""
    token = attach(context)
    try:
        steps = iter(inner)  # another one where an instrumentation has put a wrapper around the generator
    finally:
        detach(token)
    try:
        while True:
            token = attach(context)
            try:
                item = next(steps)
            except StopIteration:
                return
            finally:
                detach(token)
            yield item
    finally:
        token = attach(context)
        try:
            if steps is not inner and hasattr(steps, "close"):
                steps.close()
            inner.close()
        finally:
            detach(token)


def in_context(inner: Any, context: Context) -> Any:
    """Return a generator of ``inner``'s kind that runs each of its steps in ``context``."""
    return _async_steps(inner, context) if hasattr(inner, "__anext__") else _steps(inner, context)


async def lazy_async_items(
    inner: AsyncGenerator[Any, Any], start: Callable[[], Call | None], context: Context
) -> AsyncGenerator[Any, Any]:
    """Yield what ``inner`` yields, as ``lazy_items`` does."""
    token = attach(context)
    try:
        call = start()
    finally:
        detach(token)
    source = inner if call is None else async_items(_async_steps(inner, call.context), call, call.request.read)
    try:
        async for item in source:
            yield item
    finally:
        await source.aclose()


async def _async_steps(inner: AsyncGenerator[Any, Any], context: Context) -> AsyncGenerator[Any, Any]:
    steps: Any = inner.__aiter__()
    try:
        while True:
            before = get_current()
            attach(context)
            try:
                item = await anext(steps)
            except StopAsyncIteration:
                return
            except GeneratorExit:
                if get_current() is not context:
                    before = get_current()  # closed from wherever: there is nothing to take back
                raise
            finally:
                attach(before)  # also where the step has left a context of its own, as a span around a ``yield`` does
            yield item
    finally:
        if steps is not inner and hasattr(steps, "aclose"):
            await steps.aclose()
        await inner.aclose()


async def _async_until_dropped(inner: AsyncGenerator[Any, Any], dropped: Dropped) -> AsyncGenerator[Any, Any]:  # noqa: ARG001
    try:
        async for item in inner:
            yield item
    finally:
        await inner.aclose()


def _unread(item: Any) -> None:
    if hasattr(item, "__dict__") or type(item) is dict:  # else an event that is no object, which is no evidence
        swallowed("read a chunk of a stream")


# The byte stream of a response ------------------------------------------------------------------------------------


class _Observed:
    """What both kinds of observed byte stream share. Everything else is the original's."""

    def __init__(self, inner: Any, call: Call, body: BodyReader | None) -> None:
        self._llm_routing_inner = inner
        self._llm_routing_call = call
        self._llm_routing_body = body

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_llm_routing"):
            raise AttributeError(name)
        return getattr(self._llm_routing_inner, name)

    def _bytes(self, chunk: bytes) -> None:
        body = self._llm_routing_body
        if body is not None:
            self._llm_routing_call.first_chunk()
            body.feed(chunk)

    def _read(self) -> None:
        if self._llm_routing_body is not None and not self._llm_routing_call.parsing:
            self._llm_routing_body.finish()
        self._over()

    def _over(self, error: BaseException | None = None) -> None:
        # Where the SDK's stream is reading, it ends the call: the application gets its error, not the transport's.
        if not self._llm_routing_call.reading:
            self._llm_routing_call.end(error)

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._llm_routing_call.end()


class _SyncObserved(_Observed):
    def __iter__(self) -> Iterator[bytes]:
        call = self._llm_routing_call
        try:
            for chunk in self._llm_routing_inner:
                if not call.parsing:
                    self._bytes(chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            self._over(error)
            raise
        else:
            self._read()

    def close(self) -> None:
        self._over()
        self._llm_routing_inner.close()


class _AsyncObserved(_Observed):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        call, chunks = self._llm_routing_call, self._llm_routing_inner.__aiter__()
        try:
            async for chunk in chunks:
                if not call.parsing:
                    self._bytes(chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            self._over(error)
            raise
        else:
            self._read()
        finally:
            # In the task that reads; else the event loop would close it later, in a task of its own.
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()

    async def aclose(self) -> None:
        self._over()
        await self._llm_routing_inner.aclose()


_classes: dict[tuple[type, ...], type] = {}


def observe_bytes(response: Any, call: Call, read: Reader) -> None:
    """Replace ``response.stream`` by a byte stream of the same kind that ends ``call`` when it is done with."""
    inner = response.stream
    # httpx, httpx2 and whatever comes next have bases of these names, and check against their own.
    bases = tuple(base for base in type(inner).__mro__ if base.__name__ in ("SyncByteStream", "AsyncByteStream"))
    if not bases:
        return
    cls = _classes.get(bases)
    if cls is None:
        names = {base.__name__ for base in bases}
        ours = [_SyncObserved] if "SyncByteStream" in names else []
        ours += [_AsyncObserved] if "AsyncByteStream" in names else []  # type: ignore[list-item]
        cls = _classes[bases] = type("ObservedByteStream", (*ours, *bases), {})
    response.stream = cls(inner, call, BodyReader.of(response, call, read))


class BodyReader:
    """Reads evidence from the bytes of a body, as they pass: one JSON document, or server-sent events."""

    __slots__ = ("_buffer", "_call", "_events", "_read", "_unzip")

    def __init__(self, call: Call, read: Reader, *, events: bool, zipped: bool) -> None:
        self._call = call
        self._read = read
        self._events = events
        self._unzip = zlib.decompressobj(wbits=47) if zipped else None  # 47: zlib and gzip, found by their headers
        self._buffer: bytearray | None = bytearray()

    @classmethod
    def of(cls, response: Any, call: Call, read: Reader) -> BodyReader | None:
        """Return a reader for ``response``, or None where its form or compression is not one the stdlib reads."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        coding = response.headers.get("content-encoding", "").strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            return None
        if kind == "text/event-stream":
            return cls(call, read, events=True, zipped=coding not in ("", "identity"))
        if kind.endswith("json"):
            return cls(call, read, events=False, zipped=coding not in ("", "identity"))
        return None

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Never raises."""
        if self._buffer is None:
            return
        try:
            if self._unzip is not None:
                chunk = self._unzip.decompress(chunk, MAX_HELD)
                if self._unzip.unconsumed_tail:
                    self._buffer = None
                    return
            self._buffer += chunk
            if self._events:
                self._take_events()
            if self._buffer is not None and len(self._buffer) > MAX_HELD:
                self._buffer = None
        except Exception:  # noqa: BLE001  (a body that is not what its headers say is no evidence)
            self._buffer = None

    def finish(self) -> None:
        """Say that the body is complete. Never raises."""
        buffer, self._buffer = self._buffer, None
        if not buffer:
            return
        try:
            if self._events:
                self._buffer = buffer + b"\n"
                self._take_events()
            else:
                self._read(self._call, json.loads(bytes(buffer)))
        except Exception:  # noqa: BLE001
            self._buffer = None

    def _take_events(self) -> None:
        buffer = self._buffer
        if buffer is None:
            return
        end = buffer.rfind(b"\n")
        if end < 0:
            return
        lines = bytes(buffer[:end])
        del buffer[: end + 1]
        for line in lines.split(b"\n"):
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data.startswith(b"{"):
                    with suppress(Exception):  # one event that is not what it seems takes nothing from the others
                        self._read(self._call, json.loads(data))
