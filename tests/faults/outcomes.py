"""What an application sees of a call, as values that can be compared: with this project, and without it."""

from __future__ import annotations

import asyncio
import gc
import re
from contextlib import contextmanager

from metric_points import metric_points
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from otel_llm_routing import LLMRoutingInstrumentor

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


def seen(value):
    """Return what can be seen of ``value``: its type, and all it says of itself, without its place in memory."""
    return (type(value).__module__, type(value).__qualname__, _ADDRESS.sub("0x", repr(value)))


def raised(error):
    """Return what can be seen of an exception: type, arguments, message, causes, and the response it carries."""
    if error is None:
        return None
    response = getattr(error, "response", None)
    return (
        seen(error),
        _ADDRESS.sub("0x", str(error)),
        _ADDRESS.sub("0x", repr(error.args)),
        {name: seen(v) for name, v in sorted(vars(error).items()) if name not in ("response", "request", "doc")},
        None if response is None else (response.status_code, response.is_closed, response.is_stream_consumed),
        raised(error.__cause__),
        raised(error.__context__),
    )


def chain(error):
    """Yield an exception, and what it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def collected():
    """Let dropped objects go, as an application's garbage collector and event loop do."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0.005)


class Script:
    """Does something with an SDK step by step, noting what each step shows; stops at the first error, and notes it."""

    def __init__(self):
        self.notes = []

    def note(self, name, value):
        self.notes.append((name, value))

    def run(self, steps, *args):
        try:
            steps(self, *args)
        except BaseException as error:
            self.note("raised", raised(error))
        return self.notes

    async def run_async(self, steps, *args):
        try:
            await steps(self, *args)
        except BaseException as error:
            self.note("raised", raised(error))
        return self.notes


class Ends:
    """A span processor that counts the model spans that start and that end."""

    def __init__(self):
        self.started, self.ended = 0, []

    def on_start(self, span, parent_context=None):
        self.started += 1

    def on_end(self, span):
        self.ended.append(span)

    def _on_ending(self, span):
        """Asked for by newer SDKs."""

    def shutdown(self):
        """Nothing to close."""

    def force_flush(self, timeout_millis=30000):
        return True


class Observed:
    """The instrumentation, on and off as often as needed; what it counts is asked for as what came since."""

    def __init__(self, reader, tracer_provider=None, meter_provider=None):
        self.reader = reader
        self.ends = Ends()
        self.tracer_provider = tracer_provider or TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(self.ends)
        self.meter_provider = meter_provider or MeterProvider([reader], shutdown_on_exit=False)
        self._counted = {}

    @contextmanager
    def on(self):
        LLMRoutingInstrumentor().instrument(tracer_provider=self.tracer_provider, meter_provider=self.meter_provider)
        try:
            yield self
        finally:
            LLMRoutingInstrumentor().uninstrument()

    def points(self, name):
        """Return the points of a metric as (attributes, point)."""
        return metric_points(self.reader, name)

    def since(self):
        """Return the calls counted, and the spans started and ended, since this was last asked."""
        now = {tuple(sorted(a.items())): p.value for a, p in self.points("llm_routing.requests")}
        new = [dict(key) for key, n in now.items() for _ in range(n - self._counted.get(key, 0))]
        self._counted = now
        started, ended = self.ends.started, self.ends.ended
        self.ends.started, self.ends.ended = 0, []
        return new, started, ended
