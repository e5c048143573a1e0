"""Streams of methods that may ask a model several times: a chat, function calling, an answer that is continued.

Such a stream is a generator around those of the single calls. What is current when the application makes it is current
when it sends, and when it is closed, so are the calls: the event loop closes asynchronous generators within only later.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from opentelemetry.context import create_key, get_current, get_value, set_value

from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.context import Within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from otel_llm_routing.instrument.adapters.adapter import Begin
    from otel_llm_routing.instrument.call import Call

_TURN = create_key("llm_routing.turn")


class Turn:
    """One such stream: its calls that have not ended."""

    __slots__ = ("calls", "context", "outer")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.outer = get_value(_TURN)
        """That of a chat, whose stream is around one of the model's."""
        self.context = set_value(_TURN, self)

    def add(self, call: Call) -> None:
        """Note a call."""
        self.calls = [*[c for c in self.calls if not c.ended], call]
        if isinstance(self.outer, Turn):
            self.outer.add(call)

    def end(self, error: BaseException | None = None) -> None:
        """End what has not ended: nobody reads on."""
        for call in self.calls:
            call.end(error)


class TurnAdapter(Adapter):
    """Hooks an SDK that has such streams; ``turn`` wraps the methods that return them."""

    def start(self, begin: Begin, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Start a call, and note it where more may follow from the same method."""
        call = super().start(begin, instance, args, kwargs)
        turn = get_value(_TURN)
        if call is not None and isinstance(turn, Turn):
            turn.add(call)
        return call

    def turn(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ARG002
        """Return the stream that the method returns, kept together."""
        result = wrapped(*args, **kwargs)
        if self._tracker is None:
            return result
        if inspect.isgenerator(result):
            # Closed or dropped, it closes and drops those within at once.
            return streams.in_context(result, get_current())
        if inspect.isawaitable(result):
            return _awaited(result, Turn())
        return result


async def _awaited(pending: Any, turn: Turn) -> Any:
    try:
        with Within(turn.context):
            result = await pending
    except BaseException as error:
        turn.end(None if isinstance(error, GeneratorExit) else error)
        raise
    return _until_closed(result, turn) if inspect.isasyncgen(result) else result


async def _until_closed(inner: AsyncGenerator[Any, Any], turn: Turn) -> AsyncGenerator[Any, Any]:
    """Yield what ``inner`` yields; closed, end its calls at once: the event loop closes generators within later."""
    steps = streams.in_context(inner, turn.context)
    try:
        async for item in steps:
            yield item
    finally:
        turn.end()
        await steps.aclose()
