"""Replies of a provider as hypothesis finds them: right ones, and whatever can be wrong with one."""

from __future__ import annotations

import copy
import gzip
import json
import zlib

from fake_provider import anthropic_wire, openai_wire
from fake_provider.answers import Answers
from hypothesis import strategies as st
from raw_provider import Reply

ANSWERS = Answers(chunks=3)
WHOLE = {
    "openai chat": lambda: openai_wire.chat({}, "gpt-5-2025-08-07", ANSWERS, 1),
    "openai responses": lambda: openai_wire.response({}, "gpt-5-2025-08-07", ANSWERS, 1, "completed"),
    "anthropic messages": lambda: anthropic_wire.message({}, "claude-haiku-4-5-20251001", ANSWERS, 1),
}
EVENTS = {
    "openai chat": lambda: [*openai_wire.chat_events({}, "gpt-5-2025-08-07", ANSWERS, 1), (None, "[DONE]")],
    "openai responses": lambda: list(openai_wire.response_events({}, "gpt-5-2025-08-07", ANSWERS, 1)),
    "anthropic messages": lambda: list(anthropic_wire.message_events({}, "claude-haiku-4-5-20251001", ANSWERS, 1)),
}
# The fields that an adapter reads, so that they are often the ones that are wrong.
READ = [
    "model",
    "id",
    "type",
    "object",
    "usage",
    "choices",
    "finish_reason",
    "response",
    "status",
    "service_tier",
    "system_fingerprint",
    "message",
    "content",
    "delta",
    "stop_reason",
    "content_block",
    "to",
    "iterations",
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "completion_tokens",
    "x_groq",
    "prompt_tokens_details",
    "completion_tokens_details",
    "cached_tokens",
    "reasoning_tokens",
    "openrouter_metadata",
    "incomplete_details",
    "cache_read_input_tokens",
    "usage_breakdown",
    "models",
]


def _nested(depth):
    value = "x"
    for i in range(depth):
        value = [value] if i % 2 else {"model": value}
    return value


_HOSTILE = [
    None,
    True,
    0,
    -1,
    17,
    1.5,
    float("nan"),
    float("inf"),
    10**40,
    1 << 62,
    "",
    " ",
    "many",
    "\x00\x1b[31m\u202e\ud800",
    "<script>alert(1)</script>{{7*7}}\n\r",
    "m" * 5000,
    "é\U0001f600" * 300,
    [],
    {},
    [None],
    [[]],
    [{}],
    ["gpt-5"],
    {"model": "gpt-4o"},
    {"model": {"model": None}},
    [{"type": "fallback", "to": {"model": 3}}, {"type": "fallback_message", "model": ["x"]}, 5],
    {"type": "fallback", "to": "x"},
    _nested(40),
]
# Not in a list whose parts are printed: 1 MB of text, and a document deeper than a parser goes.
MEGABYTE = "M" * (1 << 20)
DEEP = '{"model":' * 3000 + "1" + "}" * 3000

hostile = st.sampled_from(_HOSTILE).map(copy.deepcopy) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(READ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(READ), inner, max_size=3),
    max_leaves=6,
)


def _places(document, found):
    """Return every (container, key) in a document."""
    if type(document) is dict:
        found += [(document, key) for key in document]
        for value in document.values():
            _places(value, found)
    elif type(document) is list:
        found += [(document, i) for i in range(len(document))]
        for value in document:
            _places(value, found)
    return found


@st.composite
def documents(draw, right):
    """A right document with up to three of its fields wrong, missing, or added."""
    document = right
    for _ in range(draw(st.integers(0, 3))):
        what = draw(st.sampled_from(["replace", "delete", "add", "top"]))
        places = _places(document, [])
        if what == "top" and draw(st.integers(0, 5)) == 0:
            document = draw(hostile)
        elif what == "add" and type(document) is dict:
            document[draw(st.sampled_from(READ))] = draw(hostile)
        elif places:
            container, key = draw(st.sampled_from(places))
            if what == "delete":
                container.pop(key)
            else:
                container[key] = draw(hostile)
    return document


