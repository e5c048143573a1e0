"""A provider on a real socket that answers with the very bytes a test gives it, well formed or not."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    """One HTTP response, as bytes."""

    status: int = 200
    kind: str | None = "application/json"
    """The content type; None sends no such header."""
    body: tuple[bytes, ...] = (b"",)
    """Its pieces: with ``chunked``, each is a chunk of its own."""
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    end: str = "whole"
    """``whole``; ``short``: the connection is closed before all was sent; ``reset``: it is reset."""

    def wire(self) -> bytes:
        """Return all bytes of the response."""
        body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in self.body if p) if self.chunked else b"".join(self.body)
        lines = [f"HTTP/1.1 {self.status} Said", "connection: close", *(f"{n}: {v}" for n, v in self.headers)]
        if self.kind is not None:
            lines.append(f"content-type: {self.kind}")
        if self.chunked:
            lines.append("transfer-encoding: chunked")
            body += b"0\r\n\r\n" if self.end == "whole" else b""
        elif self.status != 204:
            lines.append(f"content-length: {len(body) + (0 if self.end == 'whole' else 7)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class RawProvider:
    """A context manager; ``replies`` answer the requests in turn, the last of them all that follow."""

    replies: list[Reply] = field(default_factory=lambda: [Reply()])
    received: list[tuple[str, tuple[tuple[str, str], ...], bytes]] = field(default_factory=list)
    """Of each request: its first line, its headers in their order, its body."""

    def __enter__(self):
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def script(self, replies):
        """Answer the requests that follow with ``replies``, and forget what was received."""
        self.replies, self.received = list(replies), []


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    provider: RawProvider

    def handle_error(self, request, client_address):
        """A client that went away is no news."""


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self):
        provider = self.server.provider
        first = self.rfile.readline().decode("latin-1").strip()
        headers = []
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        sent = self.rfile.read(int(dict(headers).get("content-length", 0)))
        provider.received.append((first, tuple(headers), sent))
        reply = provider.replies[min(len(provider.received), len(provider.replies)) - 1]
        self.connection.sendall(reply.wire())
        if reply.end == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65536):  # until the client has closed: an early close of ours would be a reset
                pass
