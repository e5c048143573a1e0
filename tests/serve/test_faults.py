"""Clients that mean no good: what they send, how slowly, how many they are, and where they come from."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import select
import socket
import time
import urllib.request
import zlib

import grpc
import pytest
import zstandard
from embedded import Server, export, grpc_call, memory

PROTOBUF = "application/x-protobuf"
HEAD = b"POST /v1/metrics HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-protobuf\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("faults") / "t.db")
    yield started
    assert "Traceback" not in started.errors()
    assert started.stop() == 0


@pytest.fixture
def own(tmp_path):
    started = Server(tmp_path / "t.db")
    yield started
    assert started.stop() == 0


def connected(server):
    return socket.create_connection(("127.0.0.1", server.port))


def resident(server):
    return memory(server, "VmRSS")


def still_serves(server, surface):
    """Whether an export arrives, and counts, within the time in which an exporter waits."""
    began = time.monotonic()
    request = export((0, 10, 5), own={"llm_routing.surface": surface})
    server.metrics(request)
    assert isinstance(grpc_call(server, request.SerializeToString()), bytes)
    assert time.monotonic() - began < 8
    assert server.mixes()[surface].requests == 5


# What is sent --------------------------------------------------------------------------------------------------------


def zeros(mebibytes, pack=gzip.compress):
    return pack(bytes(mebibytes << 20), 1)


def windowed(log):
    """Pack a text so that whoever unpacks it has to remember 2**log bytes."""
    parameters = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(b"x") + packer.flush()


BODIES = {
    "a bomb": ("gzip", lambda: zeros(100), 413),
    "a bomb of another kind": ("deflate", lambda: zeros(100, zlib.compress), 413),
    "two members that are too much together": ("gzip", lambda: zeros(9) * 2, 413),
    "a bomb in a parcel": ("gzip", lambda: gzip.compress(zeros(100)), 400),
    "packed twice": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b"x")), 415),
    "packed by others": ("br", lambda: b"x", 415),
    "deflate without its frame": ("deflate", lambda: zlib.compress(b"")[2:-4], 400),
    "a head and noise": ("gzip", lambda: b"\x1f\x8b" + b"\xff" * 100, 400),
    "members without end": ("gzip", lambda: gzip.compress(b"") * 400_000, 400),
    "a bomb of Zstandard": ("zstd", lambda: zstandard.compress(bytes(100 << 20)), 413),
    "two frames that are too much together": ("zstd", lambda: zstandard.compress(bytes(9 << 20)) * 2, 413),
    "frames without end": ("zstd", lambda: zstandard.compress(b"") * 500_000, 400),
    "a window of 128 MiB": ("zstd", lambda: windowed(27), 400),
    "Zstandard that is none": ("zstd", lambda: b"\xff" * 100, 400),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_unpacks_to_too_much_or_to_nothing_is_refused(server, name):
    coding, body, status = BODIES[name]
    before = resident(server)
    began = time.monotonic()
    assert server.post("/v1/metrics", body(), **{"content-encoding": coding})[0] == status
    assert resident(server) - before < 100 << 20
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json; charset=utf-7", "application/grpc", "multipart/x"]
)
def test_a_wrong_content_type_is_refused(server, kind):
    body = b"\xff\xfe"
    assert server.post("/v1/metrics", body, kind)[0] in (400, 415)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_only_post_takes_counts_and_no_other_site_is_let_in(server, method):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, "/v1/metrics", headers={"origin": "http://evil.example"})
    answer = connection.getresponse()
    assert answer.status == 405
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control-")]
    connection.close()


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/vega.js/../../x",
     "/static/%00", "/api/mix/", "/v1/metrics/x", "/.git/config", "/" + "a" * 9000],
)  # fmt: skip
def test_no_path_leads_out(server, path):
    with connected(server) as raw:
        raw.sendall(b"GET %s HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n" % path.encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"307", b"400")
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/metrics HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/metrics HTTP/1.1\r\nhost: a\r\nx: " + b"y" * (1 << 17),
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    ],
    ids=range(9),
)
def test_what_is_no_request_is_answered_with_an_error_and_hung_up_on(server, request_):
    with connected(server) as raw:
        raw.settimeout(10)
        with contextlib.suppress(OSError):
            raw.sendall(request_)
            raw.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer == b"" or answer.split()[1].startswith(b"4")


def test_a_switch_to_websocket_is_not_made(server):
    with connected(server) as raw:
        raw.settimeout(10)
        raw.sendall(
            b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert b" 101 " not in raw.recv(200).splitlines()[0]


def test_chunks_without_end_are_cut_off(server):
    before = resident(server)
    with connected(server) as raw:
        raw.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        sent = 0
        while sent < 64 << 20 and not select.select([raw], [], [], 0)[0]:
            try:
                raw.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
            except ConnectionError:
                break
            sent += 1 << 20
        assert sent < 64 << 20
    assert resident(server) - before < 100 << 20


# How slowly, and how many --------------------------------------------------------------------------------------------


def test_two_thousand_idle_connections_keep_nobody_out(server):
    # More than there are files for: the first ones are closed for the last, an exporter's is not.
    with contextlib.ExitStack() as stack:
        for number in range(2000):
            idle = stack.enter_context(connected(server))
            if number % 2:
                idle.sendall(HEAD[: 1 + number % 90])
        still_serves(server, "idle")


def test_slow_bodies_make_room_for_those_that_have_just_come(own):
    before = resident(own)
    part = b"x" * (1 << 20)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(own)) for _ in range(60)]
        for one in slow:
            one.sendall(HEAD + b"content-length: 8000000\r\n\r\n")
        for _ in range(5):
            for one in slow:
                with contextlib.suppress(ConnectionError):
                    one.sendall(part)
        still_serves(own, "slow")
        told = select.select(slow, [], [], 5)[0]
        answers = []
        for one in told:
            with contextlib.suppress(ConnectionError):
                answers.append(one.recv(200))
    assert any(b" 503 " in answer and b"retry-after" in answer for answer in answers)
    assert resident(own) - before < 250 << 20


def test_readers_that_never_read_are_closed_for_others(server):
    with contextlib.ExitStack() as stack:
        for _ in range(450):
            reader = stack.enter_context(connected(server))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        still_serves(server, "readers")


# HTTP/2 --------------------------------------------------------------------------------------------------------------


def test_large_metadata_is_refused_and_the_connection_goes_on(server):
    metadata = [(f"x-{number}", "y" * 1000) for number in range(100)]
    body = export((0, 10, 5)).SerializeToString()
    assert grpc_call(server, body, metadata=metadata) in (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
    )
    still_serves(server, "metadata")


def test_hundreds_of_calls_at_once_are_answered_and_memory_is_bounded(own):
    before = resident(own)
    name = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
    with grpc.insecure_channel(own.grpc.removeprefix("http://")) as channel:
        call = channel.unary_unary(name)
        calls = [call.future(b"\xff" * (4 << 20), timeout=60) for _ in range(100)]
        codes = {one.code() for one in calls if one.exception() is not None}
    assert codes <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE}
    assert grpc.StatusCode.INVALID_ARGUMENT in codes
    assert resident(own) - before < 250 << 20
    still_serves(own, "streams")


def frame(kind, flags=0, stream=0, data=b""):
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


@pytest.mark.parametrize(
    "flood",
    [
        frame(6, data=b"12345678") * 20_000,
        frame(4) * 20_000,
        b"".join(
            frame(1, 4, 1 + 2 * n, b"\x82\x86\x84") + frame(3, 0, 1 + 2 * n, b"\0\0\0\x08") for n in range(10_000)
        ),
        frame(9, 0, 1, b"x" * 16384) * 1000,  # continuations of nothing
    ],
    ids=["pings", "settings", "rapid resets", "continuations"],
)
def test_floods_of_frames_keep_nobody_out(server, flood):
    before = resident(server)
    with socket.create_connection(("127.0.0.1", int(server.grpc.rpartition(":")[2]))) as raw:
        raw.settimeout(5)
        with contextlib.suppress(OSError):
            raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4) + flood)
        still_serves(server, "flood")
    assert resident(server) - before < 64 << 20


def test_a_thousand_grpc_connections_that_say_nothing(server):
    port = int(server.grpc.rpartition(":")[2])
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        still_serves(server, "silent")


# Where from ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/mix", "/api/verdicts", "/api/charts", "/metrics"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "0x7f000001", ""])
def test_a_name_that_was_made_to_lead_here_gets_nothing(server, path, host):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path, headers={"host": host})
    assert connection.getresponse().status == 403
    connection.close()


@pytest.mark.parametrize("origin", ["null", "http://evil.example:4318", "https://localhost.evil.example", "file://"])
def test_a_page_from_elsewhere_cannot_send_counts_even_under_our_name(server, origin):
    body = export((0, 10, 1), own={"llm_routing.surface": "foreign"}).SerializeToString()
    assert server.post("/v1/metrics", body, origin=origin)[0] == 403
    assert "foreign" not in server.mixes()


def test_another_loopback_address_is_guarded_as_well(tmp_path):
    server = Server(tmp_path / "t.db", "--host", "127.0.0.2")
    for host, status in (("127.0.0.2", 200), ("localhost", 200), ("evil.example", 403)):
        request = urllib.request.Request(f"{server.http}/api/mix", headers={"host": host})
        try:
            found = urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            found = error.code
        assert found == status
    assert server.stop() == 0
