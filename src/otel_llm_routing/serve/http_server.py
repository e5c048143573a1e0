"""OTLP over HTTP, and the page with its data, on one port."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import ipaddress
import re
import socket
import time
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from google.protobuf import json_format
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from otel_llm_routing.analyze.sources import SourceError
from otel_llm_routing.analyze.window import moment
from otel_llm_routing.serve.drawing import Drawings
from otel_llm_routing.serve.judging import Judging
from otel_llm_routing.serve.opening import StoreError
from otel_llm_routing.serve.packing import RefusedError, unpack
from otel_llm_routing.serve.receiver import MalformedError, Receiver
from otel_llm_routing.serve.self_metrics import CONTENT_TYPE, exposition
from otel_llm_routing.serve.store import BusyError, Store
from otel_llm_routing.serve.timeline import Timelines

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from starlette.requests import Request

    from otel_llm_routing.policy.reference import Reference
    from otel_llm_routing.policy.schema import Policy
    from otel_llm_routing.serve.intake import Intake
    from otel_llm_routing.serve.notices import Notices

MAX_BODY = 8 << 20
"""Bytes of one request's body, as sent."""
PATIENCE = 20.0
"""Seconds in which a request's head, and then its body, must arrive."""
MOST_CONNECTIONS = 400
"""Connections there may be; for one more, the one that has waited the longest is closed."""
CODES = {
    408: code_pb2.DEADLINE_EXCEEDED,
    413: code_pb2.RESOURCE_EXHAUSTED,
    500: code_pb2.INTERNAL,
    503: code_pb2.UNAVAILABLE,
}
_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"


