"""OTLP over gRPC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from otel_llm_routing.serve.receiver import MalformedError, Receiver
from otel_llm_routing.serve.store import BusyError, StoreError

if TYPE_CHECKING:
    from concurrent.futures import Executor

MAX_MESSAGE = 8 << 20
"""Bytes of one message, as sent and again when unpacked."""
CONNECTION_AGE = 600
"""Seconds after which a connection is asked to reconnect, so that a call that never arrives does not stay for ever."""
GRACE = 20
"""Seconds that such a connection's calls have left."""

# Source: the services in opentelemetry-proto, opentelemetry/proto/collector/*/v1/*_service.proto.
SERVICES = {
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
}


async def start(receiver: Receiver, executor: Executor, host: str, port: int) -> tuple[grpc.aio.Server, int]:
    """Return the server, started, and its port. Raises ``StoreError`` for an address that cannot be had."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.so_reuseport", 0),
            ("grpc.max_connection_age_ms", CONNECTION_AGE * 1000),
            ("grpc.max_connection_age_grace_ms", GRACE * 1000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", GRACE * 1000),
        ]
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.unary_unary_rpc_method_handler(_export(receiver, executor, signal))}
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


def _export(receiver: Receiver, executor: Executor, signal: str) -> Any:
    # Bytes in, bytes out: what cannot be decoded gets the status that OTLP asks for.
    async def export(body: bytes, context: Any) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(executor, lambda: receiver.receive(signal, body))
        except MalformedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except BusyError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the database is busy ({error}); try again")
        except StoreError as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        data: bytes = answer.SerializeToString()
        return data

    return export
