"""A WSGI application, instrumented before gunicorn forks its workers, that calls a model in every request.

``/call`` answers with the worker's process and how many calls it has counted.
"""

from __future__ import annotations

import gc
import json
import os

import openai
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from outcomes import Observed

from otel_llm_routing import LLMRoutingInstrumentor

observed = Observed(InMemoryMetricReader())
LLMRoutingInstrumentor().instrument(tracer_provider=observed.tracer_provider, meter_provider=observed.meter_provider)


def connect():
    return openai.OpenAI(api_key="k", base_url=os.environ["PROVIDER"] + "/v1")


# A worker's own: processes that share a connection take each other's answers, with us or without.
clients = {os.getpid(): connect()}


def call():
    if os.getpid() not in clients:
        clients[os.getpid()] = connect()
    client = clients[os.getpid()]
    for chunk in client.chat.completions.create(model="gpt-5", messages=[], stream=True):
        if chunk.choices:
            break
    client.chat.completions.create(model="gpt-5", messages=[])


# In the master, before the fork: a stream that is still open when the workers are made, and calls counted there.
left_open = clients[os.getpid()].chat.completions.create(model="gpt-5", messages=[], stream=True)
next(iter(left_open))
call()


def app(environ, start_response):
    global left_open  # noqa: PLW0603
    left_open = None
    call()
    gc.collect()  # the stream that ``call`` left is in a cycle of the SDK's own
    counted = sum(point.value for _, point in observed.points("llm_routing.requests"))
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps([os.getpid(), counted, len(observed.ends.ended)]).encode()]
