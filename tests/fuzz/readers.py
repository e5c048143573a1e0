"""What every reader of a response must satisfy, of any document: it raises nothing, and names no model nobody named.

``check(data)`` takes any bytes: the first chooses a reader and the form of what it reads, the others are that.
It is called by the coverage-guided fuzzer (``fuzz_readers.py``), by hypothesis, and with the corpus kept beside this.
"""

from __future__ import annotations

import json
import zlib
from types import SimpleNamespace

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from otel_llm_routing.instrument.adapters import (
    anthropic,
    bedrock,
    cohere,
    completions,
    fields,
    gemini,
    google_interactions,
    huggingface_hub,
    litellm_evidence,
    mistralai,
    ollama,
    openai_realtime,
    replicate,
    watsonx,
)
from otel_llm_routing.instrument.adapters.litellm_request import Asked
from otel_llm_routing.instrument.call import Call, CallRequest, Tracker
from otel_llm_routing.instrument.environment import Settings
from otel_llm_routing.instrument.metrics import Recorder
from otel_llm_routing.instrument.served import read_headers
from otel_llm_routing.instrument.spans import LLMRoutingSpanProcessor
from otel_llm_routing.instrument.streams import BodyReader
from otel_llm_routing.instrument.surface import Cap, SurfaceResolver
from otel_llm_routing.models import clean_model

READERS = [
    completions.read_completion,
    completions.read_response,
    anthropic.read_message,
    cohere.read_answer,
    gemini.read_content,
    google_interactions.read_interaction,
    huggingface_hub.read_text,
    huggingface_hub.read_vectors,
    litellm_evidence.read_answer,
    litellm_evidence.read_chunk,
    litellm_evidence.read_event,
    mistralai.read_conversation,
    ollama.read_answer,
    openai_realtime.read_response,
    replicate.read_prediction,
    watsonx.read_answer,
    watsonx.read_each,
    bedrock.read_converse,
    bedrock.read_converse_event,
    bedrock.read_vendor,
    bedrock.read_chunk,
]
FORMS = ("document", "object", "bytes", "events", "zipped", "headers")
_WIRE = {completions.read_completion, completions.read_response, anthropic.read_message}
_LITELLM = {litellm_evidence.read_answer, litellm_evidence.read_chunk, litellm_evidence.read_event}
_OBJECTS = {ollama.read_answer}
_DOCUMENTS = {bedrock.read_converse, bedrock.read_converse_event, bedrock.read_vendor, bedrock.read_chunk}
"""Readers of what an SDK always, and of what it never, makes an object of."""

_tracker = Tracker(
    NoOpTracerProvider().get_tracer("fuzz"),
    Recorder(NoOpMeterProvider().get_meter("fuzz")),
    SurfaceResolver(Settings()),
    Cap(200),
    LLMRoutingSpanProcessor(),
)


def check(data: bytes) -> None:
    """Read ``data`` as its first byte says, and raise an AssertionError where the reader did what it must not."""
    if not data:
        return
    reader = READERS[data[0] % len(READERS)]
    form = FORMS[data[0] // len(READERS) % len(FORMS)]
    body = data[1:]
    ask = Asked("chat", "gpt-5", reader) if reader in _LITELLM else CallRequest("chat", "openai", "gpt-5", reader)
    call = _tracker.start(ask)
    assert isinstance(call, Call)
    if form in ("document", "object") or (form != "headers" and reader not in _WIRE):
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return
        if type(document) is not dict:
            return
        as_object = reader in _OBJECTS or (form == "object" and reader not in _DOCUMENTS)
        reader(call, thing(document) if as_object else document)
        said = set(strings(document))
    elif form == "headers":
        lines = [line.partition(b":") for line in body.split(b"\n")]
        call.headers([(name.strip(), value.strip()) for name, _, value in lines])
        said = {value.decode("utf-8", "replace") for _, _, value in lines}
        read_headers(iter([]))
    else:
        said = {body.decode("utf-8", "replace")}
        _as_it_passes(call, form, body)
    judge(call, said, exact=form in ("document", "object"))
    fields.characters(body.decode("utf-8", "replace"))
    call.end()
    assert call.ended


def _as_it_passes(call: Call, form: str, body: bytes) -> None:
    """Feed the body to the reader of bytes in two ways of cutting it, which must agree."""
    found = []
    for size in (7, max(1, len(body))):
        one = _tracker.start(call.request)
        reader = BodyReader(one, call.request.read, events=form == "events", zipped=form == "zipped")
        whole = zlib.compress(body) if form == "zipped" and body[:1] < b"\x80" else body
        for at in range(0, len(whole), size):
            reader.feed(whole[at : at + size])
        reader.finish()
        found.append((one.body_model, one.trace_model, one.input_tokens, one.output_tokens))
        for name in ("body_model", "trace_model", "details", "input_tokens", "output_tokens"):
            setattr(call, name, getattr(one, name))
        one.end()
    assert found[0] == found[1], found


def judge(call: Call, said: set[str], *, exact: bool) -> None:
    """Check that what was read can go to a span and a metric, and that somebody said it."""
    for model in (call.header_model, call.trace_model, call.body_model):
        if model is not None:
            assert clean_model(model) == model
            if exact:
                assert any(model in (clean_model(text) or "") for text in said), model
    for tokens in (call.input_tokens, call.output_tokens):
        assert type(tokens) is int
        assert 0 <= tokens < 1 << 55
    for name, value in call.details.items():
        assert type(value) in (str, int, bool, tuple), (name, value)
        assert type(value) is not tuple or all(type(part) is str for part in value), (name, value)
        assert type(value) is not str or len(value) <= 256, name
    model, source, match = call.decide()
    assert (model is None) == (source == "none") == (match == "unreported")


def thing(document):
    """Return ``document`` as an SDK's objects would hold it: dictionaries become objects, lists stay lists."""
    if type(document) is dict:
        made = SimpleNamespace()
        made.__dict__.update({name: thing(value) for name, value in document.items()})
        return made
    return [thing(value) for value in document] if type(document) is list else document


def strings(document):
    """Yield every string of a document, names of fields too."""
    if type(document) is str:
        yield document
    elif type(document) is dict:
        for name, value in document.items():
            yield name
            yield from strings(value)
    elif type(document) is list:
        for value in document:
            yield from strings(value)