@st.composite
def texts(draw, right):
    """The bytes of a document: mostly JSON, at times cut, repeated, deep, huge, or none at all."""
    damage = draw(st.sampled_from(["none"] * 7 + ["cut", "twice", "bom", "latin", "deep", "huge", "empty", "noise"]))
    document = draw(documents(right))
    if damage == "huge" and type(document) is dict:
        document[draw(st.sampled_from(["model", "id", "service_tier", "unknown"]))] = MEGABYTE
    data = json.dumps(document).encode()
    if damage == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if damage == "noise":
        return draw(st.binary(max_size=64))
    return {
        "twice": data + data,
        "bom": b"\xef\xbb\xbf" + data,
        "latin": data.replace(b"lorem", b"l\xf6rem"),
        "deep": DEEP.encode(),
        "empty": b"",
    }.get(damage, data)


@st.composite
def pieces(draw, data):
    """``data`` cut anywhere: in a line, in a character, in a CRLF."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return tuple(data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))


@st.composite
def event_streams(draw, right):
    """Server-sent events: some wrong, some unknown, with every line ending, comments, and data over several lines."""
    newline = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]))
    lines = []
    wrong = draw(st.lists(st.integers(0, len(right) - 1), max_size=2))
    for i, (name, document) in enumerate(right):
        extra = draw(st.sampled_from(["none"] * 8 + ["comment", "unknown", "retry", "blank", "error", "done", "noise"]))
        if extra == "comment":
            lines += [b": keep-alive", b""]
        elif extra == "unknown":
            lines += [b"event: surprise", b'data: {"model": "never"}', b"whatever", b""]
        elif extra == "retry":
            lines += [b"retry: 10", b"id: 5"]
        elif extra == "blank":
            lines += [b"", b""]
        elif extra == "error":
            lines += [b"event: error", b'data: {"error": {"message": "overloaded", "code": 7, "type": []}}', b""]
        elif extra == "done":
            lines += [b"data: [DONE]", b""]
        elif extra == "noise":
            lines += [b"data: " + draw(st.binary(max_size=20)), b""]
        if name:
            lines.append(b"event: " + name.encode())
        if type(document) is str:
            data = document.encode()
        else:
            data = draw(texts(document)) if i in wrong else json.dumps(document).encode()
        if draw(st.integers(0, 9)) == 0 and b", " in data:
            first, _, rest = data.partition(b", ")
            lines += [b"data: " + first + b",", b"data:" + rest, b""]
        else:
            lines += [b"data: " + data, b""]
    body = newline.join(lines) + newline
    if draw(st.integers(0, 4)) == 0:
        body = body[: draw(st.integers(0, len(body)))]  # no final newline, half an event
    return body


_STATUS = [200] * 12 + [201, 204, 400, 401, 404, 408, 409, 422, 429, 500, 503, 529]
_SERVED = ("x-ms-served-model", "x-litellm-model-name", "cf-aig-model", "x-litellm-attempted-fallbacks", "x-request-id")
_VALUES = ("gpt-5-2025-08-07", "", "9" * 300, "\xff\xfe", "1", "a, b")


@st.composite
def replies(draw, api, *, streamed):
    """One reply of ``api``, whole or as events."""
    data = draw(event_streams(EVENTS[api]())) if streamed else draw(texts(WHOLE[api]()))
    right = "text/event-stream" if streamed else "application/json"
    kinds = [right] * 8 + ["application/json", "text/event-stream", "text/plain", "application/x+json; charset=x", None]
    headers = [("retry-after-ms", "1")]
    coding = draw(st.sampled_from(["none"] * 8 + ["gzip", "gzip-cut", "gzip-not", "deflate", "br", "unknown"]))
    if coding == "gzip":
        data = gzip.compress(data, mtime=0)
    elif coding == "gzip-cut":
        data = gzip.compress(data, mtime=0)[: draw(st.integers(0, 60))]
    elif coding == "deflate":
        data = zlib.compress(data)
    if coding != "none":
        headers.append(("content-encoding", coding.partition("-")[0]))
    names = draw(st.lists(st.sampled_from(_SERVED), max_size=2, unique=True))
    headers += [(name, draw(st.sampled_from(_VALUES))) for name in names]
    status = draw(st.sampled_from(_STATUS))
    return Reply(
        status=status,
        kind=draw(st.sampled_from(kinds)),
        body=draw(pieces(data)) if status != 204 else (b"",),
        headers=tuple(headers),
        chunked=draw(st.booleans()) and status != 204,
        end=draw(st.sampled_from(["whole"] * 7 + ["short"])) if status != 204 else "whole",
    )
