"""OTLP over gRPC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from otel_llm_routing.serve.opening import StoreError
from otel_llm_routing.serve.receiver import MalformedError, Receiver
from otel_llm_routing.serve.store import BusyError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from otel_llm_routing.serve.intake import Intake

MAX_MESSAGE = 8 << 20
"""Bytes of one message, as sent and again when unpacked."""
CONNECTION_AGE = 600
"""Seconds after which a connection is asked to reconnect, so that a call that never arrives does not stay for ever."""
GRACE = 20
"""Seconds that such a connection's calls have left."""
MOST_STREAMS = 10
"""Calls of one connection at a time: an SDK's exporter makes one after the other, the Collector's up to ten.

Source: go.opentelemetry.io/collector, ``exporter/exporterhelper``, ``sending_queue::num_consumers``.
"""
MOST_CONNECTIONS = 2_000
"""Connections there may be, those that never say anything included."""
HANDSHAKE = 10
"""Seconds in which a connection has to speak HTTP/2."""
IDLE = 120
"""Seconds after which a connection without a call is asked to reconnect."""

# Source: the services in opentelemetry-proto, opentelemetry/proto/collector/*/v1/*_service.proto.
SERVICES = {
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}


async def start(
    receiver: Receiver, executor: Executor, intake: Intake, host: str, port: int
) -> tuple[grpc.aio.Server, int]:
    """Return the server, started, and its port. Raises ``StoreError`` for an address that cannot be had."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.so_reuseport", 0),
            ("grpc.max_concurrent_streams", MOST_STREAMS),
            ("grpc.http2.bdp_probe", 0),  # it would let every connection send more before anyone reads
            ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE * 1000),
            ("grpc.max_connection_idle_ms", IDLE * 1000),
            ("grpc.max_connection_age_ms", CONNECTION_AGE * 1000),
            ("grpc.max_connection_age_grace_ms", GRACE * 1000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", GRACE * 1000),
        ]
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                service,
                {"Export": grpc.unary_unary_rpc_method_handler(_export(receiver, executor, intake, signal))},
            )
            for signal, service in SERVICES.items()
        )
    )
    name = f"[{host}]" if ":" in host else host
    try:
        bound = server.add_insecure_port(f"{name}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        msg = f"{name}:{port} cannot be had; stop what listens there, or name another with --grpc-port"
        raise StoreError(msg)
    await server.start()
    return server, bound


def _export(receiver: Receiver, executor: Executor, intake: Intake, signal: str) -> Any:
    # Bytes in, bytes out: what cannot be decoded gets the status that OTLP asks for.
    async def export(body: bytes, context: Any) -> bytes:
        # What is aborted lives on for a while, and must not keep its message.
        held = [body]
        del body
        answer = await answered(held)
        if isinstance(answer, bytes):
            return answer
        return await context.abort(*answer)  # type: ignore[no-any-return]

    async def answered(held: list[bytes]) -> bytes | tuple[grpc.StatusCode, str]:
        size = len(held[0])
        if not intake.fits(size):
            held.clear()
            return grpc.StatusCode.UNAVAILABLE, "more is arriving at once than there is room for; try again"
        try:
            with intake.holding(size):
                answer = await asyncio.get_running_loop().run_in_executor(
                    executor, lambda: receiver.receive(signal, held.pop())
                )
        except MalformedError as error:
            return grpc.StatusCode.INVALID_ARGUMENT, str(error)
        except BusyError as error:
            return grpc.StatusCode.UNAVAILABLE, f"the database cannot be written now ({error}); try again"
        except StoreError as error:
            return grpc.StatusCode.INTERNAL, str(error)
        data: bytes = answer.SerializeToString()
        return data

    return export
