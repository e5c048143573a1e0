"""Thousands of streams at once, left in every way there is, round after round: nothing grows, nothing is lost.

    python tests/faults/soak.py --seconds 120 --tasks 1000 --threads 40

The provider is a process of its own and keeps a log of the model that it served to every request. In each round, tasks
and threads open streams, hold them open all at once, and then leave them: drained, broken off, closed, dropped,
cancelled, failed in a ``with``, or reset by the provider. After each round the process is quiet, and is measured. The
exit code is 1 where memory grew, a span was left open, a call was not counted, or a sum is not the provider's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import threading
import time
from collections import Counter

HERE = pathlib.Path(__file__).parent
PATHS = [str(HERE), *(str(HERE.parents[1] / part) for part in ("tests/instrument", "benchmarks", "examples"))]
sys.path[1:1] = PATHS
os.environ.setdefault("SSL_CERT_FILE", str(HERE.parent / "instrument" / "no_authority.pem"))

MODELS = ("gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "claude-haiku-4-5-20251001")
NAMED = ("drained", "broken off", "closed", "dropped", "failed")
"""Ways to leave a stream that has named its model before."""
WAYS = (*NAMED, "unread", "reset", "cancelled")
WARM = 3
"""Rounds before memory is expected to be flat: connections, caches and the allocator's arenas come first."""
GROWTH = 6.0
"""Megabytes that the process may grow by over all later rounds: what the allocator does not give back."""
OBJECTS = 3000
"""Allocated blocks that may be more; a round of a thousand calls that each left one would leave as many."""


def serve():
    """Serve until standard input is closed, then print the log: how many requests of each way got which model."""
    from fake_provider import FakeProvider

    log, chance = Counter(), random.Random(3)

    class Provider(FakeProvider):
        def take(self, method, target, headers, body):
            asked = super().take(method, target, headers, body)
            asked.answers.fault = "drop" if body["user"] == "reset" else None
            return asked

    def route(requested, body):
        model = chance.choice(MODELS)
        with provider.lock:
            log[f"{body['user']}|{model}"] += 1
        return model

    with Provider() as provider:
        provider.route = route
        provider.answers(chunks=12)
        print(provider.url, flush=True)
        sys.stdin.read()
    print(json.dumps(log), flush=True)


class Soak:
    """The application under load: one client of each kind, and what was asked of them."""

    def __init__(self, url, tasks, threads, *, instrumented):
        import openai
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider

        self.reader = InMemoryMetricReader()
        self.spans = Spans()
        tracers = TracerProvider()
        tracers.add_span_processor(self.spans)
        from otel_llm_routing import LLMRoutingInstrumentor

        if instrumented:
            LLMRoutingInstrumentor().instrument(tracer_provider=tracers, meter_provider=MeterProvider([self.reader]))
        self.openai, self.url, self.instrumented = openai, url, instrumented
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_complain)
        self.tasks, self.threads = tasks, threads
        self.asked = Counter()
        self.open = self.most = 0
        self.lock = threading.Lock()

    def round(self):
        """Make two calls in every thread, and one in every task, all tasks' streams open at once.

        With new clients: a response that nobody reads or closes keeps its connection for as long as its client lasts.
        """
        options = {"api_key": "k", "base_url": f"{self.url}/v1", "max_retries": 0, "timeout": 60}
        self.client = self.openai.OpenAI(**options, http_client=_unlimited(self.openai.DefaultHttpxClient))
        self.aclient = self.openai.AsyncOpenAI(**options, http_client=_unlimited(self.openai.DefaultAsyncHttpxClient))
        together = threading.Barrier(self.threads)
        threads = [threading.Thread(target=self._thread, args=(together,)) for _ in range(self.threads)]
        for thread in threads:
            thread.start()
        self.loop.run_until_complete(self._tasks())
        for thread in threads:
            thread.join()
        # What was dropped unread or half read: the loop closes asynchronous generators in tasks of their own.
        for _ in range(3):
            gc.collect()
            self.loop.run_until_complete(asyncio.sleep(0.02))
        self.client.close()
        self.loop.run_until_complete(self.aclient.close())
        self.client = self.aclient = None
        gc.collect()
        return self.counted() if self.instrumented else None

    def _opened(self, way, by):
        with self.lock:
            self.asked[way] += 1
            self.open += by
            self.most = max(self.most, self.open)

    def _ask(self, way):
        return {"model": "gpt-5", "messages": [{"role": "user", "content": way}], "user": way, "stream": True}

    def _thread(self, together):
        from otel_llm_routing import surface

        for _ in range(2):
            way = random.choice([w for w in WAYS if w != "cancelled"])
            with surface(way), contextlib.suppress(Exception):
                stream = self.client.chat.completions.create(**self._ask(way))
                self._opened(way, 1)
                together.wait()
                leave(stream, way)
            del stream
            with self.lock:
                self.open -= 1

    async def _tasks(self):
        opened, everybody = 0, asyncio.Event()

        async def one():
            nonlocal opened
            from otel_llm_routing import surface

            way = random.choice(WAYS)
            with surface(way), contextlib.suppress(Exception):
                stream = await self.aclient.chat.completions.create(**self._ask(way))
                self._opened(way, 1)
                opened += 1
                if opened == self.tasks:
                    everybody.set()
                await everybody.wait()
                if way == "cancelled":
                    reading = asyncio.ensure_future(drain(stream))
                    for _ in range(random.randrange(4)):
                        await asyncio.sleep(0)
                    reading.cancel()
                    await asyncio.wait([reading])
                else:
                    await leave_async(stream, way)
            with self.lock:
                self.open -= 1

        await asyncio.gather(*(one() for _ in range(self.tasks)))

    def counted(self):
        """Return how many calls were counted, by way and served model."""
        from metric_points import metric_points

        found = Counter()
        for attributes, point in metric_points(self.reader, "llm_routing.requests"):
            model = attributes.get("gen_ai.response.model", "unreported")
            found[f"{attributes['llm_routing.surface']}|{model}"] += point.value
        return found


