"""The servers: OTLP over gRPC and over HTTP, and the page."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import signal
import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import TYPE_CHECKING, Any

import grpc
import uvicorn
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from otel_llm_routing.analyze.shares import mix
from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.sources.sqlite import BUCKET, SQLiteSource
from otel_llm_routing.serve import receiver
from otel_llm_routing.serve.store import BusyError, Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

MAX_BODY = 8 << 20
"""Bytes of one request's body, as sent."""
MAX_UNPACKED = 64 << 20
"""Bytes of one request's body, unpacked."""
READ_TIMEOUT = 20.0
"""Seconds in which a request's body must arrive."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class _RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def ingest_metrics(store: Store, request: Any) -> Any:
    """Store the metrics of ``request`` and return the OTLP response."""
    points, refused = receiver.points(request)
    store.write(points)
    response = metrics_service_pb2.ExportMetricsServiceResponse()
    if refused:
        response.partial_success.rejected_data_points = refused
        response.partial_success.error_message = "points without temporality, negative, or of the wrong kind"
    return response


def ingest_traces(store: Store, request: Any) -> Any:
    """Count the model calls among the spans of ``request`` and return the OTLP response."""
    store.write((), receiver.spans(request))
    return trace_service_pb2.ExportTraceServiceResponse()


def ingest_logs(store: Store, request: Any) -> Any:  # noqa: ARG001
    """Accept logs, of which nothing is kept, so that a sender of all three signals is content."""
    return logs_service_pb2.ExportLogsServiceResponse()


# OTLP/HTTP ---------------------------------------------------------------------------------------------------------


async def _body(request: Request) -> bytes:
    chunks, size = [], 0

    async def read() -> None:
        nonlocal size
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY:
                raise _RefusedError(413, f"the body is larger than {MAX_BODY} bytes; send smaller batches")
            chunks.append(chunk)

    try:
        await asyncio.wait_for(read(), READ_TIMEOUT)
    except asyncio.TimeoutError:
        raise _RefusedError(408, f"the body did not arrive within {READ_TIMEOUT:g} s") from None
    data = b"".join(chunks)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return data
    try:
        if coding == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as unzip:
                unpacked = unzip.read(MAX_UNPACKED + 1)
        elif coding == "deflate":
            unpacked = zlib.decompressobj().decompress(data, MAX_UNPACKED + 1)
        else:
            raise _RefusedError(415, f"content-encoding {coding!r} is not gzip, deflate or identity")
    except (OSError, EOFError, zlib.error) as error:
        raise _RefusedError(400, f"the body is not {coding}: {error}") from None
    if len(unpacked) > MAX_UNPACKED:
        raise _RefusedError(413, f"the body unpacks to more than {MAX_UNPACKED} bytes")
    return unpacked


def _endpoint(store: Store, message: type, ingest: Callable[[Store, Any], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        as_json = kind == "application/json"
        try:
            if kind not in ("application/json", "application/x-protobuf"):
                return _status(415, "content-type is not application/x-protobuf or application/json", as_json=False)
            data = await _body(request)
            answer = await run_in_threadpool(_export, store, message, ingest, data, as_json)
        except _RefusedError as refused:
            return _status(refused.status, str(refused), as_json=as_json)
        except BusyError as busy:
            response = _status(503, f"the database is busy ({busy}); try again", as_json=as_json)
            response.headers["retry-after"] = "1"
            return response
        if as_json:
            return Response(json_format.MessageToJson(answer), media_type="application/json")
        return Response(answer.SerializeToString(), media_type="application/x-protobuf")

    return endpoint


def _export(store: Store, message: type, ingest: Callable[[Store, Any], Any], data: bytes, as_json: bool) -> Any:
    request = message()
    try:
        if as_json:
            document = json.loads(data)
            if not isinstance(document, dict):
                raise TypeError  # noqa: TRY301
            _hex_to_base64(document)
            json_format.ParseDict(document, request, ignore_unknown_fields=True, max_recursion_depth=64)
        else:
            request.ParseFromString(data)
    except Exception as error:  # noqa: BLE001  (whatever the decoder says of a hostile body, it is the body's fault)
        raise _RefusedError(400, f"the body cannot be read as OTLP: {type(error).__name__}") from None
    return ingest(store, request)


def _hex_to_base64(document: Any, depth: int = 0) -> None:
    """Turn OTLP/JSON's hexadecimal ids into the base64 that protobuf's JSON mapping wants, in place.

    Source: opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding".
    """
    if depth > 32:  # noqa: PLR2004
        msg = "nested too deeply"
        raise ValueError(msg)
    if isinstance(document, list):
        for item in document:
            _hex_to_base64(item, depth + 1)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name in ("traceId", "spanId", "parentSpanId") and isinstance(value, str):
                import base64  # noqa: PLC0415

                document[name] = base64.b64encode(bytes.fromhex(value)).decode()
            else:
                _hex_to_base64(value, depth + 1)


def _status(status: int, message: str, *, as_json: bool) -> Response:
    from google.rpc.status_pb2 import Status  # noqa: PLC0415

    code = {503: 14, 413: 8, 408: 4}.get(status, 3)  # google.rpc.Code
    body = Status(code=code, message=message)
    if as_json:
        return Response(json_format.MessageToJson(body), status, media_type="application/json")
    return Response(body.SerializeToString(), status, media_type="application/x-protobuf")


# OTLP/gRPC ---------------------------------------------------------------------------------------------------------


def _servicer(base: type, store: Store, ingest: Callable[[Store, Any], Any]) -> Any:
    class Servicer(base):  # type: ignore[misc]
        def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
            try:
                return ingest(store, request)
            except BusyError as busy:
                context.abort(grpc.StatusCode.UNAVAILABLE, f"the database is busy ({busy}); try again")

    return Servicer()


def grpc_server(store: Store, host: str, port: int) -> tuple[grpc.Server, int]:
    """Return the gRPC server, started, and its port. Raises ``StoreError`` for a port that is taken."""
    server = grpc.server(
        ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", MAX_UNPACKED), ("grpc.so_reuseport", 0)],
    )
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(
        _servicer(metrics_service_pb2_grpc.MetricsServiceServicer, store, ingest_metrics), server
    )
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(
        _servicer(trace_service_pb2_grpc.TraceServiceServicer, store, ingest_traces), server
    )
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(
        _servicer(logs_service_pb2_grpc.LogsServiceServicer, store, ingest_logs), server
    )
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        msg = f"{host}:{port} is taken; stop what listens there, or name another with --grpc-port"
        raise StoreError(msg)
    server.start()
    return server, bound


# The page ----------------------------------------------------------------------------------------------------------

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def application(store: Store, host: str) -> Starlette:
    """Return the HTTP application: OTLP, the page, and its data."""
    web = resources.files("otel_llm_routing.serve").joinpath("web")
    page, script = (web.joinpath(name).read_text("utf-8") for name in ("page.html", "page.js"))

    def foreign(request: Request) -> bool:
        # A page elsewhere must not read ours through a name that resolves to this machine.
        name = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        site = request.headers.get("sec-fetch-site", "none")
        return host in LOOPBACK and (name.strip("[]") not in LOOPBACK or site not in ("none", "same-origin"))

    async def show(request: Request) -> Response:
        if foreign(request):
            return Response("open this page as http://127.0.0.1, not through another name or site\n", 403)
        if request.url.path == "/page.js":
            return Response(script, media_type="text/javascript", headers=_HEADERS)
        return HTMLResponse(page, headers=_HEADERS)

    async def data(request: Request) -> Response:
        if foreign(request):
            return Response("not for other sites\n", 403)
        try:
            seconds = min(max(float(request.query_params.get("seconds", "3600")), 60), 90 * 86_400)
        except ValueError:
            return JSONResponse({"error": "seconds is not a number"}, 400)
        try:
            document = await run_in_threadpool(timeline, store.path, seconds)
        except SourceError as error:
            return JSONResponse({"error": str(error)}, 503, headers=_HEADERS)
        return JSONResponse(document, headers=_HEADERS)

    return Starlette(
        routes=[
            Route(
                "/v1/metrics",
                _endpoint(store, metrics_service_pb2.ExportMetricsServiceRequest, ingest_metrics),
                methods=["POST"],
            ),
            Route(
                "/v1/traces",
                _endpoint(store, trace_service_pb2.ExportTraceServiceRequest, ingest_traces),
                methods=["POST"],
            ),
            Route(
                "/v1/logs", _endpoint(store, logs_service_pb2.ExportLogsServiceRequest, ingest_logs), methods=["POST"]
            ),
            Route("/", show),
            Route("/page.js", show),
            Route("/api/mix", data),
        ]
    )


def timeline(path: str, seconds: float) -> dict[str, Any]:
    """Return what the page draws: for each surface the requests of each served model over time, and the totals."""
    source = SQLiteSource(path)
    end = time.time()
    start = end - seconds
    width = max(BUCKET, int(seconds / 60) // BUCKET * BUCKET)
    slots: dict[str, dict[str, dict[int, int]]] = {}
    for count in source.counts(start, end + BUCKET):
        if count.cached:
            continue
        known = count.match in ("exact", "resolved", "substituted")
        served = slots.setdefault(count.surface, {}).setdefault(count.served if known else "", {})
        slot = count.start // width * width
        served[slot] = served.get(slot, 0) + count.requests
    surfaces = []
    for of in mix(source, start, end + BUCKET):
        series = [
            {"served": name, "points": sorted(points.items())}
            for name, points in sorted(slots.get(of.surface, {}).items())
        ]
        surfaces.append(
            {
                "surface": of.surface,
                "requests": of.requests,
                "errors": of.errors,
                "unknown_share": of.unknown_share,
                "shares": of.by_model(),
                "series": series,
            }
        )
    return {"start": int(start), "end": int(end), "width": width, "surfaces": surfaces}


# Running -----------------------------------------------------------------------------------------------------------


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ``StoreError`` for an address that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        msg = (
            f"{host}:{port} cannot be had ({error.strerror}); stop what listens there, or name another with --http-port"
        )
        raise StoreError(msg) from None
    return listener


def run(
    db: str, host: str, grpc_port: int, http_port: int, retention_days: float, ready: Callable[[int, int], None]
) -> None:
    """Serve until interrupted. ``ready`` is called with the gRPC and the HTTP port. Raises ``StoreError``."""
    store = Store(db)
    try:
        listener = bind(host, http_port)
        otlp, bound = grpc_server(store, host, grpc_port)
        config = uvicorn.Config(
            application(store, host),
            log_level="warning",
            access_log=False,
            timeout_keep_alive=30,
            limit_concurrency=256,
            timeout_graceful_shutdown=3,
            lifespan="off",
        )
        server = uvicorn.Server(config)
        stopped = False

        def stop(*_: object) -> None:
            nonlocal stopped
            stopped = True
            server.should_exit = True

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(number, stop)
            serving = asyncio.ensure_future(server._serve([listener]))  # noqa: SLF001  (serve() would take the signals)
            ready(bound, listener.getsockname()[1])
            while not serving.done():
                await run_in_threadpool(store.forget, time.time() - retention_days * 86_400)
                await asyncio.wait([serving], timeout=60)
            await serving

        asyncio.run(main())
        otlp.stop(2).wait()
    finally:
        store.close()
