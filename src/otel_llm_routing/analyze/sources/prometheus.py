"""Counts from anything with Prometheus' HTTP API: Prometheus, Mimir, Thanos, VictoriaMetrics."""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import re
import ssl
import time
from collections import defaultdict
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import httpx

from otel_llm_routing import semconv
from otel_llm_routing.analyze.sources import Count, SizeCount, SourceError, TokenCount
from otel_llm_routing.analyze.sources.series import clean, words
from otel_llm_routing.analyze.sources.series import key as series_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otel_llm_routing.analyze.sources import Progress

SLICE = 300
"""Seconds in which increases are counted, unless the step is smaller."""
LOOKBACK = 21_600
"""Seconds before a slice in which a counter's previous value is looked for, as long as the generated rules do: after a
longer silence it counts whole, as if it were new."""
CHUNK = 2_016
"""Slices a query, a week of five minutes. Prometheus refuses more than 11,000 points a series."""
LEAST_CHUNK = 12
"""A server that says a query is too much for it is asked for half the time, down to so many slices."""
MAX_ANSWER = 1 << 26
"""Bytes of one answer, unpacked; a larger one is too much for us."""
HISTORY = 52
"""Weeks before the current one that ``extent`` looks back."""
WEEKS = 4
"""Weeks that one query of ``extent`` looks at: hosted stores refuse queries over more than about a month."""
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
AHEAD = 60.0
"""Seconds that the clock of a sender may be ahead of ours."""

ENVIRONMENT = "OTEL_LLM_ROUTING_PROMETHEUS_"
EXAMPLE = "write prometheus:http://HOST:9090"
FOREIGN = "answers with JSON, but not as a Prometheus API does; check the address and its path"

LABELS = {name: name.replace(".", "_") for name in semconv.REQUEST_ATTRIBUTES}
METRIC = semconv.REQUESTS.replace(".", "_") + "_total"
SIZES = semconv.INPUT_SIZE.replace(".", "_") + "_bucket"
SIZE_LABELS = (semconv.SURFACE, semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL)
TOKENS = tuple(name.replace(".", "_") + "_total" for name in (semconv.INPUT_TOKENS_TOTAL, semconv.OUTPUT_TOKENS_TOTAL))
TOKEN_LABELS = (semconv.SURFACE, semconv.PROVIDER, semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL)

_logger = logging.getLogger(__name__)


class _TooMuchError(SourceError):
    """An answer that the server will not give, or that is too large; half of it might do."""


class _TokenKey(NamedTuple):
    """What tokens are counted apart by; the first fields of ``TokenCount``."""

    surface: str
    provider: str
    requested: str
    served: str


class _SizeKey(NamedTuple):
    """What is counted apart in the histogram of sizes; the fields of ``SizeCount`` between the time and the number."""

    surface: str
    requested: str
    served: str
    bound: float


K = TypeVar("K", _SizeKey, _TokenKey, "tuple[str, ...]")


