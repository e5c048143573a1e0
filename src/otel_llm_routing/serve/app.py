"""Starts the servers, tidies the database, and stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn

from otel_llm_routing.serve import grpc_server, http_server
from otel_llm_routing.serve.clock import Clock
from otel_llm_routing.serve.intake import Intake
from otel_llm_routing.serve.limits import Limits
from otel_llm_routing.serve.receiver import Receiver
from otel_llm_routing.serve.store import Store

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy

WORKERS = 4
"""Exports that are decoded at a time, which bounds the memory they take."""
TIDY = 60
"""Seconds between two looks for what is old enough to be deleted."""
FILES = 4096
"""Files that may be open at a time, connections included, if the system lets us."""


@dataclass(frozen=True, slots=True)
class Options:
    """What ``otel-llm-routing serve`` is told."""

    db: str
    host: str = "127.0.0.1"
    grpc_port: int = 4317
    http_port: int = 4318
    retention_days: float = 90
    limits: Limits = field(default_factory=Limits)
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
    _allow_files()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(http_server.bind(options.host, options.http_port))
        store = Store(options.db, limits=options.limits)
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
    intake = Intake()
    clock = Clock()
    http = _Server(
        uvicorn.Config(
            http_server.application(
                receiver,
                store,
                executor,
                options.host,
                intake=intake,
                policy=options.policy,
                reference=options.reference,
            ),
            http=http_server.ImpatientProtocol,
            ws="none",
            log_level="error",  # a warning is what any client can cause, as often as it likes
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
    grpc, port = await grpc_server.start(receiver, executor, intake, options.host, options.grpc_port)
    try:
        serving = asyncio.ensure_future(http.serve(sockets=[listener]))
        ready(port, listener.getsockname()[1])
        while not serving.done():
            now = clock.now()
            await loop.run_in_executor(executor, store.forget, now - options.retention_days * 86_400, now)
            await asyncio.wait([serving], timeout=TIDY)
        await serving
    finally:
        await grpc.stop(3)


def _allow_files() -> None:
    """Raise the number of files that may be open, where it is lower than what connections can take up."""
    try:
        import resource  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
