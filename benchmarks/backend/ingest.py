"""Sending to a receiver, one export after the other, each acknowledged before the next; and what that took it."""

from __future__ import annotations

import contextlib
import http.client
import time
from typing import TYPE_CHECKING, NamedTuple

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from backend import processes
from backend.payloads import Load, turns
from backend.processes import FailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backend.receivers import Receiver

    Send = Callable[[bytes], bytes]

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TIMEOUT = 120
"""Seconds for one export."""


class Rate(NamedTuple):
    """What some points took, until the last of them was acknowledged."""

    points: int
    seconds: float
    cpu: float
    """Seconds of the receiver's."""


class Ingested(NamedTuple):
    """What one receiver took for one load."""

    new: Rate
    """The first turn: every series is new."""
    known: Rate
    """All turns after it."""
    before: int
    """Resident bytes when nothing had been sent."""
    after: int
    """And when everything was."""
    bytes: int | None
    """On disk; None: it writes nothing."""


def ingest(receiver: Receiver, load: Load, protocol: str, exports: list[list[bytes]] | None = None) -> Ingested:
    """Send ``load`` to ``receiver`` over ``protocol``, "gRPC" or "HTTP". Raises ``FailedError`` for a lost count."""
    exports = turns(load) if exports is None else exports
    with _sending(receiver, protocol) as send:
        before = processes.resident(receiver.process.pid)
        new = _rate(receiver, send, exports[:1], load.points_a_turn)
        known = _rate(receiver, send, exports[1:], load.points_a_turn * load.turns)
    after, size = processes.resident(receiver.process.pid), receiver.bytes()
    if (counted := receiver.requests()) != load.requests:
        msg = f"{receiver.name} acknowledged {load.requests:,} requests and has {counted:,}"
        raise FailedError(msg)
    return Ingested(new, known, before, after, size)


def _rate(receiver: Receiver, send: Send, exports: list[list[bytes]], points: int) -> Rate:
    used, began = processes.cpu(receiver.process.pid), time.perf_counter()
    for turn in exports:
        for body in turn:
            answer = ExportMetricsServiceResponse.FromString(send(body))
            if answer.partial_success.rejected_data_points:
                raise FailedError(f"{receiver.name}: {answer.partial_success.error_message}")
    return Rate(points, time.perf_counter() - began, processes.cpu(receiver.process.pid) - used)


@contextlib.contextmanager
def _sending(receiver: Receiver, protocol: str) -> Iterator[Send]:
    """Give what sends a body and returns its answer, over one connection."""
    if protocol == "gRPC":
        with grpc.insecure_channel(receiver.grpc) as channel:
            export = channel.unary_unary(EXPORT)
            yield lambda body: export(body, timeout=TIMEOUT)
        return
    connection = http.client.HTTPConnection(receiver.http, timeout=TIMEOUT)

    def post(body: bytes) -> bytes:
        connection.request("POST", "/v1/metrics", body, {"Content-Type": "application/x-protobuf"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != http.client.OK:
            raise FailedError(f"{receiver.name} answered {answer.status}: {said[:200]!r}")
        return said

    with contextlib.closing(connection):
        yield post