class PrometheusSource:
    """Reads the counter ``llm_routing_requests_total`` through the API at ``url``.

    ``url`` may hold credentials (``http://USER:PASSWORD@HOST``), the path before ``/api/v1``, and ``?selector=``, label
    matchers that every query takes in. Credentials, the tenant and a CA bundle are else read from the environment
    variables ``OTEL_LLM_ROUTING_PROMETHEUS_`` with ``USER``, ``PASSWORD``, ``TOKEN``, ``TENANT`` and ``CA``. What a
    server says of answers that may be incomplete is logged, once. Raises ``SourceError``, whose text never holds a
    secret.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, progress: Progress | None = None) -> None:
        self.warnings: list[str] = []
        """What was logged."""
        self._progress = progress
        self._timeout = timeout
        self._secrets: list[str] = []
        self._headers: dict[str, str] = {}
        self._authorize(*self._take_apart(url))
        if tenant := _environment("TENANT"):
            self._headers["X-Scope-OrgID"] = tenant
        self._tls = _tls()

    def warned(self, start: float) -> list[str]:  # noqa: ARG002  (see Source)
        """Return the warnings: servers do not say which time theirs are about."""
        return list(self.warnings)

    def counts(self, start: float, end: float, step: int = 0) -> Iterator[Count]:
        """Yield the counts of the slices that begin in ``[start, end)``, ``step`` seconds of them added up.

        Slices are of 5 minutes, or of ``step`` seconds where that is less, and begin at multiples of their length, as
        the buckets of the embedded store do. 0 gives every slice by itself. Of a ``step`` that is no multiple of 5
        minutes each takes the slices that begin in it, so that none is lost or counted twice.
        """
        query = _sum((*LABELS.values(), "job"), self._increase(METRIC, _length(step)))
        for at, key, value in self._totals(query, start, end, step, _key):
            if requests := round(value):
                yield Count.of(at, key, requests)

    def sizes(self, start: float, end: float, step: int = 0) -> Iterator[SizeCount]:
        """Yield how many requests were of which size, of the slices of ``counts``; see ``Source.sizes``.

        They are read from ``llm_routing_input_size_bucket``, a classic histogram; a server that keeps native histograms
        alone gives none. Where processes count with different bounds, a request counts as of the largest size that it
        may have had.
        """
        grown = self._increase(SIZES, _length(step), "le")
        query = _sum((*(LABELS[name] for name in SIZE_LABELS), "le"), grown)
        found = self._totals(query, start, end, step, _size_key)
        for (at, *_), bins in groupby(found, key=lambda item: (item[0], *item[1][:-1])):
            below = 0
            for _, key, value in bins:
                # Cumulative over the bounds, which come in their order.
                if (upto := round(value)) > below:
                    yield SizeCount(at, key.surface, key.requested, key.served, key.bound, upto - below)
                    below = upto

    def tokens(self, start: float, end: float) -> Iterator[TokenCount]:
        """Yield how many tokens were read and written in the slices of ``counts``; see ``Source.tokens``."""
        step = max(math.ceil(end - start), 1)
        for metric in TOKENS:
            query = _sum((LABELS[name] for name in TOKEN_LABELS), self._increase(metric, _length(step)))
            for _, key, value in self._totals(query, start, end, step, _token_key):
                if tokens := round(value):
                    yield TokenCount(*key, *((tokens, 0) if metric == TOKENS[0] else (0, tokens)))

    def extent(self) -> tuple[int, int] | None:
        """Return when the first and the last slice begin that hold requests; None if there are none within a year."""
        now = time.time() + AHEAD
        week = CHUNK * SLICE
        current = int(now) // week * week
        present = f"count(max_over_time({METRIC}{{{self._selector}}}[{week}s]) > 0)"
        counted = f"sum({self._increase(METRIC, SLICE)}) > 0"
        weeks: list[int] = []
        with self._client() as client:

            def slices(begin: int) -> list[int]:
                upto = math.ceil(min(begin + week, now) / SLICE) * SLICE
                return [at for _, values in self._ask(client, counted, begin, upto, SLICE) for at, _ in values]

            for begin in range(current - HISTORY * week, current, WEEKS * week):
                answer = self._ask(client, present, begin, begin + WEEKS * week, week)
                weeks += [at for _, values in answer for at, _ in values]
            weeks.append(current)
            # A week in which an old counter only stood still holds no requests: go on to the next one.
            first = next((found[0] for begin in weeks if (found := slices(begin))), None)
            if first is None:
                return None
            last = next(found[-1] for begin in reversed(weeks) if (found := slices(begin)))
        return first, last

    # The query ---------------------------------------------------------------------------------------------------

    def _increase(self, metric: str, length: int, apart: str = "") -> str:
        """Return what every series grew by in the slice of ``length`` seconds that ends at the time of evaluation.

        Not ``increase()``: that extrapolates, and loses the first value of a new series, which is most of what a rare
        model says. A series with no value in the time before was born, and counts whole. One that fell was reset: it
        counts up to its highest value, and from zero to its last. Series that differ only in the label ``apart`` are
        one counter: if one of them was reset before the slice, all of them were.
        """
        series = f"{metric}{{{self._selector}}}"
        last = f"last_over_time({series}[{length}s])"
        most = f"max_over_time({series}[{length}s])"
        before = f"last_over_time({series}[{LOOKBACK}s] offset {length}s)"
        grown = f"{most} - {before} >= 0"
        if apart:
            grown = f"({most} - {before}) unless ignoring({apart}) ({most} - {before} < 0)"
        # NaN is not below Inf either: one would spoil the sum.
        return f"((({grown}) or {most}) + {last} * ({last} < bool {most})) < Inf"

    def _totals(
        self, query: str, start: float, end: float, step: int, key_of: Callable[[dict[str, str]], K]
    ) -> Iterator[tuple[int, K, float]]:
        """Yield what ``query`` gives for the slices that begin in ``[start, end)``, by step and key, in their order."""
        step = int(step)
        length = _length(step)
        origin = int(start)

        def slot(begin: int) -> int:
            return origin + (begin - origin) // step * step if step else begin

        begin = math.ceil(start / length) * length
        # Nothing can have been counted in slices that are still to come, and some servers refuse to look there.
        stop = math.ceil(min(end, time.time() + AHEAD) / length) * length
        first = begin
        chunk = CHUNK * length
        totals: dict[tuple[int, K], float] = defaultdict(float)
        with self._client() as client:
            while begin < stop:
                upto = min(begin + chunk, stop)
                try:
                    answer = self._ask(client, query, begin, upto, length)
                except _TooMuchError:
                    chunk = (upto - begin) // length // 2 * length
                    if chunk < LEAST_CHUNK * length:
                        raise
                    continue
                for labels, values in answer:
                    key = key_of(labels)
                    for at, value in values:
                        totals[slot(at), key] += value
                if self._progress:
                    self._progress((upto - first) // length, (stop - first) // length)
                for at, key in sorted(of for of in totals if upto >= stop or of[0] < slot(upto)):
                    yield at, key, totals.pop((at, key))
                begin = upto

    def _ask(
        self, client: httpx.Client, query: str, begin: int, upto: int, length: int
    ) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
        """Return the series of ``query``: labels, and values with the beginning of the slice that each is of.

        The slices begin in ``[begin, upto)``. Their ends are multiples of ``length``: Thanos and VictoriaMetrics move
        other times to such ones.
        """
        form = {
            "query": query,
            "start": str(begin + length),
            "end": str(upto),
            "step": str(length),
            "timeout": f"{max(1, round(self._timeout))}s",
        }
        series = self._result(*self._send(client, form))
        try:
            return [
                (
                    {str(name): str(value) for name, value in one["metric"].items()},
                    [
                        (at, value)
                        for at, value in ((round(float(t)) - length, float(v)) for t, v in one.get("values", ()))
                        if begin <= at < upto and 0 < value < math.inf
                    ],
                )
                for one in series
            ]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise self._error(FOREIGN) from None

    # The protocol ------------------------------------------------------------------------------------------------

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        timeout = httpx.Timeout(self._timeout, connect=min(self._timeout, CONNECT_TIMEOUT))
        try:
            client = httpx.Client(headers=self._headers, verify=self._tls, timeout=timeout)
        except (ImportError, ValueError, httpx.InvalidURL):
            raise self._error("cannot be asked: the environment names a proxy that is none; see HTTPS_PROXY") from None
        with client:
            yield client

    def _send(self, client: httpx.Client, form: dict[str, str]) -> tuple[httpx.Response, bytes]:
        """Return the answer to ``form`` and its body, after as many tries as it takes and may."""
        why = ""
        for backoff in (*(BACKOFF * 2**n for n in range(TRIES - 1)), None):
            pause = backoff
            try:
                response, body = self._post(client, form)
            except httpx.ConnectTimeout:
                why = "no connection in time"
            except httpx.TimeoutException:
                # Asking a busy server again makes it busier.
                raise self._error(
                    f"did not answer within {self._timeout:g} s; ask for a shorter time, or fewer series by ?selector="
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
        todo = (
            f"set {ENVIRONMENT}CA to its CA's file" if "CERTIFICATE" in why else "is it running, and the address right?"
        )
        raise self._error(f"cannot be reached ({why}); {todo}")

    def _post(self, client: httpx.Client, form: dict[str, str]) -> tuple[httpx.Response, bytes]:
        """Post ``form`` and follow redirects, but not to where the credentials have no business."""
        url = httpx.URL(f"{self.url}/api/v1/query_range")
        deadline = time.monotonic() + self._timeout
        for _ in range(REDIRECTS + 1):
            with client.stream("POST", url, data=form) as response:
                if response.next_request is None:
                    return response, self._read(response, deadline)
                to = response.next_request.url
            upgrade = (url.scheme, to.scheme) == ("http", "https")
            if to.host != url.host or not (upgrade or (to.scheme, to.port) == (url.scheme, url.port)):
                raise self._error(
                    f"sends us on to {to.scheme}://{_printable(to.netloc.decode('ascii', 'replace'))}, which is not "
                    "followed; name the address itself, or log in another way"
                )
            url = to
        raise self._error("sends us round in a circle of redirects; check the address and its path")

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        """Return the body, or give up: httpx's own timeout starts anew with every byte."""
        body = bytearray()
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > MAX_ANSWER:
                    raise _TooMuchError(
                        f"{self.url} answers with more than {MAX_ANSWER >> 20} MiB; ask for fewer series by ?selector="
                    )
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("")
        except httpx.DecodingError:
            raise self._error(
                "answers with a body that cannot be unpacked; is a proxy between that spoils it?"
            ) from None
        return bytes(body)

    def _result(self, response: httpx.Response, content: bytes) -> list[Any]:
        """Return the result in ``response``, and note its warnings. Raises ``SourceError`` if it is none."""
        status = response.status_code
        body = _json(content)
        failure = _failure(body)
        said = "".join(f", {self._clean(str(failure[name]))}" for name in ("errorType", "error") if failure.get(name))
        if status == httpx.codes.UNPROCESSABLE_ENTITY:
            raise _TooMuchError(f"{self.url} answers {status}{said}; ask for fewer series by ?selector=")
        if status != httpx.codes.OK or failure:
            reason = "" if said else f" {self._clean(response.reason_phrase)}"
            raise self._error(f"answers {status}{reason.rstrip()}{said}; {_todo(status, failure)}")
        if body is None:
            kind = self._clean(response.headers.get("content-type", "")).partition(";")[0] or "something"
            broken = "what is no whole JSON" if "json" in kind else f"{kind} instead of JSON"
            page = ", perhaps the page of a login" if "html" in kind else ""
            raise self._error(f"answers with {broken}{page}; check the address and the credentials")
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict) or data.get("resultType") != "matrix" or not isinstance(data.get("result"), list):
            raise self._error(FOREIGN)
        warnings = body.get("warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            self._warn(self._clean(str(warning)))
        if body.get("isPartial") is True:  # VictoriaMetrics' way of saying so
            self._warn("the answer is partial: some storage nodes did not take part")
        result: list[Any] = data["result"]
        return result

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)
            _logger.warning("%s warns: %s", self.url, warning)

    def _error(self, message: str) -> SourceError:
        return SourceError(f"{self.url} {message}")

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
        self._selector = ""
        for part in filter(None, parts.query.split("&")):
            name, _, value = part.partition("=")
            if name != "selector":
                raise SourceError(f'{self.url} takes no {_printable(name)!r}; {EXAMPLE}?selector=job="shop"')
            # Not parse_qs, which makes the + of a regular expression a space.
            self._selector = unquote(value).strip().removeprefix("{").removesuffix("}")
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


