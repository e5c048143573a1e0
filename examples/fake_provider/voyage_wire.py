"""Voyage AI's embeddings and reranking.

Source: voyageai 0.5.0, ``client.py`` and ``object/*.py`` (which fields are sent and read), ``api_requestor.py``
(errors); Voyage AI's API reference for the documents around them.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from fake_provider.wire import Whole

if TYPE_CHECKING:
    from fake_provider.wire import Asked

VECTOR = struct.pack("<2f", 1.0, 0.0)
OF_ITS_OWN = ("/v1/contextualizedembeddings", "/v1/multimodalembeddings")
SHARED = ("/v1/embeddings", "/v1/rerank")


def mine(asked: Asked) -> bool:
    """Take Voyage's own paths, and those that others have too where the request has a field that theirs have not."""
    return asked.path in OF_ITS_OWN or (asked.path in SHARED and "truncation" in asked.body)


def error(asked: Asked, status: int) -> Whole:  # noqa: ARG001
    """Return what the provider says when it fails."""
    return Whole({"detail": "the fake provider was told to fail"}, status)


def answer(asked: Asked) -> Whole:
    """Answer with a vector for each input."""
    body, answers = asked.body, asked.answers
    inputs = body.get("input", body.get("inputs", body.get("documents")))
    many = inputs if isinstance(inputs, list) else [inputs]
    document: dict[str, Any] = {"object": "list", "usage": {"total_tokens": 9, **answers.usage}}
    if asked.path.endswith("/rerank"):
        document["data"] = [{"index": i, "relevance_score": 0.5} for i in range(len(many))]
    elif asked.path.endswith("/contextualizedembeddings"):
        document["data"] = [
            {"object": "list", "data": [_vector(k) for k in range(len(chunks))], "index": i}
            for i, chunks in enumerate(many)
        ]
    else:
        document["data"] = [_vector(i) for i in range(len(many))]
        if asked.path.endswith("/multimodalembeddings"):
            document["usage"] = {"text_tokens": 9, "image_pixels": 0, "video_pixels": 0, **document["usage"]}
    if answers.fault == "wrong_types":
        document["usage"] = "many"
    if not answers.no_model:
        document["model"] = asked.serve(str(body.get("model")), body)
    return Whole(document)


def _vector(index: int) -> dict[str, Any]:
    return {"object": "embedding", "embedding": base64.b64encode(VECTOR).decode(), "index": index}