class Spans:
    """A span processor that counts."""

    def __init__(self):
        self.started = self.ended = 0
        self.lock = threading.Lock()

    def on_start(self, span, parent_context=None):
        with self.lock:
            self.started += 1

    def _on_ending(self, span):
        pass

    def on_end(self, span):
        with self.lock:
            self.ended += 1

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=0):
        return True


def _unlimited(cls):
    limits = sys.modules[cls.__mro__[1].__module__.partition(".")[0]].Limits(max_connections=None)
    return cls(limits=limits, timeout=60)


def _complain(loop, context):
    # httpx2 2.16, with and without us: generators of a dropped stream are closed by each other and by the loop at once.
    if "already running" not in str(context.get("exception")):
        loop.default_exception_handler(context)


async def drain(stream):
    async for _ in stream:
        pass


def leave(stream, way):
    """Leave a stream in one of the ``WAYS``."""
    if way in ("drained", "reset"):
        for _ in stream:
            pass
    elif way == "failed":
        with stream:
            next(stream)
            raise KeyError(way)
    elif way == "unread":
        return
    else:
        for _ in stream:
            break
        if way == "closed":
            stream.close()
        elif way == "broken off":
            stream.response.close()


async def leave_async(stream, way):
    """Leave an asynchronous stream in one of the ``WAYS``."""
    if way in ("drained", "reset"):
        await drain(stream)
    elif way == "failed":
        async with stream:
            await stream.__anext__()
            raise KeyError(way)
    elif way == "unread":
        return
    else:
        async for _ in stream:
            break
        if way == "closed":
            await stream.close()
        elif way == "broken off":
            await stream.response.aclose()


def wrong(asked, counted, log):
    """Yield what does not add up, as sentences."""
    for way in WAYS:
        ours = {k.partition("|")[2]: n for k, n in counted.items() if k.startswith(f"{way}|")}
        theirs = {k.partition("|")[2]: n for k, n in log.items() if k.startswith(f"{way}|")}
        if sum(ours.values()) != asked[way]:
            yield f"{way}: {asked[way]} calls were made and {sum(ours.values())} counted"
        if sum(theirs.values()) != asked[way]:
            yield f"{way}: {asked[way]} calls were made and {sum(theirs.values())} arrived"
        for model in {*ours, *theirs} - {"unreported"}:
            n, truth = ours.get(model, 0), theirs.get(model, 0)
            if n != truth if way in NAMED else n > truth:
                yield f"{way}: {model} served {truth} and was counted {n} times"
        if way == "unread" and set(ours) > {"unreported"}:
            yield f"a stream nobody read has named its model: {ours}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=40)
    parser.add_argument("--without", action="store_true", help="without this project, to see what grows by itself")
    given = parser.parse_args()
    from overhead.resident import resident

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    command = [sys.executable, "-c", "import soak; soak.serve()"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}
    provider = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    soak = Soak(provider.stdout.readline().strip(), given.tasks, given.threads, instrumented=not given.without)
    print("round   calls  open at once  spans open   MB   objects")
    began, sizes, blocks = time.monotonic(), [], []
    while time.monotonic() - began < given.seconds or len(sizes) < WARM + 3:
        counted = soak.round()
        left = soak.spans.started - soak.spans.ended
        sizes.append(resident() / 1e6)
        blocks.append(sys.getallocatedblocks())
        total = sum(soak.asked.values())
        print(f"{len(sizes):5} {total:7} {soak.most:13} {left:11} {sizes[-1]:6.1f} {blocks[-1]:9}", flush=True)
    log = json.loads(provider.communicate()[0])
    if given.without:
        return 0
    found = list(wrong(soak.asked, counted, log))
    if soak.spans.started != soak.spans.ended or soak.spans.started != sum(soak.asked.values()):
        found.append(f"{soak.spans.started} spans started, {soak.spans.ended} ended, {sum(soak.asked.values())} calls")
    from otel_llm_routing.instrument.call import Call

    gc.collect()
    if alive := sum(isinstance(o, Call) for o in gc.get_objects()):
        found.append(f"{alive} calls are still in memory")
    grown = max(sizes[-3:]) - max(sizes[WARM - 1 : WARM + 1])
    more = max(blocks[-3:]) - max(blocks[WARM - 1 : WARM + 1])
    if more > OBJECTS:
        found.append(f"{more} allocated blocks more than after round {WARM}")
    if grown > GROWTH:
        found.append(f"memory grew by {grown:.1f} MB after round {WARM}")
    for sentence in found:
        print(sentence)
    print(f"{sum(soak.asked.values())} calls, {len(sizes)} rounds, ", end="")
    print(f"{grown:+.1f} MB and {more:+} blocks after round {WARM}: ", end="")
    print("wrong" if found else "all is counted, nothing is left")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
