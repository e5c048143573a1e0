"""How an SDK is driven: the same few verbs for all of them, so that one test reads as one rule for every SDK."""

from __future__ import annotations

import contextlib
import inspect
from contextlib import asynccontextmanager
from typing import ClassVar

from otel_llm_routing.instrument.call import CallRequest

MESSAGES = [{"role": "user", "content": "hello"}]  # five characters


def begin(client, args, kwargs):
    """Begin a call of an SDK of a test's own, which the fixture ``adapter`` hooks."""
    return CallRequest("chat", "acme", "m", lambda call, answer: None)


class Driver:
    """One kind of call of one SDK, through its synchronous or its asynchronous client.

    A subclass says what is called and what comes back, and gives two verbs, ``create`` and ``stream``. It makes its
    client in ``__init__``, for a fake provider at ``url``, without retries.
    """

    distribution: str
    """Its name on the package index."""
    label: str
    """The operation as its users call it, for the table of compatibility: ``chat.completions.create``."""
    provider: str
    operation = "chat"
    requested: str
    served: str | None
    """What the provider names as the served model; None where it names none."""
    kind = "alias"
    match = "resolved"
    source = "body"
    not_visible = ""
    """What this call cannot show, for the table of compatibility; a short sentence."""
    modes: ClassVar = ("sync", "async")
    reports: ClassVar = frozenset({"id", "input_tokens", "output_tokens", "finish_reasons"})
    """What the answer says beside the model."""
    size = 5
    """Characters of text in the request."""
    address = "127.0.0.1"
    """What ``server.address`` says; None where the SDK does not tell."""

    # Of streams
    halfway = match
    """The match of a stream that is left after two items."""
    unnamed: str | None = None
    """What a stream's served model is where the answer names none: the choice of a router in the SDK."""
    unread = "unreported"
    """The match of a stream that is never read; another one where the SDK reads its beginning by itself."""
    lazy = False
    """The SDK sends the request when the first item of the stream is asked for."""
    drops = True
    """The stream is gone once the application has dropped it; else the SDK holds it for a while."""
    closes = True
    """The stream can be closed."""
    enters = True
    """The stream can be entered with a ``with`` statement, which closes it."""
    fails_when_dropped = True
    """The SDK raises when the connection is lost in the middle of a stream."""
    has_error_event = True
    """The wire format can say, in the middle of a stream, that the provider failed, and the SDK raises then."""

    def __init__(self, url, *, is_async=False, **options):
        raise NotImplementedError

    @classmethod
    @contextlib.contextmanager
    def served_at(cls, provider):
        """Yield the URL to call; an SDK that does not speak HTTP starts its own server beside ``provider``."""
        yield provider.url

    async def create(self, **more):
        """Make a call and return what the SDK returns."""
        raise NotImplementedError

    async def stream(self, **more):
        """Make a streamed call and return the stream, unread."""
        raise NotImplementedError

    async def items(self, stream, limit=None):
        """Read at most ``limit`` items; return how many came."""
        read = 0
        async for _ in each(stream, is_async=getattr(self, "is_async", True)):
            read += 1
            if read == limit:
                break
        return read

    async def close(self, stream):
        await settled((stream.aclose if hasattr(stream, "aclose") else stream.close)())

    def entered(self, stream):
        return entered(stream)


async def settled(value):
    return await value if inspect.isawaitable(value) else value


async def each(stream, *, is_async=True):
    """Yield what a stream of either kind yields; ``is_async`` decides where another library's wrapper has both."""
    if hasattr(stream, "__aiter__") and (is_async or not hasattr(stream, "__iter__")):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


@asynccontextmanager
async def entered(manager):
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value