class ImpatientProtocol(H11Protocol):
    """Closes a connection whose next request does not send its head in time; uvicorn waits for ever."""

    _timer: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._timer = self.loop.call_later(PATIENCE, self._give_up)
        if len(self.connections) > MOST_CONNECTIONS:
            # Those that only wait go first, then whoever does not send or read what was begun.
            others = [one for one in self.connections if isinstance(one, ImpatientProtocol) and one is not self]
            longest = min(others, key=lambda one: (not one.waiting, one._since))  # noqa: SLF001  (its own kind)
            self.connections.discard(longest)
            longest.transport.abort()

    @property
    def waiting(self) -> bool:
        """Whether no request is complete enough to be worked on."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        """Stop waiting when a request's head is complete, and begin when a new one has started."""
        super().data_received(data)
        if not self.waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._since = self.loop.time()
        elif self.waiting and self._timer is None:
            self._since = self.loop.time()
            self._timer = self.loop.call_later(PATIENCE, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        self._timer = None
        if self.waiting:
            self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ``StoreError`` for an address that cannot be had."""
    if not host:
        msg = "no address to listen on; name one with --host"
        raise StoreError(msg)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        instead = "name another with --host"
        if error.errno == errno.EADDRINUSE:
            instead = "stop what listens there, or name another with --http-port"
        elif error.errno == errno.EACCES:
            instead = "name another with --http-port"
        msg = f"{host}:{port} cannot be had ({error.strerror}); {instead}"
        raise StoreError(msg) from None
    return listener


def application(
    receiver: Receiver,
    store: Store,
    executor: Executor,
    host: str,
    *,
    intake: Intake,
    policy: Policy | None = None,
    reference: Reference | None = None,
) -> Starlette:
    """Return the HTTP application. ``policy`` and ``reference`` are what the page judges by, if there are any."""
    page = _page()
    headers = page_headers(page)
    timelines = Timelines(store.path, reference)
    judging = Judging(store.path, policy, reference)
    drawings = Drawings()

    def foreign(request: Request) -> bool:
        return foreign_host(request, host) or foreign_site(request)

    async def show(request: Request) -> Response:
        # Following a link from elsewhere is no harm: the page holds no data, and cannot be framed.
        opened = (
            request.headers.get("sec-fetch-mode") == "navigate" and request.headers.get("sec-fetch-dest") == "document"
        )
        if foreign_host(request, host) or (foreign_site(request) and not opened):
            return Response("open this page by the address that serve printed, not through another name\n", 403)
        return HTMLResponse(page, headers=headers)

    async def data(request: Request) -> Response:
        if foreign(request):
            return _not_for_others()
        now = time.time()
        try:
            since = moment(request.query_params.get("since", "1h"), now)
        except ValueError as error:
            return JSONResponse({"error": f"since: {error}"}, 400, headers=headers)
        loop = asyncio.get_running_loop()
        try:
            document = await loop.run_in_executor(executor, timelines.get, now - since)
        except SourceError as error:
            return JSONResponse({"error": str(error)}, 503, headers=headers)
        return JSONResponse({**document, "notices": store.notices.sentences()}, headers=headers)

    async def verdicts(request: Request) -> Response:
        if foreign(request):
            return _not_for_others()
        try:
            document = await asyncio.get_running_loop().run_in_executor(executor, judging.get)
        except SourceError as error:
            return JSONResponse({"error": str(error)}, 503, headers=headers)
        return JSONResponse(document, headers=headers)

    async def charts(request: Request) -> Response:
        if foreign(request):
            return _not_for_others()
        drawing = await drawings.get()
        return JSONResponse({"charts": drawing.charts, "error": drawing.error}, headers=headers)

    async def metrics(request: Request) -> Response:
        if foreign(request):
            return _not_for_others()
        text = await asyncio.get_running_loop().run_in_executor(executor, exposition, store)
        return Response(text, headers={**headers, "content-type": CONTENT_TYPE})

    async def vega(request: Request) -> Response:
        if foreign(request):
            return _not_for_others()
        drawing = await drawings.get()
        if not drawing.javascript:
            return Response(f"{drawing.error}\n", 404, headers=headers)
        kept = {**headers, "cache-control": "private, no-cache", "etag": drawing.tag}
        if request.headers.get("if-none-match") == drawing.tag:
            return Response(status_code=304, headers=kept)
        return Response(drawing.javascript, headers=kept, media_type="text/javascript")

    async def misdirected(_: Request) -> Response:
        # An exporter whose URL is taken as it is, as those of JavaScript are.
        message = "OTLP is taken at /v1/metrics, /v1/traces and /v1/logs: add one to the exporter's URL"
        _say(store.notices, 404, message)
        return Response(f"{message}\n", 404)

    endpoints = [
        Route(
            f"/v1/{signal}{slash}",
            _endpoint(receiver, executor, signal, host, intake=intake, notices=store.notices),
            methods=["POST"],
        )
        for signal in ("metrics", "traces", "logs")
        for slash in ("", "/")
    ]
    pages = [
        Route("/", misdirected, methods=["POST"]),
        Route("/api/mix", data),
        Route("/api/verdicts", verdicts),
        Route("/api/charts", charts),
        Route("/vega.js", vega),
        Route("/metrics", metrics),
    ]
    served = Starlette(routes=[*endpoints, Route("/", show), *pages])
    served.router.redirect_slashes = False  # it would send whoever asks to whatever host they name
    return served


def _page() -> str:
    """Return the page, with the style and the script in it that it shares with the report."""
    shared = resources.files("otel_llm_routing.analyze.report").joinpath("web")
    page = resources.files("otel_llm_routing.serve").joinpath("web", "page.html").read_text("utf-8")
    for name in ("charts.css", "charts.js"):
        page = page.replace(f"/* {name} */", shared.joinpath(name).read_text("utf-8"))
    return page


def _not_for_others() -> Response:
    return Response("not for other sites\n", 403)


# OTLP --------------------------------------------------------------------------------------------------------------


def _endpoint(
    receiver: Receiver, executor: Executor, signal: str, host: str, *, intake: Intake, notices: Notices
) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        as_json = kind == _JSON
        try:
            if kind not in (_JSON, _PROTOBUF):
                raise RefusedError(415, f"content-type is neither {_PROTOBUF} nor {_JSON}")  # noqa: TRY301
            if foreign_origin(request, host):
                raise RefusedError(403, "not from pages of other sites")  # noqa: TRY301
            body = await _body(request, intake)
            with intake.holding(len(body)):
                answer = await asyncio.get_running_loop().run_in_executor(
                    executor, lambda: receiver.receive(signal, unpack(body, request.headers), as_json=as_json)
                )
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except RefusedError as error:
            _say(notices, error.status, error)
            return _status(error.status, str(error), as_json=as_json)
        except MalformedError as error:
            _say(notices, 400, error)
            return _status(400, str(error), as_json=as_json)
        except BusyError as error:
            return _status(503, f"the database cannot be written now ({error}); try again", as_json=as_json)
        except StoreError as error:
            return _status(500, str(error), as_json=as_json)
        return _message(answer, 200, as_json=as_json)

    return endpoint


def _say(notices: Notices, status: int, message: object) -> None:
    """Write to the log what a sender has to change: some write nothing to theirs but the status."""
    if status < 500:  # noqa: PLR2004  (the rest is tried again)
        notices.log("turned away", "an export was refused with %d: %s", status, message)


async def _body(request: Request, intake: Intake) -> bytes:
    """Return the body, when all of it has arrived. Raises ``RefusedError`` and ``ClientDisconnect``."""
    too_large = RefusedError(413, f"the body is larger than {MAX_BODY} bytes; send smaller batches")
    chunks: list[bytes] = []
    arrival = intake.begin()

    async def read() -> None:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY:
                raise too_large
            if not arrival.done():
                chunks.append(chunk)
                intake.grow(arrival, len(chunk))

    declared = request.headers.get("content-length", "")
    reading: asyncio.Task[None] | None = None
    try:
        if declared.isdigit() and len(declared) < 20 and int(declared) > MAX_BODY:  # noqa: PLR2004
            raise too_large
        reading = asyncio.create_task(read())
        await asyncio.wait({reading, arrival}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if arrival.done():
            raise RefusedError(503, "more is arriving at once than there is room for; try again")
        if not reading.done():
            raise RefusedError(408, f"the body did not arrive within {PATIENCE:g} s")
        reading.result()
    finally:
        if reading is not None and not reading.done():
            reading.cancel()
        intake.end(arrival)
    return b"".join(chunks)


def _status(status: int, message: str, *, as_json: bool) -> Response:
    body = Status(code=CODES.get(status, code_pb2.INVALID_ARGUMENT), message=message)
    response = _message(body, status, as_json=as_json)
    if status == 503:  # noqa: PLR2004
        response.headers["retry-after"] = "1"
    return response


def _message(body: Any, status: int, *, as_json: bool) -> Response:
    if as_json:
        return Response(json_format.MessageToJson(body, indent=None), status, media_type=_JSON)
    return Response(body.SerializeToString(), status, media_type=_PROTOBUF)


# Who asks ----------------------------------------------------------------------------------------------------------


def page_headers(page: str) -> dict[str, str]:
    """Return the page's headers: nothing may run or be drawn but what the page itself and this server bring."""

    def hashes(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in found)

    return {
        "content-security-policy": (
            f"default-src 'none'; script-src {hashes('script')} 'self'; style-src {hashes('style')}; "
            "connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        ),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }


def loopback(name: str) -> bool:
    """Return whether ``name`` leads to this machine wherever it is looked up."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name(authority: str) -> str:
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def foreign_host(request: Request, host: str) -> bool:
    """Return whether a name that is not ours led here (DNS rebinding), which can be told only on loopback."""
    return loopback(host) and not loopback(_name(request.headers.get("host", "")))


def foreign_site(request: Request) -> bool:
    """Return whether a page of another site asks."""
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def foreign_origin(request: Request, host: str) -> bool:
    """Return whether a browser sends this from a page of another site. No OTLP exporter says an origin."""
    if foreign_site(request):
        return True
    origin = request.headers.get("origin")
    return origin is not None and loopback(host) and not loopback(_name(origin.partition("//")[2]))
