"""The HTTP server: routes paths to wire formats, and applies the faults."""

from __future__ import annotations

import gzip
import json
import select
import socket
import struct
import sys
import threading
import time
import zlib
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from fake_provider import anthropic_wire, bedrock_wire, openai_wire
from fake_provider.answers import Answers, Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self


class FakeProvider:
    """A provider on ``127.0.0.1``; a context manager.

    ``answers(...)`` says how the requests that follow are answered (see ``Answers``); ``route``, where set, decides the
    served model of each request instead; ``requests`` is what was received.
    """

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Received] = []
        self.disconnected = 0
        self.route: Callable[[str, Any], str] | None = None
        self.control: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        self.current = Answers()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.number = 0
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.provider = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answers(self, **how: Any) -> None:
        """Answer the requests that follow in this way."""
        with self.lock:
            self.current = Answers(**how)

    def serve_forever(self) -> None:
        """Serve in this thread until ``stop`` is called."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """Stop serving, also streams that stall."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    provider: FakeProvider

    def handle_error(self, request: Any, client_address: Any) -> None:
        if isinstance(sys.exc_info()[1], ConnectionError):
            return  # a client that went away; tests do that on purpose
        super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        provider = self.server.provider
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        path = unquote(urlsplit(self.path).path)
        if path == "/_control" and provider.control is not None:
            self._json(200, provider.control(body or {}), Answers())
            return
        with provider.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.requests.append(Received(self.command, self.path, headers, body))
            answers = replace(provider.current)
            provider.number += 1
            number = provider.number
            fault = answers.fault or ""
            if fault.startswith("flaky:"):
                left = int(fault[6:])
                answers.fault = "status:500" if left > 0 else None
                provider.current.fault = f"flaky:{left - 1}" if left > 1 else None
        self._answer(path, body if isinstance(body, dict) else {}, answers, number)

    def _answer(self, path: str, body: dict[str, Any], answers: Answers, number: int) -> None:
        anthropic = any(mark in path for mark in ("/v1/messages", "/v1/complete", "/model/", "awPredict"))
        if answers.first_byte_delay:
            self.server.provider.stopping.wait(answers.first_byte_delay)
        if answers.fault and answers.fault.startswith("status:"):
            status = int(answers.fault[7:])
            wire = anthropic_wire if anthropic else openai_wire
            answers.headers = {"retry-after-ms": "10", "retry-after": "0.01", **answers.headers}
            self._json(status, wire.error(status), answers)
            return
        requested = str(body.get("model") or _model_in(path))
        route = self.server.provider.route
        model = route(requested, body) if route is not None else answers.served(requested)
        stream = body.get("stream") is True or "with-response-stream" in path or "streamRawPredict" in path
        found = self._find(path, body, model, answers, number, stream=stream)
        if found is None:
            self._json(
                200 if self.command != "POST" else 404, {"object": "list", "data": [], "has_more": False}, answers
            )
        elif isinstance(found, dict):
            self._json(200, found, answers)
        else:
            self._events(found, answers, vendor="anthropic" if anthropic else "openai", aws="/model/" in path)

    def _find(
        self, path: str, body: dict[str, Any], model: Any, answers: Answers, number: int, *, stream: bool
    ) -> dict[str, Any] | Iterator[tuple[str | None, Any]] | None:
        if self.command != "POST":
            if "/responses/" in path:
                return openai_wire.response({}, "gpt-5-2025-08-07", answers, number, "completed")
            return None
        if path.endswith("/chat/completions"):
            return (openai_wire.chat_events if stream else openai_wire.chat)(body, model, answers, number)
        if path.endswith("/responses"):
            if "/openai/" in path and answers.model is None:
                model = body.get("model")  # Azure repeats the deployment's name
            if stream:
                return openai_wire.response_events(body, model, answers, number)
            return openai_wire.response(body, model, answers, number, "completed")
        if path.endswith("/responses/input_tokens"):
            return {"object": "response.input_tokens", "input_tokens": 9}
        if path.endswith("/cancel"):
            return openai_wire.response({}, "gpt-5-2025-08-07", answers, number, "cancelled")
        if path.endswith("/completions"):
            return (openai_wire.completion_events if stream else openai_wire.completion)(body, model, answers, number)
        if path.endswith("/embeddings"):
            return openai_wire.embeddings(body, model, answers)
        if path.endswith("/count_tokens"):
            return {"input_tokens": 9}
        if path.endswith("/messages/batches"):
            counts = dict.fromkeys(("canceled", "errored", "expired", "processing", "succeeded"), 0)
            batch = {
                "id": "msgbatch_1",
                "type": "message_batch",
                "processing_status": "ended",
                "request_counts": counts,
            }
            return {**batch, "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
        if path.endswith(("/messages", "/invoke", "/invoke-with-response-stream", "Predict")):
            return (anthropic_wire.message_events if stream else anthropic_wire.message)(body, model, answers, number)
        if path.endswith("/v1/complete"):
            return anthropic_wire.completion(body, model, answers, number)
        if path.endswith("/files"):
            file = {"id": "file-1", "object": "file", "bytes": 2, "created_at": 1, "filename": "a.jsonl"}
            return {**file, "purpose": "batch", "status": "processed"}
        if path.endswith("/batches"):
            batch = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": "f"}
            return {**batch, "completion_window": "24h", "created_at": 1, "status": "validating"}
        if path.endswith("/moderations"):
            return {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": []}
        return None

    # Sending -----------------------------------------------------------------------------------------------------

    def _head(self, status: int, kind: str, answers: Answers, extra: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "x-request-id": "req-1", **extra, **answers.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _zips(self, answers: Answers) -> bool:
        return answers.gzip and "gzip" in self.headers.get("accept-encoding", "")

    def _json(self, status: int, document: Any, answers: Answers) -> None:
        data = json.dumps(document).encode()
        if answers.fault == "malformed":
            data = data[: len(data) // 2]
        extra = {}
        if self._zips(answers):
            data, extra = gzip.compress(data), {"content-encoding": "gzip"}
        self._head(status, "application/json", answers, {**extra, "content-length": str(len(data))})
        self.wfile.write(data)

    def _events(self, events: Iterator[tuple[str | None, Any]], answers: Answers, *, vendor: str, aws: bool) -> None:
        kind = "application/vnd.amazon.eventstream" if aws else "text/event-stream"
        zipped = self._zips(answers)
        extra = {"transfer-encoding": "chunked", **({"content-encoding": "gzip"} if zipped else {})}
        self._head(200, kind, answers, extra)
        zipper = _Zipper() if zipped else None
        try:
            for i, (name, data) in enumerate(events):
                if answers.gap and i:
                    time.sleep(answers.gap)
                if i == 3 and self._fault(answers, vendor, zipper):
                    return
                self._chunk(bedrock_wire.frame(data) if aws else sse(name, json.dumps(data)), zipper)
            if vendor == "openai" and answers.fault != "truncated" and not aws and name is None:
                self._chunk(sse(None, "[DONE]"), zipper)
            if zipper is not None:
                self._write(zipper.end())
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except ConnectionError:
            self.server.provider.disconnected += 1
            self.close_connection = True

    def _fault(self, answers: Answers, vendor: str, zipper: _Zipper | None) -> bool:
        """Do what the fault says; true if the stream ends with it."""
        self.wfile.flush()
        if answers.fault == "drop":
            time.sleep(0.05)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return True
        if answers.fault == "stall":
            while not self.server.provider.stopping.wait(0.05):
                if select.select([self.connection], [], [], 0)[0]:
                    break
            self.close_connection = True
            return True
        if answers.fault == "error_event":
            if vendor == "anthropic":
                self._chunk(sse("error", json.dumps(anthropic_wire.error(529))), zipper)
            else:
                self._chunk(sse(None, json.dumps(openai_wire.error(500))), zipper)
        if answers.fault == "malformed":
            self._chunk(sse("message_delta" if vendor == "anthropic" else None, '{"id": tru'), zipper)
        if answers.fault == "truncated":
            self.wfile.write(b"0\r\n\r\n")
            return True
        return False

    def _chunk(self, data: bytes, zipper: _Zipper | None) -> None:
        self._write(data if zipper is None else zipper.add(data))

    def _write(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()


class _Zipper:
    """Compresses a stream piece by piece, each piece readable at once."""

    def __init__(self) -> None:
        self._zip = zlib.compressobj(wbits=31)

    def add(self, data: bytes) -> bytes:
        return self._zip.compress(data) + self._zip.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._zip.flush()


def sse(name: str | None, data: str) -> bytes:
    """Return one server-sent event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + data.encode() + b"\n\n"


def _model_in(path: str) -> str:
    """Return the model that a path names: Azure's deployments, Bedrock's and Vertex's models."""
    for mark in ("/deployments/", "/models/", "/model/"):
        if mark in path:
            return path.split(mark, 1)[1].split("/", 1)[0].partition(":raw")[0].partition(":stream")[0]
    return ""
