"""Starts the servers, tidies the database, and stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from otel_llm_routing.serve import grpc_server, http_server
from otel_llm_routing.serve.receiver import Receiver
from otel_llm_routing.serve.store import MAX_SERIES, Store

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy

WORKERS = 4
"""Exports that are decoded at a time, which bounds the memory they take."""
TIDY = 600
"""Seconds between two looks for what is old enough to be deleted."""


@dataclass(frozen=True, slots=True)
class Options:
    """What ``otel-llm-routing serve`` is told."""

    db: str
    host: str = "127.0.0.1"
    grpc_port: int = 4317
    http_port: int = 4318
    retention_days: float = 90
    max_series: int = MAX_SERIES
    policy: Policy | None = None
    reference: Reference | None = None
    """What the page judges by, and compares with."""


class _Server(uvicorn.Server):
    """A server that leaves the signals to us: there is a second one to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def run(options: Options, ready: Callable[[int, int], None]) -> None:
    """Serve until SIGINT or SIGTERM. ``ready`` is called with the gRPC and the HTTP port. Raises ``StoreError``."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(http_server.bind(options.host, options.http_port))
        store = Store(options.db, options.max_series)
        stack.callback(store.close)
        executor = stack.enter_context(ThreadPoolExecutor(WORKERS))
        asyncio.run(_serve(options, store, executor, listener, ready))


async def _serve(
    options: Options,
    store: Store,
    executor: ThreadPoolExecutor,
    listener: socket.socket,
    ready: Callable[[int, int], None],
) -> None:
    receiver = Receiver(store)
    http = _Server(
        uvicorn.Config(
            http_server.application(
                receiver, store, executor, options.host, policy=options.policy, reference=options.reference
            ),
            http=http_server.ImpatientProtocol,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            limit_concurrency=512,
            timeout_graceful_shutdown=3,
            lifespan="off",
        )
    )
    loop = asyncio.get_running_loop()

    def stop(*_: object) -> None:
        http.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        if sys.platform == "win32":
            signal.signal(number, stop)
        else:
            loop.add_signal_handler(number, stop)
    grpc, port = await grpc_server.start(receiver, executor, options.host, options.grpc_port)
    try:
        serving = asyncio.ensure_future(http.serve(sockets=[listener]))
        ready(port, listener.getsockname()[1])
        while not serving.done():
            before = time.time() - options.retention_days * 86_400
            await loop.run_in_executor(executor, store.forget, before)
            await asyncio.wait([serving], timeout=TIDY)
        await serving
    finally:
        await grpc.stop(3)
