"""OpenAI's Realtime API: a WebSocket server, beside the HTTP server whose answers it gives.

Source: openai 3.57.0, ``types/realtime/*_event.py`` and ``types/realtime/realtime_response.py``: a response names no
model; ``session.created`` and ``session.updated`` name that of the session.
"""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from fake_provider.openai_wire import pieces, text_of, usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from fake_provider.server import FakeProvider
    from fake_provider.wire import Asked


class RealtimeServer:
    """A server on ``127.0.0.1``; a context manager. It answers as ``provider`` is told to."""

    def __init__(self, provider: FakeProvider) -> None:
        self._provider = provider
        self._server = serve(self._session, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _session(self, connection: Any) -> None:
        query = parse_qs(urlsplit(connection.request.path).query)
        requested = (query.get("model") or query.get("deployment") or [""])[0]
        try:
            connection.send(event("session.created", session=session(self._asked(connection, requested), requested)))
            for message in connection:
                self._answer(connection, requested, json.loads(message))
        except ConnectionClosed:
            self._provider.disconnected += 1

    def _answer(self, connection: Any, requested: str, message: dict[str, Any]) -> None:
        asked = self._asked(connection, requested)
        if message["type"] == "session.update":
            connection.send(event("session.updated", session=session(asked, requested)))
        if message["type"] != "response.create":
            return
        for i, part in enumerate(response(asked)):
            if i == 2 and asked.answers.fault == "drop":
                connection.socket.shutdown(socket.SHUT_RDWR)
                return
            connection.send(part[: len(part) // 2] if i == 2 and asked.answers.fault == "malformed" else part)

    def _asked(self, connection: Any, requested: str) -> Asked:
        headers = {name.lower(): value for name, value in connection.request.headers.raw_items()}
        return self._provider.take("GET", connection.request.path, headers, {"model": requested})


def event(kind: str, **more: Any) -> str:
    """Return one event."""
    return json.dumps({"type": kind, "event_id": "event_1", **more})


def session(asked: Asked, requested: str) -> dict[str, Any]:
    """Return the session's configuration, which names the model that is used for it."""
    document = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "output_modalities": ["text"]}
    return document if asked.answers.no_model else {**document, "model": asked.serve(requested, {})}


def response(asked: Asked) -> Iterator[str]:
    """Yield the events of a response."""
    answers = asked.answers
    identifier = f"resp_{asked.number}"
    document = {"id": identifier, "object": "realtime.response", "output": [], "metadata": None}
    at = {"response_id": identifier, "item_id": "item_1", "output_index": 0, "content_index": 0}
    yield event("response.created", response={**document, "status": "in_progress", "status_details": None})
    for piece in pieces(text_of({}, answers), answers):
        yield event("response.output_text.delta", delta=piece, **at)
    status: dict[str, Any] = {"status": "completed", "status_details": None}
    if answers.fault and answers.fault.startswith("status:"):
        error = {"type": "server_error", "code": "internal_error", "message": "told to fail"}
        status = {"status": "failed", "status_details": {"type": "failed", "error": error}}
    yield event("response.done", response={**document, **status, "usage": counts(answers), **answers.more})


def counts(answers: Any) -> Any:
    """Return the tokens of a response."""
    counted = usage(answers)
    if not isinstance(counted, dict):
        return counted
    return {
        "input_tokens": counted["prompt_tokens"],
        "output_tokens": counted["completion_tokens"],
        "total_tokens": counted["total_tokens"],
        "input_token_details": {"cached_tokens": 2, "text_tokens": 9, "audio_tokens": 0},
        "output_token_details": {"text_tokens": 4, "audio_tokens": 0},
    }
