"""Replicate's predictions: made, polled and streamed.

Source: replicate 1.0.7, ``prediction.py`` (fields and paths), ``stream.py`` (events), ``exceptions.py`` (errors). The
real streams come from a host of their own; here a prediction's id says all that is needed to go on with it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from fake_provider.openai_wire import WORDS
from fake_provider.wire import Parts, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_provider.wire import Asked

PATH = re.compile(
    r"/v1/(?:(?:models|deployments)/(?P<name>[^/]+/[^/]+)/)?predictions(?:/(?P<id>[0-9a-f]+))?"
    r"|/v1/models/(?P<of>[^/]+/[^/]+)/versions/(?P<version>[^/]+)|/v1/files/(?P<stream>[0-9a-f]+)/stream"
    r"|/v1/models/(?P<trained>[^/]+/[^/]+)/versions/[^/]+/trainings"
)


def mine(asked: Asked) -> bool:
    """Take the paths of predictions, and those of versions and trainings of models."""
    return PATH.fullmatch(asked.path) is not None


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the provider says when it fails."""
    return Whole({"title": "Error", "detail": "the fake provider was told to fail", "status": status}, status)


def answer(asked: Asked) -> Whole | Parts | None:
    """Make a prediction, or go on with one."""
    found = PATH.fullmatch(asked.path)
    if found is None:
        return None
    if found["stream"]:
        return _events(asked)
    if found["of"]:
        output = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}
        schema = {"components": {"schemas": {"Output": output}}}
        version = {"id": found["version"], "created_at": "2026-01-01T00:00:00Z", "cog_version": "0.9.0"}
        return Whole({**version, "openapi_schema": schema})
    if found["trained"]:
        return Whole({"id": "abc", "model": found["trained"], "version": "1", "status": "starting", "input": {}})
    if found["id"]:
        return Whole(_prediction(asked, bytes.fromhex(found["id"]).decode(), "succeeded"))
    requested = found["name"] or str(asked.body.get("version"))
    served = asked.serve(requested, asked.body)
    waits = "wait" in asked.headers.get("prefer", "")
    return Whole(_prediction(asked, str(served), "succeeded" if waits else "starting"), 201)


def _prediction(asked: Asked, served: str, status: str) -> dict[str, Any]:
    answers = asked.answers
    model, _, version = served.partition(":")
    at = f"http://{asked.headers['host']}/v1"
    name = served.encode().hex()
    over = status == "succeeded"
    counts = {"input_token_count": 9, "output_token_count": 4, "predict_time": 0.1, **answers.usage}
    words = [f"{WORDS[i % len(WORDS)]} " for i in range(max(1, answers.chunks))]
    return {
        "id": name,
        "model": 17 if answers.fault == "wrong_types" else model,
        "version": version or "hidden",
        "input": asked.body.get("input") or {},
        "output": words if over else None,
        "logs": "",
        "error": None,
        "status": status,
        "created_at": "2026-01-01T00:00:00Z",
        "metrics": counts if over and answers.fault != "wrong_types" else None,
        "urls": {"get": f"{at}/predictions/{name}", "stream": f"{at}/files/{name}/stream"},
    }


def _events(asked: Asked) -> Parts:
    return Parts(
        _output(max(1, asked.answers.chunks)),
        "text/event-stream",
        end=_event("done", json.dumps({})),
        error=_event("error", "the fake provider was told to fail"),
        malformed=b"event: nonsense\nid: 1:0\ndata: {\n\n",
    )


def _output(chunks: int) -> Iterator[bytes]:
    for i in range(chunks):
        yield _event("output", f"{WORDS[i % len(WORDS)]} ")
    yield _event("logs", "done")


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\nid: 1690212292:0\ndata: {data}\n\n".encode()
