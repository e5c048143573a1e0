"""Live sessions of the google-genai SDK: one call for each turn of the model.

The protocol names no model beside the one that the session was opened with, so each turn is counted as unreported.
A turn has no request that begins it, as audio is sent all the time: it begins with the model's first message. It ends
when the model says that it is complete or that it was interrupted, and with the session at the latest.

Hooked are ``AsyncLive.connect``, for the model, and ``AsyncSession._receive``, which every message comes through.

Sources: google-genai 1.30.0, 1.75.0, 2.34.0 and 3.6.1 ``live.py``; fields from ``LiveServerMessage`` and
``UsageMetadata`` in ``types.py``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current

from otel_llm_routing import semconv
from otel_llm_routing.instrument import streams
from otel_llm_routing.instrument.adapters import gemini
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.fields import count, field
from otel_llm_routing.instrument.call import Call, CallRequest
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.context import Context

_ATTRIBUTE = "_llm_routing"


def read_message(call: Call, message: Any) -> None:
    """Read a message of the model's; those that say how many tokens it took name no model either."""
    usage = field(message, "usage_metadata")
    if usage is None:
        return
    gemini.read_usage(call, usage)
    if written := count(field(usage, "response_token_count")):  # the answer's, by another name than elsewhere
        call.output_tokens = written + count(field(usage, "thoughts_token_count"))
        call.details[semconv.OUTPUT_TOKENS] = call.output_tokens


class _Session:
    """What is known of one session: how its turns are asked for, and the one under way."""

    __slots__ = ("_turn", "context", "request")

    def __init__(self, request: CallRequest, context: Context) -> None:
        self.request = request
        self.context = context
        self._turn: streams.Dropped | None = None

    def see(self, adapter: GoogleLiveAdapter, message: Any) -> None:
        """Take note of a message: begin a turn, read what it says of one, end it."""
        content = field(message, "server_content")
        call = None if self._turn is None else self._turn.call
        if call is None and (_says_something(content) or field(message, "tool_call") is not None):
            call = self._begin(adapter)
        if call is None:
            return
        call.first_chunk()
        call.request.read(call, message)
        if _is_last(content):
            self.end()

    def end(self, error: BaseException | None = None) -> None:
        """End the turn under way."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.call.end(error)

    def _begin(self, adapter: GoogleLiveAdapter) -> Call | None:
        token = attach(self.context)  # that in which the application connected: it receives wherever it likes
        try:
            call = adapter.start(lambda *_: self.request, None, (), {})
        finally:
            detach(token)
        self._turn = None if call is None else streams.Dropped(call)
        return call


def _says_something(content: Any) -> bool:
    """Say whether the content of a message is the model's: it may only say what the user was heard to say."""
    return any(field(content, name) is not None for name in ("model_turn", "output_transcription"))


def _is_last(content: Any) -> bool:
    """Say whether a message ends a turn; later versions of the protocol may say that the session is idle instead."""
    if field(content, "turn_complete") is True or field(content, "interrupted") is True:
        return True
    return getattr(field(content, "interaction_status"), "value", None) == "IDLE"


class GoogleLiveAdapter(Adapter):
    """Hooks ``google.genai.live``."""

    def hook(self, sdk: Any) -> None:
        """Hook the imported module."""
        self.wrap(getattr(sdk, "AsyncLive", None), "connect", self._connect)
        self.wrap(getattr(sdk, "AsyncSession", None), "_receive", self._receive)

    def _connect(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        manager = wrapped(*args, **kwargs)
        if self._tracker is None:
            return manager
        try:
            session = _Session(_request(instance, kwargs), get_current())
        except Exception:  # noqa: BLE001
            swallowed(f"read a request of {self.package}")
            return manager
        return _connected(manager, session)

    async def _receive(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        session = field(instance, _ATTRIBUTE)
        if not isinstance(session, _Session):
            return await wrapped(*args, **kwargs)
        try:
            message = await wrapped(*args, **kwargs)
        except Exception as error:
            session.end(error)  # a receiver that is cancelled is no end: the application may receive on
            raise
        try:
            session.see(self, message)
        except Exception:  # noqa: BLE001
            swallowed(f"read a message of {self.package}")
        return message


@asynccontextmanager
async def _connected(manager: Any, known: _Session) -> AsyncIterator[Any]:
    async with manager as session:
        try:
            setattr(session, _ATTRIBUTE, known)
        except Exception:  # noqa: BLE001
            swallowed("note the session of a live connection")
        try:
            yield session
        except BaseException as error:
            known.end(None if isinstance(error, GeneratorExit) else error)
            raise
        finally:
            known.end()


def _request(live: Any, kwargs: dict[str, Any]) -> CallRequest:
    client = field(live, "_api_client")
    provider = gemini.VERTEX if field(client, "vertexai") else gemini.GEMINI
    request = CallRequest(gemini.GENERATE_CONTENT, provider, clean_model(kwargs.get("model")), read_message)
    request.stream = True
    own = field(kwargs.get("config"), "http_options")
    gemini.aim(request, field(own, "base_url") or field(field(client, "_http_options"), "base_url") or "")
    return request


ADAPTER = GoogleLiveAdapter("google-genai", gemini.GEMINI)
