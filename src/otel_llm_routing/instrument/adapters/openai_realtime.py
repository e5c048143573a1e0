"""Realtime sessions of the openai SDK: ``client.realtime.connect()`` and, in 1.x, ``client.beta.realtime.connect()``.

A session is one WebSocket connection with many responses; each response that is done is one call. Hooked are what opens
a connection (for the model asked for), ``parse_event`` (every event that the application reads goes through it) and
``recv_bytes`` (for a connection that is lost in the middle of a response).

Sources: openai 3.57.0 ``resources/realtime/realtime.py``, ``types/realtime/realtime_response.py`` (which has no model),
``types/realtime/realtime_session_create_request.py`` ("The Realtime model used for this session", in
``session.created`` and ``session.updated``: what names the served model here); openai 1.66.0
``resources/beta/realtime/realtime.py``.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.fields import count, field, text
from otel_llm_routing.instrument.call import CallRequest
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model, provider_of_host

if TYPE_CHECKING:
    from otel_llm_routing.instrument.call import Call

AZURE = "azure.ai.openai"
LOST = "ConnectionClosedError"
"""What ``websockets`` raises when a connection ends without being closed; a read that is cancelled loses nothing."""
UNDER_WAY = 64
"""Responses of a session that are remembered while they come; there are seldom two."""


class Session:
    """What is known of one connection."""

    __slots__ = ("address", "port", "provider", "requested", "responses", "served")

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.requested: str | None = None
        self.address: str | None = None
        self.port: int | None = None
        self.served: Any = None
        self.responses: dict[str, Response] = {}


class Response:
    """A response that is coming: when it began, and when the first part of it arrived."""

    __slots__ = ("began", "first")

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.first: float | None = None


class RealtimeAdapter(Adapter):
    """Hooks the connections of one module, and what opens them."""

    def __init__(self, package: str, provider: str) -> None:
        super().__init__(package, provider)
        self._sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()

    def hook(self, sdk: Any) -> None:
        """Hook the connections of ``sdk``, a module that has both kinds."""
        for name, enter in (("RealtimeConnection", "__enter__"), ("AsyncRealtimeConnection", "__aenter__")):
            connection = getattr(sdk, name, None)
            self.wrap(connection, "parse_event", self._parse)
            self.wrap(connection, "recv_bytes", self._receive)
            manager = getattr(sdk, f"{name}Manager", None)
            self.wrap(manager, enter, self._enter)
            self.wrap(manager, "enter", self._enter)

    # The hooks ---------------------------------------------------------------------------------------------------

    def _enter(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        connection = wrapped(*args, **kwargs)
        if inspect.isawaitable(connection):
            return self._entered(instance, connection)
        self._remember(instance, connection)
        return connection

    async def _entered(self, manager: Any, pending: Any) -> Any:
        connection = await pending
        self._remember(manager, connection)
        return connection

    def _parse(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        event = wrapped(*args, **kwargs)
        try:
            self._see(instance, event)
        except Exception:  # noqa: BLE001
            swallowed("read an event of an openai realtime session")
        return event

    def _receive(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            received = wrapped(*args, **kwargs)
        except BaseException as error:
            self._lost(instance, error)
            raise
        return self._received(instance, received) if inspect.isawaitable(received) else received

    async def _received(self, connection: Any, pending: Any) -> Any:
        try:
            return await pending
        except BaseException as error:
            self._lost(connection, error)
            raise

    # A session ---------------------------------------------------------------------------------------------------

    def _remember(self, manager: Any, connection: Any) -> None:
        try:
            # The SDK keeps them under names that Python has mangled.
            known = {name.rpartition("__")[2]: value for name, value in vars(manager).items()}
            client, query = known.get("client"), known.get("extra_query")
            asked = known.get("model")
            if not isinstance(asked, str) and isinstance(query, dict):
                asked = query.get("model")
            url = getattr(client, "base_url", None)
            host = getattr(url, "host", None)
            azure = any(base.__name__ == "BaseAzureClient" for base in type(client).__mro__)
            session = Session(AZURE if azure else provider_of_host(host or "") or self.provider)
            session.requested = clean_model(asked)
            if url is not None and host:
                session.address = host
                session.port = url.port or (80 if url.scheme in ("http", "ws") else 443)
            self._sessions[connection] = session
        except Exception:  # noqa: BLE001
            swallowed("look at an openai realtime session")

    def _see(self, connection: Any, event: Any) -> None:
        kind = field(event, "type")
        if type(kind) is not str or not kind.startswith(("response.", "session.")):
            return
        session = self._sessions.get(connection)
        if session is None:
            session = self._sessions[connection] = Session(self.provider)
        if kind in ("session.created", "session.updated"):
            session.served = field(field(event, "session"), "model") or session.served
        elif kind == "response.created":
            if len(session.responses) < UNDER_WAY and (name := text(field(field(event, "response"), "id"))):
                session.responses[name] = Response()
        elif kind == "response.done":
            self._done(session, field(event, "response"))
        elif kind.endswith(".delta"):
            response = session.responses.get(field(event, "response_id"))
            if response is not None and response.first is None:
                response.first = time.perf_counter()

    def _done(self, session: Session, body: Any) -> None:
        """Count a response that is done."""
        coming = session.responses.pop(text(field(body, "id")) or "", None)
        call = self._begin(session, coming)
        if call is None:
            return
        call.body(session.served)
        call.request.read(call, body)
        details = field(body, "status_details")
        error = field(details, "error")
        failed = field(body, "status") == "failed"
        call.end((text(field(error, "code")) or text(field(error, "type")) or "failed") if failed else None)

    def _lost(self, connection: Any, error: BaseException) -> None:
        """Count the responses that a lost connection has cut short."""
        try:
            session = self._sessions.get(connection)
            if session is None or type(error).__name__ != LOST:
                return
            while session.responses:
                call = self._begin(session, session.responses.popitem()[1])
                if call is not None:
                    call.body(session.served)
                    call.end(error)
        except Exception:  # noqa: BLE001
            swallowed("end the calls of an openai realtime session")

    def _begin(self, session: Session, coming: Response | None) -> Call | None:
        def asked(_: Any, __: tuple[Any, ...], ___: dict[str, Any]) -> CallRequest:
            request = CallRequest("chat", session.provider, session.requested, read_response)
            request.stream = True
            request.address, request.port = session.address, session.port
            request.since = None if coming is None else coming.began
            return request

        call = self.start(asked, None, (), {})
        if call is not None and coming is not None and coming.first is not None:
            call.first_chunk(coming.first)
        return call


def read_response(call: Call, body: Any) -> None:
    """Read a response that is done; should it name a model itself, that is the one that served it."""
    call.body(field(body, "model"))
    details, usage = call.details, field(body, "usage")
    if (name := text(field(body, "id"))) is not None:
        details[semconv.RESPONSE_ID] = name
    reason = text(field(field(body, "status_details"), "reason")) or text(field(body, "status"))
    if reason is not None:
        details[semconv.FINISH_REASONS] = (reason,)
    if read := count(field(usage, "input_tokens")):
        call.input_tokens = details[semconv.INPUT_TOKENS] = read
    if written := count(field(usage, "output_tokens")):
        call.output_tokens = details[semconv.OUTPUT_TOKENS] = written
    if cached := count(field(field(usage, "input_token_details"), "cached_tokens")):
        details[semconv.CACHE_READ_TOKENS] = cached


ADAPTER = RealtimeAdapter("openai", "openai")
