"""Asking anything with Prometheus' HTTP API: credentials, tries, redirects, and errors that say what to do.

``sources/prometheus.py`` reads counts through it, and ``checklist`` which rules are loaded.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import re
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import httpx

from otel_llm_routing.analyze.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ANSWER = 1 << 26
"""Bytes of one answer, unpacked; a larger one is too much for us."""
TIMEOUT = 30.0
"""Seconds that an answer may take."""
CONNECT_TIMEOUT = 5.0
TRIES = 3
BACKOFF = 0.5
"""Seconds before the second try; the third waits twice as long."""
LONGEST_WAIT = 10.0
"""Seconds that a server's Retry-After is heeded."""
REDIRECTS = 3
SHORT = 4
"""Characters of a user or password below which only whole words are taken for it."""

ENVIRONMENT = "OTEL_LLM_ROUTING_PROMETHEUS_"
EXAMPLE = "write prometheus:http://HOST:9090"
FOREIGN = "answers with JSON, but not as a Prometheus API does; check the address and its path"

_logger = logging.getLogger(__name__)


class TooMuchError(SourceError):
    """An answer that the server will not give, or that is too large; half of it might do."""


class PrometheusAPI:
    """The API at ``url``, which is that of ``--source prometheus:``.

    ``url`` may hold credentials (``http://USER:PASSWORD@HOST``), the path before ``/api/v1``, and ``?selector=``, label
    matchers for who asks about series to take in. Credentials, the tenant and a CA bundle are else read from the
    environment variables ``OTEL_LLM_ROUTING_PROMETHEUS_`` with ``USER``, ``PASSWORD``, ``TOKEN``, ``TENANT`` and
    ``CA``. What a server says of answers that may be incomplete is logged, once. Raises ``SourceError``, whose text
    never holds a secret.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self.warnings: list[str] = []
        """What was logged."""
        self.timeout = timeout
        self._secrets: list[str] = []
        self._headers: dict[str, str] = {}
        self._authorize(*self._take_apart(url))
        if tenant := _environment("TENANT"):
            self._headers["X-Scope-OrgID"] = tenant
        self._tls = _tls()

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Yield what ``ask`` asks with."""
        timeout = httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_TIMEOUT))
        try:
            client = httpx.Client(headers=self._headers, verify=self._tls, timeout=timeout)
        except (ImportError, ValueError, httpx.InvalidURL):
            raise self.error("cannot be asked: the environment names a proxy that is none; see HTTPS_PROXY") from None
        with client:
            yield client

    def ask(self, client: httpx.Client, path: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        """Return the data of the answer of ``/api/v1/`` ``path``: to ``form`` by POST, without one by GET."""
        return self._data(*self._send(client, path, form))

    def error(self, message: str) -> SourceError:
        """Return an error about this server."""
        return SourceError(f"{self.url} {message}")

    # The protocol ------------------------------------------------------------------------------------------------

    def _send(self, client: httpx.Client, path: str, form: dict[str, str] | None) -> tuple[httpx.Response, bytes]:
        """Return the answer and its body, after as many tries as it takes and may."""
        why = ""
        for backoff in (*(BACKOFF * 2**n for n in range(TRIES - 1)), None):
            pause = backoff
            try:
                response, body = self._request(client, path, form)
            except httpx.ConnectTimeout:
                why = "no connection in time"
            except httpx.TimeoutException:
                # Asking a busy server again makes it busier.
                raise self.error(
                    f"did not answer within {self.timeout:g} s; ask for a shorter time, or fewer series by ?selector="
                ) from None
            except httpx.TransportError as error:
                why = self._clean(str(error)) or type(error).__name__
            else:
                busy = response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error
                if backoff is None or not busy or _failure(_json(body)).get("errorType") == "timeout":
                    return response, body
                pause = _retry_after(response, backoff)
            if pause is not None:
                time.sleep(pause)
        raise self.error(f"cannot be reached ({why}); {_unreached(why)}")

    def _request(self, client: httpx.Client, path: str, form: dict[str, str] | None) -> tuple[httpx.Response, bytes]:
        """Ask, and follow redirects, but not to where the credentials have no business."""
        url = httpx.URL(f"{self.url}/api/v1/{path}")
        method = "GET" if form is None else "POST"
        deadline = time.monotonic() + self.timeout
        for _ in range(REDIRECTS + 1):
            with client.stream(method, url, data=form) as response:
                if response.next_request is None:
                    return response, self._read(response, deadline)
                to = response.next_request.url
            upgrade = (url.scheme, to.scheme) == ("http", "https")
            if to.host != url.host or not (upgrade or (to.scheme, to.port) == (url.scheme, url.port)):
                raise self.error(
                    f"sends us on to {to.scheme}://{_printable(to.netloc.decode('ascii', 'replace'))}, which is not "
                    "followed; name the address itself, or log in another way"
                )
            url = to
        raise self.error("sends us round in a circle of redirects; check the address and its path")

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        """Return the body, or give up: httpx's own timeout starts anew with every byte."""
        body = bytearray()
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER:
                    raise TooMuchError(
                        f"{self.url} answers with more than {MAX_ANSWER >> 20} MiB; ask for fewer series by ?selector="
                    )
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("")
        except httpx.DecodingError:
            raise self.error(
                "answers with a body that cannot be unpacked; is a proxy between that spoils it?"
            ) from None
        return bytes(body)

    def _data(self, response: httpx.Response, content: bytes) -> dict[str, Any]:
        """Return the data in ``response``, and note its warnings. Raises ``SourceError`` if it is none."""
        status = response.status_code
        body = _json(content)
        failure = _failure(body)
        said = "".join(f", {self._clean(str(failure[name]))}" for name in ("errorType", "error") if failure.get(name))
        if status == httpx.codes.UNPROCESSABLE_ENTITY:
            raise TooMuchError(f"{self.url} answers {status}{said}; ask for fewer series by ?selector=")
        if status != httpx.codes.OK or failure:
            reason = "" if said else f" {self._clean(response.reason_phrase)}"
            raise self.error(f"answers {status}{reason.rstrip()}{said}; {_todo(status, failure)}")
        if body is None:
            kind = self._clean(response.headers.get("content-type", "")).partition(";")[0] or "something"
            broken = "what is no whole JSON" if "json" in kind else f"{kind} instead of JSON"
            page = ", perhaps the page of a login" if "html" in kind else ""
            raise self.error(f"answers with {broken}{page}; check the address and the credentials")
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            raise self.error(FOREIGN)
        warnings = body.get("warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            self.warn(self._clean(str(warning)))
        if body.get("isPartial") is True:  # VictoriaMetrics' way of saying so
            self.warn("the answer is partial: some storage nodes did not take part")
        return data

    def warn(self, warning: str) -> None:
        """Note that an answer may be incomplete, and why."""
        if warning not in self.warnings:
            self.warnings.append(warning)
            _logger.warning("%s warns: %s", self.url, warning)

    def _clean(self, text: str) -> str:
        """Return a server's ``text`` as one short line without secrets."""
        for secret in self._secrets:
            # A user called "u" is not to be blotted out of every word.
            whole = rf"(?<!\w){re.escape(secret)}(?!\w)" if len(secret) < SHORT else re.escape(secret)
            text = re.sub(whole, "***", text)
        return _printable(" ".join(text.split()))[:300]

    # Setting up --------------------------------------------------------------------------------------------------

    def _take_apart(self, url: str) -> tuple[str, str]:
        """Set ``url`` and the selector, and return the user and the password in ``url``. Never quotes ``url``."""
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises, and must be asked
            user, password = parts.username or "", parts.password or ""
            self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
            host = httpx.URL(self.url).host
        except (ValueError, httpx.InvalidURL):
            host = ""
        if not host or re.search(r"[\s%\[]", host) or parts.scheme not in ("http", "https") or parts.fragment:
            raise SourceError(
                f"not the address of a Prometheus API; {EXAMPLE}, with / ? # @ & and % in passwords and selectors "
                "as %2F %3F %23 %40 %26 and %25"
            ) from None
        self._secrets += [user, password]
        self.selector = ""
        for part in filter(None, parts.query.split("&")):
            name, _, value = part.partition("=")
            if name != "selector":
                raise SourceError(f'{self.url} takes no {_printable(name)!r}; {EXAMPLE}?selector=job="shop"')
            # Not parse_qs, which makes the + of a regular expression a space.
            self.selector = unquote(value).strip().removeprefix("{").removesuffix("}")
        return unquote(user), unquote(password)

    def _authorize(self, user: str, password: str) -> None:
        token = ""
        if not user:
            user, password, token = _environment("USER"), _environment("PASSWORD"), _environment("TOKEN")
        if user and token:
            raise SourceError(f"{ENVIRONMENT}USER and {ENVIRONMENT}TOKEN are both set; unset one")
        basic = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        if user or token:
            self._headers["Authorization"] = f"Basic {basic}" if user else f"Bearer {token}"
        # The longest first, or what is left of one that holds another would be shown.
        self._secrets = sorted(filter(None, (*self._secrets, user, password, token, basic)), key=len, reverse=True)


def _environment(name: str) -> str:
    """Return an environment variable of ours, fit for a header."""
    value = os.environ.get(ENVIRONMENT + name, "").strip()
    if not (value.isascii() and value.isprintable()) and name not in ("USER", "PASSWORD"):
        raise SourceError(f"{ENVIRONMENT}{name} holds characters that cannot be sent; only printable ASCII can")
    return value


def _tls() -> ssl.SSLContext | bool:
    path = os.environ.get(ENVIRONMENT + "CA", "")
    if not path:
        return True
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise SourceError(f"{ENVIRONMENT}CA: {path}: not a readable CA bundle ({error.strerror or error})") from None


def _retry_after(response: httpx.Response, default: float) -> float:
    try:
        seconds = float(response.headers["retry-after"])
    except (KeyError, ValueError):  # absent, or a date
        return default
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else default


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _failure(body: Any) -> dict[str, Any]:
    """Return the API's answer if it says that something failed, else nothing."""
    return body if isinstance(body, dict) and body.get("status") == "error" else {}


def _unreached(why: str) -> str:
    """Return what to do where there is no connection."""
    if "CERTIFICATE" not in why:
        return "is it running, and the address right?"
    if "mismatch" in why:
        return "name it as its certificate does"
    if "expired" in why:
        return "it needs a new certificate"
    return f"set {ENVIRONMENT}CA to its CA's file"


def _todo(status: int, failure: dict[str, Any]) -> str:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return f"set {ENVIRONMENT}USER and …PASSWORD, or …TOKEN, and …TENANT where there is one"
    if status == httpx.codes.NOT_FOUND:
        return "there is no Prometheus API; is a path missing, such as Mimir's /prometheus?"
    if failure.get("errorType") == "timeout":
        return "ask for a shorter time, or fewer series by ?selector="
    if status == httpx.codes.BAD_REQUEST:
        return "check ?selector= and the tenant"
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return "try again later; its log says more"
    return "check the address and its path"


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())
