"""Processes that fork, end, are replaced or are killed in the middle of a call do so as without this project."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import ExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from outcomes import Observed
from sdk_drivers import OpenAIChat
from stack.ports import free_port

from otel_llm_routing.instrument import put_off
from otel_llm_routing.instrument.metrics import BATCH, Recorder

HERE = pathlib.Path(__file__).parent
PATH = os.pathsep.join([str(HERE), *(str(HERE.parents[1] / part) for part in ("tests/instrument", "examples"))])
ENV = {**os.environ, "PYTHONPATH": PATH, "SSL_CERT_FILE": str(HERE.parent / "instrument" / "no_authority.pem")}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")


@pytest.fixture(scope="module")
def world():
    """One provider, and one process that copies itself for every program: see ``zygote.py``."""
    from fake_provider import FakeProvider

    pytest.importorskip("openai")
    with FakeProvider() as provider:
        zygote = subprocess.Popen(
            [sys.executable, HERE / "zygote.py", provider.url],
            env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

        def run(program, *, instrumented):
            zygote.stdin.write(json.dumps([instrumented, program]) + "\n")
            zygote.stdin.flush()
            status, out = json.loads(zygote.stdout.readline())
            return status, _timeless(out)

        yield provider, run
        zygote.stdin.close()
        zygote.wait(20)


def _timeless(out):
    out = re.sub(r"0x[0-9a-f]+|[Tt]hread-\d+", "", out)
    # A traceback passes through one frame of ours at each level: that is the only thing it may show.
    out = re.sub(r'  File "[^"]*otel_llm_routing[^"]*".*\n(    .*\n)*', "", out)
    # httpx2 2.16, with and without us: its generators and the loop's end close each other, now and then at once.
    return re.sub(r"(an error occurred during closing of asyn(?s:.*?)RuntimeError: aclose\(\).*\n)", "", out)


STREAM = "client.chat.completions.create(**ASK, stream=True)"
ENDINGS = {
    "sys.exit in a stream": f"for chunk in {STREAM}:\n    print(chunk.model)\n    sys.exit(3)",
    "os._exit in a stream": f"for chunk in {STREAM}:\n    os._exit(4)",
    "an error in a stream": f"for chunk in {STREAM}:\n    raise KeyError('mine')",
    "an interrupt in a stream": f"for chunk in {STREAM}:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(5)",
    "a termination in a stream": f"for chunk in {STREAM}:\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(5)",
    "a kill in a stream": f"for chunk in {STREAM}:\n    os.kill(os.getpid(), signal.SIGKILL)",
    "a stream left in a global": f"held = {STREAM}\nprint(next(held).model)",
    "a stream left in a cycle": f"held = [{STREAM}]\nheld.append(held)\nprint(next(held[0]).model)\ndel held",
    "a stream left in a module": f"sys.modules['json'].held = {STREAM}\nprint(next(sys.modules['json'].held).model)",
    "a stream never read": f"held = {STREAM}",
    "a finaliser that reads on": (
        f"class Reader:\n    def __init__(self): self.stream = {STREAM}\n"
        "    def __del__(self): print(len(list(self.stream)))\nheld = Reader()\nnext(held.stream)"
    ),
    "a call at the very end": "atexit.register(lambda: print(client.chat.completions.create(**ASK).model))",
    "a stream closed at the very end": f"held = {STREAM}\nnext(held)\natexit.register(lambda: print(held.close()))",
    "a thread that reads on": (
        f"def read():\n    for chunk in {STREAM}: print(chunk.model); time.sleep(0.02)\n"
        "threading.Thread(target=read).start()"
    ),
    "a daemon thread that waits": (
        f"held = {STREAM}\nstarted = threading.Event()\n"
        "def read():\n    next(held); started.set(); threading.Event().wait()\n"
        "threading.Thread(target=read, daemon=True).start(); started.wait()"
    ),
    "an asynchronous stream left open": (
        "async def main():\n    stream = await aclient.chat.completions.create(**ASK, stream=True)\n"
        "    async for chunk in stream:\n        print(chunk.model); return\nasyncio.run(main())"
    ),
    "an asynchronous stream kept beyond its loop": (
        "async def main():\n    global held\n    held = await aclient.chat.completions.create(**ASK, stream=True)\n"
        "    async for chunk in held:\n        print(chunk.model); break\nasyncio.run(main())"
    ),
    "sys.exit in an asynchronous stream": (
        "async def main():\n    stream = await aclient.chat.completions.create(**ASK, stream=True)\n"
        "    async for chunk in stream:\n        print(chunk.model); sys.exit(5)\nasyncio.run(main())"
    ),
    "a program in a stream's place": (
        f"for chunk in {STREAM}:\n    os.execv(sys.executable, [sys.executable, '-S', '-c', 'print(7)'])"
    ),
    "a weak reference's callback that calls": (
        f"held = {STREAM}\nprobe = weakref.ref(held, lambda _: print('gone'))\nnext(held)\ndel held\ngc.collect()"
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_ends_as_it_would_without_us(world, ending):
    _, run = world
    assert run(ENDINGS[ending], instrumented=True) == run(ENDINGS[ending], instrumented=False)


# Forks ------------------------------------------------------------------------------------------------------------


def test_a_stream_that_is_open_at_a_fork_is_counted_by_the_process_that_opened_it(provider, observed):
    sdk = OpenAIChat(provider.url)
    with observed.on():
        stream = sdk.client.chat.completions.create(**sdk.arguments(stream=True))
        next(iter(stream))
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                stream.close()
                del stream
                other = OpenAIChat(provider.url)
                other.client.chat.completions.create(**other.arguments())
                counted = len(observed.since()[0])
                os.write(into, json.dumps([counted, len(observed.ends.ended)]).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        counted, ended = json.loads(os.read(out, 1000))
        os.close(out)
        os.close(into)
        assert counted == 1  # its own call, and not the stream's copy
        list(stream)
        counted, started, ended = observed.since()
    assert (len(counted), started, len(ended)) == (1, 1, 1)
    assert counted[0]["llm_routing.match"] == "resolved"


def test_a_thread_that_collects_garbage_at_a_fork_is_not_taken_for_one_of_the_child(observed):
    inside, over = threading.Event(), threading.Event()

    def hold(phase, info):
        if phase == "start" and threading.current_thread() is collector:
            inside.set()
            over.wait(20)

    collector = threading.Thread(target=gc.collect)
    with observed.on():
        gc.callbacks.append(hold)
        try:
            collector.start()
            assert inside.wait(20)
            pid = os.fork()
            if pid == 0:
                os._exit(len(put_off._collecting))  # a new thread may get the ident of one that is gone
            over.set()
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        finally:
            over.set()
            collector.join(20)
            gc.callbacks.remove(hold)
    assert not collector.is_alive()


class Interrupting(ExemplarFilter):
    """Stands for a signal that arrives while a batch of calls is worked off."""

    def __init__(self):
        self.left = 1

    def should_sample(self, value, time_unix_nano, attributes, context):
        if self.left:
            self.left -= 1
            signal.raise_signal(signal.SIGUSR1)
        return False


def test_a_signal_handler_that_collects_metrics_in_the_middle_of_a_batch_waits_for_no_lock(provider):
    collected, reader = [], InMemoryMetricReader()
    meter_provider = MeterProvider([reader], exemplar_filter=Interrupting(), shutdown_on_exit=False)
    observed = Observed(reader, meter_provider=meter_provider)
    sdk = OpenAIChat(provider.url)
    before = signal.signal(signal.SIGUSR1, lambda *_: collected.extend(observed.since()[0]))
    try:
        with observed.on():
            for _ in range(40):
                sdk.client.chat.completions.create(**sdk.arguments())
            assert len(collected) == BATCH
            assert len(observed.since()[0]) == 40 - BATCH
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_handler_that_collects_metrics_at_any_point_loses_no_call():
    # The API's own meter: the SDK's histograms have locks that no handler may meet.
    recorder, calls, came = Recorder(NoOpMeter("none")), 100_000, []
    finished = (("s", "p", "chat", "m", "m", "pinned", "exact", "body", False, None), None, 1, 1, 0.5, None, None)
    before = signal.signal(signal.SIGALRM, lambda *_: came.append(len(recorder._observe_requests(None))))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(calls):
            recorder.record(finished)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert came
    assert [point.value for point in recorder._observe_requests(None)] == [calls]
    assert [point.value for point in recorder._observe_input(None)] == [calls]


def test_threads_that_call_while_the_process_forks_leave_the_children_working(provider, observed):
    """The child of a fork is made in the middle of whatever the other threads do: no lock of ours stays taken."""
    sdk = OpenAIChat(provider.url)
    stop = threading.Event()

    def calls():
        while not stop.is_set():
            sdk.client.chat.completions.create(**sdk.arguments())
            observed.points("llm_routing.requests")

    with observed.on():
        threads = [threading.Thread(target=calls) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(8):
                pid = os.fork()
                if pid == 0:
                    try:
                        signal.alarm(20)  # where a lock stays taken, this ends the child, and the test fails
                        from otel_llm_routing.instrument.instrumentor import _recorder

                        other = OpenAIChat(provider.url)
                        for _ in range(40):
                            other.client.chat.completions.create(**other.arguments())
                        recorder = _recorder(observed.meter_provider)
                        counts = [o.value for o in recorder._observe_requests(None)]
                        os._exit(0 if sum(counts) == 40 else 1)
                    finally:
                        os._exit(2)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def in_a_child(url, queue):
    """Make a call, and say how many were counted; where the parent's memory is not there, instrument first."""
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from outcomes import Observed

    fresh = Observed(InMemoryMetricReader())
    with fresh.on():
        sdk = OpenAIChat(url)
        list(sdk.client.chat.completions.create(**sdk.arguments(stream=True)))
        counted, started, _ = fresh.since()
        queue.put([len(counted), started])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_each_process_of_multiprocessing_counts_its_own(provider, observed, method, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATH)
    context = multiprocessing.get_context(method)
    with observed.on():
        sdk = OpenAIChat(provider.url)
        sdk.client.chat.completions.create(**sdk.arguments())
        stream = sdk.client.chat.completions.create(**sdk.arguments(stream=True))
        next(iter(stream))
    queue = context.Queue()
    target = _importable("test_processes", "in_a_child")
    processes = [context.Process(target=target, args=(provider.url, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=60) for _ in processes] == [[1, 1]] * 2
    for process in processes:
        process.join()
        assert process.exitcode == 0
    list(stream)
    assert len(observed.since()[0]) == 2


def _importable(module, name):
    # pytest gives modules names that another process cannot import.
    __import__(module)
    return getattr(sys.modules[module], name)


def test_every_worker_of_a_preloading_gunicorn_counts_its_own(provider):
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "3", "-b", f"127.0.0.1:{port}", "gunicorn_app:app"]
    server = subprocess.Popen(
        [*command, "--no-control-socket", "--log-level", "warning"],
        env={**ENV, "PROVIDER": provider.url}, cwd=HERE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}/call"
        _until_it_answers(server, url)
        served = defaultdict(list)
        with ThreadPoolExecutor(6) as pool:
            for pid, counted, _ in pool.map(lambda _: httpx.get(url, timeout=30).json(), range(30)):
                served[pid].append(counted)
    finally:
        server.send_signal(signal.SIGTERM)
        errors = server.communicate(timeout=30)[1]
    assert len(served) > 1
    first = min(min(counts) for counts in served.values())
    assert first in (2, 4)  # the request that asked whether it is up may have been this worker's
    for counts in served.values():
        assert sorted(counts) == list(range(min(counts), min(counts) + 2 * len(counts), 2))
    assert "Traceback" not in errors


