"""The Claude Agent SDK: ``query()`` and ``ClaudeSDKClient``, over the Claude Code CLI, which runs as a subprocess.

The CLI calls the model and says of each response which model gave it. Hooked are ``Query.receive_messages``, through
which its messages reach the application, ``Query.set_model`` and ``Query.close`` (sources: claude-agent-sdk 0.1.0 to
0.2.189, ``_internal/query.py``, ``_internal/message_parser.py``, ``_internal/transport/subprocess_cli.py``,
``types.py``).

One response of a model is one call, however many messages carry its parts. Nothing of the application runs beneath it:
its tools and hooks are called by a task of the SDK's, between the responses.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, ref

from otel_llm_routing import semconv
from otel_llm_routing.instrument.adapters.adapter import Adapter
from otel_llm_routing.instrument.adapters.anthropic import read_message
from otel_llm_routing.instrument.adapters.fields import field, text
from otel_llm_routing.instrument.call import CallRequest
from otel_llm_routing.instrument.guard import swallowed
from otel_llm_routing.models import clean_model, provider_of_host, same_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from otel_llm_routing.instrument.call import Call

SYNTHETIC = "<synthetic>"
"""What the CLI writes as the model of a message that no model gave: that a call failed, for one."""
REMEMBERED = 64
"""Responses of a session whose further parts are recognised, the latest."""
PLATFORMS = (
    ("CLAUDE_CODE_USE_BEDROCK", "aws.bedrock"),
    ("CLAUDE_CODE_USE_VERTEX", "gcp.vertex_ai"),
    ("CLAUDE_CODE_USE_FOUNDRY", "azure.ai.inference"),
)
"""Environment variables that make the CLI call the model elsewhere (Claude Code documentation, Settings)."""


class ClaudeAgentAdapter(Adapter):
    """Hooks the one class that every session goes through."""

    def __init__(self, package: str, provider: str) -> None:
        super().__init__(package, provider)
        self._models: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()
        self._sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()

    def hook(self, sdk: Any) -> None:
        """Hook ``Query``, which the imported package ``sdk`` has imported."""
        query = getattr(sys.modules.get(f"{sdk.__name__}._internal.query"), "Query", None)
        if query is None:
            self.missing("_internal.query.Query")
            return
        self.wrap(query, "receive_messages", self._receive)
        self.wrap(query, "set_model", self._set_model)
        self.wrap(query, "close", self._close)

    def providers(self) -> set[str]:
        """Return none: this adapter sees the CLI's calls, and not every call to its providers."""
        return set()

    def request(self, query: Any, parent: str | None) -> CallRequest:
        """Return what is asked for in the session that ``query`` is; ``parent`` is the tool use that made a subagent.

        A subagent's model is chosen by its definition or by the CLI: its identifier is not known.
        """
        options = _options(query)
        env: Mapping[str, str] = {**os.environ, **(field(options, "env") or {})}
        provider = next((name for variable, name in PLATFORMS if env.get(variable) not in (None, "", "0")), None)
        url = urlsplit(env.get("ANTHROPIC_BASE_URL", ""))
        model = None if parent is not None else self._models.get(query, field(options, "model"))
        host = url.hostname if provider is None else None
        request = CallRequest("chat", provider or provider_of_host(host or "") or self.provider, model, read_message)
        request.model = clean_model(model)
        if host is not None:
            request.address = host
            request.port = url.port or (80 if url.scheme == "http" else 443)
        return request

    def begin(self, query: Any, parent: str | None, since: float | None, *, stream: bool) -> Call | None:
        """Start the call that a response is the first sign of; ``since`` is when the CLI began to wait for it."""

        def asked(query: Any, _: tuple[Any, ...], __: dict[str, Any]) -> CallRequest:
            request = self.request(query, parent)
            request.stream = stream
            request.since = since
            return request

        return self.start(asked, query, (), {})

    def _receive(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        messages = wrapped(*args, **kwargs)
        if self._tracker is None:
            return messages
        self._sessions[instance] = session = Session(self, ref(instance))
        return _observed(messages, session)

    def _close(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if (session := self._sessions.pop(instance, None)) is not None:
            _guarded(session.end, None)
        return wrapped(*args, **kwargs)

    def _set_model(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._models[instance] = args[0] if args else kwargs.get("model")
        return wrapped(*args, **kwargs)


class Session:
    """Finds the responses of models among the messages of one session, as the application reads them."""

    __slots__ = ("_adapter", "_counted", "_query", "_since", "_streaming", "_under_way")

    def __init__(self, adapter: ClaudeAgentAdapter, query: ref[Any]) -> None:
        self._adapter = adapter
        self._query = query
        self._counted: deque[str] = deque(maxlen=REMEMBERED)
        # By the tool use that made a subagent; None is the agent itself.
        self._since: dict[str | None, float] = {}
        self._streaming: dict[str | None, Call] = {}
        self._under_way = False
        """The CLI works on a prompt."""

    def see(self, message: Any) -> None:
        """Take the next message."""
        kind, parent = message.get("type"), message.get("parent_tool_use_id")
        if kind == "stream_event":
            self._event(message.get("event"), parent)
        elif kind == "assistant":
            self._response(message, parent)
        elif kind == "result":
            self._end(None)
        elif kind == "system" and message.get("subtype") != "init":
            return
        if kind in ("assistant", "user", "system"):
            self._under_way = True
            self._since[parent] = time.perf_counter()

    def end(self, error: BaseException | None) -> None:
        """Say that no more messages come. A failure while the CLI works on a prompt is a call that failed."""
        if error is not None and self._under_way and not self._streaming:
            call = self._adapter.begin(self._query(), None, self._since.get(None), stream=False)
            if call is not None:
                call.end(error)
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        while self._streaming:
            self._streaming.popitem()[1].end(error)
        self._since.clear()
        self._under_way = False

    def _response(self, message: Any, parent: str | None) -> None:
        """Count a response by the first message that carries a part of it."""
        body = message.get("message") or {}
        model, error = body.get("model"), text(message.get("error"))
        if model == SYNTHETIC and error is None:
            return  # what a command of the CLI prints
        streaming = self._streaming.get(parent) if error is None else self._streaming.pop(parent, None)
        if streaming is not None:
            if error is not None:
                streaming.end(error)
            return  # its events have said everything
        if not self._first_of(text(body.get("id")) or text(message.get("uuid"))):
            return
        call = self._adapter.begin(self._query(), parent, self._since.get(parent), stream=False)
        if call is None:
            return
        if model != SYNTHETIC:
            read_message(call, {**body, "type": "message"})
            if body.get("stop_reason") is None:  # a part: what it says of the output is not the whole
                call.output_tokens = 0
                call.details.pop(semconv.OUTPUT_TOKENS, None)
            self._note_fallback(call)
        call.end(error)

    def _event(self, event: Any, parent: str | None) -> None:
        """Follow a response that comes as events, with ``include_partial_messages``."""
        kind = event.get("type")
        if kind == "message_start":
            if not self._first_of(text(field(event.get("message"), "id"))):
                return
            self._finish(parent)
            call = self._adapter.begin(self._query(), parent, self._since.get(parent), stream=True)
            if call is None:
                return
            self._streaming[parent] = call
        elif (known := self._streaming.get(parent)) is not None:
            call = known
        else:
            return
        call.first_chunk()
        read_message(call, event)
        if kind == "message_stop":
            self._finish(parent)

    def _finish(self, parent: str | None) -> None:
        call = self._streaming.pop(parent, None)
        if call is not None:
            self._note_fallback(call)
            call.end()

    def _first_of(self, identifier: str | None) -> bool:
        if identifier is None:
            return True
        if identifier in self._counted:
            return False
        self._counted.append(identifier)
        return True

    def _note_fallback(self, call: Call) -> None:
        """Note that the model is the one to fall back on, not the one asked for."""
        asked, got = call.request.model, call.body_model
        others = field(_options(self._query()), "fallback_model")
        if asked is None or got is None or not isinstance(others, str) or _names(asked, got):
            return
        call.fallback = call.fallback or any(_names(other.strip(), got) for other in others.split(","))


def _names(asked: str, got: str) -> bool:
    """Say whether ``asked`` is the model ``got``, or its name without a date."""
    return bool(asked) and (same_model(asked, got) or got.startswith(f"{asked}-"))


def _options(query: Any) -> Any:
    """Return the options that the CLI was started with; a transport of the application's own does not get them."""
    return field(field(query, "transport"), "_options")


async def _observed(messages: AsyncGenerator[Any, Any], session: Session) -> AsyncGenerator[Any, Any]:
    error: BaseException | None = None
    try:
        async for message in messages:
            _guarded(session.see, message)
            yield message
    except GeneratorExit:
        raise
    except BaseException as raised:
        error = raised
        raise
    finally:
        _guarded(session.end, error)
        await messages.aclose()


def _guarded(method: Any, value: Any) -> None:
    try:
        method(value)
    except Exception:  # noqa: BLE001
        swallowed("read a message of claude-agent-sdk")


ADAPTER = ClaudeAgentAdapter("claude-agent-sdk", "anthropic")
