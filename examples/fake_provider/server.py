"""The HTTP server: asks each wire format in turn whether a request is its own, sends the answer, applies the faults."""

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
from urllib.parse import parse_qsl, unquote, urlsplit

from fake_provider import wires
from fake_provider.answers import Answers, Received
from fake_provider.wire import Asked, Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


REMEMBERED = 10_000
"""Requests that are remembered at least, so that a provider may run for days."""


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

    def take(self, method: str, target: str, headers: dict[str, str], body: Any) -> Asked:
        """Note a request, and return it with how it is to be answered; any server may ask, whatever its protocol."""
        url = urlsplit(target)
        with self.lock:
            self.requests.append(Received(method, target, headers, body))
            if len(self.requests) > 2 * REMEMBERED:
                del self.requests[:REMEMBERED]
            answers = replace(self.current)
            self.number += 1
            number = self.number
            fault = answers.fault or ""
            if fault.startswith("flaky:"):
                left = int(fault[6:])
                answers.fault = "status:500" if left > 0 else None
                self.current.fault = f"flaky:{left - 1}" if left > 1 else None
        if answers.first_byte_delay:
            self.stopping.wait(answers.first_byte_delay)

        def serve(requested: str, document: dict[str, Any]) -> Any:
            return self.route(requested, document) if self.route is not None else answers.served(requested)

        document = body if isinstance(body, dict) else {}
        query = dict(parse_qsl(url.query))
        return Asked(method, unquote(url.path), query, headers, document, number, answers, serve)

    def serve_forever(self) -> None:
        """Serve in this thread until ``stop`` is called."""
        self._server.serve_forever(poll_interval=0.005)

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
        raw = self._read()
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = None
        if urlsplit(self.path).path == "/_control" and provider.control is not None:
            self._whole(Whole(provider.control(body or {})), Answers())
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = provider.take(self.command, self.path, headers, body)
        answers = asked.answers
        wire = wires.of(asked)
        if answers.fault and answers.fault.startswith("status:"):
            status = int(answers.fault[7:])
            # Retried at once, whatever unit an SDK waits in.
            retry = {"retry-after-ms": "10", "retry-after": "0.01"}
            self._whole(replace(wire.error(asked, status), headers=retry), answers)
            return
        answer = wire.answer(asked)
        if answer is None:
            unknown = {"object": "list", "data": [], "has_more": False}
            self._whole(Whole(unknown, 200 if self.command != "POST" else 404), answers)
        elif isinstance(answer, Whole):
            self._whole(answer, answers)
        else:
            self._parts(answer, answers)

    def _read(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        raw = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return raw

    # Sending -----------------------------------------------------------------------------------------------------

    def _head(self, status: int, kind: str, answers: Answers, extra: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "x-request-id": "req-1", **extra, **answers.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _zips(self, answers: Answers) -> bool:
        return answers.gzip and "gzip" in self.headers.get("accept-encoding", "")

    def _whole(self, answer: Whole, answers: Answers) -> None:
        data = json.dumps(answer.document).encode() if answer.data is None else answer.data
        if answers.fault == "malformed":
            data = data[: len(data) // 2]
        extra = {}
        if self._zips(answers):
            data, extra = gzip.compress(data), {"content-encoding": "gzip"}
        extra = {**answer.headers, **extra, "content-length": str(len(data))}
        self._head(answer.status, answer.kind, answers, extra)
        self.wfile.write(data)

    def _parts(self, answer: Parts, answers: Answers) -> None:
        zipped = self._zips(answers)
        extra = {"transfer-encoding": "chunked", **({"content-encoding": "gzip"} if zipped else {})}
        self._head(200, answer.kind, answers, {**answer.headers, **extra})
        zipper = _Zipper() if zipped else None
        try:
            for i, part in enumerate(answer.parts):
                if answers.gap and i:
                    time.sleep(answers.gap)
                if i == 3 and self._fault(answer, answers, zipper):
                    return
                self._chunk(part, zipper)
            if answers.fault != "truncated":
                self._chunk(answer.end, zipper)
            if zipper is not None:
                self._write(zipper.end())
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except ConnectionError:
            self.server.provider.disconnected += 1
            self.close_connection = True

    def _fault(self, answer: Parts, answers: Answers, zipper: _Zipper | None) -> bool:
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
            self._chunk(answer.error, zipper)
        if answers.fault == "malformed":
            self._chunk(answer.malformed, zipper)
        if answers.fault == "truncated":
            self.wfile.write(b"0\r\n\r\n")
            return True
        return False

    def _chunk(self, data: bytes, zipper: _Zipper | None) -> None:
        if data:
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
