"""Runs programs in forked copies of one process that has imported the SDK: a whole interpreter's life in milliseconds.

``python zygote.py URL`` reads programs from standard input, one JSON string a line; each runs as ``__main__`` with
``URL`` and ``client`` defined, instrumented or not, to the end of its interpreter. What it printed, on either channel,
and its exit code are answered as a JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

import openai
import trio  # noqa: F401  (so that nobody's first import is measured)

from otel_llm_routing import LLMRoutingInstrumentor

BEFORE = """
import asyncio, atexit, gc, os, signal, sys, threading, time, weakref
import openai
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
ASK = {"model": "gpt-5", "messages": [{"role": "user", "content": "hello"}]}
client = openai.OpenAI(api_key="k", base_url=URL + "/v1", max_retries=0)
aclient = openai.AsyncOpenAI(api_key="k", base_url=URL + "/v1", max_retries=0)
"""


def main(url: str) -> None:
    for line in sys.stdin:
        instrumented, program = json.loads(line)
        with tempfile.TemporaryFile() as out:
            pid = os.fork()
            if pid == 0:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                os.close(0)
                return run(url, instrumented, program)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            out.seek(0)
            print(json.dumps([status, out.read().decode("utf-8", "replace")]), flush=True)
    return None


def run(url: str, instrumented: bool, program: str) -> None:
    names = {"__name__": "__main__", "URL": url, "openai": openai}
    exec(compile(BEFORE, "before", "exec"), names)  # noqa: S102  (programs of the tests beside this)
    if instrumented:
        LLMRoutingInstrumentor().instrument(
            tracer_provider=names["TracerProvider"](),
            meter_provider=names["MeterProvider"]([names["InMemoryMetricReader"]()]),
        )
    sys.modules["__main__"].__dict__.update(names)
    exec(compile(program, "program", "exec"), sys.modules["__main__"].__dict__)  # noqa: S102


if __name__ == "__main__":
    main(sys.argv[1])
