"""Cohere's wire formats: chat, its streams, and embeddings of both versions of its API; version 1's generate.

No answer names a model. Version 1 streams lines of JSON, version 2 server-sent events.

Source: cohere 7.3.1, ``raw_base_client.py``, ``v2/raw_client.py`` (paths, framing), ``types`` and ``v2/types``
(fields); Cohere's API reference, "Chat" (the order of the events).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from fake_provider import sse
from fake_provider.openai_wire import pieces, text_of
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.answers import Answers
    from fake_provider.wire import Asked

_PATH = re.compile(r"/(v[12])/(chat|generate|embed|rerank|classify|tokenize|detokenize|check-api-key)\Z")


def usage(answers: Answers) -> Any:
    """Return the usage of an answer."""
    if answers.fault == "wrong_types":
        return "many"
    counts = {"input_tokens": 9.0, "output_tokens": 4.0}
    return {"billed_units": {"input_tokens": 5.0, "output_tokens": 4.0}, "tokens": {**counts, **answers.usage}}


def chat_v1(body: dict[str, Any], answers: Answers, number: int) -> dict[str, Any]:
    """Return an answer of version 1."""
    document = {"response_id": f"resp-{number}", "generation_id": f"gen-{number}", "text": text_of(body, answers)}
    return {**document, "finish_reason": _reason(answers), "meta": usage(answers)}


def chat_v1_events(body: dict[str, Any], answers: Answers, number: int) -> Iterator[dict[str, Any]]:
    """Yield the events of version 1."""
    yield {"event_type": "stream-start", "is_finished": False, "generation_id": f"gen-{number}"}
    for part in pieces(text_of(body, answers), answers):
        yield {"event_type": "text-generation", "is_finished": False, "text": part}
    whole = chat_v1(body, answers, number)
    yield {"event_type": "stream-end", "is_finished": True, "finish_reason": _reason(answers), "response": whole}


def generate(body: dict[str, Any], answers: Answers, number: int) -> dict[str, Any]:
    """Return generations of version 1."""
    generation = {"id": f"g-{number}", "text": text_of(body, answers), "finish_reason": _reason(answers)}
    generations: Any = "none" if answers.fault == "wrong_types" else [generation]
    return {"id": f"gen-{number}", "prompt": body.get("prompt"), "generations": generations, "meta": usage(answers)}


def generate_events(body: dict[str, Any], answers: Answers, number: int) -> Iterator[dict[str, Any]]:
    """Yield the events of version 1's generate."""
    for part in pieces(text_of(body, answers), answers):
        yield {"event_type": "text-generation", "is_finished": False, "text": part}
    whole = generate(body, answers, number)
    yield {"event_type": "stream-end", "is_finished": True, "finish_reason": _reason(answers), "response": whole}


def chat_v2(body: dict[str, Any], answers: Answers, number: int) -> dict[str, Any]:
    """Return an answer of version 2."""
    message = {"role": "assistant", "content": [{"type": "text", "text": text_of(body, answers)}]}
    return {"id": f"msg-{number}", "message": message, "finish_reason": _reason(answers), "usage": usage(answers)}


def chat_v2_events(body: dict[str, Any], answers: Answers, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of version 2, as (name, data)."""
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    text = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": f"msg-{number}", "delta": {"message": start}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": text}}},
    ]
    events += [
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": part}}}}
        for part in pieces(text_of(body, answers), answers)
    ]
    events.append({"type": "content-end", "index": 0})
    events.append({"type": "message-end", "delta": {"finish_reason": _reason(answers), "usage": usage(answers)}})
    for event in events:
        yield event["type"], event


def embed(body: dict[str, Any], answers: Answers, number: int) -> dict[str, Any]:
    """Return embeddings, by type where the request asks for types."""
    texts = body.get("texts") or [""] * len(body.get("inputs") or [])
    vectors: Any = [[1.0, 0.0] for _ in texts]
    types = body.get("embedding_types")
    embeddings = dict.fromkeys(types, vectors) if types else vectors
    meta = "many" if answers.fault == "wrong_types" else {"billed_units": {"input_tokens": 3.0}}
    document = {"id": f"emb-{number}", "embeddings": embeddings, "texts": texts, "meta": meta}
    return {**document, "response_type": "embeddings_by_type" if types else "embeddings_floats"}


def _reason(answers: Answers) -> Any:
    return 17 if answers.fault == "wrong_types" else "COMPLETE"


# What the server asks ---------------------------------------------------------------------------------------------


def mine(asked: Asked) -> bool:
    """Say whether this is a request of Cohere's API."""
    return _PATH.search(asked.path) is not None


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what Cohere says when it fails."""
    return Whole({"id": "failed", "message": "the fake provider was told to fail"}, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Answer what is a call to a model, and some that are not."""
    found = _PATH.search(asked.path)
    if found is None or asked.method != "POST":
        return None
    version, what = found.groups()
    body, answers, number = asked.body, asked.answers, asked.number
    asked.serve(str(body.get("model") or ""), body)  # whoever serves, the answer does not say
    stream = body.get("stream") is True
    if what == "embed":
        return Whole(embed(body, answers, number))
    if what == "generate":
        events = generate_events(body, answers, number)
        return _lines(events) if stream else Whole(generate(body, answers, number))
    if what == "chat" and version == "v1":
        events = chat_v1_events(body, answers, number)
        return _lines(events) if stream else Whole(chat_v1(body, answers, number))
    if what == "chat":
        failed = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "told to fail"}}
        if stream:
            return sse.stream(chat_v2_events(body, answers, number), done=False, error=("message-end", failed))
        return Whole(chat_v2(body, answers, number))
    return Whole({"id": f"{what}-{number}", "results": [], "classifications": [], "tokens": [], "token_strings": []})


def _lines(events: Iterator[dict[str, Any]]) -> Parts:
    failed = {"event_type": "stream-end", "is_finished": True, "finish_reason": "ERROR", "response": {}}
    return Parts(
        (json.dumps(event).encode() + b"\n" for event in events),
        "application/stream+json",
        error=json.dumps(failed).encode() + b"\n",
        malformed=b'{"event_type": tru\n',
    )