def _until_it_answers(server, url):
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.ConnectError):
            return httpx.get(url, timeout=30)
        time.sleep(0.05)
    raise AssertionError(server.communicate(timeout=10)[1])


# Exporters --------------------------------------------------------------------------------------------------------

EXPORTING = """
import sys, time
import openai
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otel_llm_routing import LLMRoutingInstrumentor
url, collector = sys.argv[1:]
spans = TracerProvider()
exporter = OTLPSpanExporter(collector + "/v1/traces", timeout=1)
spans.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=50))
reader = PeriodicExportingMetricReader(OTLPMetricExporter(collector + "/v1/metrics", timeout=1), 50, 1000)
LLMRoutingInstrumentor().instrument(tracer_provider=spans, meter_provider=MeterProvider([reader]))
client = openai.OpenAI(api_key="k", base_url=url + "/v1", max_retries=0)
client.chat.completions.create(model="gpt-5", messages=[])
began = time.monotonic()
for i in range(40):
    stream = client.chat.completions.create(model="gpt-5", messages=[], stream=bool(i % 2))
    if i % 2:
        assert len(list(stream)) > 2
print(time.monotonic() - began)
"""


@pytest.fixture(params=["down", "silent", "refusing"])
def collector(request):
    """The URL of a Collector that is not there, that never answers, or that answers with an error."""
    from raw_provider import RawProvider, Reply

    if request.param == "refusing":
        with RawProvider([Reply(status=503)]) as raw:
            yield raw.url
        return
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_collector_that_does_not_take_anything_delays_no_call(provider, collector):
    done = subprocess.run(
        [sys.executable, "-c", EXPORTING, provider.url, collector],
        env=ENV, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 5  # 40 calls: a single one that waited for the Collector would take 1 s


# gevent -----------------------------------------------------------------------------------------------------------

GREENLETS = """
from gevent import monkey; monkey.patch_all()
import random, sys
import gevent
import openai
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from outcomes import Observed
from otel_llm_routing import surface
observed = Observed(InMemoryMetricReader())
client = openai.OpenAI(api_key="k", base_url=sys.argv[1] + "/v1", max_retries=0)
chance = random.Random(7)
def work(i):
    with surface(f"s{i % 5}"):
        stream = client.chat.completions.create(model="gpt-5", messages=[], stream=True)
        for n, chunk in enumerate(stream):
            gevent.sleep(0)
            if i % 3 == 1 and n == 1:
                break
        if i % 3 == 2:
            stream.close()
with observed.on():
    work(0)
    greenlets = [gevent.spawn(work, i) for i in range(1, 80)]
    gevent.sleep(0.02)
    for g in chance.sample(greenlets, 12):
        g.kill(block=False)
    gevent.joinall(greenlets)
    greenlets.clear(); del g
    import gc; gc.collect()
    counted, started, ended = observed.since()
surfaces = {}
for c in counted:
    surfaces[c["llm_routing.surface"]] = surfaces.get(c["llm_routing.surface"], 0) + 1
print(started, len(ended), len(counted), sorted(surfaces))
"""


def test_greenlets_of_gevent_are_each_counted_once_for_their_surface_also_when_killed(provider):
    pytest.importorskip("gevent", reason="gevent is not installed")
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, provider.url],
        env=ENV, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    started, ended, counted, surfaces = done.stdout.split(" ", 3)
    assert started == ended == counted
    assert 60 <= int(counted) <= 80  # greenlets killed before they called have made none
    assert surfaces.strip() == "['s0', 's1', 's2', 's3', 's4']"
