"""Counts read through a Prometheus API: from hostile servers one plain line, from a real Prometheus the exact truth."""

from __future__ import annotations

import gzip
import json
import logging
import math
import os
import re
import socket
import ssl
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from otel_llm_routing.analyze.sources import SourceError, open_source, prometheus, prometheus_api
from otel_llm_routing.analyze.sources.prometheus import SLICE, PrometheusSource
from otel_llm_routing.cli.app import app

SECRET = "s3cr3t-of-the-test"
END = int(time.time()) // 3600 * 3600 - 86_400
PATIENCE = 30.0
"""Seconds: enough for a machine that has other things to do, too many for a test that only passes by waiting."""


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    for name in [*os.environ]:
        if name.startswith(prometheus_api.ENVIRONMENT) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(prometheus_api, "BACKOFF", 0.01)


# A server that answers as it is told ----------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = {}  # noqa: RUF012
    pauses: tuple[float, ...] = ()
    """Seconds before every byte of the body, the last for the rest; none: at once."""


class Asked(NamedTuple):
    headers: dict[str, str]
    form: dict[str, str]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = []
        self.asked = []
        self.done = threading.Event()

    @property
    def host(self):
        return f"127.0.0.1:{self.server_port}"

    def answer(self, *answers):
        """Give these answers, and the last again and again; a function is called with what was asked."""
        self.answers = list(answers)

    def handle_error(self, request, client_address):
        pass  # clients that lose patience


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.server.asked.append(Asked(dict(self.headers), {name: of[0] for name, of in form.items()}))
        answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        if callable(answer):
            answer = answer(self.server.asked[-1])
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        length = {"Content-Length": str(len(answer.body)), "Content-Type": answer.kind}
        for name, value in {**length, **answer.headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        at = 0
        for pause in answer.pauses:
            if self.server.done.wait(pause):
                return
            self.wfile.write(answer.body[at : at + 1])
            at += 1
        self.wfile.write(answer.body[at:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.done.set()
        made.shutdown()
        thread.join()


def matrix(*series, **more):
    data = {"resultType": "matrix", "result": [{"metric": m, "values": v} for m, v in series]}
    return Answer(body=json.dumps({"status": "success", "data": data, **more}).encode())


def error(status, kind, text):
    return Answer(status, json.dumps({"status": "error", "errorType": kind, "error": text}).encode())


def labels(**changed):
    return {
        "llm_routing_surface": "autocomplete",
        "gen_ai_provider_name": "openai",
        "gen_ai_operation_name": "chat",
        "gen_ai_request_model": "auto",
        "gen_ai_response_model": "claude-sonnet-5",
        "llm_routing_request_kind": "router",
        "llm_routing_match": "resolved",
        "llm_routing_served_source": "body",
        "job": "prod/shop",
        **changed,
    }


def read(server, *, path="", start=END - 3600, end=END, step=0, **more):
    source = PrometheusSource(f"http://reader:{SECRET}@{server.host}{path}", **{"timeout": PATIENCE, **more})
    return list(source.counts(start, end, step))


LOGIN = Answer(body=b"<html>Sign in</html>", kind="text/html; charset=utf-8")
DATA = b'{"status":"success","data":'
FAILURES = {
    "unauthorized": (Answer(401, b"Unauthorized\n", "text/plain"), "answers 401 Unauthorized; set OTEL_LLM_ROUTING_PR"),
    "forbidden": (
        error(403, "forbidden", f"no, Basic {SECRET}"),
        "answers 403, forbidden, no, Basic \\*\\*\\*; set OTEL",
    ),
    "not found": (Answer(404, b"404 page not found", "text/plain"), "answers 404 Not Found; .* is a path missing"),
    "method": (Answer(405), "answers 405 Method Not Allowed; check the address and its path"),
    "bad query": (error(400, "bad_data", "parse\n error"), "answers 400, bad_data, parse error; check \\?selector="),
    "too much": (error(422, "execution", "too many samples"), "422, execution, too many samples; ask for fewer series"),
    "rate": (Answer(429, b"slow down", headers={"Retry-After": "0"}), "answers 429 Too Many Requests; try again later"),
    "broken": (Answer(500, b"oops", "text/plain"), "answers 500 Internal Server Error; try again later"),
    "slow query": (
        error(503, "timeout", "query timed out"),
        "answers 503, timeout, query timed out; ask for a shorter",
    ),
    "error, 200": (error(200, "execution", "odd"), "answers 200, execution, odd; check the address"),
    "login": (
        LOGIN,
        "answers with text/html instead of JSON, perhaps the page of a login; check the address and the c",
    ),
    "nothing": (Answer(kind=""), "answers with something instead of JSON; check the address"),
    "no content": (Answer(204), "answers 204 No Content; check the address and its path"),
    "truncated": (Answer(body=matrix().body[:-5]), "answers with what is no whole JSON; check"),
    "deep": (Answer(body=b"[" * 200_000), "answers with what is no whole JSON; check"),
    "not text": (Answer(body=b"\xff\xfe\xfa"), "answers with what is no whole JSON; check"),
    "gzip": (Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"}), "cannot be unpacked; is a proxy between"),
    "a list": (Answer(body=b"[]"), "not as a Prometheus API does; check the address"),
    "a vector": (Answer(body=DATA + b'{"resultType":"vector","result":[]}}'), "not as a Prometheus API does"),
    "no result": (Answer(body=DATA + b'{"resultType":"matrix","result":null}}'), "not as a Prometheus API does"),
    "no metric": (Answer(body=DATA + b'{"resultType":"matrix","result":[{}]}}'), "not as a Prometheus API does"),
    "odd metric": (matrix(([], [])), "not as a Prometheus API does"),
    "odd values": (matrix(({}, [[1]])), "not as a Prometheus API does"),
    "odd number": (matrix(({}, [[END, "many"]])), "not as a Prometheus API does"),
    "odd time": (matrix(({}, [["Infinity", "1"]])), "not as a Prometheus API does"),
    "elsewhere": (
        Answer(302, headers={"Location": f"https://u:{SECRET}@login.example/?t={SECRET}"}),
        "sends us on to https://login.example, which is not followed; name the address itself",
    ),
    "another port": (Answer(307, headers={"Location": "http://127.0.0.1:1/"}), "to http://127.0.0.1:1, which is not"),
    "a circle": (Answer(302, headers={"Location": "/again"}), "a circle of redirects; check the address"),
    "no location": (Answer(302), "answers 302 Found; check the address and its path"),
    "odd location": (Answer(302, headers={"Location": "http://[oops"}), "cannot be reached|sends us on to http"),
    "hang-up": (None, "cannot be reached .*; is it running, and the address right\\?"),
    "cut off": (Answer(body=b"{", headers={"Content-Length": "9"}), "cannot be reached .*; is it running"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_says_which_source_why_and_what_to_do(server, name):
    answer, said = FAILURES[name]
    server.answer(answer)
    begun = time.monotonic()
    with pytest.raises(SourceError) as raised:
        read(server)
    text = str(raised.value)
    assert text.startswith(f"http://{server.host} ")
    assert re.search(said, text), text
    assert len(text) < 500
    assert text.isprintable()
    assert SECRET not in text
    assert SECRET not in "".join(map(str, raised.value.__context__.args if raised.value.__context__ else ()))
    assert time.monotonic() - begun < PATIENCE  # by what was answered, not because time was up


@pytest.mark.parametrize("pauses", [(PATIENCE,), (0.1,) * 300], ids=["silence", "a drop at a time"])
def test_a_slow_answer_is_given_up(server, pauses):
    server.answer(matrix(({"x": "y" * 300}, []))._replace(pauses=pauses))
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"did not answer within 0.5 s; ask for a shorter time, or fewer series"):
        read(server, timeout=0.5)
    assert time.monotonic() - begun < PATIENCE / 2
    assert len(server.asked) <= 1  # a busy server is not asked again


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://u:{SECRET}@127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SourceError, match=r"cannot be reached \(.*refused.*\); is it running") as raised:
            PrometheusSource(url).extent()
    assert SECRET not in str(raised.value)


def certificate(path, days):
    """Write a certificate for localhost that is over in so many days, with its key; return the file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, *bare))
    return path


@pytest.mark.parametrize(
    ("host", "known", "days", "said"),
    [
        ("localhost", False, 2, "set OTEL_LLM_ROUTING_PROMETHEUS_CA to its CA's file"),
        ("127.0.0.1", True, 2, "name it as its certificate does"),
        ("localhost", True, -1, "it needs a new certificate"),
        ("localhost", True, 2, None),
    ],
    ids=["unknown CA", "another name", "expired", "trusted"],
)
def test_a_certificate_is_checked_and_it_is_said_what_is_wrong_with_it(
    server, tmp_path, monkeypatch, host, known, days, said
):
    pem = certificate(tmp_path / "cert.pem", days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.answer(matrix((labels(), [[END, "5"]])))
    if known:
        monkeypatch.setenv("OTEL_LLM_ROUTING_PROMETHEUS_CA", str(pem))
    source = PrometheusSource(f"https://{host}:{server.server_port}")
    if said is None:
        assert [count.requests for count in source.counts(END - 3600, END)] == [5]
        return
    with pytest.raises(SourceError, match=rf"cannot be reached \(.*CERTIFICATE.*\); {said}$"):
        list(source.counts(END - 3600, END))


def test_an_answer_without_end_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(prometheus_api, "MAX_ANSWER", 1 << 20)
    bomb = gzip.compress(b" " * (64 << 20))
    server.answer(Answer(body=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(SourceError, match="answers with more than 1 MiB; ask for fewer series"):
        read(server)


def test_busy_servers_are_asked_again_when_they_say_so(server):
    good = matrix((labels(), [[END - 300, "7"]]))
    server.answer(Answer(429, headers={"Retry-After": "0.3"}), Answer(500), good)
    begun = time.monotonic()
    assert [count.requests for count in read(server)] == [7]
    assert 0.3 <= time.monotonic() - begun < PATIENCE
    server.answer(None, good)
    assert [count.requests for count in read(server)] == [7]


@pytest.mark.parametrize("said", ["Fri, 31 Dec 1999 23:59:59 GMT", "-5", "nan", "inf", "soon"])
def test_a_retry_after_that_makes_no_sense(server, said):
    server.answer(Answer(429, headers={"Retry-After": said}), matrix())
    assert read(server) == []


def test_a_query_that_is_too_much_is_asked_in_parts(server):
    def answer(asked):
        begin, end = (int(asked.form[name]) for name in ("start", "end"))
        if end - begin > 86_400:
            return error(
                422, "execution", "query processing would load too many samples into memory in query execution"
            )
        return matrix((labels(), [[at, "1"] for at in range(begin, end + 1, SLICE)]))

    server.answer(answer)
    days = 9
    assert sum(count.requests for count in read(server, start=END - days * 86_400)) == days * 86_400 // SLICE
    assert len(server.asked) < 3 * days


def test_what_no_counter_says_is_left_out(server):
    values = ["NaN", "Inf", "+Inf", "-Inf", "-4", "1e400", "0", "2.4", "1"]
    server.answer(matrix((labels(), [[END - 300 * n, value] for n, value in enumerate(values)])))
    assert sorted(count.requests for count in read(server)) == [1, 2]


def test_times_outside_the_question_are_left_out(server):
    server.answer(matrix((labels(), [[END - 7200, "1"], [END - 3600, "2"], [END, "3"], [END + 300, "4"]])))
    assert [(count.start, count.requests) for count in read(server)] == [(END - 300, 3)]


def test_labels_that_are_missing_or_too_much(server):
    long = "x" * 100_000
    names = ("surface", "request_kind", "match", "served_source")
    huge = dict.fromkeys(labels(), f"\u202e{long}") | {f"llm_routing_{name}": long for name in names}
    server.answer(matrix(({}, [[END, "1"]]), (huge, [[END, "2"]]), (labels(error_type="\x1b[2J"), [[END, "3"]])))
    changed, bare, great = sorted(read(server), key=lambda count: (count.surface, count.requests))[::-1]
    assert (bare.surface, great.surface, len(changed.surface), len(changed.served)) == (
        "unknown",
        "autocomplete",
        64,
        255,
    )
    assert (bare.provider, bare.served, bare.kind, bare.match, bare.served_source) == (
        "unknown",
        "",
        "unknown",
        "unreported",
        "none",
    )
    assert (changed.kind, changed.match, changed.served_source) == ("unknown", "unreported", "none")
    assert (great.error, great.service, great.cached) == ("[2J", "shop", False)


def test_warnings_reach_the_user_once(server, caplog):
    server.answer(matrix(warnings=[f"store 7 is down {SECRET}\n", "store 7 is down *** ", 5], isPartial=True))
    source = PrometheusSource(f"http://reader:{SECRET}@{server.host}")
    for _ in range(2):
        assert list(source.counts(END - 3600, END)) == []
    assert source.warnings == [
        "store 7 is down ***",
        "5",
        "the answer is partial: some storage nodes did not take part",
    ]
    said = [record.levelno for record in caplog.records if record.name == prometheus_api.__name__]
    assert said == [logging.WARNING] * 3
    assert SECRET not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_server_is_followed_with_all_that_was_asked(server, status):
    server.answer(Answer(status, headers={"Location": "/prom/api/v1/query_range"}), matrix((labels(), [[END, "5"]])))
    assert [count.requests for count in read(server)] == [5]
    first, second = server.asked
    assert first.form == second.form
    assert first.headers["Authorization"] == second.headers["Authorization"]


# What the user sets ---------------------------------------------------------------------------------------------------


def test_credentials_in_the_address(server):
    server.answer(matrix())
    source = PrometheusSource(f"http://a%40b:p%2F%25@{server.host}/prometheus/")
    assert list(source.counts(END - 3600, END)) == []
    assert source.url == f"http://{server.host}/prometheus"
    assert server.asked[0].headers["Authorization"] == "Basic YUBiOnAvJQ=="


def test_credentials_in_the_environment(server, monkeypatch):
    server.answer(matrix())
    monkeypatch.setenv("OTEL_LLM_ROUTING_PROMETHEUS_TOKEN", f"{SECRET}\n")
    monkeypatch.setenv("OTEL_LLM_ROUTING_PROMETHEUS_TENANT", "team-a|team-b")
    assert list(open_source(f"http://{server.host}").counts(END - 3600, END)) == []
    assert server.asked[-1].headers["Authorization"] == f"Bearer {SECRET}"
    assert server.asked[-1].headers["X-Scope-OrgID"] == "team-a|team-b"
    monkeypatch.setenv("OTEL_LLM_ROUTING_PROMETHEUS_USER", "me")
    with pytest.raises(SourceError, match=r"USER and .*TOKEN are both set; unset one"):
        open_source(f"http://{server.host}")
    monkeypatch.delenv("OTEL_LLM_ROUTING_PROMETHEUS_TOKEN")
    monkeypatch.setenv("OTEL_LLM_ROUTING_PROMETHEUS_PASSWORD", "pä:ss")
    assert list(open_source(f"http://{server.host}").counts(END - 3600, END)) == []
    assert server.asked[-1].headers["Authorization"] == "Basic bWU6cMOkOnNz"


def test_what_is_echoed_of_a_password_is_blotted_out(server):
    server.answer(lambda asked: error(403, "forbidden", f"bad header {asked.headers['Authorization']}"))
    with pytest.raises(SourceError, match=r"bad header Basic \*\*\*"):
        read(server)


@pytest.mark.parametrize(
    ("name", "value"), [("TOKEN", "a\nb"), ("TENANT", "tänt"), ("CA", "no/such.pem"), ("CA", __file__)]
)
def test_an_environment_that_cannot_be(monkeypatch, name, value):
    monkeypatch.setenv(f"OTEL_LLM_ROUTING_PROMETHEUS_{name}", value)
    with pytest.raises(SourceError, match=f"OTEL_LLM_ROUTING_PROMETHEUS_{name}"):
        PrometheusSource("http://localhost:9090")


def test_a_proxy_that_is_none(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "gopher://proxy")
    with pytest.raises(SourceError, match="names a proxy that is none"):
        PrometheusSource("http://prometheus.example").extent()


def test_the_selector_goes_into_every_query(server):
    server.answer(matrix())
    chosen = 'job=~"shop|a+b&c",cluster!="x"'
    for written in (chosen.replace("&", "%26"), "%7B" + chosen.replace("&", "%26").replace('"', "%22") + "%7D"):
        source = open_source(f"prometheus:http://{server.host}/?selector={written}")
        source.extent()
        list(source.counts(END - 3600, END))
    for asked in server.asked:
        assert asked.form["query"].count(f"llm_routing_requests_total{{{chosen}}}") == asked.form["query"].count(
            "total{"
        )


@pytest.mark.parametrize(
    "name",
    [
        f"prometheus:u:{SECRET}@localhost:9090",
        f"prometheus:ftp://u:{SECRET}@localhost",
        f"prometheus:http://u:{SECRET}@",
        f"prometheus:http://u:{SECRET}@local host",
        f"prometheus:http://u:{SECRET}@localhost:port",
        f"prometheus:http://u:a#{SECRET}@localhost",
        f"prometheus:http://u:{SECRET}@[::1",
        f"http://u:{SECRET}@localhost?step=5",
        f"htp://u:{SECRET}@localhost",
        f"http//u:{SECRET}@localhost",
        "prometheus:",
        "",
    ],
)
def test_an_address_that_is_none(name):
    with pytest.raises(SourceError, match=r"write .*prometheus:http://HOST:9090") as raised:
        open_source(name)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("kind", ["sqlite", "otlp", "prometheus"])
def test_a_kind_alone_names_nothing_to_read(kind):
    for name in (kind, f"{kind}:"):
        with pytest.raises(SourceError, match=rf"^{kind}: names nothing to read; write {kind}:"):
            open_source(name)


def test_both_kinds_of_source_are_named():
    with pytest.raises(SourceError, match=r"'redis' is not a kind of source; write sqlite:PATH, .* or prometheus:http"):
        open_source("redis:x")
    for name in ("http://localhost:9090", "HTTPS://localhost", "prometheus:http://[::1]:9090/prometheus"):
        assert isinstance(open_source(name), PrometheusSource)


def test_without_httpx_it_says_what_to_install(monkeypatch):
    for module in (prometheus, prometheus_api):
        monkeypatch.delitem(sys.modules, module.__name__)
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(SourceError, match=r"httpx is not installed; .* pip install 'otel-llm-routing\[prometheus\]'"):
        open_source("prometheus:http://localhost:9090")


def test_nothing_is_asked_of_the_future(server):
    server.answer(matrix())
    assert list(PrometheusSource(f"http://{server.host}").counts(time.time() + 3600, math.inf)) == []
    assert server.asked == []


def test_the_report_says_in_one_line_what_is_wrong(server):
    server.answer(Answer(401))
    result = CliRunner().invoke(app, ["report", "--source", f"prometheus:http://{server.host}"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"otel-llm-routing: http://{server.host} answers 401")
    assert result.stderr.count("\n") == 1