def _length(step: int) -> int:
    return min(int(step) or SLICE, SLICE)


def _sum(labels: Iterable[str], grown: str) -> str:
    return f"sum by ({', '.join(labels)}) ({grown}) > 0"


def _words(labels: dict[str, str]) -> dict[str, str]:
    return words((name, labels.get(label, "")) for name, label in LABELS.items())


def _key(labels: dict[str, str]) -> tuple[str, ...]:
    # A job is NAMESPACE/NAME: prometheus.io/docs/guides/opentelemetry
    return series_key(_words(labels), clean(labels.get("job", "")).rpartition("/")[2])


def _token_key(labels: dict[str, str]) -> _TokenKey:
    found = _words(labels)
    return _TokenKey(
        found.get(semconv.SURFACE, "unknown"),
        found.get(semconv.PROVIDER, "unknown"),
        found.get(semconv.REQUEST_MODEL, ""),
        found.get(semconv.RESPONSE_MODEL, ""),
    )


def _size_key(labels: dict[str, str]) -> _SizeKey:
    found = _words(labels)
    try:
        bound = float(labels.get("le", ""))
    except ValueError:
        bound = math.nan
    return _SizeKey(
        found.get(semconv.SURFACE, "unknown"),
        found.get(semconv.REQUEST_MODEL, ""),
        found.get(semconv.RESPONSE_MODEL, ""),
        # What has no bound is taken for the last bucket, which counts all of them.
        math.inf if math.isnan(bound) else bound,
    )
