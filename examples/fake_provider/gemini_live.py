"""A server of Google's Live API on ``127.0.0.1``: a websocket on which the client sets up, and then asks.

Source: google-genai 3.6.1, ``live.py`` and ``_live_converters.py``: the first message holds ``setup``, answered with
``setupComplete``; then each ``client_content`` is answered with the messages of one turn.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

if TYPE_CHECKING:
    from typing_extensions import Self

USAGE = {
    "promptTokenCount": 9,
    "responseTokenCount": 4,
    "candidatesTokenCount": 4,  # Vertex AI's name for it
    "thoughtsTokenCount": 1,
    "totalTokenCount": 14,
}


class FakeLive:
    """The server; a context manager. ``fault`` may be ``drop``, ``interrupt`` or ``tool``."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.setups: list[dict[str, Any]] = []
        self._server: Server = serve(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _serve(self, connection: ServerConnection) -> None:
        self.setups.append(json.loads(connection.recv())["setup"])
        _send(connection, {"setupComplete": {"sessionId": "s"}})
        try:
            for message in connection:
                asked = json.loads(message)
                if "client_content" in asked:  # the SDK spells the outer name as protocol buffers do
                    self._turn(connection)
                elif "tool_response" in asked:
                    _send(connection, {"serverContent": {"turnComplete": True}, "usageMetadata": USAGE})
        except ConnectionClosed:
            return

    def _turn(self, connection: ServerConnection) -> None:
        _send(connection, {"serverContent": {"inputTranscription": {"text": "heard"}}})
        if self.fault == "tool":
            _send(connection, {"toolCall": {"functionCalls": [{"id": "1", "name": "f", "args": {}}]}})
            return
        for word in ("lorem", "ipsum"):
            part = {"text": word}
            _send(connection, {"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}})
        if self.fault == "drop":
            connection.close(1011, "told to fail")
            return
        if self.fault == "interrupt":
            _send(connection, {"serverContent": {"interrupted": True}})
        _send(connection, {"serverContent": {"generationComplete": True}})
        _send(connection, {"serverContent": {"turnComplete": True}, "usageMetadata": USAGE})


def _send(connection: ServerConnection, document: dict[str, Any]) -> None:
    connection.send(json.dumps(document))
